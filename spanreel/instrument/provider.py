"""The tracer provider of this process: the application's, which is joined, or ours where it has none."""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource as SdkResource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from spanreel.instrument import process, recorder
from spanreel.instrument.exporting import Batches, Listening, otlp_exporter
from spanreel.instrument.guard import guard
from spanreel.wire import attributes as names
from spanreel.wire.spans import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

    from spanreel.instrument.settings import Settings

_CALLS = frozenset({"chat", "generate_content", "text_completion", "embeddings", "execute_tool"})
_own: TracerProvider | None = None
"""Ours, once made: the global provider can be set only once in a process."""


class Provided:
    """The provider, as recording uses it.

    Attributes:
        tracer: makes the spans that go outward; None where nobody but the recording listens.
        resource: this process, as every recorded span names it.
    """

    def __init__(self, asked: Settings, version: str, take: Callable[[ReadableSpan], None]) -> None:
        self._listening = Listening(take)
        joined = _joined()
        provider: Any = joined or _ours(asked)
        self._batches = self._outward(asked, joined=joined is not None)
        provider.add_span_processor(self._listening)
        if self._batches is not None:
            provider.add_span_processor(self._batches)
        outward = joined is not None or self._batches is not None
        self.tracer: Tracer | None = provider.get_tracer(names.SCOPE, version) if outward else None
        self.resource = _resource(getattr(provider, "resource", None), asked.service_name)
        self._settings = asked

    def flush(self, timeout_s: float) -> None:
        """Send what waits for the endpoint."""
        if self._batches is not None:
            self._batches.force_flush(int(timeout_s * 1000))

    def close(self) -> None:
        """Send what waits, and hear nothing more; the provider stays as it is."""
        self._listening.silence()
        if self._batches is not None:
            self._batches.shutdown()

    def before_fork(self) -> None:
        """Let our exporter's thread come to a rest."""
        if self._batches is not None:
            self._batches.before_fork()

    def after_fork(self) -> None:
        """In the parent: go on."""
        if self._batches is not None:
            self._batches.after_fork()

    def forked(self) -> None:
        """In the child: a process of its own."""
        self.resource = _resource(self.resource, None)
        if self._batches is not None:
            self._batches.forked()

    def _outward(self, asked: Settings, *, joined: bool) -> Batches | None:
        """Our exporter. An application with a provider sends by its own, unless the call named an endpoint."""
        if not asked.outward or (joined and not asked.endpoint):
            return None
        return Batches(lambda: otlp_exporter(asked.endpoint, asked.protocol), only_ours=joined)


def _joined() -> Any:
    """The provider that the application configured, of the SDK or like it; None: it has none."""
    provider: Any = trace.get_tracer_provider()
    return provider if provider is not _own and hasattr(provider, "add_span_processor") else None


def _ours(asked: Settings) -> TracerProvider:
    global _own
    if _own is None:
        service = {names.SERVICE_NAME: asked.service_name} if asked.service_name else {}
        _own = _Own(resource=SdkResource.create(service), shutdown_on_exit=False)
        trace.set_tracer_provider(_own)
    return _own


class _Own(TracerProvider):
    """Ours. A call that another instrumentation reports and that has no parent belongs to the process's run, as ours do.

    Only calls: a request that came in, or an agent, is a run of its own.
    """

    def get_tracer(self, *args: Any, **kwargs: Any) -> Tracer:
        tracer = super().get_tracer(*args, **kwargs)
        start = tracer.start_span

        def start_span(
            name: str, context: Context | None = None, *rest: Any, attributes: Any = None, **more: Any
        ) -> Any:
            # positional arguments are kind and attributes, in this order
            told = attributes if attributes is not None else rest[1] if len(rest) > 1 else None
            if attributes is not None:
                more["attributes"] = attributes
            return start(name, _adopted(context, told), *rest, **more)

        tracer.start_span = start_span
        return tracer


def _adopted(context: Context | None, told: Any) -> Context | None:
    """The context of the process's run, where a call would be a trace of its own."""
    if recorder.current() is None or not told or told.get(names.OPERATION) not in _CALLS:
        return context
    with guard("finding the run of another instrumentation's call"):
        if not trace.get_current_span(context).get_span_context().is_valid:
            return process.process_context() or context
    return context


def _resource(known: Any, service_name: str | None) -> Resource:
    """The provider's resource, with this process in it."""
    values: dict[str, Any] = (
        dict(known.attributes) if known is not None else dict(SdkResource.create().attributes)
    )
    if service_name:
        values[names.SERVICE_NAME] = service_name
    values[names.SERVICE_INSTANCE] = str(uuid.uuid4())
    values[names.PROCESS_PID] = os.getpid()
    return Resource(values)
