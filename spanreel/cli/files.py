"""Commands that move spans in and out of the store, and out of the world: import, export, rm."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanreel.cli.options import Json, Run, Store
from spanreel.cli.terminal import console, note, say, say_json
from spanreel.exceptions import BadInput, SpanreelError

if TYPE_CHECKING:
    from rich.progress import Progress

    from spanreel.cli.objects import ImportedFile
    from spanreel.wire.spans import Span

SUFFIXES = (".json", ".jsonl", ".pb", ".json.gz", ".jsonl.gz", ".pb.gz")
WHOLE = 256 * 1024 * 1024  # bytes up to which a file is held in memory rather than read twice
LONG = 4 * 1024 * 1024  # bytes from which on a file is worth a progress bar


def import_(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Files of spans, or folders of them.", show_default=False),
    ],
    json: Json = False,
    store: Store = None,
) -> None:
    """Read spans from files into the store: OTLP/JSON, OTLP protobuf, Jaeger; plain or gzip.

    Spans that the store has already are left as they are, so a file can be imported twice.

    Examples:
        spanreel import run.otlp.jsonl
        spanreel import traces/ --json
    """
    from spanreel.cli.objects import Imported
    from spanreel.cli.words import plural
    from spanreel.location import resolve_store

    path = resolve_store(store)
    done: list[ImportedFile] = []
    for file in list(_files(paths)):
        done.append(_imported(file, path))
        if not json:
            say(f"{file}: {plural(done[-1].spans, 'span')}, {done[-1].new} new, {done[-1].known} known")
    if json:
        say_json(Imported(store=str(path), files=done).to_json(indent=2))
        return
    if len(done) > 1:
        say(
            f"{len(done)} files: {plural(sum(one.spans for one in done), 'span')}, {sum(one.new for one in done)} new"
        )
    note("next: spanreel runs")


def _files(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            if not path.exists():
                raise BadInput(f"there is no file {path}", "name a file of spans, or a folder of them")
            yield path
            continue
        inside = sorted(file for file in path.rglob("*") if file.is_file() and file.name.endswith(SUFFIXES))
        if not inside:
            raise BadInput(f"no file in {path} ends in {', '.join(SUFFIXES)}", "name the files themselves")
        yield from inside


def _imported(file: Path, store: Path) -> ImportedFile:
    from spanreel.cli.objects import ImportedFile
    from spanreel.collector.store import open_writer

    spans = new = 0
    with open_writer(store) as writer:
        for batch in _batches(file):
            new += writer.add(batch).new
            spans += len(batch)
    return ImportedFile(path=str(file), spans=spans, new=new, known=spans - new)


def _batches(file: Path) -> Iterator[list[Span]]:
    """The spans of a file, read to its end before the first is given, so that a broken file leaves nothing behind."""
    from spanreel.collector import files

    with _Bar(file) as bar:
        if file.stat().st_size <= WHOLE:
            yield [span for batch in files.read(file, bar.reached) for span in batch]
            return
        for _ in files.read(file, bar.reached):
            pass
        yield from files.read(file, bar.reached)


class _Bar:
    """A progress bar on stderr for a long file, where somebody is looking."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.progress: Progress | None = None

    def __enter__(self) -> _Bar:
        size = self.file.stat().st_size
        if size >= LONG and sys.stderr.isatty():
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
            self.progress = Progress(*columns, console=console(error=True), transient=True)
            self.task = self.progress.add_task(self.file.name, total=size)
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.progress:
            self.progress.stop()

    def reached(self, done: int, total: int) -> None:
        """So many bytes of so many have been read."""
        if self.progress:
            self.progress.update(self.task, completed=done, total=total)


def export(
    run: Run = "last",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; default: stdout.", show_default=False),
    ] = None,
    store: Store = None,
) -> None:
    """Write a run as OTLP/JSON, one request a line (*.otlp.jsonl), which `import` and `diff` read.

    Examples:
        spanreel export last -o run.otlp.jsonl
        spanreel export 4f2a91c3 | gzip > run.otlp.jsonl.gz
    """
    from spanreel.cli.words import plural
    from spanreel.collector import files
    from spanreel.collector.store import open_reader
    from spanreel.location import resolve_store
    from spanreel.replay.hooks import BEFORE_EXPORT, consult, recorded
    from spanreel.wire.segments import origin

    with open_reader(resolve_store(store)) as reader:
        found = reader.resolve(run)
        parts = [one for one in reader.apart() if origin(one) == found.run_id]
        inside = {(one.trace_id, record.span_id) for one in parts for record in one.records}
        traces = dict.fromkeys(one.trace_id for one in parts)
        spans = [span for trace in traces for span in reader.spans(trace) if (trace, span.span_id) in inside]
    root = next(span for span in spans if span.span_id == found.root.span_id)
    about = {
        "run_id": found.run_id,
        "agent_name": found.agent_name,
        "output": str(output) if output else None,
    }
    consult(
        BEFORE_EXPORT, about, keep=lambda said: recorded(said.hook, root, said.refusal, resolve_store(store))
    )
    if output:
        number = files.write_jsonl(spans, output)
        note(f"{output}: {plural(number, 'span')} of run {found.run_id}")
        return
    for line in files.lines(spans):
        say_json(line)


def rm(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="The runs to delete.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    store: Store = None,
) -> None:
    """Delete runs from the store, and what only they had in it. There is no way back.

    Examples:
        spanreel rm 4f2a91c3
        spanreel rm last last~1 --yes
    """
    from spanreel.cli.words import plural
    from spanreel.collector.store import open_reader, open_writer
    from spanreel.location import resolve_store
    from spanreel.wire.segments import origin

    path = resolve_store(store)
    with open_reader(path) as reader:
        found = {run.run_id: run for run in (reader.resolve(name) for name in runs)}
        for run in found.values():
            note(f"{run.run_id}  {run.agent_name}  {plural(len(run.records), 'span')}")
        apart = reader.apart()
        traces = {run.trace_id for run in apart if origin(run) in found}
        others = [origin(run) for run in apart if run.trace_id in traces and origin(run) not in found]
    if others:
        raise SpanreelError(
            "nothing was deleted: other runs are in the same trace", f"name them too: {' '.join(others)}"
        )
    if not yes:
        if not sys.stdin.isatty():
            raise SpanreelError("nothing was deleted: there is nobody to ask", "add --yes")
        typer.confirm(f"delete {plural(len(found), 'run')}?", abort=True, err=True)
    with open_writer(path) as writer:
        for trace in traces:
            writer.delete(trace)
    say(f"deleted {plural(len(found), 'run')}")
