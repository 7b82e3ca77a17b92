"""The public names, and what importing them costs an agent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import spanreel

HEAVY = (
    "sqlite3",
    "sqlite_utils",
    "pydantic",
    "starlette",
    "uvicorn",
    "grpc",
    "typer",
    "rich",
    "requests",
    "genai_prices",
)


def modules_after(code: str, tmp_path: Path) -> set[str]:
    report = f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_every_public_name_is_importable_and_listed_in_order() -> None:
    """`__all__` is sorted, and each name in it is there."""
    assert spanreel.__all__ == sorted(spanreel.__all__)
    assert all(getattr(spanreel, name) is not None for name in spanreel.__all__)
    assert set(spanreel.__all__) <= set(dir(spanreel))


def test_instrument_is_both_the_room_and_the_call() -> None:
    """`spanreel.instrument` can be called and its modules imported."""
    import spanreel.instrument.responder as responder

    assert callable(spanreel.instrument)
    assert responder is spanreel.instrument.responder


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A misspelled name fails as any module's would."""
    with pytest.raises(AttributeError, match="instrumental"):
        _ = spanreel.instrumental


def test_import_alone_loads_nothing_of_ours(tmp_path: Path) -> None:
    """`import spanreel` loads one module."""
    loaded = modules_after("import spanreel", tmp_path)
    assert {name for name in loaded if name.startswith("spanreel")} == {"spanreel"}


def test_the_one_line_loads_nothing_heavy(tmp_path: Path) -> None:
    """`spanreel.instrument()` loads no database, server, model validation or command line into the agent's process."""
    loaded = modules_after("import spanreel; spanreel.instrument()", tmp_path)
    assert not loaded & set(HEAVY)
