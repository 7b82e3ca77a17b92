"""Every shape in which somebody keeps messages, as GenAI messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.wire.conventions import content, dialogue, flat, read, values
from spanreel.wire.grouping import group
from spanreel.wire.spans import Event, Scope, Span

USER = {"role": "user", "parts": [{"type": "text", "content": "Weather?"}]}
CALL = {"type": "tool_call", "name": "get", "arguments": {"city": "Paris"}, "id": "c1"}
ASKS = {"role": "assistant", "parts": [CALL]}
RESULT = {"role": "tool", "parts": [{"type": "tool_call_response", "response": "rain", "id": "c1"}]}
ARGUMENTS = '{"city": "Paris"}'

INPUTS: dict[str, Any] = {
    "openai chat": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "get", "arguments": ARGUMENTS}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ],
    "openai responses": [
        {"role": "user", "content": [{"type": "input_text", "text": "Weather?"}]},
        {"type": "function_call", "id": "fc", "call_id": "c1", "name": "get", "arguments": ARGUMENTS},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ],
    "anthropic": [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c1", "name": "get", "input": {"city": "Paris"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "rain"}]}]},
    ],
    "bedrock converse": [
        {"role": "user", "content": [{"text": "Weather?"}]},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "c1", "name": "get", "input": {"city": "Paris"}}}]},
        {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "rain"}]}}]},
    ],
    "gemini": [
        {"role": "user", "parts": [{"text": "Weather?"}]},
        {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "get", "args": {"city": "Paris"}}}]},
        {"role": "tool", "parts": [{"function_response": {"id": "c1", "response": "rain"}}]},
    ],
    "ai sdk": [
        {"role": "user", "content": [{"type": "text", "text": "Weather?"}]},
        {"role": "assistant", "content": [{"type": "tool-call", "toolCallId": "c1", "toolName": "get", "input": {"city": "Paris"}}]},
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "c1", "output": {"type": "text", "value": "rain"}}]},
    ],
    "pydantic-ai 4": [
        USER,
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "get", "arguments": ARGUMENTS}]},
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "c1", "result": "rain"}]},
    ],
    "langchain constructors": [[
        {"lc": 1, "type": "constructor", "id": ["langchain", "HumanMessage"], "kwargs": {"content": "Weather?"}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "AIMessage"],
         "kwargs": {"content": "", "tool_calls": [{"name": "get", "args": {"city": "Paris"}, "id": "c1"}]}},
        {"lc": 1, "type": "constructor", "id": ["langchain", "ToolMessage"], "kwargs": {"content": "rain", "tool_call_id": "c1"}},
    ]],
    "langchain dicts": [
        {"type": "human", "data": {"content": "Weather?"}},
        {"type": "ai", "content": "", "tool_calls": [{"name": "get", "args": {"city": "Paris"}, "id": "c1"}]},
        {"type": "tool", "data": {"content": "rain", "tool_call_id": "c1"}},
    ],
    "semconv": [USER, ASKS, RESULT],
}  # fmt: skip


def bare(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages with their roles and parts only, parts without the names that some dialects add."""
    return [
        {
            "role": one["role"],
            "parts": [
                {k: v for k, v in part.items() if k in {*CALL, "response", "content"}}
                for part in one["parts"]
            ],
        }
        for one in found
    ]


@pytest.mark.parametrize("dialect", INPUTS)
@pytest.mark.parametrize("wrap", ["list", "json", "messages"])
def test_one_conversation_in_every_dialect(dialect: str, wrap: str) -> None:
    """A question, a call and its result read the same, as a list, as JSON text, or inside a request."""
    given = INPUTS[dialect]
    value = {"list": given, "json": json.dumps(given), "messages": {"messages": given, "model": "m"}}[wrap]
    system, found = dialogue.conversation(value)

    assert system is None
    assert bare(found) == [USER, ASKS, RESULT]


