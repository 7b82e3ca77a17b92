"""Where a body comes from, why it is what it is, and what each of its states was made of and has failed at.

Quiet: a library's entry, what its source runs are, and the gates as they are judged now, put together for people and JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from spanreel.exceptions import UnknownPlaybook
from spanreel.replay.playbooks.governance.evidence import Executed
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body, State
    from spanreel.replay.playbooks.governance.lifecycle import Decision
    from spanreel.replay.playbooks.governance.promoting import Judged
    from spanreel.replay.playbooks.governance.shelf import Entry

_BINDING: Final = "{{"
_BOUND: Final = ("args", "llm", "branch", "approval", "set", "playbook", "assert", "pre", "post")
"""Keys of a state that hold bindings."""


class SourceStep(Frozen):
    """A call that a state was compiled from. step: its number in its run; None: the run is not in this store."""

    span: str
    run_id: str | None = None
    step: int | None = None


class SourceRun(Frozen):
    """A run that a body was compiled from. status None: it is not in this store any more."""

    run_id: str
    agent_name: str | None = None
    status: str | None = None
    started_at: str | None = None
    steps: int | None = None


class Bound(Frozen):
    """A value of a state. path: where in it; value: as the body has it; inferred: from what, as the compiler said."""

    path: str
    value: Any
    inferred: str | None = None


class Failed(Frozen):
    """An execution that was stopped at a state."""

    run_id: str
    at: str | None
    guard: str | None
    reason: str | None


class StateWhy(Frozen):
    """A state: what it does, what it was made of, and what went wrong there so far."""

    name: str
    action: str | None
    calls: str | None = None
    derived_from: list[SourceStep] = Field(default_factory=list[SourceStep])
    support: str | None = None
    values: list[Bound] = Field(default_factory=list[Bound])
    guards: list[str] = Field(default_factory=list[str])
    failures: list[Failed] = Field(default_factory=list[Failed])


class Earlier(Frozen):
    """A body that another one was made from by a repair, and what was decided about it."""

    ref: str
    hash: str
    status: str
    why: str
    decisions: list[dict[str, Any]]


class PlaybookWhy(Frozen):
    """`spanreel playbook why --json`.

    Attributes:
        why: what made it the status that it has.
        parent: the body that it repairs, as ``name@version`` or a hash.
        sources: the runs that it was compiled from.
        decisions: about it, oldest first; what was decided elsewhere says ``"here": false``.
        gates: what they ask of it now and what is found; profile and who asks what in `resolution`.
        evidence: its executions, oldest first.
        lineage: the body that it repairs, the one which that repairs, and so on, as far as they are in this store.
        history: of an imported body, what its file told.
    """

    schema_: Literal["spanreel.playbook_why.v1"] = Field(default="spanreel.playbook_why.v1", alias="schema")
    name: str
    version: int
    hash: str
    goal: str
    status: str
    why: str
    origin: str
    parent: str | None = None
    added_at: str | None = None
    sources: list[SourceRun]
    decisions: list[dict[str, Any]]
    resolution: dict[str, Any]
    gates: list[dict[str, Any]]
    evidence: list[Executed]
    states: list[StateWhy]
    notes: list[str] = Field(default_factory=list[str])
    lineage: list[Earlier] = Field(default_factory=list[Earlier])
    history: Any = None


def explained(
    entry: Entry,
    judged: Judged,
    runs: Mapping[str, SourceRun],
    steps: Mapping[str, tuple[str, int]],
    lineage: Sequence[Entry] = (),
    state: str | None = None,
) -> PlaybookWhy:
    """Everything that is known of a body, or of one of its states.

    Args:
        entry: the body.
        judged: what the gates say of it now.
        runs: its source runs that are in the store, by the id that the body has.
        steps: run id and number of each source call that is in the store, by ``trace:span``.
        lineage: the bodies that it was repaired from and that are in the store, the nearest first.
        state: only this one.

    Raises:
        UnknownPlaybook: it has no such state.
    """
    body = entry.body
    if state is not None and state not in body.states:
        raise UnknownPlaybook(
            f"{entry.ref} has no state {state}; there are {', '.join(body.states)}",
            f"spanreel playbook why {entry.ref}",
        )
    wanted = [state] if state is not None else list(body.states)
    return PlaybookWhy(
        name=entry.name,
        version=entry.version,
        hash=entry.hash,
        goal=body.goal,
        status=entry.status,
        why=entry.why,
        origin=entry.origin,
        parent=lineage[0].ref if lineage else entry.parent,
        added_at=entry.added_at,
        sources=[runs.get(run, SourceRun(run_id=run)) for run in source_runs(body)],
        decisions=[_decision(one) for one in entry.decisions],
        resolution=judged.resolution.document(),
        gates=[one.model_dump(mode="json") for one in judged.figures],
        evidence=list(entry.evidence.executions),
        states=[_state(entry, name, body.states[name], steps) for name in wanted],
        notes=list(body.notes),
        lineage=[_earlier(one) for one in lineage],
        history=entry.history,
    )


def source_runs(body: Body) -> list[str]:
    """The ids of the runs that a body was compiled from; where it does not say, the traces of its states' calls."""
    return list(body.derived_from or dict.fromkeys(span.partition(":")[0] for span in source_spans(body)))


