"""The form of a recording in a repository: it stays readable, and changes only where what it says does."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import format_agent
import pytest
from hypothesis import given
from hypothesis import strategies as st

import spanreel
from spanreel.exceptions import BadInput
from spanreel.replay.files import read
from spanreel.replay.located import located
from spanreel.replay.stable import EPOCH_NS, Named, gathered, restored, stabilised
from spanreel.wire import attributes as names
from spanreel.wire import otlp
from spanreel.wire.spans import Event, Resource, Span

KEPT = sorted((Path(__file__).resolve().parents[1] / "recordings" / "format").glob("v*/*.otlp.jsonl"))


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_recordings_of_every_release_replay(file: Path) -> None:
    """A file that a release wrote is read and replayed exactly, for ever: SDK types, typed results, errors."""
    with spanreel.replaying(file) as execution:
        assert format_agent.run("http://127.0.0.1:9") == format_agent.SAID
    assert execution.verdict.verdict == "exact"
    assert execution.verdict.effects.recorded == 7
    assert not execution.verdict.unconsumed


def test_there_is_one_for_this_release() -> None:
    """The format that is written now is among those that are kept."""
    from spanreel.replay.stable import FORMAT

    assert f"v{FORMAT}" in {file.parent.name for file in KEPT}


@pytest.mark.parametrize("file", KEPT, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_any_otel_tool_reads_it(file: Path) -> None:
    """Each line is an OTLP/JSON request of its own: hex ids, 64-bit numbers as text, parents before children."""
    seen: set[str] = set()
    for line in file.read_text("utf-8").splitlines():
        document = json.loads(line)
        assert line == json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        (span,) = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
        assert (len(span["traceId"]), len(span["spanId"])) == (32, 16)
        assert isinstance(span["startTimeUnixNano"], str)
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
        assert span.get("parentSpanId", "") in seen | {""}
        seen.add(span["spanId"])
        assert otlp.decode(document)


def spans_at(times: list[tuple[int, int]]) -> list[Span]:
    """A root and spans below it, with these starts and lengths."""
    base = 1_800_000_000_000_000_000
    made = [Span("a" * 32, "0" * 16, "root", start_ns=base, end_ns=base + 10**9)]
    for number, (start, length) in enumerate(times, start=1):
        begin = base + start
        made.append(
            Span(
                "a" * 32,
                f"{number:016x}",
                "x",
                "0" * 16,
                start_ns=begin,
                end_ns=begin + length,
                events=(Event("e", begin),),
            )
        )
    return made


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=8))
def test_times_come_back(times: list[tuple[int, int]]) -> None:
    """What is ticks in the file is the real time again when it is read, to the microsecond, in the same order."""
    spans = spans_at(times)
    made = stabilised(spans, "0" * 16, Named("n", "root", "/p", {}))
    assert all(span.start_ns >= EPOCH_NS and span.end_ns >= span.start_ns for span in made)
    back = restored(made)
    was = sorted((span.start_ns // 1000, span.end_ns // 1000) for span in spans)
    assert sorted((span.start_ns // 1000, span.end_ns // 1000) for span in back) == was
    assert all(span.events[0].time_ns == span.start_ns for span in back if span.events)
    assert restored(back) == back


def test_ids_are_those_of_the_place() -> None:
    """Other ids, times, process and machine make the same lines but for the root's times; another name makes other ids."""
    one = spans_at([(5_000, 9_000), (200_000, 1_000)])
    other = [
        replace(
            span,
            trace_id="b" * 32,
            span_id=f"f{span.span_id[1:]}",
            parent_span_id=span.parent_span_id and f"f{span.parent_span_id[1:]}",
            start_ns=span.start_ns + 12_345,
            end_ns=span.end_ns * 1 + 12_345 + 777,
            events=(),
            resource=Resource({"process.pid": 9, names.SERVICE_INSTANCE: "x", "host.name": "h"}),
            attributes={names.VCS_REVISION: "abc", names.CODE_LINE: 3, names.CODE_FILE: "/p/a.py"},
        )
        for span in one
    ]
    one = [replace(span, events=(), attributes={names.CODE_FILE: "/p/a.py"}) for span in one]
    named = Named("n", "root", "/p", {})
    first = [otlp.encode_line(span) for span in stabilised(one, "0" * 16, named)]
    again = [otlp.encode_line(span) for span in stabilised(other, f"f{'0' * 15}", named)]
    assert first[1:] == again[1:]
    assert '"a.py"' in first[1]
    elsewhere = stabilised(one, "0" * 16, replace(named, name="m"))
    assert {span.trace_id for span in elsewhere} != {
        span.trace_id for span in stabilised(one, "0" * 16, named)
    }


def test_calls_of_other_traces_are_the_tests() -> None:
    """Spans that a framework ran elsewhere come under the root; the process's own run is left out."""
    root = Span("a" * 32, "0" * 16, "root", start_ns=1, end_ns=9)
    process = Span("b" * 32, "1" * 16, "p", start_ns=2, attributes={names.RUN_ENTRY: "process"})
    call = Span("b" * 32, "2" * 16, "c", "1" * 16, start_ns=3, end_ns=4)
    below = Span("b" * 32, "3" * 16, "t", "2" * 16, start_ns=3, end_ns=4)
    found = gathered([root, process, call, below], root)
    assert [(span.name, span.trace_id[0], span.parent_span_id) for span in found] == [
        ("root", "a", None),
        ("c", "a", "0" * 16),
        ("t", "a", "2" * 16),
    ]


@pytest.mark.parametrize("times", ["", "1 2 x"])
def test_damaged_times(times: str) -> None:
    """A root whose times cannot be read is refused in one line."""
    said = {names.RECORDING_FORMAT: 1, names.RECORDING_TIMES: times}
    with pytest.raises(BadInput, match="says no times"):
        restored([Span("a" * 32, "0" * 16, "r", attributes=said)])


def test_where_a_recording_is_started_again(tmp_path: Path) -> None:
    """Relative places are the project's; absolute ones that are not here are looked for by their end."""
    project = tmp_path / "here"
    (project / "src" / "app").mkdir(parents=True)
    (project / "pyproject.toml").touch()
    (project / "src" / "app" / "main.py").touch()
    file = project / "tests" / "r.otlp.jsonl"
    file.parent.mkdir()
    file.touch()

    def at(folder: str, source: str, *arguments: str) -> tuple[object, ...]:
        said = {names.PROCESS_CWD: folder, names.CODE_FILE: source, names.PROCESS_ARGS: list(arguments)}
        found = located(Span("a" * 32, "0" * 16, "r", attributes=said), file).attributes
        return found[names.PROCESS_CWD], found[names.CODE_FILE], found[names.PROCESS_ARGS]

    source = str(project / "src" / "app" / "main.py")
    assert at(".", "src/app/main.py", "-m", "pytest", "x.py::t") == (
        str(project),
        source,
        ["-m", "pytest", "x.py::t"],
    )
    assert at("/old/p/src", "/old/p/src/app/main.py", "/old/p/src/app/main.py", "/old/data") == (
        str(project / "src"), source, [source, "/old/data"],
    )  # fmt: skip
    assert at("C:\\old\\p", "C:\\old\\p\\src\\app\\main.py", "main.py") == (str(project), source, ["main.py"])
    assert read(Path(KEPT[0]))[0].attributes[names.PROCESS_CWD] == "."
