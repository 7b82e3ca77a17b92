"""Where the nodes of a graph stand and how its edges run: layers from top to bottom, few crossings, nothing overlaps. Quiet.

Sugiyama's steps, each in its simplest form: edges that close a cycle are turned round, nodes go below all that lead to
them, an edge over several layers gets a place in each, layers are sorted by the mean place of their neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

Point: TypeAlias = tuple[float, float]
Size: TypeAlias = tuple[float, float]

GAP: Final = 26.0
LAYER_GAP: Final = 30.0
MARGIN: Final = 24.0
LOOP: Final = 26.0
"""How far the loop of a node stands out."""
_LABEL: Final = 14.0
_NARROW: Final = 10.0
_ROUNDS: Final = 8
_LARGE: Final = 100_000
"""Places beyond which fewer rounds are made: a picture of so much is not read anyway."""
_PORT: Final = 20.0


@dataclass(slots=True)
class Layout:
    """size: of the whole; places: the middle of each node; routes, labels: of each edge by its number, from source to target."""

    size: Size
    places: dict[str, Point]
    routes: list[list[Point]] = field(default_factory=list["list[Point]"])
    labels: list[Point] = field(default_factory=list["Point"])


@dataclass(slots=True)
class _Layered:
    layers: list[list[str]]
    below: dict[str, list[str]]
    above: dict[str, list[str]]
    chains: list[list[str]]
    turned: list[bool]


def lay_out(
    sizes: Mapping[str, Size], edges: Sequence[tuple[str, str]], room: Sequence[float] = ()
) -> Layout:
    """Places for all nodes.

    Args:
        sizes: width and height of each node, by id, in order.
        edges: source and target ids; several between two nodes and loops are allowed.
        room: how wide the label of each edge is; one that has a label has a place for it at `Layout.labels`.
    """
    room = list(room) or [0.0] * len(edges)
    found = _layered(list(sizes), edges, room)
    widths = {name: sizes[name][0] if name in sizes else _NARROW for layer in found.layers for name in layer}
    for (source, target), chain, label in zip(edges, found.chains, room, strict=True):
        if source == target:
            widths[source] = max(widths[source], sizes[source][0] + 2 * (LOOP + label))
        elif label:
            widths[chain[len(chain) // 2]] = label
    _sort(found)
    x = _across(found, widths)
    places: dict[str, Point] = {}
    top = MARGIN
    for layer in found.layers:
        height = max((sizes[name][1] if name in sizes else _LABEL for name in layer), default=_LABEL)
        for name in layer:
            places[name] = (x[name], top + height / 2)
        top += height + LAYER_GAP
    right = max((places[name][0] + widths[name] / 2 for name in places), default=0.0) + MARGIN
    layout = Layout((right, top - LAYER_GAP + MARGIN), {name: places[name] for name in sizes})
    ports = _ports(found, places, sizes)
    for number, (source, target) in enumerate(edges):
        chain = found.chains[number]
        if source == target:
            (cx, cy), (width, height) = places[source], sizes[source]
            side, up, down = cx + width / 2, cy - height / 5, cy + height / 5
            layout.routes.append([(side, up), (side + LOOP, up), (side + LOOP, down), (side, down)])
            layout.labels.append((side + LOOP + room[number] / 2, cy))
            continue
        points = [ports[number][0], *(places[name] for name in chain[1:-1]), ports[number][1]]
        layout.routes.append(points[::-1] if found.turned[number] else points)
        layout.labels.append(places[chain[len(chain) // 2]] if room[number] else points[0])
    return layout


def _ports(
    found: _Layered, places: Mapping[str, Point], sizes: Mapping[str, Size]
) -> list[tuple[Point, Point]]:
    """Where each edge leaves the bottom of its upper node, and where it comes to the top of its lower one: side by side."""
    sides: dict[tuple[str, bool], list[tuple[float, int]]] = {}
    for number, chain in enumerate(found.chains):
        if chain[0] != chain[-1]:
            sides.setdefault((chain[0], True), []).append((places[chain[1]][0], number))
            sides.setdefault((chain[-1], False), []).append((places[chain[-2]][0], number))
    at: dict[tuple[int, bool], Point] = {}
    for (name, bottom), those in sides.items():
        (x, y), (width, height) = places[name], sizes[name]
        apart = min(_PORT, 0.7 * width / len(those))
        for place, (_, number) in enumerate(sorted(those)):
            shift = (place - (len(those) - 1) / 2) * apart
            at[number, bottom] = (x + shift, y + height / 2 if bottom else y - height / 2)
    nowhere = (0.0, 0.0)
    return [
        (at.get((number, True), nowhere), at.get((number, False), nowhere))
        for number in range(len(found.chains))
    ]


def _layered(nodes: list[str], edges: Sequence[tuple[str, str]], room: Sequence[float]) -> _Layered:
    back = _closing(nodes, edges)
    forward = [(b, a) if number in back else (a, b) for number, (a, b) in enumerate(edges)]
    spans = [(a, b, 2 if wide else 1) for (a, b), wide in zip(forward, room, strict=True) if a != b]
    depth = _depths(nodes, spans)
    count = max(depth.values(), default=0) + 1
    layers: list[list[str]] = [[] for _ in range(count)]
    for name in nodes:
        layers[depth[name]].append(name)
    below: dict[str, list[str]] = {name: [] for name in nodes}
    above: dict[str, list[str]] = {name: [] for name in nodes}
    chains: list[list[str]] = []
    for number, (a, b) in enumerate(forward):
        between = [f"\0{number}.{at}" for at in range(depth[a] + 1, depth[b])]
        for at, name in enumerate(between, depth[a] + 1):
            layers[at].append(name)
            below[name], above[name] = [], []
        chains.append([a, *between, b])
        for upper, lower in pairwise(chains[-1]):
            if upper != lower:
                below[upper].append(lower)
                above[lower].append(upper)
    turned = [number in back for number in range(len(edges))]
    return _Layered([layer for layer in layers if layer], below, above, chains, turned)


def _closing(nodes: list[str], edges: Sequence[tuple[str, str]]) -> set[int]:
    """The edges that lead back to where a walk from the first nodes came from."""
    ways: dict[str, list[tuple[int, str]]] = {name: [] for name in nodes}
    for number, (source, target) in enumerate(edges):
        if source != target:
            ways[source].append((number, target))
    found: set[int] = set()
    state: dict[str, int] = {}
    for first in nodes:
        if first in state:
            continue
        state[first] = 1
        stack = [(first, iter(ways[first]))]
        while stack:
            name, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                state[name] = 2
                stack.pop()
            elif state.get(step[1]) == 1:
                found.add(step[0])
            elif step[1] not in state:
                state[step[1]] = 1
                stack.append((step[1], iter(ways[step[1]])))
    return found


def _depths(nodes: list[str], spans: Sequence[tuple[str, str, int]]) -> dict[str, int]:
    """The layer of each node: far enough below all that lead to it."""
    waits = dict.fromkeys(nodes, 0)
    ways: dict[str, list[tuple[str, int]]] = {name: [] for name in nodes}
    for source, target, least in spans:
        waits[target] += 1
        ways[source].append((target, least))
    depth = dict.fromkeys(nodes, 0)
    ready = [name for name in nodes if not waits[name]]
    for name in ready:
        for target, least in ways[name]:
            depth[target] = max(depth[target], depth[name] + least)
            waits[target] -= 1
            if not waits[target]:
                ready.append(target)
    return depth


def _rounds(found: _Layered) -> int:
    return max(1, min(_ROUNDS, _LARGE // (len(found.below) or 1)))


def _sort(found: _Layered) -> None:
    for turn in range(_rounds(found)):
        down = turn % 2 == 0
        near = found.above if down else found.below
        layers = found.layers if down else found.layers[::-1]
        for before, layer in pairwise(layers):
            place = {name: at for at, name in enumerate(before)}
            here = {name: at for at, name in enumerate(layer)}

            def middle(name: str, place: dict[str, int] = place, here: dict[str, int] = here) -> float:
                at = [place[one] for one in near[name] if one in place]  # noqa: B023 - used within this turn only
                return sum(at) / len(at) if at else here[name]

            layer.sort(key=middle)


def _across(found: _Layered, widths: Mapping[str, float]) -> dict[str, float]:
    """The middle of each node: as near as may be to the mean of its neighbours, in the order of its layer."""
    x: dict[str, float] = {}
    for layer in found.layers:
        at = 0.0
        for name in layer:
            x[name] = at + widths[name] / 2
            at += widths[name] + GAP
    for turn in range(_rounds(found) * 2):
        near = found.above if turn % 2 == 0 else found.below
        for layer in found.layers if turn % 2 == 0 else found.layers[::-1]:
            wanted = [_mean([x[one] for one in near[name]], x[name]) for name in layer]
            x.update(zip(layer, _apart(layer, wanted, widths), strict=True))
    left = min((x[name] - widths[name] / 2 for name in x), default=0.0)
    return {name: place - left + MARGIN for name, place in x.items()}


def _apart(layer: Sequence[str], wanted: Sequence[float], widths: Mapping[str, float]) -> list[float]:
    """Places as near to the wanted ones as may be, none overlapping: blocks that touch share the mean of what they want."""
    blocks: list[tuple[float, int]] = []  # the left shift of a block, and how many nodes it has
    offsets: list[float] = []
    at = 0.0
    for number, name in enumerate(layer):
        at += (widths[layer[number - 1]] + widths[name]) / 2 + GAP if number else 0.0
        offsets.append(at)
        shift, count = wanted[number] - at, 1
        while blocks and blocks[-1][0] > shift:
            other, more = blocks.pop()
            shift, count = (shift * count + other * more) / (count + more), count + more
        blocks.append((shift, count))
    shifts = [shift for shift, count in blocks for _ in range(count)]
    return [offset + shift for offset, shift in zip(offsets, shifts, strict=True)]


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
