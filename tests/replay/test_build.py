"""build: the typed view of a run, from spans of any emitter."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from spanreel.cli.schemas import json_schema
from spanreel.replay.build import build
from spanreel.replay.timeline import Replay
from spanreel.wire import conventions, otlp
from spanreel.wire.grouping import group
from spanreel.wire.spans import Event, Resource, Scope, Span

TRACE = "0af7651916cd43dd8448eb211c80319c"
AGENTS = ["google-adk-2.13.0-v2", "ms-agent-framework-1.23.0-latest", "openinference-langchain-0.1.80",
          "otel-genai-openai-agents-1.3b0", "pydantic-ai-2.68.0-v5", "strands-1.62.0-latest", "vercel-ai-sdk-7.0.173-genai"]  # fmt: skip


def span(number: int, name: str, parent: int | None = None, **attributes: Any) -> Span:
    """A span that starts at second `number`; keyword names have `__` for a dot, values that are no text become JSON."""
    told = {
        key.replace("__", "."): value if isinstance(value, str | int) else json.dumps(value)
        for key, value in attributes.items()
    }
    return Span(
        TRACE, f"{number:016x}", name, None if parent is None else f"{parent:016x}",
        start_ns=number * 10**9, end_ns=number * 10**9 + 500_000_000, attributes=told, scope=Scope("test"), resource=Resource(),
    )  # fmt: skip


def said(role: str, content: str) -> dict[str, Any]:
    """A message of text."""
    return {"role": role, "parts": [{"type": "text", "content": content}]}


def call(call_id: str, name: str, **arguments: Any) -> dict[str, Any]:
    """The assistant asks for a tool."""
    return {
        "role": "assistant",
        "parts": [{"type": "tool_call", "id": call_id, "name": name, "arguments": arguments}],
    }


def answer(call_id: str, response: Any) -> dict[str, Any]:
    """What the model is told that the tool gave."""
    return {"role": "tool", "parts": [{"type": "tool_call_response", "id": call_id, "response": response}]}


def chat(number: int, told: list[dict[str, Any]], output: dict[str, Any], **more: Any) -> Span:
    """A model call with only the standard attributes."""
    return span(
        number, "chat gpt-4o", 1, gen_ai__operation__name="chat", gen_ai__provider__name="openai",
        gen_ai__request__model="gpt-4o", gen_ai__input__messages=told, gen_ai__output__messages=[output], **more,
    )  # fmt: skip


ROOT = replace(
    span(1, "invoke_agent shop", gen_ai__operation__name="invoke_agent", gen_ai__agent__name="shop"),
    end_ns=9 * 10**9,
)
ASK, CALL, HEARD = said("user", "Price of #1?"), call("c1", "get_order", id="#1"), answer("c1", {"price": 5})
UNTAPPED = [ROOT, chat(2, [ASK], CALL), chat(4, [ASK, CALL, HEARD], said("assistant", "It is 5."))]
TOOL = span(
    3, "execute_tool get_order", 1, gen_ai__operation__name="execute_tool", gen_ai__tool__name="get_order"
)


def test_a_run_of_standard_spans() -> None:
    """From gen_ai attributes alone: who, what was asked and answered, messages, steps, times."""
    run = Replay.from_spans(UNTAPPED)
    assert (run.run_id, run.trace_id, run.agent_name, run.model, run.status) == (
        TRACE,
        TRACE,
        "shop",
        "gpt-4o",
        "completed",
    )
    assert (run.input, run.content, run.duration) == ("Price of #1?", "It is 5.", 8000.0)
    assert (run.started_at, run.ended_at) == ("1970-01-01T00:00:01.000000Z", "1970-01-01T00:00:09.000000Z")
    assert [message["role"] for message in run.messages] == ["user", "assistant", "tool", "assistant"]
    assert [(step.number, step.kind, step.agents, step.offset, step.duration) for step in run.steps] == [
        (1, "llm", ["shop"], 1000.0, 500.0),
        (2, "llm", ["shop"], 3000.0, 500.0),
    ]


def test_a_tool_that_nobody_tapped_is_rebuilt_from_the_messages() -> None:
    """Id, name, arguments and the result as the model saw it; no number, no span, and the view says so."""
    run = Replay.from_spans(UNTAPPED)
    (found,) = run.tool_calls
    assert (found.tool_name, found.tool_args, found.result, found.tool_call_id) == (
        "get_order",
        {"id": "#1"},
        {"price": 5},
        "c1",
    )
    assert (found.source, found.step, found.span_id, found.duration_ms) == ("wire", None, None, None)
    assert run.warnings == ["1 tool call has no span and is known from the messages only"]


@pytest.mark.parametrize(
    "call_id", [{"gen_ai__tool__call__id": "c1"}, {}, {"gen_ai__tool__call__id": "minted-elsewhere"}]
)
def test_a_tapped_tool_is_listed_once(call_id: dict[str, str]) -> None:
    """Paired by id, else by name; what its span does not tell is taken from the messages."""
    tool = replace(
        TOOL,
        attributes={**TOOL.attributes, **{key.replace("__", "."): value for key, value in call_id.items()}},
    )
    run = Replay.from_spans([*UNTAPPED, tool])
    (found,) = run.tool_calls
    assert (found.step, found.span_id, found.tool_args, found.result) == (
        2,
        TOOL.span_id,
        {"id": "#1"},
        {"price": 5},
    )
    assert not run.warnings
    assert run.step(2).tool == found


def test_call_ids_that_come_again_are_other_calls() -> None:
    """Providers that count `call_0` from new in each answer: each call keeps its own result."""
    first, second = answer("c1", "five"), answer("c1", "six")
    spans = [
        ROOT,
        chat(2, [ASK], CALL),
        chat(3, [ASK, CALL, first], CALL),
        chat(4, [ASK, CALL, first, CALL, second], said("assistant", "x")),
    ]
    assert [found.result for found in Replay.from_spans(spans).tool_calls] == ["five", "six"]


def test_a_request_is_told_as_what_it_adds() -> None:
    """A step holds its new messages; `input_of` gives the whole list back, also after an edit of the history."""
    edited = said("user", "Price of #2?")
    requests = [
        [ASK],
        [ASK, CALL, HEARD],
        [edited, CALL, HEARD],
        [ASK, CALL, HEARD, said("user", "Thanks")],
        [ASK, CALL],
    ]
    run = Replay.from_spans(
        [ROOT, *(chat(number, told, said("assistant", "ok")) for number, told in enumerate(requests, 2))]
    )
    assert [(step.input_from, step.input_shared, len(step.input_messages or [])) for step in run.steps] == [
        (None, 0, 1), (1, 1, 2), (None, 0, 3), (2, 3, 1), (4, 2, 0),
    ]  # fmt: skip
    assert [run.input_of(step.number or 0) for step in run.steps] == requests


def test_instructions_are_told_once() -> None:
    """Instructions and tools stand at the first request and where they change."""
    brief, long = ([{"type": "text", "content": words}] for words in ("Be brief.", "Be long."))
    turns = [[ASK], [ASK, CALL, HEARD], [ASK, CALL, HEARD, ASK]]
    spans = [
        chat(at, told, CALL, gen_ai__system_instructions=system)
        for at, (told, system) in enumerate(zip(turns, [brief, brief, long], strict=True), 2)
    ]
    run = Replay.from_spans([ROOT, *spans])
    assert [step.system for step in run.steps] == [brief, None, long]
    assert run.messages[0] == {"role": "system", "parts": long}


def test_notes_tags_and_outcome_of_a_run() -> None:
    """What the agent wrote down, in order of time."""
    note = Event(
        "spanreel.note",
        3 * 10**9,
        {"spanreel.note.kind": "plan", "spanreel.note.summary": "look", "spanreel.note.data": '{"n": 1}'},
    )
    root = replace(
        ROOT,
        events=(note,),
        attributes={**ROOT.attributes, "spanreel.tag.team": "shop", "spanreel.outcome.success": True},
    )
    run = Replay.from_spans([root])
    assert [(found.kind, found.summary, found.data, found.at) for found in run.notes] == [
        ("plan", "look", {"n": 1}, "1970-01-01T00:00:03.000000Z")
    ]
    assert (run.tags, run.outcome) == ({"team": "shop"}, {"success": True})


def test_a_failed_call_and_an_open_one() -> None:
    """Errors are messages; what has not ended has no duration, and its run is incomplete."""
    failed = replace(TOOL, status=2, status_message="503 Service Unavailable")
    open_root = replace(ROOT, end_ns=0, attributes={**ROOT.attributes, "spanreel.open": True})
    run = Replay.from_spans([open_root, failed])
    assert (run.status, run.duration, run.ended_at) == ("incomplete", None, None)
    assert [(found.tool_name, found.error) for found in run.tool_calls] == [
        ("get_order", "503 Service Unavailable")
    ]
    assert run.steps[0].status == "error"


def test_the_view_is_frozen_and_closed() -> None:
    """Nothing can be changed, and no field is there that was not declared."""
    run = Replay.from_spans(UNTAPPED)
    with pytest.raises(ValidationError):
        run.status = "error"
    with pytest.raises(ValidationError):
        Replay.model_validate({"run_id": "a", "trace_id": "a", "colour": "red"})


@pytest.mark.parametrize("name", AGENTS)
def test_real_agents_read_alike(shared: Path, name: str) -> None:
    """One scenario through seven agent frameworks: the same call, result, answer and counts."""
    run = Replay.from_spans(json.loads((shared / "data" / "emitters" / f"{name}.json").read_text()))
    assert [step.kind for step in run.steps] == ["llm", "tool", "llm"]
    (found,) = run.tool_calls
    assert (found.tool_args, found.step, found.error) == ({"city": "Paris"}, 2, None)
    assert "rainy, 57F" in json.dumps(found.result)
    assert (run.content or "").strip() == "It is rainy in Paris, 57F."
    assert [message["role"] for message in run.messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
    ]
    assert (run.tokens.input_tokens, run.tokens.output_tokens, run.tokens.total_tokens) == (240, 40, 280)
    jsonschema.validate(json.loads(run.to_json()), json_schema("replay"))


def test_recorded_episodes_read_as_an_independent_counter_reads_them(shared: Path) -> None:
    """Tool calls, their arguments and results of forty episodes equal those in the source's attributes."""
    path = shared / "data" / "otlp" / "tau" / "gpt4o_retail_per_turn.otlp.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        documents = [json.loads(line) for line in lines]
    spans = [found for document in documents for found in otlp.decode(document)]
    by_trace: dict[str, list[Span]] = {}
    for found in spans:
        by_trace.setdefault(found.trace_id, []).append(found)
    runs = group(conventions.read(found) for found in spans)
    assert len(runs) == len(by_trace)
    for run in runs[:60]:
        here = by_trace[run.trace_id]
        replay = build(run, here)
        tools = [
            found.attributes
            for found in sorted(here, key=lambda one: one.start_ns)
            if found.attributes.get("gen_ai.operation.name") == "execute_tool"
        ]
        assert [
            (found.tool_call_id, found.tool_args) for found in replay.tool_calls if found.source is None
        ] == [
            (told["gen_ai.tool.call.id"], json.loads(str(told["gen_ai.tool.call.arguments"])))
            for told in tools
        ]
        models = [found for found in here if found.attributes.get("gen_ai.operation.name") == "chat"]
        for model in models:
            step = next(step for step in replay.steps if step.span_id == model.span_id)
            source = [
                one
                for one in json.loads(str(model.attributes["gen_ai.input.messages"]))
                if one["role"] != "system"
            ]
            assert [one["role"] for one in replay.input_of(step.number or 0)] == [
                one["role"] for one in source
            ]


def test_importing_spanreel_loads_none_of_this() -> None:
    """The agent's process has no pydantic and no price list."""
    code = "import sys, spanreel; print([name for name in ('pydantic', 'genai_prices', 'spanreel.replay') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
