"""Steps of one run: which model and tool spans are one call, however many emitters and attempts saw it.

Given records, it decides; it never reads attributes, and every model or tool record ends up in exactly one step.

* A model span under another model span, with no agent or tool between, is the same call: the outermost one is its
  face, the innermost ones know best. A model span over *several* calls is an aggregate: it joins the first of them
  and its counts are left out.
* Exchanges of the same parent and body, one after the other, the earlier one failed or the later one marked as
  resent, are attempts of one call.
* Two emitters that report one response id at overlapping times saw one call.
* Tool spans of one call id that nest, overlap or come from different emitters are one call.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

from spanreel.wire.records import Record
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MODEL_KINDS = frozenset({"llm", "embedding", "rerank"})
STEP_KINDS = MODEL_KINDS | {"tool"}
ROOT_KINDS = frozenset({"agent", "workflow"})

# Whose facts are best when several emitters saw one call; anyone else comes last.
_RANK = {
    name: rank
    for rank, name in enumerate(
        ("spanreel", "anthropic-native", "otel-genai", "openinference", "openllmetry")
    )
}
_BETWEEN = ROOT_KINDS | {"tool", "agent_create"}
# Ids that repeat through a long run (mocks, fixed seeds) must not make grouping quadratic.
_LOOK_BACK = 64
_FACE = frozenset(
    {"trace_id", "span_id", "parent_span_id", "name", "start_ns", "end_ns", "kind", "open", "status"}
)
_FACTS = tuple(one.name for one in fields(Record) if one.name not in _FACE | {"usage", "exchange"})
_OF_THE_ANSWER = ("outcome", "http_status", "resend", "body_hash", "lane", "error_type", "error_message")


@dataclass(frozen=True, slots=True)
class Step:
    """One model or tool call of a run.

    number: from 1, in order of start (ties by span id).
    record: the call as all its spans together tell it; ids, name, times and status are those of its outermost span.
    members: ids of the spans that are this call, the outermost first.
    attempts: ids of the exchanges that were sent for it, in order; the last one is the answer.
    """

    number: int
    record: Record
    members: tuple[str, ...]
    attempts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Call:
    face: Record
    members: list[Record]
    aggregates: list[Record] = field(default_factory=list[Record])


def failed(record: Record) -> bool:
    """Whether the call went wrong: an error status, an error type, or an HTTP status from 400 on."""
    return (
        record.status == 2
        or record.error_type is not None
        or (record.http_status or 0) >= 400
        or record.outcome == "error"
    )


def order(record: Record) -> tuple[int, str]:
    """By start, ties by span id."""
    return record.start_ns, record.span_id


def steps_of(records: Iterable[Record], ancestors: Callable[[Record], Iterable[Record]]) -> tuple[Step, ...]:
    """The steps of one run.

    Args:
        records: its spans, each id once.
        ancestors: the ancestors of a record within its trace, nearest first, each once.
    """
    chosen = sorted((record for record in records if record.kind in STEP_KINDS), key=order)
    calls = [*_model_calls([one for one in chosen if one.kind in MODEL_KINDS], ancestors)]
    calls += _tool_calls([one for one in chosen if one.kind == "tool"], ancestors)
    calls.sort(key=lambda call: order(call.face))
    return tuple(_step(number, call) for number, call in enumerate(calls, 1))


def _model_calls(models: Sequence[Record], ancestors: Callable[[Record], Iterable[Record]]) -> list[_Call]:
    over = _model_above(models, ancestors)
    below: dict[str | None, list[Record]] = defaultdict(list)
    for record in models:
        below[over.get(record.span_id)].append(record)
    # Innermost first, without recursion: a chain may be as deep as a trace is long.
    ranked: dict[str, Record] = {}
    top = below.pop(None, [])
    for record in (*top, *models):
        if record.span_id in ranked:
            continue
        if record.span_id in over:  # of a cycle of parents, the earliest is the outermost
            below[over.pop(record.span_id)].remove(record)
            top.append(record)
        pending = [record]
        while pending:
            one = pending.pop()
            ranked[one.span_id] = one
            pending += below.get(one.span_id, ())
    made: dict[str, list[_Call]] = {}
    for record in reversed(ranked.values()):
        inner = [call for child in below.get(record.span_id, ()) for call in made.pop(child.span_id)]
        made[record.span_id] = _with_outer(record, _attempts(inner))
    return _seen_twice(_attempts([call for record in top for call in made[record.span_id]]))


def _model_above(models: Sequence[Record], ancestors: Callable[[Record], Iterable[Record]]) -> dict[str, str]:
    """The nearest model span of its kind above each, where no agent and no tool is between them."""
    here = {record.span_id for record in models}
    over: dict[str, str] = {}
    for record in models:
        for above in ancestors(record):
            if above.kind in _BETWEEN:
                break
            if above.span_id in here and above.kind == record.kind:
                over[record.span_id] = above.span_id
                break
    return over


def _with_outer(outer: Record, inner: list[_Call]) -> list[_Call]:
    if not inner:
        return [_Call(outer, [outer])]
    if len(inner) == 1:
        only = inner[0]
        return [_Call(outer, [outer, *only.members], only.aggregates)]
    inner[0].aggregates.append(outer)
    return inner


def _attempts(calls: list[_Call]) -> list[_Call]:
    """Join the attempts of one call; `calls` are those of one level."""
    joined: list[_Call] = []
    open_ends: dict[tuple[str | None, str | None, str | None], list[_Call]] = defaultdict(list)
    for call in sorted(calls, key=lambda one: order(one.face)):
        face = call.face
        if not face.exchange:
            joined.append(call)
            continue
        ends = open_ends[face.parent_span_id, face.dialect, face.body_hash]
        earlier = next(
            (end for end in reversed(ends[-_LOOK_BACK:]) if _continues(end.members[-1], face)), None
        )
        if earlier is None:
            joined.append(call)
            ends.append(call)
        else:
            earlier.members += call.members
    return joined


def _continues(before: Record, after: Record) -> bool:
    ended = bool(before.end_ns) and before.end_ns <= after.start_ns
    if after.body_hash is None:
        return ended and after.resend > before.resend
    return ended and (failed(before) or after.resend > before.resend)


def _seen_twice(calls: list[_Call]) -> list[_Call]:
    """Join calls that two emitters reported side by side."""
    kept: list[_Call] = []
    by_response: dict[str, list[_Call]] = defaultdict(list)
    for call in calls:
        ids = {one.response_id for one in call.members if one.response_id}
        twin = next(
            (
                other
                for response in ids
                for other in reversed(by_response[response][-_LOOK_BACK:])
                if _same_call(other, call)
            ),
            None,
        )
        if twin is None:
            kept.append(call)
            for response in ids:
                by_response[response].append(call)
        else:
            twin.members += call.members
            twin.aggregates += call.aggregates
    return kept


def _same_call(one: _Call, other: _Call) -> bool:
    emitters = {record.emitter for record in one.members}
    return emitters.isdisjoint(record.emitter for record in other.members) and _overlap(one.face, other.face)


def _overlap(one: Record, other: Record) -> bool:
    first, second = (one, other) if one.start_ns <= other.start_ns else (other, one)
    return not first.end_ns or second.start_ns < first.end_ns or first.start_ns == second.start_ns


def _tool_calls(tools: Sequence[Record], ancestors: Callable[[Record], Iterable[Record]]) -> list[_Call]:
    calls: list[_Call] = []
    by_id: dict[str, list[_Call]] = defaultdict(list)
    by_name: dict[str | None, list[_Call]] = defaultdict(list)
    tellers: dict[str | None, set[str]] = defaultdict(set)  # emitters of the first member of each of those
    of_span: dict[str, _Call] = {}
    for record in sorted(tools, key=lambda one: (one.start_ns, -(one.end_ns or 1 << 63), one.span_id)):
        twin = _outer_tool(record, of_span, ancestors)
        if twin is None and record.tool_call_id:
            twin = _latest(by_id[record.tool_call_id], record, _same_tool)
        if twin is None and record.tool_name and tellers[record.tool_name] - {record.emitter}:
            twin = _latest(by_name[record.tool_name], record, _told_beside)
        if twin is None:
            twin = _Call(record, [])
            calls.append(twin)
            by_name[record.tool_name].append(twin)
            tellers[record.tool_name].add(record.emitter)
        if record.tool_call_id and all(one.tool_call_id != record.tool_call_id for one in twin.members):
            by_id[record.tool_call_id].append(twin)
        twin.members.append(record)
        of_span[record.span_id] = twin
    return calls


def _latest(calls: Sequence[_Call], record: Record, fits: Callable[[_Call, Record], bool]) -> _Call | None:
    return next((call for call in reversed(calls[-_LOOK_BACK:]) if fits(call, record)), None)


def _told_beside(call: _Call, record: Record) -> bool:
    """Whether two emitters told of one call side by side, one of them without the call's id."""
    ids = {one.tool_call_id for one in call.members}
    if record.tool_call_id and ids != {None}:
        return False
    strangers = all(one.emitter != record.emitter for one in call.members)
    return strangers and _overlap(call.face, record)


