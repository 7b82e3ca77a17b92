"""A value that wants an explanation, and the paths into results that may be one. Quiet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from spanreel.replay.playbooks.compiling.expressions import Agreement, Column, FromResult
from spanreel.replay.playbooks.compiling.places import Found

CHANCE: Final = 0.02
"""How likely luck may be as the explanation of a pick by position, or of one that could have been a choice."""
NAMED: Final = 0.05
"""The same of an element that is found by a short name."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A value that wants an explanation: of each run, at its moment. name: of the argument; tool: of the call."""

    values: tuple[Any, ...]
    at: tuple[int, ...]
    name: str
    tool: str

    def part(self, values: Sequence[Any], name: str | None = None) -> Slot:
        """A part of it."""
        return replace(self, values=tuple(values), name=name or self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A result that has the value. chance: that it fits by luck; solid: it picks nothing."""

    expr: FromResult
    needs: frozenset[Column]
    chance: float
    solid: bool
    exclusive: bool
    """It takes a list to have one element: another run may have several."""
    doubts: tuple[Agreement, ...] = ()
    founds: tuple[Found, ...] = ()
    """What each run found by it."""

    def cost(self, kept: frozenset[Column]) -> tuple[int, int, int]:
        """Reads that it adds, then how involved its path is."""
        return (
            len([one for one in self.needs if one not in kept]),
            len(self.expr.given),
            len(self.expr.form),
        )


def last_of(path: str) -> str:
    """The last key of a path."""
    return path.rpartition(".")[2].partition("[")[0] or path
