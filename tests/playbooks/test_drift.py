"""The world changes under a playbook: the next execution stops at a guard that names it, and nothing is done after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_tasks import Episode, Tape, call, episode, play, retail, safety_of

import spanreel
from spanreel.replay.playbooks.body import Body, Retry
from spanreel.replay.playbooks.compiling import compile_runs, params_of
from spanreel.replay.playbooks.playbook import Playbook
from spanreel.replay.playbooks.result import PlaybookResult

FAILED = "Error: 503 Service Unavailable"


def order(name: str, item: str) -> dict[str, Any]:
    """An order as the tool tells of it."""
    return {
        "order_id": name,
        "status": "delivered",
        "items": [{"item_id": item, "price": 12.5}],
        "payments": [{"method": f"card_{item}"}],
    }


def returned(name: str, item: str) -> Episode:
    """A run that returns the one item of an order."""
    return episode(
        call("drift_find_order", {"order_id": name}, order(name, item)),
        call(
            "drift_return_item",
            {"order_id": name, "item_id": item, "method": f"card_{item}"},
            {"order_id": name, "status": "return requested"},
            write=True,
        ),
        given={"order_id": name},
    )


@pytest.fixture
def body() -> Body:
    """The playbook of three such runs."""
    runs = [returned(f"#W100{n}", f"77001{n}") for n in range(3)]
    return compile_runs([run.replay for run in runs], "return-item").body


class Shop:
    """The tools as they are today; `calls` counts what was called, `wrote` what was changed."""

    def __init__(self, **changed: Callable[..., Any]) -> None:
        self.calls: list[str] = []
        self.wrote: list[dict[str, Any]] = []
        self.changed = changed

    @property
    def tools(self) -> dict[str, Callable[..., Any]]:
        def drift_find_order(order_id: str) -> Any:
            return order(order_id, "880055")

        def drift_return_item(order_id: str, item_id: str, method: str) -> Any:
            self.wrote.append({"order_id": order_id, "item_id": item_id, "method": method})
            return {"order_id": order_id, "status": "return requested"}

        found = {"drift_find_order": drift_find_order, "drift_return_item": drift_return_item}
        return {name: self.counted(name, self.changed.get(name, tool)) for name, tool in found.items()}

    def counted(self, name: str, tool: Callable[..., Any]) -> Callable[..., Any]:
        def counting(**given: Any) -> Any:
            self.calls.append(name)
            return tool(**given)

        safety = "read" if name == "drift_find_order" else "write"
        return spanreel.tool(name=name, safety=safety)(counting)

    def run(self, body: Body) -> PlaybookResult:
        return Playbook.load(body).run({"order_id": "#W2001"}, tools=self.tools)


def state_of(body: Body, tool: str) -> str:
    """The state that calls a tool."""
    return next(name for name, state in body.states.items() if state.tool == tool)


def test_nothing_changed(body: Body) -> None:
    """The same procedure for another order, on tools as they were: it writes what it should."""
    shop = Shop()
    done = shop.run(body)
    assert done.status == "completed"
    assert shop.wrote == [{"order_id": "#W2001", "item_id": "880055", "method": "card_880055"}]


def test_a_renamed_argument(body: Body) -> None:
    """A tool that takes another argument now: its call fails, it is named, and nothing is called after it."""

    def drift_find_order(order_number: str) -> Any:
        return order(order_number, "880055")

    shop = Shop(drift_find_order=drift_find_order)
    done = shop.run(body)
    assert done.status == "failed"
    assert done.failure is not None
    assert done.failure.guard == "call"
    assert done.failure.state == state_of(body, "drift_find_order")
    assert set(shop.calls) == {"drift_find_order"}
    assert shop.wrote == []


def test_a_renamed_key_of_a_result(body: Body) -> None:
    """A result without the key that a write is bound to stops before the write, at the state that wants it or got it."""

    def drift_find_order(order_id: str) -> Any:
        told = order(order_id, "880055")
        return {**told, "items": [{"id": "880055", "price": 12.5}]}

    shop = Shop(drift_find_order=drift_find_order)
    done = shop.run(body)
    assert done.status == "failed"
    assert done.failure is not None
    assert done.failure.guard in ("expect", "postcondition", "precondition", "binding")
    assert set(shop.calls) == {"drift_find_order"}
    assert shop.wrote == []


@pytest.mark.parametrize("answer", ["Error: order not found", None, {}, {"error": "no such order"}, []])
def test_a_record_that_is_gone(body: Body, answer: Any) -> None:
    """A record that is not there any more stops at the state that looks for it, whatever the tool says instead."""
    shop = Shop(drift_find_order=lambda order_id: answer)
    done = shop.run(body)
    assert done.status == "failed"
    assert done.failure is not None
    assert done.failure.state == state_of(body, "drift_find_order")
    assert set(shop.calls) == {"drift_find_order"}
    assert shop.wrote == []


def test_another_status_than_in_all_runs(body: Body) -> None:
    """What every run had alike where it mattered is not taken for granted: a pending order is not returned."""
    shop = Shop(drift_find_order=lambda order_id: {**order(order_id, "880055"), "status": "pending"})
    done = shop.run(body)
    assert done.status == "failed"
    assert shop.wrote == []


def test_the_failures_of_the_flaky_tool(shared: Path) -> None:
    """The recorded 503s of the grok-3 runs: a playbook tries a read again as its policy says, or stops; it never writes on one."""
    runs = [run for run in retail(shared / "data") if run.agent == "grok-3"]
    assert sum(one.result == FAILED for run in runs for one in run.calls) == 123
    flaky = [
        run for run in runs if run.success and run.writes and any(one.result == FAILED for one in run.calls)
    ]
    safety = safety_of(runs)
    met = stopped = 0
    for run in flaky:
        try:
            body = compile_runs([run.replay], "flaky").body
        except spanreel.SpanreelError:
            continue
        params = params_of(body, run.replay).params
        done = play(body, params, Tape(run), safety)
        assert not set(done.writes) - set(run.writes), run.key
        once = body.model_copy(
            update={
                "states": {
                    name: state.model_copy(update={"retry": Retry()}) for name, state in body.states.items()
                }
            }
        )
        tape = Tape(run)
        answers: list[Any] = []

        def answer(
            name: str, arguments: dict[str, Any], tape: Tape = tape, answers: list[Any] = answers
        ) -> Any:
            answers.append(tape(name, arguments))
            return answers[-1]

        single = play(once, params, answer, safety)
        if FAILED in answers:
            met += 1
            stopped += single.stopped is not None
            assert answers[-1] == FAILED, f"{run.key}: went on after a 503: {json.dumps(answers)[:200]}"
            assert single.writes == [] or set(single.writes) <= set(run.writes)
    assert met >= 10
    assert stopped == met
