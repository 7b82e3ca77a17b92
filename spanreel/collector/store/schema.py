"""The tables of the store, their migrations, and how a connection to it is opened.

It must not know what a span means. Migrations are numbered and say why they exist; a store written by a later version
of spanreel is refused, never guessed at. Read with sqlite-utils or Datasette: the views `runs`, `steps`, `spans` and
`messages` are made for that.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spanreel.collector.store import keys, playbooks
from spanreel.collector.store.views import VIEWS
from spanreel.exceptions import StoreError
from spanreel.location import prepare_folder

if TYPE_CHECKING:
    from sqlite_utils import Database, Migrations

BUSY_SECONDS: Final = 10.0
_SPACING: Final = re.compile(r"[ \n]*--[^\n]*\n *|[ \n]+")
_COMMA: Final = re.compile(r"('[^']*')|, ")  # a literal, or a comma outside of one
MIGRATION_SET: Final = "spanreel"
_FIRST: Final = "m0001_spans_runs_and_contents"
_KNOWN: Final[tuple[str, ...]] = (_FIRST, "m0002_playbooks")

_TABLES: Final = """
CREATE TABLE trace(
  id INTEGER PRIMARY KEY,
  trace_id BLOB NOT NULL UNIQUE,            -- 16 bytes; the views show hex
  stale INTEGER NOT NULL DEFAULT 1);        -- its runs have to be grouped again
CREATE TABLE resource(
  id INTEGER PRIMARY KEY, attributes TEXT NOT NULL, schema_url TEXT NOT NULL);
CREATE TABLE scope(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, attributes TEXT NOT NULL, schema_url TEXT NOT NULL);

-- What many spans have in common: they name a shape and keep only what differs from its attributes.
CREATE TABLE shape(
  id INTEGER PRIMARY KEY, resource INTEGER NOT NULL, scope INTEGER NOT NULL, name TEXT NOT NULL, span_kind INTEGER NOT NULL,
  kind TEXT NOT NULL, emitter TEXT, exchange INTEGER, operation TEXT, provider TEXT, model TEXT, response_model TEXT,
  finish_reasons TEXT, tool_name TEXT, safety TEXT, agent TEXT, session TEXT, user TEXT, run_id TEXT, dialect TEXT,
  outcome TEXT, lane TEXT, source TEXT, source_run_id TEXT, attributes TEXT NOT NULL);

CREATE TABLE span(
  id INTEGER PRIMARY KEY,                   -- order of arrival; `spanreel tail` reads from here on
  trace INTEGER NOT NULL, span_id BLOB NOT NULL, parent_span_id BLOB, shape INTEGER NOT NULL,
  start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, open INTEGER, status INTEGER NOT NULL, status_message TEXT,
  input_tokens INTEGER, output_tokens INTEGER, cache_read_tokens INTEGER, cache_write_tokens INTEGER,
  reasoning_tokens INTEGER, cost TEXT, response_id TEXT, tool_call_id TEXT, error_type TEXT, error_message TEXT,
  http_status INTEGER, body_hash BLOB,
  rest TEXT,                                -- the rare facts, as JSON
  attributes TEXT,                          -- those that differ from the shape's, as JSON; "$7" is attribute_key 7
  events TEXT, links TEXT);
CREATE UNIQUE INDEX span_key ON span(trace, span_id);

CREATE TABLE attribute_key(id INTEGER PRIMARY KEY, name TEXT NOT NULL, what TEXT);

-- Every distinct message, tool definition and piece of a body, once.
CREATE TABLE content(
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,                       -- SHA-256 of the bytes: 'sha256:' || lower(hex(hash)) is its name everywhere
  codec INTEGER NOT NULL,                   -- 0 text, 1 bytes, 2 text packed (zlib, preset dictionary), 3 bytes packed
  role INTEGER NOT NULL,                    -- what it was when first seen, see the view messages
  span INTEGER,                             -- where it was first seen
  size INTEGER,                             -- bytes before packing
  data NOT NULL);
-- A list is the last node of a chain: one more message is one more row, whatever the length of the history.
CREATE TABLE node(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, content INTEGER NOT NULL);
CREATE UNIQUE INDEX node_link ON node(parent, content);

-- What grouping made of a trace; made again when the trace has grown.
CREATE TABLE run(
  id INTEGER PRIMARY KEY, trace INTEGER NOT NULL, run_id TEXT NOT NULL, alias TEXT, agent_name TEXT, status TEXT,
  model TEXT, session TEXT, started_ns INTEGER, ended_ns INTEGER, steps INTEGER, spans INTEGER, input_tokens INTEGER,
  output_tokens INTEGER, cost TEXT, error TEXT, summary TEXT NOT NULL, UNIQUE(trace, run_id));
CREATE TABLE step(run INTEGER NOT NULL, number INTEGER NOT NULL, span INTEGER NOT NULL, PRIMARY KEY(run, number)) WITHOUT ROWID;

