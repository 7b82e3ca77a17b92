"""One conversation, fifteen emitters: read, they say the same.

"Weather in Paris?" → get_weather{city: Paris} → answer. What an emitter does not carry is in its row of the table,
so that a fact which gets lost fails the test and a fact which is gained does too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from spanreel.wire.conventions import content, read, union
from spanreel.wire.grouping import Run, Step, group
from spanreel.wire.records import Content
from spanreel.wire.spans import Span
from spanreel.wire.usage import Usage

OPENAI = Usage(120, 20, 64, None, 8)
ANTHROPIC = Usage(104, 20, 64, 10, None)
MODELS = {
    "openai": ("gpt-4o-mini", "gpt-4o-mini-2024-07-18"),
    "anthropic": ("claude-sonnet-4-5", "claude-sonnet-4-5-20250929"),
    "gcp.gemini": ("gemini-2.5-flash", None),
}
SYSTEM = [{"type": "text", "content": "Be brief."}]


@dataclass(frozen=True)
class Row:
    """What is expected of one file.

    steps: kinds of all steps in order ("ask" and "answer" are the two model calls, "…!" a failed one).
    lacks: facts that the emitter does not carry: usage counts, response_model, response_id, finish, system, tools,
        arguments (their names), call_id (of the tool span).
    """

    name: str
    steps: str
    lacks: str = ""
    provider: str = "openai"
    usage: Usage = OPENAI
    tool: str = "get_weather"
    call_id: str = "call_1"
    result: Any = "rainy, 57F"
    agent: str | None = None
    session: str | None = None
    runs: int = 1


ROWS = [
    Row("DUPLICATES", "answer", provider="anthropic", usage=ANTHROPIC, call_id="toolu_1"),
    Row("anthropic-sdk-native", "ask answer", "tools", "anthropic", ANTHROPIC, call_id="toolu_1", runs=2),
    Row(
        "google-adk", "ask tool answer", "response_id long_system", "gcp.gemini",
        call_id="fc1", result={"weather": "rainy, 57F"}, agent="weather_bot", session="*",
    ),
    # Its wrapper keeps the model that answered, and its @observe keeps positional arguments.
    Row("langfuse-sdk", "ask tool", "model response_id arguments call_id", agent="agent"),
    # Its example kept one call, without the system message, and an answer of one word.
    Row(
        "mlflow", "other tool", "response_model response_id finish system tools reasoning call_id", agent="weather_bot"
    ),
    Row("ms-agent-framework", "ask tool answer", "tools", tool="get_weather2", agent="WeatherBot"),
    # A LangChain callback sees the bare value of a single argument.
    Row("openinference-langchain", "ask tool answer", "arguments", agent="weather_bot", session="t1"),
    Row("openinference-openai", "ask answer ask embedding other!", "answer_tools", runs=5),
    # Streaming loses reasoning; the recording of `openai.response` ends in an answer.
    Row("openllmetry-openai", "ask answer other embedding", "answer_tools answer_reasoning", runs=4),
    Row("otel-genai-anthropic", "answer", provider="anthropic", usage=ANTHROPIC, call_id="toolu_1"),
    Row("otel-genai-openai-1", "ask answer ask embedding other!", "answer_tools", runs=5),
    Row("otel-genai-openai-agents", "ask tool answer", "call_id", agent="WeatherBot"),
    Row("pydantic-ai", "ask tool answer", agent="weather_bot", session="*"),
    Row(
        "strands", "ask tool answer", "response_model response_id reasoning tools", agent="weather_bot", session="sess-1"
    ),
    Row("vercel-ai-sdk", "ask tool answer", "reasoning", agent="weather_bot"),
]  # fmt: skip
COSTS = {"pydantic-ai": "0.0000504"}


@pytest.fixture(params=ROWS, ids=lambda row: row.name)
def row(request: pytest.FixtureRequest) -> Row:
    """One file of the table."""
    return request.param


@pytest.fixture
def spans(row: Row, recorded: Callable[[str], list[Span]]) -> list[Span]:
    """Its spans."""
    return recorded(row.name)


@pytest.fixture
def runs(spans: list[Span]) -> list[Run]:
    """Its runs."""
    return group([read(span) for span in spans])


def parts_of(messages: list[dict[str, Any]] | None) -> list[tuple[str, list[dict[str, Any]]]]:
    """Who said what: roles and parts, without finish reasons, names and result names."""
    drop = {"name"}
    return [
        (
            one["role"],
            [
                part if part["type"] == "tool_call" else {k: v for k, v in part.items() if k not in drop}
                for part in one["parts"]
            ],
        )
        for one in messages or []
    ]


def test_runs_and_steps(row: Row, runs: list[Run]) -> None:
    """Each model call and each tool call is one step, however many spans told of it."""
    kinds = {"ask": "llm", "answer": "llm", "other": "llm", "other!": "llm"}
    expected = [kinds.get(word, word) for word in row.steps.split()]

    assert [step.record.kind for run in runs for step in run.steps] == expected
    assert len(runs) == row.runs
    assert [run.status for run in runs] == [
        "error" if "!" in word else "completed" for word in row.steps.split()
    ][-row.runs :]


def test_model_calls(row: Row, runs: list[Run]) -> None:
    """Provider, models, ids, counts and finish reasons are the same whoever emitted them."""
    lacks = set(row.lacks.split())
    for word, step in steps_named(row, runs, "ask", "answer"):
        record = step.record
        model, response_model = MODELS[row.provider]
        assert record.provider == row.provider
        assert record.model == (response_model if "model" in lacks else model)
        assert record.response_model == (None if "response_model" in lacks else response_model)
        assert bool(record.response_id) == ("response_id" not in lacks)
        assert record.finish_reasons == (("tool_call",) if word == "ask" else ("stop",))
        reasoning = None if {"reasoning", f"{word}_reasoning"} & lacks else row.usage.reasoning
        told = record.usage
        assert (told.input, told.output, told.cache_read) == (
            row.usage.input,
            row.usage.output,
            row.usage.cache_read,
        )
        assert (told.cache_write or None, told.reasoning) == (row.usage.cache_write, reasoning)


def test_what_was_said(row: Row, runs: list[Run], spans: list[Span]) -> None:
    """System instructions, messages, tool calls and tool definitions are the same whoever emitted them."""
    lacks = set(row.lacks.split())
    call = {"type": "tool_call", "name": row.tool, "arguments": {"city": "Paris"}, "id": row.call_id}
    thought = [{"type": "text", "content": "Let me check."}] if row.provider == "anthropic" else []
    asked = ("user", [{"type": "text", "content": "Weather in Paris?"}])
    calling = ("assistant", [*thought, call])
    result = ("tool", [{"type": "tool_call_response", "response": row.result, "id": row.call_id}])
    for word, step in steps_named(row, runs, "ask", "answer"):
        told = content_of(step, spans)
        if "long_system" in lacks:
            assert told.system is not None
            assert told.system[0]["content"].startswith("Be brief.")
        else:
            assert told.system == SYSTEM
        assert parts_of(told.input) == ([asked] if word == "ask" else [asked, calling, result])
        said = parts_of(told.output)[-1]
        assert said[0] == "assistant"
        assert said == calling if word == "ask" else said[1][-1]["content"] == "It is rainy in Paris, 57F."
        names = [tool["name"] for tool in told.tools or []]
        assert names == ([] if {"tools", f"{word}_tools"} & lacks else [row.tool])


def test_tool_calls(row: Row, runs: list[Run], spans: list[Span]) -> None:
    """A tool call has its name, its arguments and its result, and the id that the model gave it."""
    lacks = set(row.lacks.split())
    for step in (step for run in runs for step in run.steps if step.record.kind == "tool"):
        told = content_of(step, spans)
        assert step.record.tool_name == row.tool
        assert step.record.tool_call_id == (None if "call_id" in lacks else row.call_id)
        assert (told.arguments == {"city": "Paris"}) == ("arguments" not in lacks)
        assert "Paris" in str(told.arguments)
        assert told.result == row.result


def test_totals(row: Row, runs: list[Run]) -> None:
    """A run's counts are those of its model calls; what agents add up is not counted again."""
    calls = [
        step.record.usage.input
        for run in runs
        for step in run.steps
        if step.record.kind in ("llm", "embedding")
    ]

    assert sum(run.usage.input or 0 for run in runs) == sum(count or 0 for count in calls)
    assert runs[0].cost == COSTS.get(row.name)


