"""Our own spans: exchanges read from their bodies, runs and tools from the attributes we gave them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from spanreel.wire import attributes as names
from spanreel.wire.conventions import content, read
from spanreel.wire.spans import Scope, Span
from spanreel.wire.usage import Usage

REQUEST = json.dumps(
    {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather in Paris?"},
        ],
    }
)
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "finish_reason": "stop",
                "message": {
                    "role": "assistant",
                    "tool_calls": [
                        {
                            "id": "call_1",
                            "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
                        }
                    ],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 120,
            "completion_tokens": 20,
            "prompt_tokens_details": {"cached_tokens": 64},
            "completion_tokens_details": {"reasoning_tokens": 8},
        },
    }
)


def span(attributes: dict[str, Any], **more: Any) -> Span:
    """A span of ours."""
    given = {"trace_id": "a" * 32, "span_id": "b" * 16, "name": "x", "start_ns": 1, "end_ns": 2, **more}
    return Span(attributes=attributes, scope=Scope("spanreel", "0.1.0"), **given)


def exchange(**more: Any) -> Span:
    """A captured OpenAI chat call."""
    return span(
        {
            names.WIRE_DIALECT: "openai.chat",
            names.SERVER_ADDRESS: "api.openai.com",
            names.HTTP_STATUS: 200,
            names.HTTP_REQUEST_BODY: REQUEST,
            names.HTTP_RESPONSE_BODY: ANSWER,
            names.WIRE_OUTCOME: "complete",
            names.WIRE_LANE: "0.1",
            **more,
        }
    )


def test_an_exchange_is_read_from_its_bodies() -> None:
    """Model, ids, counts and finish reason come from the bytes; the body's hash is its content id."""
    record = read(exchange())

    assert (record.kind, record.emitter, record.exchange, record.operation) == (
        "llm",
        "spanreel",
        True,
        "chat",
    )
    assert (record.provider, record.model, record.response_model) == (
        "openai",
        "gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
    )
    assert (record.response_id, record.finish_reasons) == ("chatcmpl-1", ("tool_call",))
    assert record.usage == Usage(120, 20, 64, None, 8)
    assert (record.dialect, record.outcome, record.lane, record.http_status) == (
        "openai.chat",
        "complete",
        "0.1",
        200,
    )
    assert record.body_hash == hashlib.sha256(REQUEST.encode()).hexdigest()[:16]


def test_the_content_of_an_exchange() -> None:
    """Messages as any other emitter's, with the parsed bodies beside them."""
    told = content(exchange())

    assert told.system == [{"type": "text", "content": "Be brief."}]
    assert told.input == [{"role": "user", "parts": [{"type": "text", "content": "Weather in Paris?"}]}]
    assert told.output is not None
    assert told.output[0]["parts"] == [
        {"type": "tool_call", "name": "get_weather", "arguments": {"city": "Paris"}, "id": "call_1"}
    ]
    assert told.raw_request == json.loads(REQUEST)
    assert told.raw_response == json.loads(ANSWER)


