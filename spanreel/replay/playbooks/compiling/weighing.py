"""What is left to say of values that are easily equal by chance, or that nothing explains. Quiet.

Such a value is bound only with a guard: every other explanation that fits all runs has to agree where it runs again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spanreel.replay.playbooks.compiling import candidates
from spanreel.replay.playbooks.compiling.expressions import (
    Agreement,
    Constant,
    Expr,
    Given,
    Told,
)
from spanreel.replay.playbooks.compiling.slots import CHANCE, Candidate, Slot, last_of
from spanreel.replay.playbooks.compiling.values import format_of, names_data, pattern_of, same, weak

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.flow import Flow


def of_weak(flow: Flow, slot: Slot) -> Told | None:
    """Where a value comes from that another may well be equal to by chance."""
    paths = flow.sources.input_paths(slot.values)
    named = [path for path in paths if last_of(path) == slot.name]
    if named:
        return flow.told(
            Given(flow.spec("input", slot, path=named[0])),
            "input",
            f"the input has it at {named[0]}",
            slot,
        )
    if (told := flow.of_words(slot, first=True)) and not paths:
        return told
    results = candidates.candidates(flow, slot)
    given = [Given(flow.spec("input", slot, path=path)) for path in paths]
    if same(slot.values):
        if not paths and (told := of_schema(flow, slot)):
            return told
        return _weak_constant(flow, slot, given, results)
    torn = {one: candidates.torn(flow, one) for one in results}
    ranked = sorted(results, key=lambda one: (torn[one], not one.solid, *one.cost(flow.kept)))
    rivals: list[Expr] = [*given, *(one.expr for one in ranked)]
    sure = ranked and not torn[ranked[0]] and (ranked[0].solid or ranked[0].chance <= CHANCE)
    if given or sure:
        needs = frozenset(column for one in results for column in one.needs)
        best, *others = rivals
        doubts = [doubt for one in results for doubt in one.doubts]
        agreements = (*doubts, *(Agreement(best, other) for other in others))
        how = "input" if isinstance(best, Given) else "result"
        doubt = f"{len(others)} other explanations fit" if others else ""
        return flow.told(best, how, "it is equal in every run", slot, needs, agreements, doubt)
    if (
        told := flow.of_results(slot)
        or flow.of_pieces(slot)
        or flow.of_words(slot, first=False)
        or of_schema(flow, slot)
    ):
        return told
    return left(flow, slot)


def _weak_constant(flow: Flow, slot: Slot, given: Sequence[Given], results: Sequence[Candidate]) -> Told:
    """What was the same in every run: a constant, or what names data where that is known from somewhere."""
    fitting = sorted(
        (one for one in results if candidates.natural(one)),
        key=lambda one: (not one.solid, *one.cost(flow.kept)),
    )
    rivals: list[Expr] = [*given, *(one.expr for one in fitting)]
    needs = frozenset(column for one in fitting for column in one.needs)
    doubts = [doubt for one in fitting for doubt in one.doubts]
    if not rivals and seen_once(flow, slot):
        return of_one(flow, slot)
    best: Expr = Constant(slot.values[0])
    how, why = "constant", "it is the same in every run"
    if (given or any(one.solid for one in fitting)) and all(names_data(value) for value in slot.values):
        best, *rivals = rivals
        how, why = ("input" if given else "result"), "it is equal in every run"
    agreements = (*doubts, *(Agreement(other, best) for other in rivals))
    observed = len(flow.apart(flow.whole()))
    doubt = "one observation" if observed < 2 else f"{len(rivals)} other explanations fit" if rivals else ""
    return flow.told(best, how, why, slot, needs, agreements, doubt)


def of_schema(flow: Flow, slot: Slot) -> Told | None:
    """An option of the tool's schema is a choice, however often it was the same."""
    for run in flow.runs:
        known = run.run.schemas.get(slot.tool, {}).get("properties", {})
        declared: Any = known.get(slot.name, {}) if isinstance(known, Mapping) else {}
        options = declared.get("enum") if isinstance(declared, Mapping) else None
        if isinstance(options, list) and all(value in options for value in slot.values):
            spec = flow.spec("enum", slot, enum=options)
            return flow.told(Given(spec), "enum", f"{slot.tool} takes one of {len(options)}", slot)
    return None


def left(flow: Flow, slot: Slot) -> Told | None:
    """What nothing explains: a constant if it never changed and is no data, a parameter if it has a form."""
    formed = all(format_of(value) is not None for value in slot.values) or (
        pattern_of(slot.values) is not None and not any(weak(value) for value in slot.values)
    )
    alike = same(slot.values)
    if formed and not (alike and len(flow.apart(flow.whole())) > 1):
        spec = flow.spec("typed", slot)
        doubt = "nobody knows where it comes from"
        return flow.told(Given(spec), "typed", "it has a form of its own, and no source", slot, doubt=doubt)
    if alike and seen_once(flow, slot):
        return of_one(flow, slot)
    if alike:
        doubt = "" if len(flow.apart(flow.whole())) > 1 else "one observation"
        best = Constant(slot.values[0])
        rivals = flow.rivals(slot, best)
        why = "it is the same in every run"
        return flow.told(best, "constant", why, slot, agreements=rivals, doubt=doubt)
    return None


def seen_once(flow: Flow, slot: Slot) -> bool:
    """Whether several runs wrote all the same: then a value of it is as likely data as not."""
    written = any(column.write and column.tool == slot.tool for column in flow.spine)
    several = len(flow.runs) > 1 and len(flow.apart(flow.whole())) < 2
    return written and several and not flow.nested and slot.values[0] is not None


def of_one(flow: Flow, slot: Slot) -> Told:
    """A parameter for what several runs have alike, and nothing tells apart from a constant."""
    spec, doubt = flow.spec("typed", slot), "one observation"
    return flow.told(Given(spec), "typed", "one observation does not make a constant", slot, doubt=doubt)
