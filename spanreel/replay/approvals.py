"""LOUD: decide about a gate that a run waits at, in any process that has the store.

A decision is a span below the gate's, in the same trace. Its id follows from the gate's, so that of two decisions about
one gate the store keeps the first, whoever made them at the same moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import BadInput, NotDecidable
from spanreel.location import resolve_store
from spanreel.replay.gates import APPROVED, REJECTED, Gate, gates
from spanreel.wire import attributes as names
from spanreel.wire.spans import Link, Resource, Scope, Span

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.collector.store import Reader
    from spanreel.instrument.responder import Decision
    from spanreel.wire.grouping import Run


@dataclass(frozen=True, slots=True)
class Rules:
    """What a project asks of every decision: keys that its actor must have, and whether it needs a reason."""

    required_actor_keys: tuple[str, ...] = ()
    require_reason: bool = False

    def with_more(self, keys: Sequence[str], require_reason: bool) -> Rules:
        """These rules, and what is asked besides."""
        return Rules(
            tuple(dict.fromkeys((*self.required_actor_keys, *keys))), self.require_reason or require_reason
        )


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision that was made. run_id: of the run; gate: with the decision in it."""

    run_id: str
    gate: Gate

    @property
    def decision(self) -> Decision:
        """What was decided."""
        assert self.gate.decision is not None
        return self.gate.decision


def gates_of(reader: Reader, run: Run) -> list[Gate]:
    """Every gate that a stored run has come to, in order."""
    traces = [segment.trace_id for segment in run.segments] or [run.trace_id]
    inside = {record.span_id for record in run.records} if not run.segments and ":" in run.run_id else None
    return gates(
        [span for span in reader.spans(trace) if inside is None or _belongs(span, inside)] for trace in traces
    )


def pending(run: str, store: str | os.PathLike[str] | None = None) -> list[Gate]:
    """The gates of a run that nobody has decided about.

    Raises:
        UnknownRun, AmbiguousRun, StoreError: there is no such run, or the store cannot be read.
    """
    from spanreel.collector.store import open_reader

    with open_reader(resolve_store(store)) as reader:
        return [gate for gate in gates_of(reader, reader.resolve(run)) if gate.decision is None]


def decide(
    store: str | os.PathLike[str] | None,
    run: str,
    approval_id: str | None = None,
    *,
    approved: bool,
    reason: str | None = None,
    actor: Any = None,
    required_actor_keys: Sequence[str] = (),
    require_reason: bool = False,
) -> Decided:
    """Approve or reject what a run waits for; durable when this returns. The run goes on when it is resumed.

    Args:
        store: where the run is; default: the project's.
        run: its name.
        approval_id: which gate; default: the only one that waits.
        approved: or rejected.
        reason: in words.
        actor: who decides: a name, or an object such as ``{"name": "…", "role": "…"}``.
        required_actor_keys: what the actor must tell; besides what `[tool.spanreel.approvals]` asks.
        require_reason: likewise.

    Raises:
        NotDecidable: nothing waits under that id, it has been decided, or actor or reason lack what is asked.
        UnknownRun, AmbiguousRun, StoreError: there is no such run, or the store cannot be written.
    """
    from spanreel.collector.store import open_reader, open_writer

    path = resolve_store(store)
    _check(rules(path).with_more(required_actor_keys, require_reason), reason, actor)
    with open_reader(path) as reader:
        found = reader.resolve(run)
        gate = _chosen(gates_of(reader, found), approval_id, found.run_id)
    span = _cleaned(_span(gate, approved, reason, actor), gate, path)
    with open_writer(path) as writer:
        if not writer.add([span]).new:
            raise _decided(gate, found.run_id)
    with open_reader(path) as reader:
        made = next(one for one in gates_of(reader, reader.run(found.run_id)) if _same(one, gate))
    return Decided(found.run_id, made)


def rules(store: Path) -> Rules:
    """What `[tool.spanreel.approvals]` in the project's pyproject.toml asks; the project is that of the working directory.

    Raises:
        BadInput: it cannot be read.
    """
    from spanreel.replay.project import settings

    said = settings("approvals")
    keys, reason = said.get("required_actor_keys", []), said.get("require_reason", False)
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or not isinstance(reason, bool)
    ):
        raise BadInput(
            "[tool.spanreel.approvals] in pyproject.toml is not as it should be",
            'write required_actor_keys = ["name", …] and require_reason = true',
        )
    return Rules(tuple(keys), reason)


