"""What became of an execution, as one value for people and programs. It judges from what it is given; it plays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from pydantic import Field

from spanreel.exceptions import ApprovalPending, BudgetSpent, DecisionNeeded
from spanreel.replay.books import Books
from spanreel.replay.divergence import DivergenceReport, about
from spanreel.replay.match import Drift, verdict_of
from spanreel.replay.policy import Policy
from spanreel.replay.recording import Effect, ModelEffect, Recording
from spanreel.replay.timeline import Frozen, ReplayTokens

Word: TypeAlias = Literal["exact", "equivalent", "drifted", "diverged"]


class Effects(Frozen):
    """How many model and tool calls were answered, and by whom; `denied`: stopped on their way out."""

    recorded: int = 0
    live: int = 0
    stub: int = 0
    denied: int = 0


class Unconsumed(Frozen):
    """A recorded call that the replayed agent did not make."""

    step: int
    span_id: str
    title: str


class DriftRecord(Frozen):
    """A call that was served although it was not the recorded one to the byte.

    Attributes:
        path: JSON path of the first difference; message: number of the message it lies in, from 0.
        score: of a neighbour, how much alike, 0 to 1.
    """

    tier: str
    step: int
    source_span_id: str
    path: str | None = None
    note: str = ""
    score: float | None = None
    message: int | None = None


class RunError(Frozen):
    """The exception that ended the agent; `recorded`: the recorded run ended by the same type."""

    type: str
    message: str = ""
    recorded: bool = False


class Verdict(Frozen):
    """What became of an execution.

    Attributes:
        verdict: exact (byte for byte, or but for ids and order), equivalent, drifted or diverged. Only effects that were
            wanted recorded are judged.
        first_divergence: the first cause. consequences: calls after it that were not recorded either.
        status: completed or error, of the agent; diverged; paused at a gate or in doubt; cancelled by a budget.
        stopped: what it waits for, or which budget is spent.
        spent_tokens, spent_cost: what the live model calls used, in USD; null if there were none, or if it is not known.
    """

    schema_: Literal["spanreel.verdict.v1"] = Field(default="spanreel.verdict.v1", alias="schema")
    run_id: str | None
    source_run_id: str
    verdict: Word
    effects: Effects
    first_divergence: DivergenceReport | None = None
    unconsumed: list[Unconsumed] = Field(default_factory=list[Unconsumed])
    status: Literal["completed", "error", "diverged", "paused", "cancelled"] = "completed"
    stopped: str | None = None
    spent_tokens: ReplayTokens | None = None
    spent_cost: str | None = None
    error: RunError | None = None
    drift: list[DriftRecord] = Field(default_factory=list[DriftRecord])
    consequences: list[DivergenceReport] = Field(default_factory=list[DivergenceReport])
    denied: list[str] = Field(default_factory=list[str])
    warnings: list[str] = Field(default_factory=list[str])

    @property
    def exit_code(self) -> int:
        """0: exact or equivalent; 3: paused; 4: diverged or drifted; 1: a spent budget, a denied effect, a new error."""
        if self.status == "paused":
            return 3
        if self.first_divergence is not None or self.verdict == "drifted":
            return 4
        return 1 if self.effects.denied or (self.error is not None and not self.error.recorded) else 0


def judge(
    recording: Recording,
    policy: Policy,
    books: Books,
    *,
    run_id: str | None,
    left: Sequence[Effect],
    error: BaseException | None,
    notes: Sequence[str] = (),
) -> Verdict:
    """The verdict of an execution that has ended.

    Recorded calls that nobody asked for are a divergence of their own where they were wanted, unless something else
    stopped the agent first: another divergence, a denied effect, a gate, or an error that the recording does not have.

    Args:
        recording: what could be served.
        policy: what was wanted.
        books: what was done.
        run_id: of the execution's own run.
        left: recorded calls that nothing asked for.
        error: what ended the agent, if it was no signal of ours.
        notes: further warnings.
    """
    ended = _run_error(error, recording)
    stopped = bool(books.divergences or books.signal or books.pending or (ended and not ended.recorded))
    crashed = policy.resume and ended is not None  # on its way through what had happened: no divergence
    wanted = [effect for effect in left if not crashed and _was_wanted(effect, recording, policy)]
    first = books.divergences[0] if books.divergences else None
    if first is None and wanted and not stopped:
        first = about(wanted[0], "unconsumed", recording.run_id, run_id=run_id, recording=recording)
    failed = bool(ended or books.divergences or books.denied)
    word: Word = "diverged" if first or (wanted and not books.stopped) else _worst(books.drift)
    return Verdict(
        run_id=run_id,
        source_run_id=recording.run_id,
        verdict=word,
        effects=Effects(recorded=books.recorded, live=books.live, stub=books.stub, denied=len(books.denied)),
        first_divergence=first,
        unconsumed=unconsumed(left),
        status=_stop(books) or ("diverged" if word == "diverged" else "error" if failed else "completed"),
        stopped=books.stopped,
        spent_tokens=ReplayTokens.of(books.usage) if books.live_models else None,
        spent_cost=_cost(books),
        error=ended,
        drift=[drift_record(one) for one in books.drift],
        consequences=list(books.divergences[1:]),
        denied=[str(one) for one in books.denied],
        warnings=[*recording.warnings, *books.notes, *notes],
    )


def _was_wanted(effect: Effect, recording: Recording, policy: Policy) -> bool:
    """Whether the mode wanted this recorded call to be served."""
    if policy.at is not None:
        return effect.run_id == recording.run_id and effect.number < policy.at
    return policy.models == "recorded" and (policy.tools == "recorded" or isinstance(effect, ModelEffect))


def _stop(books: Books) -> Literal["paused", "cancelled"] | None:
    if books.pending or isinstance(books.signal, (ApprovalPending, DecisionNeeded)):
        return "paused"
    return "cancelled" if isinstance(books.signal, BudgetSpent) else None


def _cost(books: Books) -> str | None:
    return None if books.cost is None or books.unpriced else format(books.cost, "f")


def _worst(drift: Sequence[Drift]) -> Word:
    """A blanked answer is the recorded one only as far as anyone can tell."""
    return verdict_of(drift)  # pyright: ignore[reportReturnType] - it names one of them


def _run_error(error: BaseException | None, recording: Recording) -> RunError | None:
    if error is None:
        return None
    name, message = type(error).__qualname__.rpartition(".")[2], str(error)
    if isinstance(error, SystemExit):
        name = f"exit code {error.code if isinstance(error.code, int) else 1}"
    known = {one.rpartition(".")[2] for one in recording.errors}
    return RunError(type=name, message=message, recorded=name in known or type(error).__qualname__ in known)


def unconsumed(effects: Iterable[Effect]) -> list[Unconsumed]:
    """Recorded calls as a verdict lists them."""
    return [Unconsumed(step=one.number, span_id=one.span_id, title=one.title) for one in effects]


def drift_record(drift: Drift) -> DriftRecord:
    """A drift as a verdict lists it."""
    return DriftRecord(
        tier=drift.tier,
        step=drift.step,
        source_span_id=drift.source_span_id,
        path=drift.path,
        note=drift.note,
        score=drift.score,
        message=drift.message,
    )
