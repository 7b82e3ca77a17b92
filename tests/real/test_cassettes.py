"""Recorded provider traffic through the real SDKs: recorded again by us, then replayed with nothing to talk to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.timeout(600)
def test_every_cassette_replays_offline_to_equal_typed_objects(shared: Path, tmp_path: Path) -> None:
    """Every chat, responses, embeddings and messages cassette: the SDK's objects are equal, and the verdict is exact."""
    tools, folder = shared / "data" / "tools", shared / "data" / "cassettes"
    server = subprocess.Popen(
        [sys.executable, tools / "cassette_server.py", folder], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        base = f"http://127.0.0.1:{json.loads(server.stdout.readline())['port']}"
        command = [sys.executable, str(HERE / "drive_cassettes.py"), str(tools), str(folder), base]
        subprocess.run([*command, str(tmp_path / "recorded.json")], check=True, timeout=280, cwd=tmp_path)
    finally:
        server.terminate()
        server.wait()
        if server.stdout:
            server.stdout.close()
    replay = [
        sys.executable,
        "-m",
        "spanreel",
        "replay",
        "last",
        "--json",
        "--",
        *command,
        str(tmp_path / "replayed.json"),
    ]
    done = subprocess.run(
        replay, check=False, capture_output=True, text=True, timeout=280, cwd=tmp_path, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    verdict = json.loads(done.stdout)
    recorded, replayed = (
        json.loads((tmp_path / name).read_text("utf-8")) for name in ("recorded.json", "replayed.json")
    )
    assert recorded == replayed
    assert verdict["verdict"] == "exact"
    failed = [result for result in recorded["sync"] if "error" in result]
    assert all(result["status"] for result in failed), "an SDK refused to send what it once sent"
    kinds = Counter(
        "stream" if isinstance(result, list) else "error" if "error" in result else result["type"]
        for result in recorded["sync"]
    )
    assert len(recorded["sync"]) > 400
    assert kinds["stream"] > 100
    assert verdict["effects"]["recorded"] == len(recorded["sync"]) + len(recorded["async"])
    assert verdict["effects"]["live"] == 0
    listed = subprocess.run(
        [sys.executable, "-m", "spanreel", "runs", "--json"],
        check=True,
        capture_output=True,
        cwd=tmp_path,
        timeout=60,
    )
    runs = json.loads(listed.stdout)["runs"]
    assert [run["agent_name"] for run in runs] == ["drive_cassettes.py"] * 2
    assert (
        runs[0]["model_calls"] == runs[1]["model_calls"] > 600
    )  # the same body sent again after an error is a retry
