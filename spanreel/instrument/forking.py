"""A lock that a fork waits for: what the child would inherit held, it would hold for ever."""

from __future__ import annotations

import threading

WAIT_S = 0.5  # how long a fork waits for what is under way


class ForkLock:
    """Held (`with`) while something is under way that a fork must not cut in two, such as an import."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forking = 0

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before_fork(self) -> None:
        """Wait for whoever holds it, a moment at most."""
        if self._lock.acquire(timeout=WAIT_S):
            self._forking = threading.get_ident()

    def after_fork(self) -> None:
        """In the parent: go on. Not where another thread forks too and did not wait long enough."""
        if self._forking == threading.get_ident():
            self._forking = 0
            self._lock.release()