def test_a_streamed_answer_and_bytes() -> None:
    """The content type that the server named says how to read the answer; bodies may be bytes."""
    chunks = [
        {
            "id": "c1",
            "model": "m2",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Rai"}}],
        },
        {"id": "c1", "choices": [{"index": 0, "delta": {"content": "ny"}, "finish_reason": "stop"}]},
        {"id": "c1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    sent = exchange(
        **{
            names.HTTP_REQUEST_BODY: REQUEST.encode(),
            names.HTTP_RESPONSE_BODY: body.encode(),
            names.WIRE_RESPONSE_HEADERS: json.dumps([["Content-Type", "text/event-stream"]]),
        }
    )
    record, told = read(sent), content(sent)

    assert (record.response_id, record.response_model, record.finish_reasons) == ("c1", "m2", ("stop",))
    assert (record.usage.input, record.usage.output) == (3, 2)
    assert told.output is not None
    assert told.output[0]["parts"] == [{"type": "text", "content": "Rainy"}]
    assert told.raw_response == body


def test_attributes_win_over_bodies() -> None:
    """What the exporter wrote is the identity; bodies fill what is absent."""
    record = read(
        exchange(**{names.REQUEST_MODEL: "mine", names.RESPONSE_ID: "known", names.PROVIDER: "groq"})
    )

    assert (record.model, record.response_id, record.provider) == ("mine", "known", "groq")
    assert (record.response_model, record.usage.input) == ("gpt-4o-mini-2024-07-18", 120)


def test_without_bodies_the_attributes_are_enough() -> None:
    """Below capture level `full` the exporter left counts and a keyed hash in place of the bodies."""
    record = read(
        span(
            {
                names.WIRE_DIALECT: "anthropic.messages",
                names.CAPTURE_LEVEL: "metadata",
                names.REQUEST_HASH: "k1:abc",
                names.REQUEST_MODEL: "claude",
                names.USAGE_INPUT: 104,
                names.USAGE_OUTPUT: 20,
                names.RESPONSE_FINISH_REASONS: ["end_turn"],
            }
        )
    )

    assert (record.kind, record.provider, record.model) == ("llm", "anthropic", "claude")
    assert (record.usage.input, record.finish_reasons, record.body_hash) == (104, ("stop",), "k1:abc")


def test_a_tail_of_a_body_has_no_hash() -> None:
    """A body that was not rebuilt from its base must not pass for the whole."""
    based = {names.WIRE_REQUEST_BASE: "cc:10"}

    assert read(exchange(**based)).body_hash is None
    assert read(exchange(**based, **{names.HTTP_REQUEST_SIZE: len(REQUEST)})).body_hash is not None


def test_an_error_reply() -> None:
    """The provider's own word for what went wrong."""
    body = json.dumps({"error": {"type": "rate_limit_error", "message": "slow down"}})
    record = read(exchange(**{names.HTTP_STATUS: 429, names.HTTP_RESPONSE_BODY: body, names.HTTP_RESEND: 1}))

    assert (record.http_status, record.resend) == (429, 1)
    assert (record.error_type, record.error_message) == ("rate_limit_error", "slow down")


def test_an_exchange_of_an_unknown_dialect() -> None:
    """A recording of a later spanreel still counts its calls."""
    record = read(exchange(**{names.WIRE_DIALECT: "oracle.talk"}))

    assert (record.kind, record.exchange, record.dialect) == ("llm", True, "oracle.talk")


@pytest.mark.parametrize(
    ("encoded", "value"), [("42", 42), ('"42"', "42"), ("null", None), ('{"a": [1]}', {"a": [1]})]
)
def test_our_tool_results_are_json(encoded: str, value: Any) -> None:
    """What we encoded comes back as the same value, numbers included."""
    tool = span(
        {
            names.OPERATION: "execute_tool",
            names.TOOL_NAME: "add",
            names.TOOL_CALL_ARGUMENTS: '{"a": 1}',
            names.TOOL_CALL_RESULT: encoded,
            names.TOOL_SAFETY: "read",
        }
    )

    assert (read(tool).kind, read(tool).tool_name, read(tool).safety) == ("tool", "add", "read")
    assert (content(tool).arguments, content(tool).result) == ({"a": 1}, value)


def test_a_run() -> None:
    """Its input and output are content; its id ties segments; open means that it has not ended."""
    run = span(
        {
            names.OPERATION: "invoke_agent",
            names.AGENT_NAME: "weather",
            names.RUN_ID: "r1",
            names.RUN_INPUT: '{"city": "Paris"}',
            names.RUN_OUTPUT: '"rainy"',
            names.OPEN: True,
        },
        end_ns=0,
    )
    record = read(run)

    assert (record.kind, record.agent, record.run_id, record.open) == ("agent", "weather", "r1", True)
    assert (content(run).arguments, content(run).result) == ({"city": "Paris"}, "rainy")


def test_encoded_values_are_shown_plainly() -> None:
    """Tags that a replay needs are no content."""
    encoded = {
        "args": {"$type": "tuple", "items": [1, {"$type": "dataclass", "class": "a:B", "value": {"x": 1}}]},
        "when": {
            "$type": "dict",
            "items": [[1, {"$type": "text", "class": "decimal:Decimal", "value": "0.1"}]],
        },
    }
    run = span({names.OPERATION: "invoke_agent", names.RUN_INPUT: json.dumps(encoded)})

    assert content(run).arguments == {"args": [1, {"x": 1}], "when": {"1": "0.1"}}


def test_an_approval() -> None:
    """Waiting for a decision is a kind of its own."""
    record = read(span({names.APPROVAL_ID: "refund", names.APPROVAL_STATUS: "pending"}))

    assert (record.kind, record.outcome) == ("approval", "pending")
