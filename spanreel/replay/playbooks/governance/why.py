"""LOUD: what a playbook was made of, looked up in the store: its source runs and the steps that its states were compiled from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from spanreel.exceptions import UnknownPlaybook, UnknownRun
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import judged
from spanreel.replay.playbooks.governance.provenance import (
    PlaybookWhy,
    SourceRun,
    explained,
    source_runs,
    source_spans,
)

if TYPE_CHECKING:
    from spanreel.collector.store import Reader
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.governance.shelf import Entry


def why(
    ref: str, state: str | None = None, store: str | os.PathLike[str] | Library | None = None
) -> PlaybookWhy:
    """Where a body comes from, what was decided about it, on which evidence; and each state, or one of them.

    Args:
        ref: which body, see `Library.get`.
        state: only this one.
        store: default: the project's.

    Raises:
        UnknownPlaybook: there is no such body, or no such state.
        StoreError: the store cannot be read.
    """
    from spanreel.collector.store import open_reader

    library = store if isinstance(store, Library) else Library(store)
    entry = library.get(ref)
    with open_reader(library.path) as reader:
        runs, steps = _sources(reader, entry.body)
    return explained(entry, judged(library, entry), runs, steps, _lineage(entry, library), state)


def _lineage(entry: Entry, library: Library) -> list[Entry]:
    found: list[Entry] = []
    while entry.parent and entry.parent not in {one.hash for one in found}:
        try:
            entry = library.get(entry.parent)
        except UnknownPlaybook:  # it is in another store
            break
        found.append(entry)
    return found


def _sources(reader: Reader, body: Body) -> tuple[dict[str, SourceRun], dict[str, tuple[str, int]]]:
    runs: dict[str, SourceRun] = {}
    steps: dict[str, tuple[str, int]] = {}
    for name in dict.fromkeys((*source_runs(body), *(span.partition(":")[0] for span in source_spans(body)))):
        try:
            run = reader.run(name)
        except UnknownRun:
            continue
        if name in source_runs(body):
            from spanreel.replay.load import summary

            told = summary(run)
            runs[name] = SourceRun(
                run_id=run.run_id, agent_name=told.agent_name, status=told.status, started_at=told.started_at,
                steps=told.steps,
            )  # fmt: skip
        for step in run.steps:
            for member in step.members:
                steps.setdefault(f"{run.trace_id}:{member}", (run.run_id, step.number))
    return runs, steps