def source_spans(body: Body) -> list[str]:
    """``trace:span`` of every call that a state was compiled from, each once."""
    return list(dict.fromkeys(span for state in body.states.values() for span in state.derived_from))


def history_of(entry: Entry, judged: Judged) -> dict[str, Any]:
    """What an export tells of a body: where it came from, what was decided, on which evidence."""
    found = entry.evidence
    figures = {
        "executions": len(found.executions),
        "ok": found.count("ok"),
        "failed": found.count("failed"),
        "shadows": len(found.shadows),
        "distinct_inputs": found.distinct_inputs,
    }
    said = {
        "hash": entry.hash,
        "version": entry.version,
        "status": entry.status,
        "origin": entry.origin,
        "parent": entry.parent,
        "decisions": [_decision(one) for one in entry.decisions],
        "gates": [one.model_dump(mode="json", exclude_none=True) for one in judged.figures],
        "evidence": figures,
        "report": entry.report,
        "before": entry.history,
    }
    return {key: value for key, value in said.items() if value is not None}


def _earlier(one: Entry) -> Earlier:
    decisions = [_decision(made) for made in one.decisions]
    return Earlier(ref=one.ref, hash=one.hash, status=one.status, why=one.why, decisions=decisions)


def _decision(one: Decision) -> dict[str, Any]:
    return one.document() | ({} if one.here else {"here": False})


def _state(entry: Entry, name: str, state: State, steps: Mapping[str, tuple[str, int]]) -> StateWhy:
    told = _reported(entry.report, name)
    arguments = {str(one.get("name")): one for one in _dicts(told.get("arguments"))}
    document = state.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    support, runs = told.get("support"), len(source_runs(entry.body))
    return StateWhy(
        name=name,
        action=state.action,
        calls=state.tool or state.python or (state.playbook.name if state.playbook else None),
        derived_from=[_step(span, steps) for span in state.derived_from],
        support=f"{support} of {runs} runs" if isinstance(support, int) and runs else None,
        values=[
            Bound(path=path, value=value, inferred=_inferred(_argument(arguments, path)))
            for key in _BOUND
            if key in document
            for path, value in _leaves(document[key], key)
            if key == "args" or (isinstance(value, str) and _BINDING in value)
        ],
        guards=[str(one) for one in told.get("guards") or ()],
        failures=[
            Failed(run_id=one.run_id, at=one.at, guard=one.guard, reason=one.reason)
            for one in entry.evidence.executions
            if one.stopped_at == name and one.became != "ok"
        ],
    )


def _reported(report: Any, state: str) -> Mapping[str, Any]:
    states = report.get("states") if isinstance(report, Mapping) else None
    return next((one for one in _dicts(states) if one.get("name") == state), {})


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, Sequence) else []


def _argument(arguments: Mapping[str, Mapping[str, Any]], path: str) -> Mapping[str, Any] | None:
    """What was told of the argument at a path such as ``args.items[0]``; of the whole argument, if not of the part."""
    key, _, inside = path.partition(".")
    return (arguments.get(inside) or arguments.get(re.split(r"[.\[]", inside)[0])) if key == "args" else None


def _inferred(argument: Mapping[str, Any] | None) -> str | None:
    if argument is None:
        return None
    support, runs = argument.get("support"), argument.get("runs")
    parts = [str(argument[key]) for key in ("how", "why") if argument.get(key)]
    if support is not None and runs is not None:
        parts.append(f"{support} of {runs} runs")
    if argument.get("doubt"):
        parts.append(f"look at it: {argument['doubt']}")
    return "; ".join(parts) or None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    pairs: Iterable[tuple[str, Any]]
    if isinstance(value, Mapping) and value:
        pairs = ((f"{path}.{key}", one) for key, one in value.items())
    elif isinstance(value, list) and value:
        pairs = ((f"{path}[{at}]", one) for at, one in enumerate(value))
    else:
        yield path, value
        return
    for place, one in pairs:
        yield from _leaves(one, place)


def _step(span: str, steps: Mapping[str, tuple[str, int]]) -> SourceStep:
    found = steps.get(span)
    return SourceStep(span=span, run_id=found[0] if found else None, step=found[1] if found else None)
