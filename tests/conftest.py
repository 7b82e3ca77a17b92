"""Fixtures every room shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# How long an example takes says how busy the machine is, not whether the code is right.
settings.register_profile("spanreel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("spanreel")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of recorded material, or a loud skip where it is not at hand."""
    folder = Path(os.environ.get("SPANREEL_SHARED") or ROOT.parent / "shared")
    if not (folder / "data").is_dir():
        pytest.skip(f"the recorded material is not at {folder}: set SPANREEL_SHARED to run this test")
    return folder


@pytest.fixture(autouse=True)
def clean_environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reads or writes a store but its own, and none inherits the shell's OpenTelemetry settings."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "SPANREEL_")) and name != "SPANREEL_SHARED":
            monkeypatch.delenv(name)
    monkeypatch.setenv("SPANREEL_STORE", str(tmp_path / "spans.db"))