-- How far each spool file has been read; written in the same transaction as its spans. The row without a name keeps what
-- was torn in files that are gone.
CREATE TABLE spool(name TEXT PRIMARY KEY, offset INTEGER NOT NULL, torn_bytes INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
"""


class BehindError(StoreError):
    """The store lacks tables of this version: it is being made, or an earlier version made it."""


def migrations() -> Migrations:
    """Every change of the tables, in order."""
    from sqlite_utils import Migrations

    found = Migrations(MIGRATION_SET)

    def first(db: Database) -> None:
        """Spans as rows, runs as what grouping made of them, messages once by content."""
        _run(db, _TABLES + VIEWS)
        db.conn.executemany("INSERT INTO attribute_key(name, what) VALUES (?, ?)", [*keys.FIRST.items()])

    def second(db: Database) -> None:
        """Bodies, decisions and executions of playbooks are found without reading every span. None was written before."""
        _run(db, playbooks.TABLE)

    for name, change in zip(_KNOWN, (first, second), strict=True):
        found(name=name)(change)
    return found


def _run(db: Database, script: str) -> None:
    for statement in _statements(script):
        # the file keeps the text, and a small store is mostly that
        short = _SPACING.sub(" ", statement).strip()
        db.execute(_COMMA.sub(lambda found: found[1] or ",", short))


def _statements(script: str) -> list[str]:
    found: list[str] = []
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            found.append(pending)
            pending = ""
    return found


def connect_for_writing(path: Path, wait_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection that may write; makes the store and brings its tables up to date.

    Raises:
        StoreError: it is not a store, it is newer than this spanreel, or it cannot be written.
    """
    try:
        prepare_folder(path.parent)
        _create_private(path)
        connection = sqlite3.connect(
            path, timeout=wait_seconds, isolation_level=None, check_same_thread=False
        )
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from error
    try:
        check_version(connection, path)  # before anything is changed: the file may be somebody else's
        connection.execute("PRAGMA page_size = 4096")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 2000")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.execute("PRAGMA cache_size = -32768")
        _migrate(connection, path)
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise unusable(path, error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def connect_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that never writes.

    Raises:
        StoreError: there is no store, it is not one, it is newer than this spanreel, or it cannot be read.
    """
    if not path.exists():
        raise StoreError(f"there is no store at {path}", "record a run first, or name the store with --store")
    try:
        connection = _open_read_only(path)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        pending = check_version(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise unusable(path, error) from error
    except BaseException:
        connection.close()
        raise
    if pending:
        connection.close()
        raise BehindError(
            f"the store at {path} is empty or of an earlier version", "open it once where it can be written"
        )
    return connection


def connect_to_copy(path: Path) -> sqlite3.Connection:
    """A private copy in memory, of this version; for a store of an earlier one that cannot be written.

    Raises:
        StoreError: the store cannot be read.
    """
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection = _open_read_only(path)
        connection.backup(copy)
        connection.close()
        _migrate(copy, path)
    except sqlite3.Error as error:
        copy.close()
        raise unusable(path, error) from error
    return copy


def check_version(connection: sqlite3.Connection, path: Path) -> list[str]:
    """The migrations that the store still lacks.

    Raises:
        StoreError: it holds tables that are not ours, or migrations that this version does not know.
    """
    tables = {
        str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    known: list[str] = [*_KNOWN]
    if "_sqlite_migrations" not in tables:
        if tables:
            raise StoreError(
                f"{path} is a SQLite file, but not a spanreel store", "name another file with --store"
            )
        return known
    query = "SELECT name FROM _sqlite_migrations WHERE migration_set = ?"
    applied = {str(row[0]) for row in connection.execute(query, (MIGRATION_SET,))}
    if applied - set(known):
        newest = max(applied - set(known))
        raise StoreError(
            f"the store at {path} was written by a later spanreel ({newest})", "pip install -U spanreel"
        )
    if not applied and tables - {"_sqlite_migrations"}:
        raise StoreError(
            f"{path} is a SQLite file, but not a spanreel store", "name another file with --store"
        )
    return [name for name in known if name not in applied]


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if not check_version(connection, path):
        return
    from sqlite_utils import Database

    connection.execute("BEGIN IMMEDIATE")  # two processes may find the store missing at the same moment
    try:
        if check_version(connection, path):
            migrations().apply(Database(connection))
        if connection.in_transaction:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _open_read_only(path: Path) -> sqlite3.Connection:
    uri = path.absolute().as_uri()
    connection = sqlite3.connect(
        f"{uri}?mode=ro", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # In a folder that cannot be written, WAL's shared memory cannot be made: read the file as it stands.
        connection.close()
        if os.access(path.parent, os.W_OK) or path.with_name(path.name + "-wal").exists():
            raise
        connection = sqlite3.connect(
            f"{uri}?immutable=1", uri=True, isolation_level=None, check_same_thread=False
        )
    return connection


def _create_private(path: Path) -> None:
    """The file is there with mode 0600 before SQLite gives it (and its -wal and -shm) the umask's."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return


def unusable(path: Path, error: Exception) -> StoreError:
    """What is wrong with the file, in words."""
    text = str(error)
    if path.is_dir():
        return StoreError(f"{path} is a folder, not a store", "name a file with --store")
    if "not a database" in text or "malformed" in text:
        return StoreError(f"{path} is not a spanreel store ({text})", "name another file with --store")
    if "no such table" in text or "no such column" in text:
        return StoreError(
            f"the store at {path} is not as this spanreel made it ({text})", "name another file with --store"
        )
    if "locked" in text:
        return StoreError(
            f"the store at {path} is locked by another process", "try again when that one is done"
        )
    return StoreError(
        f"the store at {path} cannot be opened ({text})", "check that you may read and write its folder"
    )
