"""The JSON objects of the commands about the library of playbooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from spanreel.replay.playbooks.governance.evidence import Executed
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    from spanreel.replay.playbooks.governance.promoting import Judged
    from spanreel.replay.playbooks.governance.shelf import Entry


class PlaybookLine(Frozen):
    """A body in a list.

    Attributes:
        why: what made its status what it is.
        usable: dispatch may pick it.
        runs: executions and shadows that show whether it works; ok, failed: of them; shadows: how many are such.
        success_ratio: null without evidence.
    """

    name: str
    version: int
    hash: str
    status: str
    why: str
    usable: bool
    origin: str
    goal: str
    added_at: str | None
    states: int
    params: list[str]
    tools: list[str]
    runs: int
    ok: int
    failed: int
    shadows: int
    distinct_inputs: int
    success_ratio: float | None
    last_run_at: str | None


class PlaybookList(Frozen):
    """`spanreel playbook list --json`."""

    schema_: Literal["spanreel.playbooks.v1"] = Field(default="spanreel.playbooks.v1", alias="schema")
    playbooks: list[PlaybookLine]
    problems: list[str] = Field(default_factory=list[str])


class PlaybookShown(Frozen):
    """`spanreel playbook show --json`; `body` is what its file says."""

    schema_: Literal["spanreel.playbook_entry.v1"] = Field(
        default="spanreel.playbook_entry.v1", alias="schema"
    )
    playbook: PlaybookLine
    body: dict[str, Any]
    decisions: list[dict[str, Any]]
    evidence: list[Executed]


class PlaybookDecided(Frozen):
    """`spanreel playbook promote --json`, and disable, enable, retire.

    Attributes:
        before: the status that it had. changed: there was something to do.
        refused: gates that are not passed; then nothing was done, unless `forced`.
        resolution: which gates were asked, and who asks for each. retired: what it replaced.
    """

    schema_: Literal["spanreel.playbook_decision.v1"] = Field(
        default="spanreel.playbook_decision.v1", alias="schema"
    )
    name: str
    version: int
    hash: str
    decision: str
    before: str
    status: str
    changed: bool
    forced: bool = False
    reason: str | None = None
    actor: Any = None
    resolution: dict[str, Any] | None = None
    gates: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    refused: list[str] = Field(default_factory=list[str])
    retired: list[str] = Field(default_factory=list[str])


class Reason(Frozen):
    """Why something is as it is: a code that stays the same, words that may not, and the command that changes it."""

    code: str
    text: str
    remedy: str | None = None


class PlaybookCandidate(Frozen):
    """`spanreel playbook candidate --json`.

    Attributes:
        usable: dispatch may run it without the agent.
        next_action: skip_primary_inference, promote, review, repair, enable, or fall_back.
        reasons: every one; `usable` is false exactly where there is one that begins with status_.
    """

    schema_: Literal["spanreel.playbook_candidate.v1"] = Field(
        default="spanreel.playbook_candidate.v1", alias="schema"
    )
    name: str
    version: int
    hash: str
    status: str
    usable: bool
    next_action: str
    reasons: list[Reason]
    resolution: dict[str, Any]
    gates: list[dict[str, Any]]


def line_of(entry: Entry) -> PlaybookLine:
    """A body as one line."""
    found = entry.evidence
    last = found.executions[-1].at if found.executions else None
    return PlaybookLine(
        name=entry.name,
        version=entry.version,
        hash=entry.hash,
        status=entry.status,
        why=entry.why,
        usable=entry.dispatchable,
        origin=entry.origin,
        goal=entry.body.goal,
        added_at=entry.added_at,
        states=len(entry.body.states),
        params=list(entry.body.params),
        tools=entry.body.tools,
        runs=found.runs,
        ok=found.count("ok"),
        failed=found.count("failed"),
        shadows=len(found.shadows),
        distinct_inputs=found.distinct_inputs,
        success_ratio=found.success_ratio,
        last_run_at=last,
    )


def shown(entry: Entry) -> PlaybookShown:
    """A body whole."""
    return PlaybookShown(
        playbook=line_of(entry),
        body=entry.body.document(),
        decisions=[one.document() for one in entry.decisions],
        evidence=list(entry.evidence.executions),
    )


_NEXT = {
    "active": "skip_primary_inference",
    "candidate": "promote",
    "shadow": "promote",
    "retired": "promote",
    "review": "review",
    "needs_repair": "repair",
    "disabled": "enable",
    "rejected": "fall_back",
}


def candidate_of(entry: Entry, judged: Judged) -> PlaybookCandidate:
    """Whether a body can be used now, and each reason why not."""
    reasons: list[Reason] = []
    if not entry.dispatchable:
        what = f"it is {entry.status}" + (f" ({entry.why})" if entry.why else "")
        reasons.append(Reason(code=f"status_{entry.status}", text=what, remedy=_remedy(entry)))
    reasons += [Reason(code=f"gate_{one.gate}", text=one.text) for one in judged.refused]
    return PlaybookCandidate(
        name=entry.name,
        version=entry.version,
        hash=entry.hash,
        status=entry.status,
        usable=entry.dispatchable,
        next_action=_NEXT[entry.status],
        reasons=reasons,
        resolution=judged.resolution.document(),
        gates=[one.model_dump(mode="json") for one in judged.figures],
    )


def _remedy(entry: Entry) -> str | None:
    said = {
        "candidate": "promote", "shadow": "promote", "retired": "promote", "review": "review",
        "needs_repair": "repair", "disabled": "enable",
    }.get(entry.status)  # fmt: skip
    return f"spanreel playbook {said} {entry.ref}" if said else None