def _check(asked: Rules, reason: str | None, actor: Any) -> None:
    if asked.require_reason and not (reason or "").strip():
        raise NotDecidable("a decision needs a reason here", "give one with --reason")
    given = actor if isinstance(actor, Mapping) else {"name": actor} if actor else {}
    missing = [key for key in asked.required_actor_keys if not given.get(key)]
    if missing:
        example = json.dumps(dict.fromkeys((*given, *missing), "…"), ensure_ascii=False)
        raise NotDecidable(
            f"the actor of a decision needs {', '.join(missing)} here", f"give --actor '{example}'"
        )


def _chosen(found: Sequence[Gate], approval_id: str | None, run_id: str) -> Gate:
    waiting = [gate for gate in found if gate.decision is None]
    fitting = [gate for gate in waiting if approval_id in (None, gate.id)]
    if approval_id is None and len({gate.id for gate in fitting}) > 1:
        raise NotDecidable(f"run {run_id[:12]} waits for {_names(waiting)}", "name one of them after the run")
    if fitting:
        return fitting[0]
    before = [gate for gate in found if approval_id in (None, gate.id)]
    if before and not (waiting and approval_id is None):
        raise _decided(before[-1], run_id)
    if waiting:
        raise NotDecidable(
            f"run {run_id[:12]} does not wait for {approval_id}", f"it waits for {_names(waiting)}"
        )
    raise NotDecidable(f"run {run_id[:12]} waits for no approval", f"spanreel show {run_id[:12]}")


def _decided(gate: Gate, run_id: str) -> NotDecidable:
    by = f" by {who(gate.decision.actor)}" if gate.decision is not None and gate.decision.actor else ""
    what = (
        f"was {gate.status}{by} before"
        if gate.decision is not None
        else "has just been decided by somebody else"
    )
    return NotDecidable(
        f"approval {gate.title} of run {run_id[:12]} {what}; a decision is final",
        f"spanreel resume {run_id[:12]}",
    )


def who(actor: Any) -> str:
    """An actor as people name it."""
    if isinstance(actor, Mapping):
        return str(actor.get("name") or json.dumps(actor, ensure_ascii=False))
    return str(actor)


def _names(found: Sequence[Gate]) -> str:
    return ", ".join(dict.fromkeys(gate.id for gate in found))


def _same(one: Gate, other: Gate) -> bool:
    return (one.id, one.occurrence) == (other.id, other.occurrence)


def _belongs(span: Span, inside: set[str]) -> bool:
    return span.span_id in inside or span.parent_span_id in inside


def decision_id(gate: Span) -> str:
    """The id of the span that decides about a gate."""
    return hashlib.sha256(f"decision\0{gate.trace_id}\0{gate.span_id}".encode()).hexdigest()[:16]


def _span(gate: Gate, approved: bool, reason: str | None, actor: Any) -> Span:
    now = time.time_ns()
    said = {
        names.APPROVAL_ID: gate.id,
        names.APPROVAL_STATUS: APPROVED if approved else REJECTED,
        names.APPROVAL_REASON: reason,
        names.APPROVAL_ACTOR: actor
        if actor is None or isinstance(actor, str)
        else json.dumps(actor, ensure_ascii=False, sort_keys=True),
        names.RUN_ID: gate.span.attributes.get(names.RUN_ID),
    }
    return written(f"approval decision {gate.id}", gate.span, decision_id(gate.span), now, said)


def written(name: str, parent: Span, span_id: str, now: int, said: Mapping[str, Any]) -> Span:
    """A span of ours about another one: below it, linked to it, at one moment."""
    from spanreel import version

    return Span(
        trace_id=parent.trace_id,
        span_id=span_id,
        name=name,
        parent_span_id=parent.span_id,
        start_ns=now,
        end_ns=now,
        attributes={key: value for key, value in said.items() if value is not None},
        links=(Link(parent.trace_id, parent.span_id),),
        resource=Resource({names.SERVICE_NAME: "spanreel", names.PROCESS_PID: os.getpid()}),
        scope=Scope(names.SCOPE, version.installed()),
    )


def _cleaned(span: Span, gate: Gate, store: Path) -> Span:
    """Without secrets, and at the capture level that the run was recorded at."""
    from spanreel.instrument.privacy import Privacy
    from spanreel.instrument.storekey import StoreKey
    from spanreel.wire.redaction import Redactor

    level = str(gate.span.attributes.get(names.CAPTURE_LEVEL, "full"))
    privacy = Privacy(level, Redactor(), StoreKey(store))
    return privacy.lowered(privacy.redacted(span), {}, {})
