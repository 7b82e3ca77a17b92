"""Names of states, variables and parameters: readable, and each of them once. Quiet."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from spanreel.replay.playbooks.body import RESERVED

VERBS: Final = (
    "get",
    "find",
    "list",
    "fetch",
    "read",
    "lookup",
    "look_up",
    "search",
    "retrieve",
    "query",
    "load",
    "show",
)
TAKEN: Final = RESERVED | {"failure", "args", "item"}


def state_name(tool: str, taken: Collection[str]) -> str:
    """The name of a state: that of its tool."""
    return _apart(_plain(tool) or "call", taken)


def variable_name(tool: str, taken: Collection[str]) -> str:
    """The name of what a tool gave: without the verb."""
    name = _plain(tool)
    for verb in VERBS:
        if name.startswith(f"{verb}_") and len(name) > len(verb) + 1:
            name = name[len(verb) + 1 :]
            break
    return _apart(name or "found", taken)


def param_name(hint: str, taken: Collection[str]) -> str:
    """The name of a parameter: that of the argument it was first seen as."""
    name = _plain(hint) or "value"
    number = 2
    while name in taken:
        name, number = f"{_plain(hint) or 'value'}_{number}", number + 1
    return name


def _plain(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")
    return f"n{plain}" if plain[:1].isdigit() else plain


def _apart(name: str, taken: Collection[str]) -> str:
    if name not in taken and name not in TAKEN:
        return name
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
