"""Spans that are under way in this process, and the recorder that takes them when they end.

The call path does three things: allocate ids (an OpenTelemetry span, so that everything else in the
application nests under it), keep references, enqueue. Encoding, redaction and writing happen on the
exporting thread, except for what must be on file before control returns.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags

from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

    from spanreel.instrument.exchange import Exchange
    from spanreel.wire.spans import Link

RUN_KEY = otel_context.create_key("spanreel-run")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
generation = 0
_KINDS = {kind.value + 1: kind for kind in SpanKind}


class ActiveSpan:
    """A span between its start and its end. Times in nanoseconds since the epoch.

    `otel` is the span that the application's provider sees; None for what must not go outward.
    `generation` is the process that started it: after a fork the child does not end its parent's spans.
    `parent_otel_id` etc. are ints as OpenTelemetry keeps them; the exporting thread turns them to hex.
    """

    __slots__ = (
        "__weakref__", "_done", "attributes", "context", "end_ns", "error", "events", "exchange", "generation",
        "kind", "links", "name", "otel", "parent_span_id", "run_id", "span_id", "start_ns", "status",
        "status_message", "trace_id",
    )  # fmt: skip

    def __init__(
        self, name: str, kind: int, context: Context, otel: OtelSpan | None, span_context: SpanContext, parent: SpanContext, start_ns: int,
        attributes: dict[str, Any], run_id: str | None,
    ) -> None:  # fmt: skip
        self.name = name
        self.kind = kind
        self.context = context
        self.otel = otel
        self.trace_id = span_context.trace_id
        self.span_id = span_context.span_id
        self.parent_span_id = parent.span_id if parent.is_valid else None
        self.start_ns = start_ns
        self.end_ns = 0
        self.attributes = attributes
        self.events: list[tuple[str, int, dict[str, Any]]] = []
        self.links: list[Link] = []
        self.generation = generation
        self.status = names.STATUS_UNSET
        self.status_message = ""
        self.error: BaseException | None = None
        self.exchange: Exchange | None = None
        self.run_id = run_id
        self._done = threading.Lock()

    def first_end(self) -> bool:
        """True for the first caller only: a span ends exactly once, whoever notices first."""
        return self._done.acquire(blocking=False)

    def fail(self, error: BaseException) -> None:
        """Remember the exception that ended it; its text is read later, under the capture level."""
        self.error = error
        self.status = names.STATUS_ERROR


class SpanStarter:
    """Starts spans under the current context.

    Args:
        tracer: of the application's provider, or of ours; None where nobody but the recording listens.
        orphan_context: called for an effect that has no parent at all; gives the context of the process's own run.
        outward_at_start: the attributes that samplers may look at, and that are no content.
        clean: blanks secrets in what goes outward at once: name and those attributes.
    """

    def __init__(
        self,
        tracer: Tracer | None,
        orphan_context: Callable[[], Context | None],
        outward_at_start: frozenset[str] = frozenset(),
        clean: Callable[[str], str] = str,
    ) -> None:
        self._tracer = tracer
        self._orphan_context = orphan_context
        self._outward_at_start = outward_at_start
        self._clean = clean

    def start(
        self, name: str, kind: int, attributes: dict[str, Any], *, context: Context | None = None, root: bool = False, outward: bool = True
    ) -> ActiveSpan:  # fmt: skip
        """A new span. `root` starts a run of its own where there is none; `outward=False` keeps it from the provider."""
        context = otel_context.get_current() if context is None else context
        parent = trace.get_current_span(context).get_span_context()
        if not parent.is_valid and not root:
            adopted = self._orphan_context()
            if adopted is not None:
                context = adopted
                parent = trace.get_current_span(context).get_span_context()
        start_ns = time.time_ns()
        otel = self._start_outward(name, kind, attributes, context, parent, start_ns) if outward else None
        span_context = otel.get_span_context() if otel is not None else _new_context(parent)
        run_id = context.get(RUN_KEY)
        new = trace.set_span_in_context(otel if otel is not None else NonRecordingSpan(span_context), context)
        return ActiveSpan(
            name,
            kind,
            new,
            otel,
            span_context,
            parent,
            start_ns,
            attributes,
            run_id if isinstance(run_id, str) else None,
        )

    def _start_outward(
        self,
        name: str,
        kind: int,
        attributes: dict[str, Any],
        context: Context,
        parent: SpanContext,
        start_ns: int,
    ) -> OtelSpan | None:
        """The provider's span, or None where the provider makes none of its own (switched off)."""
        if self._tracer is None:
            return None
        early = {key: attributes[key] for key in self._outward_at_start & attributes.keys()}
        early = {key: self._clean(value) if isinstance(value, str) else value for key, value in early.items()}
        otel = self._tracer.start_span(self._clean(name), context, _KINDS[kind], early, start_time=start_ns)
        made = otel.get_span_context()
        return otel if made.is_valid and made.span_id != parent.span_id else None


def forked() -> None:
    """We are the child now: what was under way belongs to the parent."""
    global generation
    generation += 1


def _new_context(parent: SpanContext) -> SpanContext:
    """Ids of our own. Sampled unless the parent says no, so that spans of others below it are recorded."""
    if parent.is_valid:
        flags, state = parent.trace_flags, parent.trace_state
        return SpanContext(
            parent.trace_id, _random(64), is_remote=False, trace_flags=flags, trace_state=state
        )
    return SpanContext(_random(128), _random(64), is_remote=False, trace_flags=_SAMPLED)


def _random(bits: int) -> int:
    return random.getrandbits(bits) or 1
