"""A playbook's body, and a decision about one, as spans; and back.

Quiet. Their ids follow from what they are (see `wire.playbooks`): the same body is the same span, and of two decisions
that follow the same one the store keeps the first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from spanreel.replay.moments import timestamp
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.governance.lifecycle import Decision
from spanreel.wire import attributes as names
from spanreel.wire import playbooks
from spanreel.wire.content import canonical_json
from spanreel.wire.spans import Link, Resource, Scope, Span

ADDED = "added"


@dataclass(frozen=True, slots=True)
class Kept:
    """A body as its span tells it. here: it was added to this store, not brought in with other spans."""

    span: Span
    body: Body
    hash: str
    origin: str
    parent: str | None
    report: Any
    history: Any
    here: bool


def body_span(
    body: Body,
    body_hash: str,
    now: int,
    maker: tuple[Resource, Scope],
    *,
    origin: str,
    parent: str | None,
    report: Any,
    history: Any,
    actor: Any,
    reason: str | None,
) -> Span:
    """The span that keeps a body.

    Args:
        body: whole, with what tells where it came from.
        body_hash: its hash.
        now: nanoseconds since the epoch.
        maker: who writes it.
        origin: how it came to be.
        parent: hash of the body that it repairs.
        report: what the compiler said of it.
        history: what the file said that it was imported from.
        actor: who added it.
        reason: in words.
    """
    said = {
        names.PLAYBOOK_NAME: body.name,
        names.PLAYBOOK_HASH: body_hash,
        names.PLAYBOOK_BODY: json.dumps(body.document(), ensure_ascii=False, separators=(",", ":")),
        names.PLAYBOOK_ORIGIN: origin,
        names.PLAYBOOK_PARENT: parent,
        names.PLAYBOOK_REPORT: None if report is None else canonical_json(report),
        names.PLAYBOOK_HISTORY: None if history is None else canonical_json(history),
        names.DECISION: ADDED,
        names.DECISION_ACTOR: _text(actor),
        names.DECISION_REASON: reason,
    }
    return Span(
        trace_id=playbooks.trace_of(body.name),
        span_id=playbooks.body_id(body_hash),
        name=f"playbook {body.name}",
        start_ns=now,
        end_ns=now,
        attributes={key: value for key, value in said.items() if value is not None},
        resource=maker[0],
        scope=maker[1],
    )


def decision_span(
    kept: Kept, after: str, now: int, maker: tuple[Resource, Scope], decision: Decision
) -> Span:
    """The span of a decision about a body.

    Args:
        kept: the body.
        after: what its id follows from.
        now: nanoseconds since the epoch.
        maker: who writes it.
        decision: what was decided.
    """
    trace, parent = kept.span.trace_id, kept.span.span_id
    said = {
        names.PLAYBOOK_NAME: kept.body.name,
        names.PLAYBOOK_HASH: kept.hash,
        names.DECISION: decision.kind,
        names.DECISION_FROM: decision.from_,
        names.DECISION_TO: decision.to,
        names.DECISION_ACTOR: _text(decision.actor),
        names.DECISION_REASON: decision.reason,
        names.DECISION_GATES: canonical_json(list(decision.gates)) if decision.gates else None,
        names.DECISION_FORCED: decision.forced or None,
        names.DECISION_RUNS: list(decision.runs) or None,
    }
    return Span(
        trace_id=trace,
        span_id=playbooks.decision_id(after, trace),
        name=f"playbook {kept.body.name}: {decision.kind}",
        parent_span_id=parent,
        start_ns=now,
        end_ns=now,
        attributes={key: value for key, value in said.items() if value is not None},
        links=(Link(trace, parent),),
        resource=maker[0],
        scope=maker[1],
    )


def kept_of(span: Span, here: bool) -> Kept | str:
    """The body that a span keeps; else what is wrong with it, in words."""
    said = span.attributes
    name, body_hash = said.get(names.PLAYBOOK_NAME), str(said.get(names.PLAYBOOK_HASH))
    try:
        body = Body.model_validate_json(str(said.get(names.PLAYBOOK_BODY)))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return f"a body of playbook {name} cannot be read ({where}: {first['msg']})"
    if body.hash != body_hash or body.name != name or span.span_id != playbooks.body_id(body_hash):
        return f"a body of playbook {name} is not what its hash {body_hash[:19]} says"
    parent = said.get(names.PLAYBOOK_PARENT)
    return Kept(
        span=span,
        body=body,
        hash=body_hash,
        origin=str(said.get(names.PLAYBOOK_ORIGIN) or "handwritten") if here else "imported",
        parent=str(parent) if parent else None,
        report=_json(said.get(names.PLAYBOOK_REPORT)),
        history=_json(said.get(names.PLAYBOOK_HISTORY)),
        here=here,
    )


def decision_of(span: Span, here: bool) -> Decision:
    """The decision that a span keeps; that of a body is its being added."""
    said: Mapping[str, Any] = span.attributes
    gates = _json(said.get(names.DECISION_GATES))
    runs = said.get(names.DECISION_RUNS)
    return Decision(
        kind=str(said.get(names.DECISION)),
        from_=_word(said.get(names.DECISION_FROM)),
        to=_word(said.get(names.DECISION_TO)),
        actor=_actor(said.get(names.DECISION_ACTOR)),
        reason=_word(said.get(names.DECISION_REASON)),
        gates=tuple(one for one in gates if isinstance(one, dict)) if isinstance(gates, list) else (),
        forced=said.get(names.DECISION_FORCED) is True,
        at=timestamp(span.start_ns),
        runs=tuple(map(str, runs)) if isinstance(runs, Sequence) and not isinstance(runs, str) else (),
        here=here,
    )


def _text(actor: Any) -> str | None:
    return actor if actor is None or isinstance(actor, str) else canonical_json(actor)


def _actor(said: Any) -> Any:
    if isinstance(said, str) and said.startswith("{"):
        found = _json(said)
        return said if found is None else found
    return _word(said)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _json(text: Any) -> Any:
    if not isinstance(text, str):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
