"""A span as rows: what it shares with others (its shape) and what is its own; and the record back from the columns.

Values to rows and rows to values; it opens nothing and writes nothing. Every field of a record is a column (or in the JSON of the rare
ones), so runs are listed and grouped without touching content.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from spanreel.wire.records import Record
from spanreel.wire.spans import Span
from spanreel.wire.usage import Usage

_HEX: Final = re.compile("(?:[0-9a-f]{2}){8}")
SHAPE_RECORD: Final = (
    "kind", "emitter", "exchange", "operation", "provider", "model", "response_model", "finish_reasons", "tool_name", "safety",
    "agent", "session", "user", "run_id", "dialect", "outcome", "lane", "source", "source_run_id",
)  # fmt: skip
SHAPE_COLUMNS: Final = ("resource", "scope", "name", "span_kind", *SHAPE_RECORD)
OWN_COLUMNS: Final = (
    "id", "trace", "span_id", "parent_span_id", "shape", "start_ns", "end_ns", "open", "status", "status_message",
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens", "cost", "response_id",
    "tool_call_id", "error_type", "error_message", "http_status", "body_hash", "rest", "attributes", "events", "links",
)  # fmt: skip
INSERT_SPAN: Final = (
    f"INSERT INTO span({', '.join(OWN_COLUMNS)}) VALUES ({', '.join('?' * len(OWN_COLUMNS))})"  # noqa: S608
)
INSERT_SHAPE: Final = f"INSERT INTO shape(id, {', '.join(SHAPE_COLUMNS)}, attributes) VALUES ({', '.join('?' * (len(SHAPE_COLUMNS) + 2))})"  # noqa: S608
_RECORD_QUERY: Final = (
    "SELECT span.id, trace.trace_id, span.span_id, span.parent_span_id, span.shape, span.start_ns,"
    " span.end_ns, span.open, span.status, span.input_tokens, span.output_tokens, span.cache_read_tokens, span.cache_write_tokens,"
    " span.reasoning_tokens, span.cost, span.response_id, span.tool_call_id, span.error_type, span.error_message,"
    " span.http_status, span.body_hash, span.status_message, span.rest FROM span JOIN trace ON trace.id = span.trace WHERE "
)
_SHAPE_QUERY: Final = (
    f"SELECT id, name, {', '.join(SHAPE_RECORD)} FROM shape WHERE id IN (SELECT value FROM json_each(?))"  # noqa: S608
)
_NOTHING_RARE: Final[dict[str, Any]] = {}
_NO_COUNTS: Final = (None,) * 5
_NONE_USED: Final = Usage()
# JSON of rare facts: key -> field of the span, or of the record
_REST_OF_SPAN: Final = {
    "ts": "trace_state", "fl": "flags", "da": "dropped_attributes", "de": "dropped_events", "dl": "dropped_links",
}  # fmt: skip


def shape_key(span: Span, record: Record, resource: int, scope: int) -> tuple[Any, ...]:
    """The values of SHAPE_COLUMNS."""
    return (
        resource, scope, span.name, span.kind, record.kind, record.emitter or None, int(record.exchange) or None, record.operation,
        record.provider, record.model, record.response_model, json.dumps(record.finish_reasons) if record.finish_reasons else None,
        record.tool_name, record.safety, record.agent, record.session, record.user, record.run_id, record.dialect, record.outcome,
        record.lane, record.source, record.source_run_id,
    )  # fmt: skip


def own_row(span: Span, record: Record, rowid: int, trace: int, shape: int, missing: list[str]) -> list[Any]:
    """The values of OWN_COLUMNS but the last three (attributes, events, links), which content makes."""
    usage = record.usage
    message = record.error_message
    return [
        rowid, trace, bytes.fromhex(span.span_id), bytes.fromhex(span.parent_span_id) if span.parent_span_id else None, shape,
        span.start_ns, span.end_ns, int(record.open) or None, span.status, span.status_message or None, usage.input, usage.output,
        usage.cache_read, usage.cache_write, usage.reasoning, record.cost, record.response_id, record.tool_call_id,
        record.error_type, None if message and message == span.status_message else message, record.http_status,
        _hash_kept(record.body_hash), _rest(span, record, missing),
    ]  # fmt: skip


def _hash_kept(named: str | None) -> bytes | str | None:
    """The beginning of a SHA-256 as bytes; any other hash as it is named."""
    return bytes.fromhex(named) if named and _HEX.fullmatch(named) else named


def _hash_named(kept: bytes | str | None) -> str | None:
    return kept.hex() if isinstance(kept, bytes) else kept


def _rest(span: Span, record: Record, missing: list[str]) -> str | None:
    found: dict[str, Any] = {
        key: value for key, name in _REST_OF_SPAN.items() if (value := getattr(span, name))
    }
    if record.resend:
        found["resend"] = record.resend
    if record.segment:
        found["segment"] = record.segment
    if record.incomplete is not None:
        found["incomplete"] = record.incomplete
    if record.status != span.status:
        found["status"] = record.status
    if (record.start_ns, record.end_ns) != (span.start_ns, span.end_ns):
        found["times"] = [record.start_ns, record.end_ns]
    if record.name != span.name:
        found["name"] = record.name
    if record.parent_span_id != span.parent_span_id:
        found["parent"] = record.parent_span_id
    if record.error_message is not None and record.error_message == span.status_message:
        found["message"] = 1
    if missing:
        found["missing"] = missing
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False) if found else None


def records(connection: sqlite3.Connection, where: str, values: Sequence[int]) -> list[tuple[int, Record]]:
    """Records with their row ids; what spans share is read once.

    Args:
        connection: to the store.
        where: which ones, in which order, in SQL; a constant.
        values: its parameters.
    """
    rows = connection.execute(_RECORD_QUERY + where, values).fetchall()
    wanted = json.dumps(list({row[4] for row in rows}))
    shapes = {shape[0]: _told(shape) for shape in connection.execute(_SHAPE_QUERY, (wanted,))}
    # a shape that is gone: so is the span, since the rows were read
    return [(row[0], _record(row, shapes[row[4]])) for row in rows if row[4] in shapes]


def _told(shape: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a shape says of its records, in the types of a record."""
    _, name, kind, emitter, exchange, operation, provider, model, response_model, reasons, *others = shape
    finish_reasons = tuple(json.loads(reasons)) if reasons else ()
    return (
        name, kind, emitter or "", bool(exchange), operation, provider, model, response_model, finish_reasons,
        *others,
    )  # fmt: skip


