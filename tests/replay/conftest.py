"""A model server whose answers are numbered, SDK clients for it, and recording that is switched off again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from provider import KEY, Provider
from scripted_server import ScriptedServer

import spanreel


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server of numbered answers."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture
def store() -> Path:
    """Where this test records."""
    return Path(os.environ["SPANREEL_STORE"])


@pytest.fixture
def client(server: ScriptedServer) -> Iterator[openai.OpenAI]:
    """The real SDK, for that server."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k") as client:
        yield client


@pytest.fixture
def recording() -> Iterator[spanreel.Instrumentation]:
    """Recording is on until the test ends."""
    yield spanreel.instrument()
    spanreel.uninstrument()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """The one that the environment's base URLs name, with a key."""
    with Provider() as made:
        for name, path in (
            ("OPENAI_BASE_URL", "/v1"),
            ("ANTHROPIC_BASE_URL", ""),
            ("GOOGLE_GEMINI_BASE_URL", ""),
        ):
            monkeypatch.setenv(name, made.url + path)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            monkeypatch.setenv(name, KEY)
        yield made
