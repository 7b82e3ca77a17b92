"""Lists that emitters flatten into attributes (`llm.input_messages.3.message.role`), found and put back.

Pure: attributes in, attributes out. A flattened history is one list of messages like any other, and is kept like one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from spanreel.wire.spans import Value

_ITEM: Final = re.compile(r"([^0-9]*[^0-9.])\.(0|[1-9][0-9]{0,5})\.(.+)", re.DOTALL)
_LEAST: Final = 8  # attributes in a list; fewer are not worth rows of their own

Elements = list[dict[str, Value]]


def split(attributes: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, tuple[int, Elements]]]:
    """The attributes that are no list, and the lists: name -> (index of the first element, elements).

    An element maps what follows the index to the value. Lists with holes are left as attributes.
    """
    if len(attributes) < _LEAST:
        return dict(attributes), {}
    found: dict[str, dict[int, dict[str, Value]]] = {}
    for key, value in attributes.items():
        if item := _ITEM.fullmatch(key):
            name, index, rest = item.groups()
            found.setdefault(name, {}).setdefault(int(index), {})[rest] = value
    lists: dict[str, tuple[int, Elements]] = {}
    for name, elements in found.items():
        first = min(elements)
        if max(elements) - first + 1 == len(elements) and sum(map(len, elements.values())) >= _LEAST:
            lists[name] = (first, [elements[first + offset] for offset in range(len(elements))])
    if not lists:
        return dict(attributes), {}
    return {key: value for key, value in attributes.items() if not _within(key, lists)}, lists


def join(name: str, first: int, elements: list[dict[str, Any]]) -> dict[str, Any]:
    """The attributes of a list."""
    return {
        f"{name}.{first + offset}.{rest}": value
        for offset, element in enumerate(elements)
        for rest, value in element.items()
    }


def _within(key: str, lists: Mapping[str, object]) -> bool:
    item = _ITEM.fullmatch(key)
    return item is not None and item[1] in lists
