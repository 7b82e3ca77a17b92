"""Repair: the smallest patch after which a body and a run agree. What comes out waits for a review; nothing else changes.

Quiet. Each rule proposes (`rules`), each proposal is held against the run (`fitting`, by the one comparison), and the
smallest that brings it further is kept, again and again until they agree. Where two proposals bring it equally far and
are equally small, nobody knows which is right, and none is taken. What no rule can mend is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pydantic import Field, ValidationError

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.asks import Failure
from spanreel.replay.playbooks.body import Body, Json
from spanreel.replay.playbooks.repairs.case import Case, Proposal, Rule
from spanreel.replay.playbooks.repairs.difference import difference
from spanreel.replay.playbooks.repairs.fitting import Fit, fit
from spanreel.replay.playbooks.repairs.rules import EXPLAINING, RULES
from spanreel.replay.playbooks.shadows.scoring import Safeties
from spanreel.replay.timeline import Frozen
from spanreel.wire.content import canonical_json

ROUNDS: Final = 12
"""Changes that are made one after the other, at most."""


class NotRepairable(SpanreelError):
    """No repairer knows what would make a body fit; says where it stopped, and why."""


class Change(Frozen):
    """One step of a repair. rule: what proposed it; why: in words; flags: what a person should look at."""

    rule: str
    state: str
    why: str
    flags: list[str] = Field(default_factory=list[str])


class Repair(Frozen):
    """A repaired body, and how it came to be.

    Attributes:
        clean: it comes to its end over the run, and writes what the run wrote. False: the run shows no more than the
            failure, and what follows the repaired state has been seen by nobody.
        patch: the JSON Patch that makes it of its parent.
        run_id: the run that it was held against.
        model_calls: that it took to find it.
    """

    schema_: Literal["spanreel.playbook_repair.v1"] = Field(
        default="spanreel.playbook_repair.v1", alias="schema"
    )
    name: str
    parent: str
    hash: str
    origin: str = "repair:rule"
    clean: bool = False
    run_id: str | None = None
    model_calls: int = 0
    changes: list[Change] = Field(default_factory=list[Change])
    patch: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    body: dict[str, Any] = Field(default_factory=dict[str, Any])

    @property
    def flags(self) -> list[str]:
        """Everything that a person should look at."""
        return list(dict.fromkeys(flag for change in self.changes for flag in change.flags))


@dataclass(frozen=True, slots=True)
class Tried:
    """A proposal held against the run."""

    proposal: Proposal
    body: Body
    fit: Fit
    rank: tuple[Any, ...]
    size: tuple[bool, int, int]


def repaired(case: Case, safeties: Safeties, rules: Sequence[Rule] = RULES) -> Repair:
    """The smallest repair of a body.

    Args:
        case: the body, and the run that it does not fit.
        safeties: which tools write.
        rules: that may propose.

    Raises:
        NotRepairable: no proposal brings it further, or several do and nobody can tell which is right.
    """
    start = case.body
    made: list[Change] = []
    for _ in range(ROUNDS):
        if case.fit.clean:
            break
        best = _best(case, safeties, rules)
        if best is None:
            break
        made.append(_change(best.proposal, best.fit, case))
        case = replace(case, body=best.body, fit=best.fit)
    if not made:
        raise NotRepairable(*_unmended(case))
    if case.shown.ok and not case.fit.clean:
        raise NotRepairable(*_unmended(case, made))
    return outcome(start, case.body, made, clean=case.fit.clean, run_id=case.shown.replay.run_id)


def outcome(
    parent: Body,
    body: Body,
    made: Sequence[Change],
    *,
    clean: bool,
    run_id: str | None,
    origin: str = "repair:rule",
) -> Repair:
    """What a repair came to; the new body tells where it comes from."""
    notes = [*parent.notes, *(f"{change.rule}: {change.why}" for change in made)]
    whole = body.model_copy(update={"origin": origin, "notes": notes})
    return Repair(
        name=whole.name,
        parent=parent.hash,
        hash=whole.hash,
        origin=origin,
        clean=clean,
        run_id=run_id,
        changes=list(made),
        patch=bare_difference(parent, whole),
        body=whole.document(),
    )


def bare_difference(a: Body, b: Body) -> list[Json]:
    """The patch from one body to another, without what only tells where a part came from."""
    states = {
        name: state.model_copy(
            update={"derived_from": a.states[name].derived_from if name in a.states else state.derived_from}
        )
        for name, state in b.states.items()
    }
    told = {"origin": a.origin, "notes": a.notes, "derived_from": a.derived_from, "states": states}
    return difference(a, b.model_copy(update=told))


def _change(proposal: Proposal, found: Fit, case: Case) -> Change:
    unverified = [] if case.shown.ok or found.clean else ["unverified"]
    return Change(
        rule=proposal.rule, state=proposal.state, why=proposal.why, flags=[*proposal.flags, *unverified]
    )


def _best(case: Case, safeties: Safeties, rules: Sequence[Rule]) -> Tried | None:
    """The smallest of the proposals that bring it furthest; None: none does.

    Raises:
        NotRepairable: two that are equally small do, with the same rule.
    """
    here = _rank(case, case.fit)
    tried: list[Tried] = []
    for rule in rules:
        for proposal in rule(case):
            found = _tried(case, proposal, safeties)
            if (
                found is not None
                and found.rank > here
                and found.body.hash not in {one.body.hash for one in tried}
            ):
                tried.append(found)
    if not tried:
        return None
    furthest = max(one.rank for one in tried)
    among = sorted((one for one in tried if one.rank == furthest), key=lambda one: one.size)
    first = among[0]
    equals = [one for one in among[1:] if one.proposal.rule == first.proposal.rule and one.size == first.size]
    if equals:
        ways = "; or ".join(one.proposal.why for one in (first, *equals))
        raise NotRepairable(
            f"state {first.proposal.state} could be repaired in {len(equals) + 1} ways: {ways}",
            "show the new way: --like RUN, or say it: --patch FILE",
        )
    return first


def _tried(case: Case, proposal: Proposal, safeties: Safeties) -> Tried | None:
    try:
        body = Body.model_validate(proposal.document)
    except ValidationError:
        return None
    found = fit(body, case.shown, case.signatures, safeties)
    patch = bare_difference(case.body, body)
    size = (
        proposal.rule not in EXPLAINING,
        len(proposal.flags) + len(patch),
        len(canonical_json(patch)),
    )
    return Tried(proposal, body, found, _rank(replace(case, body=body), found), size)


def _rank(case: Case, found: Fit) -> tuple[Any, ...]:
    """How far a body comes, to be compared: clean before all, then what it writes as the run did, then how far it walks."""
    writes = found.score.writes
    through = sum(found.served[name].error is None for name in found.served)
    if not case.shown.ok:
        return (found.walked is not None, through, _may_go_on(case, found))
    in_order = found.score.first_divergence is None or found.score.first_divergence.kind != "reordered"
    return (
        found.clean,
        writes.same - writes.changed - writes.extra - writes.missing,
        through,
        found.failure is None,
        in_order,
    )


def _may_go_on(case: Case, found: Fit) -> bool:
    """Of a failed run: whether the state where it stopped would now make a call that the tool takes."""
    if found.asked is None or found.failure is not None:
        return found.failure is None
    known = (case.signatures or {}).get(found.asked.tool)
    if known is None:
        return case.signatures is None
    args = found.asked.args
    return known.takes(args if isinstance(args, dict) else {})


def _unmended(case: Case, made: Sequence[Change] = ()) -> tuple[str, str]:
    """What is said where no rule helps: the message and the remedy."""
    found = case.fit
    so_far = f" after {len(made)} changes ({'; '.join(change.why for change in made)})" if made else ""
    failure: Failure | None = found.failure or case.failure
    if found.lacked:
        return f"{found.lacked}{so_far}", "say what to change: --patch FILE"
    if found.asked is not None and found.failure is None:
        did = found.score.first_divergence
        what = f"; {did.reason}" if did is not None else ""
        message = f"state {found.asked.state} calls {found.asked.tool} with what the run does not have{what}"
        return (
            f"no rule explains it{so_far}: {message}",
            "show the new way: --like RUN, or say it: --patch FILE",
        )
    if failure is not None:
        message = f"no rule explains it{so_far}: state {failure.state}: {failure.guard}: {failure.reason}"
        if failure.guard == "call" and case.signatures is not None:
            message += "; the tool is there and takes these arguments, so it may be the data that changed"
        return message, "show the new way: --like RUN, or say it: --patch FILE"
    did = found.score.first_divergence
    return (
        f"no rule explains it{so_far}: {did.reason if did else 'the playbook and the run agree already'}",
        "say what to change: --patch FILE",
    )
