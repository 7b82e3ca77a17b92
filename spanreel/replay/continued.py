"""LOUD: what a stored run needs to go on: what has really happened in all its segments, what was decided, which roots go on.

A later segment holds copies of what was served to it. Here each effect counts once, as it happened; what began again after
it had been in doubt stands for the earlier attempt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

from spanreel.exceptions import SpanreelError
from spanreel.instrument.continuing import Origin
from spanreel.replay.gates import Gate, decided, gates
from spanreel.replay.recording import Effect, Recording, ToolEffect
from spanreel.wire import attributes as names
from spanreel.wire.content import canonical_json
from spanreel.wire.segments import origin

if TYPE_CHECKING:
    from spanreel.collector.store import Reader
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span

Key: TypeAlias = "tuple[str, str, str | None]"


@dataclass(frozen=True, slots=True)
class Family:
    """The runs that are resumed together, each with its segments, oldest first; and the spans of their traces."""

    runs: Mapping[str, Sequence[Run]]
    spans: Mapping[str, Sequence[Span]]

    def root(self, run: Run) -> Span:
        """The root span of a segment."""
        for span in self.spans[run.trace_id]:
            if span.span_id == run.root.span_id:
                return span
        raise SpanreelError(f"the root of run {run.run_id} is not in the store", "see `spanreel doctor`")


@dataclass(slots=True)
class _Fold:
    """Effects of several segments on their way to one list. moved: span ids of tool calls, to what stands for them now."""

    family: Family
    faithful: bool
    kept: list[tuple[int, Effect]] = field(default_factory=list[tuple[int, Effect]])
    moved: dict[str, str] = field(default_factory=dict[str, str])
    inside: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def family(reader: Reader, run: Run, *, whole_process: bool) -> Family:
    """A stored run with its segments; with `whole_process`, every run too that the same processes recorded."""
    apart = reader.apart()
    members = {run.run_id}
    spans: dict[str, Sequence[Span]] = {}
    seen: set[str] = set()
    growing = True
    while growing:
        growing = False
        for one in [one for one in apart if origin(one) in members and one.trace_id not in seen]:
            seen.add(one.trace_id)
            spans.setdefault(one.trace_id, reader.spans(one.trace_id))
            if whole_process:
                members |= _beside(reader, one, run, apart, spans[one.trace_id])
            growing = True
    runs = {name: [one for one in reversed(apart) if origin(one) == name] for name in members}
    ordered = sorted(runs.items(), key=lambda item: item[1][0].started_ns)
    return Family({name: sorted(found, key=_place) for name, found in ordered}, spans)


def recording(found: Family, run_id: str, *, faithful: bool = False) -> Recording:
    """What has happened in these runs so far, each effect once.

    Raises:
        NotReplayable: naming what the spans lack.
    """
    fold = _Fold(found, faithful)
    parts = [_folded(fold, segments) for segments in found.runs.values()]
    newest = next(part for part, name in zip(parts, found.runs, strict=True) if name == run_id)
    effects = sorted(
        (pair for pair in fold.kept), key=lambda pair: (pair[0], pair[1].start_ns, pair[1].span_id)
    )
    known = {effect.span_id for _, effect in effects}
    placed = [
        replace(effect, index=index, within=_within(fold, effect, known))
        for index, (_, effect) in enumerate(effects)
    ]
    return replace(
        newest,
        run_id=run_id,
        effects=tuple(placed),
        decisions=decided(_gates(found, segments) for segments in found.runs.values()),
        redacted=any(part.redacted for part in parts),
        errors=tuple(error for part in parts for error in part.errors),
        warnings=tuple(dict.fromkeys(warning for part in parts for warning in part.warnings)),
    )


def origins(found: Family) -> tuple[Origin, ...]:
    """What the roots of the next process go on with."""
    made: list[Origin] = []
    for run_id, segments in found.runs.items():
        first, newest = segments[0], segments[-1]
        made.append(
            Origin(
                name=newest.root.agent or newest.root.name,
                run_id=run_id,
                named=first.segment or run_id,
                segment=(newest.root.segment or 1) + 1,
                trace_id=newest.trace_id,
                span_id=newest.root.span_id,
            )
        )
    return tuple(made)


def entry(found: Family, run_id: str) -> Span:
    """The root that says how the run is made again: the first one's, with the code that it had last."""
    segments = found.runs[run_id]
    first = found.root(segments[0])
    last = found.root(segments[-1]).attributes.get(names.CONTRACT)
    return replace(first, attributes={**first.attributes, names.CONTRACT: last}) if last else first


