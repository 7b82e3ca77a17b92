"""Where the recording goes: to the collector that serves the store, else into a spool file beside it.

Runs on the exporting thread, and for durable records on the caller's, which only ever writes the file. What cannot
be written at once waits in memory, bounded; what the bound costs is counted and marked. Must not raise for a disk
or a collector that fails.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from spanreel.instrument.collecting import Collecting
from spanreel.instrument.guard import log_once
from spanreel.instrument.prefixes import Bodies
from spanreel.instrument.spooling import Spool
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span

FRAME = 4 * 1024 * 1024  # bytes of content after which a frame is closed
WAITING = 64 * 1024 * 1024  # bytes that may wait for a disk that fails
RETRY_S = 1.0
LOST = "the disk did not take it"
UNENCODABLE = "it could not be encoded"


class _Group(NamedTuple):
    """Spans that are written together, and about how many bytes they take."""

    spans: tuple[Span, ...]
    size: int


class Channel:
    """Takes finished spans and keeps them for the store."""

    def __init__(self, store: Path) -> None:
        self._spool = Spool(store)
        self._collecting = Collecting(store)
        self._bodies = Bodies()
        self._waiting: deque[_Group] = deque()
        self._waiting_size = 0
        self._lost = 0
        self._retry_at = 0.0
        self._lock = threading.RLock()

    def append(self, spans: Sequence[Span]) -> bool:
        """Put spans on file before this returns. False: the file fails, they wait in memory."""
        with self._lock:
            for group in _groups(spans):
                self._wait(group)
            return self._drain()

    def collected(self) -> bool:
        """Whether a collector shows what comes: then what is on file already is sent to it too."""
        return self._collecting.there()

    def send(self, spans: Sequence[Span]) -> None:
        """Hand spans to the collector if there is one; where it fails, and without one, to the file."""
        for group in _groups(spans):
            if not self._collecting.post(group.spans):
                with self._lock:
                    self._wait(group)
                    self._drain()

    def retry(self) -> None:
        """Try again to write what waits."""
        if self._waiting:
            with self._lock:
                self._drain()

    def close(self) -> None:
        """Nothing more will come."""
        with self._lock:
            self._retry_at = 0.0
            if not self._drain():
                count = self._lost + sum(len(group.spans) for group in self._waiting)
                log_once("lost", "%d recorded spans are lost: the disk never took them", count)
            self._spool.close()
            self._collecting.close()

    def forked(self) -> None:
        """In the child: the file and the connection are the parent's."""
        self._lock = threading.RLock()
        self._waiting.clear()
        self._waiting_size = 0
        self._bodies.forget()
        self._spool.close()
        self._collecting.forked()

    def _wait(self, group: _Group) -> None:
        self._waiting.append(group)
        self._waiting_size += group.size

    def _drain(self) -> bool:
        """Write what waits, in order; not while the disk failed a moment ago."""
        if self._waiting and time.monotonic() < self._retry_at:
            self._shrink()
            return False
        while self._waiting:
            try:
                self._write(self._waiting[0].spans)
            except OSError as error:
                self._bodies.forget()
                if self._split():
                    continue
                log_once("spool", "the recording cannot be written (%s); it waits in memory", error)
                self._retry_at = time.monotonic() + RETRY_S
                self._shrink()
                return False
            self._waiting_size -= self._waiting.popleft().size
        return True

    def _split(self) -> bool:
        """Halve the first group, for there may be room for a part of it. False: it is one span."""
        spans = self._waiting[0].spans
        if len(spans) == 1:
            return False
        whole, middle = self._waiting.popleft(), len(spans) // 2
        parts = _group(spans[:middle]), _group(spans[middle:])
        self._waiting.extendleft(reversed(parts))
        self._waiting_size += sum(part.size for part in parts) - whole.size
        return True

    def _write(self, spans: Sequence[Span]) -> None:
        if self._spool.ready():
            self._bodies.forget()
        if self._lost:
            spans = [*spans, _marker(spans[0], self._lost)]
        self._spool.append(self._payload(spans))
        self._lost = 0

    def _payload(self, spans: Sequence[Span]) -> bytes:
        """The spans as bytes; one that cannot be encoded is kept without content."""
        from spanreel.instrument import encode

        try:
            return encode.request_bytes([encode.with_base(span, self._bodies) for span in spans])
        except Exception as error:  # noqa: BLE001 - protobuf refuses in many ways
            log_once(
                "encode", "a span cannot be encoded (%s) and is kept without content", type(error).__name__
            )
            self._bodies.forget()
            return encode.request_bytes(
                [encode.encodable(span) or _bare(span, UNENCODABLE) for span in spans]
            )

    def _shrink(self) -> None:
        """Keep what waits within bounds: first the oldest lose their content, then they go."""
        for place, group in enumerate(self._waiting):
            if self._waiting_size <= WAITING:
                return
            bare = _group([_bare(span, LOST) for span in group.spans])
            self._waiting_size -= group.size - bare.size
            self._waiting[place] = bare
        while self._waiting_size > WAITING:
            group = self._waiting.popleft()
            self._waiting_size -= group.size
            self._lost += len(group.spans)


def _groups(spans: Sequence[Span]) -> list[_Group]:
    """The spans in groups of a bounded size."""
    groups: list[_Group] = []
    group: list[Span] = []
    size = 0
    for span in spans:
        group.append(span)
        size += _size(span)
        if size >= FRAME:
            groups.append(_Group(tuple(group), size))
            group, size = [], 0
    return [*groups, _Group(tuple(group), size)] if group else groups


def _group(spans: Sequence[Span]) -> _Group:
    return _Group(tuple(spans), sum(map(_size, spans)))


def _size(span: Span) -> int:
    values = span.attributes.values()
    return 600 + sum([len(value) for value in values if isinstance(value, (str, bytes))])


def _bare(span: Span, why: str) -> Span:
    """The span without content, and saying why."""
    kept = {
        key: value
        for key, value in span.attributes.items()
        if isinstance(value, (bool, int, float)) or (isinstance(value, str) and len(value) < 100)
    }
    kept = {key: value for key, value in kept.items() if not isinstance(value, int) or abs(value) < 1 << 63}
    return replace(span, attributes={**kept, names.INCOMPLETE: why}, events=(), links=())


def _marker(beside: Span, count: int) -> Span:
    return replace(
        beside,
        span_id=secrets.token_hex(8),
        name="capture incomplete",
        kind=names.KIND_INTERNAL,
        status=names.STATUS_UNSET,
        status_message="",
        attributes={names.INCOMPLETE: f"{LOST}: {count} spans"},
        events=(),
        links=(),
    )
