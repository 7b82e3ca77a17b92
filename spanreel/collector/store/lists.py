"""JSON text cut at the boundaries of its message lists, and joined again byte for byte.

Pure text work: no database. A conversation sends its whole history with every call, as a JSON array (an attribute) or
as an array inside a JSON object (a request body). Cut at element boundaries, the elements can be kept once. Only what
follows the longest known prefix is parsed, and what cannot be cut so that it joins to the same text is not cut.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

LIST_KEYS: Final = frozenset({"messages", "input", "contents", "tools", "system", "output", "content"})
"""Top-level members of bodies that hold history, tool definitions, or the answer."""
MESSAGE: Final = "message"
"""In the elements of a top-level member `choices`: the answer."""
_SCAN: Final[Callable[[str, int], tuple[Any, int]]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # C, documented by use in json.decoder
_SPACE: Final = re.compile(r"[ \t\r\n]*").match
_MESSAGE: Final = re.compile(r'"message"[ \t\r\n]*:[ \t\r\n]*').search
_AFTER_ELEMENT: Final = frozenset(" \t\r\n,]")
_MIN_ELEMENT: Final = 48  # shorter ones on average (token arrays) cost more as rows than as text


@dataclass(slots=True)
class Region:
    """The text of a list seen before, without its brackets: `separator.join(elements)`, proved when it was cut.

    ends: where each element ends, in characters of `text`; nodes: the chain node of each element.
    """

    text: str
    ends: list[int]
    nodes: list[int]
    separator: str

    def shared(self, text: str, first: int) -> int:
        """How many of these elements `text` repeats from position `first` on."""
        if text.startswith(self.text, first):
            count = len(self.ends)
        else:
            count, above = 0, len(self.ends)
            while count < above:  # the longest prefix of elements that fits
                middle = (count + above + 1) // 2
                if text.startswith(self.text[: self.ends[middle - 1]], first):
                    count = middle
                else:
                    above = middle - 1
        # "12" must not be found in "123"
        if (
            count
            and text[first + self.ends[count - 1] : first + self.ends[count - 1] + 1] not in _AFTER_ELEMENT
        ):
            count -= 1
        return count


@dataclass(slots=True)
class Hole:
    """A list inside a text: characters `start` to `stop`, elements joined by `separator`.

    name: the member it is in, or an empty string for a text that is itself a list. The first `kept` elements are those
    of `known`; `tail` are the others.
    """

    name: str
    start: int
    stop: int
    separator: str
    ends: list[int]
    kept: int
    known: Region | None
    tail: list[str] = field(default_factory=list[str])


Known = Callable[[str, str, int], "Region | None"]
"""(member name, text, where the first element starts) -> a region that may share a prefix."""


def cut(text: str, known: Known) -> list[Hole]:
    """The lists of a JSON text worth keeping element by element; empty when it has none or is not regular JSON."""
    try:
        start = _skip(text, 0)
        opening = text[start : start + 1]
        if opening == "[":
            holes, stop = _list("", text, start, known)
        elif opening == "{":
            holes, stop = _object(text, start, known)
        else:
            return []
        return [hole for hole in holes if _worth(hole)] if _skip(text, stop) == len(text) else []
    except (_Irregular, StopIteration, ValueError, RecursionError, IndexError):
        return []


def skeleton(text: str, holes: list[Hole]) -> tuple[str, list[int]]:
    """The text without its lists, and where in it each list goes."""
    pieces: list[str] = []
    offsets: list[int] = []
    position = length = 0
    for hole in holes:
        pieces.append(text[position : hole.start])
        length += hole.start - position
        offsets.append(length)
        position = hole.stop
    pieces.append(text[position:])
    return "".join(pieces), offsets


def join(frame: str, fills: list[tuple[int, str]]) -> str:
    """The inverse of `skeleton`: the text, given (offset, list text) of every list in order."""
    pieces: list[str] = []
    position = 0
    for offset, fill in fills:
        pieces += (frame[position:offset], fill)
        position = offset
    pieces.append(frame[position:])
    return "".join(pieces)


def is_one(text: str, start: int, stop: int) -> bool:
    """Whether exactly one JSON value stands there."""
    try:
        return _SCAN(text, start)[1] == stop
    except (StopIteration, ValueError, RecursionError):
        return False


class _Irregular(Exception):
    """The text cannot be cut so that it joins again."""


def _skip(text: str, position: int) -> int:
    found = _SPACE(text, position)
    return found.end() if found else position


def _worth(hole: Hole) -> bool:
    return hole.stop - hole.start >= _MIN_ELEMENT * len(hole.ends)


def _object(text: str, position: int, known: Known) -> tuple[list[Hole], int]:
    holes: list[Hole] = []
    position = _skip(text, position + 1)
    if text[position] == "}":
        return holes, position + 1
    while True:
        if text[position] != '"':
            raise _Irregular
        name, position = _SCAN(text, position)
        position = _skip(text, position)
        if text[position] != ":":
            raise _Irregular
        position = _skip(text, position + 1)
        if name in LIST_KEYS and text[position] == "[":
            found, position = _list(name, text, position, known)
            holes += found
        elif name == "choices" and text[position] == "[":
            found, position = _choices(text, position)
            holes += found
        else:
            _, position = _SCAN(text, position)
        position = _skip(text, position)
        if text[position] == "}":
            return holes, position + 1
        if text[position] != ",":
            raise _Irregular
        position = _skip(text, position + 1)


def _list(name: str, text: str, position: int, known: Known) -> tuple[list[Hole], int]:
    """The list that opens at `position` as a hole (none when it is empty), and where it is closed."""
    first = position = _skip(text, position + 1)
    if text[first] == "]":
        return [], first + 1
    region = known(name, text, first)
    kept = region.shared(text, first) if region is not None else 0
    ends = region.ends[:kept] if region is not None else []
    separator = region.separator if region is not None and kept > 1 else None
    tail: list[str] = []
    if kept:
        position = first + ends[-1]
    else:
        _, position = _SCAN(text, first)
        tail.append(text[first:position])
        ends.append(position - first)
    while True:
        following = _skip(text, position)
        if text[following] == "]":
            return [Hole(name, first, position, separator or ",", ends, kept, region, tail)], following + 1
        if text[following] != ",":
            raise _Irregular
        start = _skip(text, following + 1)
        between = text[position:start]
        if separator is None:
            separator = between
        elif between != separator:
            raise _Irregular
        _, position = _SCAN(text, start)
        tail.append(text[start:position])
        ends.append(position - first)


def _choices(text: str, position: int) -> tuple[list[Hole], int]:
    """The messages of a list of choices, each a hole, and where the list is closed."""
    chosen, stop = _SCAN(text, position)
    holes: list[Hole] = []
    found = _MESSAGE(text, position, stop)
    while found and len(holes) < len(chosen):
        value, end = _SCAN(text, found.end())
        if isinstance(value, dict):
            start = found.end()
            holes.append(Hole(MESSAGE, start, end, "", [end - start], 0, None, [text[start:end]]))
        found = _MESSAGE(text, end, stop)
    return holes, stop
