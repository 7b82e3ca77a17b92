"""The store's own key for keyed hashes: `<store>.key`, 0600, made once, whoever comes first."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from spanreel import location
from spanreel.instrument.guard import log_once

SIZE = 32


class StoreKey:
    """The key of a store, read or made when it is first asked for."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._key = b""

    def __call__(self) -> bytes:
        """The key. Where the folder cannot be written: one that holds for this process only."""
        if not self._key:
            try:
                self._key = _read_or_make(location.key_file(self._store))
            except OSError as error:
                log_once(
                    "key", "the store's key cannot be kept (%s): hashes hold for this process", error.strerror
                )
                self._key = secrets.token_bytes(SIZE)
        return self._key


def _read_or_make(path: Path) -> bytes:
    """A key that is never seen half-written: the file is filled first and then given its name, which only one can."""
    if not path.exists():
        location.prepare_folder(path.parent)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, secrets.token_bytes(SIZE))
            os.link(fresh, path)
        except FileExistsError:
            pass  # another process was first: its key is the store's
        finally:
            os.close(fd)
            fresh.unlink()
    key = path.read_bytes()
    if len(key) != SIZE:
        raise OSError(22, "the key file is damaged")
    return key
