"""Where the recording goes: a spool file beside the store, read by everyone who opens it.

Runs on the exporting thread, and for durable records on the caller's. Must not lose what it cannot write
at once: it waits in memory, bounded, and what the bound costs is counted.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path

from spanreel import location
from spanreel.wire import spool
from spanreel.wire.spans import Span


class Spool:
    """One file of frames per process: made when the first record comes, locked as long as the writer lives."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._fd = -1
        self.path: Path | None = None

    def append(self, payload: bytes) -> None:
        """Append one frame. On file when it returns.

        Raises:
            OSError: nothing of the frame is left in the file.
        """
        fd = self._fd if self._fd >= 0 else self._open()
        start = os.lseek(fd, 0, os.SEEK_END)
        rest = memoryview(spool.frame(payload))
        try:
            while rest:
                rest = rest[os.write(fd, rest) :]
        except OSError:
            os.ftruncate(fd, start)
            raise

    def close(self) -> None:
        """Close the file, which lets go of its lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        folder = location.spool_folder(self._store)
        location.prepare_folder(self._store.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(fd, spool.HEADER)
        self._fd, self.path = fd, path
        return fd


class Channel:
    """Takes finished spans, and keeps them on file."""

    def __init__(self, store: Path) -> None:
        self._lock = threading.Lock()
        self.spool = Spool(store)

    def write(self, spans: Sequence[Span]) -> None:
        """Write spans; on file when it returns."""
        from spanreel.instrument import encode

        with self._lock:
            self.spool.append(encode.request_bytes(spans))

    def close(self) -> None:
        """Nothing more will be written."""
        with self._lock:
            self.spool.close()

    def forked(self) -> None:
        """In the child: the file is the parent's; the next record opens another."""
        self._lock = threading.Lock()
        self.spool.close()
