"""Every dialect reads real traffic as an independent reader of a few lines does, and survives any bytes."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_exchanges import Exchange, local_exchanges

from spanreel.wire import attributes as names
from spanreel.wire.content import canonical_json
from spanreel.wire.dialect import Call, Reply
from spanreel.wire.recognise import DIALECTS, by_name, request_model
from spanreel.wire.usage import Usage

OURS = {
    "openai_chat": "openai.chat",
    "openai_responses": "openai.responses",
    "openai_embeddings": "openai.embeddings",
    "anthropic_messages": "anthropic.messages",
}
GEMINI = {"gemini_generate": "gemini", "gemini_stream": "gemini"}  # its tests are in test_gemini
LOCAL = local_exchanges()


def payloads(body: bytes) -> list[Any]:
    """The JSON values of a reply: its events, or the one body."""
    lines = re.findall(rb"^data: *(\{.*\}) *\r?$", body, re.MULTILINE)
    return [json.loads(line) for line in lines] if lines else [json.loads(body)]


def counted(dialect: str, body: bytes) -> tuple[int | None, int | None]:
    """Input and output tokens, counted with no knowledge of our reader: the last count of each name wins."""
    found: dict[str, int] = {}
    for value in payloads(body):
        for holder in (
            value,
            value.get("response") or {},
            value.get("message") or {},
            value.get("x_groq") or {},
        ):
            found |= {
                key: count for key, count in (holder.get("usage") or {}).items() if isinstance(count, int)
            }
    given = found.get("prompt_tokens", found.get("input_tokens"))
    if dialect == "anthropic.messages" and given is not None:
        given += found.get("cache_read_input_tokens", 0) + found.get("cache_creation_input_tokens", 0)
    made = (
        None if dialect == "openai.embeddings" else found.get("completion_tokens", found.get("output_tokens"))
    )
    return given, made


def said(body: bytes) -> str:
    """All visible text of a first choice, by the names that providers give it."""
    out = ""
    for value in payloads(body):
        for choice in value.get("choices", [])[:1]:
            if choice.get("index", 0) == 0:
                out += (choice.get("delta") or choice.get("message") or {}).get("content") or ""
        if value.get("type") == "response.output_text.delta":
            out += value["delta"]
        out += (value.get("delta") or {}).get("text", "") if isinstance(value.get("delta"), dict) else ""
        out += "".join(
            block.get("text", "") for block in value.get("content") or [] if isinstance(block, dict)
        )
        if value.get("object") == "response":
            out += "".join(b.get("text", "") for item in value["output"] for b in item.get("content") or [])
    return out


def output_text(call: Call, kind: str = "text") -> str:
    """The text of the first message that a call put out."""
    return "".join(
        part["content"]
        for part in (call.content.output or [{"parts": []}])[0]["parts"]
        if part["type"] == kind
    )


def test_every_cassette_is_read_as_it_is(cassettes: list[tuple[str, Exchange]]):
    """Model, stream flag, token counts and text of all recorded calls equal those of an independent reader."""
    seen: dict[str, int] = {}
    for known, exchange in cassettes:
        if known not in OURS:
            continue
        name, request = OURS[known], json.loads(exchange.request)
        call = exchange.read()
        seen[name] = seen.get(name, 0) + 1
        where = f"{name} {exchange.name}"
        assert call.model == request.get("model"), where
        assert call.stream == bool(request.get("stream")), where
        assert (call.usage.input, call.usage.output) == counted(name, exchange.reply.body), where
        assert call.finished, where
        failed = exchange.reply.status >= 400 or any(
            value.get("error") for value in payloads(exchange.reply.body)
        )
        assert (call.error_type is not None) == failed, where
        assert output_text(call) == said(exchange.reply.body), where
        if not failed and name != "openai.embeddings":
            assert call.content.output, where
            assert call.content.output[0]["parts"] or "content_filter" in call.finish_reasons, where
        assert len(call.content.input or []) >= 1, where
    assert seen == {
        "openai.chat": 291,
        "openai.responses": 91,
        "openai.embeddings": 36,
        "anthropic.messages": 57,
    }


def test_no_other_cassette_is_recognised(cassettes: list[tuple[str, Exchange]]):
    """Assistants, completions, Bedrock, Cohere and Ollama are not taken for a dialect they are not."""
    from spanreel.wire.recognise import recognise

    for known, exchange in cassettes:
        dialect = recognise(exchange.method, exchange.url, exchange.request)
        assert (dialect.name if dialect else None) == {**OURS, **GEMINI}.get(known), f"{known} {exchange.url}"
        if known in OURS:
            assert request_model(exchange.request) == json.loads(exchange.request).get("model")


def test_tool_calls_of_every_cassette_have_arguments(cassettes: list[tuple[str, Exchange]]):
    """Every tool call that a model made, streamed or not, has a name and, being JSON, parsed arguments."""
    calls = [
        part
        for known, exchange in cassettes
        if known in OURS
        for message in exchange.read().content.output or []
        for part in message["parts"]
        if part["type"] == "tool_call"
    ]
    assert len(calls) > 100
    assert all(part["name"] and not isinstance(part["arguments"], str) for part in calls)


@pytest.mark.parametrize(
    "name", ["chat-stream-tools", "chat-stream-choices", "responses-stream-tools", "messages-stream-thinking"]
)
def test_a_stream_cut_anywhere_yields_what_was_read(name):
    """Text and tool calls only grow with more bytes; only the end marker makes a stream finished."""
    exchange, before = LOCAL[name], ""
    whole = exchange.read()
    for end in range(len(exchange.reply.body) + 1):
        call = exchange.read(exchange.reply.body[:end])
        text = output_text(call, "reasoning") + output_text(call)
        assert text.startswith(before) or name == "responses-stream-tools", end
        before = text
        assert not call.finished or (
            call.finish_reasons == whole.finish_reasons and call.content.output == whole.content.output
        )
    assert call == whole


@pytest.mark.parametrize("name", sorted(LOCAL))
def test_any_mutation_of_a_real_reply_is_survived(name):
    """Bytes flipped, dropped, doubled or put in anywhere never raise, and what is read can be written as JSON."""
    exchange, chance = LOCAL[name], random.Random(name)
    for _ in range(150):
        body = bytearray(exchange.reply.body)
        for _ in range(chance.randint(1, 12)):
            at = chance.randrange(len(body))
            change = chance.randrange(4)
            if change == 0:
                body[at] = chance.randrange(256)
            elif change == 1:
                del body[at : at + chance.randint(1, 30)]
            elif change == 2:
                body[at:at] = body[at : at + 40]
            else:
                body[at:at] = chance.choice(
                    [b"null", b"[]", b"{", b'"', b"1e999", b"\\ud800", b"\n\ndata: 7\n\n"]
                )
        canonical_json(exchange.read(bytes(body)).content.output).encode()


KEYS = st.sampled_from(
    [
        "messages",
        "content",
        "role",
        "type",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "name",
        "id",
        "index",
        "choices",
        "delta",
        "message",
        "usage",
        "input",
        "output",
        "error",
        "response",
        "item",
        "thinking",
        "source",
        "data",
        "summary",
        "tools",
        "system",
        "stop",
        "n",
        "model",
        "stream",
        "image_url",
        "call_id",
        "partial_json",
        "tool_use_id",
        "content_block",
        "prompt_tokens",
        "input_tokens",
        "prompt_tokens_details",
        "custom",
        "status",
        "output_index",
    ]
)
WORDS = st.sampled_from(
    [
        "text",
        "tool_use",
        "tool_result",
        "tool",
        "function",
        "message_start",
        "content_block_start",
        "content_block_delta",
        "message_delta",
        "error",
        "thinking",
        "response.completed",
        "response.output_item.added",
        "response.output_text.delta",
        "reasoning",
        "message",
        "image",
        "document",
        "assistant",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=40,
)


@settings(deadline=None)
@given(
    request=st.dictionaries(KEYS, JSON, max_size=6),
    events=st.lists(JSON, max_size=5),
    status=st.sampled_from([200, 404, 529]),
    junk=st.binary(max_size=30),
)
def test_any_json_is_survived(request, events, status, junk):
    """No JSON of any shape, as one body or as events, and no bytes make a dialect raise."""
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events) + junk
    for dialect in DIALECTS:
        for body in (stream, json.dumps(events[0] if events else None).encode(), junk):
            call = dialect.read(request, Reply(status, body))
            assert isinstance(call, Call)
            assert all(isinstance(reason, str) for reason in call.finish_reasons)
            for count in (
                call.usage.input,
                call.usage.output,
                call.usage.cache_read,
                call.usage.cache_write,
                call.usage.reasoning,
            ):
                assert count is None or 0 <= count < 2**63
        assert dialect.read(request, None).finished is False


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"data: " + b"[" * 100_000 + b"\n\n",
        b'{"n":' + b"9" * 10_000 + b"}",
    ],
)
def test_hostile_nesting_and_numbers(body):
    """Bodies that a JSON reader refuses are no reply at all."""
    for dialect in DIALECTS:
        assert dialect.read({}, Reply(200, body)).usage == Usage()


def test_anthropic_input_includes_the_cache():
    """On this wire input tokens leave out the cache; ours include what it read and wrote."""
    usage = {
        "input_tokens": 30,
        "cache_read_input_tokens": 64,
        "cache_creation_input_tokens": 10,
        "output_tokens": 20,
    }
    call = by_name("anthropic.messages").read({}, Reply(200, json.dumps({"usage": usage}).encode()))
    assert call.usage == Usage(input=104, output=20, cache_read=64, cache_write=10)


def test_openai_details():
    """Cached and reasoning tokens are parts of input and output; a provider that counts reasoning beside is put right."""
    usage = {"prompt_tokens": 120, "completion_tokens": 20, "total_tokens": 140}
    usage |= {
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 8},
    }
    read = by_name("openai.chat").read
    assert read({}, Reply(200, json.dumps({"usage": usage}).encode())).usage == Usage(120, 20, 64, None, 8)
    usage["total_tokens"] = 148
    assert read({}, Reply(200, json.dumps({"usage": usage}).encode())).usage == Usage(120, 28, 64, None, 8)


def test_parameters_have_the_names_of_the_convention():
    """Sampling parameters of each dialect come under their GenAI names."""
    request = {
        "temperature": 0.5,
        "top_p": 0.9,
        "max_completion_tokens": 7,
        "seed": 3,
        "stop": "x",
        "n": 2,
        "response_format": {"type": "json_schema"},
    }
    assert by_name("openai.chat").read(request, None).content.parameters == {
        names.REQUEST_TEMPERATURE: 0.5,
        names.REQUEST_TOP_P: 0.9,
        names.REQUEST_SEED: 3,
        names.REQUEST_MAX_TOKENS: 7,
        names.REQUEST_CHOICE_COUNT: 2,
        names.REQUEST_STOP_SEQUENCES: ["x"],
        names.OUTPUT_TYPE: "json",
    }


def test_errors():
    """The provider's word for an error, in a body or in a stream; else the status."""
    refused = LOCAL["chat-404"].read()
    assert (refused.error_type, refused.finished) == ("invalid_request_error", True)
    assert "does not exist" in (refused.error_message or "")
    read = by_name("anthropic.messages").read
    event = (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n'
    )
    assert read({}, Reply(200, event)).error_type == "overloaded_error"
    assert read({}, Reply(502, b"<html>Bad gateway</html>")).error_type == "502"
    failed = b'data: {"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"no"}}}\n\n'
    call = by_name("openai.responses").read({}, Reply(200, failed))
    assert (call.error_type, call.error_message, call.finish_reasons, call.finished) == (
        "server_error",
        "no",
        ("failed",),
        True,
    )


