"""A model server, and little projects whose tests run in a pytest of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "instrument"))

from model_server import ModelServer

PLUGIN = "spanreel.replay.testing.plugin"
AGENT = """
import os
from pathlib import Path

import openai

import spanreel


def client():
    return openai.OpenAI(base_url=os.environ["MODEL_URL"] + "/v1", api_key="k", max_retries=0)


def ask(text, **more):
    messages = [{"role": "user", "content": text}]
    return client().chat.completions.create(model="gpt-4.1-mini", messages=messages, **more).choices[0].message.content


@spanreel.tool
def lookup(order):
    with Path(os.environ["FIRED"]).open("a") as file:
        file.write("x")
    return {"order": order, "status": "sent"}
"""


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A model server of the test's own; it counts what it served."""
    with ModelServer() as server:
        yield server


class Project:
    """A folder with an agent and its tests. `fired`: how often the tool's body has run."""

    def __init__(self, pytester: pytest.Pytester, server: ModelServer) -> None:
        self.pytester = pytester
        self.path = pytester.path
        self.server = server
        (self.path / "pyproject.toml").write_text("", "utf-8")
        (self.path / "agent.py").write_text(AGENT, "utf-8")
        (self.path / "pytest.ini").write_text(
            f"[pytest]\naddopts = -p {PLUGIN} -p no:cacheprovider\n", "utf-8"
        )

    def test(self, source: str, name: str = "test_agent.py") -> None:
        """Write the tests."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, "utf-8")

    def run(self, *words: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess("-rA", *words)

    def recordings(self) -> list[str]:
        """The recordings there are, relative to the project."""
        return sorted(path.relative_to(self.path).as_posix() for path in self.path.rglob("*.otlp.jsonl"))

    @property
    def fired(self) -> int:
        """How often the tool's body ran."""
        file = self.path / "fired"
        return len(file.read_text()) if file.exists() else 0


@pytest.fixture
def project(pytester: pytest.Pytester, server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project; its agent asks the server."""
    monkeypatch.setenv("MODEL_URL", server.url)
    monkeypatch.setenv("FIRED", str(pytester.path / "fired"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # ours is named; the others only take time
    monkeypatch.setenv("HOME", str(pytester.path.parent))
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])]))
    return Project(pytester, server)
