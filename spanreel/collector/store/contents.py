"""Values into the store and out again: everything large is kept once, by content, and comes back byte for byte.

It must not know what a span means. A value becomes a fragment of JSON that goes into the span's row. Inside it, small
values are as they are, and these objects stand for the rest:

    {"$content": id}                        a text, or bytes, in the table content
    {"$cut": [skeleton, [[offset, node, separator], …]]}   a JSON text cut at its lists (skeleton: text, or content id;
                                                           a negative node is the content of a single element, and
                                                           two more numbers say which part of it)
    {"$array": node}                        a structured array, every element a fragment
    {"$flat:name": [node, first]}           (as a member) a list that was flattened into attributes, element by element
    {"$bytes": base64}  {"$float": "nan"}  {"$map": [[key, value], …]}   what JSON cannot say
"""

from __future__ import annotations

import base64
import json
import math
import re
import sqlite3
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Final

from spanreel.collector.store import flat, keys
from spanreel.collector.store.lists import MESSAGE, Hole, Region, cut, is_one, skeleton
from spanreel.collector.store.regions import Regions
from spanreel.wire import attributes as names
from spanreel.wire.dictionary import LIMIT, pack
from spanreel.wire.spans import Value

INLINE: Final = 512
"""Values of fewer characters stay in the span's row."""
SAID_INLINE: Final = 128
"""The same for what a model said, which the next request is likely to repeat."""
PACK_FROM: Final = 2048
"""Messages of fewer bytes stay plain text, for people who look with SQL."""
PACK_BODIES_FROM: Final = 128
"""Of bodies, whose messages have been cut out, and which only machines read."""
FLAT: Final = "$flat:"
TEXT, BYTES, TEXT_PACKED, BYTES_PACKED = range(4)
ROLES: Final = {name: number for number, name in enumerate(keys.FIRST, 1)}
"""What a content was when first seen."""
_INPUT, _OUTPUT, _SYSTEM, _TOOL = (ROLES[name] for name in (
    names.INPUT_MESSAGES, names.OUTPUT_MESSAGES, names.SYSTEM_INSTRUCTIONS, names.TOOL_DEFINITIONS))  # fmt: skip
_MEMBERS: Final = {
    "messages": _INPUT, "input": _INPUT, "contents": _INPUT, "system": _SYSTEM, "tools": _TOOL, MESSAGE: _OUTPUT,
    "output": _OUTPUT, "content": _OUTPUT,
}  # fmt: skip
_BODIES: Final = (ROLES[names.HTTP_REQUEST_BODY], ROLES[names.HTTP_RESPONSE_BODY])
_FINISH: Final = re.compile(r',\s*"finish_reason"\s*:\s*"[^"\\]*"|"finish_reason"\s*:\s*"[^"\\]*"\s*,\s*')
_RAW: Final = json.JSONDecoder().raw_decode
_FIND: Final = (
    "SELECT id FROM content WHERE substr(hash, 1, 8) = ? AND hash = ?"  # as the index content_hash has it
)
_IDS_KEPT: Final = 200_000
_LOADED_AT_ONCE: Final = 20_000


class Contents:
    """The writing side: turns values into fragments, and collects the rows to insert.

    Caches only: `forget` drops them (after a rollback, or when another process wrote).
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._ids: OrderedDict[bytes, int] = OrderedDict()
        self._ids_complete = False  # every content of the store is in _ids: what is not there is new
        self._nodes: OrderedDict[tuple[int, int], int] = OrderedDict()
        self._regions = Regions()
        self._new_contents: list[tuple[int, bytes, int, int, int, int | None, str | bytes]] = []
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
        self._regions = Regions()
        self._new_contents.clear()
        self._new_nodes.clear()

    def flush(self) -> None:
        """Insert the collected rows."""
        if self._new_contents:
            self._connection.executemany(
                "INSERT INTO content(id, hash, codec, role, span, size, data) VALUES (?,?,?,?,?,?,?)",
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
                    _INPUT
                    if "input" in name or "prompt" in name
                    else _OUTPUT
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
        if isinstance(value, str) and len(value) < (SAID_INLINE if key == names.OUTPUT_MESSAGES else INLINE):
            return _quoted(value)
        self._role = ROLES.get(key, 0)
        if key == names.OUTPUT_MESSAGES and isinstance(value, str) and (said := self._said(value)):
            return said
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

    def _said(self, text: str) -> str | None:
        """The fragment for a list of one message that was said, kept as the next request will repeat it: not finished."""
        finish = _FINISH.search(text)
        if finish is None or text[:2] != "[{" or not is_one(text, 1, len(text) - 1):
            return None
        start, stop = finish.span()
        message = self._content((text[1:start] + text[stop:-1]).encode(), TEXT)
        frame = _quoted(f"[{text[start:stop]}]")
        return f'{{"$cut":[{frame},[[1,-{message},"",0,{start - 1}],[{1 + stop - start},-{message},"",{start - 1}]]]}}'

    def _chain(self, key: str, text: str, hole: Hole) -> int:
        """The chain node of the list in this hole."""
        own, self._role = self._role, _MEMBERS.get(hole.name, self._role)
        if hole.name == MESSAGE:
            single = self._content(hole.tail[0].encode(), TEXT)
            self._role = own
            return -single
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
            found = self._connection.execute(_FIND, (digest[:8], digest)).fetchone()
        number = int(found[0]) if found else self._insert_content(digest, data, codec)
        self._ids[digest] = number
        return number

    def _insert_content(self, digest: bytes, data: bytes, codec: int) -> int:
        number, self._next_content = self._next_content, self._next_content + 1
        kept: str | bytes = data if codec == BYTES else data.decode()
        size = None
        if (PACK_BODIES_FROM if self._role in _BODIES else PACK_FROM) <= len(data) <= LIMIT:
            packed = pack(data, 6)
            if len(packed) < len(data) * 0.8:
                kept, codec, size = packed, codec + 2, len(data)
        self._new_contents.append((number, digest, codec, self._role, self._span, size, kept))
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
