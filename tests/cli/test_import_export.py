"""import, export, rm: what goes in comes out, and what is deleted is gone."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
from commands import Cli, Fill, run_spans

from spanreel.collector import files
from spanreel.collector.store import open_reader
from spanreel.wire.spans import Span


def spans_of(store: Path) -> list[Span]:
    """Every span in a store."""
    with open_reader(store) as reader:
        return [span for run in reader.runs() for span in reader.spans(run.trace_id)]


def test_export_and_import_keep_every_span(cli: Cli, fill: Fill, tmp_path: Path, store: Path) -> None:
    """A run that went through a file is the same spans in another store."""
    fill([*run_spans(1), *run_spans(2)])
    done = cli("export", "00000001", "-o", tmp_path / "run.otlp.jsonl")
    assert (done.code, done.out) == (0, "")
    assert cli("import", tmp_path / "run.otlp.jsonl", "--store", tmp_path / "other.db").code == 0
    assert spans_of(tmp_path / "other.db") == [
        span for span in spans_of(store) if span.trace_id.startswith("00000001")
    ]


def test_export_to_stdout_is_the_same(cli: Cli, fill: Fill, tmp_path: Path) -> None:
    """Without -o the lines of the file are on stdout."""
    fill(run_spans(1, answer="a \x9b hostile \u202e answer"))
    cli("export", "last", "-o", tmp_path / "run.otlp.jsonl")
    lines = (tmp_path / "run.otlp.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in cli("export").out.splitlines()] == [
        json.loads(line) for line in lines
    ]


def test_a_file_imported_twice_is_known(cli: Cli, tmp_path: Path) -> None:
    """The second time nothing is new; the counts are in the JSON, which fits its schema."""
    files.write_jsonl(run_spans(1), tmp_path / "run.otlp.jsonl")
    assert "4 spans, 4 new, 0 known" in cli("import", tmp_path / "run.otlp.jsonl").out
    found = cli("import", tmp_path / "run.otlp.jsonl", "--json").json
    assert [(one["spans"], one["new"], one["known"]) for one in found["files"]] == [(4, 0, 4)]
    jsonschema.validate(found, cli("schema", "import").json)


def test_folders_are_read(cli: Cli, tmp_path: Path) -> None:
    """Trace files in a folder and below it; other files are passed over."""
    below = tmp_path / "traces" / "below"
    below.mkdir(parents=True)
    files.write_jsonl(run_spans(1), tmp_path / "traces" / "one.otlp.jsonl")
    files.write_jsonl(run_spans(2), below / "two.jsonl")
    (below / "two.jsonl.gz").write_bytes(gzip.compress((below / "two.jsonl").read_bytes()))
    (tmp_path / "traces" / "README.md").write_text("not a trace")
    done = cli("import", tmp_path / "traces")
    assert "3 files: 12 spans, 8 new" in done.out


def test_a_broken_file_among_good_ones(cli: Cli, tmp_path: Path, store: Path) -> None:
    """Files before the broken one are in, of the broken one nothing."""
    files.write_jsonl(run_spans(1), tmp_path / "a.jsonl")
    files.write_jsonl(run_spans(2), tmp_path / "b.jsonl")
    (tmp_path / "b.jsonl").write_bytes((tmp_path / "b.jsonl").read_bytes()[:-40])
    assert cli("import", tmp_path / "a.jsonl", tmp_path / "b.jsonl").code == 1
    assert {span.trace_id[:8] for span in spans_of(store)} == {"00000001"}


def test_rm_deletes(cli: Cli, fill: Fill, store: Path) -> None:
    """The run is gone, the others are not."""
    fill([*run_spans(1), *run_spans(2)])
    done = cli("rm", "00000001", "--yes")
    assert (done.code, done.out) == (0, "deleted 1 run\n")
    assert {span.trace_id[:8] for span in spans_of(store)} == {"00000002"}
    assert cli("show", "00000001").code == 2


def test_rm_asks(cli: Cli, fill: Fill, store: Path) -> None:
    """With nobody to ask and no --yes nothing is deleted."""
    fill(run_spans(1))
    done = cli("rm", "last")
    assert done.code == 1
    assert "add --yes" in done.err
    assert spans_of(store)


def test_rm_of_one_run_of_a_trace(cli: Cli, fill: Fill, store: Path) -> None:
    """Two runs in one trace go together or not at all, and the other is named."""
    second = [
        replace(
            span,
            span_id="f" + span.span_id[1:],
            parent_span_id=span.parent_span_id and "f" + span.parent_span_id[1:],
        )
        for span in run_spans(1)
    ]
    fill([*run_spans(1), *second])
    names = [run["run_id"] for run in cli("runs", "--json").json["runs"]]
    assert len(names) == 2
    done = cli("rm", names[0], "--yes")
    assert done.code == 1
    assert names[1] in done.err
    assert len(spans_of(store)) >= 8
    assert cli("rm", *names, "--yes").code == 0
