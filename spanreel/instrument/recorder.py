"""Takes spans when they open and end, and has them written.

The call path enqueues references; one thread freezes, hides, encodes and writes them, in batches. What must
be on file before control returns is written by the caller. Nothing here raises into the agent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan

from spanreel.instrument import snapshot, tracing
from spanreel.instrument.forking import ForkLock
from spanreel.instrument.guard import guard, log_once
from spanreel.instrument.tracing import ActiveSpan, SpanStarter
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanreel.instrument.channel import Channel
    from spanreel.instrument.finishing import Finishing

LINGER_S = 0.03
OPEN_WAIT_S = 0.5  # how long a tool that writes waits for the spans before it to be on file
BATCH = 256
TICK_S = 1.0  # how often an idle thread looks whether something waits
MARKER = "capture incomplete"


class _Flush(threading.Event):
    """Asks the thread to write what was enqueued before it."""


_Item: TypeAlias = "ActiveSpan | ReadableSpan | Span | _Flush | None"


class Recorder:
    """Starts and ends the spans of this process.

    Args:
        starter: makes spans under the current context.
        channel: keeps them.
        finishing: makes of them what is kept.
    """

    def __init__(self, starter: SpanStarter, channel: Channel, finishing: Finishing) -> None:
        self._starter = starter
        self._channel = channel
        self._finishing = finishing
        self._marked: set[tuple[str, int]] = set()
        self._closed = False
        self._reset()

    # the call path

    def start(
        self,
        name: str,
        kind: int,
        attributes: dict[str, Any],
        *,
        context: Context | None = None,
        root: bool = False,
        outward: bool = True,
    ) -> ActiveSpan:
        """A span under the current context (or `context`); end it with `end`.

        `kind` is OTLP's number (`attributes.KIND_*`). `attributes` is kept by reference and may be added to until
        the span has ended. `root`: it starts a run where there is none. `outward`: whether the application's
        provider and endpoint see it.
        """
        return self._starter.start(name, kind, attributes, context=context, root=root, outward=outward)

    def open(self, span: ActiveSpan) -> None:
        """Put on file that the span has begun, before this returns; and before it, what led to it."""
        self.flush(OPEN_WAIT_S)
        with guard("open record", span):
            self._keep_now(self._finishing.opened(span))

    def end(self, span: ActiveSpan, *, durable: bool = False) -> None:
        """The span is over; only the first call counts. `durable`: it is on file before this returns, else within 200 ms."""
        if not span.first_end() or span.generation != tracing.generation:
            return
        span.end_ns = span.end_ns or time.time_ns()
        if durable:
            with guard("durable record", span):
                self._keep_now(self._finished(span))
                return
        self._enqueue(span)

    def heard(self, span: ReadableSpan) -> None:
        """Another instrumentation's span belongs to the recording."""
        self._enqueue(span)

    def fault(self, where: str, error: BaseException | None, span: ActiveSpan | None = None) -> None:
        """Mark what recording lost: on the span while it is under way, else by a marker span in the current run."""
        reason = f"{where}: {snapshot.error_type(error)}" if error is not None else where
        if span is not None and not span.end_ns:
            span.attributes.setdefault(names.INCOMPLETE, reason)
            return
        context = span.context if span is not None else self._writing_context()
        marker = self._starter.start(
            MARKER, names.KIND_INTERNAL, {names.INCOMPLETE: reason}, context=context, outward=False
        )
        if (reason, marker.trace_id) not in self._marked and len(self._marked) < 1000:
            self._marked.add((reason, marker.trace_id))
            self.end(marker)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything that ended before is written. False when that took too long."""
        if self._closed or not self._thread_runs():
            return True
        flush = _Flush()
        self._queue.put(flush)
        self._hurry.set()
        return flush.wait(timeout_s)

    def close(self) -> None:
        """Write what is left; ends the thread. What ends later is not recorded."""
        if self._closed:
            return
        self.flush()
        self._closed = True
        self._queue.put(None)
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(5.0)
        self._channel.close()

    def before_fork(self) -> None:
        """Let the exporting thread come to a rest, for in the child whatever lock it holds (an import's too) is held for ever."""
        self._writing.before_fork()

    def after_fork(self) -> None:
        """In the parent: go on."""
        self._writing.after_fork()

    def forked(self) -> None:
        """In the child: a file and a thread of its own; what the parent enqueued is the parent's to write."""
        self._channel.forked()
        self._reset()

    # the exporting thread

    def _reset(self) -> None:
        self._queue: SimpleQueue[_Item] = SimpleQueue()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._writing = ForkLock()
        self._starting = threading.RLock()  # a span may end by garbage collection while it is held
        self._last: Context | None = None

    def _enqueue(self, span: ActiveSpan | ReadableSpan) -> None:
        if self._closed:
            log_once("closed", "a span ended after recording was switched off and is not kept")
            return
        self._queue.put(span)
        if self._thread is None:
            self._start_thread()

    def _keep_now(self, frozen: Span) -> None:
        if not self._channel.append([frozen]):
            log_once(
                "not durable", "a record that must be on file waits in memory: the disk does not take it"
            )
        self._queue.put(frozen)  # for the collector, if there is one
        if self._thread is None:
            self._start_thread()

    def _thread_runs(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _start_thread(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spanreel", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        running = True
        while running:
            batch = self._next_batch()
            running = None not in batch
            with self._writing, guard("writing"):
                self._write(batch)
            for item in batch:
                if isinstance(item, _Flush):
                    item.set()

    def _next_batch(self) -> list[_Item]:
        """The next item, and what comes within a moment of it: many small spans share one write."""
        try:
            batch = [self._queue.get(timeout=TICK_S)]
        except Empty:
            return []
        if isinstance(batch[0], (ActiveSpan, ReadableSpan, Span)):
            self._hurry.wait(LINGER_S)
        self._hurry.clear()
        try:
            while len(batch) < BATCH:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch

    def _write(self, batch: Sequence[_Item]) -> None:
        self._channel.retry()
        frozen: list[Span] = []
        for item in batch:
            if isinstance(item, Span):
                if self._channel.collected():
                    self._channel.send([item])
            elif isinstance(item, ActiveSpan):
                self._last = item.context
                frozen.append(self._finished(item))
            elif isinstance(item, ReadableSpan):
                with guard("another instrumentation's span"):
                    frozen.append(self._finishing.heard(item))
        self._channel.send(frozen)

    def _finished(self, span: ActiveSpan) -> Span:
        try:
            return self._finishing.ended(span)
        except Exception as error:  # noqa: BLE001 - the span is kept, whatever of it fails
            return self._finishing.bare(span, error)

    def _writing_context(self) -> Context | None:
        """On the exporting thread no run is current: the one last written is."""
        return self._last if threading.current_thread() is self._thread else None


_current: Recorder | None = None


def current() -> Recorder | None:
    """The recorder of this process; None while nothing is instrumented."""
    return _current


def install(recorder: Recorder | None) -> Recorder | None:
    """Record with this one from now on; returns the one before."""
    global _current
    before, _current = _current, recorder
    return before
