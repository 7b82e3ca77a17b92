"""What became of a replay, as one value for people and programs. It judges from what it is given; it plays nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from pydantic import Field

from spanreel.replay.divergence import DivergenceReport, about
from spanreel.replay.match import Drift, verdict_of
from spanreel.replay.recording import Effect, Recording
from spanreel.replay.timeline import Frozen

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
    """What became of a replay.

    Attributes:
        verdict: exact (byte for byte, or but for ids and order), equivalent, drifted or diverged.
        first_divergence: the first cause. consequences: calls after it that were not recorded either.
        status: completed or error, of the agent.
    """

    schema_: Literal["spanreel.verdict.v1"] = Field(default="spanreel.verdict.v1", alias="schema")
    run_id: str | None
    source_run_id: str
    verdict: Word
    effects: Effects
    first_divergence: DivergenceReport | None = None
    unconsumed: list[Unconsumed] = Field(default_factory=list[Unconsumed])
    status: Literal["completed", "error"] = "completed"
    error: RunError | None = None
    drift: list[DriftRecord] = Field(default_factory=list[DriftRecord])
    consequences: list[DivergenceReport] = Field(default_factory=list[DivergenceReport])
    denied: list[str] = Field(default_factory=list[str])
    warnings: list[str] = Field(default_factory=list[str])

    @property
    def exit_code(self) -> int:
        """0 for exact and equivalent, 4 for a divergence, 1 for a denied effect or an error that is not in the recording."""
        if self.first_divergence is not None:
            return 4
        return 1 if self.effects.denied or (self.error is not None and not self.error.recorded) else 0


def judge(
    recording: Recording,
    *,
    run_id: str | None,
    served: int,
    divergences: Sequence[DivergenceReport],
    left: Sequence[Effect],
    drift: Sequence[Drift],
    denied: Sequence[str],
    error: BaseException | None,
) -> Verdict:
    """The verdict of an execution that has ended.

    Recorded calls that nobody asked for are a divergence of their own, unless something else stopped the agent first:
    another divergence, a denied effect, or an error that the recording does not have.

    Args:
        recording: what was played.
        run_id: of the replay's own run.
        served: how many calls were answered from the recording.
        divergences: in order.
        left: recorded calls that nothing asked for.
        drift: of the calls that were answered.
        denied: what was stopped on its way out.
        error: what ended the agent, if it was no signal of ours.
    """
    ended = _run_error(error, recording)
    stopped = bool(divergences or denied or (ended and not ended.recorded))
    first = divergences[0] if divergences else None
    if first is None and left and not stopped:
        first = about(left[0], "unconsumed", recording.run_id, run_id=run_id, recording=recording)
    return Verdict(
        run_id=run_id,
        source_run_id=recording.run_id,
        verdict="diverged" if first or left else _best(drift),
        effects=Effects(recorded=served, denied=len(denied)),
        first_divergence=first,
        unconsumed=unconsumed(left),
        status="error" if ended or divergences or denied else "completed",
        error=ended,
        drift=[drift_record(one) for one in drift],
        consequences=list(divergences[1:]),
        denied=list(denied),
        warnings=list(recording.warnings),
    )


def _best(drift: Sequence[Drift]) -> Word:
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
