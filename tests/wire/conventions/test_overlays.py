"""What single emitters do differently, where no recording of them is at hand: spans as their documents describe them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from spanreel.wire.conventions import content, read
from spanreel.wire.records import Record
from spanreel.wire.spans import Event, Scope, Span
from spanreel.wire.usage import Usage

CALL = {"type": "tool_call", "name": "get_weather", "arguments": {"city": "Paris"}, "id": "call_1"}


def span(scope: str, name: str, attributes: dict[str, Any], *events: Event) -> Span:
    """A finished span of that emitter."""
    return Span(
        "a" * 32, "b" * 16, name, None, 1, 1, 2, attributes=attributes, events=events, scope=Scope(scope)
    )


def facts(record: Record, *fields: str) -> tuple[Any, ...]:
    """Some fields of the record."""
    return tuple(getattr(record, field) for field in fields)


def test_claude_code_counts_without_the_cache() -> None:
    """Its input tokens leave out what the cache covered, whatever the sizes."""
    told = span(
        "com.anthropic.claude_code.tracing",
        "claude_code.llm_request",
        {
            "span.type": "llm_request",
            "model": "claude-sonnet-4-5",
            "input_tokens": "100",
            "output_tokens": 20,
            "cache_read_tokens": 64,
            "cache_creation_tokens": 10,
            "stop_reason": "tool_use",
            "request_id": "req_1",
            "session.id": "s",
        },
    )
    record = read(told)

    assert facts(record, "kind", "provider", "model", "session") == (
        "llm",
        "anthropic",
        "claude-sonnet-4-5",
        "s",
    )
    assert facts(record, "usage", "finish_reasons") == (Usage(174, 20, 64, 10), ("tool_call",))


def test_claude_code_tools() -> None:
    """Arguments as attributes, the result as an event; the timing span inside counts for nothing."""
    scope = "com.anthropic.claude_code.tracing"
    given = {"span.type": "tool", "tool_name": "Bash", "tool_use_id": "toolu_1", "full_command": "ls"}
    told = span(scope, "claude_code.tool", given, Event("tool.output", 1, {"output": "README.md"}))

    assert facts(read(told), "kind", "tool_name", "tool_call_id") == ("tool", "Bash", "toolu_1")
    assert (content(told).arguments, content(told).result) == ("ls", "README.md")
    assert read(span(scope, "claude_code.tool.execution", {"span.type": "tool.execution"})).kind == "ignore"


def test_langsmith_says_its_kind_itself() -> None:
    """Its operation name is a guess; cache and reasoning stand in its own usage object, content in LangChain's words."""
    prompt = {
        "messages": [[{"lc": 1, "type": "constructor", "id": ["HumanMessage"], "kwargs": {"content": "hi"}}]]
    }
    answer = {"generations": [[{"text": "yo", "generation_info": {"finish_reason": "stop"}}]]}
    told = span(
        "langsmith",
        "ChatOpenAI",
        {
            "langsmith.span.kind": "llm",
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.usage.input_tokens": 120,
            "langsmith.metadata.ls_provider": "openai",
            "langsmith.metadata.usage_metadata": json.dumps(
                {
                    "input_tokens": 120,
                    "output_tokens": 20,
                    "input_token_details": {"cache_read": 64},
                    "output_token_details": {"reasoning": 8},
                }
            ),
            "gen_ai.prompt": json.dumps(prompt),
            "gen_ai.completion": json.dumps(answer),
        },
    )

    assert facts(read(told), "kind", "provider", "finish_reasons") == ("llm", "openai", ("stop",))
    assert read(told).usage == Usage(120, 20, 64, None, 8)
    assert content(told).input == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert content(told).output == [
        {"role": "assistant", "parts": [{"type": "text", "content": "yo"}], "finish_reason": "stop"}
    ]
    assert read(span("langsmith", "search", {"langsmith.span.kind": "retriever"})).kind == "retrieval"


