"""LOUD: decide about a body as a person or a program asks: the gates judged on the evidence, the project's hooks asked.

What each decision may lead to is in `lifecycle`, what the gates ask in `promotion`; `library` keeps what was decided.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import Refused, UnknownRun
from spanreel.replay.hooks import BEFORE_PROMOTE, Said, consult
from spanreel.replay.playbooks.governance import lifecycle
from spanreel.replay.playbooks.governance.evidence import Evidence
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promotion import (
    GateFigure,
    Resolution,
    SourceCost,
    judge,
    refused,
    resolve,
)

if TYPE_CHECKING:
    from spanreel.collector.store import Reader
    from spanreel.replay.playbooks.governance.shelf import Entry
    from spanreel.wire.grouping import Run


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gates say of a body. resolution: which gates, and who asks for each; figures: what was found."""

    resolution: Resolution
    figures: tuple[GateFigure, ...]

    @property
    def refused(self) -> list[GateFigure]:
        """The gates that are not passed."""
        return refused(self.figures)


@dataclass(frozen=True, slots=True)
class Promoted:
    """A promotion. before: the status; changed: there was something to do; retired: what it replaced, as ``name@version``."""

    entry: Entry
    before: str
    judged: Judged
    changed: bool = True
    forced: bool = False
    retired: tuple[str, ...] = ()


def judged(library: Library, entry: Entry, gates: Mapping[str, Any] | None = None) -> Judged:
    """What the gates say of a body now.

    Args:
        library: that it is in.
        entry: the body.
        gates: more than the project and the body ask.

    Raises:
        BadInput: one of them is no gate.
        Refused: one of them asks for less.
    """
    resolution = resolve(library.project, entry.body.promotion, gates)
    found, sources = entry.evidence, None
    calls = any(one.model_calls != 0 for one in entry.evidence.executions)
    if resolution.gates.max_cost_ratio is not None and calls:
        from spanreel.collector.store import open_reader

        with open_reader(library.path) as reader:
            found, sources = _priced(reader, found), _source_cost(reader, entry)
    return Judged(resolution, tuple(judge(found, resolution.gates, sources)))


def promote(
    ref: str,
    to: str = "active",
    *,
    force: bool = False,
    reason: str | None = None,
    actor: Any = None,
    gates: Mapping[str, Any] | None = None,
    hook: Sequence[str] = (),
    runs: Sequence[str] = (),
    store: str | os.PathLike[str] | Library | None = None,
) -> Promoted:
    """Promote a body. To become active it has to pass its gates; it replaces the one that was.

    Args:
        ref: which, see `Library.get`.
        to: active or shadow.
        force: although gates refuse it; needs a reason, and is recorded.
        reason: in words.
        actor: who: a name or an object.
        gates: more than the project and the body ask.
        hook: hooks to ask besides the project's.
        runs: ids of the runs that it is about.
        store: where; default: the project's.

    Raises:
        UnknownPlaybook: there is none of that name.
        Refused: a gate is not passed (each with what it asks, what was found, and how much is missing), or a hook said no.
        NotDecidable: a body of its status cannot be promoted, or somebody else was first.
        BadInput: what was given is no gate.
        StoreError: the store cannot be read or written.
    """
    library = store if isinstance(store, Library) else Library(store)
    entry = library.get(ref)
    told = judged(library, entry, gates)
    if entry.status == to:
        return Promoted(entry, entry.status, told, changed=False)
    row = lifecycle.transition(entry.status, "promote", to)
    missing = told.refused if row.who == "gates" else []
    if force and not (reason or "").strip():
        raise Refused("a promotion by force needs a reason", "give one with --reason")
    if missing and not force:
        what = f"{entry.ref} cannot become {to}: {'; '.join(one.text for one in missing)}"
        raise Refused(what, f"more evidence, or --force --reason '…': spanreel playbook why {entry.ref}")
    _asked(library, entry, to, told, hook, reason, actor, forced=bool(missing))
    before = {one.hash: one.status for one in library.entries()}
    made = library.decide(
        entry, "promote", to=to, reason=reason, actor=actor, forced=bool(missing), runs=runs,
        gates=told.figures if row.who == "gates" else (),
    )  # fmt: skip
    gone = [
        one.ref
        for one in library.entries()
        if one.status == "retired" and before.get(one.hash) in lifecycle.LIVE and one.hash != made.hash
    ]
    return Promoted(made, entry.status, told, forced=bool(missing), retired=tuple(gone))


def _asked(
    library: Library,
    entry: Entry,
    to: str,
    told: Judged,
    given: Sequence[str],
    reason: str | None,
    actor: Any,
    *,
    forced: bool,
) -> None:
    """Ask the project's hooks; what each said stays with the body."""
    event: dict[str, Any] = {
        "playbook": entry.name,
        "version": entry.version,
        "hash": entry.hash,
        "from": entry.status,
        "to": to,
        "gates": [one.model_dump(mode="json") for one in told.figures],
        "forced": forced,
        "reason": reason,
        "actor": actor,
        "store": str(library.path),
    }
    said: list[Said] = []
    try:
        consult(BEFORE_PROMOTE, event, given, said.append)
    finally:
        for one in said:
            refused = f"refused: {one.refusal.args[0]}" if one.refusal is not None else "allowed"
            library.decide(entry, "hook", reason=refused, actor={"hook": " ".join(one.hook.command)})


def _priced(reader: Reader, found: Evidence) -> Evidence:
    """Evidence with the costs that only the price list knows."""
    whole = [
        one.model_copy(update={"cost": _cost(run)})
        if one.cost is None and (run := _run(reader, one.run_id)) is not None
        else one
        for one in found.executions
    ]
    return Evidence(executions=tuple(whole))


def _source_cost(reader: Reader, entry: Entry) -> SourceCost:
    """What its source runs took, on average over those that are still there and tell."""
    runs = [run for name in entry.body.derived_from if (run := _run(reader, name)) is not None]
    costs = [float(cost) for run in runs if (cost := _cost(run)) is not None]
    tokens = [used for run in runs if (used := (run.usage.input or 0) + (run.usage.output or 0))]
    return SourceCost(
        sum(costs) / len(costs) if costs else None, sum(tokens) / len(tokens) if tokens else None
    )


def _run(reader: Reader, run_id: str) -> Run | None:
    try:
        return reader.run(run_id)
    except UnknownRun:  # it was deleted, or is in another store
        return None


def _cost(run: Run) -> str | None:
    from spanreel.replay.load import summary

    return summary(run).cost
