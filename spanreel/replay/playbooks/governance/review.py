"""LOUD: a person's decision about a body in review, once and for all; before it, the body in the shadow of what is recorded.

Shadow validation walks the new body over the run that shows the new way, over the runs that its parent was compiled
from, and over the counterexamples. The first has to be the same; what the repair did not touch has to be as it was; no
counterexample may come about again. The figures stay with the decision. Approval makes it a shadow, not the active one:
that only the gates of promotion do.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field

from spanreel.exceptions import NotDecidable, Refused, SpanreelError, UnknownPlaybook, UnknownRun
from spanreel.replay.playbooks.governance.counterexamples import KIND, Counterexample, counterexamples
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.repairs.fitting import Shown, fit
from spanreel.replay.playbooks.repairs.repairing import params_of, sources_of, touched_states
from spanreel.replay.playbooks.shadows.shadow import Shadowed, recorded_to, safeties_of, shadow
from spanreel.replay.timeline import Frozen, Replay

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.governance.shelf import Entry

Role: TypeAlias = Literal["shows the new way", "source", "counterexample"]


class Validated(Frozen):
    """What the new body did over one recorded run.

    Attributes:
        verdict: of the shadow (same, diverged, stopped, not_answered); of a counterexample: repeated or not_repeated.
        passed: as far as this run goes, nothing speaks against it.
        why: in words.
        shadow_run_id: the recorded walk.
    """

    run_id: str
    role: Role
    verdict: str
    passed: bool
    score: float | None = None
    why: str = ""
    shadow_run_id: str | None = None

    def figure(self) -> dict[str, Any]:
        """As it stays with the decision, in the form of a gate's figure."""
        return {
            "gate": f"shadow of {self.run_id[:12]} ({self.role})",
            "wanted": "not_repeated" if self.role == "counterexample" else "same",
            "found": self.verdict,
            "passed": self.passed,
            "text": f"{self.role} {self.run_id[:12]}: {self.verdict}" + (f", {self.why}" if self.why else ""),
        }


class Reviewed(Frozen):
    """`spanreel playbook review --json`. validated: None with --no-shadow, that is: nothing was looked at."""

    schema_: Literal["spanreel.playbook_review.v1"] = Field(
        default="spanreel.playbook_review.v1", alias="schema"
    )
    name: str
    version: int
    hash: str
    decision: Literal["approved", "rejected"]
    status: str
    actor: Any = None
    reason: str
    parent: str | None = None
    active: str | None = None
    validated: list[Validated] | None = None
    counterexamples: list[Counterexample] = Field(default_factory=list[Counterexample])
    promoted: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """A person's decision.

    Attributes:
        approve: else it is rejected.
        reason: in words; there has to be one.
        actor: who: a name or an object.
        validate: walk it over the recorded runs first; what speaks against it refuses an approval.
        promote: make it the active one afterwards, if the gates let it.
        params: of the playbook over runs whose input does not tell them.
        over: more runs to walk over; each has to be the same.
    """

    approve: bool
    reason: str | None
    actor: Any = None
    validate: bool = True
    promote: bool = False
    params: Mapping[str, Any] | None = None
    over: Sequence[str] = field(default_factory=tuple)


def review(ref: str, verdict: Verdict, store: str | os.PathLike[str] | Library | None = None) -> Reviewed:
    """Approve or reject a body that waits for a review; final.

    Raises:
        UnknownPlaybook: there is none of that name.
        NotDecidable: it is not in review, was reviewed before, or no reason or nobody is named.
        Refused: what is recorded speaks against an approval, or the gates against a promotion.
    """
    library = store if isinstance(store, Library) else Library(store)
    entry = waiting(library, ref)
    _said(verdict, entry)
    against = counterexamples(library.entries(entry.name), entry)
    validated = validate(entry, library, verdict, against) if verdict.approve and verdict.validate else None
    failed = [one for one in validated or () if not one.passed]
    if failed:
        text = "; ".join(one.figure()["text"] for one in failed)
        raise Refused(
            f"{entry.ref} is not approved: {text}",
            f"look at it: spanreel playbook why {entry.ref}; or --no-shadow, or --reject",
        )
    decided = library.decide(
        entry,
        "review",
        to="shadow" if verdict.approve else "rejected",
        reason=verdict.reason,
        actor=verdict.actor,
        gates=[one.figure() for one in validated or ()],
        runs=[one.run_id for one in validated or ()],
    )
    if verdict.approve and verdict.promote:
        from spanreel.replay.playbooks.governance.promoting import promote

        why = f"approved: {verdict.reason}"
        decided = promote(f"{entry.name}@{entry.short}", reason=why, actor=verdict.actor, store=library).entry
    return Reviewed(
        name=decided.name,
        version=decided.version,
        hash=decided.hash,
        decision="approved" if verdict.approve else "rejected",
        status=decided.status,
        actor=verdict.actor,
        reason=(verdict.reason or "").strip(),
        parent=decided.parent,
        active=_active(library, decided.name),
        validated=validated,
        counterexamples=against,
        promoted=decided.status == "active",
    )


