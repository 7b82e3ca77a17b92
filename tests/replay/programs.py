"""Programs that are recorded with a server and replayed without one, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from scripted_server import ScriptedServer

from spanreel.replay.child import Outcome, replay_run
from spanreel.replay.verdict import Verdict

ROOT = Path(__file__).resolve().parents[2]
NO_SERVER = "http://127.0.0.1:9"
ASK = """
import os, sys, openai
client = openai.OpenAI(base_url=os.environ["MODEL_SERVER"] + "/v1", max_retries=0)
def ask(text, **options):
    return client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": text}], **options)
def said(text):
    return ask(text).choices[0].message.content
"""


def write(name: str, code: str, preamble: str = ASK) -> str:
    """A file with the agent's preamble."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(preamble + textwrap.dedent(code))
    return name


def record(*command: str, code: int = 0) -> str:
    """Run a command with recording on, while a server is there; what it printed."""
    run = f"import sys; from spanreel.replay.child import run_command; sys.exit(run_command({[*command]!r}))"
    with ScriptedServer() as server:
        environment = os.environ | {"MODEL_SERVER": server.url, "OPENAI_API_KEY": "k"}
        ended = subprocess.run(
            [sys.executable, "-c", run],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == code, ended.stderr
    return ended.stdout


def replay(run: str = "last", *command: str) -> Outcome:
    """Replay in a fresh process."""
    return replay_run(None, run, command or None, echo="capture", timeout=60)


def verdict(outcome: Outcome) -> Verdict:
    """The verdict, which must be there."""
    assert outcome.verdict is not None, (outcome.problem, outcome.stderr)
    return outcome.verdict
