"""Where in a result a value is, and by which paths it is found there: paths that can mean the same in another run.

Quiet. A place is concrete (``items[3].item_id``). A form of it is what may hold elsewhere: the same index, the only
element, the element whose neighbour field is something known, any of them (`All`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Any, Final, TypeAlias

from spanreel.replay.playbooks.compiling.values import key, scalar

MOST_PLACES: Final = 60
MOST_FORMS: Final = 48
LARGEST: Final = 20_000
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Key:
    """A key of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Entry(Key):
    """A key that is data: one of several entries that an object has."""


@dataclass(frozen=True, slots=True)
class Index:
    """A place in a list, from the start or, below 0, from the end."""

    at: int


@dataclass(frozen=True, slots=True)
class Only:
    """The one element that there is."""


@dataclass(frozen=True, slots=True)
class All:
    """Each element."""


@dataclass(frozen=True, slots=True)
class Where:
    """The element whose field is something; what, is said beside the form."""

    field: str


Step: TypeAlias = Key | Index | Only | All | Where
Form: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """A form by which a value is found.

    given: of each `Where` in it, what the field is. options: how many elements there were at each `Index`, or at each
    `All`, to choose from. fields: how many other ways of choosing there would have been.
    """

    form: Form
    given: tuple[Any, ...] = ()
    options: int = 1
    fields: int = 1


def places(result: Any, value: Any) -> list[tuple[Any, ...]]:
    """The concrete paths at which the result has the value, those nearest to the top first."""
    wanted = key(value)
    found: list[tuple[Any, ...]] = []
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), result)]
    looked = 0
    simple = scalar(value)
    while waiting and len(found) < MOST_PLACES and looked < LARGEST:
        following: list[tuple[tuple[Any, ...], Any]] = []
        for path, node in waiting:
            looked += 1
            if scalar(node) == simple and key(node) == wanted:
                found.append(path)
            if isinstance(node, Mapping):
                following += [((*path, name), item) for name, item in node.items()]
            elif isinstance(node, (list, tuple)):
                following += [((*path, place), item) for place, item in enumerate(node)]
        waiting = following
    return found


def forms(result: Any, path: Sequence[Any]) -> list[Found]:
    """The forms of a place by which one value is found."""
    return list(islice((found for found in _forms(result, path, many=False)), MOST_FORMS))


def domains(result: Any, path: Sequence[Any]) -> list[Found]:
    """The forms of a place by which several values are found, the value one of them."""
    return [found for found in _forms(result, path, many=True) if All() in found.form]


def _forms(result: Any, path: Sequence[Any], *, many: bool) -> Iterator[Found]:
    node = result
    choices: list[list[tuple[Step, Any, int, int]]] = []
    last = path[-1] if path else None
    for step in path:
        inside = node[step]
        if isinstance(node, Mapping) and not _keyed_by_data(node, step):
            choices.append([(Key(str(step)), None, 1, 1)])
        else:
            choices.append(list(_ways(node, step, inside, last, many)))
        node = inside
    for steps in product(*choices):
        given = tuple(value for step, value, _, _ in steps if isinstance(step, Where))
        options = fields = 1
        for _, _, count, ways in steps:
            options *= count
            fields *= ways
        yield Found(tuple(step for step, _, _, _ in steps), given, options, fields)


def _ways(node: Any, step: Any, inside: Any, last: Any, many: bool) -> Iterator[tuple[Step, Any, int, int]]:
    elements: list[Any] = list(node.values()) if isinstance(node, Mapping) else list(node)
    count = len(elements)
    if many:
        yield All(), None, count, 1
        return
    if count == 1:
        yield Only(), None, 1, 1
    fields = [
        name
        for name, value in (inside.items() if isinstance(inside, Mapping) else ())
        if scalar(value) and value is not None and name != last and _apart(elements, name, value)
    ]
    for name in fields:
        yield Where(name), inside[name], count, max(1, len(fields))
    if isinstance(node, Mapping):
        yield Entry(str(step)), None, max(2, count), 1
        return
    # any place would have been told of one run: that one is no evidence
    yield Index(step), None, count, count
    if step == count - 1:
        yield Index(-1), None, count, count


def _apart(elements: Sequence[Any], name: str, value: Any) -> bool:
    """Whether one element only has this value there."""
    wanted = key(value)
    having = (
        one for one in elements if isinstance(one, Mapping) and name in one and key(one[name]) == wanted
    )
    return len(list(islice(having, 2))) == 1


def _keyed_by_data(node: Mapping[str, Any], step: Any) -> bool:
    """Whether the keys of an object are data (ids, names), not fields: its values are alike, and name their own keys."""
    inside = node[step]
    if isinstance(inside, Mapping):
        if any(scalar(value) and value == step for value in inside.values()):
            return True
        keys = [frozenset(value) if isinstance(value, Mapping) else None for value in node.values()]
        return len(keys) > 1 and len(set(keys)) == 1 and _like_data(step)
    return _like_data(step) and any(letter.isdigit() for letter in str(step)) and len(str(step)) >= 6


def _like_data(step: Any) -> bool:
    return not _PLAIN.fullmatch(str(step)) or any(letter.isdigit() for letter in str(step))


def follow(result: Any, form: Form, given: Sequence[Any]) -> list[Any]:
    """Every value that a form finds; `given` as in `Found`."""
    nodes: list[Any] = [result]
    wheres = iter(given)
    for step in form:
        wanted = key(next(wheres)) if isinstance(step, Where) else ""
        following: list[Any] = []
        for node in nodes:
            following += _stepped(node, step, wanted)
        nodes = following
    return nodes


def _stepped(node: Any, step: Step, wanted: str) -> list[Any]:
    if isinstance(step, Key):
        return [node[step.name]] if isinstance(node, Mapping) and step.name in node else []
    elements: list[Any] = (
        list(node.values())
        if isinstance(node, Mapping)
        else list(node)
        if isinstance(node, (list, tuple))
        else []
    )
    if isinstance(step, Index):
        return [elements[step.at]] if -len(elements) <= step.at < len(elements) else []
    if isinstance(step, Where):
        return [
            one
            for one in elements
            if isinstance(one, Mapping) and step.field in one and key(one[step.field]) == wanted
        ]
    return elements


def proven(found: Sequence[Found], distinct: Sequence[int]) -> float:
    """How likely it is that a form fits only by chance: `distinct` are the runs that are observations of their own."""
    chance = 1.0
    for index in distinct:
        chance /= max(1, found[index].options)
    return min(1.0, chance * max(one.fields for one in found))
