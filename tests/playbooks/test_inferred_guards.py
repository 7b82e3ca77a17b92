"""Guards that runs tell: what a write changed, and what a result looks like that is none of an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from procedures import Agent

from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.compiling import compile_runs
from spanreel.replay.playbooks.compiling.observed import Observed
from spanreel.replay.playbooks.compiling.tape import over


def run(number: int, status: str = "delivered", found: str = "ann_3301") -> Observed:
    """Somebody sends an order back: found, looked at, returned."""
    order = {"order_id": f"#W{number}", "owner": f"{found}{number}", "status": status, "total": number / 100}
    one = Agent(
        {
            "find_order": ("read", lambda text: order["order_id"]),
            "get_order": ("read", lambda order_id: dict(order)),
            "give_back": ("write", lambda **_: {**order, "status": "return requested"}),
        }
    )
    one.hears(f"I am {number}@example.org and want my money back")
    order_id = one.calls("find_order", text=f"{number}@example.org")
    told = one.calls("get_order", order_id=order_id)
    one.calls("give_back", order_id=order_id, owner=told["owner"])
    return one.run(f"{number:032x}")


def body() -> Body:
    """Compiled from two of them."""
    return compile_runs([run(10_001), run(10_002)], "give-back").body


def test_a_field_that_the_write_changes_is_asked_before_and_after() -> None:
    """What all runs had before the write, and after it, has to hold."""
    state = body().states["give_back"]
    assert {"var": "order_2.status", "equals": "delivered"} in state.pre
    assert {"json": "status", "equals": "return requested"} in state.post


def test_an_order_in_another_state_is_not_touched() -> None:
    """The precondition stops before the write."""
    walkthrough = over(body(), run(10_003, "pending"), {"text": "10003@example.org"})
    assert walkthrough.failure is not None
    assert (walkthrough.failure.guard, walkthrough.failure.state) == ("precondition", "give_back")
    assert walkthrough.writes == []


def test_an_error_told_as_a_text_is_no_result() -> None:
    """A tool that answers `Error: …` fails the guard of its state, be its result an object or an id."""
    good = run(10_003)
    for tool in ("find_order", "get_order"):
        calls = tuple(
            replace(call, result="Error: 503 Service Unavailable") if call.tool == tool else call
            for call in good.calls
        )
        walkthrough = over(body(), replace(good, calls=calls), {"text": "10003@example.org"})
        assert walkthrough.failure is not None
        assert (walkthrough.failure.guard, walkthrough.failure.state) == ("expect", tool)
        assert walkthrough.writes == []


def test_a_key_that_a_binding_needs_has_to_be_there() -> None:
    """An output whose key was renamed stops at the state that gave it."""
    good = run(10_003)

    def renamed(result: Any) -> Any:
        return {"holder" if key == "owner" else key: value for key, value in result.items()}

    calls = tuple(
        replace(call, result=renamed(call.result)) if call.tool == "get_order" else call
        for call in good.calls
    )
    walkthrough = over(body(), replace(good, calls=calls), {"text": "10003@example.org"})
    assert walkthrough.failure is not None
    assert (walkthrough.failure.guard, walkthrough.failure.state) == ("expect", "get_order")


def test_guards_hold_in_every_source_run() -> None:
    """What differs between the sources is no guard."""
    compiled = compile_runs([run(10_001), run(10_002, "in transit")], "give-back")
    assert compiled.body.states["give_back"].pre == []
    assert all(check.exact for check in compiled.report.checked)