@pytest.mark.parametrize(
    "value",
    [
        {"system": "Be brief.", "messages": [{"role": "user", "content": "Weather?"}]},
        {"instructions": "Be brief.", "input": "Weather?"},
        {
            "config": {"system_instruction": "Be brief."},
            "contents": [{"role": "user", "parts": [{"text": "Weather?"}]}],
        },
        {
            "messages": [
                {"role": "developer", "content": "Be brief."},
                {"role": "user", "content": "Weather?"},
            ]
        },
        [["system", "Be brief."], ["user", "Weather?"]],
    ],
)
def test_system_instructions_stand_apart(value: Any) -> None:
    """Wherever a request keeps them, they are no message of the conversation."""
    assert dialogue.conversation(value) == ([{"type": "text", "content": "Be brief."}], [USER])


@pytest.mark.parametrize(
    "value",
    [
        {"choices": [{"message": {"role": "assistant", "content": "Rain"}, "finish_reason": "stop"}]},
        {"generations": [[{"text": "Rain", "generation_info": {"finish_reason": "stop"}}]]},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "Rain"}]}, "finishReason": "STOP"}]},
        {"content": {"role": "model", "parts": [{"text": "Rain"}]}, "finish_reason": "STOP"},
        {"role": "assistant", "content": [{"type": "text", "text": "Rain"}], "stop_reason": "end_turn"},
        [{"role": "assistant", "parts": [{"type": "text", "content": "Rain"}], "finish_reason": "stop"}],
    ],
)
def test_answers(value: Any) -> None:
    """A whole answer of any provider is its message with our finish reason."""
    expected = [
        {"role": "assistant", "parts": [{"type": "text", "content": "Rain"}], "finish_reason": "stop"}
    ]

    assert dialogue.answer(value) == expected
    assert dialogue.answer(json.dumps(value)) == expected


def test_thoughts_keep_their_signatures_and_pictures_their_bytes() -> None:
    """What a replay needs beyond the convention stays on the part."""
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
        {"type": "hologram", "ref": 1},
    ]
    picture = {"type": "blob", "modality": "image", "content": "AA==", "mime_type": "image/png"}

    assert dialogue.blocks(blocks) == [
        {"type": "reasoning", "content": "hm", "signature": "s1"},
        picture,
        picture,
        {"type": "hologram", "ref": 1},
    ]


def test_flattened_lists_with_holes() -> None:
    """What the attribute limit dropped is missing; the rest keeps its order, ten after nine."""
    attributes = {f"p.{at}.message.content": str(at) for at in (10, 9, 2)} | {"p.x": 1, "q.0": 2}

    assert [one["message"]["content"] for one in flat.listed(attributes, "p.")] == ["2", "9", "10"]


@pytest.mark.parametrize(
    ("given", "read_as"),
    [
        ('{"a": 1}', {"a": 1}),
        ("{'a': None}", {"a": None}),
        ('[{"role": "user", "content": "cut he', [{"role": "user", "content": "cut he"}]),
        ('{"a": [1, 2, {"b": "x"}, {"c', {"a": [1, 2, {"b": "x"}]}),
        ('{"a": "ends in a \\', {"a": "ends in a "}),
        ("plain", "plain"),
        ("12", "12"),
        ("{not json", "{not json"),
        ("[" * 5000, "[" * 5000),
    ],
)
def test_values_as_emitters_write_them(given: str, read_as: Any) -> None:
    """JSON, Python reprs and cut-off JSON are understood; anything else stays the string it was."""
    assert values.parsed(given) == read_as


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=4)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["role", "content", "parts", "type", "message", "tool_calls", "function", "id", "kwargs", "lc",
                         "data", "choices", "text", "image_url", "source", "messages", "output", "toolUse", "name"])
        | st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip
