"""What the compiler tells of its work: what was inferred from what, what is saved, what to look at."""

from __future__ import annotations

import json
from dataclasses import replace

from procedures import Agent

from spanreel.cli.schemas import json_schema
from spanreel.replay.playbooks.compiling import compile_runs
from spanreel.replay.playbooks.compiling.observed import Observed, Thought
from spanreel.replay.playbooks.conditions import schema_problem


def thought(at: int, tokens: int | None = 100, cost: str | None = "0.02") -> Thought:
    """A model call."""
    return Thought(
        at, f"t:{at}", None, (), "", (), "m", {}, tokens, None if tokens is None else 10, cost, 1.5
    )


def run(number: int, safety: str | None = "read") -> Observed:
    """A person is looked up and invited."""
    one = Agent(
        {
            "whois": ("read", lambda nick: {"nick": nick, "mail": f"{nick}@example.org"}),
            "invite": ("write", lambda **_: {"invited": True}),
        }
    )
    one.hears(f"invite user{number}, please")
    one.calls("invite", mail=one.calls("whois", nick=f"user{number}")["mail"])
    seen = one.run(f"{number:032x}")
    calls = tuple(replace(call, safety=safety) if call.tool == "whois" else call for call in seen.calls)
    return replace(seen, calls=calls, thoughts=(thought(5), thought(15), thought(25)))


def test_each_argument_tells_where_it_comes_from_and_in_how_many_runs() -> None:
    """State by state: binding, how it was inferred, support k of n."""
    report = compile_runs([run(10_001), run(10_002), run(10_003)], "invite").report
    (looked,) = report.states[0].arguments
    assert (looked.binding, looked.how, looked.support, looked.runs) == ("{{ params.nick }}", "said", 3, 3)
    (invited,) = report.states[1].arguments
    assert (invited.binding, invited.how, invited.support) == ("{{ whois.mail }}", "result", 3)
    assert [(state.role, state.safety) for state in report.states] == [("source", "read"), ("write", "write")]


def test_a_goal_that_nobody_gave_is_a_runs_task_with_its_values_as_parameters() -> None:
    """Each value stands as its parameter in braces, where it is a word of its own."""
    assert compile_runs([run(10_001), run(10_002)], "invite").body.goal == "invite {nick}, please"


def test_savings_are_those_of_the_model_calls_that_fall_away() -> None:
    """The mean over the runs, of what the spans carry; unknown is not nothing."""
    saved = compile_runs([run(10_001), run(10_002)], "invite").report.savings
    assert (saved.model_calls, saved.tokens, saved.seconds) == (3, 330, 4.5)
    assert saved.cost is not None
    assert abs(saved.cost - 0.06) < 1e-9
    bare = [replace(run(n), thoughts=(thought(5, None, None),)) for n in (10_001, 10_002)]
    unknown = compile_runs(bare, "invite").report.savings
    assert (unknown.model_calls, unknown.tokens, unknown.cost) == (1, None, None)


def test_a_tool_that_nobody_declared_is_a_write_and_the_report_says_how_to_declare_it() -> None:
    """Undeclared safety is for a person to look at."""
    report = compile_runs([run(10_001, None), run(10_002, None)], "invite").report
    assert any("whois" in line and "--read" in line for line in report.review)


def test_the_report_is_text_and_json_of_its_schema() -> None:
    """Both say the same; the JSON fits what `spanreel schema compile_report` prints."""
    report = compile_runs([run(10_001), run(10_002)], "invite").report
    assert schema_problem(json.loads(report.to_json()), json_schema("compile_report")) is None
    text = "\n".join(report.lines())
    for part in (
        "invite",
        "mail = {{ whois.mail }}",
        "checked: 2 of 2",
        "saves, for each run: 3 model calls",
    ):
        assert part in text