def _outer_tool(
    record: Record, of_span: dict[str, _Call], ancestors: Callable[[Record], Iterable[Record]]
) -> _Call | None:
    """The call of the tool span right above it, if that is the same call told by somebody else."""
    for above in ancestors(record):
        if above.kind in ROOT_KINDS or above.kind in MODEL_KINDS:
            return None
        if above.kind == "tool":
            call = of_span.get(above.span_id)
            return call if call and _same_tool(call, record) else None
    return None


def _same_tool(call: _Call, record: Record) -> bool:
    ids = {one.tool_call_id for one in call.members if one.tool_call_id}
    if record.tool_call_id and ids and record.tool_call_id not in ids:
        return False
    names = {one.tool_name for one in call.members if one.tool_name}
    if record.tool_name and names and record.tool_name not in names:
        return False
    if all(one.emitter != record.emitter for one in call.members):
        return True
    return record.tool_call_id in ids and any(_overlap(one, record) for one in call.members)


def _step(number: int, call: _Call) -> Step:
    attempts = tuple(one.span_id for one in sorted(call.members, key=order) if one.exchange)
    members = tuple(one.span_id for one in (*call.members, *call.aggregates))
    record = call.face if len(call.members) == 1 else _merged(call)
    return Step(number, record, members, attempts)