def test_nothing_of_an_anthropic_message_is_lost():
    """Signatures, sealed thoughts, cache marks, errors of tools and unknown blocks stay on the parts."""
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "new_block", "anything": [1]},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
    ]
    result = {
        "type": "tool_result",
        "tool_use_id": "t1",
        "content": [{"type": "text", "text": "no"}],
        "is_error": True,
    }
    request = {
        "system": "be kind",
        "messages": [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}],
    }
    read = by_name("anthropic.messages").read(request, None).content
    assert read.system == [{"type": "text", "content": "be kind"}]
    assert read.input == [
        {
            "role": "assistant",
            "parts": [
                {"type": "reasoning", "content": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "xyz"},
                {"type": "text", "content": "hi", "cache_control": {"type": "ephemeral"}},
                {"type": "tool_call", "name": "f", "arguments": {"a": 1}, "id": "t1"},
                {"type": "new_block", "anything": [1]},
                {"type": "blob", "modality": "image", "content": "AA==", "mime_type": "image/png"},
            ],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "response": "no", "id": "t1", "is_error": True}],
        },
    ]


def test_a_streamed_message_equals_the_whole_one():
    """Thinking with its signature, text and a tool's input come out of deltas as they would from one body."""
    call = LOCAL["messages-stream-thinking"].read()
    kinds = [part["type"] for part in call.content.output[0]["parts"]]
    assert kinds == ["reasoning", "tool_call"] or kinds == ["reasoning", "text", "tool_call"]
    assert call.content.output[0]["parts"][0]["signature"]
    assert isinstance(call.content.output[0]["parts"][-1]["arguments"], dict)


