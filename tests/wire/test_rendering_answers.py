"""What one model answered can be given in every dialect, whole and streamed; stubs answer what is asked for."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import jsonschema
import pytest
from asked import CHAT, OURS, said, with_history
from recorded_exchanges import Exchange

from spanreel.exceptions import BadInput
from spanreel.wire.rendering import (
    STUB_TEXT,
    TARGETS,
    NotExpressible,
    answer,
    answer_stream,
    neutral_answer,
    neutral_request,
    request,
    stub_answer,
)
from spanreel.wire.usage import Usage


def test_every_recorded_answer_is_said_in_every_dialect(cassettes: list[tuple[str, Exchange]]):
    """Whole and streamed it reads back as the same words, calls, counts and reason; only what has no form is refused."""
    told, refused_of = 0, Counter[str]()
    for known, exchange in cassettes:
        if known not in OURS or exchange.reply.status >= 400:
            continue
        source, reply = OURS[known], exchange.reply
        try:
            first = neutral_answer(source, json.loads(exchange.request), 200, reply.body, reply.content_type)
        except (BadInput, NotExpressible) as problem:
            refused_of[type(problem).__name__] += 1
            continue
        for target in TARGETS:
            try:
                body = answer(
                    target, first.message, model=first.model, response_id=first.response_id, usage=first.usage
                )
            except NotExpressible as problem:
                refused_of[problem.feature] += 1
                continue
            told += 1
            whole = neutral_answer(target, {}, 200, json.dumps(body).encode())
            streamed = neutral_answer(
                target,
                {},
                200,
                b"".join(answer_stream(target, body, include_usage=True)),
                "text/event-stream",
            )
            assert streamed == whole, exchange.name
            if target == "gemini":
                elements = b"".join(answer_stream(target, body, array=True))
                assert neutral_answer(target, {}, 200, elements) == whole
            assert words(whole.message) == words(first.message), exchange.name
            assert calls(whole.message) == calls(first.message), exchange.name
            assert whole.finish_reason == first.finish_reason, exchange.name
            assert (whole.usage.input or 0, whole.usage.output or 0) == (
                first.usage.input or 0,
                first.usage.output or 0,
            )
            assert (whole.usage.cache_read or 0) == (first.usage.cache_read or 0)
            assert (whole.model, whole.response_id) == (first.model, first.response_id)
    assert told > 1800
    assert refused_of == {"NotExpressible": 6, "BadInput": 1, "answer.server_tool_call": 12}


def words(message: dict[str, Any]) -> str:
    """What a message says aloud."""
    return "".join(part["content"] for part in message["parts"] if part["type"] in ("text", "refusal"))


def calls(message: dict[str, Any]) -> list[tuple[str, Any]]:
    """Names and arguments of the tools that it calls."""
    return [(p["name"], p["arguments"] or {}) for p in message["parts"] if p["type"] == "tool_call"]


def test_two_answers_never_share_an_id():
    """A call that came without an id gets one of its answer's, so a history holds it once."""
    message = {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {}}]}
    ids = {
        answer("openai.chat", message, model="m", response_id=name)["choices"][0]["message"]["tool_calls"][0][
            "id"
        ]
        for name in ("r1", "r2", "r" * 99)
    }
    assert len(ids) == 3
    assert all(len(one) <= 40 for one in ids)


SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "count": {"type": "integer", "minimum": 3},
        "who": {"$ref": "#/$defs/person"},
        "tags": {"type": "array", "items": {"type": "string", "minLength": 2}, "minItems": 1},
        "note": {"type": "string"},
    },
    "required": ["kind", "count", "who", "tags"],
    "$defs": {
        "person": {
            "type": "object",
            "properties": {"name": {"type": ["string", "null"]}},
            "required": ["name"],
        }
    },
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_stub_answers_what_is_asked_for(target):
    """JSON of the schema where there is one, in whichever dialect it is asked; else a text; a tool only if forced."""
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA, "strict": True}}
    hello = {"role": "user", "content": "x"}
    body = said("openai.chat", with_history(hello, response_format=form), target)
    (part,) = stub_answer(target, body)["parts"]
    jsonschema.validate(json.loads(part["content"]), SCHEMA)
    assert stub_answer(target, said("openai.chat", CHAT, target))["parts"] == [
        {"type": "text", "content": STUB_TEXT}
    ]
    forced = {**CHAT, "tool_choice": {"type": "function", "function": {"name": "weather"}}}
    message = stub_answer(target, said("openai.chat", forced, target))
    assert (message["parts"][0]["name"], message["parts"][0]["arguments"]) == ("weather", {"city": ""})
    assert message["finish_reason"] == "tool_call"
    assert neutral_answer(
        target, {}, 200, json.dumps(answer(target, message, model="m", response_id="r")).encode()
    )


def test_what_is_no_answer_is_one_clear_line():
    """An error, a stream that breaks off, another protocol's name."""
    with pytest.raises(BadInput, match="is an error"):
        neutral_answer("openai.chat", {}, 429, b'{"error":{"type":"rate_limit","message":"slow"}}')
    with pytest.raises(BadInput, match="breaks off"):
        neutral_answer("openai.chat", {}, 200, b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n')
    with pytest.raises(BadInput, match="telepathy"):
        neutral_request("telepathy", {})
    with pytest.raises(BadInput, match="telepathy"):
        request("telepathy", neutral_request("openai.chat", CHAT), "m")
    with pytest.raises(NotExpressible, match=r"finish_reason\.pause"):
        answer(
            "openai.chat",
            {"role": "assistant", "parts": []},
            model="m",
            response_id="r",
            finish_reason="pause",
        )


def test_counts_leave_out_what_a_wire_leaves_out():
    """Anthropic's input is without what the cache read and wrote; Google's output without thoughts."""
    message = {"role": "assistant", "parts": [{"type": "text", "content": "hi"}]}
    usage = Usage(input=104, output=20, cache_read=64, cache_write=10, reasoning=8)
    made = answer("anthropic.messages", message, model="m", response_id="r", usage=usage)["usage"]
    assert (made["input_tokens"], made["cache_read_input_tokens"], made["cache_creation_input_tokens"]) == (
        30,
        64,
        10,
    )
    google = answer("gemini", message, model="m", response_id="r", usage=usage)["usageMetadata"]
    assert (google["promptTokenCount"], google["candidatesTokenCount"], google["totalTokenCount"]) == (
        104,
        12,
        124,
    )
