"""compare(a, b): what changed from one run to another. Quiet; which step is which is decided by `align` alone.

Every difference is b − a. Runs that differ only in ids, times and durations are identical.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field, field_serializer

from spanreel.replay import conversation
from spanreel.replay.align import Pair, Relation, align
from spanreel.replay.comparable import changes, comparables
from spanreel.replay.timeline import Frozen, Replay, ReplayStep, ReplayTokens, ToolCallRecord

# What differs, in words, by the first name on its path.
_WHAT = {
    "model": "the model asked",
    "system": "the instructions",
    "tools": "the tool definitions",
    "parameters": "the request parameters",
    "input_messages": "the messages sent",
    "output_messages": "the model's answer",
    "tool_args": "the arguments",
    "tool_name": "the tool",
    "result": "the tool's result",
    "error": "the error",
}


class ChangedCall(Frozen):
    """One tool call in both runs, and the JSON paths at which its records differ."""

    a: ToolCallRecord
    b: ToolCallRecord
    paths: list[str] = Field(default_factory=list[str])


class ToolCallsDiff(Frozen):
    """The tool calls of two runs; each call is counted in exactly one field.

    Attributes:
        added: only in b.
        removed: only in a.
        changed: the same tool at the same place; arguments, result or error differ.
        common: how many are the same, in the same order.
        reordered: in both, at different places.
    """

    added: list[ToolCallRecord] = Field(default_factory=list[ToolCallRecord])
    removed: list[ToolCallRecord] = Field(default_factory=list[ToolCallRecord])
    changed: list[ChangedCall] = Field(default_factory=list[ChangedCall])
    common: int = 0
    reordered: list[ChangedCall] = Field(default_factory=list[ChangedCall])


class FirstDivergence(Frozen):
    """The first cause: the earliest pair of steps that is not the same.

    Attributes:
        a_step, b_step: the step numbers, None on the side that has no such step.
        what: what differs, in words.
        path: the JSON path within the step of the first difference, None for a step that one side lacks.
        a, b: the values at that path.
    """

    a_step: int | None
    b_step: int | None
    kind: str
    name: str
    relation: Relation
    what: str
    path: str | None = None
    a: Any = None
    b: Any = None


class ReplayComparison(Frozen):
    """What changed from the original run to the replayed one. In JSON both are their run ids.

    Attributes:
        identical: no step and nothing in the answer differs.
        content_diff: unified diff of the two answers, empty when they are equal.
        cost_diff: US dollars as a decimal string, None where either cost is not known.
        duration_diff: milliseconds, None where either duration is not known.
        steps: the aligned steps; calls known from the messages only are among them, without a number.
    """

    schema_: Literal["spanreel.diff.v1"] = Field(default="spanreel.diff.v1", alias="schema")
    original: Replay
    replayed: Replay
    identical: bool
    content_diff: str = ""
    cost_diff: str | None = None
    token_diff: ReplayTokens = Field(default_factory=ReplayTokens)
    duration_diff: float | None = None
    tool_calls_diff: ToolCallsDiff = Field(default_factory=ToolCallsDiff)
    first_divergence: FirstDivergence | None = None
    steps: list[Pair] = Field(default_factory=list[Pair])

    @field_serializer("original", "replayed")
    def _run_id(self, run: Replay) -> str:
        return run.run_id

    def _repr_html_(self) -> str:
        from spanreel.replay.report.html import comparison_html

        return comparison_html(self)


def compare(a: Replay, b: Replay) -> ReplayComparison:
    """What changed from run a to run b."""
    here, there = list(_calls(a)), list(_calls(b))
    pairs = align(here, there)
    content_diff = unified(a.content, b.content, a.run_id, b.run_id)
    return ReplayComparison.model_construct(
        original=a,
        replayed=b,
        identical=not content_diff and all(pair.relation == "same" for pair in pairs),
        content_diff=content_diff,
        cost_diff=_cost_diff(a.cost, b.cost),
        token_diff=b.tokens.minus(a.tokens),
        duration_diff=None if a.duration is None or b.duration is None else round(b.duration - a.duration, 6),
        tool_calls_diff=_tool_calls_diff(pairs),
        first_divergence=_first_divergence(pairs, here, there),
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


def _cost_diff(a: str | None, b: str | None) -> str | None:
    return None if a is None or b is None else format(Decimal(b) - Decimal(a), "f")


def _tool_calls_diff(pairs: Sequence[Pair]) -> ToolCallsDiff:
    added: list[ToolCallRecord] = []
    removed: list[ToolCallRecord] = []
    changed: list[ChangedCall] = []
    reordered: list[ChangedCall] = []
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
        elif there:
            added.append(there)
        elif here:
            removed.append(here)
    return ToolCallsDiff(added=added, removed=removed, changed=changed, common=common, reordered=reordered)


def _first_divergence(
    pairs: Sequence[Pair], here: Sequence[ReplayStep], there: Sequence[ReplayStep]
) -> FirstDivergence | None:
    pair = next((pair for pair in pairs if pair.relation != "same"), None)
    if pair is None:
        return None
    told: dict[str, Any] = {
        "a_step": pair.a.number if pair.a else None,
        "b_step": pair.b.number if pair.b else None,
        "kind": pair.step.kind,
        "name": pair.step.name,
        "relation": pair.relation,
    }
    if pair.relation in ("added", "removed") or not pair.paths or pair.a is None or pair.b is None:
        return FirstDivergence(**told, what=_where(pair))
    left, right = _document(pair.a, here), _document(pair.b, there)
    path, one, other = changes(left, right)[0]
    return FirstDivergence(**told, what=what_differs(path), path=path, a=one, b=other)


def what_differs(path: str) -> str:
    """In words, what a JSON path within a step points at."""
    name = path.removeprefix("$.").removeprefix("tool.").partition(".")[0].partition("[")[0]
    return _WHAT.get(name, name)


def _document(step: ReplayStep, steps: Sequence[ReplayStep]) -> dict[str, Any]:
    place = next(index for index, candidate in enumerate(steps) if candidate is step)
    return comparables(steps)[place].document


def _where(pair: Pair) -> str:
    call = "tool call" if pair.step.tool else "model call" if pair.step.kind == "llm" else "step"
    where = {"moved": "made at another place", "added": "that only the second run made"}
    return f"a {call} {where.get(pair.relation, 'that only the first run made')}"
