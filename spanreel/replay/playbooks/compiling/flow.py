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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from spanreel.replay.playbooks.compiling import joining
from spanreel.replay.playbooks.compiling.cleaning import Cleaned
from spanreel.replay.playbooks.compiling.expressions import (
    Agreement,
    Column,
    Constant,
    Expr,
    FromResult,
    Given,
    Kind,
    Listed,
    Mapped,
    Spec,
    Told,
    specs,
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
from spanreel.replay.playbooks.compiling.sources import Sources
from spanreel.replay.playbooks.compiling.values import (
    format_of,
    json_type,
    key,
    pattern_of,
    same,
    scalar,
    weak,
)

CHANCE: Final = 0.02
"""How likely luck may be as the explanation of a pick by position, or of one that could have been a choice."""
NAMED: Final = 0.05
"""The same of an element that is found by a short name."""
DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that wants an explanation: of each run, at its moment. name: of the argument; tool: of the call."""

    values: tuple[Any, ...]
    at: tuple[int, ...]
    name: str
    tool: str

    def part(self, values: Sequence[Any], name: str | None = None) -> Slot:
        """A part of it."""
        return replace(self, values=tuple(values), name=name or self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A result that has the value. chance: that it fits by luck; solid: it picks nothing."""

    expr: FromResult
    needs: frozenset[Column]
    chance: float
    solid: bool
    exclusive: bool
    """It takes a list to have one element: another run may have several."""
    doubts: tuple[Agreement, ...] = ()

    def cost(self, kept: frozenset[Column]) -> tuple[int, int, int]:
        """Reads that it adds, then how involved its path is."""
        return (
            len([one for one in self.needs if one not in kept]),
            len(self.expr.given),
            len(self.expr.form),
        )


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
        self._depth = 0
        self._nested = 0
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
        if self._depth >= DEEPEST or any(call.safety != "read" for call in calls):
            return None
        column = Column(calls, False)
        self._depth += 1
        nested, self._nested = self._nested, 0
        try:
            explained = not self.argued(column)
        finally:
            self._depth -= 1
            self._nested = nested
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
        known = (name, slot.name, slot.tool, self._nested > 0, self.kept, len(self.settled))
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
            return self._list(slot)
        if types == {"object"} and any(slot.values):
            return self._object(slot)
        if all(weak(value) for value in slot.values):
            return self._of_weak(slot)
        return (
            (self._of_list(slot) if self._nested else None)
            or self._of_input(slot)
            or self._of_words(slot, first=True)
            or self._of_results(slot)
            or self._joined(slot)
            or self._of_words(slot, first=False)
            or self._of_schema(slot)
            or self._left(slot)
        )

    def _of_list(self, slot: Slot) -> Told | None:
        """An element of a list that is a parameter already."""
        wanted = [key(value) for value in slot.values]
        for spec in self.specs.values():
            if not all(isinstance(value, list) and value for value in spec.values):
                continue
            for place in range(min(len(value) for value in spec.values)):
                if all(key(value[place]) == one for value, one in zip(spec.values, wanted, strict=True)):
                    return self._told(
                        Given(spec, place), "said", f"it is element {place} of a parameter", slot
                    )
        return None

    def _of_input(self, slot: Slot) -> Told | None:
        paths = self.sources.input_paths(slot.values)
        if not paths:
            return None
        named = [path for path in paths if _last(path) == slot.name]
        spec = self._spec("input", slot, path=(named or paths)[0])
        doubt = "" if len(self.apart(slot.values)) > 1 else "one observation"
        others = [] if named else paths[1:2]
        agreements = tuple(
            Agreement(Given(spec), Given(self._spec("input", slot, path=one))) for one in others
        )
        return self._told(
            Given(spec), "input", f"the input has it at {spec.path}", slot, agreements=agreements, doubt=doubt
        )

    def _of_words(self, slot: Slot, *, first: bool) -> Told | None:
        """A parameter, where every run was told the value in words: before any result had it, or at all."""
        for index, value in enumerate(slot.values):
            said = self.sources.said_at(index, value, slot.at[index])
            if said is None:
                return None
            shown = self.sources.shown_at(index, value, slot.at[index]) if first else None
            if shown is not None and shown < said:
                return None
        spec = self._spec("said", slot)
        return self._told(Given(spec), "said", "it was said in words", slot)

    def _of_results(self, slot: Slot) -> Told | None:
        found = self._candidates(slot)
        offered = self._offered(slot)
        sure = [one for one in found if one.solid or one.chance <= CHANCE]
        rival = [one for one in offered if not any(_same_list(one.expr, other.expr) for other in sure)]
        if sure and ((rival and not _beyond_luck(rival, CHANCE)) or self._may_be_chosen(slot, sure)):
            sure = [one for one in sure if not one.solid]  # it may as well have been chosen
        if sure:
            return self._bound(slot, sure)
        if offered:
            return self._chosen(slot, offered)
        return None

    def _may_be_chosen(self, slot: Slot, sure: Sequence[Candidate]) -> bool:
        """Whether some runs saw the value in a list elsewhere, from which it may have been picked."""
        tools = {one.expr.column.tool for one in sure if not one.exclusive}
        tools |= {one.expr.column.tool for one in sure if len({other.expr.column.tool for other in sure}) == 1}
        seen: dict[tuple[str, Any], dict[int, int]] = {}
        for index in self.apart(slot.values):
            for call in self.sources.showing(index, slot.values[index], slot.at[index]):
                for path in self.sources.places(index, call, slot.values[index]) if call.tool not in tools else ():
                    for found in domains(call.result, path):
                        rows = seen.setdefault((call.tool, found.form), {})
                        rows[index] = max(found.options, rows.get(index, 1))
        return any(math.prod(1 / options for options in rows.values()) > CHANCE for rows in seen.values())

    def _bound(self, slot: Slot, sure: Sequence[Candidate]) -> Told:
        best = min(sure, key=lambda one: one.cost(self.kept))
        needs = set(best.needs)
        agreements = list(best.doubts)
        for other in sure:
            if other is best or (
                other.expr.column is best.expr.column and not best.exclusive and not other.exclusive
            ):
                continue
            if other.needs <= self.kept | needs:  # a guard looks up nothing of its own
                agreements.append(Agreement(best.expr, other.expr))
        observed = len(self.apart(slot.values))
        doubt = "" if observed > 1 else "one observation"
        why = f"the result of {best.expr.column.tool} has it"
        return self._told(best.expr, "result", why, slot, frozenset(needs), tuple(agreements), doubt)

    def _chosen(self, slot: Slot, offered: Sequence[Candidate]) -> Told:
        best = min(offered, key=lambda one: (*one.cost(self.kept)[:1], one.chance, *one.cost(self.kept)))
        spec = self._spec("choice", slot, choices=best.expr)
        return self._told(
            Given(spec),
            "choice",
            f"it is one of those that {best.expr.column.tool} tells of",
            slot,
            best.needs,
        )

    def _joined(self, slot: Slot) -> Told | None:
        if not all(isinstance(value, str) for value in slot.values):
            return None
        found = joining.joined(self, slot)
        if found is None:
            return None
        expr, needs = found
        return self._told(expr, "joined", "it is put together of several values", slot, needs)

    def _of_schema(self, slot: Slot) -> Told | None:
        """An option of the tool's schema is a choice, however often it was the same."""
        for run in self.runs:
            known = run.run.schemas.get(slot.tool, {}).get("properties", {})
            declared: Any = known.get(slot.name, {}) if isinstance(known, Mapping) else {}
            options = declared.get("enum") if isinstance(declared, Mapping) else None
            if isinstance(options, list) and all(value in options for value in slot.values):
                spec = self._spec("enum", slot, enum=options)
                return self._told(Given(spec), "enum", f"{slot.tool} takes one of {len(options)}", slot)
        return None

    def _left(self, slot: Slot) -> Told | None:
        """What nothing explains: a constant if it never changed and is no data, a parameter if it has a form."""
        formed = all(format_of(value) is not None for value in slot.values) or (
            pattern_of(slot.values) is not None and not any(weak(value) for value in slot.values)
        )
        alike = same(slot.values)
        if formed and not (alike and len(self.apart(self._whole())) > 1):
            spec = self._spec("typed", slot)
            doubt = "nobody knows where it comes from"
            return self._told(
                Given(spec), "typed", "it has a form of its own, and no source", slot, doubt=doubt
            )
        if alike and self._only_once(slot):
            return self._of_one(slot)
        if alike:
            doubt = "" if len(self.apart(self._whole())) > 1 else "one observation"
            return self._told(
                Constant(slot.values[0]), "constant", "it is the same in every run", slot, doubt=doubt
            )
        return None

    def _only_once(self, slot: Slot) -> bool:
        """Whether it is a value of a write that only one observation has: as likely data as not."""
        written = any(column.write and column.tool == slot.tool for column in self.spine)
        return written and not self._nested and slot.values[0] is not None and len(self.apart(self._whole())) < 2

    def _of_one(self, slot: Slot) -> Told:
        spec = self._spec("typed", slot)
        return self._told(Given(spec), "typed", "one observation does not make a constant", slot, doubt="one observation")

    # values of which two may be equal by chance

    def _of_weak(self, slot: Slot) -> Told | None:
        paths = self.sources.input_paths(slot.values)
        named = [path for path in paths if _last(path) == slot.name]
        if named:
            return self._told(
                Given(self._spec("input", slot, path=named[0])),
                "input",
                f"the input has it at {named[0]}",
                slot,
            )
        if (told := self._of_words(slot, first=True)) and not paths:
            return told
        results = self._candidates(slot)
        given = [Given(self._spec("input", slot, path=path)) for path in paths]
        if same(slot.values):
            if not paths and (told := self._of_schema(slot)):
                return told
            return self._weak_constant(slot, given, results)
        rivals: list[Expr] = [
            *given,
            *(one.expr for one in sorted(results, key=lambda one: (not one.solid, *one.cost(self.kept)))),
        ]
        if rivals:
            needs = frozenset(column for one in results for column in one.needs)
            best, *others = rivals
            doubts = [doubt for one in results for doubt in one.doubts]
            agreements = (*doubts, *(Agreement(best, other) for other in others))
            how = "input" if isinstance(best, Given) else "result"
            doubt = f"{len(others)} other explanations fit" if others else ""
            return self._told(best, how, "it is equal in every run", slot, needs, agreements, doubt)
        if (
            told := self._of_results(slot)
            or self._joined(slot)
            or self._of_words(slot, first=False)
            or self._of_schema(slot)
        ):
            return told
        return self._left(slot)

    def _weak_constant(self, slot: Slot, given: Sequence[Given], results: Sequence[Candidate]) -> Told:
        if self._only_once(slot):
            return self._of_one(slot)
        constant = Constant(slot.values[0])
        fitting = [one for one in results if one.solid]
        rivals: list[Expr] = [*given, *(one.expr for one in fitting)]
        needs = frozenset(column for one in fitting for column in one.needs)
        doubts = [doubt for one in fitting for doubt in one.doubts]
        agreements = (*doubts, *(Agreement(other, constant) for other in rivals))
        observed = len(self.apart(self._whole()))
        doubt = (
            "one observation" if observed < 2 else f"{len(rivals)} other explanations fit" if rivals else ""
        )
        return self._told(constant, "constant", "it is the same in every run", slot, needs, agreements, doubt)

    # lists and objects

    def _object(self, slot: Slot) -> Told | None:
        if whole := self._whole_value(slot):
            return whole
        names = list(dict.fromkeys(name for value in slot.values for name in value))
        if any(name not in value for value in slot.values for name in names):
            return None
        parts = {
            name: self.explain(slot.part([value[name] for value in slot.values], name)) for name in names
        }
        known = {name: part for name, part in parts.items() if part is not None}
        if len(known) < len(parts):
            return None
        return self._together(
            slot, Mapped({name: part.expr for name, part in known.items()}), list(known.values())
        )

    def _list(self, slot: Slot) -> Told | None:
        if whole := self._whole_value(slot) or self._projection(slot):
            return whole
        lengths = {len(value) for value in slot.values}
        flat = all(scalar(item) for value in slot.values for item in value)
        parts = self._elements(slot) if len(lengths) == 1 else None
        if parts and all(part.how not in ("choice", "typed", "constant") for part in parts):
            return self._together(slot, Listed(tuple(part.expr for part in parts)), parts)
        if flat and (told := self._chosen_list(slot) or self._said_list(slot)):
            return told
        if parts:
            return self._together(slot, Listed(tuple(part.expr for part in parts)), parts)
        return self._shown_list(slot) if flat else None

    def _elements(self, slot: Slot) -> list[Told] | None:
        length = len(slot.values[0])
        found = [self.explain(slot.part([value[place] for value in slot.values])) for place in range(length)]
        known = [part for part in found if part is not None]
        return known if len(known) == length else None

    def _together(self, slot: Slot, expr: Expr, parts: Sequence[Told]) -> Told:
        needs = frozenset(column for part in parts for column in part.needs)
        agreements = tuple(one for part in parts for one in part.agreements)
        doubt = next((part.doubt for part in parts if part.doubt), "")
        hows = list(dict.fromkeys(part.how for part in parts))
        why = "; ".join(dict.fromkeys(part.why for part in parts))
        return self._told(expr, "+".join(hows) or "constant", why, slot, needs, agreements, doubt)

    def _whole_value(self, slot: Slot) -> Told | None:
        if all(weak(value) for value in slot.values) and same(slot.values):
            return None
        if told := self._of_input(slot):
            return told
        lists = all(isinstance(value, list) for value in slot.values)
        if lists and not self._whole_lists(slot):
            return None
        found = [one for one in self._candidates(slot) if one.solid]
        return self._bound(slot, found) if found else None

    def _whole_lists(self, slot: Slot) -> bool:
        """Whether lists that are all of something are too many to be a choice of some of it."""
        apart = self.apart(slot.values)
        chance = 1.0
        for index in apart:
            chance /= 2 ** min(20, len(slot.values[index]))
        return len(apart) > 1 and chance <= CHANCE / 4

    def _projection(self, slot: Slot) -> Told | None:
        """Every element that a path finds, in order; some of them by choice is likelier where there were few."""
        firsts = [value[0] if value else None for value in slot.values]
        fitting = [
            one
            for one in self._offered(slot.part(firsts))
            if all(
                key(follow(call.result, one.expr.form, ())) == key(value)
                for call, value in zip(one.expr.column.calls, slot.values, strict=True)
            )
        ]
        if not fitting or not self._whole_lists(slot):
            return None
        best = min(fitting, key=lambda one: one.cost(self.kept))
        expr = FromResult(best.expr.column, best.expr.form, (), many=True)
        return self._told(expr, "result", f"all that {best.expr.column.tool} tells of", slot, best.needs)

    def _chosen_list(self, slot: Slot) -> Told | None:
        """A parameter: a list of elements that one result offered, however many."""
        longest = max(len(value) for value in slot.values)
        offered: list[Candidate] | None = None
        for place in range(longest):
            row = [value[min(place, len(value) - 1)] if value else None for value in slot.values]
            found = self._offered(slot.part(row))
            if offered is None:
                offered = found
            forms_here = {(one.expr.column, one.expr.form) for one in found}
            offered = [one for one in offered if (one.expr.column, one.expr.form) in forms_here]
            if not offered:
                return None
        return self._chosen(slot, offered) if offered else None

    def _said_list(self, slot: Slot) -> Told | None:
        for index, value in enumerate(slot.values):
            if not value or any(self.sources.said_at(index, item, slot.at[index]) is None for item in value):
                return None
        return self._told(Given(self._spec("said", slot)), "said", "it was said in words", slot)

    def _shown_list(self, slot: Slot) -> Told | None:
        for index, value in enumerate(slot.values):
            if not value or any(self.sources.shown_at(index, item, slot.at[index]) is None for item in value):
                return None
        doubt = "no guard knows which values may be chosen"
        return self._told(
            Given(self._spec("shown", slot)), "shown", "results had its elements", slot, doubt=doubt
        )

    # results

    def _candidates(self, slot: Slot) -> list[Candidate]:
        """Every path into an earlier result that finds the value in every run."""
        return [
            one
            for calls in self.sources.together(slot.values, slot.at)
            for one in self._in_results(slot, calls)
        ]

    def _in_results(self, slot: Slot, calls: tuple[Call, ...]) -> Iterator[Candidate]:
        rows = self._forms(slot, calls, many=False)
        column: Column | None = None
        for form, founds in rows.items():
            if self._nested and any(isinstance(step, Where) for step in form):
                continue
            column = column or self.column(calls)
            if column is None:
                return
            given: list[Expr] = []
            needs = set(column.needs)
            doubts: list[Agreement] = []
            picked = any(isinstance(step, (Entry, Index)) for step in form)
            luck = 0.0
            for place, step in enumerate(step for step in form if isinstance(step, Where)):
                # by something that was known before this result came: never by itself
                given_here = tuple(found.given[place] for found in founds)
                told = self._names(Slot(given_here, tuple(call.at for call in calls), step.field, slot.tool))
                if told is None:
                    break
                given.append(told.expr)
                needs |= told.needs
                doubts += told.agreements
                luck = max(luck, self._named_by_luck(calls, form, place, founds))
            else:
                apart = self.apart(
                    [[value, call.arguments] for value, call in zip(slot.values, calls, strict=True)]
                )
                chance = max(luck, _luck(founds, apart)) if picked else luck
                picked = picked or luck > NAMED
                exclusive = any(isinstance(step, Only) for step in form)
                yield Candidate(
                    FromResult(column, form, tuple(given)),
                    frozenset(needs),
                    chance,
                    not picked,
                    exclusive,
                    tuple(doubts),
                )

    def _names(self, slot: Slot) -> Told | None:
        """What says which element is meant: a parameter, or, for what does not come about by chance, a result."""
        if all(weak(value) for value in slot.values):
            paths = self.sources.input_paths(slot.values)
            if not paths:
                return None  # a word that was said among others names nothing for sure
            best, *others = (Given(self._spec("input", slot, path=path)) for path in paths)
            agreements = tuple(Agreement(best, other) for other in others)
            return self._told(best, "input", f"the input has it at {paths[0]}", slot, agreements=agreements)
        if given := self._given_anyway(slot.values):
            return self._told(given, given.spec.kind, "it is given anyway", slot)
        self._nested += 1
        try:
            told = self.explain(slot)
        finally:
            self._nested -= 1
        if told is None or told.how not in ("input", "said", "result"):
            return None
        return None if isinstance(told.expr, FromResult) and not _singular(told.expr) else told

    def _given_anyway(self, values: Sequence[Any]) -> Given | None:
        """The parameter that some argument of the spine is, or the element of one, if it has these values."""
        wanted = [key(value) for value in values]
        known = [*self.settled, *(self.foreseen if self._depth else ())]
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
        self, calls: tuple[Call, ...], form: tuple[Any, ...], place: int, founds: Sequence[Found]
    ) -> float:
        """How likely it is that the field of the element only happens to be what something else is, too."""
        at = [index for index, step in enumerate(form) if isinstance(step, Where)][place]
        field = form[at]
        assert isinstance(field, Where)
        known = {
            key(element[field.field])
            for call, found in zip(calls, founds, strict=True)
            for element in follow(call.result, (*form[:at], All()), found.given)
            if isinstance(element, Mapping) and field.field in element
        }
        apart = self.apart(
            [[found.given[place], call.arguments] for call, found in zip(calls, founds, strict=True)]
        )
        strong = any(not weak(found.given[place]) for found in founds)
        return 0.0 if strong else (1.0 / max(1, len(known))) ** len(apart)

    def _forms(
        self, slot: Slot, calls: tuple[Call, ...], *, many: bool
    ) -> dict[tuple[Any, ...], list[Found]]:
        """The forms that every run has in common, with what each run found."""
        common: dict[tuple[Any, ...], list[Found]] | None = None
        for index, (call, value) in enumerate(zip(calls, slot.values, strict=True)):
            here: dict[tuple[Any, ...], Found] = {}
            for path in self.sources.places(index, call, value):
                for found in domains(call.result, path) if many else forms(call.result, path):
                    here.setdefault(found.form, found)
            if common is None:
                common = {form: [found] for form, found in here.items()}
            else:
                common = {form: [*before, here[form]] for form, before in common.items() if form in here}
        return common or {}

    def _offered(self, slot: Slot) -> list[Candidate]:
        """Every path into an earlier result that finds the value in every run, among others."""
        found: list[Candidate] = []
        for calls in self.sources.together(slot.values, slot.at):
            rows = self._forms(slot, calls, many=True)
            column = self.column(calls) if rows else None
            if column is None:
                continue
            apart = self.apart(
                [[value, call.arguments] for value, call in zip(slot.values, calls, strict=True)]
            )
            for form, founds in rows.items():
                expr = FromResult(column, form, (), many=True)
                found.append(Candidate(expr, column.needs, _luck(founds, apart), False, False))
        return found

    # what they say

    def apart(self, values: Sequence[Any]) -> list[int]:
        """The runs that are observations of their own: those that differ in the values."""
        firsts: dict[str, int] = {}
        for index, value in enumerate(values):
            firsts.setdefault(key(value), index)
        return list(firsts.values())

    def _whole(self) -> list[Any]:
        """What each run changed, all of it."""
        return [
            [[column.tool, column.calls[index].arguments] for column in self.spine]
            for index in range(len(self.runs))
        ]

    def _spec(
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
            hint = _last(path) if path else slot.name
            spec = self.specs[name] = Spec(hint, kind, slot.values, path, choices, enum)
        elif choices is not None and (spec.choices is None or not self._depth):
            spec.choices = choices
        return spec

    def _told(
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


def _luck(founds: Sequence[Found], apart: Sequence[int]) -> float:
    chance = 1.0
    for index in apart:
        chance /= max(1, founds[index].options)
    return min(1.0, chance * max(found.fields for found in founds))


def _singular(expr: FromResult) -> bool:
    """Whether its path can stand in a filter, where RFC 9535 wants one that names one place."""
    return not expr.many and all(isinstance(step, (Key, Index)) for step in expr.form)


def _beyond_luck(rivals: Sequence[Candidate], limit: float) -> bool:
    return all(one.chance <= limit for one in rivals)


def _last(path: str) -> str:
    return path.rpartition(".")[2].partition("[")[0] or path


def _same_list(offered: FromResult, bound: FromResult) -> bool:
    """Whether what is bound is picked out of what is offered: then nothing else has to tell which one."""
    loose = tuple(step if isinstance(step, Key) else All() for step in bound.form)
    return offered.column is bound.column and loose == offered.form


def _asks_the_same(one: Column, other: Column) -> bool:
    if one.tool != other.tool or one.write or other.write:
        return False
    return all(
        key([a.arguments, a.result]) == key([b.arguments, b.result])
        for a, b in zip(one.calls, other.calls, strict=True)
    )
