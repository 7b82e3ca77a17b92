"""The few colours there are, and what each means."""

from __future__ import annotations

from rich.text import Text

from spanreel.cli.words import flat

DIM = "dim"
BAD = "red"
DOUBT = "yellow"
GOOD = "green"
MODEL = "cyan"
TOOL = "blue"
NAME = "bold"

STATUS = {
    "completed": GOOD,
    "error": BAD,
    "diverged": BAD,
    "incomplete": DOUBT,
    "cancelled": DOUBT,
    "paused": "magenta",
}
KIND = {"llm": MODEL, "embedding": MODEL, "tool": TOOL}


def text(words: str, style: str = "") -> Text:
    """One line of cleaned text in one style, never wrapped."""
    return Text(flat(words) if words.strip() else words, style=style, no_wrap=True, overflow="ellipsis")


def status(name: str) -> Text:
    """A status in its colour."""
    return text(name, STATUS.get(name, ""))
