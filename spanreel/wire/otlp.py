"""OTLP/JSON both ways: `decode` is lenient, `encode` writes what the OTLP specification asks for.

It must not read files or interpret attributes. Seen in the field and accepted: hex or base64 ids, enum names,
snake_case, 64-bit numbers as strings or numbers, Tempo's `batches`, the old `instrumentationLibrarySpans`, lists of
documents, log records beside the spans. Log records never count as spans: they become events of the span they name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from spanreel.exceptions import BadInput
from spanreel.wire import anyvalue
from spanreel.wire.spans import Event, Link, Resource, Scope, Span, Value

_KINDS: Final = {
    "SPAN_KIND_UNSPECIFIED": 0, "SPAN_KIND_INTERNAL": 1, "SPAN_KIND_SERVER": 2,
    "SPAN_KIND_CLIENT": 3, "SPAN_KIND_PRODUCER": 4, "SPAN_KIND_CONSUMER": 5,
}  # fmt: skip
_STATUSES: Final = {"STATUS_CODE_UNSET": 0, "STATUS_CODE_OK": 1, "STATUS_CODE_ERROR": 2}
_ROOTS: Final = (
    "resourceSpans",
    "resource_spans",
    "batches",
    "resourceLogs",
    "resource_logs",
    "scopeSpans",
    "scope_spans",
)
REMEDY: Final = "give OTLP/JSON: an object with resourceSpans, or one such object a line"


def is_traces(document: Any) -> bool:
    """Whether the JSON value looks like OTLP traces (or logs): an envelope, or a list of envelopes."""
    if isinstance(document, list):
        return bool(document) and all(is_traces(item) for item in cast("list[Any]", document))
    if not isinstance(document, dict):
        return False
    found = cast("dict[str, Any]", document)
    return any(name in found for name in _ROOTS) or is_traces(found.get("trace"))


def decode(document: Any, rejected: list[str] | None = None) -> list[Span]:
    """The spans of an OTLP/JSON value (parsed JSON).

    Args:
        document: an `ExportTraceServiceRequest`, a list of them, or one of the shapes named above.
        rejected: gets one line for every span that had to be left out (bad id, bad time); without it the first such
            span raises.

    Raises:
        BadInput: the value is no OTLP; the message names the place inside the document.
    """
    try:
        return _documents(document, rejected)
    except RecursionError:
        raise BadInput(
            "attribute values nest too deep", f"nest at most {anyvalue.MAX_DEPTH} levels"
        ) from None


def encode(spans: Iterable[Span]) -> dict[str, Any]:
    """The spans as one OTLP/JSON `ExportTraceServiceRequest`, grouped by resource and scope in order of appearance."""
    resources: list[tuple[Resource, list[tuple[Scope, list[Span]]]]] = []
    for span in spans:
        if not resources or resources[-1][0] != span.resource:
            resources.append((span.resource, []))
        scopes = resources[-1][1]
        if not scopes or scopes[-1][0] != span.scope:
            scopes.append((span.scope, []))
        scopes[-1][1].append(span)
    return {"resourceSpans": [_encode_resource(resource, scopes) for resource, scopes in resources]}


def encode_line(span: Span) -> str:
    """One line of a recording file (`*.otlp.jsonl`), without the line end: sorted keys, no spaces."""
    return json.dumps(encode([span]), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


# ------------------------------------------------------------------------------------------------ decoding


def _documents(document: Any, rejected: list[str] | None) -> list[Span]:
    if isinstance(document, list):
        return [span for item in cast("list[Any]", document) for span in _documents(item, rejected)]
    if not isinstance(document, dict) or not is_traces(document):
        raise BadInput("this JSON is not OTLP", REMEDY)
    found = cast("dict[str, Any]", document)
    if is_traces(found.get("trace")):
        return _documents(found["trace"], rejected)
    if "scopeSpans" in found or "scope_spans" in found:
        found = {"resourceSpans": [found]}
    spans: list[Span] = []
    for place, group in _items(found, "resourceSpans", "resource_spans", "batches"):
        resource = _resource(group, place)
        for inner, scoped in _items(
            group, "scopeSpans", "scope_spans", "instrumentationLibrarySpans", place=place
        ):
            scope = _scope(scoped, inner)
            for where, item in _items(scoped, "spans", place=inner):
                try:
                    spans.append(_span(item, resource, scope, where))
                except anyvalue.BadValue as bad:
                    if rejected is None:
                        raise BadInput(f"{where}: {bad}", REMEDY) from None
                    rejected.append(f"{where}: {bad}")
    return _with_logs(spans, found)


def _get(item: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """The field by its JSON name or by its protobuf name."""
    value = item.get(name)
    if value is None:
        value = item.get("".join("_" + letter.lower() if letter.isupper() else letter for letter in name))
    return default if value is None else value


def _items(item: Mapping[str, Any], *names: str, place: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name in names:
        listed = item.get(name)
        if listed is None:
            continue
        where = f"{place}.{name}" if place else name
        if not isinstance(listed, list):
            raise BadInput(f"{where} is not a list", REMEDY)
        for index, entry in enumerate(cast("list[Any]", listed)):
            if not isinstance(entry, dict):
                raise BadInput(f"{where}[{index}] is not an object", REMEDY)
            yield f"{where}[{index}]", cast("dict[str, Any]", entry)
        return


def _object(item: Mapping[str, Any], names: Sequence[str], place: str) -> dict[str, Any]:
    for name in names:
        found = item.get(name)
        if found is not None:
            if not isinstance(found, dict):
                raise BadInput(f"{place}.{name} is not an object", REMEDY)
            return cast("dict[str, Any]", found)
    return {}


def _resource(group: Mapping[str, Any], place: str) -> Resource:
    found = _object(group, ("resource",), place)
    return Resource(
        _checked_attributes(found, f"{place}.resource"), anyvalue.text(_get(group, "schemaUrl", ""))
    )


def _scope(group: Mapping[str, Any], place: str) -> Scope:
    found = _object(group, ("scope", "instrumentationScope", "instrumentationLibrary"), place)
    attributes = _checked_attributes(found, f"{place}.scope")
    return Scope(
        anyvalue.text(found.get("name", "")),
        anyvalue.text(found.get("version", "")),
        attributes,
        anyvalue.text(_get(group, "schemaUrl", "")),
    )


def _checked_attributes(item: Mapping[str, Any], place: str) -> dict[str, Value]:
    try:
        return anyvalue.attributes(item)
    except anyvalue.BadValue as bad:
        raise BadInput(f"{place}: {bad}", REMEDY) from None


def _span(item: Mapping[str, Any], resource: Resource, scope: Scope, place: str) -> Span:
    status = item.get("status")
    found = cast("dict[str, Any]", status) if isinstance(status, dict) else {}
    code = found.get("code", status if isinstance(status, str | int) else 0)
    return Span(
        trace_id=anyvalue.identifier(_get(item, "traceId"), 16, "traceId"),
        span_id=anyvalue.identifier(_get(item, "spanId"), 8, "spanId"),
        parent_span_id=anyvalue.optional_identifier(_get(item, "parentSpanId"), 8, "parentSpanId"),
        name=anyvalue.text(item.get("name", "")),
        kind=anyvalue.enum(item.get("kind", 0), _KINDS, 5, "kind"),
        start_ns=anyvalue.nanos(_get(item, "startTimeUnixNano", 0), "startTimeUnixNano"),
        end_ns=anyvalue.nanos(_get(item, "endTimeUnixNano", 0), "endTimeUnixNano"),
        status=anyvalue.enum(code, _STATUSES, 2, "status.code"),
        status_message=anyvalue.text(found.get("message", "")),
        attributes=anyvalue.attributes(item),
        events=tuple(_event(entry) for _, entry in _items(item, "events", place=place)),
        links=tuple(_link(entry) for _, entry in _items(item, "links", place=place)),
        resource=resource,
        scope=scope,
        trace_state=anyvalue.text(_get(item, "traceState", "")),
        flags=anyvalue.count(item.get("flags", 0)),
        dropped_attributes=anyvalue.count(_get(item, "droppedAttributesCount", 0)),
        dropped_events=anyvalue.count(_get(item, "droppedEventsCount", 0)),
        dropped_links=anyvalue.count(_get(item, "droppedLinksCount", 0)),
    )


def _event(item: Mapping[str, Any]) -> Event:
    time_ns = anyvalue.nanos(_get(item, "timeUnixNano", 0), "event timeUnixNano")
    return Event(
        anyvalue.text(item.get("name", "")),
        time_ns,
        anyvalue.attributes(item),
        anyvalue.count(_get(item, "droppedAttributesCount", 0)),
    )


def _link(item: Mapping[str, Any]) -> Link:
    return Link(
        anyvalue.identifier(_get(item, "traceId"), 16, "link traceId"),
        anyvalue.identifier(_get(item, "spanId"), 8, "link spanId"),
        anyvalue.text(_get(item, "traceState", "")),
        anyvalue.attributes(item),
        anyvalue.count(_get(item, "droppedAttributesCount", 0)),
        anyvalue.count(item.get("flags", 0)),
    )


def _with_logs(spans: list[Span], document: Mapping[str, Any]) -> list[Span]:
    """Log records as events of the spans they name; a record that names no span here says nothing about a run."""
    logs: dict[tuple[str, str], list[Event]] = {}
    for place, group in _items(document, "resourceLogs", "resource_logs"):
        for inner, scoped in _items(group, "scopeLogs", "scope_logs", place=place):
            for _, item in _items(scoped, "logRecords", "log_records", place=inner):
                trace_id, span_id = (
                    anyvalue.id_bytes(_get(item, "traceId"), 16),
                    anyvalue.id_bytes(_get(item, "spanId"), 8),
                )
                if trace_id and span_id:
                    logs.setdefault((trace_id.hex(), span_id.hex()), []).append(_log_event(item))
    if not logs:
        return spans
    return [
        replace(span, events=span.events + tuple(logs.get((span.trace_id, span.span_id), ())))
        for span in spans
    ]


def _log_event(item: Mapping[str, Any]) -> Event:
    try:
        found = anyvalue.attributes(item)
        body = anyvalue.decode_value(item.get("body"), 0)
        time_ns = anyvalue.nanos(
            _get(item, "timeUnixNano", 0) or _get(item, "observedTimeUnixNano", 0), "log time"
        )
    except anyvalue.BadValue as bad:
        raise BadInput(f"a log record cannot be read: {bad}", REMEDY) from None
    if body is not None:
        found["body"] = body
    name = _get(item, "eventName") or found.get("event.name") or ""
    return Event(
        anyvalue.text(name), int(time_ns), found, anyvalue.count(_get(item, "droppedAttributesCount", 0))
    )


# ------------------------------------------------------------------------------------------------ encoding


def _encode_resource(resource: Resource, scopes: list[tuple[Scope, list[Span]]]) -> dict[str, Any]:
    return _sparse(
        resource=_sparse(attributes=anyvalue.encode_attributes(resource.attributes)),
        schemaUrl=resource.schema_url,
        scopeSpans=[_encode_scope(scope, spans) for scope, spans in scopes],
    )


def _encode_scope(scope: Scope, spans: list[Span]) -> dict[str, Any]:
    named = _sparse(
        name=scope.name, version=scope.version, attributes=anyvalue.encode_attributes(scope.attributes)
    )
    return _sparse(scope=named, schemaUrl=scope.schema_url, spans=[_encode_span(span) for span in spans])


def _encode_span(span: Span) -> dict[str, Any]:
    return _sparse(
        traceId=span.trace_id,
        spanId=span.span_id,
        parentSpanId=span.parent_span_id,
        name=span.name,
        kind=span.kind,
        startTimeUnixNano=str(span.start_ns) if span.start_ns else None,
        endTimeUnixNano=str(span.end_ns) if span.end_ns else None,
        status=_sparse(code=span.status, message=span.status_message),
        attributes=anyvalue.encode_attributes(span.attributes),
        events=[_encode_event(event) for event in span.events],
        links=[_encode_link(link) for link in span.links],
        traceState=span.trace_state,
        flags=span.flags,
        droppedAttributesCount=span.dropped_attributes,
        droppedEventsCount=span.dropped_events,
        droppedLinksCount=span.dropped_links,
    )


def _encode_event(event: Event) -> dict[str, Any]:
    return _sparse(
        name=event.name,
        timeUnixNano=str(event.time_ns) if event.time_ns else None,
        attributes=anyvalue.encode_attributes(event.attributes),
        droppedAttributesCount=event.dropped_attributes,
    )


def _encode_link(link: Link) -> dict[str, Any]:
    return _sparse(
        traceId=link.trace_id,
        spanId=link.span_id,
        traceState=link.trace_state,
        attributes=anyvalue.encode_attributes(link.attributes),
        droppedAttributesCount=link.dropped_attributes,
        flags=link.flags,
    )


def _sparse(**fields: Any) -> dict[str, Any]:
    """An object without the fields that have their default."""
    return {name: value for name, value in fields.items() if value not in (None, "", 0, [], {})}
