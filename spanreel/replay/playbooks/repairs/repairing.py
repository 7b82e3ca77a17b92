"""LOUD: a repair of a body of the store, from a failed execution, a run that shows the new way, or a patch.

What comes out is another body, which waits for a review; the one that was active stays what it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import SpanreelError, UnknownRun
from spanreel.replay.playbooks.asks import Ask, Failure
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.engine.toolbox import gathered
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.identity import PROVENANCE
from spanreel.replay.playbooks.repairs.case import Case
from spanreel.replay.playbooks.repairs.fitting import Shown, Signatures, fit
from spanreel.replay.playbooks.repairs.patch import patched
from spanreel.replay.playbooks.repairs.repair import Change, NotRepairable, Repair, outcome, repaired
from spanreel.replay.playbooks.repairs.repairers import by_name, model, proposed, signatures
from spanreel.replay.playbooks.shadows.filled import filled
from spanreel.replay.playbooks.shadows.shadow import recorded_to, safeties_of

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.evidence import Executed
    from spanreel.replay.playbooks.governance.shelf import Entry
    from spanreel.replay.playbooks.shadows.scoring import Safeties
    from spanreel.replay.timeline import Replay

EARLIER: Final = 3
"""Runs in which it worked whose results are compared with those of now."""
GUARDS: Final = ("pre", "post", "expect", "assert", "safety", "approval", "retry")
WHOLE: Final = ("risk", "budget", "success", "promotion", "max_steps")


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a body is to be repaired.

    Attributes:
        run: a failed execution; default: the newest one of the body.
        like: a run that shows the new way.
        patch: what to change, said by a person.
        using: rule, model, or a function as ``module:function``.
        params: of the playbook over `like`, where its input does not tell them.
        modules: that register tools, to be imported.
        model: for `using="model"`: ``provider/name``, or a function of prompt, system and schema.
        actor, reason: who, and why, in words.
    """

    run: str | None = None
    like: str | None = None
    patch: Any = None
    using: str = "rule"
    params: Mapping[str, Any] | None = None
    modules: Sequence[Any] = ()
    model: Any = None
    actor: Any = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Repaired:
    """A repair, and the body that it made, in the store. known: this very body was there before."""

    entry: Entry
    repair: Repair
    parent: Entry
    known: bool = field(default=False)


def repair(ref: str, wanted: Wanted, store: str | os.PathLike[str] | Library | None = None) -> Repaired:
    """Repair a body, and keep what comes out in review.

    Raises:
        UnknownPlaybook: there is none of that name.
        UnknownRun: there is no such run, or none failed.
        NotRepairable: nobody knows what would make it fit.
        BadInput: the patch is none, or leaves no playbook.
    """
    library = store if isinstance(store, Library) else Library(store)
    entry = library.get(ref)
    found = found_for(entry, wanted, library)
    body = Body.model_validate(found.body)
    known = any(one.hash == body.hash for one in library.entries(entry.name))
    if known and body.hash == entry.hash:
        raise NotRepairable(
            "the patch changes nothing that the playbook does", "say what to change: --patch FILE"
        )
    report = found.model_dump(mode="json", by_alias=True, exclude={"body"})
    if isinstance(entry.report, Mapping) and "savings" in entry.report:  # its source runs are the same
        report["savings"] = entry.report["savings"]
    why = wanted.reason or "; ".join(change.why for change in found.changes) or "patched by hand"
    added = library.add(
        body, origin=found.origin, parent=entry.hash, actor=wanted.actor, reason=why, report=report
    )
    return Repaired(added, found, entry, known)


def found_for(entry: Entry, wanted: Wanted, library: Library) -> Repair:
    """The repair, without keeping it.

    Raises:
        UnknownRun, NotRepairable, BadInput: see `repair`.
    """
    failed = failure_of(entry, wanted, library)
    if wanted.patch is not None:
        return _by_hand(entry, wanted, failed, library)
    case, safeties = case_of(entry, wanted, failed, library)
    if case.fit.clean:
        raise NotRepairable(
            f"{entry.ref} fits run {case.shown.replay.run_id[:12]} as it is", "nothing has to be repaired"
        )
    if wanted.using == "rule":
        return repaired(case, safeties)
    return _by_plugin(case, safeties, wanted, library)


