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
from spanreel.wire.pieces import Fill, Pieces

_NODES: Final = (
    "WITH RECURSIVE walk(id, parent, content) AS (SELECT id, parent, content FROM node WHERE id IN (SELECT value FROM json_each(?))"
    " UNION SELECT node.id, node.parent, node.content FROM walk JOIN node ON node.id = walk.parent) SELECT id, parent, content FROM walk"
)
_CONTENTS: Final = "SELECT id, codec, size, data FROM content WHERE id IN (SELECT value FROM json_each(?))"


class Reference:
    """A large value of a span that has not been restored yet: a resolver's name and what it is given."""

    __slots__ = ("given", "kind")

    def __init__(self, kind: str, given: Any) -> None:
        self.kind = kind
        self.given = given


class Restorer:
    """The reading side: turns fragments back into values."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._contents: dict[int, str | bytes] = {}
        self._nodes: dict[int, tuple[int, int]] = {}
        self._chains: dict[int, list[str]] = {0: []}
        self._decoder = json.JSONDecoder(object_hook=self._resolve)
        self._noting = json.JSONDecoder(object_hook=self._note)
        self._noted: list[Reference] = []

    def value(self, fragment: str) -> Any:
        """The value of a fragment, or a whole object of fragments."""
        return self._decoder.decode(fragment) if "$" in fragment else json.loads(fragment)

    def members(self, text: str) -> dict[str, Any]:
        """The values of an `object_of`, by member name; `attributes_of` makes attributes of them."""
        found = self.value(text)
        # a single member named like a reference would have been taken for one: `attributes` doubles its dollar
        return cast("dict[str, Any]", found)

    def noted(self, text: str) -> dict[str, Any]:
        """As `members`, but large values are references: `fetch` reads them all at once, `restored` gives them."""
        before = len(self._noted)
        found = cast("dict[str, Any]", self._noting.raw_decode(text)[0])  # we wrote it: nothing is around it
        inside = len(self._noted) - before
        if inside and inside != sum(type(value) is Reference for value in found.values()):
            del self._noted[before:]  # some are within other values
            return self.members(text)
        return found

    def fetch(self) -> None:
        """Read what the noted references stand for, as many rows at a time as there are."""
        cuts = [reference.given for reference in self._noted if reference.kind == "$cut"]
        nodes = {fill[1] for _, fills in cuts for fill in fills}
        heads = json.dumps([node for node in nodes if node > 0])
        self._nodes.update((row[0], row[1:]) for row in self._connection.execute(_NODES, (heads,)))
        wanted = {content for _, content in self._nodes.values()}
        wanted.update(-node for node in nodes if node < 0)
        wanted.update(frame for frame, _ in cuts if isinstance(frame, int))
        wanted.update(reference.given for reference in self._noted if reference.kind == "$content")
        numbers = json.dumps([number for number in wanted if number not in self._contents])
        for number, codec, size, data in self._connection.execute(_CONTENTS, (numbers,)):
            self._contents[number] = _whole(number, codec, size, data)
        self._noted.clear()

    def restored(self, reference: Reference) -> str | bytes | Pieces:
        """What a reference stands for; a text with a history in it in pieces."""
        if reference.kind == "$content":
            return self.content(reference.given)
        frame, fills = reference.given
        if all(len(fill) < 4 and fill[1] > 0 for fill in fills):
            whole = frame if isinstance(frame, str) else cast("str", self.content(frame))
            return Pieces(whole, tuple(Fill(at, self.elements(node), *rest) for at, node, *rest in fills))
        return self.cut(reference.given)

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

    def _note(self, found: dict[str, Any]) -> Any:
        if len(found) != 1:
            return found
        name, content = next(iter(found.items()))
        if name not in ("$content", "$cut"):
            return self._resolve(found)
        reference = Reference(name, content)
        self._noted.append(reference)
        return reference

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
            row = self._connection.execute(
                "SELECT codec, size, data FROM content WHERE id = ?", (number,)
            ).fetchone()
            found = self._contents[number] = _whole(number, *row)
        return found

    def elements(self, node: int) -> list[str]:
        """The element texts of a chain, first to last, not to be changed; of a single content for a negative number."""
        if node < 0:
            return [cast("str", self.content(-node))]
        known = self._chains.get(node)
        if known is None:
            path: list[str] = []
            at = node
            while (known := self._chains.get(at)) is None:
                parent, content = self._nodes.get(at) or self._node(at)
                path.append(cast("str", self.content(content)))
                at = parent
            known = known + path[::-1]
            self._chains[node] = known
        return known

    def _node(self, number: int) -> tuple[int, int]:
        return cast(
            "tuple[int, int]",
            self._connection.execute("SELECT parent, content FROM node WHERE id = ?", (number,)).fetchone(),
        )

    def cut(self, parts: list[Any]) -> str:
        """The text of a `$cut`."""
        frame, fills = parts
        whole = frame if isinstance(frame, str) else cast("str", self.content(frame))
        return join(whole, [(offset, self._fill(*fill)) for offset, *fill in fills])

    def _fill(self, node: int, separator: str = ",", start: int = 0, stop: int | None = None) -> str:
        return separator.join(self.elements(node))[start:stop]


def _whole(number: int, codec: int, size: int | None, data: str | bytes) -> str | bytes:
    """A content as it was before it was packed."""
    if codec not in (TEXT_PACKED, BYTES_PACKED):
        return data
    whole = unpack(cast("bytes", data), size or 0)
    if whole is None:
        raise sqlite3.DatabaseError(f"content {number} is damaged")
    return whole.decode() if codec == TEXT_PACKED else whole


_RESOLVERS: Final[dict[str, Any]] = {
    "$content": Restorer.content,
    "$cut": Restorer.cut,
    "$array": lambda restorer, node: restorer.value("[" + ",".join(restorer.elements(node)) + "]"),
    "$bytes": lambda _, text: base64.b64decode(text),
    "$float": lambda _, text: float(text),
    "$map": lambda _, pairs: dict(pairs),
}
