"""Read JSON from outside without ever failing on it. What is not of the expected shape is left out.

No dialect knowledge here: only types, and the joining of streamed deltas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanreel.wire.framing.sse import ServerEvent

_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_OPENING = frozenset({b"{", b"["})
_decode = json.JSONDecoder().raw_decode
_COUNT_LIMIT = 2**53
_MERGE_DEPTH = 8


def parse(data: bytes | str) -> Any:
    """The JSON value, or None where there is none. Its strings can always be encoded as UTF-8."""
    raw = data.encode("utf-8", "replace") if isinstance(data, str) else data
    try:
        if raw[:1] in _OPENING and raw[1:2] != b"\0":  # nothing but UTF-8 begins so
            text = raw.decode("utf-8", "surrogatepass")
            value, stop = _decode(text)
            return encodable(raw, value if stop == len(text) else json.loads(text))
        return encodable(raw, json.loads(raw))
    except (ValueError, RecursionError):
        return None


def encodable(raw: bytes, value: Any) -> Any:
    """The value of a JSON text, its strings such that they can be encoded as UTF-8.

    Raises:
        ValueError, RecursionError: it cannot be written as JSON again.
    """
    if _SURROGATE_ESCAPE.search(raw):  # half a pair would make every later encoding fail
        return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def mapping(value: object) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    if type(value) is dict:  # by far most often, and quickly told
        return value.copy()
    return dict(value) if value is not None and isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """The value if it is an array, else an empty one."""
    return list(value) if isinstance(value, (list, tuple)) else []


def objects(value: object) -> list[dict[str, Any]]:
    """The objects in an array; anything else in it is left out."""
    if not isinstance(value, list | tuple):
        return []
    return [item for item in value if isinstance(item, dict)]


def text(value: object) -> str | None:
    """The value if it is a string that says something."""
    return value if isinstance(value, str) and value else None


def count(value: object) -> int | None:
    """The value if it is a number of things: whole, not negative, and small enough for every reader."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value < _COUNT_LIMIT else None


def first_count(source: Mapping[str, Any], *names: str) -> int | None:
    """The first of these keys that holds a count."""
    for name in names:
        if (found := count(source.get(name))) is not None:
            return found
    return None


def arguments(value: object) -> Any:
    """The arguments of a tool call: parsed if they are JSON text, else as they came."""
    if not isinstance(value, str):
        return value
    parsed = parse(value)
    return value if parsed is None and value.strip() != "null" else parsed


def event(sent: ServerEvent) -> dict[str, Any]:
    """The object that a server-sent event carries, with the event's name as its `type` if it says none.

    An event whose data was cut off says nothing; an error that is only text is its own message.
    """
    value = parse(sent.data)
    if isinstance(value, dict):
        return {"type": sent.event, **value} if sent.event and "type" not in value else value
    return {"type": "error", "message": sent.data} if sent.event == "error" and sent.data[:1] != "{" else {}


def is_event_stream(body: bytes, content_type: str) -> bool:
    """Whether a reply is server-sent events. Errors come as plain JSON even where events were asked for."""
    start = body[:64].lstrip(b"\xef\xbb\xbf \r\n\t")[:6]
    if start[:1] in (b"{", b"["):
        return False
    return "event-stream" in content_type.lower() or start.startswith(
        (b"data:", b"event:", b":", b"id:", b"retry:")
    )


class Pieces(list[str]):
    """A string that arrives in pieces; joined once, by `settle`."""


_KEEP_FIRST = frozenset({"type", "id", "role", "index", "object", "model", "call_id", "format"})


def merge(whole: dict[str, Any], delta: Mapping[str, Any], depth: int = 0) -> None:
    """Add a streamed delta to what has arrived: strings grow, arrays join by their items' `index`, the rest is replaced.

    Args:
        whole: changed in place; strings in it become `Pieces` until `settle`.
        delta: the next object of the stream; a null in it says nothing.
        depth: how deep in the stream's object this is; below a limit, objects are replaced instead of joined.
    """
    for key, value in delta.items():
        known = whole.get(key)
        if value is None and known is not None:
            continue
        if isinstance(value, str) and key not in _KEEP_FIRST:
            _grow(whole, key, value)
        elif isinstance(value, dict) and depth < _MERGE_DEPTH:
            merge(_object_at(whole, key), value, depth + 1)
        elif isinstance(value, list) and depth < _MERGE_DEPTH:
            _join(_array_at(whole, key), value, depth + 1)
        elif key not in _KEEP_FIRST or not known:
            whole[key] = value


def settle(value: Any) -> Any:
    """The merged value with every string joined."""
    if isinstance(value, Pieces):
        return "".join(value)
    if isinstance(value, Merged):
        return {key: settle(item) for key, item in value.items()}
    if isinstance(value, MergedItems):
        return [settle(item) for item in value]
    return value


class Merged(dict[str, Any]):
    """An object that `merge` builds; told apart from the values it only refers to."""


class MergedItems(list[Any]):
    """An array that `merge` builds."""


def _grow(whole: dict[str, Any], key: str, value: str) -> None:
    known = whole.get(key)
    if isinstance(known, MergedItems):  # text after typed blocks
        known.append({"type": "text", "text": value})
    elif not isinstance(known, Pieces):
        whole[key] = Pieces([value])
    elif key != "name" or "".join(known) != value:  # some servers repeat a tool's name in every chunk
        known.append(value)


def _object_at(whole: dict[str, Any], key: str) -> Merged:
    known = whole.get(key)
    if not isinstance(known, Merged):
        known = whole[key] = Merged()
    return known


def _array_at(whole: dict[str, Any], key: str) -> MergedItems:
    known = whole.get(key)
    if not isinstance(known, MergedItems):
        said = "".join(known) if isinstance(known, Pieces) else ""
        known = whole[key] = MergedItems([{"type": "text", "text": said}] if said else [])
    return known


def _join(known: MergedItems, values: Iterable[Any], depth: int) -> None:
    for value in values:
        if not isinstance(value, dict):
            known.append(value)
            continue
        target = _counterpart(known, value)
        if target is None:
            target = Merged()
            known.append(target)
        merge(target, value, depth)


def _counterpart(known: MergedItems, value: Mapping[str, Any]) -> Merged | None:
    """The item that a delta continues: of the same index; where a server gives none, of the same id, else the last."""
    merged = [item for item in known if isinstance(item, Merged)]
    if (index := value.get("index")) is not None:
        return next((item for item in merged if item.get("index") == index), None)
    if identity := value.get("id"):
        return next((item for item in merged if item.get("id") == identity), None)
    return merged[-1] if merged and "function" in value else None
