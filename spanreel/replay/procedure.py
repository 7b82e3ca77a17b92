"""What a run says of the playbook that it is an execution of: which one, its parameters, the states it went through. Quiet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import Field

from spanreel.replay.frozen import Frozen
from spanreel.replay.moments import milliseconds, timestamp
from spanreel.wire import attributes as names
from spanreel.wire.conventions.values import count, parsed_fully

if TYPE_CHECKING:
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span


class StateVisit(Frozen):
    """A state that a run entered.

    Attributes:
        visit: the how-manieth time, from 1.
        inside: playbooks that it is a state of, below the one that was run, outermost first.
        next: the state that it led to; None: it was the last, or did not end.
        saved: the variables that it set.
        guard, reason: what stopped it.
        duration: milliseconds; None while it is open.
    """

    state: str
    visit: int = 1
    inside: list[str] = Field(default_factory=list[str])
    next: str | None = None
    saved: dict[str, Any] = Field(default_factory=dict[str, Any])
    guard: str | None = None
    reason: str | None = None
    started_at: str | None = None
    duration: float | None = None
    span_id: str


class ReplayPlaybook(Frozen):
    """Which playbook a run is an execution of.

    Attributes:
        hash: of its body. mode: strict, guided or shadow. params: that it was given. meta: what its body says of itself.
        states: in the order in which they were entered, those of playbooks inside included.
        guard, stopped_at, reason: what stopped it, at which state.
    """

    name: str
    hash: str | None = None
    mode: str | None = None
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    meta: dict[str, Any] = Field(default_factory=dict[str, Any])
    states: list[StateVisit] = Field(default_factory=list[StateVisit])
    guard: str | None = None
    stopped_at: str | None = None
    reason: str | None = None


def procedure(run: Run, spans: Mapping[str, Span]) -> ReplayPlaybook | None:
    """The playbook of a run; None where it is of none.

    Args:
        run: whose root says which.
        spans: of its trace, by id.
    """
    root = spans.get(run.root.span_id)
    if root is None or names.PLAYBOOK_NAME not in root.attributes:
        return None
    said = root.attributes
    visits = [
        _visit(span, spans)
        for record in run.records
        if (span := spans.get(record.span_id)) is not None and names.PLAYBOOK_VISIT in span.attributes
    ]
    prefix = names.PLAYBOOK_META
    return ReplayPlaybook(
        name=str(said[names.PLAYBOOK_NAME]),
        hash=_text(said.get(names.PLAYBOOK_HASH)),
        mode=_text(said.get(names.PLAYBOOK_MODE)),
        params=_object(said.get(names.PLAYBOOK_PARAMS)),
        meta={key[len(prefix) :]: parsed_fully(said[key]) for key in sorted(said) if key.startswith(prefix)},
        states=visits,
        guard=_text(said.get(names.PLAYBOOK_GUARD)),
        stopped_at=_text(said.get(names.PLAYBOOK_STOPPED_AT)),
        reason=_text(said.get(names.PLAYBOOK_REASON)),
    )


def _visit(span: Span, spans: Mapping[str, Span]) -> StateVisit:
    said = span.attributes
    return StateVisit(
        state=str(said.get(names.PLAYBOOK_STATE, "")),
        visit=count(said.get(names.PLAYBOOK_VISIT)) or 1,
        inside=_inside(span, spans),
        next=_text(said.get(names.PLAYBOOK_NEXT)),
        saved=_object(said.get(names.PLAYBOOK_SAVED)),
        guard=_text(said.get(names.PLAYBOOK_GUARD)),
        reason=_text(said.get(names.PLAYBOOK_REASON)),
        started_at=timestamp(span.start_ns),
        duration=milliseconds(span.start_ns, span.end_ns),
        span_id=span.span_id,
    )


def _inside(span: Span, spans: Mapping[str, Span]) -> list[str]:
    found: list[str] = []
    seen = {span.span_id}
    above = spans.get(span.parent_span_id or "")
    while above is not None and above.span_id not in seen:
        seen.add(above.span_id)
        name = above.attributes.get(names.PLAYBOOK_NAME)
        if name is not None and above.parent_span_id in spans:
            found.insert(0, str(name))
        above = spans.get(above.parent_span_id or "")
    return found


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _object(value: Any) -> dict[str, Any]:
    found = parsed_fully(value)
    return dict(found) if isinstance(found, Mapping) else {}
