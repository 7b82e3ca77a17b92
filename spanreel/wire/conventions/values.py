"""Values of attributes as emitters really write them: numbers as strings, JSON in strings, JSON cut off, Python reprs.

Nothing here raises, whatever it is given; what cannot be read is None, or stays the string it was.
"""

from __future__ import annotations

import ast
import base64
import json
import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

_REPR_STARTS = ("{'", "['", "[{'", "('")
_REPR_LIMIT = 200_000
DEPTH = 64
_decode = json.JSONDecoder().raw_decode
_CLOSING = {"{": "}", "[": "]"}
_ATTEMPTS = 8


def text(value: object) -> str | None:
    """A non-empty string (numbers become one), or None."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return plain(value) if isinstance(plain(value), str) else str(value)
    return None


def count(value: object) -> int | None:
    """A token count: an int, or a string or a float of one; never negative."""
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
    if isinstance(value, bool):
        return None
    if isinstance(value, float):
        return int(value) if value.is_integer() and 0 <= value < 1e18 else None
    return value if isinstance(value, int) and 0 <= value < 10**18 else None


def decimal(value: object) -> str | None:
    """An amount in USD as a plain decimal string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(plain(value))[:40])
    except InvalidOperation:
        return None
    return format(amount, "f") if amount.is_finite() and abs(amount.adjusted()) < 30 else None


def plain(value: Any, depth: int = DEPTH) -> Any:
    """The value as JSON could say it: string keys, lists, no bytes; what nests too deep is cut off."""
    if value is None or isinstance(value, str | bool | float):
        return value
    if isinstance(value, int):
        return value if abs(value) < 1 << 64 else hex(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if depth <= 0:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): plain(one, depth - 1) for key, one in value.items()}
    if isinstance(value, Sequence | set | frozenset):
        return [plain(one, depth - 1) for one in value]
    return str(value)


def parsed(value: object) -> Any:
    """JSON, cut-off JSON or a Python repr as its value; any other string as itself; a structured value as it is."""
    if not isinstance(value, str):
        return plain(value)
    head = value.lstrip()[:3]
    if not head or head[0] not in '{["(':
        return value
    try:
        return _shallow(json.loads(value))
    except (ValueError, RecursionError):
        pass
    if head.startswith(_REPR_STARTS) and len(value) < _REPR_LIMIT:
        found = _literal(value)
        if found is not None:
            return found
    return salvaged(value) if head[0] in "{[" else value


def parsed_fully(value: object) -> Any:
    """Like `parsed`, but numbers and words of JSON count too: for values known to be encoded."""
    if isinstance(value, str):
        try:
            found, stop = _decode(value)
            return _shallow(found if stop == len(value) else json.loads(value))
        except (ValueError, RecursionError):
            pass
        try:  # with space around it
            return _shallow(json.loads(value))
        except (ValueError, RecursionError):
            return value
    return plain(value)


def mapping(value: object) -> Mapping[str, Any]:
    """The JSON object that the value is or says; otherwise empty."""
    found = parsed(value) if isinstance(value, str) else value
    return found if isinstance(found, Mapping) else {}


def strings(value: object) -> tuple[str, ...]:
    """A list of strings, however it was written: a list, a JSON list, one string."""
    if isinstance(value, str):
        if not value.startswith("["):
            return (value,) if value else ()
        value = parsed(value)
        if isinstance(value, str):
            return (value,)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return tuple(one for one in value if isinstance(one, str) and one)
    return ()


def salvaged(value: str) -> Any:
    """As much of a cut-off JSON text as is whole, else the string itself."""
    stack: list[str] = []
    cuts: list[tuple[int, str]] = []
    inside = escaped = False
    for at, char in enumerate(value):
        if inside:
            escaped, inside = (not escaped and char == "\\"), (escaped or char != '"')
        elif char == '"':
            inside, escaped = True, False
        elif char in _CLOSING:
            stack.append(_CLOSING[char])
            if len(stack) > DEPTH:
                return value
        elif char in "]}":
            if not stack or stack.pop() != char:
                return value
            if not stack and value[at + 1 :].strip():  # it closed and went on: a text, nothing was cut off
                return value
            cuts.append((at + 1, "".join(reversed(stack))))
        elif char == ",":
            cuts.append((at, "".join(reversed(stack))))
    tail = "".join(reversed(stack))
    whole = (len(value) - escaped, '"' + tail) if inside else (len(value), tail)
    for end, closing in (whole, *reversed(cuts[-_ATTEMPTS:])):
        try:
            return json.loads(value[:end] + closing)
        except (ValueError, RecursionError):
            continue
    return value


def _literal(value: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return plain(ast.literal_eval(value))
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _shallow(value: Any) -> Any:
    """The value itself, unless it nests so deep that walking it could fail."""
    return plain(value) if isinstance(value, dict | list) and nests(value, DEPTH) else value


def nests(value: Any, levels: int) -> bool:
    """Whether the value has more levels than these; one that holds nothing has one."""
    pending, depth = [value], 0
    while pending:
        depth += 1
        if depth > levels:
            return True
        inner: list[Any] = []
        for one in pending:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        pending = [one for one in inner if isinstance(one, dict | list)]
    return False
