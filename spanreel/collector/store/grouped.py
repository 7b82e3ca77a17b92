"""What grouping makes of the stored records: runs and steps kept beside the spans, made again when a trace has grown.

It must not read content. Functions over a connection; whoever calls them has begun the transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, fields
from typing import Any, Final, TypeVar, cast, overload

from spanreel.collector.store import playbooks
from spanreel.collector.store.rows import records
from spanreel.wire.grouping import Run, Step, apart
from spanreel.wire.playbooks import KIND as PLAYBOOK
from spanreel.wire.records import Record
from spanreel.wire.usage import Usage

T = TypeVar("T")
_LATER: Final = frozenset({"records", "steps", "segments"})
_NAMES: Final = frozenset(field.name for field in fields(Run)) - _LATER
_RECORD_NAMES: Final = tuple(field.name for field in fields(Record))
_REASONS: Final = _RECORD_NAMES.index("finish_reasons")
_USAGE: Final = _RECORD_NAMES.index("usage")


class Later(Sequence[T]):
    """A sequence of known length whose items are read when one is asked for."""

    def __init__(self, length: int, load: Callable[[], Sequence[T]]) -> None:
        self._length = length
        self._load = load
        self._items: Sequence[T] | None = None

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        return self._all()[index]

    def __iter__(self) -> Iterator[T]:
        return iter(self._all())

    def _all(self) -> Sequence[T]:
        if self._items is None:
            self._items = self._load()
        return self._items


def runs_of(connection: sqlite3.Connection, trace: int) -> list[Run]:
    """The runs of a trace (its row id), grouped now; segments of a resumed run are apart."""
    return apart(record for _, record in _records(connection, trace))


def _records(connection: sqlite3.Connection, trace: int) -> list[tuple[int, Record]]:
    return records(connection, "span.trace = ? ORDER BY span.id", (trace,))


def store(connection: sqlite3.Connection, trace: int) -> None:
    """Group a trace and keep its runs and steps."""
    _drop_runs(connection, trace)
    found = _records(connection, trace)
    ids = {record.span_id: number for number, record in found}
    for run in apart(record for _, record in found):
        columns = ("trace", "run_id", "alias", "agent_name", "status", "model", "session", "started_ns", "ended_ns", "steps", "spans",
                   "input_tokens", "output_tokens", "cost", "error", "summary")  # fmt: skip
        values = (
            trace, run.run_id, run.alias, run.agent_name, run.status, run.model, run.session, run.started_ns, run.ended_ns,
            len(run.steps), len(run.records), run.usage.input, run.usage.output, run.cost, run.error, _summary(run),
        )  # fmt: skip
        query = f"INSERT INTO run({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
        number = connection.execute(query, values).lastrowid
        steps = [(number, step.number, ids[step.record.span_id]) for step in run.steps]
        connection.executemany("INSERT INTO step(run, number, span) VALUES (?,?,?)", steps)
    connection.execute("UPDATE trace SET stale = 0 WHERE id = ?", (trace,))


def listed(
    connection: sqlite3.Connection, load: Callable[[str], Run], where: str = "", values: Sequence[Any] = ()
) -> list[Run]:
    """Runs as they were kept, newest first; their records and steps are loaded when they are looked at."""
    query = f"SELECT summary, steps, spans FROM run {where} ORDER BY started_ns DESC, run_id DESC"  # noqa: S608
    return [
        _restored(str(text), int(steps), int(spans), load)
        for text, steps, spans in connection.execute(query, values)
    ]


def outdated(connection: sqlite3.Connection) -> list[int]:
    """Traces that have to be grouped: grown ones, and those grouped by an earlier version."""
    stale = [int(row[0]) for row in connection.execute("SELECT id FROM trace WHERE stale")]
    newest = connection.execute("SELECT summary FROM run ORDER BY id DESC LIMIT 1").fetchone()
    oldest = connection.execute("SELECT summary FROM run ORDER BY id LIMIT 1").fetchone()
    if any(row and frozenset(json.loads(row[0])) ^ _NAMES for row in (newest, oldest)):
        return [int(row[0]) for row in connection.execute("SELECT id FROM trace")]
    return stale


def delete(connection: sqlite3.Connection, run_id: str) -> int:
    """Delete a run with its spans; gives the number of spans. What they alone referred to is swept by `sweep`.

    Bodies of playbooks, and what was decided about them, are of no run and stay.
    """
    trace_id, _, root = run_id.partition(":")
    row = connection.execute("SELECT id FROM trace WHERE trace_id = ?", (bytes.fromhex(trace_id),)).fetchone()
    if row is None:
        return 0
    trace = int(row[0])
    if root:
        spans = [
            bytes.fromhex(record.span_id)
            for run in runs_of(connection, trace)
            if run.run_id == run_id
            for record in run.records
        ]
        connection.executemany(
            "DELETE FROM span WHERE trace = ? AND span_id = ?", [(trace, span) for span in spans]
        )
        deleted = len(spans)
    else:
        query = "DELETE FROM span WHERE trace = ? AND shape NOT IN (SELECT id FROM shape WHERE kind = ?)"
        deleted = connection.execute(query, (trace, PLAYBOOK)).rowcount
    playbooks.forget_deleted(connection)
    _drop_runs(connection, trace)
    if connection.execute("SELECT 1 FROM span WHERE trace = ? LIMIT 1", row).fetchone():
        connection.execute("UPDATE trace SET stale = 1 WHERE id = ?", row)
    else:
        connection.execute("DELETE FROM trace WHERE id = ?", row)
    return deleted


def _drop_runs(connection: sqlite3.Connection, trace: int) -> None:
    connection.execute("DELETE FROM step WHERE run IN (SELECT id FROM run WHERE trace = ?)", (trace,))
    connection.execute("DELETE FROM run WHERE trace = ?", (trace,))


def _summary(run: Run) -> str:
    found: dict[str, Any] = {name: getattr(run, name) for name in sorted(_NAMES)}
    found["usage"] = astuple(run.usage)
    found["root"] = astuple(run.root)
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False)


def _restored(text: str, steps: int, spans: int, load: Callable[[str], Run]) -> Run:
    found: dict[str, Any] = json.loads(text)
    root: list[Any] = found["root"]
    root[_USAGE] = Usage(*root[_USAGE])
    root[_REASONS] = tuple(root[_REASONS])
    run_id: str = found["run_id"]
    found["root"] = Record(*root)
    found["usage"] = Usage(*found["usage"])
    found["incomplete"] = tuple(found["incomplete"])
    found["records"] = cast("tuple[Record, ...]", Later(spans, lambda: load(run_id).records))
    found["steps"] = cast("tuple[Step, ...]", Later(steps, lambda: load(run_id).steps))
    return Run(**found)
