"""What tells runs apart where they go different ways: a value that was known before, and nothing else.

Quiet. A branch has no default: a value that no run had stops the playbook. What separates the runs only by being
different in each of them (an id, a time) explains nothing, and is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanreel.wire.content import canonical_json

SUPPORT: Final = 2
"""Runs that have to have gone each way, for a value to be believed by itself."""
TOGETHER: Final = 3
"""Values that are asked for together; where more would do, nobody can say which it is."""
_SHORT: Final = 40
_MINTED: Final = re.compile(r"\d{3,}|[0-9a-f]{8}|\d[-:/]\d")


@dataclass(frozen=True, slots=True)
class Separation:
    """What separates the ways.

    conditions: by way, the conditions that hold of all its runs, and of none that went another.
    support: by way, how many runs went it. weak: one of them was gone by a single run.
    others: paths that would separate as well, and were not taken.
    """

    conditions: Mapping[str, tuple[Mapping[str, Any], ...]]
    support: Mapping[str, int]
    weak: bool
    others: tuple[str, ...] = ()


def separate(
    known: Sequence[Mapping[str, Any]], ways: Sequence[str], *, exactly: bool = False
) -> Separation | None:
    """What was known before and tells the ways apart; None: nothing does, or too much.

    Args:
        known: of each run what it knew where the ways part, by path from a variable on, such as ``order.status``.
        ways: of each run which way it went.
        exactly: a way that a single run went is taken too, where one value tells it apart.
    """
    support = {way: list(ways).count(way) for way in dict.fromkeys(ways)}
    if len(support) < 2:
        return None
    weak = min(support.values()) < SUPPORT
    if weak and not exactly:
        return None
    shared = [path for path in known[0] if all(path in run for run in known)] if known else []
    offers = [(path, found) for path in shared if (found := _by_way(path, known, ways)) is not None]
    offers.sort(key=lambda offer: _rank(offer[0], offer[1]))
    if not offers or (weak and len(offers) > 1):
        return None
    taken, others = offers[:TOGETHER], tuple(path for path, _ in offers[TOGETHER:])
    # Those that say the same in other words (of one object) go along; too many of different objects are chance.
    if others and len({path.partition(".")[0] for path, _ in offers}) > 1:
        return None
    conditions = {
        way: tuple({"json": path, "equals": values[way]} for path, values in taken) for way in support
    }
    return Separation(conditions, support, weak, others)


def _by_way(path: str, known: Sequence[Mapping[str, Any]], ways: Sequence[str]) -> dict[str, Any] | None:
    """The value of each way, if each has one that all its runs share and no other way has."""
    found: dict[str, Any] = {}
    for run, way in zip(known, ways, strict=True):
        value = run[path]
        if not _is_word(value) or (way in found and canonical_json(found[way]) != canonical_json(value)):
            return None
        found[way] = value
    distinct = {canonical_json(value) for value in found.values()}
    return found if len(distinct) == len(found) else None


def _is_word(value: Any) -> bool:
    """Whether it is of the kind that decides: a flag, a word, nothing at all; not an id, an amount or a sentence."""
    if value is None or isinstance(value, bool):
        return True
    return isinstance(value, str) and len(value) <= _SHORT and not _MINTED.search(value)


def _rank(path: str, values: Mapping[str, Any]) -> tuple[bool, int, int, str]:
    """What was given before what was found, outer before inner."""
    return (not path.startswith("params."), path.count(".") + path.count("["), len(path), path)
