"""What a simulation of a playbook says, as values. Quiet."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.timeline import Frozen

Readiness: TypeAlias = Literal["ready", "unknown", "blocked"]


class Checked(Frozen):
    """A guard, and whether it would say yes. holds: None, nobody knows before it runs."""

    guard: str
    asks: Any = None
    holds: bool | None = None
    why: str = ""


class PlannedState(Frozen):
    """A state as it would be gone through.

    Attributes:
        readiness: whether it could begin: ready, unknown, blocked; reasons: why not ready.
        conditional: whether it comes to this state is not known: it is behind a branch that nobody can decide yet.
        args: of its tool, with ``{"unknown": why}`` for what nobody knows.
        answered: its result was taken from a recorded run.
        approval: the gate that it waits at. asks_model: it makes a model call.
    """

    state: str
    action: str | None = None
    tool: str | None = None
    safety: str | None = None
    readiness: Readiness = "ready"
    reasons: list[str] = Field(default_factory=list[str])
    conditional: bool = False
    args: Any = None
    answered: bool = False
    approval: str | None = None
    asks_model: bool = False
    model: str | None = None
    cost: str | None = None
    guards: list[Checked] = Field(default_factory=list[Checked])
    leads_to: list[str] = Field(default_factory=list[str])


class Simulation(Frozen):
    """`spanreel playbook simulate --json`. cost: USD of its model calls, None: nobody knows, `cost_from` says why."""

    schema_: Literal["spanreel.simulation.v1"] = Field(default="spanreel.simulation.v1", alias="schema")
    name: str
    hash: str
    readiness: Readiness
    reasons: list[str] = Field(default_factory=list[str])
    params: dict[str, Any] = Field(default_factory=dict[str, Any])
    states: list[PlannedState] = Field(default_factory=list[PlannedState])
    approvals: list[str] = Field(default_factory=list[str])
    missing_tools: list[str] = Field(default_factory=list[str])
    model_calls: int = 0
    tool_calls: int = 0
    cost: str | None = None
    cost_from: str = ""
    answers_from: str | None = None
    output: Any = None
