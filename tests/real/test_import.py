"""Real traces through the command line: what is stored, listed, shown and compared is what is in the file.

The counter here reads the source as JSON or protobuf by itself: none of our decoding is on its side of the comparison.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from typer.testing import CliRunner

from spanreel.cli.app import app

DATA = Path(os.environ.get("SPANREEL_SHARED") or Path(__file__).resolve().parents[3] / "shared") / "data"
SMALL = sorted(
    path
    for folder in ("emitters", "otlp/emitters", "otlp/foreign", "otlp/crewai_telemetry")
    for path in (DATA / folder).rglob("*.*")
    if path.is_file()
)
LONG = {
    "grok3_retail_flaky": (2834, 12),
    "gpt4o_retail_per_turn": (1324, 6),
}  # spans; how many times smaller the store is

MODEL = {"chat", "generate_content", "text_completion", "LLM", "EMBEDDING", "embeddings"}
TOOL = {"execute_tool", "TOOL"}
INPUT = ("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens")
OUTPUT = ("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens")
# What words cannot tell: emitters that name no operation or one of their own, one call told by two spans, a tool call
# between two model calls that no span tells of. Each was read by eye in its file.
WEATHER = Counter(llm=1, tool=1, input=120, output=20)
CORRECTIONS = {
    "kagent_helm.jsonl": Counter(llm=2, input=3776, output=130),
    "kagent_helm.jaeger.json": Counter(llm=2, input=3776, output=130),
    "langfuse_pydantic-ai-tools-2025-12-04.jsonl": Counter(tool=3),
    "langfuse_vercel-aisdk-2025-11-17.jsonl": Counter(llm=1, tool=1, input=62, output=85),
    "langfuse-sdk-5.0.4.json": WEATHER,
    "mlflow-3.17.2-otlp.json": WEATHER,
    "DUPLICATES-anthropic-native-plus-otel-instrumentor.json": Counter(llm=-1, input=-104, output=-20),
}


def run(*words: str | Path) -> Any:
    """The JSON that a command prints."""
    done = CliRunner().invoke(app, [*map(str, words), "--json"])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def documents(path: Path) -> list[Any]:
    """The JSON documents of a source file."""
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if path.suffix == ".pb":
        return [MessageToDict(ExportTraceServiceRequest.FromString(raw))]
    lines = raw.splitlines() if ".jsonl" in path.suffixes else [raw]
    return [json.loads(line) for line in lines if line.strip()]


def spans_in(value: Any) -> Iterator[dict[str, Any]]:
    """Every JSON object with a span id and a name: OTLP by any spelling, and Jaeger."""
    if isinstance(value, list):
        for item in value:
            yield from spans_in(item)
    elif isinstance(value, dict):
        if ("spanId" in value and "name" in value) or ("spanID" in value and "operationName" in value):
            yield value
        else:
            yield from spans_in([inner for name, inner in value.items() if name != "resourceLogs"])


def facts(span: dict[str, Any]) -> dict[str, Any]:
    """The attributes (or Jaeger's tags) of a span, bare."""
    told = span.get("attributes") or span.get("tags") or []
    return {
        one["key"]: one["value"]
        if not isinstance(one["value"], dict)
        else next(iter(one["value"].values()), None)
        for one in told
    }


def counted(spans: list[dict[str, Any]]) -> Counter[str]:
    """Model calls, tool calls, and the tokens of the former."""
    found: Counter[str] = Counter()
    for span in spans:
        told = facts(span)
        word = told.get("gen_ai.operation.name") or told.get("openinference.span.kind")
        if word in MODEL:
            found["llm"] += 1
            found["input"] += next((int(told[key]) for key in INPUT if key in told), 0)
            found["output"] += next((int(told[key]) for key in OUTPUT if key in told), 0)
        elif word in TOOL:
            found["tool"] += 1
    return found


def shown(views: list[Any]) -> Counter[str]:
    """The same of what `show --json` prints."""
    found: Counter[str] = Counter()
    for view in views:
        found["input"] += view["tokens"]["input_tokens"] or 0
        found["output"] += view["tokens"]["output_tokens"] or 0
        for step in view["steps"]:
            found["tool" if step["kind"] == "tool" else "llm"] += 1
    return found


def hexadecimal(span_id: str) -> str:
    """An id as OTLP/JSON spells it; sources have base64 besides."""
    return span_id.lower() if len(span_id) in (16, 32) else base64.b64decode(span_id).hex()


def identity(span: dict[str, Any]) -> tuple[str, str, str]:
    """Trace, span and parent."""
    parent = span.get("parentSpanId") or next(iter(one["spanID"] for one in span.get("references") or []), "")
    ids = (span.get("traceId") or span["traceID"], span.get("spanId") or span["spanID"], parent)
    trace, own, above = (hexadecimal(one) for one in ids)
    return trace, own, above


def stored(rows: list[Any], store: Path) -> list[tuple[str, str, str]]:
    """The spans that `export` writes of all runs."""
    found: list[tuple[str, str, str]] = []
    for row in rows:
        file = store.with_name(f"{row['run_id'].replace(':', '-')}.otlp.jsonl")
        done = CliRunner().invoke(app, ["export", row["run_id"], "-o", str(file), "--store", str(store)])
        assert done.exit_code == 0, done.output
        found += [identity(span) for document in documents(file) for span in spans_in(document)]
    return sorted(found)


def imported(path: Path, store: Path) -> tuple[list[Any], list[Any]]:
    """Import a file twice: the rows of `runs --json` and what `show --json` says of each."""
    spans = [span for document in documents(path) for span in spans_in(document)]
    for new in (len(spans), 0):
        [told] = run("import", path, "--store", store)["files"]
        assert (told["spans"], told["new"], told["known"]) == (len(spans), new, len(spans) - new)
    rows = run("runs", "--store", store, "-n", 1000)["runs"]
    return rows, [run("show", row["run_id"], "--store", store) for row in rows]


def tempo(spans: list[dict[str, Any]]) -> Any:
    """The spans as Grafana Tempo exports a trace: `batches`, base64 ids, enum names; children first, one batch each."""

    def packed(span_id: str) -> str:
        return base64.b64encode(bytes.fromhex(span_id)).decode()

    kinds = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
    ids = ("traceId", "spanId", "parentSpanId")
    told = [
        span
        | {name: packed(span[name]) for name in ids if span.get(name)}
        | {"kind": f"SPAN_KIND_{kinds[span.get('kind', 0)]}"}
        for span in sorted(spans, key=lambda span: -int(span["startTimeUnixNano"]))
    ]
    return {
        "batches": [{"resource": {}, "instrumentationLibrarySpans": [{"spans": [span]}]} for span in told]
    }


@pytest.mark.skipif(not SMALL, reason=f"the recorded material is not at {DATA}: set SPANREEL_SHARED")
def test_the_recorded_material_is_there() -> None:
    """A folder that went missing would leave the tests below without a file, and so without a failure."""
    assert len(SMALL) > 65


@pytest.mark.parametrize("path", SMALL, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_is_seen_as_it_is(path: Path, tmp_path: Path) -> None:
    """Every span is stored and comes out again; calls and tokens are the source's; a run is equal to itself."""
    store = tmp_path / "s.db"
    source = [span for document in documents(path) for span in spans_in(document)]
    rows, views = imported(path, store)
    assert shown(views) == counted(source) + CORRECTIONS.get(path.name, Counter())
    assert sum(row["steps"] for row in rows) == sum(len(view["steps"]) for view in views)
    assert stored(rows, store) == sorted(identity(span) for span in source)
    for row, view in zip(rows, views, strict=True):
        assert (row["status"], row["tokens"]) == (view["status"], view["tokens"])
    first, last = rows[0]["run_id"], rows[-1]["run_id"]
    same = run("diff", first, first, "--store", store)
    assert same["identical"]
    assert same["first_divergence"] is None
    if first != last:
        differences(run("diff", first, last, "--store", store), views[0], views[-1])


def differences(told: Any, one: Any, other: Any) -> None:
    """What `diff --json` says of two runs, held against what `show --json` says of each."""
    assert (told["original"], told["replayed"]) == (one["run_id"], other["run_id"])
    calls = told["tool_calls_diff"]
    ours, theirs = (Counter(call["tool_name"] for call in view["tool_calls"]) for view in (one, other))
    both = calls["common"] + len(calls["changed"])
    assert len(calls["removed"]) + both == ours.total()
    assert len(calls["added"]) + both == theirs.total()
    spent, saved = other["tokens"]["input_tokens"], one["tokens"]["input_tokens"]
    wanted = None if spent is None or saved is None else spent - saved
    assert told["token_diff"]["input_tokens"] == wanted


@pytest.mark.parametrize("shape", ["tempo", "gzip", "split", "children first"])
def test_one_trace_in_any_shape(shape: str, shared: Path, tmp_path: Path) -> None:
    """A trace reads the same however it was packed, cut into requests or ordered; in part, what is there is shown."""
    source = shared / "data" / "emitters" / "pydantic-ai-2.68.0-v5.json"
    [document] = documents(source)
    spans = sorted(spans_in(document), key=lambda span: int(span["startTimeUnixNano"]))
    _, [plain] = imported(source, tmp_path / "plain.db")
    file = tmp_path / "trace.json"
    if shape == "tempo":
        file.write_text(json.dumps(tempo(spans)))
    elif shape == "gzip":
        file = tmp_path / "trace.json.gz"
        file.write_bytes(gzip.compress(source.read_bytes()))
    elif shape == "split":
        file.write_text("\n".join(json.dumps(request([span])) for span in spans))
    else:
        file.write_text(json.dumps(request(spans[::-1])))
    store = tmp_path / "s.db"
    told = run("import", file, "--store", store)["files"][0]
    assert (told["spans"], told["new"]) == (len(spans), len(spans))
    [row] = run("runs", "--store", store)["runs"]
    view = run("show", row["run_id"], "--store", store)
    for name in ("run_id", "tokens", "tool_calls", "steps", "content", "messages", "status", "duration"):
        assert view[name] == plain[name], name


def request(spans: list[dict[str, Any]]) -> Any:
    """One OTLP/JSON request."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}


def test_a_trace_over_several_files(shared: Path, tmp_path: Path) -> None:
    """The last half of a trace first, from a file of its own: a run in part, then the whole run."""
    [document] = documents(shared / "data" / "emitters" / "pydantic-ai-2.68.0-v5.json")
    spans = sorted(spans_in(document), key=lambda span: int(span["startTimeUnixNano"]))
    store = tmp_path / "s.db"
    for number, part in enumerate((spans[2:], spans[:2])):
        file = tmp_path / f"{number}.json"
        file.write_text(json.dumps(request(part)))
        assert run("import", file, "--store", store)["files"][0]["new"] == 2
    [row] = run("runs", "--store", store)["runs"]
    assert (row["status"], row["steps"], row["agent_name"]) == ("completed", 3, "weather_bot")


@pytest.mark.parametrize("name", LONG)
def test_long_histories(name: str, shared: Path, tmp_path: Path) -> None:
    """Megabytes of repeated history: every span, every call, in a small part of the bytes; one run told in full."""
    path = shared / "data" / "otlp" / "tau" / f"{name}.otlp.jsonl.gz"
    store = tmp_path / "s.db"
    source = [span for document in documents(path) for span in spans_in(document)]
    number, smaller = LONG[name]
    for new in (number, 0):
        [told] = run("import", path, "--store", store)["files"]
        assert (told["spans"], told["new"]) == (number, new)
    rows = run("runs", "--store", store, "-n", 1000)["runs"]
    traces = Counter(span["traceId"] for span in source)
    assert sum(traces.values()) == number
    assert {row["run_id"] for row in rows} == set(traces)
    assert sum(row["steps"] for row in rows) == sum(counted(source)[kind] for kind in ("llm", "tool"))
    longest = traces.most_common(1)[0][0]
    own = [span for span in source if span["traceId"] == longest]
    view = run("show", longest, "--store", store)
    assert shown([view]) == counted(own)
    compared = run("diff", longest, rows[0]["run_id"], "--store", store)
    differences(compared, view, run("show", rows[0]["run_id"], "--store", store))
    unpacked = len(gzip.decompress(path.read_bytes()))
    assert store.stat().st_size < unpacked / smaller
