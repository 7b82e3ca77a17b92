"""Runs, spans and records out of the store.

It must not write spans; it may keep what grouping made of traces that have grown, so that the next reader is faster.
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spanreel.collector.store import grouped, playbooks
from spanreel.collector.store.keys import Keys
from spanreel.collector.store.restorer import Reference, Restorer
from spanreel.collector.store.rows import records
from spanreel.collector.store.schema import connect_for_writing
from spanreel.exceptions import StoreError, UnknownRun
from spanreel.wire.grouping import Run
from spanreel.wire.naming import named
from spanreel.wire.pieces import Pieced, Pieces
from spanreel.wire.records import Record
from spanreel.wire.segments import joined, origin
from spanreel.wire.spans import Attributes, Event, Link, Resource, Scope, Span

_SPAN_QUERY: Final = (
    "SELECT span.span_id, span.parent_span_id, span.start_ns, span.end_ns, span.status, span.status_message, span.rest,"
    " span.shape, span.attributes, span.events, span.links FROM span JOIN trace ON trace.id = span.trace"
    " WHERE trace.trace_id = ? ORDER BY span.start_ns, span.span_id"
)
_SHAPE, _OWN = 7, 8  # where in such a row its shape is, and the attributes that differ from the shape's
_SHAPE_QUERY: Final = "SELECT id, name, span_kind, attributes, resource, scope FROM shape WHERE id IN (SELECT value FROM json_each(?))"

_NOTHING_RARE: Final[dict[str, Any]] = {}

_PROCESS_QUERY: Final = (
    "SELECT DISTINCT lower(hex(trace.trace_id)) FROM resource JOIN shape ON shape.resource = resource.id"
    " JOIN span ON span.shape = shape.id JOIN trace ON trace.id = span.trace"
    " WHERE json_extract(resource.attributes, '$.\"service.instance.id\"') = ?"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much the store holds. torn_bytes: bytes of spool files that were no whole record."""

    runs: int
    traces: int
    spans: int
    contents: int
    file_bytes: int
    torn_bytes: int


@dataclass(frozen=True, slots=True)
class _Shape:
    """What spans of one shape share. plain: each member is an attribute."""

    name: str
    kind: int
    members: dict[str, Any]
    plain: bool
    resource: Resource
    scope: Scope


