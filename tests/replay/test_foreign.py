"""Every recorded file of other emitters, and any attribute whatever: a view is made, and what it prints fits its schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.cli.schemas import json_schema
from spanreel.collector import files
from spanreel.replay.build import build
from spanreel.replay.compare import compare
from spanreel.replay.load import summary
from spanreel.replay.report.html import replay_html
from spanreel.replay.report.text import step_line
from spanreel.replay.timeline import Replay
from spanreel.wire import conventions
from spanreel.wire.grouping import group
from spanreel.wire.spans import Span

SCHEMA = jsonschema.Draft202012Validator(json_schema("replay"))
FOLDERS = ("emitters", "otlp/foreign", "otlp/crewai_telemetry", "otlp/emitters")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "type", "content", "id", "name", "arguments", "response", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
NAMES = ["gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.system_instructions", "gen_ai.tool.definitions", "gen_ai.tool.call.id",
         "gen_ai.tool.call.arguments", "gen_ai.tool.call.result", "gen_ai.usage.input_tokens", "gen_ai.response.finish_reasons",
         "gen_ai.request.temperature", "gen_ai.request.model", "spanreel.run.input", "spanreel.run.output", "spanreel.tag.a", "error.type", "spanreel.effect.source", "spanreel.tool.safety"]  # fmt: skip
VALUES = JSON.map(json.dumps) | JSON | st.binary(max_size=4)
SPANS = st.lists(
    st.tuples(
        st.sampled_from(["chat", "execute_tool", "invoke_agent", "embeddings", "retrieval"]),
        st.dictionaries(st.sampled_from(NAMES), VALUES),
    ),
    min_size=1,
    max_size=4,
)
MESSAGE = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool"]), "parts": st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "tool_call", "tool_call_response"])}, optional={"id": st.sampled_from(["a", "b"]), "name": st.just("t"), "content": JSON, "arguments": JSON, "response": JSON}), max_size=3)})  # fmt: skip
CALLS = st.lists(st.tuples(st.just("chat"), st.fixed_dictionaries({"gen_ai.input.messages": st.lists(MESSAGE, max_size=4).map(json.dumps), "gen_ai.output.messages": st.lists(MESSAGE, max_size=2).map(json.dumps)})), min_size=1, max_size=4)  # fmt: skip


def printed(run: Replay) -> None:
    """Every way of looking at a run, each held against what it promises."""
    SCHEMA.validate(json.loads(run.to_json()))
    replay_html(run)
    for step in run.steps:
        assert "\n" not in step_line(step)
    assert compare(run, run).identical


def test_every_recorded_file_of_other_emitters_is_read(shared: Path) -> None:
    """Model and tool calls of the view are those of the grouping; the views of every run are made."""
    seen = 0
    for folder in FOLDERS:
        for path in sorted((shared / "data" / folder).rglob("*.*")):
            if path.suffix not in (".json", ".jsonl", ".pb"):
                continue
            spans = [span for batch in files.read(path) for span in batch]
            for run in group(conventions.read(span) for span in spans):
                replay = build(run, spans)
                printed(replay)
                summary(run)
                assert [step.number for step in replay.steps] == list(range(1, len(run.steps) + 1)), path
                assert len([call for call in replay.tool_calls if call.step]) == sum(
                    step.record.kind == "tool" for step in run.steps
                )
                seen += 1
    assert seen > 100


@settings(deadline=None)
@given(SPANS | CALLS)
def test_any_attributes_make_a_view(told: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever an emitter wrote under the names we read, nothing raises and the printed form fits its schema."""
    spans = [
        Span("a" * 32, f"{number:016x}", name, "0" * 15 + "1" if number > 1 else None, start_ns=number * 100, end_ns=number * 100 + 50,
             attributes={"gen_ai.operation.name": name, **attributes})
        for number, (name, attributes) in enumerate(told, 1)
    ]  # fmt: skip
    printed(Replay.from_spans(spans))


@pytest.mark.parametrize("depth", [50, 5000])
def test_deep_content_is_read_or_left_as_text(depth: int) -> None:
    """Nesting beyond what Python walks is no reason to fail."""
    deep = "[" * depth + "]" * depth
    attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "t",
        "gen_ai.tool.call.arguments": deep,
        "gen_ai.tool.call.result": deep,
    }
    printed(Replay.from_spans([Span("a" * 32, "b" * 16, "t", start_ns=1, end_ns=2, attributes=attributes)]))
