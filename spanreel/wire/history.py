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

from spanreel.wire.pieces import Pieces
from spanreel.wire.records import Message

Say: TypeAlias = Callable[[list[Message], Any], None]
"""Adds an element of a history to the messages so far: as new messages, or to the last one if that is the assistant's."""
Settle: TypeAlias = Callable[[str, Any], Any]
"""(JSON text, its value) -> the value as it is wanted; ValueError where only the text as a whole can be read."""

_decode: Final = json.JSONDecoder().raw_decode
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_AFTER_ELEMENT: Final = frozenset(" \t\r\n,]")
_FRAMES_KEPT: Final = 64
_LISTS_KEPT: Final = 8  # of one name: conversations that go on side by side


class Told(list[Message]):
    """Messages; the first `kept` of them are those of `base`, the very same, where there is one."""

    __slots__ = ("_after", "base", "kept")

    def __init__(self, messages: list[Message] | None = None, base: Told | None = None) -> None:
        if messages:
            super().__init__(messages)
        self.base = base
        self.kept = len(self) if base is not None else 0
        self._after: tuple[int, Told] | None = None

    def after(self, count: int) -> Told:
        """The messages after so many."""
        if self._after is None or self._after[0] != count:
            base = self.base._after if self.base is not None else None
            rest = Told(self[count:])
            if base is not None and base[0] == count and self.kept > count:
                rest.base, rest.kept = base[1], self.kept - count
            self._after = (count, rest)
        return self._after[1]


@dataclass(slots=True)
class _Known:
    """The messages of a history, and how many of its elements had been told when each of them was complete."""

    messages: Told
    ends: list[int]


class Grown(list[Any]):
    """A JSON array of a history; its first `shared` elements are those of the array that it continues."""

    __slots__ = ("before", "shared", "told")

    def __init__(self, elements: list[Any], before: dict[Say, _Known]) -> None:
        super().__init__(elements)
        self.shared = len(elements)
        self.before = before
        self.told: dict[Say, _Known] = {}

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
    if not isinstance(history, Grown):
        found: list[Message] = []
        for element in history if isinstance(history, list) else ():
            say(found, element)
        return found
    known = history.before.get(say)
    messages, ends = _kept(known, history.shared) if known else (Told(), [])
    start = ends[-1] if ends else 0
    for position, element in enumerate(history[start:], start + 1):
        say(messages, element)
        ends += [position] * (len(messages) - len(ends))
        if ends:
            ends[-1] = position
    history.told[say] = _Known(messages, ends)
    return messages


def _kept(known: _Known, shared: int) -> tuple[Told, list[int]]:
    """The messages that are complete within the shared elements, whatever follows."""
    count = len(known.ends)
    while count and (known.ends[count - 1] > shared or known.messages[count - 1]["role"] == "assistant"):
        count -= 1
    whole = count == len(known.ends)
    return Told(known.messages if whole else known.messages[:count], known.messages), known.ends[:count]


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
class _Elements:
    """An array seen in pieces: the texts of its elements, and the elements."""

    texts: list[str]
    elements: Grown

    def shared(self, texts: list[str]) -> int:
        """How many of the elements those texts begin with."""
        count, above = 0, min(len(self.texts), len(texts))
        middle = above
        while count < above:
            if self.texts[count:middle] == texts[count:middle]:
                count = middle
            else:
                above = middle - 1
            middle = (count + above + 1) // 2
        return count


@dataclass(frozen=True, slots=True)
class _Frame:
    """An object without the elements of its histories.

    Attributes:
        fixed: the members, None for those that are read anew each time: they hold other values.
        texts: of those.
        holes: names of the histories, in order.
    """

    fixed: dict[str, Any]
    texts: dict[str, str]
    holes: tuple[str, ...]


@dataclass(slots=True)
class Arrays:
    """Reads JSON texts whose arrays (the text itself, or members of its object) grow from one to the next."""

    settle: Settle
    _seen: dict[str, OrderedDict[int, _Array]] = field(default_factory=dict[str, "OrderedDict[int, _Array]"])
    _pieces: dict[str, OrderedDict[int, _Elements]] = field(
        default_factory=dict[str, "OrderedDict[int, _Elements]"]
    )
    _frames: dict[tuple[str, tuple[int, ...]], _Frame] = field(
        default_factory=dict["tuple[str, tuple[int, ...]]", _Frame]
    )

    def joined(self, pieces: Pieces) -> Any:
        """What `read` gives for the text of the pieces, which need not be put together.

        Raises:
            ValueError, IndexError, RecursionError: its lists are not all members of one object, or the text itself.
        """
        fills = pieces.fills
        if len(fills) == 1 and pieces.frame == "[]":
            return self._filled("", fills[0].elements)
        key = (pieces.frame, tuple(fill.offset for fill in fills))
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = self._framed(*key)
            if len(self._frames) > _FRAMES_KEPT:
                del self._frames[next(iter(self._frames))]
        found = dict(frame.fixed)
        for name, text in frame.texts.items():
            found[name] = self.settle(text, _decode(text)[0])
        for name, fill in zip(frame.holes, fills, strict=True):
            found[name] = self._filled(name, fill.elements)
        return found

    def _framed(self, text: str, offsets: tuple[int, ...]) -> _Frame:
        spans: dict[str, tuple[int, int]] = {}
        whole, stop = self._object(text, _after_space(text, 0), spans)
        if _after_space(text, stop) != len(text):
            raise ValueError("something follows the value")
        names = {
            _after_space(text, start + 1): name
            for name, (start, _) in spans.items()
            if text[start] == "[" and whole[name] == []
        }
        holes = tuple(names.get(at, "") for at in offsets)
        if not all(holes) or len(set(holes)) != len(holes):
            raise ValueError("a list elsewhere")
        others = {
            name: text[slice(*spans[name])]
            for name, value in whole.items()
            if isinstance(value, dict | list) and name not in holes
        }
        return _Frame({**whole, **dict.fromkeys(others)}, others, holes)

    def _filled(self, name: str, texts: list[str]) -> Grown:
        kept = self._pieces.setdefault(name, OrderedDict[int, _Elements]())
        best, shared = None, 0
        for known in reversed(kept.values()):
            count = known.shared(texts)
            if count > shared:
                best, shared = known, count
                if count == len(known.texts):
                    break
        if best is None:
            elements = Grown([], {})
        else:
            whole = shared == len(best.texts)
            elements = Grown(best.elements if whole else best.elements[:shared], best.elements.told)
        for text in texts[shared:]:
            value, stop = _decode(text)
            if stop != len(text):
                raise ValueError("more than an element")
            elements.append(self.settle(text, value))
        if best is not None and shared == len(best.texts):
            del kept[id(best)]
        array = _Elements(texts, elements)
        kept[id(array)] = array
        if len(kept) > _LISTS_KEPT:
            kept.popitem(last=False)
        return elements

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

    def _object(
        self, text: str, position: int, spans: dict[str, tuple[int, int]] | None = None
    ) -> tuple[Any, int]:
        """The object that opens at `position`, and where it is closed; `spans`: is told where its members stand."""
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
            if spans is not None:
                spans[name] = start, position
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