def failure_of(entry: Entry, wanted: Wanted, library: Library) -> Executed | None:
    """The failed execution that is repaired; None: a run that shows the new way, or a patch, is all there is.

    Raises:
        UnknownRun: there is none.
    """
    from spanreel.collector.store import open_reader

    failures = [one for one in entry.evidence.executions if one.ok is False]
    if wanted.run is not None:
        with open_reader(library.path) as reader:
            run_id = reader.resolve(wanted.run).run_id
        one = next((one for one in failures if one.run_id == run_id), None)
        if one is None:
            raise UnknownRun(
                f"run {run_id[:12]} is no failed execution of {entry.ref}",
                "a run that shows the new way is given with --like",
            )
        return one
    live = [one for one in failures if one.mode != "shadow"] or failures
    if live:
        return live[-1]
    if wanted.like is None and wanted.patch is None:
        raise UnknownRun(
            f"no execution of {entry.ref} failed", "show the new way: --like RUN, or say it: --patch FILE"
        )
    return None


def case_of(entry: Entry, wanted: Wanted, failed: Executed | None, library: Library) -> tuple[Case, Safeties]:
    """The body held against the run that shows most: the one that shows the new way, else the one that failed."""
    shown, modules = _shown(entry, wanted, failed, library)
    known = tools_of(entry.body, (*modules, *wanted.modules))
    safeties = safeties_of(entry.body, shown.replay)
    failure = (
        None
        if failed is None
        else Failure(_guard(failed.guard), failed.stopped_at or "", failed.reason or "")
    )
    case = Case(
        body=entry.body,
        fit=fit(entry.body, shown, known, safeties),
        shown=shown,
        signatures=known,
        failure=failure,
        earlier=earlier_results(entry, library),
    )
    return case, safeties


def _guard(said: str | None) -> Any:
    return said or "call"


def _shown(
    entry: Entry, wanted: Wanted, failed: Executed | None, library: Library
) -> tuple[Shown, list[Any]]:
    """The run, what the playbook is given over it, and where its tools are found."""
    from spanreel.replay.load import load

    if wanted.like is not None:
        replay = load(wanted.like, library.path)
        if replay.status != "completed" or replay.outcome.get("success") is False:
            raise NotRepairable(
                f"run {replay.run_id[:12]} did not succeed, so that it shows no new way",
                "name one that did: --like RUN",
            )
        return Shown(replay, params_of(entry.body, replay, wanted.params), ok=True), _places(replay)
    assert failed is not None
    replay = load(failed.run_id, library.path)
    return Shown(replay, params_of(entry.body, replay, wanted.params), ok=False), _places(replay)


