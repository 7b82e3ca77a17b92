"""What a run knew at a moment: its input by path, what was said, and the results that had come.

Quiet. It finds; `flow` decides what a find is worth.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice, product
from typing import Any, Final

from spanreel.replay.playbooks.compiling.cleaning import Cleaned
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.places import places
from spanreel.replay.playbooks.compiling.values import key, mentions, scalar

MOST_COMBINED: Final = 32
NEVER: Final = 1 << 60


class Sources:
    """What the runs knew. runs: in order."""

    def __init__(self, runs: Sequence[Cleaned]) -> None:
        self.runs = runs
        self.inputs = [
            dict(_paths(run.run.input)) if isinstance(run.run.input, Mapping) else {} for run in runs
        ]
        self._keys = [{path: key(value) for path, value in found.items()} for found in self.inputs]
        self._places: dict[tuple[int, int, str], list[tuple[Any, ...]]] = {}

    def input_paths(self, values: Sequence[Any]) -> list[str]:
        """The paths at which every run's input has its value, the shortest first."""
        wanted = [key(value) for value in values]
        fitting = [
            path
            for path, found in self._keys[0].items()
            if found == wanted[0]
            and all(keys.get(path) == one for keys, one in zip(self._keys, wanted, strict=True))
        ]
        return sorted(fitting, key=lambda path: (path.count(".") + path.count("["), len(path)))

    def inputs_among(self, options: Sequence[Collection[str]]) -> Iterator[list[Any]]:
        """The values of each path at which every run's input has one of its options, given as `key` tells them."""
        for path in self._keys[0]:
            if all(keys.get(path) in known for keys, known in zip(self._keys, options, strict=True)):
                yield [found[path] for found in self.inputs]

    def said_at(self, index: int, value: Any, before: int) -> int | None:
        """When the value was first said in words, up to that moment."""
        said = self.runs[index].run.said
        return next((one.at for one in said if one.at <= before and mentions(one.text, value)), None)

    def shown_at(self, index: int, value: Any, before: int) -> int | None:
        """When a result first had the value."""
        calls = (call for call in self.runs[index].calls if call.at < before)
        return next((call.at for call in calls if self.places(index, call, value)), None)

    def places(self, index: int, call: Call, value: Any) -> list[tuple[Any, ...]]:
        """Where a result has the value."""
        name = (index, call.at, key(value))
        if name not in self._places:
            self._places[name] = places(call.result, value)
        return self._places[name]

    def together(self, values: Sequence[Any], at: Sequence[int]) -> Iterator[tuple[Call, ...]]:
        """Calls of one tool, one of each run, whose results have the run's value before its moment."""
        rows = [self.showing(index, value, at[index]) for index, value in enumerate(values)]
        tools = dict.fromkeys(call.tool for call in rows[0])
        for tool in tools:
            yield from combined([[call for call in row if call.tool == tool] for row in rows])

    def showing(self, index: int, value: Any, before: int) -> list[Call]:
        """Calls that had the value in their result, not where they only repeat what they were asked for."""
        return [
            call for call in self.runs[index].calls if call.at < before and self.found(index, call, value)
        ]

    def found(self, index: int, call: Call, value: Any) -> list[tuple[Any, ...]]:
        """Where a result has the value, but for where it repeats the argument that had it."""
        wanted = key(value)
        asked = [name for name, one in call.arguments.items() if scalar(one) and key(one) == wanted]
        found = self.places(index, call, value)
        return [path for path in found if not _repeats(path, asked)] if asked else found

    def earlier(self, at: Sequence[int]) -> Iterator[tuple[Call, ...]]:
        """Every row of calls of one tool, one of each run, before the moments."""
        rows = [[call for call in run.calls if call.at < at[run.index]] for run in self.runs]
        for tool in dict.fromkeys(call.tool for call in rows[0]):
            yield from combined([[call for call in row if call.tool == tool] for row in rows])


def _repeats(path: tuple[Any, ...], asked: Sequence[str]) -> bool:
    """Whether a place is called as the argument is: `id` and `order_id` are the same name."""
    last = next((str(step) for step in reversed(path) if isinstance(step, str)), "")
    return any(
        last == name or last.endswith(f"_{name}") or name.endswith(f"_{last}") or not last for name in asked
    )


def combined(rows: Sequence[Sequence[Call]]) -> Iterator[tuple[Call, ...]]:
    """One call of each row, those that stand at the same place first; a bounded number."""
    if not all(rows):
        return
    seen: set[tuple[int, ...]] = set()
    shortest = min(len(row) for row in rows)
    ranked = (tuple(row[place] for row in rows) for place in range(shortest))
    for calls in islice((one for group in (ranked, product(*rows)) for one in group), MOST_COMBINED):
        name = tuple(call.at for call in calls)
        if name not in seen:
            seen.add(name)
            yield calls


def _paths(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every part of an input, by its JSON path."""
    if path:
        yield path, value
    if isinstance(value, Mapping):
        for name, item in value.items():
            plain = str(name).isidentifier()
            step = (f".{name}" if path else str(name)) if plain else f"['{name}']"
            if plain or path:
                yield from _paths(item, path + step)
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _paths(item, f"{path}[{place}]")
