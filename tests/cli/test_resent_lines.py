"""How grades, calls that were asked again, and samples read in a terminal of any width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from spanreel.cli.render import grade as grades
from spanreel.cli.render.resent import lines, sample_lines
from spanreel.replay.grade import CallGrade, Grade, Missing
from spanreel.replay.resent import AnswerFacts, AskedTool, NotSent, Resent, ResentCall, Spent, ToolChange
from spanreel.replay.samples import Sample, Sampled
from spanreel.replay.spread import Said, spread


def printed(found: object, width: int) -> str:
    """What a terminal of that width shows."""
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None)
    shown: list[RenderableType] = list(found)  # type: ignore[call-overload]
    for one in shown:
        console.print(one)
    return out.getvalue()


def answer(text: str = "", **more: object) -> AnswerFacts:
    """An answer of a model."""
    return AnswerFacts(
        model="gpt-4o", text=text, finish_reasons=["stop"], cost="0.0012", duration=850.0, **more
    )  # type: ignore[arg-type]


def resent() -> Resent:
    """Four calls, each with another outcome."""
    words = ResentCall(
        step=2, verdict="reworded", grade="exact", source_span_id="b" * 16, recorded=answer("a cat"), given=answer("a dog"), text_diff="a [-cat-]{+dog+}",
        notes=["asked without streaming"],
    )  # fmt: skip
    pay = ToolChange(
        relation="changed", name="pay", recorded={"amount": 5}, given={"amount": 7}, paths=["$.amount"]
    )
    asked = answer(tool_calls=[AskedTool(name="pay", arguments={"amount": 7})])
    tools = ResentCall(
        step=3, verdict="different tool calls", grade="semantic", source_span_id="c" * 16, recorded=answer(), given=asked, tool_changes=[pay]
    )  # fmt: skip
    failed = ResentCall(
        step=4, verdict="error", grade="exact", source_span_id="d" * 16, recorded=answer("x"), given=AnswerFacts(error="HTTP 400: \x1b[31mno")
    )  # fmt: skip
    same = ResentCall(
        step=1,
        verdict="same",
        grade="exact",
        source_span_id="a" * 16,
        recorded=answer("x"),
        given=answer("x"),
    )
    return Resent(
        run_id="e" * 32, source_run_id="f" * 32, grade="semantic", calls=[same, words, tools, failed], not_sent=[NotSent(step=6, why="the budget is spent")],
        verdicts={"same": 1, "reworded": 1, "different tool calls": 1, "error": 1}, stopped="the budget is spent",
        spent=Spent(input_tokens=1000, output_tokens=20, cost="0.01"),
    )  # fmt: skip


@pytest.mark.parametrize("width", [60, 100, 160])
def test_calls_that_were_asked_again(width: int) -> None:
    """The count first, every call in the table, every difference below it, and nothing that acts on the terminal."""
    shown = printed(lines(resent(), width), width)
    flat = " ".join(shown.split())
    assert flat.startswith("1 of 4 calls answered the same: 1 reworded, 1 different tool calls, 1 error")
    for piece in (
        "a [-cat-]{+dog+}",
        "~ pay(amount=5) → pay(amount=7)",
        "HTTP 400: no",
        "step 6 was not asked",
        "note: asked without streaming",
        "$0.01",
    ):
        assert piece in flat, piece
    assert "\x1b" not in shown


@pytest.mark.parametrize(("size", "said"), [(3, "cannot tell with K=3"), (4, "outside the spread")])
def test_samples(size: int, said: str) -> None:
    """The word, the numbers behind it, each answer, the statistic and what it assumes."""
    old, new = [Said("yes")] * size, [Said("no")] * size
    rows = [
        Sample(setting=setting, turn=turn, answer=answer(text), from_recorded=0.5)
        for turn in range(1, size + 1)
        for setting, text in (("old", "yes"), ("new", "no"))
    ]  # fmt: skip
    found = Sampled(
        run_id="e" * 32, source_run_id="f" * 32, step=3, found="as asked for", asked=size, spread=spread(old, new), old_from_recorded=0.5,
        recorded=answer("yes"), samples=rows,
    )  # fmt: skip
    shown = printed(sample_lines(found, 120), 120)
    assert shown.startswith(said)
    for piece in ("assumed: answers are independent", "statistic: mean distance", "100%", "between 1.00"):
        assert piece in shown


def test_grades() -> None:
    """The run's grade, then each step with what it lacks and what would switch it on."""
    missing = Missing(
        step=1,
        span_id="a" * 16,
        attribute="gen_ai.input.messages",
        why="its emitter did not write it",
        switch="ENABLE_SENSITIVE_DATA=true",
    )
    found = Grade(
        run_id="r",
        grade="view-only",
        missing=[missing],
        calls=[CallGrade(step=1, kind="llm", name="chat", grade="view-only", missing=[missing])],
    )
    shown = printed(grades.lines(found, 140), 140)
    assert shown.startswith("view-only: what is needed")
    assert "ENABLE_SENSITIVE_DATA=true" in shown
    assert grades.line(found, 80).plain.startswith(
        "  replay    view-only (step 1 has no gen_ai.input.messages"
    )