class Reader:
    """The reading side of a store. Not for several threads at once.

    Args:
        connection: open for reading; for an overlay (a copy in memory) for writing too.
        path: of the store.
        overlay: the connection is a private copy.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, *, overlay: bool = False) -> None:
        self.path = path
        self.overlay = overlay
        self._connection = connection
        self._resources: dict[int, Resource] = {}
        self._scopes: dict[int, Scope] = {}
        self._keys = Keys(connection)

    def runs(self) -> list[Run]:
        """Every run, newest first; the segments of a resumed run are one.

        `len(run.steps)` and `len(run.records)` are known; the items are read when one is looked at, while this reader
        is open.
        """
        with _as_store_errors(self.path):
            return joined(self._listed(lambda _: True))

    def apart(self) -> list[Run]:
        """Every run, newest first, each segment of a resumed one for itself, under the id that its trace gives it."""
        with _as_store_errors(self.path):
            return self._listed(lambda _: True)

    def run(self, run_id: str) -> Run:
        """The run of exactly this id, or the one that has the segment of this id, with records and steps.

        Raises:
            UnknownRun: there is none.
        """
        with _as_store_errors(self.path):
            own = self._apart(run_id)
            if own is not None:
                return self._whole(own)
        raise UnknownRun(f"there is no run {run_id}", "spanreel runs")

    def resolve(self, name: str) -> Run:
        """The run that a person means; `wire.naming.named` says what a name may be.

        Raises:
            UnknownRun: nothing fits.
            AmbiguousRun: several runs begin with the prefix.
        """
        runs = self.runs()
        if not runs:
            raise UnknownRun(
                f"the store at {self.path} holds no run yet",
                "record one: spanreel run -- python your_agent.py",
            )
        return self.run(named(runs, name, f"the store at {self.path}").run_id)

    def spans(self, trace_id: str) -> list[Span]:
        """Every span of a trace in order of start, attributes as they were sent.

        Raises:
            UnknownRun: there is no such trace.
        """
        with _as_store_errors(self.path):
            raw = bytes.fromhex(trace_id) if re.fullmatch("[0-9a-f]{32}", trace_id) else b""
            restorer = Restorer(self._connection)
            self._keys.load()
            rows = self._connection.execute(_SPAN_QUERY, (raw,)).fetchall()
            shapes = self._shapes({row[_SHAPE] for row in rows}, restorer)
            rows = [row for row in rows if row[_SHAPE] in shapes]  # the others have been deleted just now
            own = [restorer.noted(row[_OWN]) if row[_OWN] else {} for row in rows]
            restorer.fetch()
            found = [
                self._span(trace_id, row, shapes[row[_SHAPE]], members, restorer)
                for row, members in zip(rows, own, strict=True)
            ]
        if not found:
            raise UnknownRun(f"there is no trace {trace_id}", "spanreel runs")
        return found

    def traces_of(self, instance: str) -> list[str]:
        """Ids of the traces that hold spans of one process, by its `service.instance.id`."""
        with _as_store_errors(self.path):
            return [row[0] for row in self._connection.execute(_PROCESS_QUERY, (instance,)).fetchall()]

    def library(self) -> list[tuple[Span, bool]]:
        """The spans of bodies of playbooks and of decisions about them, in order of arrival; and whether made here."""
        with _as_store_errors(self.path):
            kept = playbooks.library(self._connection)
            found = [
                (kept[trace][span.span_id], span)
                for trace in kept
                for span in self.spans(trace)
                if span.span_id in kept[trace]
            ]
        found.sort(key=lambda one: one[0])
        return [(span, here) for (_, here), span in found]

    def executions(self) -> list[tuple[playbooks.Walked, Run]]:
        """Every span that is an execution of a playbook, oldest first, with its run; segments of a resumed one are one run."""
        with _as_store_errors(self.path):
            walked = playbooks.walked(self._connection)
            if not walked:
                return []
            traces = {one.trace_id for one in walked}
            runs = joined(self._listed(lambda run: run.trace_id in traces, playbooks.IN_TRACES))
        return playbooks.paired(walked, runs)

    def tail(self, after: int = 0, limit: int = 10_000) -> tuple[int, list[Record]]:
        """Records in order of arrival, after a position that an earlier call gave; and the new position."""
        with _as_store_errors(self.path):
            found = records(self._connection, "span.id > ? ORDER BY span.id LIMIT ?", (after, limit))
        return (found[-1][0] if found else after), [record for _, record in found]

    def end(self) -> int:
        """The position behind the span that arrived last, for `tail`."""
        with _as_store_errors(self.path):
            return int(self._connection.execute("SELECT coalesce(max(id), 0) FROM span").fetchone()[0])

    def counts(self) -> Counts:
        """How much the store holds."""
        with _as_store_errors(self.path):
            one = lambda query: int(self._connection.execute(query).fetchone()[0])  # noqa: E731
            torn = one("SELECT coalesce(sum(torn_bytes), 0) FROM spool")
            files = (self.path, self.path.with_name(self.path.name + "-wal"))
            size = sum(file.stat().st_size for file in files if file.exists())
            tables = ("trace", "span", "content")
            traces, spans, contents = (one(f"SELECT count(*) FROM {table}") for table in tables)  # noqa: S608
        return Counts(len(self.runs()), traces, spans, contents, size, torn)

    def close(self) -> None:
        """Let go of the store."""
        self._connection.close()

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --------------------------------------------------------------------------------------------

    def _whole(self, own: Run) -> Run:
        """A run with its other segments; the segments share the name that ties them, so it is looked for by that."""
        tied = {own.segment or origin(own), origin(own)}
        marks = ", ".join("?" * len(tied))
        listed = self._listed(
            lambda run: run.segment in tied,
            f"WHERE alias IN ({marks}) OR run_id IN ({marks})",
            [*tied, *tied],
        )
        others = [run for run in listed if origin(run) == origin(own) and run.run_id != own.run_id]
        family = [self._loaded(run.run_id) for run in others]
        return joined([own, *family])[0]

    def _listed(
        self, wanted: Callable[[Run], bool], where: str = "", values: Sequence[str] = ()
    ) -> list[Run]:
        """Runs as they were kept, newest first, and in their place those that could not be kept."""
        unsaved = self._bring_up_to_date()
        runs = grouped.listed(self._connection, self._loaded, where, values)
        if unsaved:
            fresh = [run for trace in unsaved for run in grouped.runs_of(self._connection, trace)]
            traces = {run.trace_id for run in fresh}
            runs = [*filter(wanted, fresh), *(run for run in runs if run.trace_id not in traces)]
            runs.sort(key=lambda run: (run.started_ns, run.run_id), reverse=True)
        return runs

    def _loaded(self, run_id: str) -> Run:
        found = self._apart(run_id)
        if found is None:
            raise UnknownRun(f"there is no run {run_id} any more", "spanreel runs")
        return found

    def _apart(self, run_id: str) -> Run | None:
        return next((run for run in self._of_trace(run_id.partition(":")[0]) if run.run_id == run_id), None)

    def _of_trace(self, trace_id: str) -> list[Run]:
        raw = bytes.fromhex(trace_id) if re.fullmatch("[0-9a-f]{32}", trace_id) else b""
        row = self._connection.execute("SELECT id FROM trace WHERE trace_id = ?", (raw,)).fetchone()
        return grouped.runs_of(self._connection, int(row[0])) if row else []

    def _bring_up_to_date(self) -> list[int]:
        """Group traces that have grown and keep the result; gives those that could not be kept."""
        stale = grouped.outdated(self._connection)
        if not stale:
            return []
        try:
            connection = (
                self._connection if self.overlay else connect_for_writing(self.path, wait_seconds=0.5)
            )
        except StoreError:
            return stale
        try:
            for trace in list(stale):
                connection.execute("BEGIN IMMEDIATE")
                grouped.store(connection, trace)
                connection.execute("COMMIT")
                stale.remove(trace)
        except sqlite3.OperationalError:  # locked, or read-only: what is left is grouped for this reader only
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        finally:
            if connection is not self._connection:
                connection.close()
        return stale

    def _shapes(self, wanted: set[int], restorer: Restorer) -> dict[int, _Shape]:
        found: dict[int, _Shape] = {}
        rows = self._connection.execute(_SHAPE_QUERY, (json.dumps(list(wanted)),)).fetchall()
        for number, name, kind, attributes, resource, scope in rows:
            members = restorer.members(attributes)
            plain = all(member[:1] != "$" for member in members)
            sender, maker = self._resource(resource, restorer), self._scope(scope, restorer)
            found[number] = _Shape(name, kind, members, plain, sender, maker)
        return found

    def _span(
        self, trace_id: str, row: tuple[Any, ...], shape: _Shape, own: dict[str, Any], restorer: Restorer
    ) -> Span:
        span_id, parent, start, end, status, message, rest, _, _, events, links = row
        rare: dict[str, Any] = json.loads(rest) if rest else _NOTHING_RARE
        return Span(
            trace_id=trace_id,
            span_id=span_id.hex(),
            parent_span_id=parent.hex() if parent else None,
            name=shape.name,
            kind=shape.kind,
            start_ns=start,
            end_ns=end,
            status=status,
            status_message=message or "",
            attributes=self._attributes(shape, own, rare.get("missing", ()), restorer),
            events=tuple(Event(name, at, dict(pairs), dropped)
                         for name, at, pairs, dropped in restorer.value(events)) if events else (),
            links=tuple(Link(trace, span, state, dict(pairs), dropped, flags)
                        for trace, span, state, pairs, dropped, flags in restorer.value(links)) if links else (),
            resource=shape.resource,
            scope=shape.scope,
            trace_state=rare.get("ts", ""),
            flags=rare.get("fl", 0),
            dropped_attributes=rare.get("da", 0),
            dropped_events=rare.get("de", 0),
            dropped_links=rare.get("dl", 0),
        )  # fmt: skip

    def _attributes(
        self, shape: _Shape, own: dict[str, Any], missing: Sequence[str], restorer: Restorer
    ) -> Attributes:
        members = self._keys.spelled(own)
        pieced = False
        for name, value in members.items():
            if type(value) is Reference:
                members[name] = whole = restorer.restored(value)
                pieced = pieced or type(whole) is Pieces
        if missing or not shape.plain or any(name[:1] == "$" for name in members):
            members = shape.members | members
            for key in missing:
                del members[key]
            found = restorer.attributes_of(members)
        else:
            found = shape.members | members
        return Pieced(found) if pieced else found

    def _resource(self, number: int, restorer: Restorer) -> Resource:
        if number not in self._resources:
            query = "SELECT attributes, schema_url FROM resource WHERE id = ?"
            attributes, url = self._connection.execute(query, (number,)).fetchone()
            self._resources[number] = Resource(restorer.attributes_of(restorer.members(attributes)), url)
        return self._resources[number]

    def _scope(self, number: int, restorer: Restorer) -> Scope:
        if number not in self._scopes:
            query = "SELECT name, version, attributes, schema_url FROM scope WHERE id = ?"
            name, version, attributes, url = self._connection.execute(query, (number,)).fetchone()
            self._scopes[number] = Scope(
                name, version, restorer.attributes_of(restorer.members(attributes)), url
            )
        return self._scopes[number]


@contextlib.contextmanager
def _as_store_errors(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(
            f"the store at {path} cannot be read ({error})", "sqlite3 FILE 'PRAGMA integrity_check'"
        ) from error