def waiting(library: Library, ref: str) -> Entry:
    """The body that a review is of: of a name alone the one that waits.

    Raises:
        UnknownPlaybook: there is none of that name.
        NotDecidable: it does not wait for a review, or several of that name do.
    """
    if "@" not in ref and library.entries(ref):
        found = [one for one in library.entries(ref) if one.status == "review"]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            refs = ", ".join(one.ref for one in found)
            raise NotDecidable(f"several bodies of {ref} wait for a review: {refs}", "name one of them")
    entry = library.get(ref)
    before = next((one for one in entry.decisions if one.kind == "review"), None)
    if before is not None:
        raise NotDecidable(
            f"{entry.ref} was reviewed before ({before.to}); a review is final",
            f"spanreel playbook why {entry.ref}",
        )
    if entry.status != "review":
        raise NotDecidable(
            f"{entry.ref} is {entry.status}, and waits for no review", "spanreel playbook list"
        )
    return entry


def _said(verdict: Verdict, entry: Entry) -> None:
    if not (verdict.reason or "").strip():
        raise NotDecidable(f"a review of {entry.ref} needs a reason", "give one with --reason")
    if not verdict.actor:
        raise NotDecidable(f"a review of {entry.ref} needs somebody who decides", "say who with --actor")


def validate(
    entry: Entry, library: Library, verdict: Verdict, against: Sequence[Counterexample]
) -> list[Validated]:
    """The body over what is recorded; runs that the store has not any more are passed over."""
    parent = _parent(entry, library)
    shows = _shows(entry)
    found: list[Validated] = []
    with recorded_to(library.path):
        for name, replay in _loaded([*shows, *verdict.over], library):
            if replay.status == "completed" and replay.outcome.get("success") is not False:
                found.append(_same(entry.body, name, replay, verdict, library))
        for name, replay in _loaded(sources_of(parent.body if parent else entry.body), library):
            if name not in {one.run_id for one in found}:
                found.append(_unharmed(entry, parent, name, replay, library))
    for one in against:
        for _, replay in _loaded([one.run_id], library):
            found.append(_repeated(entry, parent, one, replay))
    return found


def _shows(entry: Entry) -> list[str]:
    """The run that the repair was held against, and those that were named when it was made."""
    report: Any = entry.report
    held = report.get("run_id") if isinstance(report, Mapping) else None
    return [held] if isinstance(held, str) else []


def _parent(entry: Entry, library: Library) -> Entry | None:
    if entry.parent is None:
        return None
    try:
        return library.get(entry.parent)
    except UnknownPlaybook:  # it came from another store
        return None


def _loaded(names: Sequence[str], library: Library) -> list[tuple[str, Replay]]:
    from spanreel.replay.load import load

    found: dict[str, Replay] = {}
    for name in dict.fromkeys(names):
        try:
            replay = load(name, library.path)
        except UnknownRun:
            continue
        found.setdefault(replay.run_id, replay)
    return list(found.items())


def _shadowed(
    body: Body, replay: Replay, given: Mapping[str, Any] | None, library: Library
) -> Shadowed | str:
    """The shadow of a run, or why there is none."""
    try:
        return shadow(body, replay, params_of(body, replay, given), store=library.path)
    except SpanreelError as error:
        return str(error.args[0])


