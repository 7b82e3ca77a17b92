"""What is known of the world without doing anything, and what is found out about one state of a playbook. Quiet values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import ToolFacts
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.planning.simulation import Checked, Readiness


@dataclass(frozen=True, slots=True)
class Paper:
    """What is known without doing anything.

    Attributes:
        tools: what is registered under a name.
        answers: the result that a recorded run has for a call, in a tuple of one; None: it has none.
        probe: whether a condition of the surroundings holds now.
        load: another playbook by name and hash; raises where there is none.
        cost: what a model call would cost, USD as a decimal string; None: nobody knows.
        model: whether model states without a model of their own are given one.
    """

    tools: Callable[[str], ToolFacts | None]
    answers: Callable[[str, Mapping[str, Any]], tuple[Any] | None] = lambda _tool, _args: None
    probe: Callable[[asks.Probe], Judgement] = lambda asked: Judgement(
        None, f"{next(iter(asked.condition))} is asked when it runs"
    )
    load: Callable[[str, str | None], Body] | None = None
    cost: Callable[[asks.Ask], str | None] = lambda _asked: None
    model: bool = True
    cost_from: str = ""
    answers_from: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A state to look at, and what is known when it is entered."""

    state: str
    variables: Mapping[str, Any]
    conditional: bool = False
    approved: bool = False
    models: int = 0
    tools: int = 0
    last: Any = None


@dataclass(slots=True)
class Notes:
    """What is found out about the state under way."""

    guards: list[Checked] = field(default_factory=list[Checked])
    blocked: list[str] = field(default_factory=list[str])
    unknown: list[str] = field(default_factory=list[str])
    args: Any = None
    safety: str | None = None
    answered: bool = False
    approval: str | None = None
    asks_model: bool = False
    model: str | None = None
    cost: str | None = None
    ways: list[str] | None = None

    @property
    def readiness(self) -> Readiness:
        return "blocked" if self.blocked else "unknown" if self.unknown else "ready"
