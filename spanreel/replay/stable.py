"""Spans as a recording keeps them in a repository: recorded again, a line changes only where what it says has changed.

Ids are derived from the recording's name and the order of start. Times are ticks, a millisecond each, that keep order
and nesting; what they stand for is said once, on the root, so that one line of a diff is about time (`restored` puts
the times back). What names the machine, the process, the commit or a line of code is left out; paths are relative to
the project. The bytes of requests and answers are not touched. Values only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from spanreel.exceptions import BadInput
from spanreel.wire import attributes as names
from spanreel.wire.spans import Attributes, Event, Resource, Scope, Span, Value

FORMAT: Final = 1
EPOCH_NS: Final = 946_684_800_000_000_000
"""2000-01-01: a tick is so many milliseconds after it."""
_TICK_NS: Final = 1_000_000
_DROPPED: Final = frozenset(
    {
        names.RUN_ID,
        names.VCS_REVISION,
        names.CODE_LINE,
        names.CONTRACT,
        names.WIRE_CHUNK_MICROS,
        names.PROCESS_EXIT,
        names.EFFECT_SOURCE,
        names.SOURCE_RUN_ID,
        names.REPLAY_TIER,
        names.REPLAY_SOURCE_SPAN,
        names.REPLAY_OVERRIDES,
        names.EXCEPTION_STACKTRACE,
    }
)
_TIMES_OF_DAY: Final = frozenset({"date", "traceparent"})
"""Headers that say when, or which span, and nothing else."""


@dataclass(frozen=True, slots=True)
class Named:
    """How a recording is named, and what its root says.

    name: where the ids come from: the path of the file within its project. title: the root span's name.
    root: absolute path of the project's root; what lies under it is written relative to it. attributes: of the root.
    """

    name: str
    title: str
    root: str
    attributes: Attributes


def gathered(spans: Iterable[Span], root: Span) -> list[Span]:
    """The spans of a test as one trace under its root, in order of start.

    A test's calls are of other traces where its framework runs it in a context of its own: then they belong to the
    process's run, which is left out.
    """
    found = {span.span_id: span for span in spans if not _is_process(span, root)}
    found[root.span_id] = root
    ordered = sorted(found.values(), key=lambda span: (span is not root, span.start_ns, span.span_id))
    return [_under(span, found, root) for span in ordered]


def stabilised(spans: Iterable[Span], root_id: str, named: Named) -> list[Span]:
    """One run, in order of start.

    Args:
        spans: of one trace.
        root_id: the span that is its root.
        named: the recording.
    """
    ordered = sorted(spans, key=lambda span: (span.span_id != root_id, span.start_ns, span.span_id))
    trace = _digest(named.name, 32)
    ids = {span.span_id: _digest(f"{named.name}:{number}", 16) for number, span in enumerate(ordered)}
    clock = _Ticks.of(ordered)
    return [_stable(span, ids, root_id, trace, clock, named) for span in ordered]


def restored(spans: Sequence[Span]) -> list[Span]:
    """Spans of a file with the times that they had; those of other files as they are.

    Raises:
        BadInput: a later spanreel wrote the file, or its times are damaged.
    """
    clocks: dict[str, _Ticks] = {}
    for span in spans:
        made = span.attributes.get(names.RECORDING_FORMAT)
        if made is None:
            continue
        if not isinstance(made, int) or made > FORMAT:
            raise BadInput(
                f"the recording has format {made}, and this version reads up to {FORMAT}",
                "pip install --upgrade spanreel",
            )
        clocks[span.trace_id] = _Ticks.read(span)
    if not clocks:
        return list(spans)
    return [clocks[span.trace_id].back(span) if span.trace_id in clocks else span for span in spans]


@dataclass(frozen=True, slots=True)
class _Ticks:
    """Real times by tick. started: of the first, nanoseconds since the epoch. micros: of each, since that."""

    started: int
    micros: tuple[int, ...]
    numbers: Mapping[int, int]

    @classmethod
    def of(cls, spans: Sequence[Span]) -> _Ticks:
        times = {time for span in spans for time in (span.start_ns, span.end_ns) if time}
        times |= {event.time_ns for span in spans for event in span.events if event.time_ns}
        ordered = sorted(times)
        started = ordered[0] // 1000 * 1000 if ordered else 0
        numbers = {time: number for number, time in enumerate(ordered)}
        return cls(started, tuple((time - started) // 1000 for time in ordered), numbers)

    @classmethod
    def read(cls, root: Span) -> _Ticks:
        said = root.attributes
        try:
            micros = tuple(int(part) for part in str(said[names.RECORDING_TIMES]).split())
            return cls(int(str(said[names.RECORDING_STARTED])), micros, {})
        except (KeyError, ValueError):
            raise BadInput("the recording's root says no times", "record it again") from None

    def as_attributes(self) -> dict[str, Value]:
        return {
            names.RECORDING_FORMAT: FORMAT,
            names.RECORDING_STARTED: str(self.started),
            names.RECORDING_TIMES: " ".join(map(str, self.micros)),
        }

    def tick(self, time_ns: int) -> int:
        return EPOCH_NS + self.numbers[time_ns] * _TICK_NS if time_ns else 0

    def back(self, span: Span) -> Span:
        events = tuple(replace(event, time_ns=self._real(event.time_ns)) for event in span.events)
        kept = {key: value for key, value in span.attributes.items() if key != names.RECORDING_FORMAT}
        return replace(
            span,
            start_ns=self._real(span.start_ns),
            end_ns=self._real(span.end_ns),
            events=events,
            attributes=kept,
        )

    def _real(self, time_ns: int) -> int:
        number, rest = divmod(time_ns - EPOCH_NS, _TICK_NS)
        if not time_ns or rest or not 0 <= number < len(self.micros):
            return time_ns  # a line that somebody wrote into the file
        return self.started + self.micros[number] * 1000


def _is_process(span: Span, root: Span) -> bool:
    said = span.attributes
    process = said.get(names.RUN_ENTRY) == "process" and names.CODE_FILE not in said
    return process and span.span_id != root.span_id


def _under(span: Span, found: Mapping[str, Span], root: Span) -> Span:
    if span.span_id == root.span_id:
        return span
    parent = span.parent_span_id if span.parent_span_id in found else root.span_id
    return replace(span, trace_id=root.trace_id, parent_span_id=parent)


def _stable(
    span: Span, ids: Mapping[str, str], root_id: str, trace: str, clock: _Ticks, named: Named
) -> Span:
    is_root = span.span_id == root_id
    attributes = _attributes(span.attributes, named.root)
    if is_root:
        attributes.update(named.attributes)
        attributes.update(clock.as_attributes())
    parent = None if is_root else ids.get(span.parent_span_id or "", ids[root_id])
    service = span.resource.attributes.get(names.SERVICE_NAME)
    known = isinstance(service, str) and not service.startswith("unknown_service")
    events = tuple(
        Event(event.name, clock.tick(event.time_ns), _attributes(event.attributes, named.root))
        for event in span.events
    )
    return Span(
        trace_id=trace,
        span_id=ids[span.span_id],
        parent_span_id=parent,
        name=named.title if is_root else span.name,
        kind=span.kind,
        start_ns=clock.tick(span.start_ns),
        end_ns=clock.tick(span.end_ns),
        status=span.status,
        status_message=span.status_message,
        attributes=attributes,
        events=events,
        resource=Resource({names.SERVICE_NAME: service} if known else {}),
        scope=Scope(span.scope.name),
    )


def _attributes(said: Attributes, root: str) -> dict[str, Value]:
    kept = {key: value for key, value in said.items() if key not in _DROPPED}
    for key in (names.CODE_FILE, names.PROCESS_CWD):
        value = kept.get(key)
        if isinstance(value, str) and root:
            kept[key] = value.replace(root.rstrip("/\\") + "/", "") if value != root else "."
    for key in (names.WIRE_REQUEST_HEADERS, names.WIRE_RESPONSE_HEADERS):
        value = kept.get(key)
        if isinstance(value, str):
            kept[key] = _headers(value)
    return kept


def _headers(text: str) -> str:
    pairs: list[Any] = json.loads(text)
    timeless = [pair for pair in pairs if str(pair[0]).lower() not in _TIMES_OF_DAY]
    return json.dumps(timeless, ensure_ascii=False, separators=(",", ":"))


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(f"spanreel recording {text}".encode()).hexdigest()[:length]
