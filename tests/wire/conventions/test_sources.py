"""Counts of an independent counter, a few lines over the source, equal ours on every recorded OTLP file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from spanreel.wire.conventions import content, read
from spanreel.wire.grouping import group
from spanreel.wire.spans import Span

MODEL_WORDS = {"chat", "generate_content", "text_completion", "LLM", "EMBEDDING", "embeddings"}
TOOL_WORDS = {"execute_tool", "TOOL"}
INPUT = ("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens")
OUTPUT = ("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens")
# What a naive counter cannot know: pydantic-ai v2 and AI SDK 5 name no operation, ADK's `call_llm` holds OpenLLMetry's.
CORRECTIONS = {
    "langfuse_pydantic-ai-tools-2025-12-04.jsonl": Counter(tool=3),
    "langfuse_vercel-aisdk-2025-11-17.jsonl": Counter(llm=1, tool=1, input=62, output=85),
    "kagent_helm.jsonl": Counter(llm=2, input=3776, output=130),
}


def counted(spans: Iterable[Span]) -> Counter[str]:
    """Model spans, tool spans and their tokens, by the words that emitters use."""
    found: Counter[str] = Counter()
    for span in spans:
        word = span.attributes.get("gen_ai.operation.name") or span.attributes.get("openinference.span.kind")
        if word in MODEL_WORDS:
            found["llm"] += 1
            found["input"] += number(span.attributes, INPUT)
            found["output"] += number(span.attributes, OUTPUT)
        elif word in TOOL_WORDS:
            found["tool"] += 1
    return found


def number(attributes: Any, keys: tuple[str, ...]) -> int:
    """The first of these attributes, as a number."""
    return next((int(attributes[key]) for key in keys if key in attributes), 0)


def ours(spans: Iterable[Span]) -> Counter[str]:
    """The same of the runs that we make of the spans."""
    found: Counter[str] = Counter()
    for run in group([read(span) for span in spans]):
        found["input"] += run.usage.input or 0
        found["output"] += run.usage.output or 0
        for step in run.steps:
            found["tool" if step.record.kind == "tool" else "llm"] += 1
    return found


@pytest.mark.parametrize(
    "pattern", ["otlp/foreign/*.jsonl", "otlp/emitters/*/*.pb", "otlp/crewai_telemetry/*.pb"]
)
def test_recorded_traces(pattern: str, shared: Path, decode: Callable[[Path], list[Span]]) -> None:
    """Model calls, tool calls and tokens of every file equal the counter's; every span is in one run."""
    paths = sorted((shared / "data").glob(pattern))
    assert paths
    for path in paths:
        spans = decode(path)
        assert ours(spans) == counted(spans) + CORRECTIONS.get(path.name, Counter()), path.name
        held = Counter(one.span_id for run in group([read(span) for span in spans]) for one in run.records)
        assert held == Counter(span.span_id for span in spans), path.name


@pytest.mark.parametrize("name", ["grok3_retail_flaky", "gpt4o_retail_per_turn"])
def test_long_conversations(name: str, shared: Path, decode: Callable[[Path], list[Span]]) -> None:
    """One run a trace; model and tool calls as in the source, numbered in the order in which they started."""
    spans = decode(shared / "data" / "otlp" / "tau" / f"{name}.otlp.jsonl.gz")
    runs = group([read(span) for span in spans])

    assert ours(spans) == counted(spans)
    assert len(runs) == len({span.trace_id for span in spans})
    assert {run.agent_name for run in runs} == {"tau-bench-retail"}
    for run in runs:
        assert [step.number for step in run.steps] == list(range(1, len(run.steps) + 1))
        starts = [(step.record.start_ns, step.record.span_id) for step in run.steps]
        assert starts == sorted(starts)
    by_id = {span.span_id: span for span in spans}
    tool = next(step for run in runs for step in run.steps if step.record.kind == "tool")
    assert content(by_id[tool.members[0]]).arguments


def test_product_telemetry_is_no_call(shared: Path, decode: Callable[[Path], list[Span]]) -> None:
    """CrewAI's usage pings say that a tool was used, not what was called: they are spans, and no steps."""
    paths = sorted((shared / "data" / "otlp" / "crewai_telemetry").glob("*.pb"))
    spans = [span for path in paths for span in decode(path)]
    assert any(span.name == "Tool Usage" for span in spans)
    assert not any(run.steps for run in group([read(span) for span in spans]))
