"""Reads back what was recorded, independently of the collector: spool frames, then protobuf."""

from __future__ import annotations

from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from spanreel import location
from spanreel.wire import attributes as names
from spanreel.wire import spool
from spanreel.wire.spans import Event, Link, Span


def spans(store: Path) -> list[Span]:
    """Every span in the spool, in order of writing; request bodies rebuilt from their bases, bodies as bytes."""
    found: list[Span] = []
    for file in sorted(location.spool_folder(store).glob("*")):
        frames = spool.frames(file.read_bytes())
        assert frames.torn_bytes == 0
        for payload in frames.payloads:
            found += decoded(payload)
    return _rebuilt(found)


def decoded(payload: bytes) -> list[Span]:
    """The spans of one `ExportTraceServiceRequest`."""
    return [
        Span(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_span_id=span.parent_span_id.hex() or None,
            name=span.name,
            kind=span.kind,
            start_ns=span.start_time_unix_nano,
            end_ns=span.end_time_unix_nano,
            status=span.status.code,
            status_message=span.status.message,
            attributes={pair.key: _value(pair.value) for pair in span.attributes},
            events=tuple(
                Event(
                    event.name,
                    event.time_unix_nano,
                    {pair.key: _value(pair.value) for pair in event.attributes},
                )
                for event in span.events
            ),
            links=tuple(Link(link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        )
        for resource in ExportTraceServiceRequest.FromString(payload).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def exchanges(store: Path) -> list[Span]:
    """The ended spans of model calls, by start."""
    return sorted(
        (span for span in spans(store) if names.WIRE_DIALECT in span.attributes and span.end_ns),
        key=lambda span: span.start_ns,
    )


def everything_on_disk(folder: Path) -> bytes:
    """All bytes of all files below a folder, and what the frames of the spool unpack to."""
    found = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    return b"".join([*found, *(payload for data in found for payload in spool.frames(data).payloads)])


def _rebuilt(found: list[Span]) -> list[Span]:
    bodies: dict[str, bytes] = {}
    for span in found:
        attributes = dict(span.attributes)
        for name in (names.HTTP_REQUEST_BODY, names.HTTP_RESPONSE_BODY):
            if isinstance(attributes.get(name), str):
                attributes[name] = attributes[name].encode()
        if base := attributes.pop(names.WIRE_REQUEST_BASE, None):
            span_id, first, last = [*base.split(":"), "0"][:3]
            other = bodies[span_id]
            assert len(other) >= int(first) + int(last)
            end = other[len(other) - int(last) :]
            attributes[names.HTTP_REQUEST_BODY] = (
                other[: int(first)] + attributes[names.HTTP_REQUEST_BODY] + end
            )
        if names.HTTP_REQUEST_BODY in attributes:
            bodies[span.span_id] = attributes[names.HTTP_REQUEST_BODY]
        object.__setattr__(span, "attributes", attributes)
    return found


def _value(value: AnyValue) -> object:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(inner) for inner in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _value(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def resources(store: Path) -> list[dict]:
    """The resources that the spool names."""
    payloads = [
        payload
        for file in location.spool_folder(store).glob("*")
        for payload in spool.frames(file.read_bytes()).payloads
    ]
    return [
        {pair.key: _value(pair.value) for pair in group.resource.attributes}
        for payload in payloads
        for group in ExportTraceServiceRequest.FromString(payload).resource_spans
    ]
