"""The example agents of two frameworks: recorded once, then run again twice with nothing there and tools that raise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from agent_server import AgentServer

import spanreel

ROOT = Path(spanreel.__file__).parent.parent


def told(run: str) -> Any:
    """What a run did: every tool call with arguments and result, every model call with its answer, and the end."""
    seen = spanreel.load(run)
    calls = [(call.tool_name, call.tool_args, call.result, call.tool_call_id) for call in seen.tool_calls]
    return calls, [step.output_messages for step in seen.steps], seen.content, seen.tokens, seen.status


@pytest.mark.parametrize("example", ["langgraph_agent", "openai_agents_agent"])
def test_an_example_is_replayed_without_its_tools(example: str, tmp_path: Path) -> None:
    """Fresh processes, no server, bodies that end the process: the same calls, results and answer, and `exact`."""
    script = tmp_path / "agent.py"
    code = (ROOT / "examples" / f"{example}.py").read_text("utf-8")
    script.write_text(code, "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENAI_API_KEY": "k"}

    def run(*command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with AgentServer() as server:
        environment["OPENAI_BASE_URL"] = server.url
        first = run("agent.py")
    recorded = told("last")
    assert [name for name, *_ in recorded[0]] == ["get_order", "get_order", "refund"]
    assert recorded[0][2][2] == "refunded 42 for 17"
    broken, bodies = re.subn(
        r"^    return (?=\{|f\")", "    raise SystemExit('ran') or ", code, flags=re.MULTILINE
    )
    assert bodies == 2
    script.write_text(broken, "utf-8")
    for _ in range(2):
        out = run("-m", "spanreel", "replay", "last")
        assert out.startswith(first)
        assert "\nexact:" in out
        again = told("last")
        assert sorted(again[0], key=str) == sorted(
            recorded[0], key=str
        )  # threads may take two of them in any order
        assert again[1:] == recorded[1:]