def test_vendors_that_stream_tool_calls_otherwise():
    """Whole tool calls without index, names repeated in every chunk, text as typed blocks."""
    chunks = [
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {
                        "role": "assistant",
                        "content": "a",
                        "tool_calls": [{"id": "x1", "function": {"name": "f", "arguments": "{}"}}],
                    },
                }
            ]
        },
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {"tool_calls": [{"id": "x2", "function": {"name": "g", "arguments": '{"a"'}}]},
                }
            ]
        },
        {
            "choices": [
                {
                    "index": 0,
                    "delta": {
                        "content": [{"type": "text", "text": "b"}],
                        "tool_calls": [{"function": {"name": "g", "arguments": ": 1}"}}],
                    },
                }
            ]
        },
    ]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks)
    parts = by_name("openai.chat").read({}, Reply(200, body)).content.output[0]["parts"]
    assert parts == [
        {"type": "text", "content": "a"},
        {"type": "text", "content": "b"},
        {"type": "tool_call", "name": "f", "arguments": {}, "id": "x1"},
        {"type": "tool_call", "name": "g", "arguments": {"a": 1}, "id": "x2"},
    ]


def test_a_turn_of_the_assistant_is_one_message():
    """Of a responses conversation, thoughts, words and calls of one turn are one message, as they are in the reply."""
    items = [
        {"role": "user", "content": "go"},
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "why"}],
            "encrypted_content": "zz",
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": '{"a": 1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "42"},
        {"type": "item_reference", "id": "msg_9"},
    ]
    read = by_name("openai.responses").read({"input": items}, None).content.input
    assert [message["role"] for message in read] == ["user", "assistant", "tool", "assistant"]
    assert [part["type"] for part in read[1]["parts"]] == ["reasoning", "tool_call"]
    assert read[1]["parts"][0]["encrypted_content"] == "zz"
    assert read[1]["parts"][1] == {
        "type": "tool_call",
        "name": "f",
        "arguments": {"a": 1},
        "id": "c1",
        "item_id": "fc_1",
    }
    assert read[2]["parts"] == [{"type": "tool_call_response", "response": "42", "id": "c1"}]
