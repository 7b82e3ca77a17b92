"""Every error spanreel raises on purpose.

SpanreelError                 a command or a call cannot do what was asked; says what is wrong and what to run next
├── UnknownRun                no run of that name in the store
├── AmbiguousRun              the prefix fits several runs
├── StoreError                the store is missing, newer, foreign or unreadable
├── BadInput                  a file, or bytes on a port, that cannot be read; names the place
├── UnknownPlaybook           no playbook of that name, version or hash in the store
├── NotReplayable             the recording lacks what a replay needs; names what
├── NotDecidable              nothing waits for this decision, or it lacks what the project asks of one
├── Undecided                 a run cannot go on before somebody decides
├── NotCompilable             runs that cannot be made into a playbook; says why, with a code
├── ContractChanged           the code is not what was recorded; names what changed
└── Refused                   a hook or a gate said no

Signal (BaseException)        meant to pass through the `except Exception` of SDKs and tool nodes
├── Divergence                a replayed agent asked for something that was not recorded
├── ApprovalPending           the run waits for a decision
├── DecisionNeeded            an effect in doubt, or changed code: somebody has to say how to go on
└── EffectDenied              an execution would have touched the outside world
    └── BudgetSpent           it would have gone beyond its budget
"""

from __future__ import annotations

from typing import Any


class SpanreelError(Exception):
    """Something asked of spanreel cannot be done.

    Args:
        message: one line saying what is wrong.
        remedy: the command, or the change, that mends it.
    """

    exit_code = 1

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.args[0]}; {self.remedy}" if self.remedy else str(self.args[0])


class UnknownRun(SpanreelError):
    """No run of that name is in the store."""

    exit_code = 2


class AmbiguousRun(SpanreelError):
    """The prefix fits several runs."""

    exit_code = 2


class StoreError(SpanreelError):
    """The store cannot be opened or written."""


class BadInput(SpanreelError):
    """Bytes from outside that cannot be read."""


class UnknownPlaybook(SpanreelError):
    """No playbook of that name, version or hash is in the store, or several are."""

    exit_code = 2


class NotReplayable(SpanreelError):
    """The recording lacks something that a replay needs."""


class NotDecidable(SpanreelError):
    """Nothing waits for this decision, or it lacks what the project asks of one."""

    exit_code = 2


class Undecided(SpanreelError):
    """A run cannot go on before somebody decides."""

    exit_code = 3


class NotCompilable(SpanreelError):
    """Runs cannot be made into a playbook.

    Attributes:
        reason: a code that stays the same, such as ``writes_differ``; see `playbooks.compiling.refusal`.
        refused: runs that were not used, by id, with why.
    """

    def __init__(self, message: str, remedy: str = "", *, reason: str = "unexplained") -> None:
        super().__init__(message, remedy)
        self.reason = reason
        self.refused: dict[str, str] = {}


class ContractChanged(SpanreelError):
    """The code of an agent or a tool is not what was recorded."""

    exit_code = 3


class Refused(SpanreelError):
    """A hook of the project, or a gate, refused what was asked."""

    exit_code = 5


class Signal(BaseException):
    """Derives from BaseException because agents, SDKs and tool nodes swallow Exception."""


class Divergence(Signal):
    """A replayed agent made a call that is not in the recording.

    Attributes:
        report: what was asked, the nearest recorded call and what differs, as a JSON object
            (`spanreel schema divergence`).
        step: number of the step that the recording has in that place; 0 if it is not known.
        kind: what is wrong with the call, such as ``unmatched`` or ``unconsumed``.
        code_line: ``file:line`` of the agent's code that made the call, or an empty string.
        nearest: the nearest recorded call and which message differs, as a JSON object; None if nothing is left.
        next: commands that go on from here.
    """

    def __init__(self, message: str, report: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.report: dict[str, Any] = report or {}
        self.step: int = self.report.get("step") or 0
        self.kind: str = self.report.get("kind") or ""
        self.code_line: str = self.report.get("code_line") or ""
        self.nearest: dict[str, Any] | None = self.report.get("nearest")
        self.next: list[str] = self.report.get("next") or []


class ApprovalPending(Signal):
    """The run is paused until somebody decides.

    Attributes:
        approval_id: which gate.
        run_id: the run that waits; None where nothing is recorded, and so nobody can decide.
        summary: what is to be decided, in words.
    """

    def __init__(
        self, message: str, approval_id: str = "", run_id: str | None = None, summary: str | None = None
    ) -> None:
        super().__init__(message)
        self.approval_id = approval_id
        self.run_id = run_id
        self.summary = summary


class EffectDenied(Signal):
    """A replay denied an effect on the outside world.

    Attributes:
        effect: what was denied, such as ``connect 127.0.0.1:443`` or ``tool refund``.
        code_line: ``file:line`` of the agent's code that caused it, or an empty string.
    """

    def __init__(self, message: str, effect: str = "", code_line: str = "") -> None:
        super().__init__(message)
        self.effect = effect
        self.code_line = code_line


class BudgetSpent(EffectDenied):
    """An execution came to the end of its budget, before the call that would have gone beyond it."""


class DecisionNeeded(Signal):
    """An execution cannot know how to go on: an effect began and did not end, or the code has changed.

    Attributes:
        effect: what is in doubt, such as ``tool refund``.
    """

    def __init__(self, message: str, effect: str = "") -> None:
        super().__init__(message)
        self.effect = effect