def test_litellm_and_its_raw_twin() -> None:
    """Counts come as a Python repr; the raw span below is no second call; an empty string says nothing."""
    told = span(
        "litellm",
        "litellm_request",
        {
            "llm.request.type": "completion",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o-mini",
            "gen_ai.response.id": "",
            "gen_ai.usage.prompt_tokens": 120,
            "gen_ai.usage.completion_tokens": 20,
            "metadata.usage_object": str(
                {
                    "prompt_tokens": 120,
                    "completion_tokens": 20,
                    "prompt_tokens_details": {"cached_tokens": 64},
                    "completion_tokens_details": {"reasoning_tokens": 8, "audio_tokens": None},
                }
            ),
            "gen_ai.cost.total_cost": 2.5e-05,
            "gen_ai.completion.0.function_call.name": "get_weather",
            "gen_ai.completion.0.function_call.arguments": '{"city": "Paris"}',
        },
    )
    record = read(told)

    assert facts(record, "kind", "response_id", "cost") == ("llm", None, "0.000025")
    assert facts(record, "usage", "finish_reasons") == (Usage(120, 20, 64, None, 8), ("tool_call",))
    said = content(told).output
    assert said is not None
    assert said[0]["parts"] == [{k: v for k, v in CALL.items() if k != "id"}]
    assert read(span("litellm", "raw_gen_ai_request", {"llm.openai.model": "x"})).kind == "raw"


def test_ai_sdk_before_its_genai_spans() -> None:
    """The outer span is an aggregate, the inner one the call; tools come as a list of JSON texts."""
    call = {"toolCallId": "call_1", "toolName": "get_weather", "input": '{"city": "Paris"}'}
    told = span(
        "ai",
        "ai.streamText.doStream",
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.model.provider": "openai.chat",
            "ai.model.id": "gpt-4o-mini",
            "ai.response.model": "gpt-4o-mini-2024-07-18",
            "ai.response.finishReason": "tool-calls",
            "ai.response.toolCalls": json.dumps([call]),
            "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
            "ai.prompt.tools": (
                json.dumps({"type": "function", "name": "get_weather", "inputSchema": {"a": 1}}),
            ),
            "ai.usage.inputTokens": 120,
            "ai.usage.outputTokens": 20,
            "ai.usage.cachedInputTokens": 64,
        },
    )
    record, said = read(told), content(told)

    assert facts(record, "kind", "provider", "model") == ("llm", "openai", "gpt-4o-mini")
    assert facts(record, "usage", "finish_reasons") == (Usage(120, 20, 64), ("tool_call",))
    assert said.output == [{"role": "assistant", "parts": [CALL]}]
    assert said.tools == [{"type": "function", "name": "get_weather", "parameters": {"a": 1}}]
    assert read(span("ai", "ai.streamText", {"ai.operationId": "ai.streamText"})).kind == "agent"


def test_openllmetry_of_langchain_tools() -> None:
    """Arguments are a Python repr inside JSON, the result a LangChain message that names the call."""
    message = {"lc": 1, "id": ["ToolMessage"], "kwargs": {"content": "rainy", "tool_call_id": "call_1"}}
    told = span(
        "opentelemetry.instrumentation.langchain",
        "execute_tool get_weather",
        {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.arguments": json.dumps({"input_str": "{'city': 'Paris'}"}),
            "gen_ai.tool.call.result": json.dumps({"output": message}),
        },
    )

    assert facts(read(told), "emitter", "kind", "tool_call_id") == ("openllmetry", "tool", "call_1")
    assert (content(told).arguments, content(told).result) == ({"city": "Paris"}, "rainy")


