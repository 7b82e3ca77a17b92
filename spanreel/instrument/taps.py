"""Which modules are tapped, and when: as soon as the application has imported them, before or after the one line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import wrapt

from spanreel.instrument.guard import guard

TAPS = {
    "httpx": "spanreel.instrument.clients.httpx:Tap",
    "httpx2": "spanreel.instrument.clients.httpx:Tap",
}
"""Module to its tap, a class that is given the module. Imported when the module is."""


class Tapped(Protocol):
    """A tap that is on."""

    def remove(self) -> None:
        """Take it off."""
        ...


_tapped: dict[int, Tapped] = {}
_waiting: set[str] = set()
_on = False


def install() -> None:
    """Tap every known module that is imported, and the others when they will be."""
    global _on
    _on = True
    for name in TAPS:
        if name in sys.modules:
            _tap(sys.modules[name], name)
        elif name not in _waiting:
            _waiting.add(name)
            wrapt.register_post_import_hook(_hook(name), name)


def remove() -> None:
    """Take every tap off."""
    global _on
    _on = False
    while _tapped:
        _, tap = _tapped.popitem()
        with guard("removing a tap"):
            tap.remove()


def _hook(name: str) -> Callable[[Any], None]:
    def imported(module: Any) -> None:
        _waiting.discard(name)
        if _on:
            _tap(module, name)

    return imported


def _tap(module: Any, name: str) -> None:
    """Tap the module once; two names may stand for one module (`httpx2.alias_httpx()`)."""
    if id(module) in _tapped:
        return
    with guard(f"tap {name}"):
        home, _, cls = TAPS[name].partition(":")
        _tapped[id(module)] = getattr(import_module(home), cls)(module)
