"""Files: every format is read whole, and what cannot be read is named by file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spanreel.collector import files
from spanreel.collector.store import open_reader, open_writer
from spanreel.exceptions import BadInput
from spanreel.wire import otlp
from spanreel.wire.spans import Span
from spanreel.wire.spool import HEADER, frame
from tests.collector.traffic import conversation, request, span


def everything(path: Path) -> list[Span]:
    """All spans of a file."""
    return [item for spans in files.read(path) for item in spans]


def counted(document: Any) -> int:
    """An independent count of the spans in parsed JSON."""
    if isinstance(document, list):
        return sum(map(counted, document))
    if isinstance(document, dict):
        own = len(document["spans"]) if isinstance(document.get("spans"), list) else 0
        return own or sum(counted(value) for name, value in document.items() if name != "resourceLogs")
    return 0


SENT = conversation(6)
LINES = "".join(otlp.encode_line(item) + "\n" for item in SENT).encode()
FORMS = {
    "protobuf": request(SENT),
    "json": json.dumps(otlp.encode(SENT)).encode(),
    "pretty json": b"\xef\xbb\xbf" + json.dumps(otlp.encode(SENT), indent=2).encode(),
    "list of documents": json.dumps([otlp.encode(SENT[:2]), otlp.encode(SENT[2:])], indent=1).encode(),
    "lines": LINES,
    "lines without a last line end, with blank ones": LINES.replace(b"\n", b"\r\n\n").rstrip(),
    "spool": HEADER + frame(request(SENT[:3])) + frame(request(SENT[3:])),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised_by_its_bytes(tmp_path: Path, form: str, packed: bool) -> None:
    """Protobuf, JSON, JSON lines, lists, spool; gzipped or not; whatever the file is called."""
    path = tmp_path / "traces.bin"
    path.write_bytes(gzip.compress(FORMS[form]) if packed else FORMS[form])
    assert everything(path) == SENT


def test_every_recorded_file_is_stored_whole(shared: Path, tmp_path: Path) -> None:
    """Real exports: stored spans equal the spans in the file, attribute for attribute."""
    folders = (shared / "data" / "otlp", shared / "data" / "emitters")
    found = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*.*"))
        if path.is_file() and "schemas" not in path.parts
    ]
    assert len(found) > 60
    for number, path in enumerate(found):
        if path.name.startswith("grok3"):
            continue
        spans = everything(path)
        if path.suffix == ".json" and "jaeger" not in path.name:
            assert len(spans) == counted(json.loads(path.read_text()))
        store = tmp_path / f"{number}.db"
        with open_writer(store) as writer:
            assert (
                writer.add(spans).new == len({(item.trace_id, item.span_id) for item in spans}) == len(spans)
            )
        with open_reader(store) as reader:
            for trace_id in {item.trace_id for item in spans}:
                sent = {item.span_id: item for item in spans if item.trace_id == trace_id}
                assert {item.span_id: item for item in reader.spans(trace_id)} == sent


def test_a_long_export_stays_small(shared: Path, tmp_path: Path) -> None:
    """55 MB of repeated history: all of its spans, in a store of a few megabytes."""
    seen: list[tuple[int, int]] = []
    with open_writer(tmp_path / "spans.db") as writer:
        path = shared / "data" / "otlp" / "tau" / "grok3_retail_flaky.otlp.jsonl.gz"
        new = sum(writer.add(spans).new for spans in files.read(path, lambda *at: seen.append(at)))
    assert new == 2834
    assert (tmp_path / "spans.db").stat().st_size < 6_000_000
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == path.stat().st_size


def test_schemas_are_not_spans(shared: Path) -> None:
    """A JSON Schema is JSON, but no OTLP."""
    for path in (shared / "data" / "otlp" / "schemas").glob("*.json"):
        with pytest.raises(BadInput, match=f"{path.name}: this JSON is not OTLP"):
            everything(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"hello\n", "not OTLP protobuf"),
        (LINES[:-40], r":6: 1?: ?.*cut off"),
        (LINES + b'{"a": 1}\n', ":7: this JSON is not OTLP"),
        (LINES + b"garbage\n", ":7: .*not JSON"),
        (b'{"resourceSpans": [', "cut off"),
        (b'{"resourceSpans": 5}', "resourceSpans is not a list"),
        (b"[1, 2]", "is not OTLP"),
        (b"[" * 200_000, "nests too deep|cut off"),
        (
            b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "x"}]}]}]}',
            r"spans\[0\]: traceId 'x' is not 16 bytes",
        ),
        (gzip.compress(LINES, mtime=0)[:-20], "cut off"),
        (gzip.compress(LINES, mtime=0)[:30] + b"\xff" * 40, "gzip data is"),
        (HEADER + frame(request(SENT)) + b"\xf7SPR", "4 bytes are no whole record"),
        (request(SENT)[:-5], "not OTLP protobuf"),
    ],
)
def test_what_cannot_be_read_is_named_by_place(tmp_path: Path, content: bytes, message: str) -> None:
    """One line with file, line or place, and a remedy."""
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=message) as refused:
        everything(path)
    assert str(path) in str(refused.value)
    assert refused.value.remedy
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_bad_input(tmp_path: Path) -> None:
    """No such file, or a folder: one line."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            everything(path)


def test_a_recording_file_is_one_span_a_line_in_order_of_start(tmp_path: Path) -> None:
    """write_jsonl: sorted, private, read back equal; an unwritable place is bad input."""
    path = tmp_path / "run.otlp.jsonl"
    assert files.write_jsonl(reversed(SENT), path) == len(SENT)
    first, *rest = path.read_bytes().splitlines()
    assert b'{"key":"spanreel.recording.spans","value":{"intValue":"%d"}}' % len(SENT) in first
    assert rest == LINES.splitlines()[1:]
    assert path.stat().st_mode & 0o777 == 0o600
    assert everything(path) == SENT
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    with pytest.raises(BadInput, match="cannot be written"):
        files.write_jsonl(SENT, tmp_path / "no" / "where")


def test_request_bases_in_a_file_are_made_whole(tmp_path: Path) -> None:
    """A body given as base and tail on a later line."""
    body = "x" * 100
    first = span(1, attributes={"http.request.body.content": body})
    second = span(
        2,
        attributes={"http.request.body.content": "tail", "spanreel.wire.request.base": f"{first.span_id}:90"},
    )
    path = tmp_path / "run.otlp.jsonl"
    files.write_jsonl([first, second], path)
    assert everything(path)[1].attributes == {"http.request.body.content": "x" * 90 + "tail"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.sampled_from(list(FORMS.values())),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
    st.integers(0, 10**6),
    st.booleans(),
)
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    form: bytes,
    flips: list[tuple[int, int]],
    cut: int,
    packed: bool,
) -> None:
    """Any damage ends in spans or in BadInput, never in another error."""
    damaged = bytearray(gzip.compress(form) if packed else form)
    for where, value in flips:
        damaged[where % len(damaged)] = value
    path = tmp_path_factory.mktemp("damaged") / "file"
    path.write_bytes(damaged[: cut % (len(damaged) + 1)] if cut % 2 else damaged)
    try:
        everything(path)
    except BadInput as refused:
        assert refused.remedy  # noqa: PT017
