"""Runs made up for one test, and walks of a playbook on the tape of a run; the readers of real ones are the bench's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "bench"))

from playbook_domains import airline, bfcl, retail
from playbook_runs import Called, Episode, Turn
from playbook_walks import Played, Tape, play, safety_of

__all__ = [
    "Called", "Episode", "Played", "Tape", "Turn", "airline", "bfcl", "call", "episode", "play", "retail", "safety_of", "said",
]  # fmt: skip

_count = iter(range(1, 1_000_000))


def said(text: str, role: str = "user") -> Turn:
    """Something that was said; of role assistant: a model call that called nothing."""
    return Turn(role, text)


def call(tool: str, arguments: dict[str, Any], result: Any, *, write: bool = False) -> list[Turn]:
    """A model call that chose a tool, and the call; names that begin with a write are told by `write`."""
    text = result if isinstance(result, str) else json.dumps(result)
    called = Called(tool, arguments, text, write, False, f"call_{next(_count)}")
    return [Turn("assistant"), Turn("tool", called=called)]


def episode(*turns: Turn | list[Turn], given: Any = None, success: bool = True) -> Episode:
    """A run. given: what it was started with."""
    flat = [one for turn in turns for one in (turn if isinstance(turn, list) else [turn])]
    return Episode("made-up", "m-1", f"t{next(_count)}", 0, tuple(flat), success, given=given)
