"""Programs that are recorded with a server and replayed without one, each in a process of its own."""

from __future__ import annotations

import tempfile
import textwrap
from contextlib import redirect_stderr
from pathlib import Path

import pytest
from scripted_server import ScriptedServer

from spanreel.replay.child import Outcome, replay_run, run_command
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
    with (
        ScriptedServer() as server,
        tempfile.TemporaryFile("w+") as printed,
        pytest.MonkeyPatch.context() as patch,
        redirect_stderr(printed),
    ):
        patch.setenv("MODEL_SERVER", server.url)
        patch.setenv("OPENAI_API_KEY", "k")
        assert run_command(command, echo="stderr") == code
        printed.seek(0)
        return printed.read()


def replay(run: str = "last", *command: str) -> Outcome:
    """Replay in a fresh process."""
    return replay_run(None, run, command or None, echo="capture", timeout=60)


def verdict(outcome: Outcome) -> Verdict:
    """The verdict, which must be there."""
    assert outcome.verdict is not None, (outcome.problem, outcome.stderr)
    return outcome.verdict
