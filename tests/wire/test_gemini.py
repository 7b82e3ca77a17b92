"""Gemini is read as it is: every recorded call, streamed in both ways or whole, in both spellings of its names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_exchanges import Exchange

from spanreel.wire import attributes as names
from spanreel.wire.content import canonical_json
from spanreel.wire.dialect import Reply
from spanreel.wire.dialects.gemini import DIALECT
from spanreel.wire.framing import sse
from spanreel.wire.recognise import provider_of, recognise, request_model
from spanreel.wire.usage import Usage

TOOLS = [{"functionDeclarations": [{"name": "get_weather", "parametersJsonSchema": {"type": "object"}}]}]
ASKED: dict[str, Any] = {
    "contents": [{"role": "user", "parts": [{"text": "Weather in Paris?"}]}],
    "tools": TOOLS,
}
USAGE = {
    "promptTokenCount": 120,
    "cachedContentTokenCount": 64,
    "candidatesTokenCount": 12,
    "thoughtsTokenCount": 8,
    "totalTokenCount": 140,
}


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    """The replies in a body: its events, its elements, or the one."""
    if body.lstrip().startswith(b"data:"):
        return [json.loads(event.data) for event in sse.events(body)]
    value = json.loads(body)
    return value if isinstance(value, list) else [value]


def part_text(body: bytes, *, thoughts: bool) -> str:
    """Text of the first candidate, by an independent reader."""
    return "".join(
        part.get("text", "")
        for chunk in chunks_of(body)
        for candidate in chunk.get("candidates", [])[:1]
        for part in candidate["content"].get("parts", [])
        if bool(part.get("thought")) == thoughts
    )


def test_every_cassette_is_read_as_it_is(cassettes: list[tuple[str, Exchange]]):
    """Model, host, tokens, words, thoughts, tool calls and errors of all recorded calls are those of the bytes."""
    seen = {"gemini_generate": 0, "gemini_stream": 0}
    calls = 0
    for known, exchange in cassettes:
        if known not in seen:
            continue
        seen[known] += 1
        call, chunks = exchange.read(), chunks_of(exchange.reply.body)
        last = [chunk["usageMetadata"] for chunk in chunks if "usageMetadata" in chunk]
        parts = [part for message in call.content.output or [] for part in message["parts"]]
        assert (
            request_model(exchange.request, exchange.url) == exchange.url.split("/models/")[1].split(":")[0]
        )
        assert call.stream == (known == "gemini_stream")
        assert call.finished
        assert "".join(p["content"] for p in parts if p["type"] == "text") == part_text(
            exchange.reply.body, thoughts=False
        )
        assert "".join(p["content"] for p in parts if p["type"] == "reasoning") == part_text(
            exchange.reply.body, thoughts=True
        )
        if exchange.reply.status >= 400:
            assert call.error_type == str(exchange.reply.status)
            assert call.error_message
            continue
        assert call.error_type is None
        assert call.response_model == chunks[-1]["modelVersion"]
        assert call.response_id == chunks[-1]["responseId"]
        assert call.usage.input == last[-1]["promptTokenCount"]
        assert call.usage.output == last[-1]["totalTokenCount"] - last[-1]["promptTokenCount"]
        asked = json.loads(exchange.request)
        assert len(call.content.input or []) == len(asked["contents"])
        assert len(call.content.tools or []) == sum(
            len(tool["functionDeclarations"]) for tool in asked.get("tools", [])
        )
        calls += sum(part["type"] == "tool_call" for part in parts)
    assert seen == {"gemini_generate": 24, "gemini_stream": 19}
    assert calls == 8


def test_the_host_names_the_provider():
    """Vertex AI is told from the Gemini API by its host."""
    assert provider_of(DIALECT, "generativelanguage.googleapis.com") == "gcp.gemini"
    assert provider_of(DIALECT, "aiplatform.googleapis.com") == "gcp.vertex_ai"
    assert provider_of(DIALECT, "127.0.0.1:8000") == "gcp.gemini"


def test_tokens_include_what_was_cached_and_thought():
    """The scenario of the emitters: 120 in, 64 of them cached; 20 out, 8 of them thoughts."""
    answer = {"candidates": [], "usageMetadata": USAGE}
    call = DIALECT.read(ASKED, Reply(200, json.dumps(answer).encode()))
    assert call.usage == Usage(input=120, output=20, cache_read=64, reasoning=8)


def both_streams(chunks: list[dict[str, Any]]) -> list[Reply]:
    """The same stream as events and as an array."""
    events = b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks)
    return [
        Reply(200, events, "text/event-stream"),
        Reply(200, json.dumps(chunks, indent=1).encode(), "application/json"),
    ]


def test_a_stream_is_the_call_it_would_have_been():
    """Thoughts and words go on across chunks; a call is kept whole; a stream cut anywhere is not finished."""
    chunks = [
        {
            "candidates": [
                {"content": {"role": "model", "parts": [{"text": "Let ", "thought": True}]}, "index": 0}
            ]
        },
        {"candidates": [{"content": {"parts": [{"text": "me", "thought": True}, {"text": "I "}]}}]},
        {"candidates": [{"content": {"parts": [{"text": "look", "thoughtSignature": "c2ln"}]}}]},
        {
            "candidates": [
                {
                    "content": {
                        "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}]
                    },
                    "finishReason": "STOP",
                }
            ],
            "usageMetadata": USAGE,
            "responseId": "r1",
            "modelVersion": "gemini-2.5-pro",
        },
    ]
    for reply in both_streams(chunks):
        call = DIALECT.read(ASKED, reply)
        assert call.content.output == [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "Let me"},
                    {"type": "text", "content": "I look", "thoughtSignature": "c2ln"},
                    {"type": "tool_call", "name": "get_weather", "arguments": {"city": "Paris"}},
                ],
                "finish_reason": "tool_call",
            }
        ]
        assert (call.finished, call.stream, call.response_id, call.finish_reasons) == (
            True,
            True,
            "r1",
            ("STOP",),
        )
        for end in range(len(reply.body) - 90):
            assert not DIALECT.read(ASKED, Reply(200, reply.body[:end], reply.content_type)).finished


def test_arguments_in_pieces_are_one_call():
    """Vertex AI may stream a call's arguments by their places; a stream cut in one keeps what came."""
    calls: list[dict[str, Any]] = [
        {"name": "f", "id": "a", "willContinue": True},
        {
            "partialArgs": [{"jsonPath": "$.city", "stringValue": "Pa", "willContinue": True}],
            "willContinue": True,
        },
        {"partialArgs": [{"jsonPath": "$.city", "stringValue": "ris"}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.days[0].n", "numberValue": 2}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$['odd key']", "boolValue": False}], "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.none", "nullValue": "NULL_VALUE"}], "willContinue": True},
        {},
        {"name": "g", "args": {}},
    ]
    chunks = [{"candidates": [{"content": {"parts": [{"functionCall": call}]}}]} for call in calls]
    expected = {"city": "Paris", "days": [{"n": 2}], "odd key": False, "none": None}
    for reply in both_streams(chunks):
        parts = (DIALECT.read(ASKED, reply).content.output or [])[0]["parts"]
        assert [(part["name"], part["arguments"]) for part in parts] == [("f", expected), ("g", {})]
    (cut,) = (DIALECT.read(ASKED, both_streams(chunks[:2])[0]).content.output or [])[0]["parts"]
    assert cut["arguments"] == {"city": "Pa"}


