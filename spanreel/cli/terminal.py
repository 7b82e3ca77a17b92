"""Where output goes: what was asked for to stdout, notes and progress to stderr. Rich is loaded when something is drawn."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from spanreel.cli.words import safe_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_json_texts: list[int] = []


def console(error: bool = False) -> Console:
    """A terminal as wide as it is (or as $COLUMNS says). Nothing it is given is read as markup."""
    from rich.console import Console

    return Console(stderr=error, markup=False, emoji=False, highlight=False, soft_wrap=False)


def draw(*parts: RenderableType, wrap: bool = True) -> None:
    """Put tables, trees and text on stdout; without `wrap` long lines are the terminal's to break."""
    out = console()
    for part in parts:
        out.print(part, soft_wrap=not wrap)


def say(text: str) -> None:
    """One line of plain text on stdout."""
    print(_cleaned(text))


def say_json(text: str) -> None:
    """A JSON text on stdout."""
    _json_texts.append(len(text))
    print(safe_json(text))


def said_json() -> bool:
    """Whether there is a JSON text on stdout since this was asked last."""
    said = bool(_json_texts)
    _json_texts.clear()
    return said


def note(text: str) -> None:
    """One line to the side: how it went, what to do next."""
    print(_cleaned(text), file=sys.stderr)


def _cleaned(text: str) -> str:
    """Without what acts on a terminal; the module that knows is loaded only when there is something to take out."""
    if text.isprintable():
        return text
    from spanreel.replay.report.text import clean

    return clean(text)
