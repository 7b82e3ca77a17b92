"""Lists that emitters spread over attributes (`llm.input_messages.0.message.role` …), put together again.

Numbering may have holes: the sender's attribute limit drops keys. What is there comes out in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_DEPTH = 12


def listed(attributes: Mapping[str, Any], prefix: str) -> list[Any]:
    """The values under `prefix` (which ends with a dot), as lists and objects; [] where there are none."""
    tree: dict[str, Any] = {}
    for key in attributes:  # whose values may be long, and most are of no interest here
        if not key.startswith(prefix):
            continue
        path = key[len(prefix) :].split(".", _DEPTH)
        if path[0].isdecimal():
            _place(tree, path, attributes[key])
    found = _settled(tree)
    return found if isinstance(found, list) else []


def _place(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for step in path[:-1]:
        inner = tree.get(step)
        if not isinstance(inner, _Node):
            inner = tree[step] = _Node()
        tree = inner
    if not isinstance(tree.get(path[-1]), _Node):
        tree[path[-1]] = value


class _Node(dict[str, Any]):
    """An object that we build, told apart from a structured attribute value."""


def _settled(tree: Any) -> Any:
    if not isinstance(tree, dict):
        return tree
    inner = {key: _settled(one) if isinstance(one, _Node) else one for key, one in tree.items()}
    if inner and all(key.isascii() and key.isdecimal() for key in inner):
        return [inner[key] for key in sorted(inner, key=lambda one: (len(one), one))]
    return inner
