"""Which spans are about playbooks: bodies, decisions, executions; kept beside them so that a library is read quickly.

Functions over a connection; whoever calls them has begun the transaction. What they keep is made of spans alone, but for
one fact: whether a decision was made here, or came with spans from elsewhere.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from spanreel.wire import attributes as names
from spanreel.wire import playbooks
from spanreel.wire.grouping import Run
from spanreel.wire.spans import Span

TABLE: Final = """
CREATE TABLE playbook(
  span INTEGER PRIMARY KEY,
  role TEXT NOT NULL,                       -- body, decision, execution
  hash TEXT NOT NULL,                       -- of the body
  here INTEGER NOT NULL DEFAULT 0,          -- decided with this store, not brought in with other spans
  facts TEXT);                              -- of an execution, as JSON
CREATE INDEX playbook_hash ON playbook(hash, role);
"""
Row: TypeAlias = tuple[int, str, str, str | None]
"""span, role, hash, facts"""
_FACTS: Final = {
    "mode": names.PLAYBOOK_MODE,
    "params": names.PLAYBOOK_PARAMS,
    "guard": names.PLAYBOOK_GUARD,
    "stopped_at": names.PLAYBOOK_STOPPED_AT,
    "reason": names.PLAYBOOK_REASON,
    "model_calls": names.PLAYBOOK_MODEL_CALLS,
    "tool_calls": names.PLAYBOOK_TOOL_CALLS,
    "score": names.PLAYBOOK_SCORE,
    "divergence": names.PLAYBOOK_DIVERGENCE,
    "success": f"{names.OUTCOME}success",
}
_EXECUTIONS: Final = (
    "SELECT playbook.hash, playbook.facts, lower(hex(trace.trace_id)), lower(hex(span.span_id)), span.start_ns, span.end_ns,"
    " span.status, span.open FROM playbook JOIN span ON span.id = playbook.span JOIN trace ON trace.id = span.trace"
    " WHERE role = 'execution'"
)
IN_TRACES: Final = "WHERE trace IN (SELECT span.trace FROM playbook JOIN span ON span.id = playbook.span WHERE role = 'execution')"
"""Of the table run: the runs that may be executions."""


@dataclass(frozen=True, slots=True)
class Walked:
    """The span of an execution. facts: what it says of itself, see `_FACTS`; times in nanoseconds; end_ns 0 while open."""

    hash: str
    facts: Mapping[str, Any]
    trace_id: str
    span_id: str
    start_ns: int
    end_ns: int
    failed: bool


def row_of(span: Span, rowid: int) -> Row | None:
    """What is kept of a span; None for most of them."""
    if names.PLAYBOOK_HASH not in span.attributes:
        return None
    role = playbooks.role_of(span)
    if role is None:
        return None
    facts = None
    if role == "execution":
        found = {
            name: _plain(span.attributes.get(key)) for name, key in _FACTS.items() if key in span.attributes
        }
        facts = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
    return rowid, role, str(span.attributes[names.PLAYBOOK_HASH]), facts


def keep(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Keep what `row_of` gave."""
    connection.executemany("INSERT INTO playbook(span, role, hash, facts) VALUES (?, ?, ?, ?)", rows)


def decided_here(connection: sqlite3.Connection, spans: Sequence[Span]) -> bool:
    """Tell decisions that are made with this store from those that come with spans.

    Returns:
        False where one of them is not these spans: somebody else's came before, under its id.
    """
    query = (
        "UPDATE playbook SET here = 1 WHERE span = (SELECT span.id FROM span JOIN trace ON trace.id = span.trace"
        " WHERE trace.trace_id = ? AND span.span_id = ? AND span.start_ns = ?)"
    )
    found = (
        connection.execute(query, (bytes.fromhex(one.trace_id), bytes.fromhex(one.span_id), one.start_ns))
        for one in spans
    )
    return all(one.rowcount for one in found)


def forget_deleted(connection: sqlite3.Connection) -> None:
    """Drop what was kept of spans that are gone."""
    connection.execute("DELETE FROM playbook WHERE span NOT IN (SELECT id FROM span)")


def library(connection: sqlite3.Connection) -> dict[str, dict[str, tuple[int, bool]]]:
    """Ids of the spans that are bodies or decisions, by trace: their order of arrival, and whether made here."""
    query = (
        "SELECT lower(hex(trace.trace_id)), lower(hex(span.span_id)), span.id, here FROM playbook"
        " JOIN span ON span.id = playbook.span JOIN trace ON trace.id = span.trace WHERE role != 'execution'"
    )
    found: dict[str, dict[str, tuple[int, bool]]] = {}
    for trace, span, number, here in connection.execute(query):
        found.setdefault(str(trace), {})[str(span)] = (int(number), bool(here))
    return found


def walked(connection: sqlite3.Connection) -> list[Walked]:
    """Every span that is an execution."""
    return [
        Walked(
            body_hash,
            json.loads(facts),
            trace,
            span,
            start,
            0 if still else end,
            status == names.STATUS_ERROR,
        )
        for body_hash, facts, trace, span, start, end, status, still in connection.execute(_EXECUTIONS)
    ]


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def paired(walked: Iterable[Walked], runs: Iterable[Run]) -> list[tuple[Walked, Run]]:
    """Each run that is an execution, or has one in it, oldest first.

    Of a resumed run the newest segment speaks. An execution inside a run of something else goes with that run, unless
    its trace holds several.
    """
    by_span = {(one.trace_id, one.span_id): one for one in walked}
    found: list[tuple[Walked, Run]] = []
    single: dict[str, Run | None] = {}
    for run in runs:
        segments = run.segments
        roots = [(one.trace_id, one.span_id) for one in segments] or [(run.trace_id, run.root.span_id)]
        own = [by_span.pop(root) for root in roots if root in by_span]
        if own:
            found.append((own[-1], run))
        single[run.trace_id] = None if run.trace_id in single else run
    inner = ((one, run) for one in by_span.values() if (run := single.get(one.trace_id)) is not None)
    return sorted((*found, *inner), key=lambda one: (one[0].start_ns, one[0].span_id))
