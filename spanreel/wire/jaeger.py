"""Jaeger's JSON (what its UI downloads and its API answers) read as spans.

It must not read files. Jaeger keeps microseconds, so the nanoseconds below are lost before we see them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from spanreel.exceptions import BadInput
from spanreel.wire.anyvalue import BadValue, clean_text, count, decode_value, identifier, nanos, text
from spanreel.wire.spans import Event, Link, Resource, Scope, Span, Value

_KINDS: Final = {"internal": 1, "server": 2, "client": 3, "producer": 4, "consumer": 5}
_STATUSES: Final = {"OK": 1, "ERROR": 2}
_REMEDY: Final = 'give the JSON that Jaeger downloads: {"data": [{"spans": […], "processes": {…}}]}'


def is_jaeger(document: Any) -> bool:
    """Whether the JSON value looks like Jaeger's."""
    if not isinstance(document, dict):
        return False
    traces = cast("dict[str, Any]", document).get("data")
    return isinstance(traces, list) and all(
        isinstance(trace, dict) and "spans" in trace and "traceID" in trace
        for trace in cast("list[Any]", traces)
    )


def decode(document: Any) -> list[Span]:
    """The spans of a Jaeger JSON value.

    Raises:
        BadInput: it is not Jaeger's; the message names the place inside the document.
    """
    if not is_jaeger(document):
        raise BadInput("this JSON is not Jaeger's", _REMEDY)
    spans: list[Span] = []
    for number, trace in enumerate(cast("dict[str, Any]", document)["data"]):
        processes = _object(trace.get("processes"))
        for index, item in enumerate(trace["spans"] if isinstance(trace["spans"], list) else []):
            try:
                spans.append(_span(_object(item), processes))
            except (BadValue, KeyError, TypeError, ValueError, OverflowError) as bad:
                raise BadInput(f"data[{number}].spans[{index}]: {bad}", _REMEDY) from None
    return spans


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _span(item: Mapping[str, Any], processes: Mapping[str, Any]) -> Span:
    tags = _tags(item.get("tags"))
    start = nanos(item.get("startTime", 0), "startTime") * 1000
    trace_id = _identifier(item.get("traceID"), 16, "traceID")
    parents, links = _references(item.get("references"), trace_id)
    scope = Scope(text(tags.pop("otel.scope.name", "")), text(tags.pop("otel.scope.version", "")))
    kind = _KINDS.get(text(tags.pop("span.kind", "internal")), 1)
    failed = tags.get("error") is True
    status = _STATUSES.get(text(tags.pop("otel.status_code", "")), 2 if failed else 0)
    return Span(
        trace_id=trace_id,
        span_id=_identifier(item.get("spanID"), 8, "spanID"),
        parent_span_id=parents[0] if parents else None,
        name=text(item.get("operationName", "")),
        kind=kind,
        start_ns=nanos(start, "startTime"),
        end_ns=nanos(start + nanos(item.get("duration", 0), "duration") * 1000, "duration"),
        status=status,
        status_message=text(tags.get("otel.status_description", "")),
        attributes=tags,
        events=tuple(_event(entry) for entry in item.get("logs") or ()),
        links=links,
        resource=_resource(_object(processes.get(text(item.get("processID", ""))))),
        scope=scope,
        flags=count(item.get("flags", 0)),
    )


def _identifier(value: Any, size: int, what: str) -> str:
    return identifier(value.zfill(size * 2) if isinstance(value, str) else value, size, what)


def _tags(listed: Any) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for tag in listed or ():
        value = tag["value"]
        if tag.get("type") == "int64":
            value = int(value)
        elif tag.get("type") == "float64":
            value = float(value)
        found[clean_text(str(tag["key"]))] = decode_value(value, 0)
    return found


def _references(listed: Any, trace_id: str) -> tuple[list[str], tuple[Link, ...]]:
    """Parent span ids, and links to everything else that is referred to."""
    parents: list[str] = []
    links: list[Link] = []
    for reference in listed or ():
        span_id = _identifier(reference["spanID"], 8, "reference spanID")
        other = _identifier(reference.get("traceID", trace_id), 16, "reference traceID")
        if reference.get("refType") == "CHILD_OF" and other == trace_id and not parents:
            parents.append(span_id)
        else:
            links.append(Link(other, span_id))
    return parents, tuple(links)


def _event(entry: Mapping[str, Any]) -> Event:
    fields = _tags(entry.get("fields"))
    return Event(
        text(fields.pop("event", "log")), nanos(entry.get("timestamp", 0), "log timestamp") * 1000, fields
    )


def _resource(process: Mapping[str, Any]) -> Resource:
    return Resource({"service.name": text(process.get("serviceName", "")), **_tags(process.get("tags"))})