def _record(row: tuple[Any, ...], shape: tuple[Any, ...]) -> Record:
    (_, trace_id, span_id, parent, _, start, end, is_open, status, tokens_in, tokens_out, cache_read, cache_write, reasoning, cost,
     response_id, tool_call_id, error_type, error_message, http_status, body_hash, status_message, rest) = row  # fmt: skip
    (name, kind, emitter, exchange, operation, provider, model, response_model, finish_reasons, tool_name, safety, agent, session,
     user, run_id, dialect, outcome, lane, source, source_run_id) = shape  # fmt: skip
    rare: dict[str, Any] = json.loads(rest) if rest else _NOTHING_RARE
    times = rare.get("times") or (start, end)
    counts = (tokens_in, tokens_out, cache_read, cache_write, reasoning)
    return Record(
        trace_id.hex(), span_id.hex(), rare.get("parent", parent.hex() if parent else None), rare.get("name", name), times[0], times[1], kind, emitter, bool(is_open),
        exchange, operation, provider, model, response_model, response_id,
        _NONE_USED if counts == _NO_COUNTS else Usage(*counts),
        finish_reasons, tool_name, tool_call_id, safety, agent, session, user, run_id,
        rare.get("status", status), error_type, status_message if "message" in rare else error_message, cost, dialect, outcome,
        http_status, rare.get("resend", 0), _hash_named(body_hash), lane, source, source_run_id, rare.get("incomplete"), rare.get("segment", 0),
    )  # fmt: skip
