"""Paths into earlier results: which of them find a value in every run, and how likely each is by chance. Quiet."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice, product
from typing import TYPE_CHECKING, Any, Final

from spanreel.replay.playbooks.compiling.expressions import (
    Agreement,
    Column,
    Expr,
    FromResult,
    Given,
    Told,
)
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.places import (
    All,
    Entry,
    Found,
    Index,
    Key,
    Only,
    Where,
    domains,
    follow,
    forms,
)
from spanreel.replay.playbooks.compiling.slots import NAMED, Candidate, Slot
from spanreel.replay.playbooks.compiling.values import (
    key,
    weak,
)

MOST_AGREEING: Final = 12
MOST_NAMED: Final = 16

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.flow import Flow


def candidates(flow: Flow, slot: Slot) -> list[Candidate]:
    """Every path into an earlier result that finds the value in every run."""
    return [
        one for calls in flow.sources.together(slot.values, slot.at) for one in _in_results(flow, slot, calls)
    ]


def _in_results(flow: Flow, slot: Slot, calls: tuple[Call, ...]) -> Iterator[Candidate]:
    rows = _common_forms(flow, slot, calls, many=False)
    column: Column | None = None
    for form, alternatives in rows.items():
        if flow.nested and any(isinstance(step, Where) for step in form):
            continue
        column = column or flow.column(calls)
        if column is None:
            return
        # several elements may have the value: the one that is meant is that which something names
        for founds in islice(product(*alternatives), MOST_NAMED):
            one = _found(flow, slot, calls, column, form, founds)
            if one is not None:
                yield one
                break


def _found(
    flow: Flow,
    slot: Slot,
    calls: tuple[Call, ...],
    column: Column,
    form: tuple[Any, ...],
    founds: Sequence[Found],
) -> Candidate | None:
    given: list[Expr] = []
    needs = set(column.needs)
    doubts: list[Agreement] = []
    picked = any(isinstance(step, (Entry, Index)) for step in form)
    luck = 0.0
    for place, step in enumerate(step for step in form if isinstance(step, Where)):
        # by something that was known before this result came: never by itself
        given_here = tuple(found.given[place] for found in founds)
        told = _names(flow, Slot(given_here, tuple(call.at for call in calls), step.field, slot.tool))
        if told is None:
            return None
        given.append(told.expr)
        needs |= told.needs
        doubts += told.agreements
        luck = max(luck, _named_by_luck(flow, calls, form, place, founds))
    apart = flow.apart([[value, call.arguments] for value, call in zip(slot.values, calls, strict=True)])
    chance = max(luck, by_luck(founds, apart)) if picked else luck
    picked = picked or luck > NAMED
    exclusive = any(isinstance(step, Only) for step in form)
    expr = FromResult(column, form, tuple(given))
    return Candidate(expr, frozenset(needs), chance, not picked, exclusive, tuple(doubts), tuple(founds))


def _names(flow: Flow, slot: Slot) -> Told | None:
    """What says which element is meant: a parameter, or, for what does not come about by chance, a result."""
    if all(weak(value) for value in slot.values):
        paths = flow.sources.input_paths(slot.values)
        if not paths:
            return None  # a word that was said among others names nothing for sure
        best, *others = (Given(flow.spec("input", slot, path=path)) for path in paths)
        agreements = tuple(Agreement(best, other) for other in others)
        return flow.told(best, "input", f"the input has it at {paths[0]}", slot, agreements=agreements)
    if given := _given_anyway(flow, slot.values):
        return flow.told(given, given.spec.kind, "it is given anyway", slot)
    flow.nested += 1
    try:
        told = flow.explain(slot)
    finally:
        flow.nested -= 1
    if told is None or told.how not in ("input", "said", "result"):
        return None
    return None if isinstance(told.expr, FromResult) and not _singular(told.expr) else told


def _given_anyway(flow: Flow, values: Sequence[Any]) -> Given | None:
    """The parameter that some argument of the spine is, or the element of one, if it has these values."""
    wanted = [key(value) for value in values]
    known = [*flow.settled, *(flow.foreseen if flow.depth else ())]
    for spec in sorted(known, key=lambda spec: spec.hint):
        if [key(value) for value in spec.values] == wanted:
            return Given(spec)
        if not all(isinstance(value, list) and value for value in spec.values):
            continue
        for place in range(min(len(value) for value in spec.values)):
            if [key(value[place]) for value in spec.values] == wanted:
                return Given(spec, place)
    return None


def _named_by_luck(
    flow: Flow, calls: tuple[Call, ...], form: tuple[Any, ...], place: int, founds: Sequence[Found]
) -> float:
    """How likely it is that the field of the element only happens to be what something else is, too."""
    at = [index for index, step in enumerate(form) if isinstance(step, Where)][place]
    field = form[at]
    assert isinstance(field, Where)
    known = [
        [
            key(element[field.field])
            for element in follow(call.result, (*form[:at], All()), found.given)
            if isinstance(element, Mapping) and field.field in element
        ]
        for call, found in zip(calls, founds, strict=True)
    ]
    apart = flow.apart(
        [[found.given[place], call.arguments] for call, found in zip(calls, founds, strict=True)]
    )
    strong = any(not weak(found.given[place]) for found in founds)
    if strong:
        return 0.0
    words = all(isinstance(found.given[place], str) for found in founds)
    if words and all(len(set(row)) == len(row) for row in known):  # it tells all elements apart: a name
        return (1.0 / max(1, len({one for row in known for one in row}))) ** len(apart)
    return math.prod(1.0 / max(1, len(set(known[index]))) for index in apart)


def _common_forms(
    flow: Flow, slot: Slot, calls: tuple[Call, ...], *, many: bool
) -> dict[tuple[Any, ...], list[list[Found]]]:
    """The forms that every run has in common, with what each run found: of several elements, each."""
    common: dict[tuple[Any, ...], list[list[Found]]] | None = None
    for index, (call, value) in enumerate(zip(calls, slot.values, strict=True)):
        here: dict[tuple[Any, ...], list[Found]] = {}
        for path in flow.sources.found(index, call, value):
            for found in domains(call.result, path) if many else forms(call.result, path):
                here.setdefault(found.form, []).append(found)
        if common is None:
            common = {form: [found] for form, found in here.items()}
        else:
            common = {form: [*before, here[form]] for form, before in common.items() if form in here}
    return common or {}


def offered(flow: Flow, slot: Slot) -> list[Candidate]:
    """Every path into an earlier result that finds the value in every run, among others."""
    found: list[Candidate] = []
    for calls in flow.sources.together(slot.values, slot.at):
        rows = _common_forms(flow, slot, calls, many=True)
        column = flow.column(calls) if rows else None
        if column is None:
            continue
        apart = flow.apart([[value, call.arguments] for value, call in zip(slot.values, calls, strict=True)])
        for form, founds in rows.items():
            expr = FromResult(column, form, (), many=True)
            firsts = [alternatives[0] for alternatives in founds]
            found.append(Candidate(expr, column.needs, by_luck(firsts, apart), False, False))
    return found


def by_luck(founds: Sequence[Found], apart: Sequence[int]) -> float:
    """How likely it is that a pick among these options only happens to be right in every run."""
    chance = 1.0
    for index in apart:
        chance /= max(1, founds[index].options)
    return min(1.0, chance * max(found.fields for found in founds))


def torn(flow: Flow, one: Candidate) -> bool:
    """Whether the input names the element in another way, too, that fits several elements of a run: no guard tells them apart.

    Several elements may have the value: any of them may be the one that is named.
    """
    for at, step in enumerate(one.expr.form):
        if not isinstance(step, (Index, Where)):
            continue
        before = sum(isinstance(earlier, Where) for earlier in one.expr.form[:at])
        upto = before + isinstance(step, Where)
        having: list[list[Mapping[str, Any]]] = []
        rows: list[list[Any]] = []
        for call, found in zip(one.expr.column.calls, one.founds, strict=True):
            wanted = {key(value) for value in follow(call.result, one.expr.form, found.given)}
            row = follow(call.result, (*one.expr.form[:at], All()), found.given[:before])
            rows.append(row)
            having.append(
                [
                    element
                    for element in row
                    if isinstance(element, Mapping)
                    and wanted
                    & {key(value) for value in follow(element, one.expr.form[at + 1 :], found.given[upto:])}
                ]
            )
        if all(having):
            return any(_names_several(flow, name, having, rows) for name in dict.fromkeys(chain(*having[0])))
    return False


def _names_several(
    flow: Flow, name: str, having: Sequence[Sequence[Mapping[str, Any]]], rows: Sequence[Sequence[Any]]
) -> bool:
    """Whether a part of the input is this field of an element that has the value, in every run, and of others in some."""
    options = [
        {key(one[name]) for one in row if isinstance(one.get(name), (str, int, float))} for row in having
    ]
    known = [[key(one[name]) for one in row if isinstance(one, Mapping) and name in one] for row in rows]
    different = len({one for row in known for one in row})
    for values in flow.sources.inputs_among(options):
        several = any(row.count(key(value)) > 1 for row, value in zip(known, values, strict=True))
        meant = all(isinstance(value, str) for value in values)
        if several and (meant or (1.0 / max(1, different)) ** len(flow.apart(values)) <= NAMED):
            return True
    return False


def agreeing(best: Expr, others: Sequence[Candidate], kept: frozenset[Column]) -> tuple[Agreement, ...]:
    """That each of them is what is bound, too: those that somebody may have meant, the simplest first."""
    meant = sorted((one for one in others if natural(one)), key=lambda one: (not one.solid, *one.cost(kept)))
    return tuple(Agreement(best, one.expr) for one in meant[:MOST_AGREEING])


def natural(one: Candidate) -> bool:
    """Whether somebody may have meant it: a part, a named element, the first or the last one; not the third of five."""
    return not any(
        isinstance(step, Entry) or (isinstance(step, Index) and step.at not in (0, -1))
        for step in one.expr.form
    )


def _singular(expr: FromResult) -> bool:
    """Whether its path can stand in a filter, where RFC 9535 wants one that names one place."""
    return not expr.many and all(isinstance(step, (Key, Index)) for step in expr.form)


def same_list(offered: FromResult, bound: FromResult) -> bool:
    """Whether what is bound is picked out of what is offered: then nothing else has to tell which one."""
    loose = tuple(step if isinstance(step, Key) else All() for step in bound.form)
    return offered.column is bound.column and loose == offered.form


def beyond_luck(rivals: Sequence[Candidate], limit: float) -> bool:
    """Whether chance explains none of them."""
    return all(one.chance <= limit for one in rivals)