def test_both_spellings_are_one():
    """Snake case, which Google takes too, reads as camel case does."""
    camel = {
        "contents": [
            {
                "role": "model",
                "parts": [{"functionCall": {"id": "a", "name": "f", "args": {"snake_key": 1}}}],
            },
            {
                "role": "user",
                "parts": [{"functionResponse": {"id": "a", "name": "f", "response": {"result": "x"}}}],
            },
            {"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]},
        ],
        "systemInstruction": {"parts": [{"text": "Be short."}]},
        "generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"thinkingLevel": "LOW"}},
    }
    text = json.dumps(camel)
    for word, snake in (
        ("functionCall", "function_call"),
        ("functionResponse", "function_response"),
        ("inlineData", "inline_data"),
        ("mimeType", "mime_type"),
        ("systemInstruction", "system_instruction"),
        ("maxOutputTokens", "max_output_tokens"),
        ("generationConfig", "generation_config"),
        ("thinkingConfig", "thinking_config"),
        ("thinkingLevel", "thinking_level"),
    ):
        text = text.replace(word, snake)
    content = DIALECT.read(camel, None).content
    assert DIALECT.read(json.loads(text), None).content == content
    assert [message["role"] for message in content.input or []] == ["assistant", "tool", "user"]
    assert (content.input or [])[0]["parts"][0]["arguments"] == {"snake_key": 1}
    assert (content.input or [])[1]["parts"][0]["response"] == "x"
    assert content.system == [{"type": "text", "content": "Be short."}]
    assert content.parameters == {names.REQUEST_MAX_TOKENS: 9, names.REQUEST_REASONING_LEVEL: "low"}


def test_a_blocked_prompt_is_an_answer_without_words():
    """What the filter stopped is finished, and its reason is kept."""
    reply = Reply(200, b'{"promptFeedback":{"blockReason":"SAFETY"},"usageMetadata":{"promptTokenCount":4}}')
    call = DIALECT.read(ASKED, reply)
    assert (call.finish_reasons, call.content.output, call.usage.input) == (("SAFETY",), None, 4)


KEYS = st.sampled_from(
    [
        "contents",
        "role",
        "parts",
        "text",
        "thought",
        "functionCall",
        "functionResponse",
        "args",
        "response",
        "name",
        "inlineData",
        "data",
        "mimeType",
        "tools",
        "functionDeclarations",
        "candidates",
        "content",
        "index",
        "finishReason",
        "usageMetadata",
        "promptTokenCount",
        "systemInstruction",
        "generationConfig",
        "thinkingConfig",
        "partialArgs",
        "willContinue",
        "jsonPath",
        "partialArgs",
        "willContinue",
        "jsonPath",
        "stringValue",
        "error",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)


@settings(deadline=None)
@given(request=st.dictionaries(KEYS, JSON, max_size=6), answer=JSON, cut=st.integers(0, 400))
def test_anything_is_survived(request, answer, cut):
    """No JSON, in a stream or not, cut or not, makes the reader raise."""
    body = json.dumps(answer).encode()
    for reply in (Reply(200, body), Reply(500, body[:cut]), Reply(200, b"data: " + body + b"\n\n")):
        canonical_json(DIALECT.read(request, reply).content.output).encode()


@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent?alt=sse"])
def test_the_url_is_recognised(method):
    """Whole and streamed calls are one dialect."""
    assert recognise("POST", f"https://h/v1beta/models/m:{method}", b'{"contents":[]}') is DIALECT