SHAPED = JSON | st.builds(lambda value: json.dumps(values.plain(value)), JSON)
KEYS = st.sampled_from(
    [
        "gen_ai.operation.name",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
        "gen_ai.tool.name",
        "gen_ai.tool.call.arguments",
        "gen_ai.tool.call.result",
        "gen_ai.request.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.response.finish_reasons",
        "operation.cost",
        "openinference.span.kind",
        "llm.input_messages.0.message.content",
        "llm.input_messages.0.message",
        "llm.tools.0.tool.json_schema",
        "input.value",
        "output.value",
        "metadata",
        "langfuse.observation.type",
        "langfuse.observation.usage_details",
        "mlflow.spanType",
        "mlflow.spanInputs",
        "mlflow.chat.tokenUsage",
        "ai.operationId",
        "ai.response.toolCalls",
        "traceloop.span.kind",
        "langsmith.span.kind",
        "gcp.vertex.agent.llm_request",
        "span.type",
        "error.type",
        "spanreel.open",
        "spanreel.wire.dialect",
        "spanreel.run.input",
        "http.request.body.content",
        "http.response.body.content",
        "http.response.status_code",
        "spanreel.wire.response.headers",
        "http.request.resend_count",
        "spanreel.approval.id",
        "model_request_parameters",
        "body",
        "content",
        "message",
    ]
)
WORDS = st.sampled_from(["chat", "execute_tool", "invoke_agent", "embeddings", "LLM", "TOOL", "AGENT", "CHAT_MODEL",
                         "generation", "ai.toolCall", "ai.x.doGenerate", "openai.chat", "anthropic.messages", "openai.responses"])  # fmt: skip
ATTRIBUTES = st.dictionaries(KEYS | st.text(max_size=6), SHAPED | WORDS, max_size=8)
EVENTS = st.builds(
    Event,
    st.sampled_from(["exception", "gen_ai.choice", "gen_ai.user.message", "gen_ai.tool.message", "tool.output",
                     "gen_ai.client.inference.operation.details", "gen_ai.content.prompt"]),
    st.just(1),
    ATTRIBUTES,
)  # fmt: skip
SCOPES = st.sampled_from(
    ["", "spanreel", "openinference.instrumentation.x", "langfuse-sdk", "mlflow.x", "langsmith", "gcp.vertex.agent",
     "pydantic-ai", "ai", "litellm", "strands.telemetry", "com.anthropic.claude_code.tracing", "mcp-python-sdk",
     "opentelemetry.instrumentation.openai.v1", "crewai.telemetry", "agent_framework"]
)  # fmt: skip
SPANS = st.builds(
    Span,
    trace_id=st.just("t"),
    span_id=st.text(max_size=2),
    name=st.sampled_from(
        ["x", "chat m", "call_llm", "raw_gen_ai_request", "agent_run [a]", "MCP send tools/call add"]
    ),
    parent_span_id=st.none() | st.text(max_size=2),
    start_ns=st.integers(0, 9),
    end_ns=st.integers(0, 9),
    status=st.integers(0, 2),
    attributes=ATTRIBUTES,
    events=st.lists(EVENTS, max_size=3).map(tuple),
    scope=st.builds(Scope, SCOPES),
)


@settings(deadline=None)
@given(st.lists(SPANS, min_size=1, max_size=4))
def test_no_span_is_too_strange(spans: list[Span]) -> None:
    """Any attributes can be read, grouped and shown as JSON."""
    records = [read(span) for span in spans]
    group(records)
    for span, record in zip(spans, records, strict=True):
        told = content(span, record)
        json.dumps(
            [told.system, told.input, told.output, told.tools, told.parameters, told.arguments, told.result]
        )
        json.dumps([told.raw_request, told.raw_response])
        assert told == content(span) or told != told


@given(st.text(alphabet='{}[]",:\\ab1 ', max_size=40))
def test_cut_off_json_never_fails(given_text: str) -> None:
    """Salvaging gives a value or the text itself."""
    json.dumps(values.parsed(given_text))
