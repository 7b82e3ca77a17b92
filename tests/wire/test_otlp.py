"""OTLP/JSON: what exporters and backends really write is read; what we write is read back equal."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.exceptions import BadInput
from spanreel.wire import jaeger, otlp
from spanreel.wire.spans import Event, Link, Resource, Scope, Span

TRACE = "b47d761fe79be88aee41342cdd527268"
SPAN = "ce2a6b26ab4bb25f"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | texts
    | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
attributes = st.dictionaries(texts, values, max_size=4)
times = st.integers(0, 2**63 - 1)
counts = st.integers(0, 2**32 - 1)
ids16 = st.binary(min_size=16, max_size=16).filter(any).map(bytes.hex)
ids8 = st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex)
spans = st.builds(
    Span, trace_id=ids16, span_id=ids8, name=texts, parent_span_id=st.none() | ids8, kind=st.integers(0, 5), start_ns=times,
    end_ns=times, status=st.integers(0, 2), status_message=texts, attributes=attributes,
    events=st.lists(st.builds(Event, texts, times, attributes, counts), max_size=2).map(tuple),
    links=st.lists(st.builds(Link, ids16, ids8, texts, attributes, counts, counts), max_size=2).map(tuple),
    resource=st.builds(Resource, attributes, texts), scope=st.builds(Scope, texts, texts, attributes, texts),
    trace_state=texts, flags=counts, dropped_attributes=counts, dropped_events=counts, dropped_links=counts,
)  # fmt: skip


@given(st.lists(spans, max_size=4))
def test_encoded_spans_are_read_back_equal(sent: list[Span]) -> None:
    """encode, JSON, decode: the same spans in the same order."""
    assert otlp.decode(json.loads(json.dumps(otlp.encode(sent)))) == sent


@given(spans)
def test_a_recording_line_is_one_line_with_sorted_keys(span: Span) -> None:
    """encode_line gives one span on one line, keys sorted."""
    line = otlp.encode_line(span)
    assert "\n" not in line
    assert json.dumps(json.loads(line), sort_keys=True, separators=(",", ":"), ensure_ascii=False) == line
    assert otlp.decode(json.loads(line)) == [span]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["resourceSpans", "scopeSpans", "spans", "traceId", "attributes", "key", "value", "batches", "status",
                         "events", "links", "stringValue", "intValue", "arrayValue", "kvlistValue", "values", "resourceLogs",
                         "scopeLogs", "logRecords", "data", "traceID", "tags", "logs", "references"]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(json_values)
def test_any_json_is_read_or_refused(document: Any) -> None:
    """No JSON value makes a decoder raise anything but BadInput."""
    for decode in (otlp.decode, jaeger.decode):
        with contextlib.suppress(BadInput):
            decode(document)


def envelope(**fields: Any) -> dict[str, Any]:
    """One span in its envelope."""
    span = {"traceId": TRACE, "spanId": SPAN, "name": "n", **fields}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def test_base64_ids_and_enum_names_are_read() -> None:
    """Backends that go through protobuf's JSON mapping write ids in base64 and enums by name."""
    trace, own = (base64.b64encode(bytes.fromhex(text)).decode() for text in (TRACE, SPAN))
    document = envelope(
        traceId=trace, spanId=own, kind="SPAN_KIND_CLIENT", status={"code": "STATUS_CODE_ERROR"}
    )
    [span] = otlp.decode(document)
    assert (span.trace_id, span.span_id, span.kind, span.status) == (TRACE, SPAN, 3, 2)


def test_snake_case_and_numbers_as_numbers_are_read() -> None:
    """Field names as in the .proto files, 64-bit numbers not quoted."""
    span = {
        "trace_id": TRACE.upper(),
        "span_id": SPAN,
        "start_time_unix_nano": 5,
        "attributes": [{"key": "a", "value": {"int_value": 7}}],
    }
    [found] = otlp.decode({"resource_spans": [{"scope_spans": [{"spans": [span]}]}]})
    assert (found.trace_id, found.start_ns, found.attributes) == (TRACE, 5, {"a": 7})


def test_tempo_batches_are_read() -> None:
    """Grafana Tempo answers `batches`, older ones with instrumentationLibrarySpans."""
    span = {"traceId": TRACE, "spanId": SPAN, "name": "n"}
    scoped = {"instrumentationLibrary": {"name": "lib"}, "spans": [span]}
    [found] = otlp.decode(
        {"batches": [{"resource": {"attributes": []}, "instrumentationLibrarySpans": [scoped]}]}
    )
    assert found.scope.name == "lib"
    assert otlp.decode({"trace": {"batches": [{"scopeSpans": [{"spans": [span]}]}]}})[0].name == "n"


