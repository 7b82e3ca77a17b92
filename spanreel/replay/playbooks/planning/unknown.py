"""Values that nobody knows yet: on paper, a call has no result, and what is bound to it is unknown too. Never an error, never a pass.

Quiet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from spanreel.replay.playbooks.binding import Binding, Variables, bind, parse

_STEPS: Final = re.compile(r"""\.([A-Za-z_][\w-]*)|\[(-?\d+)\]|\[(?:"([^"\\]*)"|'([^'\\]*)')\]""")
_ROOT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that nobody knows yet. why: what it would come from."""

    why: str

    def __str__(self) -> str:
        return f"unknown ({self.why})"


def unknown_in(value: Any) -> Unknown | None:
    """The first unknown in a value, however deep; None: all of it is known."""
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Mapping):
        return next((found for item in value.values() if (found := unknown_in(item))), None)
    if isinstance(value, (list, tuple)):
        return next((found for item in value if (found := unknown_in(item))), None)
    return None


def bound(value: Any, variables: Variables) -> Any:
    """`binding.bind`, in which a binding to what is unknown is unknown.

    Raises:
        Unbound: a binding has no value, whatever the unknown ones turn out to be.
    """
    if isinstance(value, str):
        return _text(value, variables) if "{{" in value else value
    if isinstance(value, Mapping):
        return {key: bound(item, variables) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bound(item, variables) for item in value]
    return value


def _text(text: str, variables: Variables) -> Any:
    for piece in parse(text):
        if isinstance(piece, Binding) and (missing := depends(piece, variables)):
            return missing
    found = bind(text, variables)
    return unknown_in(found) or found


def depends(binding: Binding, variables: Variables) -> Unknown | None:
    """What a binding depends on that is unknown, if anything."""
    if binding.path is None:
        return None
    return path_unknown(binding.path, variables)


def path_unknown(path: str, variables: Variables) -> Unknown | None:
    """What a path from the variables on depends on that is unknown, if anything.

    A path of names and places is followed; any other may see all of what it begins with.
    """
    root = _ROOT.match(path)
    if root is None:
        return None
    inside = {name for name in re.findall(r"\$\.?([A-Za-z_][\w-]*)", path) if name in variables}
    for name in inside - {root[0]}:
        if found := unknown_in(variables[name]):
            return found
    whole = variables.get(root[0])
    missing = unknown_in(whole)
    if missing is None:
        return None
    at, value = root.end(), whole
    while at < len(path):
        if isinstance(value, Unknown):
            return value
        step = _STEPS.match(path, at)
        if step is None:
            return missing
        name, place = step[1] or step[3] or step[4], step[2]
        if name is not None and isinstance(value, Mapping) and name in value:
            value = value[name]
        elif place is not None and isinstance(value, list) and -len(value) <= int(place) < len(value):
            value = value[int(place)]
        else:
            return None  # it finds nothing in what is known: an error, and said as one
        at = step.end()
    return unknown_in(value)


def plain(value: Any) -> Any:
    """A value as JSON: what is unknown as ``{"unknown": why}``."""
    if isinstance(value, Unknown):
        return {"unknown": value.why}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
