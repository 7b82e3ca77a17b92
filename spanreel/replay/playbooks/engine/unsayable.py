"""What a tool gave that is no JSON value: a handle, NaN, half a character, lists without end.

Quiet. People may read its text; a binding may not pass it on, for it is not what the tool gave. What has a form in JSON
(models, dataclasses, times, bytes) is given in that form.
"""

from __future__ import annotations

import math
from typing import Any, Final, cast

from spanreel.instrument import codec
from spanreel.replay.playbooks.binding import Unsayable

DEEPEST: Final = 50
BITS: Final = 64


def sayable(value: Any) -> Any:
    """A result as JSON; what of it has no form there is `Unsayable`."""
    return _marked(value, 0) if _is_lost(value, 0) else codec.plain(value)


def _is_lost(value: Any, depth: int) -> bool:
    of = type(value)
    if of is str:
        return not _is_text(value)
    if of is int:
        return value.bit_length() > BITS
    if of is float:
        return not math.isfinite(value)
    if value is None or of is bool:
        return False
    if of is dict:
        return depth > DEEPEST or any(
            _is_lost(one, depth + 1) for pair in cast("dict[Any, Any]", value).items() for one in pair
        )
    if of in (list, tuple, set, frozenset):
        return depth > DEEPEST or any(_is_lost(one, depth + 1) for one in cast("list[Any]", value))
    return not isinstance(value, (str, int, float)) and codec.fidelity(codec.encode(value)) == codec.OPAQUE


def _marked(value: Any, depth: int) -> Any:
    if not _is_lost(value, depth):
        return codec.plain(value)
    if type(value) is dict and depth <= DEEPEST:
        items = cast("dict[Any, Any]", value).items()
        return {
            key if isinstance(key, str) else codec.plain_text(key): _marked(one, depth + 1)
            for key, one in items
        }
    if type(value) in (list, tuple) and depth <= DEEPEST:
        return [_marked(one, depth + 1) for one in cast("list[Any]", value)]
    said = codec.plain(value)
    return Unsayable(said if isinstance(said, str) else str(said)[:1000])


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