def test_special_numbers_and_half_surrogates_are_read() -> None:
    """NaN and infinities come as text; half of a surrogate pair cannot be stored and is replaced."""
    pairs = [
        {"key": "nan", "value": {"doubleValue": "NaN"}},
        {"key": "inf", "value": {"doubleValue": "-Infinity"}},
    ]
    [span] = otlp.decode(envelope(attributes=[*pairs, {"key": "text", "value": {"stringValue": "a\ud83d"}}]))
    assert math.isnan(span.attributes["nan"])  # type: ignore[arg-type]
    assert span.attributes["inf"] == -math.inf
    assert span.attributes["text"] == "a�"
    assert '"doubleValue":"NaN"' in otlp.encode_line(span)


def test_log_records_become_events_and_never_spans() -> None:
    """A log record that names a span is an event of it; one that names none adds nothing."""
    record = {"traceId": TRACE, "spanId": SPAN, "timeUnixNano": "7", "eventName": "gen_ai.user.message",
              "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": "hi"}}]}}}  # fmt: skip
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, {"body": {"stringValue": "stray"}}]}]}]}
    [span] = otlp.decode(envelope() | logs)
    assert span.events == (Event("gen_ai.user.message", 7, {"body": {"content": "hi"}}),)
    assert otlp.decode(logs) == []


def test_a_bad_span_is_named_or_left_out() -> None:
    """Strictly, the first bad span raises with its place; with `rejected`, the rest is kept."""
    document = envelope(spanId="0" * 16)
    document["resourceSpans"] += envelope()["resourceSpans"]
    with pytest.raises(
        BadInput, match=r"resourceSpans\[0\]\.scopeSpans\[0\]\.spans\[0\]: spanId is all zero"
    ):
        otlp.decode(document)
    rejected: list[str] = []
    assert len(otlp.decode(document, rejected)) == 1
    assert len(rejected) == 1


def test_values_that_nest_without_end_are_refused() -> None:
    """Nesting beyond the limit is bad input, not a crash."""
    value: Any = {"stringValue": "x"}
    for _ in range(otlp.anyvalue.MAX_DEPTH + 5):
        value = {"arrayValue": {"values": [value]}}
    with pytest.raises(BadInput, match="nest too deep"):
        otlp.decode(envelope(attributes=[{"key": "deep", "value": value}]))


def counted(document: Any) -> int:
    """An independent count: objects with a span id and a name under a `spans` key."""
    if isinstance(document, list):
        return sum(map(counted, document))
    if isinstance(document, dict):
        own = len(document["spans"]) if isinstance(document.get("spans"), list) else 0
        return own or sum(counted(value) for name, value in document.items() if name != "resourceLogs")
    return 0


def test_every_emitter_fixture_is_read_whole(shared: Path) -> None:
    """Fifteen emitters: as many spans as the source holds."""
    for path in sorted((shared / "data" / "emitters").glob("*.json")):
        document = json.loads(path.read_text())
        assert len(otlp.decode(document)) == counted(document) > 0, path.name


def shape(span: Span) -> tuple[Any, ...]:
    """What both forms of an export must agree on."""
    own = (span.trace_id, span.span_id, span.parent_span_id, span.name, span.kind, span.start_ns, span.end_ns)
    return (*own, span.attributes, span.events)


def test_raw_and_converted_exports_agree(shared: Path) -> None:
    """What users exported (base64 ids, enum names, Jaeger) reads as the same spans as its converted twin."""
    foreign = shared / "data" / "otlp" / "foreign"
    for raw, lines in (("prism_rag_earnings_agent.json", "prism_rag_earnings_agent.jsonl"),
                       ("prism_smol_deep_research_agent.json", "prism_smol_deep_research_agent.jsonl"),
                       ("kagent_helm.jaeger.json", "kagent_helm.jsonl")):  # fmt: skip
        document = json.loads((foreign / "raw" / raw).read_text())
        found = jaeger.decode(document) if jaeger.is_jaeger(document) else otlp.decode(document)
        expected = otlp.decode([json.loads(line) for line in (foreign / lines).read_text().splitlines()])
        assert sorted(map(shape, found), key=str) == sorted(map(shape, expected), key=str)
