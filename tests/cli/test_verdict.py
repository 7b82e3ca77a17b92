"""What became of an execution, in lines: what is said, in which order, and that it fits a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from spanreel.cli.render.verdict import lines
from spanreel.replay.divergence import Asked, DivergenceReport, Nearest, Tried
from spanreel.replay.timeline import ReplayTokens
from spanreel.replay.verdict import DriftRecord, Effects, RunError, Unconsumed, Verdict

A, B = "a" * 12 + "0" * 20, "b" * 12 + "0" * 20


def verdict(word: Any = "exact", **more: Any) -> Verdict:
    """A verdict about run A, kept as run B."""
    more.setdefault("effects", Effects(recorded=3))
    return Verdict(run_id=B, source_run_id=A, verdict=word, **more)


def shown(found: Verdict) -> list[str]:
    """Its lines without colours."""
    return [line.plain for line in lines(found)]


def report(step: int) -> DivergenceReport:
    """A changed message of that step."""
    near = Nearest(
        step=step, span_id="1", title="openai.chat m", score=0.9, path="$.messages[1].content", message=1, role="user",
        words="say [-red-]{+blue+}",
    )  # fmt: skip
    return DivergenceReport(
        step=step, kind="unmatched", asked=Asked(source="model", dialect="openai.chat"), nearest=near,
        message=f"step {step}: openai.chat m is not the recorded call", code_line="agent.py:7",
        tried=[Tried(tier="exact", why="no recorded call has this identity")], next=[f"spanreel diff {A} {B}"],
    )  # fmt: skip


def test_a_replay_that_went_as_recorded() -> None:
    """Four lines: the word, who answered, which run it was, and which it is."""
    assert shown(verdict()) == [
        "exact: every call was the recorded one",
        "  answers   3 from the recording",
        f"  replay of {A}",
        f"  kept as   {B}",
    ]


def test_what_went_live_is_counted_with_what_it_cost() -> None:
    """The verdict is only about what the recording answered; the command that compares is named."""
    effects = Effects(recorded=2, live=3, stub=1)
    spent = ReplayTokens(input_tokens=1200, output_tokens=30)
    out = shown(verdict(effects=effects, spent_tokens=spent, spent_cost="0.0042"))
    assert out[0] == "exact: what the recording answered was asked as it was then"
    assert out[1:3] == [
        "  answers   2 from the recording, 3 live, 1 given instead",
        "  spent     1,200 input and 30 output tokens, $0.0042",
    ]
    assert out[-1] == f"  compare   spanreel diff {A[:12]} {B[:12]}"
    unpriced = shown(verdict(effects=Effects(live=1), spent_tokens=ReplayTokens(input_tokens=1)))
    assert unpriced[0] == "exact: the recording was asked for nothing"
    assert "at an unknown price" in unpriced[2]


def test_what_stopped_it_is_said_once() -> None:
    """A spent budget is also a denied effect, but not another line."""
    why = "the budget of 1 live model calls is spent"
    effects = Effects(live=1, denied=1)
    out = shown(verdict(effects=effects, status="cancelled", stopped=why, denied=[why]))
    assert [line for line in out if why in line] == [f"  cancelled: {why}"]


def test_drift_is_listed_call_by_call() -> None:
    """With tier, likeness, message and path; differences in ids and order are only counted; long lists are cut."""
    near = [
        DriftRecord(tier="neighbour", step=n, source_span_id="1", path="$.a", score=0.96, message=0)
        for n in range(1, 8)
    ]
    same = DriftRecord(tier="structural", step=9, source_span_id="2", path="$.b")
    out = shown(verdict("drifted", drift=[*near, same]))
    assert "  differs   1 call in ids or order only" in out
    assert out.count("    and 2 more") == 1
    assert "  drift     step 1: neighbour, 96% alike, message 0, at $.a" in out


def test_a_divergence_ends_with_its_report() -> None:
    """What followed from it and what was not made come before; commands fit a line; changed words have their colours."""
    missing = [Unconsumed(step=n, span_id=str(n), title="tool pay") for n in (2, 3)]
    found = verdict("diverged", first_divergence=report(2), consequences=[report(3)], unconsumed=missing)
    out = shown(found)
    assert out.index("  after it  1 more call not recorded either") < out.index("")
    assert "  not made  1 recorded call: step 3 (tool pay)" in out
    assert out[out.index("") + 1] == "step 2: openai.chat m is not the recorded call"
    assert f"  next: spanreel diff {A[:12]} {B[:12]}" in out
    assert max(map(len, out)) <= 80
    words = next(line for line in lines(found) if "blue" in line.plain)
    assert [str(span.style) for span in words.spans] == ["red", "green"]


@pytest.mark.parametrize("known", [True, False])
def test_the_agents_own_error(known: bool) -> None:
    """It is said whether the recording has it; what a terminal would obey is taken out."""
    out = shown(verdict(error=RunError(type="KeyError", message="\x1b[31mx\ny", recorded=known)))
    (line,) = [line for line in out if "KeyError" in line]
    assert ("as in the recording" in line) == known
    assert ("until the agent failed" in out[0]) != known
    assert "\x1b" not in line
