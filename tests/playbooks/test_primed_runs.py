"""From recorded runs to saved model calls, as `bench/priming.py` measures it: compile, shadow, promote, prime, dispatch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """The figures of two tasks, in a process of its own."""
    folder = tmp_path_factory.mktemp("priming")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "SPANREEL_"))}
    subprocess.run(
        [
            sys.executable,
            str(ROOT / "bench" / "priming.py"),
            "--tasks",
            "2",
            "--out",
            str(folder / "figures.json"),
        ],
        check=True,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT)},
        timeout=100,
        capture_output=True,
    )
    return json.loads((folder / "figures.json").read_text("utf-8"))


def test_a_compiled_playbook_follows_held_out_runs_and_passes_its_gates(measured: dict):
    """Its shadows write what the agent wrote; so it could be promoted."""
    assert measured["shadows"] == {"same": 3, "of": 3}


def test_a_primed_agent_makes_fewer_calls_for_the_same_writes(measured: dict):
    """The block costs tokens in each call, and is followed by the scripted model."""
    assert measured["primed"]["model_calls"] < measured["unprimed"]["model_calls"]
    assert measured["primed"]["input_tokens"] < measured["unprimed"]["input_tokens"]
    assert measured["same_writes"]["primed"] == 2


def test_dispatch_makes_no_model_call_and_reports_what_the_sources_needed(measured: dict):
    """Within the few tokens by which tasks of one kind differ."""
    assert measured["by_playbook"] == 2
    assert measured["dispatched"]["model_calls"] == 0
    assert measured["same_writes"]["dispatched"] == 2
    saved, needed = measured["said_to_be_saved"], measured["unprimed"]
    assert saved["model_calls"] == needed["model_calls"]
    assert saved["tokens"] == pytest.approx(needed["input_tokens"] + needed["output_tokens"], rel=0.01)
