"""Loops in finished runs: for each item of a list, again until a field says so, page after page.

Quiet. A loop is taken for one only where every run's calls are exactly the calls that the loop would make there, whatever
their number; everything else stays the calls that it was. What is found is a `Looped`, a call that stands for many, and
carries the `repeat` of the state that it becomes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias, cast

from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.paths import Step, steps, told, value_at
from spanreel.replay.playbooks.conditions import equal

Kind: TypeAlias = Literal["each", "until", "page"]
ITEM: Final = "item"
LEAST_TIMES: Final = 10
"""A loop may go on at least this often, and twice as often as it ever was seen to."""
GONE: Final = object()


@dataclass(frozen=True, slots=True)
class Looped(Call):
    """Several calls of a run that one state makes. As a `Call`: what is the same in all of them.

    arguments: those that the loop does not explain, the same in each of its calls. result: the list of all results; of
    `until` the last one. at: the moment of its last call; first_at: of its first. kind: see the module. calls: what it stands for.
    over: of `each`: the moment of the call whose result has the list; None: the run's input has it. over_path: where
    in it, as steps of a path. by: argument to the steps from an item to its value.
    cursor, cursor_path: of `page`: the argument, and where in a result the next value is. first: what that argument is the
    first time; `GONE`: it is left out. until: of `until` and `page`: conditions on a result. most: how often at most.
    """

    kind: Kind = "each"
    calls: tuple[Call, ...] = ()
    first_at: int = 0
    over: int | None = None
    over_path: tuple[Step, ...] = ()
    by: Mapping[str, tuple[Step, ...]] = field(default_factory=dict[str, tuple[Step, ...]])
    cursor: str | None = None
    cursor_path: tuple[Step, ...] = ()
    first: Any = None
    until: tuple[Mapping[str, Any], ...] = ()
    most: int = LEAST_TIMES

    @property
    def spans(self) -> list[str]:
        """Of all its calls."""
        return [call.span for call in self.calls]

    def explained(self, save_as: str) -> dict[str, str]:
        """The arguments that the loop explains, as bindings. save_as: the variable that keeps the state's result."""
        found = {name: f"{{{{ {ITEM}{told(path)} }}}}" for name, path in self.by.items()}
        if self.cursor is not None:
            found[self.cursor] = f"{{{{ {save_as}{told(self.cursor_path)} }}}}"
        return found

    def repeat(self, source: str | None, args: Mapping[str, Any]) -> dict[str, Any]:
        """`repeat` of the state.

        Args:
            source: of `each`: the variable that has the list, such as ``user`` or ``params``.
            args: of the state, all of them with their bindings.
        """
        if self.kind == "each":
            return {"for_each": f"{{{{ {source}{told(self.over_path)} }}}}", "as": ITEM, "max": self.most}
        found: dict[str, Any] = {"until": [dict(one) for one in self.until], "max": self.most}
        if self.kind == "page":
            start = {} if self.first is GONE else {str(self.cursor): self.first}
            rest = {name: value for name, value in args.items() if name != self.cursor}
            found |= {"collect": True, "first": {**rest, **start}}
        return found


def collapse(
    runs: Sequence[Sequence[Call]], inputs: Sequence[Any] = (), reads: bool = True
) -> list[list[Call]]:
    """The calls of each run, with a `Looped` for those that are a loop in every run.

    Args:
        runs: of each run its calls in order; what failed and was tried again is left out already.
        inputs: of each run what it was started with, if that is known.
        reads: whether loops of tools that only read are taken too.
    """
    found = [list(run) for run in runs]
    tools = _repeated(runs)
    if not reads:
        tools -= {call.tool for run in runs for call in run if call.safety == "read"}
    given = [*inputs, *[None] * (len(runs) - len(inputs))]
    for finding in (_pages, _eaches, _untils) if tools else ():
        offers = [_signed(finding(run, value, tools)) for run, value in zip(found, given, strict=True)]
        for sign in offers[0]:
            rows = [offer.get(sign, []) for offer in offers]
            if len({len(row) for row in rows}) != 1:
                continue
            for loops in zip(*rows, strict=True):
                agreed = _agreed(loops)
                if agreed and all(_still_there(loop, run) for loop, run in zip(agreed, found, strict=True)):
                    found = [_replaced(run, loop) for run, loop in zip(found, agreed, strict=True)]
    return found


def _repeated(runs: Sequence[Sequence[Call]]) -> set[str]:
    """Tools that are called twice in a row somewhere."""
    return {one.tool for run in runs for one, after in pairwise(run) if one.tool == after.tool}


