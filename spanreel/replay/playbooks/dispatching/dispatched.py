"""What became of a task: who did it, why, and what that saved. Quiet: values only."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.playbooks.dispatching.choosing import Considered, Reason
from spanreel.replay.playbooks.result import PlaybookResult, Saved
from spanreel.replay.timeline import Frozen

By: TypeAlias = Literal["playbook", "agent", "nobody"]


class Chosen(Frozen):
    """A body by name, hash and version."""

    name: str
    hash: str
    version: int | None = None


class Extracted(Frozen):
    """The model call that read parameters out of text: what it gave, the run that it is, and what it used."""

    params: dict[str, Any] = Field(default_factory=dict)
    run_id: str | None = None
    model_calls: int = 1
    tokens: int | None = None
    cost: str | None = None


class Dispatched(Frozen):
    """A task that was given to a playbook, or to the agent.

    Attributes:
        by: a playbook, the agent, or nobody (none fits, and there is no agent; or a playbook stopped after it had changed
            something, which no agent may run over). Of a dry dispatch: who would do it.
        status: of what was done; None where nothing was.
        reason: why it is not a playbook that did it, or why the playbook did not finish; a code of `choosing.REASONS`.
        playbook: the one that was taken, whether it finished or not.
        run_id: of the run that did it: the playbook's execution, or the agent's.
        output: what it came to; of an agent what it returned.
        result: of the playbook's execution, also where the agent took over.
        saved: what the playbook's source runs needed, less what was spent; None where an agent did it, or nobody knows.
        considered: every playbook, and what spoke for and against it.
        shadows: playbooks that are walked in the agent's shadow, see `Beside`.
    """

    schema_: Literal["spanreel.dispatch.v1"] = Field(default="spanreel.dispatch.v1", alias="schema")
    goal: str
    by: By
    dry: bool = False
    status: Literal["completed", "failed", "paused"] | None = None
    reason: Reason | None = None
    playbook: Chosen | None = None
    run_id: str | None = None
    output: Any = None
    result: PlaybookResult | None = None
    saved: Saved | None = None
    extracted: Extracted | None = None
    considered: list[Considered] = Field(default_factory=list[Considered])
    shadows: list[str] = Field(default_factory=list[str])

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status == "completed"

    @property
    def exit_code(self) -> int:
        """0 done (or dry), 1 failed, 3 paused, 5 no playbook may do it and there is no agent."""
        if self.status is None:
            return 5 if self.by == "nobody" else 0
        return {"completed": 0, "failed": 1, "paused": 3}[self.status]
