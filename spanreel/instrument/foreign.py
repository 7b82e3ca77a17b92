"""Spans of other instrumentations, as the values we write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spanreel.wire.spans import Event, Link, Resource, Scope, Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def frozen(span: ReadableSpan, resource: Resource) -> Span:
    """The span as its instrumentation made it, from this process."""
    context, parent, scope = span.get_span_context(), span.parent, span.instrumentation_scope
    assert context is not None
    return Span(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        parent_span_id=f"{parent.span_id:016x}" if parent else None,
        name=span.name,
        kind=span.kind.value + 1,
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        status=span.status.status_code.value,
        status_message=span.status.description or "",
        attributes=dict(span.attributes or {}),
        events=tuple(
            Event(event.name, event.timestamp, dict(event.attributes or {})) for event in span.events
        ),
        links=tuple(
            Link(
                f"{link.context.trace_id:032x}",
                f"{link.context.span_id:016x}",
                attributes=dict(link.attributes or {}),
            )
            for link in span.links
        ),
        resource=resource,
        scope=Scope(scope.name, scope.version or "", _plain(scope.attributes), scope.schema_url or "")
        if scope
        else Scope(),
        dropped_attributes=span.dropped_attributes,
        dropped_events=span.dropped_events,
        dropped_links=span.dropped_links,
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return dict(attributes or {})
