"""Where two JSON values differ. Values only; what a difference means is for whoever asks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

ABSENT: Final = "<absent>"
"""What stands for the side that has no such key or item."""


def differences(a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    """Each place where two JSON values differ: JSON path, left, right; keys in the order of `a`, then of `b`.

    Numbers differ when their JSON does: `1` is not `1.0`, and not `true`. A null is not the same as no key.
    """
    waiting: list[tuple[str, Any, Any]] = [("$", a, b)]
    while waiting:
        path, left, right = waiting.pop()
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            keys = reversed(dict.fromkeys((*left, *right)))
            waiting += [(path + _step(key), left.get(key, ABSENT), right.get(key, ABSENT)) for key in keys]
        elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
            places = reversed(range(max(len(left), len(right))))
            waiting += [(f"{path}[{at}]", _at(left, at), _at(right, at)) for at in places]
        elif not _same(left, right):
            yield path, left, right


def first_difference(a: Any, b: Any) -> tuple[str, Any, Any] | None:
    """The first of the `differences`; None: the values are the same."""
    return next(differences(a, b), None)


def _same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    return repr(left) == repr(right) if isinstance(left, float) else left == right


def _step(key: str) -> str:
    return f".{key}" if key.isidentifier() else f"[{json.dumps(key, ensure_ascii=False)}]"


def _at(values: list[Any] | tuple[Any, ...], place: int) -> Any:
    return values[place] if place < len(values) else ABSENT
