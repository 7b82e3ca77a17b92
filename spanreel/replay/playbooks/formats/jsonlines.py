"""JSON text as nodes that know their lines. Quiet. Nothing but RFC 8259: no NaN, no comment, no trailing comma."""

from __future__ import annotations

import re
from json import JSONDecodeError, decoder
from typing import Any, Final

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.formats.lines import MAX_DEPTH, MAX_DIGITS, MAX_VALUES, Node, refuse

_SPACE = re.compile(r"[ \t\n\r]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_WORDS: Final = {"true": True, "false": False, "null": None}


def tree(text: str, file: str) -> Node:
    """The outermost value.

    Raises:
        BadInput: that is no JSON; with the line.
    """
    reading = _Reading(text.removeprefix("\ufeff"), file)
    node = reading.value(0)
    reading.space()
    if reading.at < len(reading.text):
        raise reading.no("something after the end")
    return node


class _Reading:
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = self.counted = self.nodes = 0
        self.line = 1

    def space(self) -> str:
        """Go to what comes next; its first character."""
        found = _SPACE.match(self.text, self.at)
        self.at = found.end() if found else self.at
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.text[self.at : self.at + 1]

    def no(self, why: str) -> BadInput:
        return refuse(self.file, self.line, f"that is no JSON: {why}", "mind commas, quotes and brackets")

    def value(self, depth: int) -> Node:
        first = self.space()
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_VALUES:
            bound = (
                f"nested deeper than {MAX_DEPTH}" if depth > MAX_DEPTH else f"more than {MAX_VALUES:,} values"
            )
            raise refuse(self.file, self.line, bound)
        if first == "{":
            return self.object(depth)
        if first == "[":
            return self.list(depth)
        if first == '"':
            return self.string()
        for word, literal in _WORDS.items():
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return Node("json", self.line, literal=literal)
        found = _NUMBER.match(self.text, self.at)
        if found is None or not found[0]:
            raise self.no(
                f"{self.text[self.at : self.at + 10]!r} where a value belongs" if first else "it ends early"
            )
        self.at = found.end()
        if len(found[0]) > MAX_DIGITS:
            raise refuse(self.file, self.line, "a number of too many digits")
        number: Any = int(found[0]) if found[0].lstrip("-").isdecimal() else float(found[0])
        return Node("json", self.line, literal=number)

    def string(self) -> Node:
        if self.space() != '"':
            raise self.no("a key is a text in double quotes")
        try:
            text, end = decoder.scanstring(self.text, self.at + 1, True)  # pyright: ignore[reportAttributeAccessIssue] - it is there, its stub is not
        except JSONDecodeError as error:
            raise self.no(f"a text: {error.msg}") from None
        node = Node("json", self.line, literal=text)
        self.at = end
        return node

    def object(self, depth: int) -> Node:
        node = Node("object", self.line)
        while self.next("}", first=not node.items):
            node.items.append(self.string())
            if self.space() != ":":
                raise self.no("a colon is missing")
            self.at += 1
            node.items.append(self.value(depth + 1))
        return node

    def list(self, depth: int) -> Node:
        node = Node("list", self.line)
        while self.next("]", first=not node.items):
            node.items.append(self.value(depth + 1))
        return node

    def next(self, close: str, *, first: bool) -> bool:
        """Whether another entry follows; goes past the bracket, or the comma."""
        if first:
            self.at += 1
        found = self.space()
        if found == close and (first or self.text[self.at] == close):
            self.at += 1
            return False
        if first:
            return True
        if found != ",":
            raise self.no(f"a comma or {close} is missing")
        self.at += 1
        return True