def params_of(body: Body, replay: Replay, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The parameters of a playbook over a run: those given, else of an execution its own, else what the run's input says."""
    if given is not None:
        return dict(given)
    said = replay.input
    if isinstance(said, Mapping) and "body" in said and isinstance(said.get("params"), Mapping):
        return {name: value for name, value in said["params"].items() if name in body.params}
    return dict(filled(body, replay).params)


def _places(replay: Replay) -> list[Any]:
    said = replay.input
    found = said.get("tools") if isinstance(said, Mapping) and "body" in said else None
    return found if isinstance(found, list) else []


def tools_of(body: Body, modules: Sequence[Any]) -> Signatures | None:
    """What is registered here; None: nothing of the playbook's is, so that nothing can be said about tools."""
    known = signatures(gathered(modules))
    return known if modules or any(tool in known for tool in body.tools) else None


def earlier_results(entry: Entry, library: Library) -> dict[str, list[Any]]:
    """What each state's call gave in runs in which it worked: executions of the body, then the runs it was compiled from."""
    found: dict[str, list[Any]] = {}
    for replay in good_runs(entry, library)[:EARLIER]:
        try:
            shown = Shown(replay, params_of(entry.body, replay), ok=True)
        except SpanreelError:  # its parameters cannot be told: it shows nothing of the states
            continue
        served = fit(entry.body, shown, None, safeties_of(entry.body, replay)).served
        for name, call in served.items():
            if call.error is None:
                found.setdefault(name, []).append(call.result)
    return found


def good_runs(entry: Entry, library: Library) -> list[Replay]:
    """Runs in which it worked and that the store still has, newest execution first, then sources."""
    from spanreel.replay.load import load

    executed = [one.run_id for one in reversed(entry.evidence.live) if one.ok]
    names = [*executed[:EARLIER], *sources_of(entry.body)]
    found: list[Replay] = []
    for name in dict.fromkeys(names):
        try:
            found.append(load(name, library.path))
        except UnknownRun:
            continue
    return found


def sources_of(body: Body) -> list[str]:
    """Ids of the runs that a body was compiled from."""
    spans = [span for state in body.states.values() for span in state.derived_from]
    return list(dict.fromkeys(one.partition(":")[0] for one in (*body.derived_from, *spans)))


def _by_hand(entry: Entry, wanted: Wanted, failed: Executed | None, library: Library) -> Repair:
    body = patched(entry.body, wanted.patch)
    change = Change(
        rule="by hand",
        state="",
        why=wanted.reason or "patched by hand",
        flags=touched_guards(entry.body, body),
    )
    clean, run_id = False, None
    if wanted.like is not None or failed is not None:
        case, safeties = case_of(entry, wanted, failed, library)
        run_id = case.shown.replay.run_id
        clean = fit(body, case.shown, case.signatures, safeties).clean
    return outcome(entry.body, body, [change], clean=clean, run_id=run_id, origin="repair:human")


def _by_plugin(case: Case, safeties: Safeties, wanted: Wanted, library: Library) -> Repair:
    asks = wanted.using == "model"
    if asks and wanted.model is None:
        raise SpanreelError("no model is named", "name it: --model PROVIDER/NAME")
    asked: list[Ask] = []
    repairer = model(_asking(wanted.model, asked, library)) if asks else by_name(wanted.using)
    failure = (
        case.fit.failure or case.failure or Failure("call", case.state or "", "it is not what the run did")
    )
    body = proposed(repairer, case.body, failure, case.shown.replay)
    if body is None or body.hash == case.body.hash:
        raise NotRepairable(
            f"{wanted.using} knows no repair of state {failure.state}", "say what to change: --patch FILE"
        )
    found = fit(body, case.shown, case.signatures, safeties)
    if case.shown.ok and not found.clean:
        did = found.score.first_divergence
        why = (
            did.reason
            if did is not None
            else f"{found.stopped_at}: {found.failure.reason if found.failure else 'no answer'}"
        )
        raise NotRepairable(
            f"what {wanted.using} proposes does not do what run {case.shown.replay.run_id[:12]} did: {why}",
            "say what to change: --patch FILE",
        )
    flags = [*touched_guards(case.body, body), *([] if found.clean else ["unverified"])]
    change = Change(rule=wanted.using, state=failure.state, why=f"proposed by {wanted.using}", flags=flags)
    origin = "repair:model" if asks else "repair:rule"
    run_id = case.shown.replay.run_id
    made = outcome(case.body, body, [change], clean=found.clean, run_id=run_id, origin=origin)
    return made.model_copy(update={"model_calls": len(asked)})


def _asking(named: Any, asked: list[Ask], library: Library) -> Callable[[Ask], Any]:
    """Asks a model, recorded as a run of its own where nothing else is under way."""
    from spanreel.instrument.runs import run
    from spanreel.replay.playbooks.engine.asking import ask

    def made(one: Ask) -> Any:
        asked.append(one)
        with recorded_to(library.path), run("repair a playbook", input={"state": one.state}):
            return ask(one, named).value

    return made


def touched_guards(before: Body, after: Body) -> list[str]:
    """What a person should look at in a patch that nobody can explain: guards that it changes, and states that it takes out."""
    one, other = before.document(), after.document()
    flags = ["removed"] if set(one["states"]) - set(other["states"]) else []
    states = one["states"].keys() & other["states"].keys()
    changed = any(
        one["states"][name].get(key) != other["states"][name].get(key) for name in states for key in GUARDS
    )
    if changed or any(one.get(key) != other.get(key) for key in WHOLE):
        flags.append("guard")
    return flags


def touched_states(before: Body, after: Body) -> set[str]:
    """States that are not the same in both, by name."""
    one, other = before.document()["states"], after.document()["states"]
    return {name for name in {*one, *other} if _bare(one.get(name)) != _bare(other.get(name))}


def _bare(state: Mapping[str, Any] | None) -> Any:
    return None if state is None else {key: value for key, value in state.items() if key not in PROVENANCE}
