"""What each kind of state does, and what becomes of failures: retry, repeat, compensation, other ways on, mending."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st
from walking import Walker, body

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Ran
from spanreel.replay.playbooks.body import Body, State


class Flaky:
    """A tool that fails the first `times` times."""

    def __init__(self, times: int, result: Any = 1) -> None:
        self.times, self.result, self.called = times, result, 0

    def __call__(self, **_: Any) -> Any:
        self.called += 1
        if self.called <= self.times:
            raise RuntimeError("503")
        return self.result


def test_one_attempt_is_the_default() -> None:
    """What fails is not tried again unasked."""
    tool = Flaky(1)
    failure = Walker({"do": tool}).stopped(body({"t": {"tool": "do"}}))
    assert (failure.guard, failure.reason, tool.called) == ("call", "RuntimeError: 503", 1)


def test_retry_says_how_often_and_how_long_between() -> None:
    """max_attempts counts the first one; each further one is told with what failed."""
    retry = {"retry": {"max_attempts": 3, "backoff_seconds": 2}}
    walker = Walker({"do": Flaky(2)})
    assert walker.walk(body({"t": {"tool": "do", **retry}})).output == 1
    assert [one.seconds for one in walker.of(asks.Wait)] == [2, 2]
    assert [(one.attempt, one.of, one.failure.guard) for one in walker.of(asks.Again)] == [
        (2, 3, "call"),
        (3, 3, "call"),
    ]
    tool = Flaky(3)
    assert Walker({"do": tool}).stopped(body({"t": {"tool": "do", **retry}})).guard == "call"
    assert tool.called == 3


def test_an_unexpected_result_is_retried_and_a_precondition_is_not() -> None:
    """A retry is for what the call came to."""
    results = [{"n": 1}, {"n": 2}]
    state = {"tool": "do", "retry": {"max_attempts": 2}, "post": [{"json": "n", "equals": 2}]}
    assert Walker({"do": lambda: results.pop(0)}).walk(body({"t": state})).output == {"n": 2}
    walker = Walker({"do": Flaky(0)})
    walker.stopped(
        body({"t": {"tool": "do", "retry": {"max_attempts": 3}, "pre": [{"json": "x", "equals": 1}]}})
    )
    assert not walker.of(asks.Again)


def test_repeat_until_polls_up_to_its_most() -> None:
    """The last result is the state's; `collect` keeps all; reaching max fails."""

    def counting() -> Any:
        numbers = iter(range(1, 99))
        return lambda: {"n": next(numbers)}

    until = {"until": [{"json": "n", "min": 3}], "max": 5, "wait_seconds": 1}
    walker = Walker({"do": counting()})
    assert walker.walk(body({"t": {"tool": "do", "repeat": until}})).output == {"n": 3}
    assert len(walker.of(asks.Wait)) == 2
    collect = {**until, "collect": True}
    assert len(Walker({"do": counting()}).walk(body({"t": {"tool": "do", "repeat": collect}})).output) == 3
    walker = Walker({"do": counting()})
    assert walker.stopped(body({"t": {"tool": "do", "repeat": {**until, "max": 2}}})).guard == "repeat"
    assert len(walker.calls()) == 2


def test_repeat_for_each_does_each_item_once_in_order() -> None:
    """The item is in the arguments; all results are kept; too many items, or no list, do nothing."""
    each = {"for_each": "{{ params.xs }}", "as": "one", "max": 2, "wait_seconds": 1}
    state = {"tool": "do", "args": {"n": "{{ one }}"}, "repeat": each, "save_as": "all"}
    params = {"xs": {"type": "array"}}
    walker = Walker({"do": lambda n: n * 2})
    assert walker.walk(body({"t": state}, params=params), {"xs": [1, 2]}).output == [2, 4]
    assert len(walker.of(asks.Wait)) == 1
    walker = Walker({"do": lambda n: n})
    assert walker.stopped(body({"t": state}, params=params), {"xs": [1, 2, 3]}).guard == "repeat"
    assert walker.calls() == []
    text = {"t": {**state, "repeat": {**each, "for_each": "{{ params.s }}"}}}
    assert Walker({"do": lambda n: n}).stopped(body(text, params={"s": {}}), {"s": "ab"}).guard == "repeat"


def test_what_went_through_is_undone_newest_first() -> None:
    """Only what went through; with the variables as they were then, and the result."""
    undone: list[Any] = []
    tools = {"do": lambda n: {"id": n}, "undo": lambda **given: undone.append(given["id"]), "fail": Flaky(9)}
    undo = {"compensate": {"tool": "undo", "args": {"id": "{{ result.id }}"}}}
    states = {
        "a": {"tool": "do", "args": {"n": 1}, **undo, "next": "b"},
        "b": {"tool": "do", "args": {"n": 2}, **undo, "next": "c"},
        "c": {"tool": "fail", **undo},
    }
    failure = Walker(tools).stopped(body(states))
    assert (failure.state, failure.guard, undone) == ("c", "call", [2, 1])