def _signed(loops: Iterator[Looped]) -> dict[tuple[Any, ...], list[Looped]]:
    found: dict[tuple[Any, ...], list[Looped]] = {}
    for loop in loops:
        by = tuple(sorted(loop.by.items()))
        sign = (loop.kind, loop.tool, loop.over is None, loop.over_path, by, loop.cursor, loop.cursor_path)
        found.setdefault(sign, []).append(loop)
    return found


def _agreed(loops: Sequence[Looped]) -> list[Looped] | None:
    """The loops of all runs, with what they have to have in common; None: they have not, or nothing is repeated."""
    times = [len(loop.calls) for loop in loops]
    enough = 2 if loops[0].kind == "until" and loops[0].safety != "read" else 1
    if (
        sum(count > 1 for count in times) < enough
    ):  # a write that is made again and again, seen once, is no procedure
        return None
    most = max(LEAST_TIMES, 2 * max(times))
    if loops[0].kind == "each":
        return [replace(loop, most=most) for loop in loops]
    until = _until(loops)
    firsts = [loop.first for loop in loops]
    if until is None or any(one is not firsts[0] and not equal(one, firsts[0]) for one in firsts):
        return None
    return [replace(loop, most=most, until=until) for loop in loops]


def _still_there(loop: Looped, run: Sequence[Call]) -> bool:
    return all(any(call is one for one in run) for call in loop.calls)


def _replaced(run: list[Call], loop: Looped) -> list[Call]:
    kept: list[Call] = []
    for call in run:
        if call is loop.calls[-1]:
            kept.append(loop)
        elif not any(call is one for one in loop.calls):
            kept.append(call)
    return kept


def _of(kind: Kind, calls: Sequence[Call], explained: Sequence[str], result: Any, **more: Any) -> Looped:
    last = calls[-1]
    return Looped(
        at=last.at,
        tool=last.tool,
        arguments={name: value for name, value in calls[0].arguments.items() if name not in explained},
        result=result,
        text=None,
        error=None,
        safety=last.safety,
        span=calls[0].span,
        kind=kind,
        calls=tuple(calls),
        first_at=calls[0].at,
        **more,
    )


def _stretches(run: Sequence[Call], tools: Collection[str]) -> Iterator[Sequence[Call]]:
    """Calls of one tool in a row, longest first from each beginning on; none of them a loop already."""
    at = 0
    while at < len(run):
        end = at + 1
        while end < len(run) and run[end].tool == run[at].tool and not isinstance(run[end], Looped):
            end += 1
        if not isinstance(run[at], Looped) and run[at].tool in tools:
            for start in range(at, end):
                for stop in range(end, start, -1):
                    yield run[start:stop]
        at = end


Offering: TypeAlias = Callable[[Sequence[Call]], Iterable["Looped"]]


def _offers(run: Sequence[Call], tools: Collection[str], offering: Offering) -> Iterator[Looped]:
    """What each stretch may be, every possibility; none that begins within another."""
    taken = set[int]()
    for stretch in _stretches(run, tools):
        if any(id(call) in taken for call in stretch):
            continue
        for loop in offering(stretch):
            taken |= {id(call) for call in stretch}
            yield loop


def _same_rest(calls: Sequence[Call], varying: Sequence[str]) -> bool:
    rest = [{name: value for name, value in call.arguments.items() if name not in varying} for call in calls]
    return all(equal(one, rest[0]) for one in rest)


# for each item of a list


def _eaches(run: Sequence[Call], given: Any, tools: Collection[str]) -> Iterator[Looped]:
    lists = [(call.at, list(_lists(call.result))) for call in run if not isinstance(call, Looped)]
    there = list(_lists(given))

    def offering(calls: Sequence[Call]) -> Iterator[Looped]:
        before = [(at, found) for at, found in reversed(lists) if at < calls[0].at]
        for at, found in [*before, (None, there)]:
            for path, items in found:
                by = _by_item(calls, items) if len(items) == len(calls) else {}
                if by and _same_rest(calls, list(by)):
                    results = [call.result for call in calls]
                    yield _of("each", calls, list(by), results, over=at, over_path=path, by=by)

    return _offers(run, tools, offering)


def _lists(document: Any) -> Iterator[tuple[tuple[Step, ...], list[Any]]]:
    for path, value in steps(document):
        if isinstance(value, list) and value:
            yield path, cast("list[Any]", value)


