"""Counterexamples: runs in which a playbook should have worked and did not. Derived on read, they are stored nowhere twice.

Quiet. Its own executions that failed are counterexamples; so is a failed run that somebody gives with `repair
--counterexample`. They stay with the playbook: a repaired body has those of the bodies that it comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.shelf import Entry

KIND = "counterexample"
"""What a decision is called that keeps a run with a body."""


class Counterexample(Frozen):
    """A run in which it did not work.

    Attributes:
        how: failed (an execution of the body), or given (by a person).
        body: hash of the body that it speaks against.
        inputs: canonical JSON of the parameters of an execution.
        guard, stopped_at, reason: where and why it stopped; of a given one why it was given.
    """

    run_id: str
    how: Literal["failed", "given"]
    body: str
    at: str | None = None
    inputs: str | None = None
    guard: str | None = None
    stopped_at: str | None = None
    reason: str | None = None


def counterexamples(entries: Sequence[Entry], entry: Entry) -> list[Counterexample]:
    """Those of a body and of the bodies that it comes from, oldest first, each run once.

    Args:
        entries: of its name.
        entry: the body.
    """
    by_hash = {one.hash: one for one in entries}
    line: list[Entry] = []
    at: Entry | None = entry
    while at is not None and at not in line:
        line.append(at)
        at = by_hash.get(at.parent) if at.parent else None
    found: dict[str, Counterexample] = {}
    for one in line:
        for known in _of(one):
            found.setdefault(known.run_id, known)
    return sorted(found.values(), key=lambda known: (known.at or "", known.run_id))


def _of(entry: Entry) -> list[Counterexample]:
    failed = [
        Counterexample(
            run_id=one.run_id,
            how="failed",
            body=entry.hash,
            at=one.at,
            inputs=one.inputs,
            guard=one.guard,
            stopped_at=one.stopped_at,
            reason=one.reason,
        )
        for one in entry.evidence.live
        if one.became == "failed"
    ]
    given = [
        Counterexample(run_id=run, how="given", body=entry.hash, at=one.at, reason=one.reason)
        for one in entry.decisions
        if one.kind == KIND
        for run in one.runs
    ]
    return [*given, *failed]
