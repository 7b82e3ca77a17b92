"""load, from_file, from_spans, diff: runs out of stores, files and memory."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import jsonschema
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from spanreel.cli.schemas import MODELS, json_schema
from spanreel.collector.store import open_writer
from spanreel.exceptions import AmbiguousRun, BadInput, StoreError, UnknownRun
from spanreel.replay.files import pick
from spanreel.replay.load import diff, listing, load, summaries
from spanreel.replay.sources import wire_spans
from spanreel.replay.timeline import Replay, RunList
from spanreel.wire import conventions, otlp
from spanreel.wire.grouping import group
from spanreel.wire.spans import Span


def episodes(shared: Path) -> list[Span]:
    """Recorded episodes of a retail agent: forty conversations, a run for each turn of the user."""
    with gzip.open(shared / "data" / "otlp" / "tau" / "gpt4o_retail_per_turn.otlp.jsonl.gz", "rt") as lines:
        return [span for line in lines for span in otlp.decode(json.loads(line))]


@pytest.fixture
def store(shared: Path, tmp_path: Path) -> Path:
    """A store with the first recorded episodes."""
    path = tmp_path / "spans.db"
    with open_writer(path) as writer:
        writer.add(episodes(shared)[:200])
    return path


def test_a_run_reads_the_same_from_a_store_and_from_memory(shared: Path, store: Path) -> None:
    """Every run of the store equals the run built from the spans it came from."""
    spans = episodes(shared)[:200]
    listed = summaries(store)
    assert len(listed) == len({span.trace_id for span in spans})
    for line in listed[:10]:
        assert load(line.run_id, store) == Replay.from_spans(spans, line.run_id)


def test_the_list_says_what_the_runs_say(store: Path) -> None:
    """A line of the list agrees with the run it stands for, newest first; the printed form fits its schema."""
    listed = summaries(store)
    assert [line.started_at for line in listed] == sorted(
        (line.started_at or "" for line in listed), reverse=True
    )
    for line in listed[:10]:
        run = load(line.run_id, store)
        assert (line.agent_name, line.status, line.model, line.duration) == (
            run.agent_name,
            run.status,
            run.model,
            run.duration,
        )
        assert (line.steps, line.tokens, line.cost, line.started_at) == (
            len(run.steps),
            run.tokens,
            run.cost,
            run.started_at,
        )
        assert line.model_calls + line.tool_calls == line.steps
    jsonschema.validate(json.loads(RunList(runs=listed).to_json()), json_schema("runs"))


def test_a_listing_is_the_part_of_the_runs_that_was_asked_for(store: Path) -> None:
    """The newest of a status, how many there are of it, and the ids of all."""
    everything = summaries(store)
    assert listing(store).runs == everything
    status = everything[-1].status
    fitting = [line for line in everything if line.status == status]
    found = listing(store, status, 2)
    assert (found.runs, found.fitting) == (fitting[:2], len(fitting))
    assert found.ids == [line.run_id for line in everything]
    assert listing(store, "no such status").runs == []


def test_the_last_run_and_the_one_before(store: Path) -> None:
    """`last` is the newest run, and what `load` gives without a name."""
    listed = summaries(store)
    assert load(store=store).run_id == load("last", store).run_id == listed[0].run_id
    assert load("last~1", store).run_id == listed[1].run_id
    with pytest.raises(UnknownRun):
        load("no-such-run", store)


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    """One clear error, and no store is made by looking for it."""
    with pytest.raises(StoreError):
        load("last", tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()


def test_runs_in_memory_are_named_like_those_of_a_store(shared: Path) -> None:
    """Ids, unique prefixes, `last`; an ambiguous or unknown name is refused with the ids there are."""
    runs = group(conventions.read(span) for span in episodes(shared)[:200])[::-1]
    assert pick(runs, "last", "here") == runs[0]
    assert pick(runs, "last~1", "here") == runs[1]
    assert pick(runs, runs[3].run_id[:12], "here") == runs[3]
    with pytest.raises(UnknownRun, match="here holds no run 'zz'"):
        pick(runs, "zz", "here")
    with pytest.raises(UnknownRun):
        pick(runs, f"last~{len(runs)}", "here")
    with pytest.raises(UnknownRun):
        pick(runs, "", "here")
    with pytest.raises(AmbiguousRun, match="give more letters of the id"):
        pick(
            runs,
            next(
                run.run_id[0] for run in runs if sum(other.run_id[0] == run.run_id[0] for other in runs) > 1
            ),
            "here",
        )
    with pytest.raises(BadInput):
        pick([], "last", "here")


def test_several_runs_without_a_name_give_the_last_and_a_warning(shared: Path) -> None:
    """Nothing is chosen silently."""
    spans = episodes(shared)[:200]
    run = Replay.from_spans(spans)
    assert run.warnings[-1].endswith("runs; this is the last one: name another by its id")
    assert not Replay.from_spans(spans, run.run_id).warnings


def test_two_runs_of_a_store_are_compared_by_name(store: Path) -> None:
    """Names and objects do alike; a run against itself has no difference."""
    same = diff("last", load("last", store), store)
    assert same.identical
    other = diff("last~1", "last", store)
    assert not other.identical
    assert other.first_divergence is not None
    jsonschema.validate(json.loads(other.to_json()), json_schema("diff"))


def test_a_run_out_of_a_file(shared: Path, tmp_path: Path) -> None:
    """A recording file, one span a line, gives the run that its spans give; a file is compared like a run."""
    spans = episodes(shared)[:200]
    first = Replay.from_spans(spans).run_id
    path = tmp_path / "run.otlp.jsonl"
    path.write_text("".join(otlp.encode_line(span) + "\n" for span in spans), "utf-8")
    assert Replay.from_file(path, first) == Replay.from_spans(spans, first)
    assert Replay.from_file(str(path)).warnings[0].startswith(f"{path} holds ")
    assert diff(f"{path}#{first}", path).identical
    with pytest.raises(UnknownRun):
        Replay.from_file(path, "no-such-run")


@pytest.mark.parametrize("content", ["", "not a trace\n", '{"resourceSpans": [{"scopeSpans"', '{"a": 1}\n'])
def test_a_file_that_holds_no_spans(tmp_path: Path, content: str) -> None:
    """Empty, cut off or foreign: one error that names the file."""
    path = tmp_path / "junk.jsonl"
    path.write_text(content, "utf-8")
    with pytest.raises(BadInput, match=r"junk\.jsonl"):
        Replay.from_file(path)


def test_spans_of_the_sdk_become_wire_spans() -> None:
    """Ids, times, kinds, status, events, links, resource and scope of SDK spans are kept."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test", "1.0")
    with tracer.start_as_current_span(
        "invoke_agent a", attributes={"gen_ai.operation.name": "invoke_agent"}
    ) as root:
        link = Link(root.get_span_context(), {"why": "test"})
        with tracer.start_as_current_span("execute_tool t", kind=SpanKind.CLIENT, links=[link]) as span:
            span.set_attributes(
                {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "t", "list": ["a", "b"]}
            )
            span.add_event("happened", {"n": 1})
            span.set_status(Status(StatusCode.ERROR, "broken"))
    provider.shutdown()
    tool, agent = wire_spans(exporter.get_finished_spans())
    assert (tool.parent_span_id, agent.parent_span_id, tool.trace_id) == (agent.span_id, None, agent.trace_id)
    assert (tool.kind, agent.kind, tool.status, tool.status_message) == (3, 1, 2, "broken")
    assert (tool.events[0].name, tool.events[0].attributes, tool.links[0].span_id) == (
        "happened",
        {"n": 1},
        agent.span_id,
    )
    assert (tool.scope.name, tool.attributes["list"]) == ("test", ["a", "b"])
    assert "telemetry.sdk.name" in tool.resource.attributes
    assert tool.end_ns >= tool.start_ns > 0
    run = Replay.from_spans(exporter.get_finished_spans())
    assert [(call.tool_name, call.error) for call in run.tool_calls] == [("t", "broken")]


def test_otlp_objects_of_every_size() -> None:
    """A request, a list of requests, bare spans: the same spans."""
    span = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "chat",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
    }
    request = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
    assert wire_spans(request) == wire_spans([request]) == wire_spans([span]) == wire_spans(wire_spans(span))


@pytest.mark.parametrize("junk", [[1], ["x"], [None], [{}], [{"traceId": "x"}], [object()]])
def test_what_is_no_span_is_refused(junk: list[object]) -> None:
    """One error of ours, whatever it was."""
    with pytest.raises(BadInput):
        Replay.from_spans(junk)


def test_every_schema_names_itself() -> None:
    """`spanreel schema NAME` prints a schema of the object that carries `spanreel.NAME.v1`; a playbook's file says its own."""
    for name in MODELS:
        schema = json_schema(name)
        jsonschema.Draft202012Validator.check_schema(schema)
        key, said = ("spanreel", "playbook/v1") if name == "playbook" else ("schema", f"spanreel.{name}.v1")
        assert schema["properties"][key]["const"] == said
        assert schema["additionalProperties"] is False
