"""What processes left in the spool, into the store.

It must not lose a frame: the spans of a chunk and how far the file was read are one transaction; a file is deleted
only when it was read to its end and its writer is gone. One drainer at a time (a lock beside the store).
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spanreel.collector.store.writer import Writer
from spanreel.exceptions import BadInput, StoreError
from spanreel.location import lock_file, spool_folder
from spanreel.wire.spans import Span
from spanreel.wire.spool import frames

CHUNK_BYTES: Final = 8 << 20
LOCK_SECONDS: Final = 5.0
_QUIET_SECONDS: Final = 60.0  # a live process may hold an unlocked file for a moment after creating it


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain moved: spans (new to the store or not), and bytes that were no whole record."""

    spans: int = 0
    torn_bytes: int = 0


def waiting(store: Path, connection: sqlite3.Connection | None = None) -> bool:
    """Whether a spool file holds more than was read of it so far."""
    offsets = _offsets(connection) if connection is not None else {}
    return any(_size(file) > offsets.get(file.name, 0) for file in _files(store))


def drain(writer: Writer, *, keep_files: bool = False) -> Drained:
    """Move every spool file of the writer's store into it.

    Args:
        writer: of the store, or of a private copy of it.
        keep_files: take no lock and delete nothing: for a private copy.

    Raises:
        StoreError: the store cannot be written, or another process has been draining it for some seconds.
    """
    if keep_files:
        return _all(writer, delete=False)
    if not _files(writer.path):
        return Drained()
    with locked(writer.path):
        return _all(writer, delete=True)


@contextmanager
def locked(store: Path, seconds: float = LOCK_SECONDS) -> Generator[None]:
    """Hold the drainer's lock of a store.

    Raises:
        StoreError: another process holds it, or the folder cannot be written.
    """
    try:
        descriptor = os.open(lock_file(store), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(
            f"{lock_file(store)} cannot be written ({error.strerror})", "check its permissions"
        ) from error
    try:
        limit = time.monotonic() + seconds
        while not _flock(descriptor):
            if time.monotonic() > limit:
                raise StoreError(f"another process is draining into {store}", "try again in a moment")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _all(writer: Writer, *, delete: bool) -> Drained:
    spans = torn = 0
    for file in _files(writer.path):
        found = _file(writer, file, delete=delete)
        spans += found.spans
        torn += found.torn_bytes
    return Drained(spans, torn)


def _file(writer: Writer, file: Path, *, delete: bool) -> Drained:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Drained()
    except OSError as error:
        raise StoreError(f"{file} cannot be read ({error.strerror})", "check its permissions") from error
    try:
        # asked before reading: what is read after the writer has gone is all there is
        abandoned = delete and _abandoned(descriptor, file)
        found, offset = _read(writer, file.name, descriptor)
        if abandoned:
            tail = os.fstat(descriptor).st_size - offset
            writer.finish_spool(file.name, tail)
            file.unlink(missing_ok=True)
            return Drained(found.spans, found.torn_bytes + tail)
        return found
    finally:
        os.close(descriptor)


def _read(writer: Writer, name: str, descriptor: int) -> tuple[Drained, int]:
    offset = writer.spool_offset(name)
    spans = torn = 0
    size = CHUNK_BYTES
    while True:
        buffer = os.pread(descriptor, size, offset)
        # at offset 0 stands the header, which `frames` skips by itself
        found = frames(buffer, 0) if offset == 0 else frames(b"\0" + buffer, 1)
        consumed = found.next_offset - (offset != 0)
        if not consumed:
            if len(buffer) < size:
                return Drained(spans, torn), offset
            size *= 2  # one frame is larger than the chunk
            continue
        skipped = found.torn_bytes - (0 if found.more else len(buffer) - consumed)
        batch, bad = _decoded(found.payloads)
        offset += consumed
        torn += skipped + bad
        writer.add_from_spool(batch, name, offset, skipped + bad)
        spans += len(batch)
        size = CHUNK_BYTES


def _decoded(payloads: list[bytes]) -> tuple[list[Span], int]:
    from spanreel.collector import decode  # protobuf: only when there is something to decode

    spans: list[Span] = []
    bad = 0
    for payload in payloads:
        try:
            spans += decode.decode(payload).spans
        except BadInput:
            bad += len(payload)
    return spans, bad


def _files(store: Path) -> list[Path]:
    """Oldest first, so that a base comes before what refers to it."""
    found: list[tuple[float, Path]] = []
    try:
        with os.scandir(spool_folder(store)) as entries:
            found = [
                (entry.stat().st_mtime, Path(entry.path))
                for entry in entries
                if entry.is_file() and entry.name[0] != "."
            ]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(
            f"{spool_folder(store)} cannot be read ({error.strerror})", "check its permissions"
        ) from error
    return [path for _, path in sorted(found)]


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _offsets(connection: sqlite3.Connection) -> dict[str, int]:
    return {str(name): int(offset) for name, offset in connection.execute("SELECT name, offset FROM spool")}


def _abandoned(descriptor: int, file: Path) -> bool:
    """Whether the process that appended to this file is gone, or has let go of it for good."""
    if not _flock(descriptor):
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    pid = file.name.partition("-")[0]
    if pid.isdigit() and not _alive(int(pid)):
        return True
    return time.time() - os.fstat(descriptor).st_mtime > _QUIET_SECONDS


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
