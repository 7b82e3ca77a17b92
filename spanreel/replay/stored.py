"""LOUD: recordings out of a store or a file, with what their run's root says about running it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spanreel.exceptions import SpanreelError
from spanreel.location import resolve_store
from spanreel.replay.files import file_of, pick, read, runs_of
from spanreel.replay.located import located
from spanreel.replay.recording import Recording
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from spanreel.collector.store import Reader
    from spanreel.instrument.continuing import Origin
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span


@dataclass(frozen=True, slots=True)
class Stored:
    """A recording, the run it is of, the run's root span, and whether the recording is of its whole process.

    name: what means the same recording from any folder, whatever has been recorded since.
    origins: of a run that is to be resumed, which roots go on.
    """

    recording: Recording
    run: Run
    root: Span
    whole_process: bool
    name: str
    origins: tuple[Origin, ...] = ()


def stored(
    run: str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    *,
    whole_process: bool | None = None,
    faithful: bool = False,
    resume: bool = False,
) -> Stored:
    """The recording of a run.

    Args:
        run: its name in the store (id, prefix, alias, `last`, …), or the path of a file of spans, or `file#run`.
        store: where it is, if it is not a file; default: the project's.
        whole_process: take in every run that the same process recorded, as running its command again makes them all;
            default: where the run is to be run again as a process, see `_as_process`.
        faithful: keep failed attempts that the SDK retried by itself.
        resume: take in what happened in every segment, and what was decided, so that the run can go on.

    Raises:
        UnknownRun, AmbiguousRun, StoreError, BadInput: there is no such run, store or file.
        NotReplayable: naming what the recording lacks.
    """
    path, name = file_of(run)
    if path is not None and resume:
        raise SpanreelError("a run is resumed in a store", f"spanreel import {path}, then name the run")
    if path is not None:
        return _from_file(path, name, whole_process, faithful)
    from spanreel.collector.store import open_reader

    with open_reader(resolve_store(store)) as reader:
        if resume:
            return _to_resume(reader, str(run), whole_process, faithful)
        return _from_reader(reader, str(run), whole_process, faithful)


def _to_resume(reader: Reader, name: str, whole_process: bool | None, faithful: bool) -> Stored:
    from spanreel.replay import continued

    run = reader.resolve(name)
    found = continued.family(reader, run, whole_process=True)
    root = continued.entry(found, run.run_id)
    whole = _as_process(root, whole_process, alone=len(found.runs) == 1)
    if not whole:
        found = continued.family(reader, run, whole_process=False)
    recording = continued.recording(found, run.run_id, faithful=faithful)
    return Stored(recording, run, root, whole, run.run_id, continued.origins(found))


def _from_reader(reader: Reader, name: str, whole_process: bool | None, faithful: bool) -> Stored:
    run = reader.resolve(name)
    spans = list(reader.spans(run.trace_id))
    root = _root(run, spans)
    instance = _instance(root)
    traces = set(reader.traces_of(instance)) if instance else set[str]()
    runs = [other for other in reader.runs() if other.trace_id in traces]
    if not _as_process(root, whole_process, alone=len(runs) == 1):
        recording = Recording.from_spans(spans, run.run_id, faithful=faithful)
        return Stored(recording, run, root, whole_process=False, name=run.run_id)
    for trace in traces - {run.trace_id}:
        spans += reader.spans(trace)
    also = _of_process(run, runs, spans)
    recording = Recording.from_spans(spans, run.run_id, also=also, faithful=faithful)
    return Stored(recording, run, root, whole_process=True, name=run.run_id)


def _from_file(path: Path, name: str | None, whole_process: bool | None, faithful: bool) -> Stored:
    spans = read(path)
    runs = runs_of(spans)
    run = pick(runs, name, str(path))
    root = located(_root(run, spans), path)
    others = [one for one in _of_process(run, runs, spans) if one != run.run_id]
    whole = _as_process(root, whole_process, alone=not others)
    also = others if whole else ()
    source = f"{path.resolve()}#{run.run_id}"
    recording = replace(Recording.from_spans(spans, run.run_id, also=also, faithful=faithful), name=source)
    return Stored(recording, run, root, whole_process=whole, name=source)


def _as_process(root: Span, asked: bool | None, *, alone: bool) -> bool:
    """Whether a run is made again by starting its process rather than by calling its agent function.

    A function of the script itself is, where the script made no other run: a script that calls its agent as it is
    loaded, without a guard, cannot be loaded for a call of the agent without making the run twice.
    """
    if asked is not None:
        return asked
    said = root.attributes
    if said.get(names.RUN_ENTRY) != "function":
        return True
    return (
        alone
        and str(said.get(names.CODE_FUNCTION)).startswith("__main__:")
        and bool(said.get(names.PROCESS_ARGS))
    )


def _instance(root: Span) -> str | None:
    value = root.resource.attributes.get(names.SERVICE_INSTANCE)
    return value if isinstance(value, str) and value else None


def _of_process(run: Run, runs: Iterable[Run], spans: Sequence[Span]) -> list[str]:
    """Ids of the runs that the same process recorded; a replay that it made of one of them is not part of it."""
    instance = next((_instance(span) for span in spans if span.span_id == run.root.span_id), None)
    roots = {(span.trace_id, span.span_id) for span in spans if instance and _instance(span) == instance}
    return [
        other.run_id
        for other in runs
        if (other.trace_id, other.root.span_id) in roots and other.source_run_id == run.source_run_id
    ]


def _root(run: Run, spans: Iterable[Span]) -> Span:
    for span in spans:
        if span.span_id == run.root.span_id and span.trace_id == run.trace_id:
            return span
    raise SpanreelError(f"the root of run {run.run_id} is not in the store", "see `spanreel doctor`")
