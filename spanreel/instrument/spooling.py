"""The spool file of this process: made when the first record comes, locked as long as the writer lives."""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path

from spanreel import location
from spanreel.wire import spool


class Spool:
    """Appends frames. Every method but `close` raises OSError where the disk does."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._fd = -1
        self.path: Path | None = None

    def ready(self) -> bool:
        """Have a file to append to. True: it is a new one, to which nothing was written before."""
        if self._fd >= 0:
            if os.fstat(self._fd).st_nlink:
                return False
            self.close()  # somebody removed the file: what follows must be found
        self._open()
        return True

    def append(self, payload: bytes) -> None:
        """Append one frame. On file when it returns; where it raises, nothing of the frame is left in the file."""
        start = os.lseek(self._fd, 0, os.SEEK_END)
        rest = memoryview(spool.frame(payload))
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError:
            os.ftruncate(self._fd, start)
            raise

    def close(self) -> None:
        """Close the file, which lets go of its lock."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        folder = location.spool_folder(self._store)
        location.prepare_folder(self._store.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if os.write(fd, spool.HEADER) < len(spool.HEADER):
                raise OSError(28, "no space left for the header")
        except OSError:
            os.close(fd)
            path.unlink(missing_ok=True)
            raise
        self._fd, self.path = fd, path
