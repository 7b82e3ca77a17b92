"""What a run of a playbook came to, as one value for people and programs. Quiet: values only."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from spanreel.replay.timeline import Frozen


class StoppedBy(Frozen):
    """Why a run did not go through. guard: which one said no (see `asks.Guard`); state: where, empty before the first."""

    guard: str
    state: str
    reason: str


class Saved(Frozen):
    """What a run did without, against the runs that its playbook was compiled from; None where nobody knows.

    cost: USD, as a decimal string; seconds: of the source runs' model calls.
    """

    model_calls: int | None = None
    tokens: int | None = None
    cost: str | None = None
    seconds: float | None = None


class PlaybookResult(Frozen):
    """What a run of a playbook came to.

    Attributes:
        status: completed, failed (a guard stopped it, see `failure`), or paused at a gate.
        run_id: the recorded run; None where nothing is recorded.
        hash: of the body that was run.
        output: what it came to; None unless completed.
        visited: its states, in order.
        model_calls, tool_calls: that it made itself, attempts included.
        mended: hash of the body that a guided run made of the states that it mended; None: nothing was mended.
        waits_for: the approval that it is paused at.
    """

    schema_: Literal["spanreel.playbook_run.v1"] = Field(default="spanreel.playbook_run.v1", alias="schema")
    status: Literal["completed", "failed", "paused"]
    run_id: str | None = None
    name: str
    hash: str
    mode: str = "strict"
    output: Any = None
    failure: StoppedBy | None = None
    visited: list[str] = Field(default_factory=list[str])
    model_calls: int = 0
    tool_calls: int = 0
    mended: str | None = None
    saved: Saved | None = None
    waits_for: str | None = None

    def _repr_html_(self) -> str:
        from html import escape

        said = {
            "status": self.status
            if self.failure is None
            else f"{self.status}: {self.failure.guard}: {self.failure.reason}",
            "states": " → ".join(self.visited),
            "calls": f"{self.tool_calls} of tools, {self.model_calls} of models",
            "output": "" if self.output is None else str(self.output),
            "run": self.run_id or "",
        }
        rows = "".join(
            f"<tr><th>{key}</th><td>{escape(value)}</td></tr>" for key, value in said.items() if value
        )
        return f"<table><caption>{escape(self.name)}</caption>{rows}</table>"

    @property
    def ok(self) -> bool:
        """Whether it completed."""
        return self.status == "completed"

    @property
    def exit_code(self) -> int:
        """0 completed, 1 stopped by a guard, 3 paused."""
        return {"completed": 0, "failed": 1, "paused": 3}[self.status]


class TargetRun(Frozen):
    """What a run of an agent function came to. error: in words. waits_for: the approval that it is paused at."""

    schema_: Literal["spanreel.run.v1"] = Field(default="spanreel.run.v1", alias="schema")
    status: Literal["completed", "failed", "paused"]
    run_id: str | None = None
    name: str
    output: Any = None
    error: str | None = None
    waits_for: str | None = None

    @property
    def exit_code(self) -> int:
        """0 completed, 1 failed, 3 paused."""
        return {"completed": 0, "failed": 1, "paused": 3}[self.status]


class TargetCheck(Frozen):
    """What `spanreel run TARGET --dry-check` found; nothing was run. problems: each on one line."""

    schema_: Literal["spanreel.target_check.v1"] = Field(default="spanreel.target_check.v1", alias="schema")
    target: str
    ok: bool
    problems: list[str] = Field(default_factory=list[str])
