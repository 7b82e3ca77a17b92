"""What a body may be, and what leads from one status to another: one table. `draw_lifecycle.py` of the docs draws it.

Quiet. The status of a body is computed: the decisions about it in order, then the evidence since it became active.
Nothing here decides whether a gate is passed, see `promotion`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, get_args

from spanreel.exceptions import NotDecidable

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.evidence import Evidence, Executed

Status: TypeAlias = Literal[
    "candidate", "shadow", "active", "needs_repair", "review", "disabled", "retired", "rejected"
]
STATUSES: Final = get_args(Status)
Who: TypeAlias = Literal["gates", "reviewer", "evidence", "anyone", "library"]
"""gates: whoever asks, where the gates pass, or with --force and a reason; library: follows from another decision."""


@dataclass(frozen=True, slots=True)
class Transition:
    """On `event`, a body that is `before` becomes `after`; `who` may bring that about."""

    before: Status | None
    event: str
    after: Status
    who: Who


TRANSITIONS: Final = (
    Transition(None, "added", "candidate", "anyone"),
    Transition(None, "added as a repair", "review", "anyone"),
    Transition("candidate", "promote", "shadow", "anyone"),
    Transition("candidate", "promote", "active", "gates"),
    Transition("shadow", "promote", "active", "gates"),
    Transition("active", "fails", "needs_repair", "evidence"),
    Transition("active", "demote", "needs_repair", "anyone"),
    Transition("needs_repair", "promote", "active", "gates"),
    Transition("review", "review", "shadow", "reviewer"),
    Transition("review", "review", "candidate", "reviewer"),
    Transition("review", "review", "rejected", "reviewer"),
    Transition("active", "superseded", "retired", "library"),
    Transition("needs_repair", "superseded", "retired", "library"),
    Transition("candidate", "disable", "disabled", "anyone"),
    Transition("shadow", "disable", "disabled", "anyone"),
    Transition("active", "disable", "disabled", "anyone"),
    Transition("needs_repair", "disable", "disabled", "anyone"),
    Transition("disabled", "enable", "candidate", "anyone"),
    Transition("candidate", "retire", "retired", "anyone"),
    Transition("shadow", "retire", "retired", "anyone"),
    Transition("active", "retire", "retired", "anyone"),
    Transition("needs_repair", "retire", "retired", "anyone"),
    Transition("disabled", "retire", "retired", "anyone"),
    Transition("retired", "promote", "shadow", "anyone"),
    Transition("retired", "promote", "active", "gates"),
)
"""All there is. A body in review becomes what its reviewer says, once; a rejected one stays so."""
EVENTS: Final = tuple(dict.fromkeys(one.event for one in TRANSITIONS if one.who != "evidence" and one.before))
_ROWS: Final[dict[tuple[str | None, str, str], Transition]] = {
    (one.before, one.event, one.after): one for one in TRANSITIONS
}
REMARKS: Final = frozenset({"hook", "exported", "repair", "counterexample", "validated"})
"""Kinds of decisions that change no status: what is told of a body, and kept with it."""
DISPATCHABLE: Final = frozenset({"active"})
"""What dispatch may pick."""
LIVE: Final = frozenset({"active", "needs_repair"})
"""What was promoted and not taken back: at most one for each name, and for each set of matchers."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about a body, or remarked on it.

    kind: an event of the table, or one of `REMARKS`. from_, to: statuses. actor: a name or an object. gates: figures of
    each gate, see `promotion.GateFigure`. forced: the gates said no. at: RFC 3339 UTC. runs: ids that it is about.
    here: made with this store; what came with spans from elsewhere is history, and changes no status.
    """

    kind: str
    from_: str | None = None
    to: str | None = None
    actor: Any = None
    reason: str | None = None
    gates: tuple[dict[str, Any], ...] = ()
    forced: bool = False
    at: str | None = None
    runs: tuple[str, ...] = ()
    here: bool = True

    def document(self) -> dict[str, Any]:
        """As JSON."""
        said = {
            "kind": self.kind, "from": self.from_, "to": self.to, "actor": self.actor, "reason": self.reason,
            "gates": list(self.gates) or None, "forced": self.forced or None, "at": self.at, "runs": list(self.runs) or None,
        }  # fmt: skip
        return {key: value for key, value in said.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Demotion:
    """When evidence takes a body out of use.

    after_stops: so many executions that failed, one after the other. max_failure_ratio: of the last `window` ones, once
    there are `least`.
    """

    after_stops: int = 2
    max_failure_ratio: float = 0.3
    window: int = 20
    least: int = 5


def transition(status: str, event: str, to: str | None) -> Transition:
    """The row of the table.

    Args:
        status: of the body now.
        event: what happens.
        to: the status that is asked for; None: the only one that there is.

    Raises:
        NotDecidable: there is no such row.
    """
    rows = [
        one for one in TRANSITIONS if one.before == status and one.event == event and one.who != "evidence"
    ]
    fitting = [one for one in rows if to in (None, one.after)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise NotDecidable(
            f"{event} of a {status} body leads to {_either(one.after for one in fitting)}", "say which: --to"
        )
    if rows:
        found = _either(one.after for one in rows)
        raise NotDecidable(
            f"{event} of a {status} body leads to {found}, not to {to}", f"--to {rows[0].after}"
        )
    possible = sorted(
        {one.event for one in TRANSITIONS if one.before == status and one.who not in ("evidence", "library")}
    )
    what = f"what can: {', '.join(possible)}" if possible else "its status is final; add another body"
    raise NotDecidable(f"{event} cannot happen to a body that is {status}", what)


def decided(decisions: Iterable[Decision], *, repair: bool) -> tuple[Status, Decision | None]:
    """The status after these decisions, in order, and the one that led to it. Those that fit no row are passed over.

    Args:
        decisions: about one body.
        repair: it was made from another one, and begins in review.
    """
    status: Status = "review" if repair else "candidate"
    last: Decision | None = None
    for one in decisions:
        if not one.here or one.kind not in EVENTS:
            continue
        if one.from_ == "needs_repair" and status == "active":  # evidence had taken it out of use by then
            status = "needs_repair"
        row = _ROWS.get((status, one.kind, one.to or ""))
        if row is not None:
            status, last = row.after, one
    return status, last


def demoted(since: Evidence, rule: Demotion) -> tuple[Executed, str] | None:
    """The execution at which evidence took a body out of use, and why; None: it did not.

    It stays so until somebody decides, whatever came later.

    Args:
        since: evidence since it became active; shadows, and what says nothing of the world, are passed over.
        rule: when that is.
    """
    recent: list[Executed] = []
    in_a_row = 0
    for one in since.live:
        if one.became not in ("ok", "failed"):
            continue
        failed = one.became == "failed"
        in_a_row = in_a_row + 1 if failed else 0
        recent = [*recent, one][-rule.window :]
        if in_a_row >= rule.after_stops:
            times = "an execution" if in_a_row == 1 else f"{in_a_row} executions in a row"
            return one, f"{one.why} ({times} failed)"
        share = sum(each.became == "failed" for each in recent) / len(recent)
        if failed and len(recent) >= rule.least and share > rule.max_failure_ratio:
            bad = sum(each.became == "failed" for each in recent)
            return one, f"{one.why} ({bad} of the last {len(recent)} executions failed)"
    return None


def _either(words: Iterable[str]) -> str:
    found: Sequence[str] = list(words)
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} or {found[-1]}"
