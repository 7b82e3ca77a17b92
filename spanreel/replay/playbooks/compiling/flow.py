"""Data flow: for each argument of each step, the one explanation that holds in every run, and what speaks against it.

Quiet. A value is, in this order: what the run was given; what was said before any result had it; a part of an earlier
result; one of several that a result offered (a choice: a parameter that has to be one of them); a text made of several;
an option of the tool's schema; the same everywhere (a constant). What nothing explains is a parameter if it has a form
of its own (an id, a date, an address), else it is left to whoever asks.

Chance is what this guards against. A form that picks by position or by a constant field has to be right often enough
that luck is no explanation (`CHANCE`). Where two explanations fit all runs and could part in another, the better one
is taken and their agreement becomes a guard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from spanreel.replay.playbooks.compiling import candidates, joining, listing, weighing
from spanreel.replay.playbooks.compiling.cleaning import Cleaned
from spanreel.replay.playbooks.compiling.expressions import (
    Agreement,
    Column,
    Expr,
    FromResult,
    Given,
    Kind,
    Spec,
    Told,
    specs,
)
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.places import (
    domains,
)
from spanreel.replay.playbooks.compiling.slots import CHANCE, Candidate, Slot, last_of
from spanreel.replay.playbooks.compiling.sources import Sources
from spanreel.replay.playbooks.compiling.values import (
    json_type,
    key,
    weak,
)

DEEPEST: Final = 8


class Flow:
    """The explanations of all values. runs: what counts of them; spine: steps that are there in any case."""

    def __init__(self, runs: Sequence[Cleaned], spine: Sequence[tuple[Call, ...]], *, writes: bool) -> None:
        self.runs = runs
        self.sources = Sources(runs)
        self.kept: frozenset[Column] = frozenset()
        self.specs: dict[tuple[str, ...], Spec] = {}
        self.settled: set[Spec] = set()
        self.foreseen: frozenset[Spec] = frozenset()
        self._columns: dict[tuple[int, ...], Column | None] = {}
        self.spine = [Column(calls, writes) for calls in spine]
        for column in self.spine:
            column.needs = frozenset({column})
            self._columns[tuple(call.at for call in column.calls)] = column
        self._busy: set[str] = set()
        self._circles = 0
        self.depth = 0
        self.models: list[Column] = []
        self.nested = 0
        self._known: dict[tuple[Any, ...], Told | None] = {}

    def again(self) -> Flow:
        """The same from the start, knowing which parameters there will be: a read may be made with them."""
        flow = Flow(
            self.runs, [column.calls for column in self.spine], writes=any(one.write for one in self.spine)
        )
        flow.specs = self.specs
        for spec in self.specs.values():
            spec.choices = None  # of steps as they were
        flow.foreseen = frozenset(self.settled)
        return flow

    # steps

    def argued(self, column: Column) -> dict[str, str]:
        """Explain the arguments of a step; gives the names of those that nothing explains, with why."""
        unexplained: dict[str, str] = {}
        calls = column.calls
        names = list(dict.fromkeys(name for call in calls for name in call.arguments))
        at = tuple(call.at for call in calls)
        needs = {column}
        for name in names:
            lacking = [call for call in calls if name not in call.arguments]
            if lacking:
                if all(call.arguments.get(name) is None for call in calls):
                    continue
                unexplained[name] = "some runs leave it out"
                continue
            told = self.explain(Slot(tuple(call.arguments[name] for call in calls), at, name, column.tool))
            if told is None:
                unexplained[name] = "nothing that was there before explains it"
                continue
            if column in self.spine:
                self.settled |= set(specs(told.expr))
            column.args[name] = told.expr
            column.told[name] = told
            needs |= told.needs
        column.needs = frozenset(needs)
        return unexplained

    def column(self, calls: tuple[Call, ...]) -> Column | None:
        """The step that these calls are, if its arguments can be explained."""
        name = tuple(call.at for call in calls)
        if name in self._columns:
            return self._columns[name]
        self._columns[name] = None  # while it is being explained it explains nothing
        if self.depth >= DEEPEST or any(call.safety != "read" for call in calls):
            return None
        column = Column(calls, False)
        self.depth += 1
        nested, self.nested = self.nested, 0
        try:
            explained = not self.argued(column)
        finally:
            self.depth -= 1
            self.nested = nested
        if not explained:
            if self._busy:
                del self._columns[name]  # another way round may do
            return None
        for other in self._columns.values():  # the same question: the first answer, unless the answer changed
            if other is not None and _asks_the_same(other, column):
                self._columns[name] = other
                return other
        self._columns[name] = column
        return column

    # values

    def explain(self, slot: Slot) -> Told | None:
        """Where the values come from; None: nothing says so."""
        name = f"{slot.at}{[key(value) for value in slot.values]}"
        if name in self._busy:
            self._circles += 1
            return None
        # Everything that is asked for on the way was there earlier, so the answer does not depend on who asks.
        known = (name, slot.name, slot.tool, self.nested > 0, self.kept, len(self.settled))
        if known not in self._known:
            circles = self._circles
            self._busy.add(name)
            try:
                told = self._explained(slot)
            finally:
                self._busy.discard(name)
            if circles != self._circles and self._busy:  # an answer that went in a circle holds only there
                return told
            self._known[known] = told
        return self._known[known]

    def keep(self, column: Column) -> None:
        """A step is part of the procedure: what it needs costs nothing from here on."""
        self.kept |= column.needs

    def _explained(self, slot: Slot) -> Told | None:
        types = {json_type(value) for value in slot.values}
        if types == {"array"} and any(slot.values):
            return listing.of_items(self, slot)
        if types == {"object"} and any(slot.values):
            return listing.of_fields(self, slot)
        if all(weak(value) for value in slot.values):
            return weighing.of_weak(self, slot)
        return (
            (self._of_list(slot) if self.nested else None)
            or self.of_input(slot)
            or self.of_words(slot, first=True)
            or self.of_results(slot)
            or self.of_pieces(slot)
            or self.of_words(slot, first=False)
            or weighing.of_schema(self, slot)
            or weighing.left(self, slot)
        )

    def _of_list(self, slot: Slot) -> Told | None:
        """An element of a list that is a parameter already."""
        wanted = [key(value) for value in slot.values]
        for spec in self.specs.values():
            if not all(isinstance(value, list) and value for value in spec.values):
                continue
            for place in range(min(len(value) for value in spec.values)):
                if all(key(value[place]) == one for value, one in zip(spec.values, wanted, strict=True)):
                    return self.told(
                        Given(spec, place), "said", f"it is element {place} of a parameter", slot
                    )
        return None

    def of_input(self, slot: Slot) -> Told | None:
        paths = self.sources.input_paths(slot.values)
        if not paths:
            return None
        named = [path for path in paths if last_of(path) == slot.name]
        spec = self.spec("input", slot, path=(named or paths)[0])
        doubt = "" if len(self.apart(slot.values)) > 1 else "one observation"
        others = [] if named else paths[1:]
        agreements = tuple(
            Agreement(Given(spec), Given(self.spec("input", slot, path=one))) for one in others
        )
        if not named:
            agreements += self.rivals(slot, Given(spec))
        return self.told(
            Given(spec), "input", f"the input has it at {spec.path}", slot, agreements=agreements, doubt=doubt
        )

    def of_words(self, slot: Slot, *, first: bool) -> Told | None:
        """A parameter, where every run was told the value in words: before any result had it, or at all."""
        for index, value in enumerate(slot.values):
            said = self.sources.said_at(index, value, slot.at[index])
            if said is None:
                return None
            shown = self.sources.shown_at(index, value, slot.at[index]) if first else None
            if shown is not None and shown < said:
                return None
        spec = self.spec("said", slot)
        rivals = self.rivals(slot, Given(spec))
        return self.told(Given(spec), "said", "it was said in words", slot, agreements=rivals)

    def rivals(self, slot: Slot, best: Expr) -> tuple[Agreement, ...]:
        """What else explains the values in every run: it has to agree where the playbook runs."""
        if self.nested:
            return ()
        return candidates.agreeing(best, candidates.candidates(self, slot), self.kept)

    def of_results(self, slot: Slot) -> Told | None:
        found = candidates.candidates(self, slot)
        offered = candidates.offered(self, slot)
        sure = [
            one for one in found if (one.solid or one.chance <= CHANCE) and not candidates.torn(self, one)
        ]
        rival = [
            one for one in offered if not any(candidates.same_list(one.expr, other.expr) for other in sure)
        ]
        if sure and (
            (rival and not candidates.beyond_luck(rival, CHANCE)) or self._may_be_chosen(slot, sure)
        ):
            sure = [one for one in sure if not one.solid]  # it may as well have been chosen
        if sure:
            return self.bound(slot, sure, found)
        if offered:
            return self.chosen(slot, offered)
        return None

    def _may_be_chosen(self, slot: Slot, sure: Sequence[Candidate]) -> bool:
        """Whether some runs saw the value in a list elsewhere, from which it may have been picked."""
        tools = {one.expr.column.tool for one in sure if not one.exclusive}
        tools |= {
            one.expr.column.tool for one in sure if len({other.expr.column.tool for other in sure}) == 1
        }
        seen: dict[tuple[str, Any], dict[int, int]] = {}
        for index in self.apart(slot.values):
            for call in self.sources.showing(index, slot.values[index], slot.at[index]):
                for path in (
                    self.sources.places(index, call, slot.values[index]) if call.tool not in tools else ()
                ):
                    for found in domains(call.result, path):
                        rows = seen.setdefault((call.tool, found.form), {})
                        rows[index] = max(found.options, rows.get(index, 1))
        return any(math.prod(1 / options for options in rows.values()) > CHANCE for rows in seen.values())

    def bound(self, slot: Slot, sure: Sequence[Candidate], fitting: Sequence[Candidate]) -> Told:
        """Bind to the simplest of what is sure; all that fits has to agree with it."""
        best = min(sure, key=lambda one: one.cost(self.kept))
        others = [one for one in fitting if one is not best]
        agreements = (*best.doubts, *candidates.agreeing(best.expr, others, self.kept | best.needs))
        observed = len(self.apart(slot.values))
        doubt = "" if observed > 1 else "one observation"
        why = f"the result of {best.expr.column.tool} has it"
        return self.told(best.expr, "result", why, slot, best.needs, agreements, doubt)

    def chosen(self, slot: Slot, offered: Sequence[Candidate]) -> Told:
        best = min(offered, key=lambda one: (*one.cost(self.kept)[:1], one.chance, *one.cost(self.kept)))
        spec = self.spec("choice", slot, choices=best.expr)
        return self.told(
            Given(spec),
            "choice",
            f"it is one of those that {best.expr.column.tool} tells of",
            slot,
            best.needs,
        )

    def of_pieces(self, slot: Slot) -> Told | None:
        if not all(isinstance(value, str) for value in slot.values):
            return None
        found = joining.joined(self, slot)
        if found is None:
            return None
        expr, needs, agreements = found
        why = "it is put together of several values"
        return self.told(expr, "joined", why, slot, needs, agreements)

    # values of which two may be equal by chance

    # lists and objects

    # results

    # what they say

    def apart(self, values: Sequence[Any]) -> list[int]:
        """The runs that are observations of their own: those that differ in the values."""
        firsts: dict[str, int] = {}
        for index, value in enumerate(values):
            firsts.setdefault(key(value), index)
        return list(firsts.values())

    def whole(self) -> list[Any]:
        """What each run changed, all of it."""
        return [
            [[column.tool, column.calls[index].arguments] for column in self.spine]
            for index in range(len(self.runs))
        ]

    def spec(
        self,
        kind: Kind,
        slot: Slot,
        *,
        path: str | None = None,
        choices: FromResult | None = None,
        enum: list[Any] | None = None,
    ) -> Spec:
        """The parameter of these values; equal values that say something are one parameter, others by name."""
        values = [key(value) for value in slot.values]
        if path is not None:
            name: tuple[str, ...] = ("input", path)
        elif all(weak(value) for value in slot.values):
            name = ("named", slot.name, *values)
        else:
            name = ("values", *values)
        spec = self.specs.get(name)
        if spec is None:
            hint = last_of(path) if path else slot.name
            spec = self.specs[name] = Spec(hint, kind, slot.values, path, choices, enum)
        elif choices is not None and (spec.choices is None or not self.depth):
            spec.choices = choices
        return spec

    def told(
        self,
        expr: Expr,
        how: str,
        why: str,
        slot: Slot,
        needs: frozenset[Column] = frozenset(),
        agreements: tuple[Agreement, ...] = (),
        doubt: str = "",
    ) -> Told:
        return Told(expr, how, why, len(self.apart(slot.values)), needs, agreements, doubt)


def _asks_the_same(one: Column, other: Column) -> bool:
    if one.tool != other.tool or one.write or other.write:
        return False
    return all(
        key([a.arguments, a.result]) == key([b.arguments, b.result])
        for a, b in zip(one.calls, other.calls, strict=True)
    )
