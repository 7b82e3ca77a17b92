"""Places in JSON values: every one with its value, what a place is called in a binding, and what is there.

Quiet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

Step: TypeAlias = str | int
LIMIT: Final = 20_000
"""How many places of one value are looked at."""
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def steps(value: Any) -> Iterator[tuple[tuple[Step, ...], Any]]:
    """Every place in a value, itself first, outer ones before inner ones."""
    waiting: list[tuple[tuple[Step, ...], Any]] = [((), value)]
    at = 0
    while at < len(waiting) and at < LIMIT:
        path, one = waiting[at]
        at += 1
        yield path, one
        if isinstance(one, Mapping):
            waiting += [((*path, str(key)), item) for key, item in one.items()]
        elif isinstance(one, (list, tuple)):
            waiting += [((*path, place), item) for place, item in enumerate(one)]


def value_at(value: Any, path: Sequence[Step], otherwise: Any = None) -> Any:
    """What is at a place; `otherwise` where there is none."""
    for step in path:
        named = isinstance(step, str) and isinstance(value, Mapping) and step in value
        placed = (
            isinstance(step, int) and isinstance(value, (list, tuple)) and -len(value) <= step < len(value)
        )
        if not named and not placed:
            return otherwise
        value = cast("Any", value)[step]
    return value


def told(path: Sequence[Step]) -> str:
    """A place as it stands after a variable in a binding: ``.items[0]['odd key']``."""
    return "".join(
        f"[{step}]"
        if isinstance(step, int)
        else f".{step}"
        if _PLAIN.fullmatch(step)
        else f"[{json.dumps(step, ensure_ascii=False)}]"
        for step in path
    )
