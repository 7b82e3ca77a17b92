"""LOUD: runs out of stores and files, and the comparison of any two of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from spanreel.location import resolve_store
from spanreel.replay import files
from spanreel.replay.build import build
from spanreel.replay.moments import milliseconds, timestamp
from spanreel.replay.pricing import price, pricing_available, reported, total
from spanreel.replay.timeline import Replay, ReplayTokens, RunSummary, Status
from spanreel.wire.steps import MODEL_KINDS

if TYPE_CHECKING:
    import os
    from collections.abc import Collection, Iterable, Sequence

    from spanreel.replay.compare import ReplayComparison
    from spanreel.replay.grade import Grade
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span


def load(run: str = "last", store: str | os.PathLike[str] | None = None) -> Replay:
    """A run out of a store.

    Args:
        run: an id, a unique prefix of one, an alias, `last`, `last~1` or `last:failed`.
        store: the store's path; default: that of the project (see `location.default_store`).

    Raises:
        UnknownRun, AmbiguousRun: there is no such run, or the prefix fits several.
        StoreError: the store cannot be read.
    """
    from spanreel.collector.store import open_reader

    with open_reader(resolve_store(store)) as reader:
        found = reader.resolve(run)
        return build(found, reader.spans(found.trace_id), price)


def graded(run: str = "last", store: str | os.PathLike[str] | None = None) -> tuple[Replay, Grade]:
    """A run out of a store, and which replay it allows.

    Raises:
        UnknownRun, AmbiguousRun, StoreError: as `load`.
    """
    from spanreel.collector.store import open_reader
    from spanreel.replay.grade import grade

    with open_reader(resolve_store(store)) as reader:
        found = reader.resolve(run)
        spans = reader.spans(found.trace_id)
    judged = grade(found, spans)
    lacking = list(dict.fromkeys(missing.attribute for missing in judged.missing))
    told = {"grade": judged.grade, "grade_missing": lacking}
    return build(found, spans, price).model_copy(update=told), judged


def summaries(store: str | os.PathLike[str] | None = None, limit: int | None = None) -> list[RunSummary]:
    """The runs of a store, newest first, at most `limit` of them: one that has to be priced costs a look at its steps.

    Raises:
        StoreError: the store cannot be read.
    """
    from spanreel.collector.store import open_reader

    with open_reader(resolve_store(store)) as reader:
        return [summary(run) for run in reader.runs()[:limit]]


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of the runs of a store, newest first.

    runs: those that were asked for; fitting: how many there would be without the limit; ids: of every run in the store.
    """

    runs: list[RunSummary]
    fitting: int
    ids: list[str]


def listing(
    store: str | os.PathLike[str] | None = None, status: str | None = None, limit: int | None = None
) -> Listing:
    """The newest runs of a store, of one status or of any; only those that are listed are priced.

    Raises:
        StoreError: the store cannot be read.
    """
    from spanreel.collector.store import open_reader

    with open_reader(resolve_store(store)) as reader:
        runs = reader.runs()
        fitting = [run for run in runs if status in (None, run.status)]
        return Listing([summary(run) for run in fitting[:limit]], len(fitting), [run.run_id for run in runs])


def summary(run: Run) -> RunSummary:
    """A run as one line of a list. No content is read for it, and its steps only if they have to be priced."""
    return RunSummary(
        run_id=run.run_id,
        trace_id=run.trace_id,
        alias=run.alias,
        session_id=run.session,
        agent_name=run.agent_name,
        status=cast("Status", run.status),
        model=run.model,
        started_at=timestamp(run.started_ns),
        ended_at=None if run.open else timestamp(run.ended_ns),
        duration=None if run.open else milliseconds(run.started_ns, run.ended_ns),
        tokens=ReplayTokens.of(run.usage),
        cost=_cost(run),
        steps=len(run.steps),
        model_calls=run.model_calls,
        tool_calls=run.tool_calls,
        error=run.error,
        source_run_id=run.source_run_id,
        warnings=[f"capture incomplete: {reason}" for reason in run.incomplete],
    )


def _cost(run: Run) -> str | None:
    if not run.uncosted or not pricing_available():
        return reported(run.cost)
    models = [step.record for step in run.steps if step.record.kind in MODEL_KINDS]
    return total([reported(record.cost) or price(record) for record in models])


def from_file(path: str | os.PathLike[str], run_id: str | None = None) -> Replay:
    """A run out of a file of spans, in any format that `spanreel import` reads.

    Args:
        path: the file.
        run_id: which run (an id, a unique prefix, an alias, `last`, `last~1`, `last:failed`); without it the last
            one, and a warning if there are others.

    Raises:
        UnknownRun, AmbiguousRun: the file holds no such run, or the prefix fits several.
        BadInput: the file cannot be read; names the line.
    """
    return _of_spans(files.read(path), run_id, str(path))


def from_spans(spans: Iterable[Any], run_id: str | None = None) -> Replay:
    """A run out of spans in memory; see `Replay.from_spans`."""
    from spanreel.replay.sources import wire_spans

    return _of_spans(wire_spans(spans), run_id, "the list of spans")


def diff(
    a: Replay | str | os.PathLike[str],
    b: Replay | str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    ignoring: Collection[str] = (),
) -> ReplayComparison:
    """What changed from a to b; each is a Replay, a run's name, a file, or `file#run`.

    Args:
        a: the one side.
        b: the other; differences are b − a.
        store: where runs that are named are; default: the project's.
        ignoring: tools, JSON paths and figures to leave out, see `compare.compare`.

    Raises:
        ValueError: something in `ignoring` begins like a JSON path and is none.
        UnknownRun, AmbiguousRun, BadInput, StoreError: as `load` and `from_file`.
    """
    from spanreel.replay.compare import compare

    return compare(replay_of(a, store), replay_of(b, store), ignoring)


def replay_of(named: Replay | str | os.PathLike[str], store: str | os.PathLike[str] | None = None) -> Replay:
    """A run by its name, its file or `file#run`; a Replay is itself.

    Raises:
        UnknownRun, AmbiguousRun, BadInput, StoreError: as `load` and `from_file`.
    """
    if isinstance(named, Replay):
        return named
    path, run = files.file_of(named)
    return load(str(named), store) if path is None else from_file(path, run)


def _of_spans(spans: Sequence[Span], run_id: str | None, where: str) -> Replay:
    runs = files.runs_of(spans)
    run = files.pick(runs, run_id or None, where)
    replay = build(run, spans, price)
    if run_id is not None or len(runs) == 1:
        return replay
    warning = f"{where} holds {len(runs)} runs; this is the last one: name another by its id"
    return replay.model_copy(update={"warnings": [*replay.warnings, warning]})
