"""Values into the store and out again: everything large is kept once, by content, and comes back byte for byte.

It must not know what a span means. A value becomes a fragment of JSON that goes into the span's row. Inside it, small
values are as they are, and these objects stand for the rest:

    {"$content": id}                        a text, or bytes, in the table content
    {"$cut": [skeleton, [[offset, node, separator], …]]}   a JSON text cut at its lists (skeleton: text, or content id)
    {"$array": node}                        a structured array, every element a fragment
    {"$flat:name": [node, first]}           (as a member) a list that was flattened into attributes, element by element
    {"$bytes": base64}  {"$float": "nan"}  {"$map": [[key, value], …]}   what JSON cannot say
"""

from __future__ import annotations

import base64
import json
import math
import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Any, Final, cast

from spanreel.collector.store import flat
from spanreel.collector.store.lists import Hole, Region, cut, join, skeleton
from spanreel.wire.spans import Value

INLINE: Final = 512
"""Values of fewer characters stay in the span's row."""
COMPRESS_FROM: Final = 512
"""Contents of fewer bytes stay plain text, for people who look with SQL; above, zlib halves what a conversation takes."""
FLAT: Final = "$flat:"
TEXT, BYTES, TEXT_ZLIB, BYTES_ZLIB = range(4)
ROLES: Final = {
    "gen_ai.input.messages": 1, "gen_ai.output.messages": 2, "gen_ai.system_instructions": 3, "gen_ai.tool.definitions": 4,
    "http.request.body.content": 5, "http.response.body.content": 6, "gen_ai.tool.call.arguments": 7,
    "gen_ai.tool.call.result": 8, "messages": 1, "input": 1, "contents": 1, "system": 3, "tools": 4,
}  # fmt: skip
_RAW: Final = json.JSONDecoder().raw_decode
_IDS_KEPT: Final = 200_000
_LOADED_AT_ONCE: Final = 20_000
_REGION_BYTES: Final = 64 << 20
_REGIONS_PER_LIST: Final = 3


