"""Request bodies as their messages and the rest, each conversation read only from where it goes on.

A request of an agent repeats the one before it and adds to it. A `BodyReader` knows the bodies that it read last: of one
that begins with all the messages of a known one, only what follows is parsed, and what was worked out about the messages
(`walks`) goes on from there. A body of any other shape is parsed whole. Values only; what they mean is for `identity`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from spanreel.wire.differences import ABSENT
from spanreel.wire.reserialised import HISTORY, answered

_KNOWN: Final = 64
_STARTS: Final = re.compile(rf'"({"|".join(HISTORY)})"\s*:\s*\[')
_TRIES: Final = 4
_SPACE: Final = re.compile(r"[ \t\n\r]*")
_SELF_ENDING: Final = frozenset('}]"')
_decode: Final = json.JSONDecoder().raw_decode


@dataclass(slots=True)
class Body:
    """A body, read.

    Attributes:
        raw: its bytes.
        fields: its JSON value; of a request with a list of messages, without them; `ABSENT` where it is not JSON.
        key: the field that holds the messages; None if there is no list of messages.
        messages: that list.
        walks: what was worked out about the first messages, by whoever did; never changed once it is here.
        prefix: the bytes up to the end of the last message; empty where the next body cannot go on from here.
    """

    raw: bytes
    fields: Any
    key: str | None = None
    messages: list[Any] = field(default_factory=list[Any])
    walks: dict[str, Any] = field(default_factory=dict[str, Any])
    prefix: bytes = b""
    head: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def settled(self) -> int:
        """How many messages no later one can change the place of: those before the results at the end."""
        count = len(self.messages)
        while count and answered(self.messages[count - 1]) is not None:
            count -= 1
        return count


class BodyReader:
    """Reads bodies. Not for several threads at once."""

    def __init__(self) -> None:
        self._known: list[Body] = []

    def read(self, raw: bytes) -> Body:
        """The body; never an error, whatever the bytes are."""
        known = max(
            (one for one in self._known if raw.startswith(one.prefix)),
            key=lambda one: len(one.prefix),
            default=None,
        )
        try:
            body = _continued(raw, known) if known else _begun(raw)
        except (ValueError, RecursionError):
            body = None
        if body is None:
            return whole(raw)
        if known:
            self._known.remove(known)
        if body.prefix:
            self._known.append(body)
            del self._known[:-_KNOWN]
        return body


def whole(raw: bytes) -> Body:
    """The body, parsed by itself."""
    try:
        return of_value(raw, json.loads(raw))
    except (ValueError, RecursionError):
        return Body(raw, ABSENT)


def of_value(raw: bytes, value: Any) -> Body:
    """The body that has this JSON value."""
    key = history_key(value)
    if key is None or not isinstance(value[key], list):
        return Body(raw, value)
    return Body(raw, {name: item for name, item in value.items() if name != key}, key, value[key])


def history_key(value: Any) -> str | None:
    """The field of a request that holds its messages; None if it has none."""
    return next((key for key in HISTORY if key in value), None) if isinstance(value, Mapping) else None


def _begun(raw: bytes) -> Body | None:
    text = raw.decode("utf-8", "surrogatepass")
    for place, found in enumerate(_STARTS.finditer(text)):
        head = _head(text[: found.end()], found[1])
        if head is not None:
            return _rest(Body(raw, None, found[1], head=head), text, found.end(), first=True)
        if place >= _TRIES:
            break
    return None


def _head(text: str, key: str) -> dict[str, Any] | None:
    """The fields before the messages; None if that is no beginning of a request."""
    try:
        value = json.loads(text + "]}")
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.pop(key, None) == [] else None


def _continued(raw: bytes, known: Body) -> Body | None:
    text = raw[len(known.prefix) :].decode("utf-8", "surrogatepass")
    body = Body(raw, None, known.key, list(known.messages), dict(known.walks), head=known.head)
    return _rest(body, text, 0, first=False)


def _rest(body: Body, text: str, at: int, *, first: bool) -> Body | None:
    """Read messages from `at` to the end of their list, then the fields after it; None if it is not JSON after all."""
    end = at
    at = _after_space(text, at)
    while text[at : at + 1] != "]":
        if not first:
            if text[at : at + 1] != ",":
                return None
            at = _after_space(text, at + 1)
        first = False
        message, end = _decode(text, at)
        body.messages.append(message)
        at = _after_space(text, end)
    after = _fields(text[at + 1 :].strip(" \t\n\r"))
    if after is None or any(key in after or key in body.head for key in HISTORY):
        return None
    body.fields = {**body.head, **after}
    if body.messages and text[end - 1 : end] in (_SELF_ENDING if end else {""}):
        body.prefix = body.raw[: len(body.raw) - len(text[end:].encode("utf-8", "surrogatepass"))]
    return body


def _fields(text: str) -> dict[str, Any] | None:
    if text == "}":
        return {}
    if not text.startswith(",") or text[1:].strip(" \t\n\r") == "}":
        return None
    return json.loads("{" + text[1:])


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
