"""Whatever a caller has in hand -> wire spans: wire spans, OpenTelemetry SDK spans, OTLP/JSON objects.

Quiet: SDK spans are known by their shape, so that nothing of opentelemetry is imported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spanreel.exceptions import BadInput
from spanreel.wire import otlp
from spanreel.wire.spans import Event, Link, Resource, Scope, Span, Value

REMEDY = "give wire spans, OpenTelemetry SDK spans (ReadableSpan), or OTLP/JSON objects"


def wire_spans(found: Iterable[Any]) -> list[Span]:
    """The spans in a list of spans or of OTLP/JSON objects; one such object alone does as well.

    Raises:
        BadInput: something in the list is not a span.
    """
    if isinstance(found, Mapping):
        found = [found]
    return [span for index, item in enumerate(found) for span in _spans(item, index)]


def _spans(item: Any, index: int) -> list[Span]:
    if isinstance(item, Span):
        return [item]
    if isinstance(item, Mapping):
        document = dict(item)
        if otlp.is_traces(document):
            return otlp.decode(document)
        return otlp.decode({"resourceSpans": [{"scopeSpans": [{"spans": [document]}]}]})
    if callable(getattr(item, "get_span_context", None)) and hasattr(item, "start_time"):
        return [_from_sdk(item)]
    raise BadInput(f"item {index} of the list is a {type(item).__name__}, not a span", REMEDY)


def _from_sdk(span: Any) -> Span:
    context = span.get_span_context()
    parent = getattr(span, "parent", None)
    scope = getattr(span, "instrumentation_scope", None)
    resource = getattr(span, "resource", None)
    return Span(
        trace_id=f"{context.trace_id:032x}",
        span_id=f"{context.span_id:016x}",
        name=span.name,
        parent_span_id=f"{parent.span_id:016x}" if parent else None,
        kind=span.kind.value + 1,  # the SDK counts from INTERNAL = 0, OTLP from UNSPECIFIED = 0
        start_ns=span.start_time or 0,
        end_ns=span.end_time or 0,
        status=span.status.status_code.value,
        status_message=span.status.description or "",
        attributes=_attributes(span.attributes),
        events=tuple(
            Event(event.name, event.timestamp, _attributes(event.attributes)) for event in span.events
        ),
        links=tuple(
            Link(
                f"{link.context.trace_id:032x}",
                f"{link.context.span_id:016x}",
                attributes=_attributes(link.attributes),
            )
            for link in span.links
        ),
        resource=Resource(_attributes(resource.attributes), resource.schema_url or "")
        if resource
        else Resource(),
        scope=Scope(scope.name, scope.version or "", schema_url=scope.schema_url or "") if scope else Scope(),
    )


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, Value]:
    return {name: _value(value) for name, value in (attributes or {}).items()}


def _value(value: Any) -> Value:
    if isinstance(value, Mapping):
        return {str(name): _value(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_value(inner) for inner in value]
    return value