def test_who_and_where(row: Row, runs: list[Run]) -> None:
    """A run is named by its agent, and tied to its session where the emitter has one."""
    if row.agent is not None:
        assert runs[0].agent_name == row.agent
    assert (runs[0].session == row.session) if row.session != "*" else runs[0].session


def test_an_embedding_is_no_chat(recorded: Callable[[str], list[Span]]) -> None:
    """Embeddings count their input tokens and are their own kind."""
    for name in ("openinference-openai", "openllmetry-openai", "otel-genai-openai-1"):
        runs = group([read(span) for span in recorded(name)])
        found = [step.record for run in runs for step in run.steps if step.record.kind == "embedding"]
        assert [(record.model, record.usage.input, record.usage.output) for record in found] == [
            ("text-embedding-3-small", 5, None)
        ]


def test_two_emitters_of_one_call_are_one_step(recorded: Callable[[str], list[Span]]) -> None:
    """A call that the SDK and an instrumentation both report counts once and keeps what either knows."""
    spans = recorded("DUPLICATES")
    [run] = group([read(span) for span in spans])
    [step] = run.steps

    assert set(step.members) == {span.span_id for span in spans}
    assert run.usage == ANTHROPIC
    assert content_of(step, spans).tools  # only the instrumentation has them


def test_content_only_in_a_log_record(recorded: Callable[[str], list[Span]]) -> None:
    """With the content in the details event alone, the span says as much as with it in attributes."""
    from dataclasses import replace

    heavy = (
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.system_instructions",
        "gen_ai.tool.definitions",
    )
    for span in recorded("otel-genai-anthropic"):
        bare = replace(span, attributes={k: v for k, v in span.attributes.items() if k not in heavy})
        told, whole = content(bare), content(span)
        assert (told.system, told.input, told.output) == (whole.system, whole.input, whole.output)
        assert told.tools == [{"name": "get_weather", "description": "Weather", "type": "function",
                               "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}]  # fmt: skip


def test_message_events_of_earlier_conventions(recorded: Callable[[str], list[Span]]) -> None:
    """One log record a message, body and all, reads like the messages in attributes."""
    from dataclasses import replace

    spans = [span for span in recorded("ms-agent-framework") if span.name.startswith("chat")]
    assert len(spans) == 2
    for span in spans:
        kept = {k: v for k, v in span.attributes.items() if not k.endswith(("messages", "instructions"))}
        told, whole = content(replace(span, attributes=kept)), content(span)
        assert told.system == whole.system
        assert parts_of(told.input) == parts_of(whole.input)
        assert told.output == whole.output


def steps_named(row: Row, runs: list[Run], *words: str) -> list[tuple[str, Step]]:
    """The steps that the row calls by one of these words."""
    steps = [step for run in runs for step in run.steps]
    return [(word, step) for word, step in zip(row.steps.split(), steps, strict=True) if word in words]


def content_of(step: Step, spans: list[Span]) -> Content:
    """What all spans of a step say together."""
    by_id = {span.span_id: span for span in spans}
    return union(content(by_id[member]) for member in step.members)
