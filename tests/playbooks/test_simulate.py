"""A playbook on paper: what would happen, and that unknown is not a pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spanreel.replay.playbooks.asks import ToolFacts
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.planning.paper import Paper
from spanreel.replay.playbooks.planning.simulate import simulate
from spanreel.replay.playbooks.planning.simulation import Simulation

SAFETY = {"get_ticket": "read", "pay": "write", "burn": "irreversible"}
ORDER = {"status": "open", "sum": 20, "lines": [{"id": "a"}, {"id": "b"}]}

PAY: dict[str, Any] = {
    "name": "pay",
    "params": {"ticket": {"type": "string", "pattern": "T[0-9]+"}},
    "initial": "look",
    "states": {
        "look": {
            "tool": "get_ticket",
            "args": {"id": "{{ params.ticket }}"},
            "save_as": "ticket",
            "expect": {"json": {"status": "open"}},
            "next": "pay",
        },
        "pay": {
            "tool": "pay",
            "args": {"line": "{{ ticket.lines[0].id }}", "sum": "{{ ticket.sum }}"},
            "pre": [{"json": "ticket.status", "equals": "open"}],
            "post": [{"json": "ok", "equals": True}],
            "next": "end",
        },
    },
}


def facts(name: str) -> ToolFacts | None:
    return ToolFacts(name, SAFETY[name]) if name in SAFETY else None


def recorded(tool: str, args: Mapping[str, Any]) -> tuple[Any] | None:
    known = {
        ("get_ticket", "T1"): ORDER,
        ("get_ticket", "T2"): ORDER | {"status": "closed"},
        ("pay", "a"): {"ok": True},
    }
    found = known.get((tool, args.get("id") or args.get("line")))
    return None if found is None else (found,)


def on_paper(document: dict[str, Any], params: dict[str, Any] | None = None, **paper: Any) -> Simulation:
    given = {"ticket": "T1"} if params is None else params
    return simulate(Body.model_validate(document), given, Paper(facts, **paper))


def states(over: dict[str, Any]) -> dict[str, Any]:
    return PAY | {"states": PAY["states"] | over}


def test_what_depends_on_a_call_is_unknown_and_no_pass() -> None:
    """Without a recorded run the read is ready, and the write that needs its result is unknown, with the reason."""
    found = on_paper(PAY)
    assert [(one.state, one.readiness) for one in found.states] == [("look", "ready"), ("pay", "unknown")]
    assert found.readiness == "unknown"
    assert found.states[1].args == {
        "line": {"unknown": "result of look"},
        "sum": {"unknown": "result of look"},
    }
    assert any("result of look" in reason for reason in found.reasons)


def test_a_recorded_run_answers_by_identity() -> None:
    """With the results of a recorded run the values are bound, and every guard is judged."""
    found = on_paper(PAY, answers=recorded)
    assert found.readiness == "ready"
    assert found.states[1].args == {"line": "a", "sum": 20}
    assert [(one.guard, one.holds) for state in found.states for one in state.guards] == [
        ("expect", True),
        ("precondition", True),
        ("postcondition", True),
    ]
    assert (found.tool_calls, found.model_calls, found.cost) == (2, 0, "0")


def test_a_call_that_the_run_does_not_have_stays_unknown() -> None:
    """A call with other arguments is not the recorded one."""
    assert on_paper(PAY, {"ticket": "T9"}, answers=recorded).readiness == "unknown"


def test_a_guard_that_says_no_blocks_and_nothing_is_planned_behind_it() -> None:
    """A recorded result that is not as expected blocks the playbook there."""
    found = on_paper(PAY, {"ticket": "T2"}, answers=recorded)
    assert found.readiness == "blocked"
    assert [one.state for one in found.states] == ["look"]
    assert "expect" in found.reasons[0]


@pytest.mark.parametrize(
    ("params", "reason"),
    [({}, "missing"), ({"ticket": "X"}, "parameter ticket"), ({"ticket": "T1", "y": 1}, "no parameter y")],
)
def test_parameters_that_do_not_fit_block(params: dict[str, Any], reason: str) -> None:
    """A parameter that is missing, of another form or not declared blocks the whole."""
    found = on_paper(PAY, params, answers=recorded)
    assert found.readiness == "blocked"
    assert reason in found.reasons[0]


def test_every_tool_that_is_missing_is_told_at_once() -> None:
    """A tool that is not registered blocks; the states behind it are looked at nevertheless."""
    lacking = states(
        {"look": PAY["states"]["look"] | {"tool": "no_a"}, "pay": PAY["states"]["pay"] | {"tool": "no_b"}}
    )
    found = on_paper(lacking)
    assert found.missing_tools == ["no_a", "no_b"]
    assert [one.readiness for one in found.states] == ["blocked", "blocked"]


def test_approvals_that_it_waits_for_are_told() -> None:
    """A gate of its own, and the gate that an irreversible tool waits at, are listed."""
    gated = PAY | {
        "initial": "then",
        "states": {
            "then": {"tool": "burn", "args": {}, "next": "ask"},
            "ask": {"approval": {"id": "sure"}, "on_approve": "again", "on_reject": "end"},
            "again": {"tool": "burn", "args": {}, "next": "end"},
        },
    }
    found = on_paper(gated)
    assert found.approvals == ["pay.then", "sure"]
    assert found.readiness == "ready"


def test_behind_a_branch_that_nobody_can_decide_every_way_is_looked_at() -> None:
    """A branch on an unknown value leads to all of its states, which are conditional, and the whole is unknown."""
    branching = states(
        {
            "look": PAY["states"]["look"] | {"next": "which"},
            "which": {"branch": {"on": "{{ ticket.status }}", "cases": {"open": "left", "closed": "right"}}},
            "left": {"tool": "get_ticket", "args": {"id": "L"}, "next": "end"},
            "right": {"tool": "gone", "args": {"id": "R"}, "next": "end"},
        }
    )
    found = on_paper(branching)
    assert [(one.state, one.conditional) for one in found.states] == [
        ("look", False),
        ("which", False),
        ("left", True),
        ("right", True),
    ]
    assert found.readiness == "unknown"
    known = on_paper(branching, answers=recorded)
    assert [one.state for one in known.states] == ["look", "which", "left"]


def test_a_model_call_is_counted_and_its_cost_is_asked_for() -> None:
    """The cost is the sum of what its model calls would cost, or unknown with a reason; what uses the answer is unknown."""
    asking = PAY | {
        "initial": "say",
        "states": {
            "say": {"llm": {"prompt": "about {{ params.ticket }}"}, "save_as": "text", "next": "again"},
            "again": {"llm": {"prompt": "shorter: {{ text }}"}, "next": "end"},
        },
    }
    dear = on_paper(asking, cost=lambda asked: "0.002", cost_from="a price list")
    assert (dear.model_calls, dear.cost, dear.cost_from) == (2, "0.004", "a price list")
    assert [one.readiness for one in dear.states] == ["ready", "unknown"]
    assert on_paper(asking).cost is None
    assert on_paper(asking, model=False).readiness == "blocked"


def test_a_budget_that_is_too_small_blocks() -> None:
    """The second call of a playbook that may make one is blocked."""
    found = on_paper(PAY | {"budget": {"max_tool_calls": 1}}, answers=recorded)
    assert (found.readiness, found.states[1].readiness) == ("blocked", "blocked")
    assert "budget" in found.states[1].reasons[0]


def test_conditions_of_the_surroundings_are_asked_or_unknown() -> None:
    """A probe that nobody may ask on paper is unknown; one that can be asked decides."""
    probing = states({"look": PAY["states"]["look"] | {"pre": [{"file_exists": "/x"}]}})
    assert on_paper(probing, answers=recorded).readiness == "unknown"
    there = on_paper(probing, answers=recorded, probe=lambda asked: Judgement(True, "it is there"))
    assert there.readiness == "ready"
    gone = on_paper(probing, answers=recorded, probe=lambda asked: Judgement(False, "it is not there"))
    assert gone.readiness == "blocked"


def test_code_and_playbooks_inside_are_not_run() -> None:
    """A Python state is unknown, a playbook inside is simulated, and its problems are those of its state."""
    nested = PAY | {
        "initial": "inner",
        "states": {
            "inner": {"playbook": {"name": "pay", "params": {"ticket": "T2"}}, "next": "code"},
            "code": {"python": "os:getcwd"},
        },
    }
    found = on_paper(nested, answers=recorded, load=lambda name, hash_: Body.model_validate(PAY))
    assert [one.readiness for one in found.states] == ["blocked"]
    assert "pay: state look: expect" in found.reasons[0]
    code = on_paper(PAY | {"initial": "code", "states": {"code": {"python": "os:abort"}}})
    assert code.readiness == "unknown"


def test_a_list_of_unknown_length_is_gone_through_once() -> None:
    """`for_each` over an unknown list is one planned call, and unknown; over a known one it is as long as that."""
    each = states(
        {
            "pay": {
                "tool": "pay",
                "args": {"line": "{{ item.id }}"},
                "repeat": {"for_each": "{{ ticket.lines }}", "max": 5},
            }
        }
    )
    assert on_paper(each).states[1].readiness == "unknown"
    assert on_paper(each, answers=recorded).states[1].readiness == "ready"


def test_a_round_ends_on_paper_too() -> None:
    """A cycle without an end is blocked by max_steps, and a binding that finds nothing in known values blocks."""
    turning = PAY | {"max_steps": 20, "initial": "a", "states": {"a": {"set": {"x": 1}, "next": "a"}}}
    assert on_paper(turning).readiness == "blocked"
    wrong = states({"pay": {"tool": "pay", "args": {"line": "{{ ticket.rows[0] }}"}}})
    found = on_paper(wrong, answers=recorded)
    assert (found.readiness, found.states[1].readiness) == ("blocked", "blocked")


def test_success_is_judged_where_the_end_is_known() -> None:
    """A success criterion that a known output does not meet blocks; on an unknown one it decides nothing."""
    wanting = PAY | {"success": [{"json": "result.ok", "equals": False}]}
    assert on_paper(wanting, answers=recorded).readiness == "blocked"
    assert on_paper(wanting).readiness == "unknown"
