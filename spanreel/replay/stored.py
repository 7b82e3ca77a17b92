"""LOUD: recordings out of a store or a file, with what their run's root says about running it again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from spanreel.exceptions import SpanreelError
from spanreel.location import resolve_store
from spanreel.replay.recording import Recording
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    import os

    from spanreel.collector.store import Reader
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span

_SUFFIXES = (".jsonl", ".json")


@dataclass(frozen=True, slots=True)
class Stored:
    """A recording, the run it is of, and the run's root span."""

    recording: Recording
    run: Run
    root: Span


def stored(
    run: str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    *,
    whole_process: bool | None = None,
) -> Stored:
    """The recording of a run.

    Args:
        run: its name in the store (id, prefix, alias, `last`, …), or the path of a file of spans, or `file#run`.
        store: where it is, if it is not a file; default: the project's.
        whole_process: take in every run that the same process recorded, as running its command again makes them all;
            default: where the run is to be run again as a process.

    Raises:
        UnknownRun, AmbiguousRun, StoreError, BadInput: there is no such run, store or file.
        NotReplayable: naming what the recording lacks.
    """
    path, name = _file(run)
    if path is not None:
        return _from_file(path, name, whole_process)
    from spanreel.collector.store import open_reader

    with open_reader(resolve_store(store)) as reader:
        return _from_reader(reader, str(run), whole_process)


def _file(run: str | os.PathLike[str]) -> tuple[Path | None, str]:
    if not isinstance(run, str):
        return Path(run), "last"
    path, _, name = run.rpartition("#")
    if path and Path(path).is_file():
        return Path(path), name
    return (Path(run), "last") if run.endswith(_SUFFIXES) else (None, run)


def _from_reader(reader: Reader, name: str, whole_process: bool | None) -> Stored:
    run = reader.resolve(name)
    spans = list(reader.spans(run.trace_id))
    root = _root(run, spans)
    if not _as_process(root, whole_process):
        return Stored(Recording.from_spans(spans, run.run_id), run, root)
    others: list[str] = []
    instance = root.resource.attributes.get(names.SERVICE_INSTANCE)
    for other in reader.runs():
        if other.run_id == run.run_id:
            continue
        theirs = spans if other.trace_id == run.trace_id else reader.spans(other.trace_id)
        if instance is not None and _instance(theirs) == instance:
            others.append(other.run_id)
            spans += theirs if theirs is not spans else []
    return Stored(Recording.from_spans(spans, run.run_id, also=others), run, root)


def _from_file(path: Path, name: str, whole_process: bool | None) -> Stored:
    from spanreel.collector import files
    from spanreel.replay.load import pick
    from spanreel.wire import conventions
    from spanreel.wire.grouping import group

    spans = [span for batch in files.read(path) for span in batch]
    runs = group(conventions.read(span) for span in spans)[::-1]
    run = pick(runs, name, str(path))
    root = _root(run, spans)
    also: list[str] = []
    if _as_process(root, whole_process):
        instance = root.resource.attributes.get(names.SERVICE_INSTANCE)
        by_trace = {span.trace_id: span for span in spans}
        also = [one.run_id for one in runs if instance and _instance([by_trace[one.trace_id]]) == instance]
    return Stored(Recording.from_spans(spans, run.run_id, also=also), run, root)


def _as_process(root: Span, asked: bool | None) -> bool:
    return root.attributes.get(names.RUN_ENTRY) != "function" if asked is None else asked


def _instance(spans: Iterable[Span]) -> object:
    return next((span.resource.attributes.get(names.SERVICE_INSTANCE) for span in spans), None)


def _root(run: Run, spans: Iterable[Span]) -> Span:
    for span in spans:
        if span.span_id == run.root.span_id and span.trace_id == run.trace_id:
            return span
    raise SpanreelError(f"the root of run {run.run_id} is not in the store", "see `spanreel doctor`")
