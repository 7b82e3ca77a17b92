"""Histories that grow: an agent sends its whole conversation with every call, and each call is read only where it is new.

`Arrays` reads JSON texts one after the other; an array that begins like one seen before is given its elements, and
only the rest is parsed. `told` does the same for what is made of the elements. Both give what reading everything
again would give. Nothing is kept here: whoever reads a run holds the reader, and lets go of it.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from spanreel.wire.records import Message

Say: TypeAlias = Callable[[list[Message], Any], None]
"""Adds an element of a history to the messages so far: as new messages, or to the last one if that is the assistant's."""
Settle: TypeAlias = Callable[[str, Any], Any]
"""(JSON text, its value) -> the value as it is wanted; ValueError where only the text as a whole can be read."""

_decode: Final = json.JSONDecoder().raw_decode
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_AFTER_ELEMENT: Final = frozenset(" \t\r\n,]")
_LISTS_KEPT: Final = 8  # of one name: conversations that go on side by side


@dataclass(slots=True)
class _Told:
    """The messages of a history, and how many of its elements had been told when each of them was complete."""

    messages: list[Message]
    ends: list[int]


class Grown(list[Any]):
    """A JSON array of a history; its first `shared` elements are those of the array that it continues."""

    __slots__ = ("before", "shared", "told")

    def __init__(self, elements: list[Any], before: dict[Say, _Told]) -> None:
        super().__init__(elements)
        self.shared = len(elements)
        self.before = before
        self.told: dict[Say, _Told] = {}

    def untold(self, say: Say) -> list[Any]:
        """The elements that `say` has not told yet, as part of the array that this one continues."""
        return self[self.shared :] if say in self.before else self


def told(history: Any, say: Say) -> list[Message]:
    """The messages of a history, element by element; of one that continues another, only what is new is told.

    Args:
        history: a list; anything else has no messages.
        say: a function that is there as long as the history is (the messages are remembered by it). It must look at
            nothing but the element and the last message, and may change the last message only if its role is
            ``assistant``.
    """
    known = history.before.get(say) if isinstance(history, Grown) else None
    found, ends = _kept(known, history.shared) if known else ([], [])
    start = ends[-1] if ends else 0
    for position, element in enumerate(history[start:] if isinstance(history, list) else (), start + 1):
        say(found, element)
        ends += [position] * (len(found) - len(ends))
        if ends:
            ends[-1] = position
    if isinstance(history, Grown):
        history.told[say] = _Told(list(found), ends)
    return found


def _kept(known: _Told, shared: int) -> tuple[list[Message], list[int]]:
    """The messages that are complete within the shared elements, whatever follows."""
    count = len(known.ends)
    while count and (known.ends[count - 1] > shared or known.messages[count - 1]["role"] == "assistant"):
        count -= 1
    return known.messages[:count], known.ends[:count]


@dataclass(slots=True)
class _Array:
    """An array seen before: its text without the brackets, and where in it each element ends."""

    text: str
    ends: list[int]
    elements: Grown

    def shared(self, text: str, first: int) -> int:
        """How many of the elements the text repeats from position `first` on."""
        count, above = 0, len(self.ends)
        middle = above
        while count < above:
            if text.startswith(self.text[: self.ends[middle - 1]], first):
                count = middle
            else:
                above = middle - 1
            middle = (count + above + 1) // 2
        if count and text[first + self.ends[count - 1]] not in _AFTER_ELEMENT:
            count -= 1  # 12 is not the beginning of 123
        return count


@dataclass(slots=True)
class Arrays:
    """Reads JSON texts whose arrays (the text itself, or members of its object) grow from one to the next."""

    settle: Settle
    _seen: dict[str, OrderedDict[int, _Array]] = field(default_factory=dict[str, "OrderedDict[int, _Array]"])

    def read(self, text: str) -> Any:
        """What `json.loads` gives, each element of an array and each other member settled.

        Raises:
            ValueError, IndexError, RecursionError: it is no JSON, or not one that can be read in pieces.
        """
        start = _after_space(text, 0)
        read = {"[": self._top, "{": self._object}.get(text[start])
        if read is None:
            raise ValueError("neither an array nor an object")
        value, stop = read(text, start)
        if _after_space(text, stop) != len(text):
            raise ValueError("something follows the value")
        return value

    def _top(self, text: str, position: int) -> tuple[Any, int]:
        return self._array("", text, position)

    def _object(self, text: str, position: int) -> tuple[Any, int]:
        found: dict[str, Any] = {}
        position = _after_space(text, position + 1)
        if text[position] == "}":
            return found, position + 1
        while True:
            name, position = _decode(text, position)
            if not isinstance(name, str) or not name.isascii() or name in found:
                raise ValueError("an irregular member")
            position = _after_space(text, position)
            if text[position] != ":":
                raise ValueError("a member without a value")
            start = _after_space(text, position + 1)
            if text[start] == "[":
                found[name], position = self._array(name, text, start)
            else:
                value, position = _decode(text, start)
                found[name] = self.settle(text[start:position], value)
            position = _after_space(text, position)
            if text[position] == "}":
                return found, position + 1
            if text[position] != ",":
                raise ValueError("members without a comma between them")
            position = _after_space(text, position + 1)

    def _array(self, name: str, text: str, position: int) -> tuple[list[Any], int]:
        """The array that opens at `position`, and where it is closed."""
        first = position = _after_space(text, position + 1)
        if text[first] == "]":
            return [], first + 1
        known, shared = self._longest(name, text, first)
        elements = Grown(known.elements[:shared], known.elements.told) if known else Grown([], {})
        ends = known.ends[:shared] if known else []
        position = first + ends[-1] if ends else first
        while True:
            following = _after_space(text, position)
            if ends and text[following] == "]":
                break
            if ends and text[following] != ",":
                raise ValueError("elements without a comma between them")
            start = _after_space(text, following + 1) if ends else first
            value, position = _decode(text, start)
            elements.append(self.settle(text[start:position], value))
            ends.append(position - first)
        whole = known if known and shared == len(known.ends) else None
        self._keep(name, _Array(text[first:position], ends, elements), whole)
        return elements, following + 1

    def _longest(self, name: str, text: str, first: int) -> tuple[_Array | None, int]:
        best, most = None, 0
        for known in reversed(self._seen.get(name, OrderedDict[int, _Array]()).values()):
            shared = known.shared(text, first)
            if shared > most:
                best, most = known, shared
                if shared == len(known.ends):
                    break
        return best, most

    def _keep(self, name: str, array: _Array, replaces: _Array | None) -> None:
        kept = self._seen.setdefault(name, OrderedDict[int, _Array]())
        if replaces is not None:
            del kept[id(replaces)]
        kept[id(array)] = array
        if len(kept) > _LISTS_KEPT:
            kept.popitem(last=False)


def _after_space(text: str, position: int) -> int:
    found = _SPACE.match(text, position)
    return found.end() if found else position
