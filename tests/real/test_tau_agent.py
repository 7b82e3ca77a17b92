"""A live agent on a real SDK over 100 recorded retail episodes: runs, tool calls and results against the tape."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from spanreel.collector.store import open_reader
from spanreel.replay.build import build

HERE = Path(__file__).parent


def tape(shared: Path) -> list[list[tuple[str, Any, str]]]:
    """(name, arguments, result) of every call of every episode, in order."""
    with gzip.open(
        shared / "data/trajectories/tau_retail/gpt4o_retail.tape.jsonl.gz", "rt", encoding="utf-8"
    ) as lines:
        episodes = [json.loads(line) for line in lines]
    return [
        [(call["name"], call["arguments"], call["result"]) for call in episode["calls"]]
        for episode in episodes
    ]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("wire", "mode"), [("openai", "plain"), ("anthropic", "tapped")])
def test_a_hundred_live_episodes_are_recorded_as_the_tape_says(
    shared: Path, tmp_path: Path, wire: str, mode: str
) -> None:
    """One run an episode; every tool call with its arguments and its result, tapped or rebuilt from the wire."""
    command = [sys.executable, str(HERE / "drive_tau.py"), str(shared / "data"), wire, mode]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=500, cwd=tmp_path)
    episodes = json.loads(done.stdout.splitlines()[-1])
    assert [episode["error"] for episode in episodes] == [None] * len(episodes)
    with open_reader(tmp_path / "spans.db") as reader:
        runs = [run for run in reader.runs() if run.agent_name == "tau"]
        replays = [build(run, reader.spans(run.trace_id)) for run in reversed(runs)]
    assert len(replays) == len(episodes) == 100
    assert {replay.status for replay in replays} == {"completed"}
    seen = [
        [(call.tool_name, call.tool_args, call.result) for call in replay.tool_calls] for replay in replays
    ]
    for recorded, told in zip(seen, tape(shared), strict=True):
        # the last call of an episode that ends on a tool is never sent back to the model: only a tap sees its result
        expected = told if mode == "tapped" else told[: len(recorded)]
        assert recorded == expected
        assert len(told) - len(recorded) <= (0 if mode == "tapped" else 1)
