"""An active span as the frozen value that is written. Runs when the span ends; must not touch the network or a file."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from spanreel.instrument import http_span
from spanreel.wire import attributes as names
from spanreel.wire.spans import Event, Resource, Scope, Span

if TYPE_CHECKING:
    from spanreel.instrument.tracing import ActiveSpan


def frozen(span: ActiveSpan, resource: Resource, scope: Scope, *, opened: bool = False) -> Span:
    """The span as it stands: everything it knows, nothing hidden yet."""
    attributes = dict(span.attributes)
    if span.exchange is not None and not opened:
        for key, value in http_span.attributes(span.exchange).items():
            attributes.setdefault(key, value)
    if span.run_id:
        attributes.setdefault(names.RUN_ID, span.run_id)
    if opened:
        attributes[names.OPEN] = True
    events = [Event(name, time_ns, dict(values)) for name, time_ns, values in span.events]
    message = span.status_message
    if span.error is not None:
        attributes.setdefault(names.ERROR_TYPE, error_type(span.error))
        text = error_text(span.error)
        if span.exchange is None:
            message = message or text
            events.append(_exception(span))
        else:
            attributes[names.WIRE_ERROR] = text
    return Span(
        trace_id=f"{span.trace_id:032x}",
        span_id=f"{span.span_id:016x}",
        parent_span_id=f"{span.parent_span_id:016x}" if span.parent_span_id else None,
        name=span.name,
        kind=span.kind,
        start_ns=span.start_ns,
        end_ns=0 if opened else span.end_ns,
        status=span.status,
        status_message=message,
        attributes=attributes,
        events=tuple(events),
        links=tuple(span.links),
        resource=resource,
        scope=scope,
    )


def error_type(error: BaseException) -> str:
    """The class's qualified name, without `builtins`."""
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ in ("builtins", None)
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def error_text(error: BaseException) -> str:
    """What the error says; a class whose `str` fails is named instead."""
    try:
        return str(error)
    except Exception as failed:  # noqa: BLE001 - somebody else's __str__
        return f"<{error_type(error)}: str() raised {type(failed).__name__}>"


def _exception(span: ActiveSpan) -> Event:
    error = span.error
    assert error is not None
    values: dict[str, Any] = {
        names.EXCEPTION_TYPE: error_type(error),
        names.EXCEPTION_MESSAGE: error_text(error),
        names.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(error, limit=-50)),
    }
    return Event("exception", span.end_ns, values)
