"""Values out of the store again, byte for byte: the inverse of `contents`, which says what a fragment is.

It must not know what a span means, and it must not write.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping
from typing import Any, Final, cast

from spanreel.collector.store import flat
from spanreel.collector.store.contents import BYTES_PACKED, FLAT, TEXT_PACKED
from spanreel.collector.store.lists import join
from spanreel.wire.dictionary import unpack


class Restorer:
    """The reading side: turns fragments back into values."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._contents: dict[int, str | bytes] = {}
        self._chains: dict[int, list[int]] = {0: []}
        self._decoder = json.JSONDecoder(object_hook=self._resolve)

    def value(self, fragment: str) -> Any:
        """The value of a fragment, or a whole object of fragments."""
        return self._decoder.decode(fragment) if "$" in fragment else json.loads(fragment)

    def members(self, text: str) -> dict[str, Any]:
        """The values of an `object_of`, by member name; `attributes_of` makes attributes of them."""
        found = self.value(text)
        # a single member named like a reference would have been taken for one: `attributes` doubles its dollar
        return cast("dict[str, Any]", found)

    def attributes_of(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """The attributes that the members stand for."""
        found: dict[str, Any] = {}
        for name, value in members.items():
            if name[:1] != "$":
                found[name] = value
            elif name.startswith(FLAT):
                node, first = value
                elements = [self.attributes_of(self.members(text)) for text in self.elements(node)]
                found.update(flat.join(name[len(FLAT) :], first, elements))
            else:
                found[name[1:]] = value
        return found

    def _resolve(self, found: dict[str, Any]) -> Any:
        if len(found) != 1:
            return found
        name, content = next(iter(found.items()))
        reader = _RESOLVERS.get(name)
        return found if reader is None else reader(self, content)

    def content(self, number: int) -> str | bytes:
        """The text or the bytes of a content row."""
        found = self._contents.get(number)
        if found is None:
            found = self._contents[number] = self._read(number)
        return found

    def _read(self, number: int) -> str | bytes:
        codec, size, data = self._connection.execute(
            "SELECT codec, size, data FROM content WHERE id = ?", (number,)
        ).fetchone()
        if codec not in (TEXT_PACKED, BYTES_PACKED):
            return cast("str | bytes", data)
        whole = unpack(data, size)
        if whole is None:
            raise sqlite3.DatabaseError(f"content {number} is damaged")
        return whole.decode() if codec == TEXT_PACKED else whole

    def elements(self, node: int) -> list[str]:
        """The element texts of a chain, first to last; of a single content for a negative number."""
        if node < 0:
            return [cast("str", self.content(-node))]
        known = self._chains.get(node)
        if known is None:
            path: list[int] = []
            at = node
            while (known := self._chains.get(at)) is None:
                parent, content = self._connection.execute(
                    "SELECT parent, content FROM node WHERE id = ?", (at,)
                ).fetchone()
                path.append(content)
                at = parent
            known = known + path[::-1]
            self._chains[node] = known
        return [cast("str", self.content(number)) for number in known]

    def cut(self, parts: list[Any]) -> str:
        """The text of a `$cut`."""
        frame, fills = parts
        whole = frame if isinstance(frame, str) else cast("str", self.content(frame))
        return join(whole, [(offset, self._fill(*fill)) for offset, *fill in fills])

    def _fill(self, node: int, separator: str, start: int = 0, stop: int | None = None) -> str:
        return separator.join(self.elements(node))[start:stop]


_RESOLVERS: Final[dict[str, Any]] = {
    "$content": Restorer.content,
    "$cut": Restorer.cut,
    "$array": lambda restorer, node: restorer.value("[" + ",".join(restorer.elements(node)) + "]"),
    "$bytes": lambda _, text: base64.b64decode(text),
    "$float": lambda _, text: float(text),
    "$map": lambda _, pairs: dict(pairs),
}
