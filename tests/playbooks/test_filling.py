"""The parameters that a playbook would have had for a recorded run."""

from __future__ import annotations

from dataclasses import replace

from procedures import Agent

from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.compiling import compile_runs, params_of
from spanreel.replay.playbooks.compiling.observed import Observed


def run(number: int, *, given: bool = False, text: str | None = None, pick: int = 0) -> Observed:
    """An order, one of its lines, sent."""
    order, lines = f"#W{number}", [f"L{number}{place}" for place in range(3)]
    one = Agent(
        {
            "get_lines": ("read", lambda order: {"lines": lines}),
            "send": ("write", lambda **_: {"sent": True}),
        }
    )
    if text or not given:
        one.hears(text or f"please send a line of {order}")
    one.calls("get_lines", order=order)
    one.calls("send", order=order, line=lines[pick])
    return one.run(f"{number:032x}", {"order": order} if given else None)


def spoken() -> Body:
    """Compiled from runs that were told in words."""
    return compile_runs([run(10_001), run(10_002, pick=2)], "send-line").body


def test_the_input_fills_what_names_its_place() -> None:
    """Param.input says where."""
    body = compile_runs([run(10_001, given=True), run(10_002, given=True, pick=2)], "send-line").body
    filled = params_of(body, run(10_003, given=True))
    assert filled.params["order"] == "#W10003"
    assert filled.how["order"] == "input"


def test_the_one_text_of_its_form_fills_it() -> None:
    """A pattern that fits one thing that was said."""
    filled = params_of(spoken(), run(10_003))
    assert (filled.params["order"], filled.how["order"]) == ("#W10003", "said")


def test_of_several_texts_the_run_s_own_call_tells_which() -> None:
    """Where two things fit, what the run did is taken, and marked as observed."""
    filled = params_of(spoken(), run(10_003, text="not #W10009 but #W10003, please"))
    assert (filled.params["order"], filled.how["order"]) == ("#W10003", "observed")


def test_a_choice_is_what_the_run_chose_if_a_result_showed_it() -> None:
    """The run's own argument, where an earlier result had it."""
    filled = params_of(spoken(), run(10_003, pick=1))
    assert (filled.params["line"], filled.how["line"]) == ("L100031", "observed")


def test_what_nobody_said_or_showed_is_missing() -> None:
    """An argument out of nowhere fills nothing: it says why."""
    other = run(10_003)
    calls = tuple(
        replace(call, arguments={**call.arguments, "line": "L999999"}) if call.tool == "send" else call
        for call in other.calls
    )
    filled = params_of(spoken(), replace(other, calls=calls))
    assert "line" not in filled.params
    assert filled.why_not == "line: it was neither said nor shown"
