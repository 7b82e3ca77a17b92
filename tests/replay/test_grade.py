"""Which replay a run allows, and what it lacks: for every emitter that there is a file of, and for runs of our own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import openai
import pytest
from hypothesis import given, settings
from test_foreign import CALLS, SPANS

import spanreel
from spanreel.cli.schemas import json_schema
from spanreel.collector import files
from spanreel.collector.store import open_reader
from spanreel.replay.grade import Grade, grade
from spanreel.wire import conventions
from spanreel.wire.grouping import group
from spanreel.wire.spans import Span

HERE = Path(__file__).parent.parent / "recordings" / "emitters"
BYTES = ("semantic", "http.request.body.content")
TABLE: dict[str, list[tuple[str, str]]] = {
    "DUPLICATES-anthropic-native-plus-otel-instrumentor.json": [BYTES],
    "anthropic-sdk-native-2.12.0.json": [("view-only", "gen_ai.tool.definitions"), BYTES],
    "google-adk-2.13.0-v2.json": [BYTES],
    "langfuse-sdk-5.0.4.json": [BYTES],
    "mlflow-3.17.2-otlp.json": [BYTES],
    "ms-agent-framework-1.23.0-latest.json": [BYTES],
    "openinference-langchain-0.1.80.json": [BYTES],
    "openinference-openai-0.1.66.json": [BYTES, BYTES, BYTES, BYTES, BYTES],
    "openllmetry-openai-0.62.4.json": [BYTES, BYTES, BYTES, ("view-only", "gen_ai.output.messages")],
    "otel-genai-anthropic-1.3b0.json": [BYTES],
    "otel-genai-openai-1.3b0.json": [BYTES, BYTES, BYTES, ("view-only", "gen_ai.input.messages"), BYTES],
    "otel-genai-openai-agents-1.3b0.json": [BYTES],
    "pydantic-ai-2.68.0-v5.json": [BYTES],
    "strands-1.62.0-latest.json": [BYTES],
    "vercel-ai-sdk-7.0.173-genai.json": [BYTES],
}
"""File -> per run, oldest first: its grade, and the first attribute that it lacks for a better one."""
MORE: dict[str, list[tuple[str, str]]] = {
    "agent_framework": [BYTES],
    "agents_openinference": [("view-only", "llm.tools")],
    "google_genai": [BYTES],
    "langchain_openinference": [BYTES],
    "logfire_openai": [BYTES],
    "openai_v2": [("view-only", "gen_ai.input.messages")] * 2,
    "openinference_openai": [BYTES, BYTES],
    "openllmetry_openai": [BYTES, BYTES],
    "pydantic_ai": [BYTES],
}
"""Folder of `otlp/emitters` -> the same."""
SWITCHES = {
    "anthropic-sdk-native-2.12.0.json": ("gen_ai.input.messages", "ANTHROPIC_OPEN_TELEMETRY_TRACES_CONTENT_MODE=content"),
    "google-adk-2.13.0-v2.json": ("gen_ai.input.messages", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"),
    "langfuse-sdk-5.0.4.json": ("langfuse.observation.input", None),
    "mlflow-3.17.2-otlp.json": ("mlflow.spanInputs", None),
    "ms-agent-framework-1.23.0-latest.json": ("gen_ai.input.messages", "ENABLE_SENSITIVE_DATA=true"),
    "openinference-openai-0.1.66.json": ("llm.input_messages", "OPENINFERENCE_HIDE_INPUTS=false"),
    "openllmetry-openai-0.62.4.json": ("gen_ai.input.messages", "TRACELOOP_TRACE_CONTENT=true"),
    "otel-genai-openai-1.3b0.json": ("gen_ai.input.messages", "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY"),
    "pydantic-ai-2.68.0-v5.json": ("gen_ai.input.messages", "InstrumentationSettings(include_content=True)"),
    "strands-1.62.0-latest.json": ("gen_ai.input.messages", "OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental"),
    "vercel-ai-sdk-7.0.173-genai.json": ("gen_ai.input.messages", "recordInputs: true"),
}  # fmt: skip
"""File -> what its first model call lacks once its content is taken out, and what would switch it on."""
CONTENT = (
    "gen_ai.input.", "gen_ai.output.", "gen_ai.system_instructions", "gen_ai.tool.definitions", "llm.input_messages", "llm.output_messages",
    "input.value", "output.value", "langfuse.observation.input", "langfuse.observation.output", "mlflow.spanInputs", "mlflow.spanOutputs",
    "llm.tools",
)  # fmt: skip


def grades(spans: list[Span]) -> list[Grade]:
    """Of each run, oldest first."""
    return [grade(run, spans) for run in group(conventions.read(span) for span in spans)]


def read(path: Path) -> list[Span]:
    """The spans of a file."""
    return [span for batch in files.read(path) for span in batch]


def told(found: list[Grade]) -> list[tuple[str, str]]:
    """What the table holds of grades."""
    return [(one.grade, one.missing[0].attribute) for one in found]


@pytest.mark.parametrize("name", TABLE)
def test_every_emitter_has_its_grade(name: str) -> None:
    """Each recorded file of another emitter is graded as the table says, and the missing attribute is named."""
    found = grades(read(HERE / name))
    assert told(found) == TABLE[name]
    for one in found:
        jsonschema.validate(json.loads(one.to_json()), json_schema("grade"))
        assert one.missing[0].attribute in one.line
        assert all(missing.step is None or missing.why for missing in one.missing)


def test_the_table_is_of_all_files(shared: Path) -> None:
    """No file of the shared emitters is left out, and those recorded by other means are graded likewise."""
    assert sorted(path.name for path in (shared / "data" / "emitters").iterdir()) == sorted(TABLE)
    for name, expected in TABLE.items():
        assert told(grades(read(shared / "data" / "emitters" / name))) == expected, name
    for name, expected in MORE.items():
        path = shared / "data" / "otlp" / "emitters" / name / "0000.traces.pb"
        assert told(grades(read(path))) == expected, name


@pytest.mark.parametrize("name", SWITCHES)
def test_content_that_was_not_captured_is_named_with_its_switch(name: str) -> None:
    """Without its content a run can only be viewed; the attribute is spelt as its emitter does."""
    bare = [
        replace(span, events=(), attributes={key: value for key, value in span.attributes.items() if not key.startswith(CONTENT)})
        for span in read(HERE / name)
    ]  # fmt: skip
    found = next(one for one in grades(bare) if any(call.kind == "llm" for call in one.calls))
    assert found.grade == "view-only"
    assert (found.missing[0].attribute, found.missing[0].switch) == SWITCHES[name]
    assert found.missing[0].step == 1


def test_tools_that_only_the_agent_span_names_count() -> None:
    """A call whose agent says which tools there are lacks none."""
    spans = read(HERE / "strands-1.62.0-latest.json")
    stripped = [
        replace(span, attributes={key: value for key, value in span.attributes.items() if key != "gen_ai.tool.definitions"}) for span in spans
    ]  # fmt: skip
    assert grades(spans)[0].grade == "semantic"
    assert told(grades(stripped)) == [("view-only", "gen_ai.tool.definitions")]


@settings(deadline=None)
@given(SPANS | CALLS)
def test_any_attributes_have_a_grade(told: list[tuple[str, dict[str, Any]]]) -> None:
    """Whatever an emitter wrote under the names we read, nothing raises; what is not the best says what is missing."""
    spans = [
        Span("a" * 32, f"{number:016x}", name, "0" * 15 + "1" if number > 1 else None, start_ns=number * 100, end_ns=number * 100 + 50,
             attributes={"gen_ai.operation.name": name, **attributes})
        for number, (name, attributes) in enumerate(told, 1)
    ]  # fmt: skip
    for found in grades(spans):
        assert found.line.startswith(found.grade)
        assert bool(found.missing) == (found.grade != "exact" and bool(found.calls))
        assert Grade.model_validate_json(found.to_json()).calls == found.calls


@pytest.fixture
def recorded(client, recording, store: Path) -> Callable[[str], tuple[list[Span], str]]:
    """Runs an agent of ours with a model call and a tool call; gives the spans and the id of its run."""

    @spanreel.tool
    def look(city: str) -> dict:
        return {"city": city}

    @spanreel.agent
    def agent(question: str) -> str | None:
        client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": question}])
        look("Paris")
        return "done"

    def run(question: str) -> tuple[list[Span], str]:
        agent(question)
        recording.flush()
        with open_reader(store) as reader:
            found = reader.resolve("last")
            return reader.spans(found.trace_id), found.run_id

    return run


def test_a_run_of_ours_is_exact(recorded) -> None:
    """Bytes, typed results and an entry point are all there."""
    spans, run = recorded("hello")
    (found,) = grades(spans)
    assert (found.run_id, found.grade, found.line, found.missing) == (run, "exact", "exact", [])
    assert [(call.kind, call.grade) for call in found.calls] == [("llm", "exact"), ("tool", "exact")]


@pytest.mark.parametrize(
    ("attribute", "grade_then"),
    [
        ("http.response.body.content", "view-only"),
        ("http.request.body.content", "view-only"),
        ("spanreel.tool.result", "semantic"),
        ("spanreel.run.entry", "semantic"),
    ],
)
def test_what_is_taken_away_is_named(recorded, attribute: str, grade_then: str) -> None:
    """Each attribute that an exact replay needs is what is missing once it is gone."""
    spans, _ = recorded("hello")
    less = [
        replace(span, attributes={key: value for key, value in span.attributes.items() if key != attribute})
        for span in spans
    ]
    (found,) = grades(less)
    assert (found.grade, found.missing[0].attribute) == (grade_then, attribute)


@pytest.mark.parametrize("level", ["hashes", "metadata", "none"])
def test_a_run_below_full_says_its_level(server, store: Path, level: str) -> None:
    """The reason is the capture level it was recorded with."""
    instrumented = spanreel.instrument(capture=level)
    try:
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k") as client, spanreel.run("agent"):
            client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": "one"}])
        instrumented.flush()
    finally:
        spanreel.uninstrument()
    with open_reader(store) as reader:
        run = reader.resolve("last")
        found = grade(run, reader.spans(run.trace_id))
    assert found.grade == "view-only"
    assert f"capture='{level}'" in found.missing[0].why
    assert "capture='full'" in found.line


def test_a_run_without_calls_can_only_be_viewed() -> None:
    """There is nothing to replay, and the line says so."""
    span = Span(
        "a" * 32,
        "b" * 16,
        "invoke_agent x",
        attributes={"gen_ai.operation.name": "invoke_agent"},
        start_ns=1,
        end_ns=2,
    )
    (found,) = grades([span])
    assert found.line == "view-only (no model or tool call)"
