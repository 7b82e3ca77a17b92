"""The texts that an event stream brings in pieces, as the whole texts they are; and the stream again after an edit.

A secret that a model says token by token stands nowhere in the bytes of the stream. It does in the text that a reader
puts together, so that is where it must be looked for.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

Edit: TypeAlias = tuple[int, int, str]
"""Start, end (in characters of the whole text) and what stands there instead."""

_DATA_LINE = re.compile(rb"^data: ?([\[{][^\r\n]*)", re.MULTILINE)
_PIECES = frozenset(
    {
        "content",
        "text",
        "delta",
        "arguments",
        "partial_json",
        "thinking",
        "reasoning",
        "reasoning_content",
        "refusal",
        "input",
        "code",
        "stringValue",
    }
)
"""Keys under which providers send texts in pieces."""
_PIECE = re.compile(
    rb'"(' + "|".join(sorted(_PIECES)).encode() + rb')"[ \t]*:[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"'
)
_SIDE_BY_SIDE = re.compile(rb'index"[ \t]*:[ \t]*[1-9]|"(?:thought|partialArgs)"[ \t]*:')
_ARRAY = re.compile(
    rb'(?:\xef\xbb\xbf)?[ \r\n\t]*\[[ \r\n\t]*\{[ \r\n\t]*"(?:candidates|usageMetadata|promptFeedback|modelVersion|responseId)"'
)
"""How a stream of Gemini's begins that is one JSON array."""
_PLACES = ("type", "index", "output_index", "content_index", "summary_index")
"""What in an event tells texts apart that grow side by side."""
_DEPTH_LIMIT = 8


@dataclass(slots=True)
class _Line:
    """The JSON of one event: where it stands in the body, and whether a piece in it was changed."""

    start: int
    end: int
    value: Any
    changed: bool = False


@dataclass(slots=True)
class _Text:
    """One text: its pieces, each with the event and the object that hold it."""

    pieces: list[str] = field(default_factory=list[str])
    holders: list[tuple[_Line, dict[str, Any], str]] = field(
        default_factory=list[tuple[_Line, dict[str, Any], str]]
    )


def is_stream(body: bytes) -> bool:
    """Whether the bytes begin like an event stream, or like Gemini's stream as a JSON array."""
    return _ARRAY.match(body) is not None or body[:64].lstrip(b"\xef\xbb\xbf \r\n\t").startswith(
        (b"data:", b"event:", b"id:", b"retry:", b":")
    )


def edited(body: bytes, edits: Callable[[str], Iterable[Edit]]) -> tuple[bytes, int]:
    """The stream after an edit of its texts, and how many edits there were. Events without one stay as they are.

    Args:
        body: an event stream whose events are JSON, or a JSON array of events; a text in one piece is left to who searches the bytes.
        edits: given a whole text, what to replace in it: in order, not overlapping. The replacement goes where the
            replaced text began, and what the later pieces held of it is dropped.
    """
    if _plainly_without(body, edits):
        return body, 0
    lines = _elements(body) if _ARRAY.match(body) else _lines(body)
    texts: dict[Hashable, _Text] = {}
    for line in lines:
        if isinstance(line.value, dict):
            place = tuple([f"{key}={line.value[key]}" for key in _PLACES if key in line.value])
            for path, holder, key in _leaves(line.value, (), 0):
                text = texts.setdefault((place, path), _Text())
                text.pieces.append(holder[key])
                text.holders.append((line, holder, key))
    count = sum(
        _apply(text, list(edits("".join(text.pieces)))) for text in texts.values() if len(text.pieces) > 1
    )
    return (_written(body, lines), count) if count else (body, 0)


def _plainly_without(body: bytes, edits: Callable[[str], Iterable[Edit]]) -> bool:
    """Whether the texts, joined without parsing an event, need no edit. False: look closely.

    Only where texts cannot be mistaken for each other: one of each key in an event, nothing grows side by side.
    """
    if _SIDE_BY_SIDE.search(body):
        return False
    texts: dict[bytes, list[bytes]] = {}
    for key, piece in _PIECE.findall(body):
        texts.setdefault(key, []).append(piece)
    events = body.count(b'"candidates"') if _ARRAY.match(body) else body.count(b"data:")
    for pieces in texts.values():
        text = _parsed(b'"' + b"".join(pieces) + b'"')
        if len(pieces) > events or not isinstance(text, str) or any(True for _ in edits(text)):
            return False
    return True


def _lines(body: bytes) -> list[_Line]:
    return [_Line(found.start(1), found.end(1), _parsed(found[1])) for found in _DATA_LINE.finditer(body)]


def _elements(body: bytes) -> list[_Line]:
    """The objects of a JSON array, of one that was cut off too; their places are counted in bytes."""
    text = body.decode("latin-1")  # a character a byte: JSON's own signs are where they were
    decode, at, found = json.JSONDecoder(strict=False).raw_decode, text.find("[") + 1, list[_Line]()
    while (at := text.find("{", at)) >= 0:
        try:
            _, end = decode(text, at)
        except (ValueError, RecursionError):
            break
        found.append(_Line(at, end, _parsed(body[at:end])))
        at = end
    return found


def _leaves(
    value: Any, path: tuple[Hashable, ...], depth: int
) -> Iterator[tuple[Hashable, dict[str, Any], str]]:
    """Every piece of text in an event: its path (items of a list by their `index`), its object and its key there."""
    if depth > _DEPTH_LIMIT:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str) and key in _PIECES:
                yield (*path, key), value, key
            elif isinstance(item, (dict, list)):
                yield from _leaves(item, (*path, key), depth + 1)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _leaves(item, (*path, _place(path, at, item)), depth + 1)


def _place(path: tuple[Hashable, ...], at: int, item: Any) -> str:
    """What tells an item of a list from the others, in this event and in the next."""
    if not isinstance(item, dict):
        return str(at)
    if path[-1:] == ("parts",) and isinstance(
        item.get("text"), str
    ):  # Gemini numbers no parts: they just go on
        return "thought" if item.get("thought") is True else "said"
    return str(item.get("index", item.get("jsonPath", at)))


def _apply(text: _Text, edits: list[Edit]) -> int:
    if edits:
        for (line, holder, key), before, after in zip(
            text.holders, text.pieces, _spread(text.pieces, edits), strict=True
        ):
            if before != after:
                holder[key] = after
                line.changed = True
    return len(edits)


def _spread(pieces: list[str], edits: list[Edit]) -> Iterator[str]:
    """The pieces after edits of the text that they are pieces of."""
    offset = 0
    for piece in pieces:
        end, at, kept = offset + len(piece), offset, list[str]()
        for start, stop, replacement in edits:
            if stop <= offset or start >= end:
                continue
            kept.append(piece[at - offset : max(start, offset) - offset])
            kept.append(replacement if start >= offset else "")
            at = min(stop, end)
        yield "".join(kept) + piece[at - offset :]
        offset = end


def _written(body: bytes, lines: list[_Line]) -> bytes:
    pieces: list[bytes] = []
    done = 0
    for line in lines:
        if line.changed:
            text = json.dumps(line.value, ensure_ascii=False, separators=(",", ":"))
            pieces += (body[done : line.start], text.encode("utf-8", "surrogatepass"))
            done = line.end
    return b"".join((*pieces, body[done:]))


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
