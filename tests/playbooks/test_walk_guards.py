"""Every guard of a playbook, where it alone decides whether the next thing is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from walking import Walker, body

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Spent
from spanreel.replay.playbooks.expected import content_hash

CALL = {"t": {"tool": "do"}}


def give(value: Any) -> dict[str, Callable[..., Any]]:
    return {"do": lambda **_: value}


# parameters


@pytest.mark.parametrize(
    ("said", "good", "bad"),
    [
        ({"type": "string"}, "a", 1),
        ({"type": "integer"}, 3, "3"),
        ({"type": "number"}, 1.5, True),
        ({"type": "boolean"}, False, 0),
        ({"type": "array", "items": {"type": "string"}}, ["a"], [1]),
        ({"type": "object"}, {}, []),
        ({"pattern": "#W[0-9]+"}, "#W12", "x#W12"),
        ({"pattern": "#W[0-9]+"}, "#W12", "#W12\n"),
        ({"format": "date"}, "2026-01-31", "2026-02-31"),
        ({"enum": ["a", "b"]}, "b", "c"),
        ({"type": "integer", "minimum": 2}, 2, 1),
        ({"type": "integer", "maximum": 2}, 2, 3),
    ],
)
def test_a_parameter_is_what_its_declaration_says(said: dict, good: Any, bad: Any) -> None:
    """A value that fits is taken; one that does not stops before the first state."""
    given = body(CALL, params={"x": said})
    assert Walker(give(1)).walk(given, {"x": good}).variables["params"]["x"] == good
    walker = Walker(give(1))
    failure = walker.stopped(given, {"x": bad})
    assert (failure.guard, failure.state, walker.calls()) == ("params", "", [])


def test_a_parameter_that_nobody_declared_is_refused() -> None:
    """A misspelled parameter does not pass in silence."""
    assert "there is no parameter y" in Walker().stopped(body(CALL, params={"x": {}}), {"y": 1}).reason


def test_a_missing_parameter_stops_unless_it_has_a_default_or_need_not_be_there() -> None:
    """Required and default decide."""
    assert Walker().stopped(body(CALL, params={"x": {}})).guard == "params"
    assert Walker(give(1)).walk(body(CALL, params={"x": {"default": "d"}})).variables["params"] == {"x": "d"}
    assert Walker(give(1)).walk(body(CALL, params={"x": {"required": False}})).variables["params"] == {
        "x": None
    }


def test_a_default_is_held_to_the_declaration_too() -> None:
    """A default of another type stops."""
    assert Walker().stopped(body(CALL, params={"x": {"type": "integer", "default": "d"}})).guard == "params"


def test_missing_parameters_are_read_out_of_a_text_where_the_playbook_says_how() -> None:
    """One counted model call, whose answer is held to the declarations; without `extract` the run is refused."""
    said = {"params": {"x": {"pattern": "W[0-9]"}}, "extract": {}}
    walked = Walker(give(1), model=lambda asked: {"x": "W1"}).walk(body(CALL, **said), task="please W1")
    assert (walked.variables["params"], walked.model_calls) == ({"x": "W1"}, 1)
    assert Walker(model=lambda asked: {"x": "bad"}).stopped(body(CALL, **said), task="t").guard == "params"
    assert "no `extract`" in Walker().stopped(body(CALL, params={"x": {}}), task="please").reason


# one state


def test_a_precondition_that_does_not_hold_stops_before_the_call() -> None:
    """And one that holds lets it through."""
    states = {"a": {"set": {"n": 1}, "next": "t"}, "t": {"tool": "do", "pre": [{"json": "n", "equals": 2}]}}
    walker = Walker(give(1))
    assert walker.stopped(body(states)).guard == "precondition"
    assert walker.calls() == []
    states["a"]["set"]["n"] = 2
    assert Walker(give(1)).walk(body(states)).output == 1


def test_a_precondition_that_nobody_can_judge_stops() -> None:
    """Unknown is not a pass."""
    for condition in ({"json": "n"}, {"no_such": 1}, {"git_clean": True}, {"any": 5}):
        assert (
            Walker(give(1)).stopped(body({"t": {"tool": "do", "pre": [condition]}})).guard == "precondition"
        )


def test_conditions_of_the_tools_author_hold_in_a_playbook() -> None:
    """Pre of the arguments, post of the result; objects and functions; one that raises says no."""
    given = body({"t": {"tool": "do", "args": {"n": 1}}})

    def fails(_: Any) -> bool:
        raise RuntimeError("no")

    for guard, bad in (("precondition", {"json": "args.n", "equals": 2}), ("precondition", lambda args: args["n"] == 2), ("precondition", fails)):  # fmt: skip
        walker = Walker(give(5), pre={"do": (bad,)})
        assert (walker.stopped(given).guard, walker.calls()) == (guard, [])
    for bad in ({"json": "$", "equals": 6}, lambda result: result == 6):
        assert Walker(give(5), post={"do": (bad,)}).stopped(given).guard == "postcondition"
    fine = Walker(
        give(5), pre={"do": ({"json": "args.n", "equals": 1},)}, post={"do": (lambda result: result == 5,)}
    )
    assert fine.walk(given).output == 5


@pytest.mark.parametrize(
    ("risk", "safety", "gated"),
    [
        ("low", "write", False), ("low", "irreversible", False),
        ("medium", "read", False), ("medium", "write", False), ("medium", "irreversible", True),
        ("high", "read", False), ("high", "write", True), ("high", "irreversible", True),
    ],
)  # fmt: skip
def test_risk_and_safety_decide_whether_somebody_has_to_approve(risk: str, safety: str, gated: bool) -> None:
    """A rejected gate stops before the call."""
    given = body(CALL, risk=risk)
    walker = Walker(give(1), safety={"do": safety}, decisions=[True])
    walker.walk(given)
    assert bool(walker.of(asks.Gate)) is gated
    if gated:
        walker = Walker(give(1), safety={"do": safety}, decisions=[False])
        assert (walker.stopped(given).guard, walker.calls()) == ("approval", [])


def test_a_state_can_only_be_stricter_than_its_tool() -> None:
    """`safety: irreversible` on a write is gated; `safety: read` on an irreversible tool changes nothing."""
    strict = Walker(give(1), safety={"do": "write"}, decisions=[True])
    strict.walk(body({"t": {"tool": "do", "safety": "irreversible"}}))
    assert strict.of(asks.Gate)
    lax = Walker(give(1), safety={"do": "irreversible"}, decisions=[True])
    lax.walk(body({"t": {"tool": "do", "safety": "read"}}))
    assert lax.of(asks.Gate)


def test_an_approval_counts_for_the_call_right_after_it_only() -> None:
    """Anything done in between asks again."""
    gate = {"approval": {"id": "g"}, "next": "t"}
    irreversible = {"safety": {"do": "irreversible", "look": "read"}}
    near = Walker(give(1), decisions=[True], **irreversible)
    near.walk(body({"g": gate, "t": {"tool": "do"}}))
    assert [one.id for one in near.of(asks.Gate)] == ["g"]
    far = Walker({**give(1), "look": lambda: 1}, decisions=[True, True], **irreversible)
    far.walk(body({"g": {**gate, "next": "l"}, "l": {"tool": "look", "next": "t"}, "t": {"tool": "do"}}))
    assert [one.id for one in far.of(asks.Gate)] == ["g", "p.t"]


def test_a_gate_is_asked_once_for_all_attempts_of_a_call() -> None:
    """A retry is the same effect."""
    left = [RuntimeError("503"), None]

    def do() -> int:
        error = left.pop(0)
        if error:
            raise error
        return 1

    walker = Walker({"do": do}, safety={"do": "irreversible"}, decisions=[True])
    walker.walk(body({"t": {"tool": "do", "retry": {"max_attempts": 2}}}))
    assert len(walker.of(asks.Gate)) == 1


def test_a_tool_that_is_not_registered_stops() -> None:
    """Before the budget, after the gate."""
    assert Walker().stopped(body(CALL)).guard == "tool"
    walker = Walker(decisions=[False])
    assert walker.stopped(body({"t": {"tool": "do", "safety": "irreversible"}})).guard == "approval"


def test_the_budget_stops_before_the_call_that_would_go_beyond_it() -> None:
    """max_tool_calls, max_calls, max_seconds, max_cost, each alone."""
    two = {"a": {"tool": "do", "next": "b"}, "b": {"tool": "do"}}
    walker = Walker(give(1))
    assert (walker.stopped(body(two, budget={"max_tool_calls": 1})).guard, walker.calls()) == (
        "budget",
        ["do"],
    )
    models = {"a": {"llm": {"prompt": "x"}, "next": "b"}, "b": {"llm": {"prompt": "y"}}}
    walker = Walker(model=lambda asked: "t")
    assert walker.stopped(body(models, budget={"max_calls": 1})).state == "b"
    assert len(walker.of(asks.Ask)) == 1
    late = Walker(give(1), spent=lambda: Spent(seconds=2.0))
    assert (late.stopped(body(CALL, budget={"max_seconds": 2})).guard, late.calls()) == ("budget", [])
    assert (
        Walker(give(1), spent=lambda: Spent(seconds=1.9)).walk(body(CALL, budget={"max_seconds": 2})).output
        == 1
    )
    for cost in (1.0, None):
        dear = Walker(model=lambda asked: "t", spent=lambda cost=cost: Spent(cost=cost))
        assert dear.stopped(body(models, budget={"max_cost": 1})).guard == "budget"
    cheap = Walker(model=lambda asked: "t", spent=lambda: Spent(cost=0.5))
    assert cheap.walk(body(models, budget={"max_cost": 1})).model_calls == 2


def test_a_spent_budget_is_not_worked_around() -> None:
    """on_failure is for failures of a state; nor does a wait go beyond max_seconds."""
    states = {"a": {"tool": "do", "on_failure": "b"}, "b": {"set": {"x": 1}}}
    assert Walker(give(1)).stopped(body(states, budget={"max_tool_calls": 0})).guard == "budget"
    waits = {
        "a": {"tool": "do", "repeat": {"until": [{"json": "$", "equals": 2}], "max": 3, "wait_seconds": 5}}
    }
    walker = Walker(give(1))
    assert walker.stopped(body(waits, budget={"max_seconds": 4})).guard == "budget"
    assert not walker.of(asks.Wait)


# what comes back

GOOD = {"status": "open", "n": 10, "note": "all is well"}


@pytest.mark.parametrize(
    ("expect", "bad"),
    [
        ({"hash": content_hash(GOOD)}, {**GOOD, "n": 11}),
        ({"json": {"status": "open"}}, {**GOOD, "status": "closed"}),
        ({"shape": {"required": ["status"]}}, {"n": 10}),
        ({"regex": "is w[e]ll"}, {**GOOD, "note": "is not"}),
        ({"contains": ["all", "open"]}, {**GOOD, "note": "well"}),
        ({"tolerance": {"n": {"value": 9.5, "within": 0.5}}}, {**GOOD, "n": 10.1}),
    ],
)
def test_each_kind_of_expectation_decides_alone(expect: dict, bad: dict) -> None:
    """What fits goes on; what does not stops at the state."""
    given = body({"t": {"tool": "do", "expect": expect, "next": "u"}, "u": {"tool": "after"}})
    fine = Walker({**give(GOOD), "after": lambda: "end"})
    assert fine.walk(given).output == "end"
    walker = Walker({**give(bad), "after": lambda: "end"})
    assert (walker.stopped(given).guard, walker.calls()) == ("expect", ["do"])


def test_a_postcondition_decides_after_the_call() -> None:
    """Its path begins at the result; `var` begins at the variables."""
    given = body({"t": {"tool": "do", "post": [{"json": "n", "equals": 1}, {"var": "params.x", "equals": 2}]}}, params={"x": {"type": "integer"}})  # fmt: skip
    assert Walker(give({"n": 1})).walk(given, {"x": 2}).output == {"n": 1}
    assert Walker(give({"n": 2})).stopped(given, {"x": 2}).guard == "postcondition"
    assert Walker(give({"n": 1})).stopped(given, {"x": 3}).guard == "postcondition"


def test_states_without_a_call_are_held_to_what_they_say_too() -> None:
    """Post of `set`, `branch`, `assert` and `approval`; expect needs a result."""
    set_ = {"s": {"set": {"n": 1}, "post": [{"json": "n", "equals": 2}]}}
    assert Walker().stopped(body(set_)).guard == "postcondition"
    gate = {"g": {"approval": {"id": "g"}, "expect": {"json": {"reason": "other"}}}}
    assert Walker(decisions=[True]).stopped(body(gate)).guard == "expect"
    assert Walker().stopped(body({"s": {"set": {"n": 1}, "expect": {"json": 1}}})).guard == "expect"
    assert (
        Walker()
        .stopped(body({"s": {"set": {"n": 1}, "repeat": {"for_each": "{{ params }}", "max": 1}}}))
        .guard
        == "repeat"
    )


def test_a_binding_without_a_value_stops_before_the_call() -> None:
    """It is never a guess."""
    walker = Walker(give(1))
    failure = walker.stopped(body({"t": {"tool": "do", "args": {"x": "{{ order.id }}"}}}))
    assert (failure.guard, walker.calls()) == ("binding", [])
    assert "order.id" in failure.reason


def test_an_assertion_stops() -> None:
    """All of it has to hold."""
    given = body({"a": {"assert": [{"json": "params.x", "min": 1}, {"json": "params.x", "max": 2}]}}, params={"x": {"type": "integer"}})  # fmt: skip
    assert Walker().walk(given, {"x": 2}).visited == ("a",)
    assert Walker().stopped(given, {"x": 3}).guard == "assert"


def test_success_is_judged_when_all_is_over() -> None:
    """Of the variables and the output; what was done is compensated for."""
    states = {"t": {"tool": "do", "save_as": "r", "compensate": {"tool": "undo"}}}
    given = body(states, success=[{"json": "result.n", "equals": 1}, {"json": "r.n", "equals": 1}])
    assert Walker({**give({"n": 1}), "undo": lambda: 1}).walk(given).output == {"n": 1}
    walker = Walker({**give({"n": 2}), "undo": lambda: 1})
    assert (walker.stopped(given).guard, walker.calls()) == ("success", ["do", "undo"])


def test_an_output_that_has_no_value_stops() -> None:
    """A playbook that cannot say what it came to did not come to it."""
    assert Walker(give(1)).stopped(body(CALL, output="{{ nothing }}")).guard == "output"
    assert Walker(give(1)).walk(body(CALL, output={"x": "{{ params }}"})).output == {"x": {}}


def test_cycles_end() -> None:
    """max_steps over all states, max_visits of one."""
    loop = {"a": {"set": {"x": 1}, "next": "b"}, "b": {"set": {"x": 2}, "next": "a"}}
    failure = Walker().stopped(body(loop, max_steps=5))
    assert (failure.guard, failure.state) == ("max_steps", "b")
    bound = {"a": {"set": {"x": 1}, "next": "b", "max_visits": 2}, "b": {"set": {"x": 2}, "next": "a"}}
    failure = Walker().stopped(body(bound))
    assert (failure.guard, failure.state) == ("max_visits", "a")
    assert len(Walker().walk(body({**loop, "b": {"set": {"x": 2}}}, max_steps=2)).visited) == 2


def test_the_guards_are_asked_in_their_order() -> None:
    """preconditions, approval, tool, budget, call, expected output, postconditions: mended one by one, the next says no."""
    state: dict[str, Any] = {
        "tool": "do",
        "safety": "irreversible",
        "pre": [{"var": "params.x", "equals": 1}],
        "expect": {"json": {"n": 1}},
        "post": [{"json": "m", "equals": 1}],
    }
    params = {"x": {"type": "integer"}}

    def stop(x: int, ok: bool, tools: dict, calls: int) -> str:
        given = body({"t": state}, params=params, budget={"max_tool_calls": calls})
        return Walker(tools, decisions=[ok]).stopped(given, {"x": x}).guard

    def fails() -> None:
        raise RuntimeError

    assert stop(2, False, {}, 0) == "precondition"
    assert stop(1, False, {}, 0) == "approval"
    assert stop(1, True, {}, 0) == "tool"
    assert stop(1, True, {"do": fails}, 0) == "budget"
    assert stop(1, True, {"do": fails}, 1) == "call"
    assert stop(1, True, {"do": lambda: {"n": 2}}, 1) == "expect"
    assert stop(1, True, {"do": lambda: {"n": 1, "m": 2}}, 1) == "postcondition"