def test_each_item_of_a_repetition_is_undone() -> None:
    """Those that were done, in reverse."""
    undone: list[int] = []

    def do(n: int) -> int:
        if n == 3:
            raise RuntimeError
        return n

    state = {"tool": "do", "args": {"n": "{{ item }}"}, "repeat": {"for_each": "{{ params.xs }}", "max": 9},
             "compensate": {"tool": "undo", "args": {"n": "{{ item }}"}}}  # fmt: skip
    walker = Walker({"do": do, "undo": lambda **given: undone.append(given["n"])})
    walker.stopped(body({"t": state}, params={"xs": {"type": "array"}}), {"xs": [1, 2, 3, 4]})
    assert undone == [2, 1]


def test_what_cannot_be_undone_is_said_and_the_rest_is_undone() -> None:
    """The failure names both."""
    undone: list[int] = []
    states = {
        "a": {"tool": "do", "compensate": {"tool": "undo"}, "next": "b"},
        "b": {"tool": "do", "compensate": {"tool": "gone"}, "next": "c"},
        "c": {"tool": "fail"},
    }
    failure = Walker({"do": Flaky(0), "undo": lambda: undone.append(1), "fail": Flaky(1)}).stopped(
        body(states)
    )
    assert (failure.guard, failure.state, undone) == ("compensation", "c", [1])
    assert "503" in failure.reason
    assert "gone" in failure.reason


def test_a_playbook_within_is_undone_when_a_later_state_of_the_outer_one_fails() -> None:
    """Unless the outer state says itself what undoes it."""
    inner = body({"i": {"tool": "do", "compensate": {"tool": "undo"}}})
    outer = {"s": {"playbook": {"name": "inner"}, "next": "f"}, "f": {"tool": "fail"}}
    tools = {"do": Flaky(0), "undo": lambda: 1, "other": lambda: 1, "fail": Flaky(9)}
    walker = Walker(tools, bodies={"inner": inner})
    walker.stopped(body(outer))
    assert walker.calls() == ["do", "fail", "undo"]
    outer["s"]["compensate"] = {"tool": "other"}
    walker = Walker(tools, bodies={"inner": inner})
    walker.stopped(body(outer))
    assert walker.calls() == ["do", "fail", "other"]


def test_on_failure_is_another_way_on() -> None:
    """With what failed as the variable `failure`."""
    states = {
        "a": {"tool": "do", "on_failure": "b"},
        "b": {"set": {"why": "{{ failure.guard }} of {{ failure.state }}"}},
    }
    assert Walker({"do": Flaky(1)}).walk(body(states)).variables["why"] == "call of a"


def test_a_branch_goes_where_its_value_says() -> None:
    """By text, by conditions, by default; with no case it stops."""
    ends = {"x": {"set": {"at": "x"}}, "y": {"set": {"at": "y"}}}
    params = {"v": {"type": "integer"}}

    def at(branch: dict, value: int) -> str:
        given = body({"b": {"branch": branch}, **ends}, params=params)
        try:
            return Walker().walk(given, {"v": value}).variables["at"]
        except asks.Stopped as stopped:
            return stopped.failure.guard

    named = {"on": "{{ params.v }}", "cases": {"1": "x", "2": "y"}}
    assert [at(named, 1), at(named, 2), at(named, 3)] == ["x", "y", "branch"]
    assert at({**named, "default": "y"}, 3) == "y"
    listed = {"cases": [{"when": [{"json": "params.v", "min": 2}], "next": "x"}]}
    assert [at(listed, 2), at({**listed, "default": "y"}, 1), at(listed, 1)] == ["x", "y", "branch"]
    unknown = {"cases": [{"when": [{"git_clean": True}], "next": "x"}], "default": "y"}
    assert at(unknown, 1) == "branch"


def test_an_approval_leads_two_ways() -> None:
    """Rejected with no way on, it stops; `save_as` keeps the decision."""
    states = {"g": {"approval": {"id": "g", "summary": "{{ params.v }}?"}, "save_as": "d", "on_approve": "y", "on_reject": "n"},
              "y": {"set": {"at": "y"}}, "n": {"set": {"at": "n"}}}  # fmt: skip
    given = body(states, params={"v": {}})
    walker = Walker(decisions=[True])
    assert walker.walk(given, {"v": "go"}).variables["at"] == "y"
    assert walker.of(asks.Gate)[0].summary == "go?"
    rejected = Walker(decisions=[False]).walk(given, {"v": "go"}).variables
    assert (rejected["at"], rejected["d"]) == ("n", {"approved": False, "reason": "said so"})
    del states["g"]["on_reject"]
    assert Walker(decisions=[False]).stopped(body(states, params={"v": {}}), {"v": "go"}).guard == "approval"


