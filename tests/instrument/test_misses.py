"""No silent miss: what reaches a model past our taps, or in a protocol we do not read, is said on the run."""

from __future__ import annotations

import asyncio
import http.client
import logging
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import openai
import pytest
import recorded
from model_server import ModelServer

import spanreel
from spanreel.wire import attributes as names
from spanreel.wire import recognise

MESSAGES = [{"role": "user", "content": "hi"}]


def reported(store: Path) -> list[str]:
    spanreel.instrument().flush()
    marks = [str(span.attributes.get(names.INCOMPLETE, "")) for span in recorded.spans(store)]
    return [mark for mark in marks if "not captured" in mark]


def post(server: ModelServer, path: str) -> None:
    server.script.append("404")
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    connection.request("POST", path, b"{}", {"content-type": "application/json"})
    connection.getresponse().read()
    connection.close()


@pytest.fixture
def named(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> ModelServer:
    """The server as the place where the application says its models are."""
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    spanreel.instrument()
    return server


def test_an_unknown_client_that_reaches_a_model_host_is_reported(
    named: ModelServer, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """One line in the log, and a mark on the run that called."""
    with caplog.at_level(logging.WARNING, logger="spanreel"), spanreel.run("agent") as run:
        post(named, "/v1/chat/completions")
        post(named, "/v1/chat/completions")
    (mark,) = reported(store)
    assert "past every client that spanreel taps" in mark
    assert len([line for line in caplog.messages if "not recorded" in line]) == 1
    marker = next(span for span in recorded.spans(store) if names.INCOMPLETE in span.attributes)
    assert marker.trace_id == run.run_id


def test_tapped_clients_are_not_reported(named: ModelServer, store: Path) -> None:
    """Captured calls and calls that are none (the list of models), sync and async, are no miss."""
    client = openai.OpenAI(max_retries=0)
    client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES)
    with pytest.raises(openai.APIStatusError):
        client.models.list()

    async def both() -> None:
        other = openai.AsyncOpenAI(max_retries=0)
        await other.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES)
        with pytest.raises(openai.APIStatusError):
            await other.models.list()

    asyncio.run(both())
    assert reported(store) == []
    assert len(recorded.exchanges(store)) == 2


def test_a_model_call_in_a_protocol_that_is_not_read_is_reported(server: ModelServer, store: Path) -> None:
    """A tapped client that asks Gemini for embeddings, say, is not recorded yet: the run says so."""
    spanreel.instrument()
    server.script.extend(["404", "404"])
    with spanreel.run("agent"):
        httpx2.post(f"{server.url}/v1beta/models/gemini-3:embedContent", json={"content": {}})
        httpx2.post(f"{server.url}/orders", json={"messages": []})
    (mark,) = reported(store)
    assert "its protocol is not one that spanreel reads yet" in mark


def test_other_hosts_are_nobodys_business(server: ModelServer, store: Path) -> None:
    """A connection to a host that serves no models is not looked at."""
    spanreel.instrument()
    post(server, "/v1/chat/completions")
    assert reported(store) == []


@pytest.mark.parametrize(
    ("host", "url", "is_call"),
    [
        ("api.openai.com", "https://api.openai.com/v1/images/generations", True),
        ("api.openai.com", "https://api.openai.com/v1/files", False),
        ("eu.api.openai.com", "https://eu.api.openai.com/v1/completions", True),
        ("bedrock-runtime.eu-west-1.amazonaws.com", "/model/anthropic.x/converse-stream", True),
        ("s3.eu-west-1.amazonaws.com", "/bucket/messages", False),
        ("localhost", "http://localhost:11434/api/chat", True),
        ("hooks.example.com", "https://hooks.example.com/messages", False),
    ],
)
def test_what_looks_like_a_model_call(host: str, url: str, is_call: bool) -> None:
    """Host and path together tell; a path that only model APIs have tells alone."""
    assert recognise.looks_like_a_model_call("POST", host, url) is is_call
    assert recognise.looks_like_a_model_call("GET", host, url) is False
