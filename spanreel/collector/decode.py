"""OTLP bytes into spans: protobuf and JSON requests, with the limits that protect the collector.

It must not store or receive anything. Parsing protobuf is cheap; touching attributes from Python is not. So the request
is parsed with a schema of the same wire format in which an attribute is plain bytes: small attributes, which repeat
from span to span, are decoded once and looked up by their bytes, and a long text is sliced out of its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from spanreel.exceptions import BadInput
from spanreel.wire import otlp
from spanreel.wire.anyvalue import NANOS_MAX
from spanreel.wire.spans import Attributes, Event, Link, Resource, Scope, Span, Value

MAX_SPANS: Final = 100_000
"""Spans in one request."""
MAX_ATTRIBUTES: Final = 10_000
"""Attributes of one span, event or link; emitters that flatten messages into attributes write hundreds."""
_SMALL: Final = 128  # bytes of an attribute that is kept decoded
_KEPT: Final = 50_000
_REMEDY: Final = "send an OTLP ExportTraceServiceRequest"


@dataclass(frozen=True, slots=True)
class Decoded:
    """The spans of a request, and one line for each that had to be left out."""

    spans: list[Span]
    rejected: list[str] = field(default_factory=list[str])


def decode(body: bytes) -> Decoded:
    """The spans of a protobuf `ExportTraceServiceRequest`.

    Raises:
        BadInput: the bytes are no such message, or hold more spans than one request may.
    """
    return _Decoder().request(body)


def decode_json(body: bytes) -> Decoded:
    """The spans of an OTLP/JSON request.

    Raises:
        BadInput: the bytes are not JSON, the JSON is not OTLP, or it goes beyond a limit.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is not JSON ({error})", _REMEDY) from None
    rejected: list[str] = []
    spans = otlp.decode(document, rejected)
    kept: list[Span] = []
    if len(spans) > MAX_SPANS:
        raise _too_many(len(spans))
    for span in spans:
        fault = _too_wide(span)
        if fault:
            rejected.append(fault)
        else:
            kept.append(span)
    return Decoded(kept, rejected)


def _too_many(count: int) -> BadInput:
    return BadInput(f"{count:,} spans in one request; the limit is {MAX_SPANS:,}", "send smaller batches")


def _too_wide(span: Span) -> str | None:
    widest = max([len(span.attributes), *(len(item.attributes) for item in (*span.events, *span.links))])
    if widest > MAX_ATTRIBUTES:
        return f"span {span.span_id}: {widest:,} attributes; the limit is {MAX_ATTRIBUTES:,}"
    return None