def test_set_and_save_as_are_seen_by_what_follows() -> None:
    """A result that is JSON text is bound by its parts."""
    states = {
        "a": {"tool": "do", "save_as": "r", "next": "b"},
        "b": {"set": {"n": "{{ r.items[0] }}"}, "next": "c"},
        "c": {"tool": "take", "args": {"n": "{{ n }}"}},
    }
    assert Walker({"do": lambda: '{"items": [7]}', "take": lambda n: n}).walk(body(states)).output == 7


def test_a_model_state_is_asked_with_its_prompt_bound() -> None:
    """Prompt, system, schema, model and parameters reach the model; an answer that does not fit stops."""
    llm = {"prompt": "sum of {{ params.o }}", "system": "be {{ params.o.how }}", "model": "m/x", "parameters": {"temperature": 0},
           "schema": {"type": "object", "required": ["n"]}}  # fmt: skip
    given = body({"m": {"llm": llm}}, params={"o": {"type": "object"}})
    walker = Walker(model=lambda asked: {"n": 1})
    assert walker.walk(given, {"o": {"how": "brief"}}).output == {"n": 1}
    asked = walker.of(asks.Ask)[0]
    assert (asked.prompt, asked.system, asked.model) == ('sum of {"how": "brief"}', "be brief", "m/x")
    assert asked.parameters == {"temperature": 0}
    assert Walker(model=lambda asked: {}).stopped(given, {"o": {"how": "x"}}).guard == "expect"


def test_a_python_state_says_where_to_go_on() -> None:
    """By the name that it returns where `next` does not; one that was written in Python sets variables, and must name a state."""
    states: dict[str, Any] = {"p": {"python": "m:f", "save_as": "r"}, "q": {"set": {"x": 1}}}
    assert Walker({"m:f": lambda variables: "q"}).walk(body(states)).visited == ("p", "q")
    assert Walker({"m:f": lambda variables: "other"}).walk(body(states)).visited == ("p",)
    states["p"] = {"python": "m:f", "code": "c1:state-0-0"}
    walked = Walker({"m:f": lambda variables: Ran({"n": 5}, "q")}).walk(body(states))
    assert (walked.visited, walked.variables["n"]) == (("p", "q"), 5)
    assert Walker({"m:f": lambda variables: Ran({}, "nowhere")}).stopped(body(states)).guard == "branch"
    assert Walker({"m:f": lambda variables: Ran({"params": 1})}).stopped(body(states)).guard == "call"


def test_a_playbook_within_has_its_own_variables_and_the_outer_budget() -> None:
    """What it makes counts outside as well; its risk is at least the outer one's; what stops it stops the state."""
    inner = body(
        {"i": {"tool": "do", "args": {"n": "{{ params.n }}"}}}, params={"n": {"type": "integer"}}, risk="low"
    )
    outer = {"s": {"playbook": {"name": "inner", "params": {"n": "{{ params.m }}"}}, "save_as": "r"}}
    params = {"m": {"type": "integer"}}
    walker = Walker({"do": lambda n: n + 1}, bodies={"inner": inner})
    walked = walker.walk(body(outer, params=params), {"m": 1})
    assert (walked.output, walked.tool_calls, set(walked.variables)) == (2, 1, {"params", "r"})
    spent = Walker({"do": lambda n: n}, bodies={"inner": inner})
    assert (
        "budget" in spent.stopped(body(outer, params=params, budget={"max_tool_calls": 0}), {"m": 1}).reason
    )
    assert spent.calls() == []
    risky = Walker({"do": lambda n: n}, bodies={"inner": inner}, decisions=[False])
    assert "rejected" in risky.stopped(body(outer, params=params, risk="high"), {"m": 1}).reason
    assert Walker().stopped(body(outer, params=params), {"m": 1}).guard == "playbook"


def test_a_playbook_within_itself_ends() -> None:
    """Nesting has an end."""
    itself = body({"s": {"playbook": {"name": "p"}}})
    failure = Walker(bodies={"p": itself}).stopped(itself)
    assert "nested deeper" in failure.reason


# guided


def mended(**keys: Any) -> Any:
    return lambda asked: State.model_validate({"tool": "do", **keys})


