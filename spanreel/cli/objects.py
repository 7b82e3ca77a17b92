"""The JSON objects of the commands that report on something else than a run."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field

from spanreel.exceptions import Signal, SpanreelError
from spanreel.replay.timeline import Frozen, Replay


class TimelineStep(Frozen):
    """A step in time: milliseconds since the start of the run, and milliseconds it took."""

    number: int | None
    kind: str
    name: str
    agents: list[str]
    offset: float | None
    duration: float | None
    status: str


class Timeline(Frozen):
    """`spanreel timeline --json`."""

    schema_: Literal["spanreel.timeline.v1"] = Field(default="spanreel.timeline.v1", alias="schema")
    run_id: str
    started_at: str | None
    duration: float | None
    steps: list[TimelineStep]


class TailedSpan(Frozen):
    """A line of `spanreel tail --json`: one span as it arrived; duration in milliseconds."""

    schema_: Literal["spanreel.tail.v1"] = Field(default="spanreel.tail.v1", alias="schema")
    trace_id: str
    span_id: str
    parent_span_id: str | None
    name: str
    kind: str
    started_at: str | None
    duration: float | None
    open: bool
    status: Literal["ok", "error"]
    error: str | None


class DecisionMade(Frozen):
    """`spanreel approve --json` and `spanreel reject --json`; `actor`: a name or an object."""

    schema_: Literal["spanreel.decision.v1"] = Field(default="spanreel.decision.v1", alias="schema")
    run_id: str
    approval_id: str
    occurrence: int
    status: Literal["pending", "approved", "rejected"]
    approved: bool
    actor: Any = None
    reason: str | None = None
    decided_at: str | None = None


class ImportedFile(Frozen):
    """One file that was read: how many spans it holds, and how many of those the store had not."""

    path: str
    spans: int
    new: int
    known: int


class Imported(Frozen):
    """`spanreel import --json`."""

    schema_: Literal["spanreel.import.v1"] = Field(default="spanreel.import.v1", alias="schema")
    store: str
    files: list[ImportedFile]


class Check(Frozen):
    """One thing that was looked at, and what to do when it is not well."""

    name: str
    state: Literal["ok", "warn", "fail"]
    found: str
    remedy: str | None = None


class Diagnosis(Frozen):
    """`spanreel doctor --json`; `healthy` is false when a check failed."""

    schema_: Literal["spanreel.doctor.v1"] = Field(default="spanreel.doctor.v1", alias="schema")
    healthy: bool
    checks: list[Check]


class Versions(Frozen):
    """`spanreel version --json`."""

    schema_: Literal["spanreel.version.v1"] = Field(default="spanreel.version.v1", alias="schema")
    spanreel: str
    python: str
    platform: str
    packages: dict[str, str]


def timeline_of(run: Replay) -> Timeline:
    """The steps of a run without what they said."""
    steps = [
        TimelineStep(
            number=step.number,
            kind=step.kind,
            name=step.name,
            agents=step.agents,
            offset=step.offset,
            duration=step.duration,
            status=step.status,
        )
        for step in run.steps
    ]
    return Timeline(run_id=run.run_id, started_at=run.started_at, duration=run.duration, steps=steps)


class Finding(Frozen):
    """What is wrong with a playbook; path: of the place in it, such as ``states.order.args``; line: of its file."""

    level: Literal["error", "warning"]
    path: str
    line: int | None = None
    message: str
    remedy: str | None = None


class Validation(Frozen):
    """`spanreel validate --json`. valid: nothing is wrong; under `strict` no warning either."""

    schema_: Literal["spanreel.validation.v1"] = Field(default="spanreel.validation.v1", alias="schema")
    target: str
    valid: bool
    strict: bool
    name: str | None = None
    hash: str | None = None
    states: int | None = None
    problems: list[Finding]


class Error(Frozen):
    """What a command prints with --json where it could not do what it was asked.

    Attributes:
        code: stays the same from version to version: the kind of error (``unknown_run``, ``refused``), ``unexpected`` for
            one that nobody foresaw.
        reason: of an error that has several causes, which one, such as ``writes_differ``.
        exit_code: of the command.
    """

    schema_: Literal["spanreel.error.v1"] = Field(default="spanreel.error.v1", alias="schema")
    code: str
    reason: str | None = None
    message: str
    remedy: str | None = None
    exit_code: int

    @classmethod
    def of(cls, error: BaseException, exit_code: int, message: str, remedy: str) -> Error:
        """What is told of an exception."""
        foreseen = isinstance(error, (SpanreelError, Signal))
        name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(error).__name__).lower()
        return cls(
            code=name if foreseen else "unexpected",
            reason=getattr(error, "reason", None) if foreseen else None,
            message=" ".join(message.split()),
            remedy=" ".join(remedy.split()) or None,
            exit_code=exit_code,
        )