class Contents:
    """The writing side: turns values into fragments, and collects the rows to insert.

    Caches only: `forget` drops them (after a rollback, or when another process wrote).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: OrderedDict[bytes, int] = OrderedDict()
        self._ids_complete = False  # every content of the store is in _ids: what is not there is new
        self._nodes: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._regions = _Regions()
        self._new_contents: list[tuple[int, bytes, int, int, int, str | bytes]] = []
        self._new_nodes: list[tuple[int, int, int]] = []
        self._next_content = self._next_node = 0
        self._fresh_content = self._fresh_node = 0
        self._conversation = ""
        self._span = 0
        self._role = 0

    def begin(self) -> None:
        """Called inside the write transaction: finds out which ids are free."""
        [(content,)] = self._connection.execute("SELECT coalesce(max(id), 0) FROM content")
        [(node,)] = self._connection.execute("SELECT coalesce(max(id), 0) FROM node")
        if not self._ids and content <= _LOADED_AT_ONCE:
            self._ids.update(self._connection.execute("SELECT hash, id FROM content"))
            self._ids_complete = True
        self._next_content = self._fresh_content = int(content) + 1
        self._next_node = self._fresh_node = int(node) + 1

    def forget(self) -> None:
        """Drop every cached id."""
        self._ids.clear()
        self._ids_complete = False
        self._nodes.clear()
        self._regions = _Regions()
        self._new_contents.clear()
        self._new_nodes.clear()

    def flush(self) -> None:
        """Insert the collected rows."""
        if self._new_contents:
            self._connection.executemany(
                "INSERT INTO content(id, hash, codec, role, span, data) VALUES (?,?,?,?,?,?)",
                self._new_contents,
            )
            self._new_contents.clear()
        if self._new_nodes:
            self._connection.executemany(
                "INSERT INTO node(id, parent, content) VALUES (?,?,?)", self._new_nodes
            )
            self._new_nodes.clear()
        while len(self._ids) > _IDS_KEPT:
            self._ids.popitem(last=False)
            self._ids_complete = False
        while len(self._nodes) > _IDS_KEPT:
            self._nodes.popitem(last=False)

    def of_span(self, conversation: str, span: int) -> None:
        """What follows belongs to this span (its row id), whose history is likely that of `conversation`."""
        self._conversation = conversation
        self._span = span

    def attributes(self, attributes: Mapping[str, Value]) -> dict[str, str]:
        """The fragments for attributes, by member name: a dollar at the start of a key is doubled."""
        single, lists = flat.split(attributes)
        found = {
            "$" + key if key[:1] == "$" else key: self.attribute(key, value) for key, value in single.items()
        }
        for name, (first, elements) in lists.items():
            node = 0
            for element in elements:
                self._role = (
                    1
                    if "input" in name or "prompt" in name
                    else 2
                    if "output" in name or "completion" in name
                    else 0
                )
                members = {
                    "$" + key if key[:1] == "$" else key: self._fragment(value)
                    for key, value in element.items()
                }
                node = self._node(node, self._content(object_of(members).encode(), TEXT))
            found[FLAT + name] = f"[{node},{first}]"
        return found

    def attribute(self, key: str, value: Value) -> str:
        """The fragment for an attribute's value."""
        if isinstance(value, str) and len(value) < INLINE:
            return _quoted(value)
        self._role = ROLES.get(key, 0)
        return self._large_text(key, value) if isinstance(value, str) else self._fragment(value)

    # -------------------------------------------------------------------------------------------- values

    def _fragment(self, value: Value) -> str:
        if isinstance(value, str):
            return _quoted(value) if len(value) < INLINE else self._large_text("", value)
        if value is None or isinstance(value, bool | int):
            return json.dumps(value)
        if isinstance(value, float):
            return repr(value) if math.isfinite(value) else f'{{"$float":"{value}"}}'
        if isinstance(value, bytes):
            if len(value) >= INLINE:
                return f'{{"$content":{self._content(value, BYTES)}}}'
            return f'{{"$bytes":"{base64.b64encode(value).decode()}"}}'
        if isinstance(value, Mapping):
            return self._mapping(value)
        return self._array(value)

    def _mapping(self, value: Mapping[str, Value]) -> str:
        if any(key.startswith("$") for key in value):
            pairs = ",".join(f"[{_quoted(key)},{self._fragment(item)}]" for key, item in value.items())
            return f'{{"$map":[{pairs}]}}'
        return "{" + ",".join(f"{_quoted(key)}:{self._fragment(item)}" for key, item in value.items()) + "}"

    def _array(self, value: Sequence[Value]) -> str:
        elements = [self._fragment(item) for item in value]
        size = sum(map(len, elements))
        if size < INLINE or size < 48 * len(elements):
            return "[" + ",".join(elements) + "]"
        node = 0
        for element in elements:
            node = self._node(node, self._content(element.encode(), TEXT))
        return f'{{"$array":{node}}}'

    def _large_text(self, key: str, text: str) -> str:
        holes = cut(
            text, lambda name, whole, first: self._regions.find((self._conversation, key, name), whole, first)
        )
        if not holes:
            return f'{{"$content":{self._content(text.encode(), TEXT)}}}'
        frame, offsets = skeleton(text, holes)
        kept_frame = _quoted(frame) if len(frame) < 64 else str(self._content(frame.encode(), TEXT))
        fills = [
            f"[{offset},{self._chain(key, text, hole)},{_quoted(hole.separator)}]"
            for offset, hole in zip(offsets, holes, strict=True)
        ]
        return f'{{"$cut":[{kept_frame},[{",".join(fills)}]]}}'

    def _chain(self, key: str, text: str, hole: Hole) -> int:
        """The chain node of the list in this hole."""
        own, self._role = self._role, ROLES.get(hole.name or key, self._role)
        nodes = hole.known.nodes[: hole.kept] if hole.known is not None else []
        node = nodes[-1] if nodes else 0
        for element in hole.tail:
            node = self._node(node, self._content(element.encode(), TEXT))
            nodes.append(node)
        self._role = own
        region = Region(text[hole.start : hole.stop], hole.ends, nodes, hole.separator)
        self._regions.keep((self._conversation, key, hole.name), region, hole.known if hole.kept else None)
        return node

    # -------------------------------------------------------------------------------------------- rows

    def _content(self, data: bytes, codec: int) -> int:
        digest = sha256(data).digest()
        if codec == BYTES:  # the same bytes as text are another row: their codec is another
            digest = sha256(digest + b"bytes").digest() if _is_text(data) else digest
        known = self._ids.get(digest)
        if known is not None:
            return known
        found = None
        if not self._ids_complete:
            found = self._connection.execute("SELECT id FROM content WHERE hash = ?", (digest,)).fetchone()
        number = int(found[0]) if found else self._insert_content(digest, data, codec)
        self._ids[digest] = number
        return number

    def _insert_content(self, digest: bytes, data: bytes, codec: int) -> int:
        number, self._next_content = self._next_content, self._next_content + 1
        kept: str | bytes = data if codec == BYTES else data.decode()
        if len(data) >= COMPRESS_FROM:
            packed = zlib.compress(data, 6)
            if len(packed) < len(data) * 0.8:
                kept, codec = packed, codec + 2
        self._new_contents.append((number, digest, codec, self._role, self._span, kept))
        return number

    def _node(self, parent: int, content: int) -> int:
        key = (parent, content)
        known = self._nodes.get(key)
        if known is not None:
            return known
        found = None
        if (
            content < self._fresh_content and parent < self._fresh_node
        ):  # else one of the two is of this transaction
            found = self._connection.execute(
                "SELECT id FROM node WHERE parent = ? AND content = ?", key
            ).fetchone()
        if found:
            number = int(found[0])
        else:
            number, self._next_node = self._next_node, self._next_node + 1
            self._new_nodes.append((number, parent, content))
        self._nodes[key] = number
        return number


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def object_of(fragments: Mapping[str, str]) -> str:
    """An object of fragments."""
    return "{" + ",".join(f"{_quoted(name)}:{fragment}" for name, fragment in fragments.items()) + "}"


