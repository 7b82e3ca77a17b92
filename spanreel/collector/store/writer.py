"""Spans into the store: one durable transaction per call, each span once.

It must not decode or receive anything. One writer at a time per store (SQLite's write lock); another process may write
between two transactions, then everything remembered is dropped and looked up again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from spanreel.collector.bases import RequestBodies
from spanreel.collector.store import grouped, playbooks, rows
from spanreel.collector.store.contents import Contents, members_of, object_of
from spanreel.collector.store.keys import Keys
from spanreel.collector.store.restorer import Restorer
from spanreel.collector.store.schema import connect_for_writing, unusable
from spanreel.collector.store.sweep import sweep
from spanreel.exceptions import StoreError
from spanreel.wire import conventions
from spanreel.wire.attributes import HTTP_REQUEST_BODY
from spanreel.wire.records import Record
from spanreel.wire.spans import Event, Link, Resource, Scope, Span, Value

_RESOURCE: Final = ("attributes", "schema_url")
_SCOPE: Final = ("name", "version", "attributes", "schema_url")
_SHAPES_KEPT: Final = 20_000
_GROUPED_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Added:
    """What became of the spans of one transaction; together they are all that were given.

    new: stored for the first time; known: there already, nothing changed; replaced: an open span that has ended.
    """

    new: int = 0
    known: int = 0
    replaced: int = 0


@dataclass(slots=True)
class _Shape:
    number: int
    attributes: dict[str, str]  # key -> fragment


@dataclass(slots=True)
class _Known:
    rowid: int
    open: bool
    pending: int | None = None  # where in the batch it is, if it came in this transaction


class Writer:
    """The writing side of a store. Not for several threads at once."""

    def __init__(self, path: Path, connection: sqlite3.Connection | None = None) -> None:
        self.path = path
        self._connection = connection or connect_for_writing(path)
        self._contents = Contents(self._connection)
        self._keys = Keys(self._connection)
        self._bodies = RequestBodies(self._stored_body)
        self._traces: dict[str, int] = {}
        self._new_traces: set[int] = set()  # of this transaction: nothing of them is stored yet
        self._resources: dict[str, int] = {}
        self._scopes: dict[str, int] = {}
        self._last_resource: tuple[Resource | None, int] = (None, 0)
        self._last_scope: tuple[Scope | None, int] = (None, 0)
        self._shapes: dict[tuple[Any, ...], _Shape] = {}
        try:
            self._load_shared()
            self._version = self._data_version()
        except sqlite3.Error as error:
            self._connection.close()
            raise unusable(path, error) from error

    def add(self, spans: Sequence[Span], also: Callable[[sqlite3.Connection], object] | None = None) -> Added:
        """Store spans in one transaction; when this returns, they are on the disk.

        Args:
            spans: in order of arrival.
            also: more to write in the same transaction (how far a spool file was read).

        Raises:
            StoreError: the store could not be written; then nothing of the call was stored.
        """
        with self._transaction():
            added = self._add(self._bodies.whole(spans))
            if also is not None:
                also(self._connection)
        return added

    def add_from_spool(self, spans: Sequence[Span], name: str, offset: int, torn_bytes: int) -> Added:
        """Store spans of a spool file together with how far it has been read.

        Raises:
            StoreError: the store could not be written.
        """
        query = (
            "INSERT INTO spool(name, offset, torn_bytes) VALUES (?, ?, ?)"
            " ON CONFLICT(name) DO UPDATE SET offset = excluded.offset, torn_bytes = torn_bytes + excluded.torn_bytes"
        )
        return self.add(spans, lambda connection: connection.execute(query, (name, offset, torn_bytes)))

    def spool_offset(self, name: str) -> int:
        """How far a spool file has been read, in bytes."""
        row = self._connection.execute("SELECT offset FROM spool WHERE name = ?", (name,)).fetchone()
        return int(row[0]) if row else 0

    def finish_spool(self, name: str, tail_bytes: int) -> None:
        """Count what was torn in a spool file that is about to be deleted.

        Raises:
            StoreError: the store could not be written.
        """
        with self._transaction():
            row = self._connection.execute(
                "DELETE FROM spool WHERE name = ? RETURNING torn_bytes", (name,)
            ).fetchone()
            torn = tail_bytes + (int(row[0]) if row else 0)
            if torn:
                self._connection.execute(
                    "INSERT INTO spool(name, offset, torn_bytes) VALUES ('', 0, ?)"
                    " ON CONFLICT(name) DO UPDATE SET torn_bytes = torn_bytes + excluded.torn_bytes",
                    (torn,),
                )

    def refresh(self) -> None:
        """Group the runs of traces that have grown, so that people who look with other tools see them too."""
        stale = [int(row[0]) for row in self._connection.execute("SELECT id FROM trace WHERE stale")]
        for start in range(0, len(stale), _GROUPED_AT_ONCE):  # in pieces: others may want to write in between
            with self._transaction():
                for trace in stale[start : start + _GROUPED_AT_ONCE]:
                    grouped.store(self._connection, trace)

    def delete(self, run_id: str) -> int:
        """Delete a run: its spans, and every content that nothing else uses. Gives the number of spans.

        Args:
            run_id: exactly, as `Run.run_id` has it.

        Raises:
            StoreError: the store could not be written.
        """
        with self._transaction():
            deleted = grouped.delete(self._connection, run_id)
            sweep(self._connection)
        self._forget()
        self._load_shared()
        return deleted

    def close(self) -> None:
        """Group what is still to be grouped, and let go of the store."""
        try:
            self.refresh()
        finally:
            self._connection.close()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------- transactions

    @contextmanager
    def _transaction(self) -> Generator[None]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            if self._version != (version := self._data_version()):
                self._forget()
                self._load_shared()
                self._version = version
            self._contents.begin()
            self._new_traces.clear()
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StoreError(
                f"the store at {self.path} cannot be written ({error})", "check its disk and its permissions"
            ) from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._forget()
        self._load_shared()

    def _forget(self) -> None:
        self._contents.forget()
        for known in (self._traces, self._resources, self._scopes, self._shapes):
            known.clear()
        self._last_resource, self._last_scope = (None, 0), (None, 0)

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    # -------------------------------------------------------------------------------------------- spans

    def _add(self, spans: Sequence[Span]) -> Added:
        [(last,)] = self._connection.execute("SELECT coalesce(max(id), 0) FROM span")
        rowid = int(last)
        seen: dict[tuple[int, str], _Known] = {}
        pending: list[list[Any] | None] = []
        replaced: list[tuple[int]] = []
        about: dict[int, playbooks.Row] = {}
        counts = [0, 0, 0]
        for span in spans:
            record = conventions.read(span)
            trace = self._trace(span.trace_id)
            key = (trace, span.span_id)
            known = seen.get(key) or self._known(key)
            if known is not None and not (known.open and not record.open):
                counts[1] += 1
                continue
            if known is not None:
                counts[2] += 1
                if known.pending is None:
                    replaced.append((known.rowid,))
                else:
                    pending[known.pending] = None
                    about.pop(known.rowid, None)
            else:
                counts[0] += 1
            rowid += 1
            seen[key] = _Known(rowid, record.open, len(pending))
            pending.append(self._row(span, record, rowid, trace))
            if (said := playbooks.row_of(span, rowid)) is not None:
                about[rowid] = said
        self._connection.executemany("DELETE FROM span WHERE id = ?", replaced)
        self._connection.executemany("DELETE FROM playbook WHERE span = ?", replaced)
        self._contents.flush()
        self._connection.executemany(rows.INSERT_SPAN, [row for row in pending if row is not None])
        playbooks.keep(self._connection, about.values())
        stale = {(trace,) for trace, _ in seen}
        self._connection.executemany("UPDATE trace SET stale = 1 WHERE id = ? AND NOT stale", list(stale))
        return Added(*counts)

    def _known(self, key: tuple[int, str]) -> _Known | None:
        if key[0] in self._new_traces:
            return None
        query = "SELECT id, open FROM span WHERE trace = ? AND span_id = ?"
        row = self._connection.execute(query, (key[0], bytes.fromhex(key[1]))).fetchone()
        return _Known(int(row[0]), bool(row[1])) if row else None

    def _row(self, span: Span, record: Record, rowid: int, trace: int) -> list[Any]:
        self._contents.of_span(record.session or span.trace_id, rowid)
        fragments = self._contents.attributes(span.attributes)
        key = rows.shape_key(span, record, self._resource(span.resource), self._scope(span.scope))
        shape = self._shape(key, fragments)
        common = shape.attributes
        differing = {name: fragment for name, fragment in fragments.items() if common.get(name) != fragment}
        missing = (
            [name for name in common if name not in fragments]
            if len(common) + len(differing) > len(fragments)
            else []
        )
        row = rows.own_row(span, record, rowid, trace, shape.number, missing)
        row += (
            object_of(self._keys.shortened(differing)) if differing else None,
            self._events(span.events),
            self._links(span.links),
        )
        return row

    def _shape(self, key: tuple[Any, ...], fragments: dict[str, str]) -> _Shape:
        known = self._shapes.get(key)
        if known is None:
            cursor = self._connection.execute(rows.INSERT_SHAPE, (None, *key, object_of(fragments)))
            known = self._shapes[key] = _Shape(int(cursor.lastrowid or 0), fragments)
            if len(self._shapes) > _SHAPES_KEPT:
                del self._shapes[next(iter(self._shapes))]
        return known

    def _load_shared(self) -> None:
        self._keys.load()
        for table, known, columns in (
            ("resource", self._resources, _RESOURCE),
            ("scope", self._scopes, _SCOPE),
        ):
            query = f"SELECT id, {', '.join(columns)} FROM {table} ORDER BY id DESC LIMIT 1000"  # noqa: S608
            known.update({"\0".join(values): number for number, *values in self._connection.execute(query)})
        query = (
            f"SELECT id, attributes, {', '.join(rows.SHAPE_COLUMNS)} FROM shape ORDER BY id DESC LIMIT 500"  # noqa: S608
        )
        for row in reversed(self._connection.execute(query).fetchall()):
            self._shapes[tuple(row[2:])] = _Shape(int(row[0]), members_of(str(row[1])))

    def _events(self, events: Sequence[Event]) -> str | None:
        if not events:
            return None
        return "[" + ",".join(
            f"[{json.dumps(event.name, ensure_ascii=False)},{event.time_ns},{self._mapping(event.attributes)},{event.dropped_attributes}]"
            for event in events
        ) + "]"  # fmt: skip

    def _links(self, links: Sequence[Link]) -> str | None:
        if not links:
            return None
        return "[" + ",".join(
            f'["{link.trace_id}","{link.span_id}",{json.dumps(link.trace_state, ensure_ascii=False)},{self._mapping(link.attributes)},'
            f"{link.dropped_attributes},{link.flags}]"
            for link in links
        ) + "]"  # fmt: skip

    def _mapping(self, attributes: Mapping[str, Value]) -> str:
        """Attributes as a list of pairs: a key may begin with a dollar."""
        pairs = (
            f"[{json.dumps(key, ensure_ascii=False)},{self._contents.attribute(key, value)}]"
            for key, value in attributes.items()
        )
        return "[" + ",".join(pairs) + "]"

    # -------------------------------------------------------------------------------------------- what spans share

    def _trace(self, trace_id: str) -> int:
        known = self._traces.get(trace_id)
        if known is None:
            raw = bytes.fromhex(trace_id)
            row = self._connection.execute("SELECT id FROM trace WHERE trace_id = ?", (raw,)).fetchone()
            if row is None:
                known = int(
                    self._connection.execute("INSERT INTO trace(trace_id) VALUES (?)", (raw,)).lastrowid or 0
                )
                self._new_traces.add(known)
            else:
                known = int(row[0])
            if len(self._traces) > 100_000:
                self._traces.clear()
            self._traces[trace_id] = known
        return known

    def _resource(self, resource: Resource) -> int:
        if resource is not self._last_resource[0]:
            values = (self._plain(resource.attributes), resource.schema_url)
            self._last_resource = (resource, self._shared("resource", self._resources, _RESOURCE, values))
        return self._last_resource[1]

    def _scope(self, scope: Scope) -> int:
        if scope is not self._last_scope[0]:
            values = (scope.name, scope.version, self._plain(scope.attributes), scope.schema_url)
            self._last_scope = (scope, self._shared("scope", self._scopes, _SCOPE, values))
        return self._last_scope[1]

    def _plain(self, attributes: Mapping[str, Value]) -> str:
        return object_of(self._contents.attributes(attributes))

    def _shared(
        self, table: str, known: dict[str, int], columns: tuple[str, ...], values: tuple[str, ...]
    ) -> int:
        key = "\0".join(values)
        number = known.get(key)
        if number is None:  # it may be there since long ago: a second row does no harm
            marks = ", ".join("?" * len(columns))
            cursor = self._connection.execute(
                f"INSERT INTO {table}({', '.join(columns)}) VALUES ({marks})",  # noqa: S608
                values,
            )
            number = known[key] = int(cursor.lastrowid or 0)
        return number

    def _stored_body(self, trace_id: str, span_id: str) -> bytes | None:
        """The request body of a stored span, searched in its trace first."""
        raw = bytes.fromhex(span_id) if len(span_id) == 16 and _is_hex(span_id) else None
        if raw is None:
            return None
        query = (
            "SELECT shape.attributes, span.attributes FROM span JOIN shape ON shape.id = span.shape JOIN trace ON trace.id = span.trace"
            " WHERE span.span_id = ?"
        )
        connection = self._connection
        row = connection.execute(query + " AND trace.trace_id = ?", (raw, bytes.fromhex(trace_id))).fetchone()
        row = row or connection.execute(query + " ORDER BY span.id DESC", (raw,)).fetchone()
        if row is None:
            return None
        fragments = {**members_of(str(row[0])), **self._keys.spelled(members_of(str(row[1] or "{}")))}
        fragment = fragments.get(HTTP_REQUEST_BODY)
        body = Restorer(connection).value(fragment) if fragment is not None else None
        return body.encode() if isinstance(body, str) else body if isinstance(body, bytes) else None


def _is_hex(text: str) -> bool:
    return all(letter in "0123456789abcdef" for letter in text)
