"""A command line and a store of its own for every test.

Most commands run in the process of the tests: what they print and exit with is the same, and a process takes longer to
start than they take to run.
"""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from commands import Cli, Done, Fill, environment

from spanreel.cli.app import main
from spanreel.collector.store import open_writer
from spanreel.wire.spans import Span


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """`cli("runs", "--json")` runs `spanreel runs --json` in a folder of its own, on a store of its own."""

    def call(
        *words: str | Path,
        columns: int = 80,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        process: bool = False,
    ) -> Done:
        environ = environment(tmp_path, COLUMNS=str(columns), **(env or {}))
        line = [str(word) for word in words]
        run = _in_process if process or line[0] in OWN_PROCESS else _here
        return run(line, cwd or tmp_path, environ)

    return call


OWN_PROCESS = ("run", "replay", "fork", "try", "collect")
"""Commands whose child writes to their output, or that change their process."""


def _in_process(words: list[str], folder: Path, environ: dict[str, str]) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "spanreel", *words],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=90,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def _here(words: list[str], folder: Path, environ: dict[str, str]) -> Done:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with (
        open(os.devnull) as nothing,
        pytest.MonkeyPatch.context() as patch,
        variables(environ),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["spanreel", *words])
        patch.setattr(sys, "stdin", nothing)
        with pytest.raises(SystemExit) as ended:
            main()
        out.flush()
        err.flush()
    return Done(int(ended.value.code or 0), *(stream.buffer.getvalue().decode() for stream in (out, err)))


@contextlib.contextmanager
def variables(environ: Mapping[str, str]) -> Iterator[None]:
    """These environment variables and no others, until the block ends."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
        time.tzset()


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