def _beside(reader: Reader, one: Run, run: Run, apart: Sequence[Run], spans: Sequence[Span]) -> set[str]:
    """The runs that the process of this segment recorded besides; no replays that it made of others."""
    root = next((span for span in spans if span.span_id == one.root.span_id), None)
    instance = root.resource.attributes.get(names.SERVICE_INSTANCE) if root else None
    traces = set(reader.traces_of(instance)) if isinstance(instance, str) and instance else set[str]()
    return {
        origin(other)
        for other in apart
        if other.trace_id in traces and other.source_run_id == run.source_run_id
    }


def _place(run: Run) -> tuple[int, int]:
    return run.root.segment or 1, run.started_ns


def _gates(found: Family, segments: Sequence[Run]) -> list[Gate]:
    return gates([_own(found, run) for run in segments])


def _own(found: Family, run: Run) -> list[Span]:
    inside = {record.span_id for record in run.records}
    return [
        span for span in found.spans[run.trace_id] if span.span_id in inside or span.parent_span_id in inside
    ]


def _folded(fold: _Fold, segments: Sequence[Run]) -> Recording:
    """Take in the effects of one run, newest segment first; gives the newest segment's recording."""
    every = {span.span_id: span for run in segments for span in fold.family.spans[run.trace_id]}
    waiting = _tools_with_gate(every.values())
    later: Counter[Key] = Counter()
    standing: dict[Key, list[str]] = {}
    newest: Recording | None = None
    for number, run in reversed(list(enumerate(segments))):
        part = Recording.from_spans(
            fold.family.spans[run.trace_id], origin(run), faithful=fold.faithful, may_be_empty=True
        )
        newest = newest or part
        begun: list[ToolEffect] = []
        for effect in part.effects:
            if (source := _copied(every, effect)) is not None:
                fold.inside.setdefault(source, effect.within)
                continue
            if isinstance(effect, ToolEffect):
                begun.append(effect)
                paused = effect.span_id in waiting
                if (effect.open or paused) and later[_key(effect)]:
                    later[_key(effect)] -= 1
                    fold.moved[effect.span_id] = standing[_key(effect)].pop()
                    continue
                if paused:
                    continue
            fold.kept.append((number, effect))
        for effect in begun:
            later[_key(effect)] += 1
            standing.setdefault(_key(effect), []).append(effect.span_id)
    assert newest is not None
    return newest


def _copied(spans: Mapping[str, Span], effect: Effect) -> str | None:
    """The span that this effect was served from, if it is here too."""
    said = spans[effect.span_id].attributes
    source = said.get(names.REPLAY_SOURCE_SPAN)
    if said.get(names.EFFECT_SOURCE) != "recorded" or not isinstance(source, str) or source not in spans:
        return None
    return source


def _tools_with_gate(spans: Iterable[Span]) -> set[str]:
    """Tool calls that stopped at a gate inside of them: nothing after it has happened, so they may begin anew."""
    by_id = {span.span_id: span for span in spans}
    found: set[str] = set()
    for span in by_id.values():
        if span.attributes.get(names.APPROVAL_STATUS) != "pending":
            continue
        seen = {span.span_id}
        above = by_id.get(span.parent_span_id or "")
        while above is not None and above.span_id not in seen:
            seen.add(above.span_id)
            stopped = not above.end_ns or above.attributes.get(names.WIRE_OUTCOME) == "paused"
            if names.TOOL_NAME in above.attributes and stopped:
                found.add(above.span_id)
            above = by_id.get(above.parent_span_id or "")
    return found


def _key(effect: ToolEffect) -> Key:
    return effect.name, canonical_json(effect.arguments), effect.call_id


def _within(fold: _Fold, effect: Effect, known: set[str]) -> tuple[str, ...]:
    """The tool calls around it, as they stand now."""
    found: list[str] = []
    for around in fold.inside.get(effect.span_id, effect.within):
        standing = around
        while standing in fold.moved:
            standing = fold.moved[standing]
        if standing in known:
            found.append(standing)
    return tuple(found)
