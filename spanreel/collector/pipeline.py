"""From received bytes to the disk: one thread that decodes and writes what has come in, in groups.

It must not know how requests arrive. A request is answered when its spans are on the disk; all that has come in while
the last transaction was on its way goes into the next one, so the cost of a transaction is shared.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from spanreel.collector.decode import Decoded
from spanreel.collector.store import Writer
from spanreel.exceptions import BadInput, StoreError
from spanreel.wire.spans import Span

Decode = Callable[[bytes], Decoded]
_GROUP_BYTES: Final = 8 << 20
_IDLE_SECONDS: Final = 1.0
_log = logging.getLogger("spanreel.collector")


class QueueFull(Exception):
    """More waits for the store than may; the client should come back later."""


class Stopped(Exception):
    """The collector is shutting down."""


@dataclass(slots=True)
class _Request:
    body: bytes
    decode: Decode
    answer: Future[Decoded]
    decoded: Decoded | None = None


class Pipeline:
    """The queue before the store.

    Args:
        writer: of the store; only the pipeline's thread uses it until `stop` has returned.
        queue_bytes: how much may wait.
        idle: called about once a second in the writing thread (to drain the spool).
    """

    def __init__(self, writer: Writer, queue_bytes: int, idle: Callable[[], object]) -> None:
        self._writer = writer
        self._limit = queue_bytes
        self._idle = idle
        self._waiting: deque[_Request] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="spanreel-writer", daemon=True)
        self.stored = 0
        """Spans written so far, new ones and ended ones."""

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def submit(self, body: bytes, decode: Decode) -> Future[Decoded]:
        """Queue a request. The future has its result when the spans are on the disk.

        It fails with BadInput when the bytes cannot be decoded, with StoreError when they could not be written.

        Raises:
            QueueFull: too much is waiting.
            Stopped: the collector is shutting down.
        """
        answer: Future[Decoded] = Future()
        with self._changed:
            if self._stopping:
                raise Stopped
            if self._bytes and self._bytes + len(body) > self._limit:
                raise QueueFull
            self._waiting.append(_Request(body, decode, answer))
            self._bytes += len(body)
            self._changed.notify()
        return answer

    def stop(self) -> None:
        """Write what is queued, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        quiet = False
        while True:
            with self._changed:
                if not self._waiting and not self._stopping:
                    self._changed.wait(_IDLE_SECONDS)
                group = self._take()
                ended = self._stopping and not group
            if ended:
                return
            if group:
                self._write(group)
                quiet = False
            else:
                quiet = self._look_around(quiet)

    def _take(self) -> list[_Request]:
        group: list[_Request] = []
        size = 0
        while self._waiting and size < _GROUP_BYTES:
            request = self._waiting.popleft()
            size += len(request.body)
            group.append(request)
        self._bytes -= size
        return group

    def _look_around(self, quiet: bool) -> bool:
        """What is done when nothing comes in; gives whether grouping is up to date."""
        try:
            self._idle()
            if not quiet:
                self._writer.refresh()
        except StoreError as error:
            _log.warning("%s", error)
            return False
        return True

    def _write(self, group: list[_Request]) -> None:
        readable = [request for request in group if self._decoded(request)]
        spans = [span for request in readable for span in (request.decoded.spans if request.decoded else ())]
        try:
            self._add(spans)
        except Exception as error:  # noqa: BLE001 - a fault in one request must not take the others with it
            if len(readable) > 1 and not isinstance(error, StoreError):
                for request in readable:
                    self._write([request])
                return
            _log.warning("a request could not be stored: %s", error)
            for request in readable:
                request.answer.set_exception(
                    error if isinstance(error, StoreError) else StoreError(f"cannot be stored: {error!r}")
                )
            return
        for request in readable:
            request.answer.set_result(request.decoded or Decoded([]))

    def _add(self, spans: list[Span]) -> None:
        if spans:
            added = self._writer.add(spans)
            self.stored += added.new + added.replaced

    def _decoded(self, request: _Request) -> bool:
        if request.decoded is not None:
            return True
        try:
            request.decoded = request.decode(request.body)
        except BadInput as fault:
            request.answer.set_exception(fault)
            return False
        except Exception as error:  # noqa: BLE001 - hostile bytes; the client is told, the thread lives on
            request.answer.set_exception(BadInput(f"the request cannot be decoded ({error!r})", "send OTLP"))
            return False
        return True
