"""Where the states of a playbook lead, which of them go round without end, and which variables are there when.

Quiet. It follows every way that a body has; it judges nothing, `checking` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from spanreel.replay.playbooks.body import END, Body, State
from spanreel.replay.playbooks.conditions import COMBINED

Path: TypeAlias = tuple[str | int, ...]
EFFECTS = ("tool", "llm", "python", "playbook")
"""Actions that have a result."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way on from a state. to: the next one, or `END`. path: where the body says so. failed: taken when it failed."""

    to: str
    path: Path
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Known:
    """Variables at a place. may: set on some way there; must: on every one."""

    may: frozenset[str]
    must: frozenset[str]


def chooses(state: State) -> bool:
    """Whether only its function says where it leads."""
    return state.python is not None and state.next is None


def ways(body: Body, name: str) -> Iterator[Way]:
    """Every way on that a state's own keys say, or its declared edges where its function chooses among them."""
    state, here = body.states[name], ("states", name)
    if state.branch is not None:
        yield from _cases(state, here)
    elif state.approval is not None:
        key = "next" if state.on_approve is None else "on_approve"
        yield Way(state.on_approve or state.next or END, (*here, key))
        if state.on_reject is not None:
            yield Way(state.on_reject, (*here, "on_reject"))
    elif chooses(state):
        yield Way(END, here)
        for place, edge in enumerate(body.edges):
            if edge.from_ == name:
                yield Way(edge.to, ("edges", place, "to"))
    else:
        yield Way(state.next or END, (*here, "next"))
    if state.on_failure is not None:
        yield Way(state.on_failure, (*here, "on_failure"), failed=True)


def _cases(state: State, here: Path) -> Iterator[Way]:
    branch = state.branch
    assert branch is not None
    if isinstance(branch.cases, dict):
        yield from (Way(to, (*here, "branch", "cases", case)) for case, to in branch.cases.items())
    else:
        for place, case in enumerate(branch.cases):
            yield Way(case.next, (*here, "branch", "cases", place, "next"))
    if branch.default is not None:
        yield Way(branch.default, (*here, "branch", "default"))


def _onward(body: Body) -> dict[str, list[Way]]:
    """The ways between states that there are; where a function chooses freely, to every state."""
    found: dict[str, list[Way]] = {}
    for name, state in body.states.items():
        found[name] = [way for way in ways(body, name) if way.to in body.states]
        if chooses(state) and not body.edges:
            found[name] += [Way(other, ("states", name)) for other in body.states]
    return found


def reachable(body: Body) -> set[str]:
    """The states that a run can come to."""
    onward = _onward(body)
    found: set[str] = set()
    waiting = [body.initial] if body.initial in body.states else []
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [way.to for way in onward[name]]
    return found


def endless(body: Body) -> list[list[str]]:
    """Cycles in which no state has `max_visits`, each as its states in order; none twice."""
    free = {name for name, state in body.states.items() if not state.max_visits and name != END}
    onward = {
        name: {way.to for way in ways(body, name) if way.to in free} for name in body.states if name in free
    }
    cycles: list[list[str]] = []
    while onward := _without_ends(onward):
        name = next(iter(onward))
        walked: dict[str, None] = {}
        while name not in walked:
            walked[name] = None
            name = min(onward[name])
        names = list(walked)
        cycles.append(names[names.index(name) :])
        for one in cycles[-1]:
            del onward[one]
    return cycles


def _without_ends(onward: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Only the states from which one can go on for ever."""
    left = {name: {to for to in onwards if to in onward} for name, onwards in onward.items()}
    before: dict[str, list[str]] = {}
    for name, onwards in left.items():
        for to in onwards:
            before.setdefault(to, []).append(name)
    over = [name for name, onwards in left.items() if not onwards]
    while over:
        name = over.pop()
        del left[name]
        for one in before.get(name, ()):
            if one in left:
                left[one].discard(name)
                if not left[one] and one not in over:
                    over.append(one)
    return left


def saves(state: State) -> set[str]:
    """The variables that it sets when it goes through."""
    found = set(state.set or ())
    if state.save_as is not None and (state.action in EFFECTS or state.approval is not None):
        found.add(state.save_as)
    return found


def variables(body: Body) -> dict[str, Known]:
    """What is set when each state is entered, by state; under `END`: when a run is over. Only what can be reached."""
    onward = _onward(body)
    found: dict[str, Known] = {body.initial: Known(frozenset(), frozenset())}
    waiting = [body.initial] if body.initial in body.states else []
    while waiting:
        name = waiting.pop()
        state, known = body.states[name], found[name]
        leads = [*onward[name], *(way for way in ways(body, name) if way.to == END)]
        for way in leads:
            after = _after(state, known, way)
            before = found.get(way.to)
            merged = after if before is None else Known(before.may | after.may, before.must & after.must)
            if merged != before:
                found[way.to] = merged
                if way.to != END:
                    waiting.append(way.to)
    return found


def _after(state: State, known: Known, way: Way) -> Known:
    if way.failed:
        return Known(known.may | saves(state) | {"failure"}, known.must | {"failure"})
    return Known(known.may | saves(state), known.must | saves(state))


def functions_of(body: Body) -> list[str]:
    """Every ``module:function`` that a body names, in its states and in its conditions; each once."""
    found = [state.python for state in body.states.values() if state.python is not None]
    for state in body.states.values():
        judged = [state.pre, state.post, state.assert_, state.repeat and state.repeat.until]
        if state.branch is not None and not isinstance(state.branch.cases, dict):
            judged += [case.when for case in state.branch.cases]
        found += _called([one for one in judged if one])
    return list(dict.fromkeys([*found, *_called(body.success)]))


def _called(conditions: Any) -> Iterator[str]:
    if isinstance(conditions, Mapping):
        for key, value in cast("Mapping[str, Any]", conditions).items():
            if key == "python" and isinstance(value, str):
                yield value
            elif key in COMBINED:
                yield from _called(value)
    elif isinstance(conditions, (list, tuple)):
        for one in cast("list[Any]", conditions):
            yield from _called(one)
