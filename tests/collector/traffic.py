"""Spans and requests the collector's tests send."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList

from spanreel.wire.spans import Scope, Span, Value

TRACE = "5b8efff798038103d269b633813fc60c"
SCOPE = Scope("tests")


def span(number: int = 1, trace_id: str = TRACE, **fields: Any) -> Span:
    """A chat span with an id made from the number."""
    given: dict[str, Any] = {
        "name": "chat gpt-5", "kind": 3, "start_ns": 1_763_700_000_000_000_000 + number, "end_ns": 1_763_700_001_000_000_000 + number,
        "attributes": {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5"}, "scope": SCOPE,
    }  # fmt: skip
    return Span(trace_id=trace_id, span_id=f"{number:016x}", **(given | fields))


def any_value(value: Value) -> AnyValue:
    """A value as protobuf."""
    if value is None:
        return AnyValue()
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, str):
        return AnyValue(string_value=value)
    if isinstance(value, bytes):
        return AnyValue(bytes_value=value)
    if isinstance(value, dict):
        return AnyValue(
            kvlist_value=KeyValueList(
                values=[KeyValue(key=key, value=any_value(item)) for key, item in value.items()]
            )
        )
    return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))


def request(spans: Sequence[Span]) -> bytes:
    """The spans as one protobuf ExportTraceServiceRequest, every field in it."""
    message = ExportTraceServiceRequest()
    for item in spans:
        group = message.resource_spans.add(schema_url=item.resource.schema_url)
        _fill(group.resource.attributes, item.resource.attributes)
        scoped = group.scope_spans.add(schema_url=item.scope.schema_url)
        scoped.scope.name, scoped.scope.version = item.scope.name, item.scope.version
        _fill(scoped.scope.attributes, item.scope.attributes)
        made = scoped.spans.add(
            trace_id=bytes.fromhex(item.trace_id), span_id=bytes.fromhex(item.span_id), parent_span_id=bytes.fromhex(item.parent_span_id or ""),
            name=item.name, kind=item.kind, start_time_unix_nano=item.start_ns, end_time_unix_nano=item.end_ns,
            trace_state=item.trace_state, flags=item.flags, dropped_attributes_count=item.dropped_attributes,
            dropped_events_count=item.dropped_events, dropped_links_count=item.dropped_links,
        )  # fmt: skip
        made.status.code, made.status.message = item.status, item.status_message
        _fill(made.attributes, item.attributes)
        for event in item.events:
            _fill(
                made.events.add(
                    name=event.name,
                    time_unix_nano=event.time_ns,
                    dropped_attributes_count=event.dropped_attributes,
                ).attributes,
                event.attributes,
            )
        for link in item.links:
            added = made.links.add(trace_id=bytes.fromhex(link.trace_id), span_id=bytes.fromhex(link.span_id), trace_state=link.trace_state,
                                   dropped_attributes_count=link.dropped_attributes, flags=link.flags)  # fmt: skip
            _fill(added.attributes, link.attributes)
    return message.SerializeToString()


def _fill(target: Any, attributes: Any) -> None:
    target.extend(KeyValue(key=key, value=any_value(value)) for key, value in attributes.items())


def history(length: int, words: int = 20) -> list[dict[str, Any]]:
    """Messages of a conversation, each unlike the others."""
    return [
        {
            "role": "user" if i % 2 == 0 else "assistant",
            "content": " ".join(f"word{i * words + j}é" for j in range(words)),
        }
        for i in range(length)
    ]


def conversation(turns: int, trace_id: str = TRACE, style: Any = json.dumps, first: int = 1) -> list[Span]:
    """A chat span a turn, each with the whole history so far, as attribute and as wire body."""
    messages = history(2 * turns)
    found: list[Span] = []
    for turn in range(turns):
        own = messages[: 2 * turn + 1]
        attributes = {
            "gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-5", "gen_ai.input.messages": style(own),
            "http.request.body.content": style({"model": "gpt-5", "messages": own, "temperature": turn / 10, "stream": False}),
        }  # fmt: skip
        found.append(span(first + turn, trace_id, attributes=attributes))
    return found