def members_of(text: str) -> dict[str, str]:
    """The inverse of `object_of`: the fragments, not read."""
    found: dict[str, str] = {}
    position = 1
    while position < len(text) - 1:
        key, position = _RAW(text, position)
        _, end = _RAW(text, position + 1)
        found[key] = text[position + 1 : end]
        position = end + 1
    return found


class _Regions:
    """The lists seen last, per conversation, attribute and member; the bytes they may take are bounded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], list[Region]] = OrderedDict()
        self._size = 0

    def find(self, key: tuple[str, str, str], text: str, first: int) -> Region | None:
        """The region that shares the longest prefix with the text, if one shares any."""
        best, most = None, 0
        for region in self._kept.get(key, ()):
            shared = region.shared(text, first)
            if shared and region.ends[shared - 1] > most:
                best, most = region, region.ends[shared - 1]
        return best

    def keep(self, key: tuple[str, str, str], region: Region, replaces: Region | None) -> None:
        """Keep a region, in the place of the one it continues."""
        listed = self._kept.setdefault(key, [])
        self._kept.move_to_end(key)
        for index, other in enumerate(listed):
            if other is replaces:
                self._size -= len(other.text)
                del listed[index]
                break
        listed.insert(0, region)
        self._size += len(region.text)
        if len(listed) > _REGIONS_PER_LIST:
            self._size -= len(listed.pop().text)
        while self._size > _REGION_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= sum(len(other.text) for other in dropped)


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
            codec, data = self._connection.execute(
                "SELECT codec, data FROM content WHERE id = ?", (number,)
            ).fetchone()
            if codec >= TEXT_ZLIB:
                data = zlib.decompress(data)
                found = data.decode() if codec == TEXT_ZLIB else data
            else:
                found = cast("str | bytes", data)
            self._contents[number] = found
        return found

    def elements(self, node: int) -> list[str]:
        """The element texts of a chain, first to last."""
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
        return join(
            whole, [(offset, separator.join(self.elements(node))) for offset, node, separator in fills]
        )


_RESOLVERS: Final[dict[str, Any]] = {
    "$content": Restorer.content,
    "$cut": Restorer.cut,
    "$array": lambda restorer, node: restorer.value("[" + ",".join(restorer.elements(node)) + "]"),
    "$bytes": lambda _, text: base64.b64decode(text),
    "$float": lambda _, text: float(text),
    "$map": lambda _, pairs: dict(pairs),
}
