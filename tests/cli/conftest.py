"""A command line and a store of its own for every test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from commands import Cli, Done, Fill, environment

from spanreel.collector.store import open_writer
from spanreel.wire.spans import Span


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`cli("runs", "--json")` runs `spanreel runs --json` in a folder of its own, on a store of its own."""

    def call(
        *words: str | Path, columns: int = 80, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "spanreel", *map(str, words)],
            cwd=cwd or tmp_path,
            env=environment(tmp_path, COLUMNS=str(columns), **(env or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=90,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The store that commands use when none is named."""
    return tmp_path / "spans.db"


@pytest.fixture
def fill(store: Path) -> Fill:
    """Put spans into the store."""

    def put(spans: Sequence[Span]) -> None:
        with open_writer(store) as writer:
            writer.add(spans)

    return put