def _same(body: Body, run_id: str, replay: Replay, verdict: Verdict, library: Library) -> Validated:
    found = _shadowed(body, replay, verdict.params, library)
    if isinstance(found, str):
        return Validated(
            run_id=run_id, role="shows the new way", verdict="not_answered", passed=False, why=found
        )
    return Validated(
        run_id=run_id, role="shows the new way", verdict=found.verdict, passed=found.ok, score=found.score,
        why=_why(found), shadow_run_id=found.run_id,
    )  # fmt: skip


def _unharmed(entry: Entry, parent: Entry | None, run_id: str, replay: Replay, library: Library) -> Validated:
    """A run of the world as it was: the repair may part from it where it was made, and nowhere else."""
    found = _shadowed(entry.body, replay, None, library)
    if isinstance(found, str):
        return Validated(run_id=run_id, role="source", verdict="not_answered", passed=True, why=found)
    touched = touched_states(parent.body, entry.body) if parent else set[str]()
    at = _where(found)
    before = _shadowed(parent.body, replay, None, library) if parent and not found.ok else None
    was_same = isinstance(before, Shadowed) and before.ok
    passed = found.ok or at in touched or not was_same
    why = _why(found)
    if not found.ok and passed:
        why += ", which the repair changed" if at in touched else ", as its parent does"
    return Validated(
        run_id=run_id, role="source", verdict=found.verdict, passed=passed, score=found.score, why=why,
        shadow_run_id=found.run_id,
    )  # fmt: skip


def _where(found: Shadowed) -> str | None:
    halted = found.unanswered or found.stopped
    if halted is not None:
        return halted.state
    return found.first_divergence.state if found.first_divergence else None


def _why(found: Shadowed) -> str:
    halted = found.unanswered or found.stopped
    if halted is not None:
        return f"at {halted.state}: {halted.reason}"
    return found.first_divergence.reason if found.first_divergence else ""


def _repeated(entry: Entry, parent: Entry | None, known: Counterexample, replay: Replay) -> Validated:
    """Whether a body would do again what went wrong: make the call that failed, be stopped as it was, or write the same.

    An execution that failed at a state that the repair is not about may fail again: it says nothing of the repair.
    """
    body = entry.body
    try:
        shown = Shown(replay, params_of(body, replay), ok=False)
    except SpanreelError as error:
        why = str(error.args[0])
        return Validated(
            run_id=known.run_id, role="counterexample", verdict="not_answered", passed=True, why=why
        )
    found = fit(body, shown, None, safeties_of(body, replay))
    failure, again = found.failure, False
    if known.how == "failed":
        again = failure is not None and (failure.state, failure.guard) == (known.stopped_at, known.guard)
        again = again or any(call.error is not None for call in found.served.values())
    else:
        again = found.clean and found.score.writes.same > 0
    why = (
        f"{failure.guard} at {failure.state}: {failure.reason}"
        if again and failure
        else "it does the same"
        if again
        else ""
    )
    verdict = "repeated" if again else "not_repeated"
    elsewhere = (
        known.how == "failed"
        and parent is not None
        and known.run_id not in _shows(entry)
        and known.stopped_at not in touched_states(parent.body, body)
    )
    if again and elsewhere:
        why += ", which the repair is not about"
    return Validated(
        run_id=known.run_id, role="counterexample", verdict=verdict, passed=elsewhere or not again, why=why
    )


def keep_counterexample(
    ref: str,
    run: str,
    reason: str | None,
    actor: Any = None,
    store: str | os.PathLike[str] | Library | None = None,
) -> Entry:
    """Keep a failed run with a playbook.

    Raises:
        UnknownPlaybook, UnknownRun: there is none of that name.
        NotDecidable: it did not fail, and nobody says why it speaks against the playbook.
    """
    from spanreel.replay.load import load

    library = store if isinstance(store, Library) else Library(store)
    entry = library.get(ref)
    replay = load(run, library.path)
    failed = replay.status != "completed" or replay.outcome.get("success") is False
    if not failed and not (reason or "").strip():
        raise NotDecidable(
            f"run {replay.run_id[:12]} did not fail", "say with --reason why it is a counterexample"
        )
    why = reason or replay.error or f"the run {replay.status}"
    return library.decide(entry, KIND, reason=why, actor=actor, runs=[replay.run_id])


def _active(library: Library, name: str) -> str | None:
    return next((one.hash for one in library.entries(name) if one.status == "active"), None)
