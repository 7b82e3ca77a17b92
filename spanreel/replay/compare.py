"""compare(a, b): what changed from one run to another. Quiet; which step is which is decided by `align` alone.

Every difference is b − a. Runs that differ only in ids, times, durations, token counts and cost are identical.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from typing import Literal

from pydantic import Field, field_serializer

from spanreel.replay import conversation
from spanreel.replay.align import Pair, align
from spanreel.replay.cause import FirstDivergence, first_divergence
from spanreel.replay.comparable import comparables
from spanreel.replay.ignoring import ignored
from spanreel.replay.overall import (
    FactDiff,
    ModelDiff,
    NotesDiff,
    by_model,
    facts_diff,
    minus,
    notes_diff,
    of_the_run,
)
from spanreel.replay.timeline import Frozen, Replay, ReplayStep, ReplayTokens, ToolCallRecord


class ChangedCall(Frozen):
    """One tool call in both runs, and the JSON paths at which its records differ."""

    a: ToolCallRecord
    b: ToolCallRecord
    paths: list[str] = Field(default_factory=list[str])


class ToolCallsDiff(Frozen):
    """The tool calls of two runs; each call is counted in exactly one field, repeated ones in `repeated` besides.

    Attributes:
        added: only in b.
        removed: only in a.
        changed: the same tool at the same place; arguments, result or error differ.
        common: how many are the same, in the same order.
        reordered: in both, at different places.
        repeated: those of `added` and `removed` that repeat the call before or after them, name and arguments alike,
            as where a call that failed is tried again.
    """

    added: list[ToolCallRecord] = Field(default_factory=list[ToolCallRecord])
    removed: list[ToolCallRecord] = Field(default_factory=list[ToolCallRecord])
    changed: list[ChangedCall] = Field(default_factory=list[ChangedCall])
    common: int = 0
    reordered: list[ChangedCall] = Field(default_factory=list[ChangedCall])
    repeated: list[ToolCallRecord] = Field(default_factory=list[ToolCallRecord])


class ReplayComparison(Frozen):
    """What changed from the original run to the replayed one. In JSON both are their run ids.

    Attributes:
        identical: no step, no note, and neither the answer nor the status or outcome of the run differs.
        content_diff: unified diff of the two answers, empty when they are equal.
        cost_diff: US dollars as a decimal string, None where either cost is not known.
        cost_by_model: the models of both runs, those of the original first, in order of their first call.
        duration_diff: milliseconds, None where either duration is not known.
        steps: the aligned steps; calls known from the messages only are among them, without a number.
    """

    schema_: Literal["spanreel.diff.v1"] = Field(default="spanreel.diff.v1", alias="schema")
    original: Replay
    replayed: Replay
    identical: bool
    content_diff: str = ""
    cost_diff: str | None = None
    cost_by_model: list[ModelDiff] = Field(default_factory=list[ModelDiff])
    token_diff: ReplayTokens = Field(default_factory=ReplayTokens)
    duration_diff: float | None = None
    tool_calls_diff: ToolCallsDiff = Field(default_factory=ToolCallsDiff)
    notes_diff: NotesDiff = Field(default_factory=NotesDiff)
    facts_diff: list[FactDiff] = Field(default_factory=list[FactDiff])
    first_divergence: FirstDivergence | None = None
    steps: list[Pair] = Field(default_factory=list[Pair])

    @field_serializer("original", "replayed")
    def _run_id(self, run: Replay) -> str:
        return run.run_id

    def _repr_html_(self) -> str:
        from spanreel.replay.report.comparison import comparison_html

        return comparison_html(self)


def compare(a: Replay, b: Replay, ignoring: Collection[str] = ()) -> ReplayComparison:
    """What changed from run a to run b.

    Args:
        a: the original.
        b: the run that is compared with it.
        ignoring: what is not compared: names of tools (their calls, and that a model asked for them); JSON paths of
            tool arguments (`$.timestamp`, `$.items[*].id`), or paths as a comparison prints them
            (`$.tool.result.at`, `$.parameters.seed`); `content` (the words of answers), `notes`, `cost`, `tokens`,
            `duration`.

    Raises:
        ValueError: something in `ignoring` begins like a path and is none.
    """
    left_out = ignored(ignoring)
    (here, seen_here), (there, seen_there) = left_out.steps(list(_calls(a))), left_out.steps(list(_calls(b)))
    left, right = comparables(seen_here), comparables(seen_there)
    pairs = align(here, there, left=left, right=right)
    figures = left_out.figures
    content_diff = "" if "content" in figures else unified(a.content, b.content, a.run_id, b.run_id)
    notes = NotesDiff() if "notes" in figures else notes_diff(a.notes, b.notes)
    facts = facts_diff(a, b)
    first = first_divergence(pairs, (here, left), (there, right)) or of_the_run(
        a, b, content_diff, notes, facts
    )
    timed = "duration" not in figures and a.duration is not None and b.duration is not None
    return ReplayComparison.model_construct(
        original=a,
        replayed=b,
        identical=first is None,
        content_diff=content_diff,
        cost_diff=None if "cost" in figures else minus(a.cost, b.cost),
        cost_by_model=[] if "cost" in figures else list(by_model(a, b)),
        token_diff=ReplayTokens() if "tokens" in figures else b.tokens.minus(a.tokens),
        duration_diff=round((b.duration or 0) - (a.duration or 0), 6) if timed else None,
        tool_calls_diff=_tool_calls_diff(pairs),
        notes_diff=notes,
        facts_diff=facts,
        first_divergence=first,
        steps=pairs,
    )


def unified(one: str | None, other: str | None, one_name: str = "a", other_name: str = "b") -> str:
    """A unified diff of two texts, without a line end at its end; empty when they are equal."""
    if one == other:
        return ""
    before, after = (one or "").splitlines(), (other or "").splitlines()
    lines = list(difflib.unified_diff(before, after, one_name, other_name, lineterm=""))
    if not lines:  # they differ in line ends only, or in nothing against an empty text
        lines = [f"--- {one_name}", f"+++ {other_name}", "@@ line ends differ @@", f"-{one!r}", f"+{other!r}"]
    return "\n".join(lines)


def _calls(run: Replay) -> Iterator[ReplayStep]:
    """The steps of a run, and the tool calls without a span right after the model call that asked for them."""
    untapped = [call for call in run.tool_calls if call.source == "wire"]
    for step in run.steps:
        yield step
        asked = (
            {part.get("id") for part in conversation.parts(step.output_messages, "tool_call")}
            if untapped
            else set()
        )
        here = [call for call in untapped if call.tool_call_id in asked]
        untapped = [call for call in untapped if call not in here] if here else untapped
        yield from (_as_step(call) for call in here)
    yield from (_as_step(call) for call in untapped)


def _as_step(call: ToolCallRecord) -> ReplayStep:
    return ReplayStep(number=None, kind="tool", name=call.tool_name, tool=call, source="wire")


def _tool_calls_diff(pairs: Sequence[Pair]) -> ToolCallsDiff:
    added: list[ToolCallRecord] = []
    removed: list[ToolCallRecord] = []
    changed: list[ChangedCall] = []
    reordered: list[ChangedCall] = []
    repeated: list[ToolCallRecord] = []
    common = 0
    for pair in pairs:
        here, there = pair.a and pair.a.tool, pair.b and pair.b.tool
        if here and there:
            paths = [path.replace("$.tool.", "$.", 1) for path in pair.paths]
            if pair.relation == "same":
                common += 1
            else:
                (reordered if pair.relation == "moved" else changed).append(
                    ChangedCall(a=here, b=there, paths=paths)
                )
        elif call := there or here:
            (added if there else removed).append(call)
            repeated += [call] if pair.repeated else []
    return ToolCallsDiff(
        added=added, removed=removed, changed=changed, common=common, reordered=reordered, repeated=repeated
    )
