"""The store: spans in SQLite, every message once.

`open_writer` for whoever receives spans, `open_reader` for everybody who looks at runs.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from spanreel.collector.store.drain import drain as drain_spool
from spanreel.collector.store.drain import waiting
from spanreel.collector.store.reader import Counts, Reader
from spanreel.collector.store.schema import (
    BehindError,
    connect_for_reading,
    connect_for_writing,
    connect_to_copy,
)
from spanreel.collector.store.writer import Added, Writer
from spanreel.exceptions import StoreError

__all__ = ["Added", "Counts", "Reader", "Writer", "drain_spool", "open_reader", "open_writer"]


def open_writer(path: Path) -> Writer:
    """The writing side of the store at `path`, which is made if it is not there.

    Raises:
        StoreError: it is not a store, it is newer than this spanreel, or it cannot be written.
    """
    return Writer(path)


def open_reader(path: Path, *, drain: bool = True) -> Reader:
    """The reading side of the store at `path`.

    Args:
        path: of the store.
        drain: first bring in what processes left in the spool. Where the store cannot be written, or somebody else
            keeps it locked, the reader works on a private copy with the spool brought into it (`overlay`); as it does on
            a store of an earlier version that cannot be brought up to date.

    Raises:
        StoreError: there is neither a store nor a spool, or the store cannot be read.
    """
    if not path.exists() and drain and waiting(path):
        with Writer(path) as writer:
            drain_spool(writer)
        return Reader(connect_for_reading(path), path)
    try:
        connection = _up_to_date(path)
    except BehindError:
        return _overlay(connect_to_copy(path), path, drain=drain)
    try:
        behind = drain and waiting(path, connection)
        if not behind:
            return Reader(connection, path)
        if _drained(path):
            return Reader(connection, path)
        copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.backup(copy)
        connection.close()
        return _overlay(copy, path)
    except BaseException:
        connection.close()
        raise


def _up_to_date(path: Path) -> sqlite3.Connection:
    try:
        return connect_for_reading(path)
    except BehindError as behind:  # or somebody else is making it at this moment, for whom this waits
        try:
            connect_for_writing(path).close()
        except StoreError:
            raise behind from None
        return connect_for_reading(path)


def _drained(path: Path) -> bool:
    try:
        with Writer(path) as writer:
            drain_spool(writer)
    except StoreError:  # the reason does not matter here: the copy is read instead
        return False
    return True


def _overlay(copy: sqlite3.Connection, path: Path, *, drain: bool = True) -> Reader:
    if drain:
        drain_spool(Writer(path, copy), keep_files=True)
    return Reader(copy, path, overlay=True)
