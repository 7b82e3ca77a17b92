"""Spans as the bytes of an `ExportTraceServiceRequest`. Runs on the exporting thread; must not interpret."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Status
from opentelemetry.proto.trace.v1.trace_pb2 import Span as ProtoSpan

from spanreel.instrument.prefixes import Bodies
from spanreel.wire import attributes as names
from spanreel.wire.spans import Resource, Scope, Span

_INT64 = 1 << 63
SHORT = 64  # characters of a text that is likely to come again


def request_bytes(spans: Iterable[Span]) -> bytes:
    """One request with all the spans, grouped by resource and scope as they come."""
    request = ExportTraceServiceRequest()
    group: ScopeSpans | None = None
    last: tuple[Resource, Scope] | None = None
    for span in spans:
        if group is None or last is None or span.resource is not last[0] or span.scope is not last[1]:
            group = _group(request, span)
            last = (span.resource, span.scope)
        group.spans.append(_span(span))
    return request.SerializeToString()


def encodable(span: Span) -> Span | None:
    """The span, if it can be encoded."""
    try:
        whole = with_text(span)
        _span(whole)
    except Exception:  # noqa: BLE001 - protobuf refuses in many ways; the caller says what it cost
        return None
    return whole


def with_text(span: Span) -> Span:
    """The span with its bodies as the convention wants them: a string where they are UTF-8, else bytes."""
    attributes = dict(span.attributes)
    for name in names.BODIES:
        body = attributes.get(name)
        if isinstance(body, bytes):
            attributes[name] = _textual(body)
    return replace(span, attributes=attributes)


def with_base(span: Span, bodies: Bodies) -> Span:
    """The same, its request given as what it does not share with an earlier one, where that saves something."""
    body = span.attributes.get(names.HTTP_REQUEST_BODY)
    if not isinstance(body, bytes):
        return with_text(span)
    kind = f"{span.attributes.get(names.WIRE_DIALECT)} {span.attributes.get(names.URL_FULL)}"
    shared = bodies.shared(kind, body)
    bodies.written(kind, span.span_id, body)
    if shared is None:
        return with_text(span)
    base = {
        names.HTTP_REQUEST_BODY: body[shared.length : len(body) - shared.end],
        names.WIRE_REQUEST_BASE: f"{shared.base}:{shared.length}" + (f":{shared.end}" if shared.end else ""),
    }
    return with_text(replace(span, attributes={**span.attributes, **base}))


def _textual(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _group(request: ExportTraceServiceRequest, span: Span) -> ScopeSpans:
    resource: ResourceSpans = request.resource_spans.add(schema_url=span.resource.schema_url)
    resource.resource.attributes.extend(_attributes(span.resource.attributes))
    group: ScopeSpans = resource.scope_spans.add(schema_url=span.scope.schema_url)
    group.scope.name = span.scope.name
    group.scope.version = span.scope.version
    group.scope.attributes.extend(_attributes(span.scope.attributes))
    return group


def _span(span: Span) -> ProtoSpan:
    proto = ProtoSpan(
        trace_id=bytes.fromhex(span.trace_id),
        span_id=bytes.fromhex(span.span_id),
        parent_span_id=bytes.fromhex(span.parent_span_id) if span.parent_span_id else b"",
        trace_state=span.trace_state,
        flags=span.flags,
        name=_text(span.name),
        kind=span.kind,  # pyright: ignore[reportArgumentType] - the enum's number
        start_time_unix_nano=span.start_ns,
        end_time_unix_nano=span.end_ns,
        attributes=_attributes(span.attributes),
        dropped_attributes_count=span.dropped_attributes,
        dropped_events_count=span.dropped_events,
        dropped_links_count=span.dropped_links,
        status=Status(code=span.status, message=_text(span.status_message)),  # pyright: ignore[reportArgumentType] - the enum's number
    )
    for event in span.events:
        proto.events.add(
            name=_text(event.name), time_unix_nano=event.time_ns, attributes=_attributes(event.attributes)
        )
    for link in span.links:
        proto.links.add(
            trace_id=bytes.fromhex(link.trace_id),
            span_id=bytes.fromhex(link.span_id),
            trace_state=link.trace_state,
            attributes=_attributes(link.attributes),
            flags=link.flags,
        )
    return proto


def _attributes(attributes: Mapping[str, Any]) -> list[KeyValue]:
    return [(_known if _recurs(value) else _pair)(key, value) for key, value in attributes.items()]


def _recurs(value: Any) -> bool:
    return len(value) <= SHORT if type(value) is str else type(value) is bool or type(value) is int


def _pair(key: str, value: Any) -> KeyValue:
    return KeyValue(key=key, value=_value(value))


_known = lru_cache(maxsize=1024, typed=True)(_pair)
"""Most of a span's short attributes are those of the span before; protobuf copies them into the message."""


def _value(value: Any) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=_text(value))
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value) if -_INT64 <= value < _INT64 else AnyValue(string_value=str(value))
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, Mapping):
        pairs = [KeyValue(key=str(key), value=_value(inner)) for key, inner in value.items()]
        return AnyValue(kvlist_value=KeyValueList(values=pairs))
    if isinstance(value, Sequence):
        return AnyValue(array_value=ArrayValue(values=[_value(inner) for inner in value]))
    return AnyValue() if value is None else AnyValue(string_value=_text(str(value)))


def _text(text: str) -> str:
    """Protobuf refuses lone surrogates; they are kept visible."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
