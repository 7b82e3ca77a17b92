"""One attempt to call a model, whichever HTTP client makes it: begun, answered, ended exactly once.

Shared by every client tap. Must not delay the caller: references only.
"""

from __future__ import annotations

import re
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from spanreel.instrument import misses, recorder, responder
from spanreel.instrument.exchange import Exchange, Headers
from spanreel.instrument.guard import guard
from spanreel.wire import attributes as names
from spanreel.wire import recognise

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanreel.instrument.recorder import Recorder
    from spanreel.instrument.responder import ModelAnswer, ModelRoute
    from spanreel.instrument.tracing import ActiveSpan
    from spanreel.wire.dialect import Dialect

UNREAD = b'{"model":"","messages":[],"input":""}'
"""Stands for a body that cannot be looked at, where only the path can tell."""
INFERENCE_KEY = "opentelemetry.genai.client.inference.context"
"""Where opentelemetry-util-genai keeps its mark that a model span is under way (its constant, verbatim)."""
SUPPRESS_KEYS = (
    "suppress_instrumentation",
    otel_context._SUPPRESS_INSTRUMENTATION_KEY,
)  # the old spelling and the new
_INFERENCES = frozenset({"chat", "generate_content", "text_completion", "embeddings"})
_busy: ContextVar[bool] = ContextVar("spanreel_busy", default=False)
_MODEL_FIRST = re.compile(rb'\s*\{\s*"model"\s*:\s*"((?:[^"\\]|\\.){1,512})"')
_MODEL = re.compile(rb'"model"\s*:\s*"((?:[^"\\]|\\.){1,512})"')
_clock = time.perf_counter_ns


def watching() -> Recorder | None:
    """The recorder, unless nothing is instrumented, an outer tap already has this call, or somebody asked for silence."""
    recording = recorder.current()
    if recording is None or _busy.get():
        return None
    context = otel_context.get_current()
    return None if any(context.get(key) for key in SUPPRESS_KEYS) else recording


