"""Where lists and objects come from: as a whole, element by element, or as the caller's choice. Quiet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spanreel.replay.playbooks.compiling import candidates
from spanreel.replay.playbooks.compiling.expressions import (
    Expr,
    FromResult,
    Given,
    Listed,
    Mapped,
    Told,
)
from spanreel.replay.playbooks.compiling.places import (
    follow,
)
from spanreel.replay.playbooks.compiling.slots import CHANCE, Candidate, Slot
from spanreel.replay.playbooks.compiling.values import (
    key,
    same,
    scalar,
    weak,
)

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.flow import Flow


def of_fields(flow: Flow, slot: Slot) -> Told | None:
    """Where an object comes from: as a whole, or key by key."""
    if whole := _whole_value(flow, slot):
        return whole
    names = list(dict.fromkeys(name for value in slot.values for name in value))
    if any(name not in value for value in slot.values for name in names):
        return None
    parts = {name: flow.explain(slot.part([value[name] for value in slot.values], name)) for name in names}
    known = {name: part for name, part in parts.items() if part is not None}
    if len(known) < len(parts):
        return None
    return _together(
        flow, slot, Mapped({name: part.expr for name, part in known.items()}), list(known.values())
    )


def of_items(flow: Flow, slot: Slot) -> Told | None:
    """Where a list comes from."""
    if whole := _whole_value(flow, slot) or _projection(flow, slot):
        return whole
    lengths = {len(value) for value in slot.values}
    flat = all(scalar(item) for value in slot.values for item in value)
    parts = _elements(flow, slot) if len(lengths) == 1 else None
    if parts and all(part.how not in ("choice", "typed", "constant") for part in parts):
        return _together(flow, slot, Listed(tuple(part.expr for part in parts)), parts)
    if flat and (told := _chosen_list(flow, slot) or _said_list(flow, slot)):
        return told
    if parts:
        return _together(flow, slot, Listed(tuple(part.expr for part in parts)), parts)
    return _shown_list(flow, slot) if flat else None


def _elements(flow: Flow, slot: Slot) -> list[Told] | None:
    length = len(slot.values[0])
    found = [flow.explain(slot.part([value[place] for value in slot.values])) for place in range(length)]
    known = [part for part in found if part is not None]
    return known if len(known) == length else None


def _together(flow: Flow, slot: Slot, expr: Expr, parts: Sequence[Told]) -> Told:
    needs = frozenset(column for part in parts for column in part.needs)
    agreements = tuple(one for part in parts for one in part.agreements)
    doubt = next((part.doubt for part in parts if part.doubt), "")
    hows = list(dict.fromkeys(part.how for part in parts))
    why = "; ".join(dict.fromkeys(part.why for part in parts))
    return flow.told(expr, "+".join(hows) or "constant", why, slot, needs, agreements, doubt)


def _whole_value(flow: Flow, slot: Slot) -> Told | None:
    if all(weak(value) for value in slot.values) and same(slot.values):
        return None
    if told := flow.of_input(slot):
        return told
    lists = all(isinstance(value, list) for value in slot.values)
    if lists and not _whole_lists(flow, slot):
        return None
    found = [one for one in candidates.candidates(flow, slot) if one.solid]
    return flow.bound(slot, found, found) if found else None


def _whole_lists(flow: Flow, slot: Slot) -> bool:
    """Whether lists that are all of something are too many to be a choice of some of it."""
    apart = flow.apart(slot.values)
    chance = 1.0
    for index in apart:
        chance /= 2 ** min(20, len(slot.values[index]))
    return len(apart) > 1 and chance <= CHANCE / 4


def _projection(flow: Flow, slot: Slot) -> Told | None:
    """Every element that a path finds, in order; some of them by choice is likelier where there were few."""
    firsts = [value[0] if value else None for value in slot.values]
    fitting = [
        one
        for one in candidates.offered(flow, slot.part(firsts))
        if all(
            key(follow(call.result, one.expr.form, ())) == key(value)
            for call, value in zip(one.expr.column.calls, slot.values, strict=True)
        )
    ]
    if not fitting or not _whole_lists(flow, slot):
        return None
    best = min(fitting, key=lambda one: one.cost(flow.kept))
    expr = FromResult(best.expr.column, best.expr.form, (), many=True)
    return flow.told(expr, "result", f"all that {best.expr.column.tool} tells of", slot, best.needs)


def _chosen_list(flow: Flow, slot: Slot) -> Told | None:
    """A parameter: a list of elements that one result offered, however many."""
    longest = max(len(value) for value in slot.values)
    offered: list[Candidate] | None = None
    for place in range(longest):
        row = [value[min(place, len(value) - 1)] if value else None for value in slot.values]
        found = candidates.offered(flow, slot.part(row))
        if offered is None:
            offered = found
        forms_here = {(one.expr.column, one.expr.form) for one in found}
        offered = [one for one in offered if (one.expr.column, one.expr.form) in forms_here]
        if not offered:
            return None
    return flow.chosen(slot, offered) if offered else None


def _said_list(flow: Flow, slot: Slot) -> Told | None:
    for index, value in enumerate(slot.values):
        if not value or any(flow.sources.said_at(index, item, slot.at[index]) is None for item in value):
            return None
    return flow.told(Given(flow.spec("said", slot)), "said", "it was said in words", slot)


def _shown_list(flow: Flow, slot: Slot) -> Told | None:
    for index, value in enumerate(slot.values):
        if not value or any(flow.sources.shown_at(index, item, slot.at[index]) is None for item in value):
            return None
    doubt = "no guard knows which values may be chosen"
    return flow.told(Given(flow.spec("shown", slot)), "shown", "results had its elements", slot, doubt=doubt)
