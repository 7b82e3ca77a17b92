"""LOUD: answers an agent's calls from a recording, in every thread, and keeps the books of it.

Nothing is guessed and nothing is let through: what the recording does not answer raises `Divergence`, whatever went
wrong. The first one is kept (latched) even where the agent swallows it; those after it are its consequences.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from opentelemetry import context as otel_context

from spanreel.exceptions import Divergence, EffectDenied, Signal
from spanreel.instrument import process
from spanreel.instrument.responder import (
    ApprovalRequest,
    Decision,
    ModelAnswer,
    ModelRequest,
    ToolAnswer,
    ToolRequest,
)
from spanreel.instrument.tracing import RUN_KEY
from spanreel.replay import divergence
from spanreel.replay.callsite import code_line
from spanreel.replay.divergence import DivergenceReport
from spanreel.replay.match import Consumed, Drift, Hit, Matcher
from spanreel.replay.recording import Answer, ModelEffect, ToolEffect

if TYPE_CHECKING:
    from opentelemetry.context import Context


@dataclass(slots=True)
class Books:
    """What has happened so far. signal: the first that was raised; context: within the replaying run, once it is known."""

    recorded: int = 0
    divergences: list[DivergenceReport] = field(default_factory=list[DivergenceReport])
    drift: list[Drift] = field(default_factory=list[Drift])
    denied: list[EffectDenied] = field(default_factory=list[EffectDenied])
    signal: Signal | None = None
    context: Context | None = None

    @property
    def run_id(self) -> str | None:
        """The replaying run."""
        run_id = self.context.get(RUN_KEY) if self.context is not None else None
        return run_id if isinstance(run_id, str) else None


class RecordedResponder:
    """A responder that answers from a recording.

    Args:
        matcher: decides which recorded call answers.
    """

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher
        self.consumed = Consumed()
        self.books = Books()
        self._lock = threading.RLock()

    @property
    def source_run_id(self) -> str:
        """The run whose recording is played."""
        return self.matcher.recording.run_id

    def model(self, request: ModelRequest) -> ModelAnswer | None:
        """The recorded answer.

        Raises:
            Divergence: nothing recorded answers.
        """
        hit = self._ask(request, lambda: self.matcher.model(request, self.consumed))
        effect, answer = hit.effect, hit.answer
        assert isinstance(effect, ModelEffect)
        assert answer is not None
        return ModelAnswer(
            status=answer.status,
            headers=answer.headers,
            chunks=answer.chunks,
            micros=answer.micros,
            error_type=answer.error_type,
            error_message=answer.error_message,
            outcome=answer.outcome,
            source_run_id=effect.run_id,
            source_span_id=answer.span_id,
            tier=hit.tier,
            at_cut=self._at_cut(effect, answer),
        )

    def tool(self, request: ToolRequest) -> ToolAnswer | None:
        """The recorded result.

        Raises:
            Divergence: nothing recorded answers, or what was recorded cannot be given back.
        """
        hit = self._ask(request, lambda: self.matcher.tool(request, self.consumed))
        effect = hit.effect
        assert isinstance(effect, ToolEffect)
        assert effect.encoded is not None
        return ToolAnswer(
            encoded=effect.encoded,
            source_run_id=effect.run_id,
            source_span_id=effect.span_id,
            tier=hit.tier,
        )

    def approval(self, request: ApprovalRequest) -> Decision | None:
        """Nobody has decided in a recording."""
        return None

    def on_denied(self, denied: EffectDenied) -> None:
        """Something tried to go out to the network and was stopped."""
        with self._lock:
            self.books.denied.append(denied)
            self.books.signal = self.books.signal or denied

    def diverged(self, report: DivergenceReport) -> Divergence:
        """Put a divergence into the books; raise what this returns."""
        error = Divergence(report.text(), report.as_dict())
        with self._lock:
            self.books.divergences.append(report)
            self.books.signal = self.books.signal or error
        return error

    def _ask(self, request: ModelRequest | ToolRequest, match: Callable[[], Hit | divergence.Miss]) -> Hit:
        try:
            with self._lock:
                self._note_run()
                found = match()
                if isinstance(found, Hit):
                    self._note(found)
                    return found
                report = divergence.report(
                    self.matcher, self.consumed, request, found, code_line(), self.books.run_id
                )
        except (
            Exception
        ) as error:  # an error of ours must not let the call through to the network, or to the tool
            report = divergence.failure(request, error, self.source_run_id)
            raise self.diverged(report) from error
        raise self.diverged(report)

    def _note(self, hit: Hit) -> None:
        self.books.recorded += 1
        if hit.drift is not None:
            self.books.drift.append(hit.drift)

    def _note_run(self) -> None:
        """A call outside any run is one of the process's own, which it opens even if nothing answers it."""
        if self.books.run_id is None:
            here = otel_context.get_current()
            self.books.context = here if here.get(RUN_KEY) is not None else process.process_context()

    def _at_cut(self, effect: ModelEffect, answer: Answer) -> Callable[[], None] | None:
        if answer.whole:
            return None

        def more_than_recorded() -> None:
            raise self.diverged(
                divergence.about(effect, "cut", self.source_run_id, code_line(), self.books.run_id)
            )

        return more_than_recorded
