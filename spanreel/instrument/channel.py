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


class Channel:
    """Takes finished spans and keeps them for the store."""

    def __init__(self, store: Path) -> None:
        self._spool = Spool(store)
        self._collecting = Collecting(store)
        self._bodies = Bodies()
        self._waiting: deque[tuple[Span, ...]] = deque()
        self._waiting_size = 0
        self._lost = 0
        self._retry_at = 0.0
        self._lock = threading.RLock()

    def append(self, spans: Sequence[Span]) -> bool:
        """Put spans on file before this returns. False: the file fails, they wait in memory."""
        with self._lock:
            for group in _groups(spans):
                self._waiting.append(group)
                self._waiting_size += _size(group)
            return self._drain(at_once=True)

    def collected(self) -> bool:
        """Whether a collector shows what comes: then what is on file already is sent to it too."""
        return self._collecting.there()

    def send(self, spans: Sequence[Span]) -> None:
        """Hand spans to the collector if there is one; where it fails, and without one, to the file."""
        for group in _groups(spans):
            if not self._collecting.post(group):
                self.append(group)

    def retry(self) -> None:
        """Try again to write what waits."""
        if self._waiting:
            with self._lock:
                self._drain(at_once=False)

    def close(self) -> None:
        """Nothing more will come."""
        with self._lock:
            if not self._drain(at_once=True):
                count = self._lost + sum(len(group) for group in self._waiting)
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

    def _drain(self, *, at_once: bool) -> bool:
        if not at_once and time.monotonic() < self._retry_at:
            return not self._waiting
        while self._waiting:
            group = self._waiting[0]
            try:
                self._write(group)
            except OSError as error:
                self._bodies.forget()
                log_once("spool", "the recording cannot be written (%s); it waits in memory", error.strerror)
                self._retry_at = time.monotonic() + RETRY_S
                self._shrink()
                return False
            self._waiting.popleft()
            self._waiting_size -= _size(group)
        return True

    def _write(self, group: Sequence[Span]) -> None:
        from spanreel.instrument import encode

        if self._spool.ready():
            self._bodies.forget()
        if self._lost:
            group = [*group, _marker(group[0], self._lost)]
        self._spool.append(encode.request_bytes([encode.with_base(span, self._bodies) for span in group]))
        self._lost = 0

    def _shrink(self) -> None:
        """Keep what waits within bounds: first the oldest lose their content, then they go."""
        for place, group in enumerate(self._waiting):
            if self._waiting_size <= WAITING:
                return
            bare = tuple(_bare(span) for span in group)
            self._waiting_size -= _size(group) - _size(bare)
            self._waiting[place] = bare
        while self._waiting_size > WAITING:
            group = self._waiting.popleft()
            self._waiting_size -= _size(group)
            self._lost += len(group)


def _groups(spans: Sequence[Span]) -> list[tuple[Span, ...]]:
    """The spans in groups of a bounded size."""
    groups: list[tuple[Span, ...]] = []
    group: list[Span] = []
    size = 0
    for span in spans:
        group.append(span)
        size += span_size(span)
        if size >= FRAME:
            groups.append(tuple(group))
            group, size = [], 0
    return [*groups, tuple(group)] if group else groups


def _size(group: Sequence[Span]) -> int:
    return sum(span_size(span) for span in group)


def span_size(span: Span) -> int:
    """About how many bytes it takes."""
    return 200 + sum(
        len(value) if isinstance(value, (str, bytes)) else 32 for value in span.attributes.values()
    )


def _bare(span: Span) -> Span:
    """The span without content, and saying so."""
    kept = {
        key: value
        for key, value in span.attributes.items()
        if not isinstance(value, (str, bytes)) or len(value) < 100
    }
    return replace(span, attributes={**kept, names.INCOMPLETE: LOST}, events=())


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
