"""Standard spans outward: to the application's own provider and to a configured OTLP endpoint.

Our spans are completed and ended there by the exporting thread, with `gen_ai.*` attributes and without bodies.
Must not change anything of a provider that the application configured, but for one processor that listens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.trace import Status, StatusCode

from spanreel.instrument.forking import ForkLock
from spanreel.instrument.guard import guard, log_once
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span as SdkSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from spanreel.instrument.tracing import ActiveSpan
    from spanreel.wire.spans import Span

EARLY = frozenset({
    names.OPERATION, names.PROVIDER, names.REQUEST_MODEL, names.SERVER_ADDRESS, names.SERVER_PORT, names.AGENT_NAME,
    names.TOOL_NAME, names.WORKFLOW_NAME,
})  # fmt: skip
"""What samplers may want to see when a span starts; names only."""
_STANDARD = ("gen_ai.", "error.", "server.", "http.", "url.", "code.", "session.", "user.", "enduser.")
_OURS = (names.RUN_ID, names.OUTCOME, names.CAPTURE_LEVEL, names.INCOMPLETE, names.TOOL_SAFETY)
_BODIES = (names.HTTP_REQUEST_BODY, names.HTTP_RESPONSE_BODY)
_GENAI = ("gen_ai.", "openinference.", "llm.", "traceloop.", "mcp.", "ai.", "langsmith.", "mlflow.span")

BYTES = 3 * 1024 * 1024  # of attributes in one export request
COUNT = 512  # spans in one export request
DELAY_S = 2.0
QUEUED = 4096  # spans that may wait for an endpoint


def complete(span: ActiveSpan, final: Span, *, content: bool) -> None:
    """Give the provider's span what is known now, and end it when it ended.

    Args:
        span: ours.
        final: it, as the capture level wants it, with `gen_ai.*` facts and content.
        content: whether messages, arguments, results and error texts may go outward.
    """
    otel = span.otel
    if otel is None:
        return
    if otel.is_recording():
        otel.update_name(final.name)
        otel.set_attributes({key: value for key, value in final.attributes.items() if _outward(key, content)})
        for link in final.links:
            named = trace.SpanContext(int(link.trace_id, 16), int(link.span_id, 16), is_remote=False)
            otel.add_link(named)
        if content:
            for event in final.events:
                otel.add_event(event.name, dict(event.attributes), event.time_ns)  # pyright: ignore[reportArgumentType] - checked by the SDK
        if final.status == names.STATUS_ERROR:
            otel.set_status(Status(StatusCode.ERROR, final.status_message if content else None))
    otel.end(final.end_ns)


def _outward(key: str, content: bool) -> bool:
    if key in _BODIES or (key in names.CONTENT and not content):
        return False
    return key.startswith(_STANDARD) or key.startswith(_OURS)


class Listening(SpanProcessor):
    """Hears the spans that others make through the same provider, and hands on those that belong to a recording.

    That is: GenAI spans, and what they hang under.

    Args:
        take: called with each such span when it ends.
    """

    def __init__(self, take: Callable[[ReadableSpan], None]) -> None:
        self._take: Callable[[ReadableSpan], None] | None = take
        self._parents: dict[int, None] = {}

    def on_end(self, span: ReadableSpan) -> None:
        with guard("a span of the application's provider"):
            take = self._take
            scope = span.instrumentation_scope
            if take is None or (scope is not None and scope.name == names.SCOPE):
                self._expect(span)
                return
            own = span.context.span_id if span.context else 0
            if own in self._parents or any(key.startswith(_GENAI) for key in span.attributes or ()):
                self._parents.pop(own, None)
                self._expect(span)
                take(span)

    def silence(self) -> None:
        """Hear nothing more; a provider cannot be left."""
        self._take = None

    def _expect(self, span: ReadableSpan) -> None:
        """The parent, which ends later, belongs to the recording too."""
        if span.parent is not None and not span.parent.is_remote:
            self._parents[span.parent.span_id] = None
            while len(self._parents) > 10_000:
                del self._parents[next(iter(self._parents))]


class Batches(SpanProcessor):
    """Exports in batches of a bounded size in bytes, on a thread of its own. Must not slow the exporting thread down.

    Args:
        exporter: makes the exporter, when the first span comes.
        only_ours: leave other instrumentations' spans to the application's own exporters.
    """

    def __init__(self, exporter: Callable[[], SpanExporter], *, only_ours: bool) -> None:
        self._make = exporter
        self._only_ours = only_ours
        self._exporter: SpanExporter | None = None
        self._closed = False
        self._reset()

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Nothing: spans are exported when they end."""

    def on_end(self, span: ReadableSpan) -> None:
        scope = span.instrumentation_scope
        if self._closed or not (span.context and span.context.trace_flags.sampled):
            return
        if self._only_ours and (scope is None or scope.name != names.SCOPE):
            return
        if self._queue.qsize() >= QUEUED:
            log_once(
                "outward", "spans for the OTLP endpoint are dropped: it is too slow; the recording has them"
            )
            return
        self._queue.put(span)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="spanreel-otlp", daemon=True)
            self._thread.start()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        if self._thread is None or self._closed:
            return True
        done = threading.Event()
        self._queue.put(done)
        self._hurry.set()
        return done.wait(timeout_millis / 1000)

    def shutdown(self) -> None:
        if self._closed:
            return
        self.force_flush(5000)
        self._closed = True
        self._queue.put(None)
        self._hurry.set()
        if self._exporter is not None:
            with guard("closing the OTLP exporter"):
                self._exporter.shutdown()

    def before_fork(self) -> None:
        """Wait while the exporter's modules are imported: in the child their locks would be held for ever."""
        self._making.before_fork()

    def after_fork(self) -> None:
        """In the parent: go on."""
        self._making.after_fork()

    def forked(self) -> None:
        """In the child: a queue and a thread of its own; the parent sends what the parent ended."""
        self._exporter = None
        self._reset()

    def _reset(self) -> None:
        self._queue: SimpleQueue[ReadableSpan | threading.Event | None] = SimpleQueue()
        self._hurry = threading.Event()
        self._making = ForkLock()
        self._thread: threading.Thread | None = None

    def _run(self) -> None:
        otel_context.attach(otel_context.set_value(otel_context._SUPPRESS_INSTRUMENTATION_KEY, True))
        first = self._queue.get()
        while first is not None:
            if isinstance(first, ReadableSpan):
                self._hurry.wait(DELAY_S)
            self._hurry.clear()
            batch, waiting = self._batch(first)
            with guard("export to the OTLP endpoint"):
                self._export(batch)
            if isinstance(waiting, threading.Event):
                waiting.set()
            first = None if waiting is None and self._closed else self._queue.get()

    def _batch(self, item: Any) -> tuple[list[ReadableSpan], threading.Event | None]:
        """Spans up to the limits; and the event that asked for them, if one came."""
        batch: list[ReadableSpan] = []
        size = 0
        while isinstance(item, ReadableSpan):
            batch.append(item)
            size += _size(item)
            if size >= BYTES or len(batch) >= COUNT:
                return batch, None
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, None
        return batch, item

    def _export(self, batch: list[ReadableSpan]) -> None:
        if not batch:
            return
        if self._exporter is None:
            with self._making:
                self._exporter = self._make()
        started = time.monotonic()
        result = self._exporter.export(batch)
        if result.value:
            took = time.monotonic() - started
            log_once("endpoint", "the OTLP endpoint did not take %d spans (after %.1f s)", len(batch), took)


def otlp_exporter(endpoint: str | None, protocol: str) -> SpanExporter:
    """The official exporter. `endpoint` None: as the environment says."""
    if protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as Grpc

        return Grpc(endpoint=endpoint)
    if protocol != "http/protobuf":
        log_once("protocol", "OTLP protocol %s is not supported; http/protobuf is used", protocol)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter(endpoint=endpoint and traces_url(endpoint))


def traces_url(endpoint: str) -> str:
    """Where traces go, of an endpoint given as its base."""
    return endpoint if urlsplit(endpoint).path.strip("/") else endpoint.rstrip("/") + "/v1/traces"


def _size(span: ReadableSpan) -> int:
    values: Mapping[str, Any] = span.attributes or {}
    return 300 + sum(len(value) if isinstance(value, str) else 16 for value in values.values())