def _merged(call: _Call) -> Record:
    """The face, with the facts of whoever knows best."""
    sent = [one for one in sorted(call.members, key=order) if one.exchange]
    told = [one for one in call.members if not one.exchange]
    told.sort(key=lambda one: _RANK.get(one.emitter, len(_RANK)))
    sources = [*reversed(sent), *told]
    changes = {name: value for name in _FACTS if (value := _first(sources, name)) is not None}
    changes["usage"] = _usage(sources)
    changes["exchange"] = bool(sent)
    last = sent[-1] if sent else None
    if last is not None:
        changes |= {name: getattr(last, name) for name in _OF_THE_ANSWER}
        if call.face.exchange:
            changes |= {"end_ns": last.end_ns, "status": last.status, "open": last.open}
        elif failed(call.face):
            changes |= {"error_type": _first([call.face, last], "error_type")}
            changes |= {"error_message": _first([call.face, last], "error_message")}
    return replace(call.face, **changes)


def _first(sources: Sequence[Record], name: str) -> object:
    for source in sources:
        value = getattr(source, name)
        if value not in (None, "", (), 0):
            return value
    return None


def _usage(sources: Sequence[Record]) -> Usage:
    counts: dict[str, int | None] = {}
    for name in ("input", "output", "cache_read", "cache_write", "reasoning"):
        values = (getattr(source.usage, name) for source in sources)
        counts[name] = next((value for value in values if value is not None), None)
    return Usage(**counts)
