"""spanreel as one more replayer of `replay_bench.py` in the shared bench folder: a session is a run, matched by the whole request."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import spanreel


class Spanreel:
    """`spanreel.instrument()` and `spanreel.replaying()` at their defaults, on a store of their own."""

    ext = ".db"

    @contextlib.contextmanager
    def record(self, path: str) -> Iterator[None]:
        recording = spanreel.instrument("bench", store=path)
        with spanreel.run("session"):
            yield
        recording.uninstrument()

    @contextlib.contextmanager
    def replay(self, path: str) -> Iterator[None]:
        with spanreel.replaying("last", store=path) as execution:
            yield
        assert execution.verdict.verdict == "exact"
        assert execution.verdict.effects.recorded

    def size(self, path: str) -> int:
        return sum(one.stat().st_size for one in Path(path).parent.rglob("*") if one.is_file())