def test_a_state_that_is_mended_is_tried_once_more() -> None:
    """The run goes on, and says what helped; strict asks nobody."""
    given = body({"t": {"tool": "do", "args": {"n": 1}, "next": "u"}, "u": {"set": {"x": 1}}})

    def do(n: int) -> int:
        if n == 1:
            raise RuntimeError
        return n

    reads = {"do": "read"}
    walker = Walker({"do": do}, safety=reads, mend=mended(args={"n": 2}, next="u"))
    walked = walker.walk(given, guided=True)
    assert (walked.visited, list(walked.mended)) == (("t", "u"), ["t"])
    assert Walker({"do": do}, mend=mended(args={"n": 2})).stopped(given).guard == "call"
    again = Walker({"do": do}, safety=reads, mend=mended(args={"n": 1}))
    assert again.stopped(given, guided=True).guard == "call"
    assert len(again.of(asks.Mend)) == 1


@pytest.mark.parametrize(
    ("state", "guard"),
    [
        ({"tool": "do", "pre": [{"json": "x", "equals": 1}]}, "precondition"),
        ({"approval": {"id": "g"}}, "approval"),
        ({"tool": "do"}, "budget"),
    ],
)
def test_what_is_not_the_states_to_mend_stops_a_guided_run_too(state: dict, guard: str) -> None:
    """Preconditions, gates and budgets say no to the run."""
    walker = Walker({"do": lambda: 1}, decisions=[False], mend=mended())
    given = body({"t": state}, budget={"max_tool_calls": 0} if guard == "budget" else {})
    assert (walker.stopped(given, guided=True).guard, walker.of(asks.Mend)) == (guard, [])


def test_a_write_that_was_done_is_not_done_again_by_mending() -> None:
    """The same call is judged anew; another one is not made."""
    given = body({"t": {"tool": "do", "expect": {"json": {"status": "exchanged"}}}})
    walker = Walker({"do": lambda **_: {"status": "exchange requested"}}, mend=mended(expect={"json": {"status": "exchange requested"}}))  # fmt: skip
    assert walker.walk(given, guided=True).output == {"status": "exchange requested"}
    assert walker.calls() == ["do"]
    other = Walker({"do": lambda **_: {"status": "x"}}, mend=mended(args={"n": 2}))
    assert "has been done" in other.stopped(given, guided=True).reason
    assert other.calls() == ["do"]
    read = Walker({"do": lambda **_: {"status": "x"}}, safety={"do": "read"}, mend=mended(args={"n": 2}))
    read.walk(given, guided=True)
    assert read.calls() == ["do", "do"]


# everything at once

STATES = ["a", "b", "c", "d"]


@st.composite
def playbooks(draw: st.DrawFn) -> Body:
    """Small playbooks of failing tools, guards that say no, retries, compensations and other ways on."""
    states: dict[str, Any] = {}
    for name in STATES:
        state: dict[str, Any] = {
            "tool": f"tool_{name}",
            "max_visits": 2,
            "compensate": {"tool": f"undo_{name}"},
        }
        if draw(st.booleans()):
            state["pre"] = [{"var": f"params.{name}", "equals": True}]
        if draw(st.booleans()):
            state["retry"] = {"max_attempts": draw(st.integers(1, 3))}
        if draw(st.booleans()):
            state["expect"] = {"json": {"ok": True}}
        if draw(st.booleans()):
            state["on_failure"] = draw(st.sampled_from(STATES))
        if draw(st.booleans()):
            state["next"] = draw(st.sampled_from(STATES))
        states[name] = state
    budget = {"max_tool_calls": draw(st.integers(0, 12))} if draw(st.booleans()) else {}
    return body(states, params={name: {"type": "boolean"} for name in STATES}, budget=budget)


@settings(max_examples=150, deadline=None)
@drawn(playbooks(), st.fixed_dictionaries({name: st.booleans() for name in STATES}), st.data())
def test_no_guard_is_passed_no_attempt_is_too_many_and_undoing_is_in_reverse(
    given: Body, params: dict, data: Any
) -> None:
    """Whatever fails, and in whatever order."""
    done: list[str] = []

    def tool(name: str) -> Any:
        def call() -> Any:
            outcome = data.draw(st.sampled_from(["raises", "ok", "odd"]))
            if outcome == "raises":
                raise RuntimeError
            if outcome == "ok" or given.states[name].expect is None:
                done.append(name)
            return {"ok": outcome == "ok"}

        return call

    tools = {f"tool_{name}": tool(name) for name in STATES} | {
        f"undo_{name}": lambda: None for name in STATES
    }
    walker = Walker(tools)
    try:
        walker.walk(given, params)
        stopped = False
    except asks.Stopped:
        stopped = True
    calls = [one for one in walker.of(asks.Call) if one.purpose == "call"]
    undone = [one.tool.removeprefix("undo_") for one in walker.of(asks.Call) if one.purpose == "compensation"]
    for call in calls:
        state = given.states[call.state]
        assert not state.pre or params[call.state]
        assert call.attempt <= state.retry.max_attempts
    if given.budget.max_tool_calls is not None:
        assert len(calls) <= given.budget.max_tool_calls
    assert undone == (done[::-1] if stopped else [])