class Attempt:
    """A model call under way: the span, its exchange, and the one end of both.

    Use as a context manager around the client's own call; what it raises ends the attempt.
    """

    __slots__ = ("__weakref__", "_began", "_recorder", "_route", "_tokens", "exchange", "span")

    def __init__(
        self,
        recording: Recorder,
        dialect: Dialect,
        exchange: Exchange,
        host: str,
        traceparent: str | None,
        who: ModelAnswer | ModelRoute | None,
    ) -> None:
        context, native = _parent(traceparent)
        exchange.role = "exchange" if native else "call"
        attributes: dict[str, Any] = {}
        name = exchange.method
        if not native:
            model = (
                recognise.model_of_method(exchange.url)
                or model_in(exchange.request_body)
                or recognise.request_model(b"", exchange.url)
            )
            name = f"{dialect.operation} {model}" if model else dialect.operation
            attributes[names.OPERATION] = dialect.operation
            attributes[names.PROVIDER] = recognise.provider_of(dialect, host)
            if model:
                attributes[names.REQUEST_MODEL] = model
        kind = names.KIND_CLIENT
        self._route: ModelRoute | None = None
        served = isinstance(who, responder.ModelAnswer)
        if isinstance(who, responder.ModelAnswer):
            kind = names.KIND_INTERNAL
            attributes.update(_served(who))
        elif who is not None:
            self._route = who
            attributes[names.EFFECT_SOURCE] = who.source
        self._began = _clock()
        self._recorder = recording
        self.exchange = exchange
        self.span: ActiveSpan = recording.start(name, kind, attributes, context=context, outward=not served)
        self.span.exchange = exchange
        _under_way.add(self)

    def __enter__(self) -> Attempt:
        inner = otel_context.set_value(INFERENCE_KEY, True, self.span.context)
        inner = otel_context.set_value(misses.TAPPED_KEY, True, inner)
        if self._route is not None:
            inner = otel_context.set_value(responder.LIVE_KEY, True, inner)
        self._tokens = (_busy.set(True), otel_context.attach(inner))
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        busy, token = self._tokens
        otel_context.detach(token)
        _busy.reset(busy)
        if error is not None:
            self.failed(error)

    def answered(self, status: int, headers: Headers) -> None:
        """The response's head has come."""
        self.exchange.status = status
        self.exchange.response_headers = headers
        if status >= 400:
            self.span.status = names.STATUS_ERROR

    def received(self, chunk: bytes) -> None:
        """A piece of the body, on its way to the caller."""
        self.exchange.received(chunk, (_clock() - self._began) // 1000)

    def rendered(self, status: int, headers: Headers, body: bytes, answer: ModelAnswer) -> None:
        """The reply came whole (its body decoded), and the caller is given another form of it."""
        kept = [(name, value) for name, value in headers() if name.lower() != "content-encoding"]
        self.answered(status, lambda: kept)
        self.received(body)
        self.exchange.given = answer
        self.ended("complete")

    def failed(self, error: BaseException) -> None:
        """It ended by an exception, which goes on to the caller."""
        self.ended("error" if isinstance(error, Exception) else "cancelled", error)

    def ended(self, outcome: str, error: BaseException | None = None) -> None:
        """It is over; only the first call counts, whoever notices first."""
        with guard("end of a model call", self.span):
            if self.exchange.outcome:
                return
            self.exchange.outcome = outcome
            if error is not None:
                self.span.fail(error)
            _under_way.discard(self)
            self._recorder.end(self.span)
        if self._route is not None and self._route.ended is not None:
            self._route.ended(self.exchange)


_under_way: WeakSet[Attempt] = WeakSet()


def end_all() -> None:
    """Recording ends: so does every attempt, with what has come."""
    for attempt in list(_under_way):
        attempt.ended("dropped")


def begin(
    recording: Recorder,
    dialect: Dialect,
    exchange: Exchange,
    host: str,
    traceparent: str | None,
    who: ModelAnswer | ModelRoute | None = None,
) -> Attempt | None:
    """The attempt, or None where recording it failed: the call goes on without."""
    with guard("start of a model call"):
        return Attempt(recording, dialect, exchange, host, traceparent, who)
    return None


def ask(dialect: Dialect, exchange: Exchange) -> ModelAnswer | ModelRoute | None:
    """Who answers? None: the network. What the responder raises is meant for the agent."""
    answering = responder.current()
    if answering is responder.LIVE:
        return None
    request = responder.ModelRequest(
        dialect.name,
        exchange.method,
        exchange.url,
        tuple(exchange.request_headers()),
        exchange.request_body,
        exchange.transport,
        exchange.lane,
    )
    return answering.model(request)


def routed(exchange: Exchange, route: ModelRoute) -> Exchange:
    """The exchange that is made of a call which goes out in an execution; the same one where nothing is changed."""
    if (route.url, route.body, route.dialect) == (exchange.url, exchange.request_body, exchange.dialect):
        return exchange
    asked = responder.ModelRequest(
        exchange.dialect, exchange.method, exchange.url, (), exchange.request_body, exchange.transport
    )
    return Exchange(
        route.dialect,
        exchange.method,
        route.url,
        lambda: route.headers,
        route.body,
        exchange.transport,
        exchange.lane,
        asked=asked,
    )


def model_in(body: bytes) -> str | None:
    """The model that a request names, looked for from its end, where SDKs put it; never a parse."""
    first = _MODEL_FIRST.match(body)  # or at its start, where the search from the end would go over all of it
    if first:
        return first[1].decode("utf-8", "replace")
    place = body.rfind(b'"model"')
    for _ in range(8):
        if place < 0:
            return None
        if place == 0 or body[place - 1 : place] != b"\\":
            found = _MODEL.match(body, place)
            if found:
                return found[1].decode("utf-8", "replace")
        place = body.rfind(b'"model"', 0, place)
    return None


def _parent(traceparent: str | None) -> tuple[Context, bool]:
    """The context to start under, and whether another model span already stands for this call.

    An SDK may keep its span out of the context and only name it in the header it sends: then that is the parent.
    """
    context = otel_context.get_current()
    current = trace.get_current_span(context)
    if traceparent:
        named = _span_context(traceparent)
        if named is not None and named.span_id != current.get_span_context().span_id:
            return trace.set_span_in_context(NonRecordingSpan(named), context), True
    if context.get(INFERENCE_KEY):
        return context, True
    attributes = getattr(current, "attributes", None)
    return context, bool(attributes) and attributes.get(names.OPERATION) in _INFERENCES


def _span_context(traceparent: str) -> SpanContext | None:
    try:
        _, trace_id, span_id, flags = traceparent.split("-")[:4]
        named = SpanContext(
            int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(int(flags, 16))
        )
    except ValueError:
        return None
    return named if named.is_valid else None


def _served(answer: ModelAnswer) -> dict[str, Any]:
    known = {
        names.EFFECT_SOURCE: answer.source,
        names.SOURCE_RUN_ID: answer.source_run_id,
        names.REPLAY_TIER: answer.tier,
        names.REPLAY_SOURCE_SPAN: answer.source_span_id,
        names.REPLAY_SCORE: answer.score,
    }
    return {key: value for key, value in known.items() if value is not None}