def _by_item(calls: Sequence[Call], items: Sequence[Any]) -> dict[str, tuple[Step, ...]]:
    """Which arguments are the item, or a field of it, in every call; not those that are the same in all of them."""
    found: dict[str, tuple[Step, ...]] = {}
    for name, value in calls[0].arguments.items():
        given = [call.arguments.get(name, GONE) for call in calls]
        if len(calls) > 1 and all(equal(one, given[0]) for one in given):
            continue
        for path, inside in steps(items[0]):
            if equal(inside, value) and all(
                equal(value_at(item, path, GONE), one) for item, one in zip(items, given, strict=True)
            ):
                found[name] = path
                break
    return found


# again until a field of the result says so


def _untils(run: Sequence[Call], _: Any, tools: Collection[str]) -> Iterator[Looped]:
    def offering(calls: Sequence[Call]) -> Iterator[Looped]:
        results = [call.result for call in calls]
        if _same_rest(calls, ()) and all(not equal(one, results[-1]) for one in results[:-1]):
            yield _of("until", calls, (), results[-1])

    return _offers(run, tools, offering)


def _until(loops: Sequence[Looped]) -> tuple[Mapping[str, Any], ...] | None:
    """What holds of every last result, and of none before it."""
    lasts = [loop.calls[-1].result for loop in loops]
    earlier = [call.result for loop in loops for call in loop.calls[:-1]]
    if loops[0].kind == "page":
        ends = [value_at(last, loops[0].cursor_path, GONE) for last in lasts]
        where = told(loops[0].cursor_path).removeprefix(".")
        gone: Mapping[str, Any] = {"not": {"json": where, "exists": True}}
        values = {json.dumps(end) for end in ends if end is not GONE}
        asked = [{"json": where, "equals": json.loads(value)} for value in sorted(values)]
        asked += [gone] if any(end is GONE for end in ends) else []
        return (asked[0],) if len(asked) == 1 else ({"any": asked},)
    offers: list[tuple[int, Mapping[str, Any]]] = []
    for path, value in steps(lasts[0]):
        if not path or isinstance(value, (dict, list)):
            continue
        where = told(path).removeprefix(".")
        others = [value_at(one, path, GONE) for one in earlier]
        ends = [value_at(last, path, GONE) for last in lasts]
        if any(one is GONE for one in (*others, *ends)):
            continue
        if all(equal(end, value) for end in ends) and not any(equal(one, value) for one in others):
            offers.append((len(path), {"json": where, "equals": value}))
        elif all(equal(one, others[0]) for one in others) and not any(equal(end, others[0]) for end in ends):
            offers.append((len(path) + 100, {"json": where, "not_equals": others[0]}))
    supported = [one for _, one in sorted(offers, key=lambda pair: pair[0])]
    # Several fields may turn at once (a status, and how far it is): all have to, so that none is trusted by chance.
    words = [one for one in supported if isinstance(one.get("equals", one.get("not_equals")), (str, bool))]
    return tuple((words or supported)[:2]) or None


# page after page


def _pages(run: Sequence[Call], _: Any, tools: Collection[str]) -> Iterator[Looped]:
    return _offers(run, tools, _by_cursor)


def _by_cursor(calls: Sequence[Call]) -> Iterator[Looped]:
    for name, path in _cursors(calls):
        values = [value_at(call.result, path, GONE) for call in calls]
        ends = values[-1] is GONE or values[-1] in (None, "", False)
        follows = all(
            equal(after.arguments.get(name, GONE), value)
            for value, after in zip(values, calls[1:], strict=False)
        )
        if ends and follows and _same_rest(calls, [name]):
            first = calls[0].arguments.get(name, GONE)
            results = [call.result for call in calls]
            yield _of("page", calls, [name], results, cursor=name, cursor_path=path, first=first)


def _cursors(calls: Sequence[Call]) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """Arguments and the fields of a result that they may be taken from."""
    if len(calls) > 1:
        for name, value in calls[1].arguments.items():
            if value in (None, "", False):
                continue
            for path, inside in steps(calls[0].result):
                if path and not isinstance(inside, (dict, list)) and equal(inside, value):
                    yield name, path
        return
    # One page is the whole list; what its cursor would be is known from the other runs: offer each empty field.
    for path, inside in steps(calls[0].result):
        if path and inside in (None, "", False) and not isinstance(inside, (int, float)):
            for name in _guessed(calls[0], path):
                yield name, path


def _guessed(call: Call, path: tuple[Step, ...]) -> Iterator[str]:
    yield from call.arguments
    yield from ("cursor", "page", "page_token", "offset", "after", str(path[-1]))