@cache
def _request_class() -> Any:
    """`ExportTraceServiceRequest` with the parts that repeat declared as bytes."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="spanreel/request.proto", package="spanreel.request", syntax="proto3"
    )

    def message(name: str, *members: tuple[str, int, Any, bool, str]) -> None:
        made = file.message_type.add(name=name)
        for member, number, kind, repeated, of in members:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            declared = made.field.add(name=member, number=number, type=kind, label=label)
            if of:
                declared.type_name = f".spanreel.request.{of}"

    nested, data, text = kinds.TYPE_MESSAGE, kinds.TYPE_BYTES, kinds.TYPE_STRING
    fixed, count, enum = kinds.TYPE_FIXED64, kinds.TYPE_UINT32, kinds.TYPE_INT32
    message("Request", ("resource_spans", 1, nested, True, "ResourceSpans"))
    message(
        "ResourceSpans",
        ("resource", 1, data, False, ""),
        ("scope_spans", 2, nested, True, "ScopeSpans"),
        ("schema_url", 3, text, False, ""),
    )
    message(
        "ScopeSpans",
        ("scope", 1, data, False, ""),
        ("spans", 2, nested, True, "Span"),
        ("schema_url", 3, text, False, ""),
    )
    message(
        "Span",
        ("trace_id", 1, data, False, ""), ("span_id", 2, data, False, ""), ("trace_state", 3, text, False, ""),
        ("parent_span_id", 4, data, False, ""), ("name", 5, text, False, ""), ("kind", 6, enum, False, ""),
        ("start_time_unix_nano", 7, fixed, False, ""), ("end_time_unix_nano", 8, fixed, False, ""),
        ("attributes", 9, data, True, ""), ("dropped_attributes_count", 10, count, False, ""), ("events", 11, data, True, ""),
        ("dropped_events_count", 12, count, False, ""), ("links", 13, data, True, ""),
        ("dropped_links_count", 14, count, False, ""), ("status", 15, data, False, ""), ("flags", 16, kinds.TYPE_FIXED32, False, ""),
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)  # pyright: ignore[reportAttributeAccessIssue]
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("spanreel.request.Request"))


class _BadSpan(ValueError):
    """One span cannot be kept."""


_attributes_seen: dict[bytes, tuple[str, Value]] = {}
_resources_seen: dict[tuple[bytes, str], Resource] = {}
_scopes_seen: dict[tuple[bytes, str], Scope] = {}


class _Decoder:
    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.rejected: list[str] = []

    def request(self, body: bytes) -> Decoded:
        try:
            request = _request_class().FromString(body)
            total = sum(len(scoped.spans) for group in request.resource_spans for scoped in group.scope_spans)
            if total > MAX_SPANS:
                raise _too_many(total)
            for group in request.resource_spans:
                resource = _resource(group.resource, group.schema_url)
                for scoped in group.scope_spans:
                    scope = _scope(scoped.scope, scoped.schema_url)
                    for item in scoped.spans:
                        self._keep(item, resource, scope)
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(f"the body is not OTLP protobuf ({error})", _REMEDY) from None
        return Decoded(self.spans, self.rejected)

    def _keep(self, item: Any, resource: Resource, scope: Scope) -> None:
        try:
            self.spans.append(_span(item, resource, scope))
        except (_BadSpan, DecodeError, UnicodeDecodeError) as fault:
            self.rejected.append(f"span {bytes(item.span_id).hex() or '?'}: {fault}")


def _span(item: Any, resource: Resource, scope: Scope) -> Span:
    trace_id, span_id, parent = item.trace_id, item.span_id, item.parent_span_id
    if len(trace_id) != 16 or not any(trace_id):
        raise _BadSpan("the trace id is not 16 bytes, or all zero")
    if len(span_id) != 8 or not any(span_id):
        raise _BadSpan("the span id is not 8 bytes, or all zero")
    if parent and len(parent) != 8:
        raise _BadSpan("the parent's id is not 8 bytes")
    start, end = item.start_time_unix_nano, item.end_time_unix_nano
    if start > NANOS_MAX or end > NANOS_MAX:
        raise _BadSpan("a time is out of range")
    status = trace_pb2.Status.FromString(item.status) if item.status else None
    code = int(status.code) if status is not None else 0
    return Span(
        trace_id.hex(),
        span_id.hex(),
        item.name,
        parent.hex() if parent and any(parent) else None,
        item.kind if 0 <= item.kind <= 5 else 0,
        start,
        end,
        code if code in (1, 2) else 0,
        status.message if status is not None else "",
        _attributes(item.attributes),
        tuple(_event(raw) for raw in item.events) if item.events else (),
        tuple(_link(raw) for raw in item.links) if item.links else (),
        resource,
        scope,
        item.trace_state,
        item.flags,
        item.dropped_attributes_count,
        item.dropped_events_count,
        item.dropped_links_count,
    )


def _attributes(pairs: Sequence[bytes]) -> Attributes:
    if len(pairs) > MAX_ATTRIBUTES:
        raise _BadSpan(f"{len(pairs):,} attributes; the limit is {MAX_ATTRIBUTES:,}")
    return dict(map(_attribute, pairs))


def _attribute(raw: bytes) -> tuple[str, Value]:
    """One KeyValue message."""
    known = _attributes_seen.get(raw)
    if known is not None:
        return known
    if len(raw) >= _SMALL:
        return _long_text(raw) or _parsed(raw)
    if len(_attributes_seen) > _KEPT:
        _attributes_seen.clear()
    known = _attributes_seen[raw] = _parsed(raw)
    return known


def _long_text(raw: bytes) -> tuple[str, Value] | None:
    """A KeyValue that is key, then a text as value, in the plainest encoding; None for any other."""
    if raw[0] != 0x0A or raw[1] >= 128:
        return None
    at = 2 + raw[1]
    key = raw[2:at]
    if raw[at : at + 1] != b"\x12":
        return None
    size, at = _varint(raw, at + 1)
    if at + size != len(raw) or raw[at] != 0x0A:
        return None
    size, at = _varint(raw, at + 1)
    return (key.decode(), raw[at:].decode()) if at + size == len(raw) else None


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(at, min(at + 10, len(raw))):
        value |= (raw[index] & 127) << shift
        if raw[index] < 128:
            return value, index + 1
        shift += 7
    return -1, at


def _parsed(raw: bytes) -> tuple[str, Value]:
    pair = common_pb2.KeyValue.FromString(raw)
    return pair.key, _any_value(pair.value)


def _any_value(value: common_pb2.AnyValue) -> Value:
    which = value.WhichOneof("value")
    if which is None:
        return None
    if which == "array_value":
        return [_any_value(item) for item in value.array_value.values]
    if which == "kvlist_value":
        return {pair.key: _any_value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, which)


def _pairs(listed: Any) -> Attributes:
    if len(listed) > MAX_ATTRIBUTES:
        raise _BadSpan(f"{len(listed):,} attributes; the limit is {MAX_ATTRIBUTES:,}")
    return {pair.key: _any_value(pair.value) for pair in listed}


def _event(raw: bytes) -> Event:
    event = trace_pb2.Span.Event.FromString(raw)
    return Event(
        event.name,
        min(event.time_unix_nano, NANOS_MAX),
        _pairs(event.attributes),
        event.dropped_attributes_count,
    )


def _link(raw: bytes) -> Link:
    link = trace_pb2.Span.Link.FromString(raw)
    if len(link.trace_id) != 16 or len(link.span_id) != 8:
        raise _BadSpan("a link's ids are not 16 and 8 bytes")
    attributes = _pairs(link.attributes)
    return Link(
        link.trace_id.hex(),
        link.span_id.hex(),
        link.trace_state,
        attributes,
        link.dropped_attributes_count,
        link.flags,
    )


def _resource(raw: bytes, schema_url: str) -> Resource:
    key = (raw, schema_url)
    known = _resources_seen.get(key)
    if known is None:
        if len(_resources_seen) > 1000:
            _resources_seen.clear()
        known = _resources_seen[key] = Resource(
            _pairs(resource_pb2.Resource.FromString(raw).attributes), schema_url
        )
    return known


def _scope(raw: bytes, schema_url: str) -> Scope:
    key = (raw, schema_url)
    known = _scopes_seen.get(key)
    if known is None:
        if len(_scopes_seen) > 1000:
            _scopes_seen.clear()
        found = common_pb2.InstrumentationScope.FromString(raw)
        known = _scopes_seen[key] = Scope(found.name, found.version, _pairs(found.attributes), schema_url)
    return known
