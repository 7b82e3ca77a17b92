"""Says whether the names that the taps patch are in the frameworks installed here, as JSON on stdout.

``python -m spanreel.instrument.frameworks.probe FRAMEWORK…`` in a process of its own, for it imports the frameworks. Patches nothing.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Collection
from typing import Final, TypedDict

from spanreel.instrument import frameworks

FOUND: Final = "found"


class Probed(TypedDict):
    """One patched name. state: found · missing · or why its module cannot be imported."""

    framework: str
    target: str
    state: str


def probe(wanted: Collection[str]) -> list[Probed]:
    """Every name that is patched in the frameworks named, and whether it is there."""
    return [
        Probed(framework=tap.framework, target=f"{tap.module}:{tap.name}", state=_state(tap))
        for tap in frameworks.TAPS
        if tap.framework in wanted
    ]


def _state(tap: frameworks.Tap) -> str:
    try:
        module = importlib.import_module(tap.module)
    except Exception as error:  # noqa: BLE001 - somebody else's import
        return f"{type(error).__name__}: {error}"
    return FOUND if frameworks.place(module, tap) is not None else "missing"


if __name__ == "__main__":
    print(json.dumps(probe(sys.argv[1:])))