def test_strands_with_an_event_a_message() -> None:
    """Bedrock blocks in span events; a tool's arguments and result are there too."""
    blocks = json.dumps(
        [{"toolUse": {"toolUseId": "call_1", "name": "get_weather", "input": {"city": "Paris"}}}]
    )
    told = span(
        "strands.telemetry.tracer",
        "chat",
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "strands-agents",
            "gen_ai.request.model": "claude-4",
        },
        Event("gen_ai.system.message", 1, {"content": json.dumps([{"text": "Be brief."}])}),
        Event("gen_ai.user.message", 2, {"content": json.dumps([{"text": "hi"}])}),
        Event("gen_ai.choice", 3, {"message": blocks, "finish_reason": "tool_use"}),
    )
    tool = span(
        "strands.telemetry.tracer",
        "execute_tool get_weather",
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "get_weather"},
        Event("gen_ai.tool.message", 1, {"content": '{"city": "Paris"}', "id": "call_1"}),
        Event("gen_ai.choice", 2, {"message": json.dumps([{"text": "rainy"}]), "id": "call_1"}),
    )
    said = content(told)

    assert read(told).provider == "anthropic"
    assert said.system == [{"type": "text", "content": "Be brief."}]
    assert said.input == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert said.output == [{"role": "assistant", "parts": [CALL], "finish_reason": "tool_call"}]
    assert (content(tool).arguments, content(tool).result) == ({"city": "Paris"}, "rainy")


def test_mcp_client_spans_are_tool_calls() -> None:
    """They carry no GenAI attribute; only their name says which tool."""
    record = read(span("mcp-python-sdk", "MCP send tools/call add", {}))

    assert facts(record, "kind", "tool_name") == ("tool", "add")
    assert read(span("mcp-python-sdk", "MCP send tools/list", {})).kind == "span"


@pytest.mark.parametrize(
    ("attributes", "usage"),
    [
        (
            {"input_tokens": 30, "cache_read.input_tokens": 64, "cache_write.input_tokens": 10},
            Usage(104, None, 64, 10),
        ),
        ({"prompt_tokens": "120", "cached_input_tokens": 64.0}, Usage(120, None, 64)),
        ({"output_tokens": 5, "reasoning.output_tokens": 8}, Usage(None, 13, reasoning=8)),
        ({"input_tokens": -1, "output_tokens": True, "completion_tokens": "many"}, Usage()),
    ],
)
def test_counts_of_any_spelling_mean_the_same(attributes: dict[str, Any], usage: Usage) -> None:
    """Parts greater than the whole had been left out of it; what is no count is no count."""
    given = {
        "gen_ai.operation.name": "chat",
        **{f"gen_ai.usage.{key}": value for key, value in attributes.items()},
    }

    assert read(span("any", "chat", given)).usage == usage


@pytest.mark.parametrize(
    ("scope", "attributes", "kind"),
    [
        ("any", {"gen_ai.operation.name": "chat"}, "llm"),
        ("any", {"gen_ai.operation.name": "create_memory"}, "memory"),
        ("any", {"gen_ai.operation.name": "memory.save"}, "memory"),
        ("any", {"gen_ai.tool.name": "x"}, "tool"),
        ("any", {"gen_ai.usage.input_tokens": 1, "gen_ai.request.model": "m"}, "llm"),
        ("any", {"openinference.span.kind": "RETRIEVER"}, "retrieval"),
        ("any", {"traceloop.span.kind": "task"}, "step"),
        (
            "com.anthropic.sdk.python",
            {"gen_ai.tool.name": "t", "gen_ai.operation.name": "execute_tool"},
            "tool",
        ),
        ("opentelemetry.instrumentation.httpx", {"http.method": "POST"}, "span"),
    ],
)
def test_kinds(scope: str, attributes: dict[str, Any], kind: str) -> None:
    """By operation first, then by what each emitter calls it, then by what the attributes imply."""
    assert read(span(scope, "x", attributes)).kind == kind


def test_dropped_attributes_are_told() -> None:
    """A span that lost attributes on its way says that its recording is incomplete."""
    from dataclasses import replace

    whole = span("any", "chat", {"gen_ai.operation.name": "chat"})

    assert read(whole).incomplete is None
    assert "11 attributes" in (read(replace(whole, dropped_attributes=11)).incomplete or "")
