"""Google's SDK, recorded and replayed: sync and async, whole and streamed, with a tool."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import spanreel
from spanreel.replay.load import load

genai = pytest.importorskip("google.genai", reason="google-genai is not installed")

pytestmark = [
    pytest.mark.usefixtures("recording"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:google"),
]
USAGE = {
    "promptTokenCount": 120,
    "cachedContentTokenCount": 64,
    "candidatesTokenCount": 12,
    "thoughtsTokenCount": 8,
    "totalTokenCount": 140,
}


def chunk(number: int, parts: list[dict[str, Any]], end: str | None = None) -> dict[str, Any]:
    """One response object; the last of a stream has its end."""
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    made: dict[str, Any] = {
        "candidates": [candidate],
        "modelVersion": "gemini-2.5-pro",
        "responseId": f"r{number}",
    }
    if end:
        candidate["finishReason"] = end
        made["usageMetadata"] = USAGE
    return made


class Google(BaseHTTPRequestHandler):
    """Answers with a number of its own; asks for the weather first where there are tools."""

    protocol_version = "HTTP/1.1"
    asked: list[dict[str, Any]]

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(request)
        number = len(self.asked)
        parts: list[dict[str, Any]] = [{"text": f"Answer {number}"}]
        if "tools" in request and len(request["contents"]) == 1:
            parts = [{"functionCall": {"name": "get_weather", "args": {"city": "Paris", "model": "no"}}}]
        if ":stream" in self.path:
            chunks = [
                chunk(number, parts),
                chunk(number, [{"text": ", "}]),
                chunk(number, [{"text": "done"}], "STOP"),
            ]
            body = b"".join(b"data: " + json.dumps(one).encode() + b"\r\n\r\n" for one in chunks)
            kind = "text/event-stream"
        else:
            body, kind = json.dumps(chunk(number, parts, "STOP")).encode(), "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing to say."""


@pytest.fixture
def google() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The server's address, and what it was asked."""
    asked: list[dict[str, Any]] = []
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Google,), {"asked": asked}))
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_address[1]}", asked
    http.shutdown()
    http.server_close()
    thread.join(5)


TOOL = {
    "function_declarations": [
        {
            "name": "get_weather",
            "parameters_json_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
        }
    ]
}


def agent(url: str) -> list[Any]:
    """Whole, streamed, and async both."""
    with genai.Client(api_key="k", http_options={"base_url": url}) as client:
        ask = {"model": "gemini-2.5-pro", "contents": "Weather in Paris?"}
        config = {"tools": [TOOL], "temperature": 0.5, "automatic_function_calling": {"disable": True}}
        whole = client.models.generate_content(**ask, config=config)
        streamed = list(client.models.generate_content_stream(**ask))

        async def both() -> tuple[Any, list[Any]]:
            aio = client.aio.models
            first = await aio.generate_content(**ask)
            return first, [one async for one in await aio.generate_content_stream(**ask)]

        return [whole, streamed, *asyncio.run(both())]


def said(results: list[Any]) -> str:
    """What the SDK made of it all, without the HTTP headers."""
    flat = [one for item in results for one in (item if isinstance(item, list) else [item])]
    return json.dumps([one.model_dump(mode="json", exclude={"sdk_http_response"}) for one in flat])


def test_googles_sdk_is_recorded_and_replayed(google):
    """A replay gives equal objects and asks nobody; the record has model, tokens and the tool's call."""
    url, asked = google
    with spanreel.run("agent") as run:
        first = agent(url)
    spanreel.instrument().flush()
    assert len(asked) == 4
    with spanreel.replaying(run.run_id) as execution:
        second = agent(url)
    assert said(second) == said(first)
    assert len(asked) == 4
    assert execution.verdict.verdict == "exact"
    assert execution.verdict.effects.recorded == 4
    replay = load(run.run_id)
    assert [step.model for step in replay.steps] == ["gemini-2.5-pro"] * 4
    assert [step.name for step in replay.steps] == ["generate_content gemini-2.5-pro"] * 4
    tokens = replay.tokens
    assert (tokens.input_tokens, tokens.output_tokens) == (480, 80)
    assert (tokens.cache_read_tokens, tokens.reasoning_tokens) == (256, 32)


def test_another_question_is_a_divergence(google):
    """Gemini's requests are told apart by what they ask."""
    url, _ = google
    with spanreel.run("agent") as run, genai.Client(api_key="k", http_options={"base_url": url}) as client:
        client.models.generate_content(model="gemini-2.5-pro", contents="one")
    spanreel.instrument().flush()
    with (
        pytest.raises(spanreel.Divergence),
        spanreel.replaying(run.run_id),
        genai.Client(api_key="k", http_options={"base_url": url}) as client,
    ):
        client.models.generate_content(model="gemini-2.5-pro", contents="two")


def test_a_replay_needs_no_key(google, monkeypatch):
    """Google's SDK will not be made without a key, in either of the places where it looks; a replay gives it one."""
    url, _ = google
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.delenv(name, raising=False)

    def ask(**key: str) -> str:
        with genai.Client(**key, http_options={"base_url": url}) as client:
            return client.models.generate_content(model="gemini-2.5-pro", contents="one").text

    with spanreel.run("agent") as run:
        first = ask(api_key="k")
    spanreel.instrument().flush()
    with spanreel.replaying(run.run_id):
        assert ask() == first
    monkeypatch.setenv("GEMINI_API_KEY", "mine")
    with spanreel.replaying(run.run_id):
        assert "GOOGLE_API_KEY" not in os.environ
        assert ask() == first
