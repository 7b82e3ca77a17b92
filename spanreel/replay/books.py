"""The books of an execution: what was served, what went live, what it cost, what was stopped. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

from spanreel.exceptions import ApprovalPending, BudgetSpent, DecisionNeeded, Divergence, EffectDenied, Signal
from spanreel.instrument.tracing import RUN_KEY
from spanreel.replay.divergence import DivergenceReport
from spanreel.replay.match import Drift
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from opentelemetry.context import Context


@dataclass(slots=True)
class Books:
    """What has happened so far.

    recorded, live, stub: effects by who answered. live_models: of the live ones, model calls. usage, cost: of those;
    unpriced: how many of them nobody could price. pending: gates that nobody has decided. notes: what users should know.
    signal: the first that was raised. context: within the execution's run, once it is known.
    """

    recorded: int = 0
    live: int = 0
    stub: int = 0
    live_models: int = 0
    usage: Usage = field(default_factory=Usage)
    cost: Decimal | None = None
    unpriced: int = 0
    divergences: list[DivergenceReport] = field(default_factory=list[DivergenceReport])
    drift: list[Drift] = field(default_factory=list[Drift])
    denied: list[EffectDenied] = field(default_factory=list[EffectDenied])
    pending: list[str] = field(default_factory=list[str])
    notes: list[str] = field(default_factory=list[str])
    signal: Signal | None = None
    context: Context | None = None

    @property
    def run_id(self) -> str | None:
        """The execution's own run."""
        run_id = self.context.get(RUN_KEY) if self.context is not None else None
        return run_id if isinstance(run_id, str) else None

    def spend(self, cost: str) -> None:
        """A live call cost this many US dollars."""
        self.cost = (self.cost or Decimal(0)) + Decimal(cost)

    def latch(self, signal: Signal) -> None:
        """Keep the first signal, even where the agent swallows it."""
        self.signal = self.signal or signal

    @property
    def stopped(self) -> str | None:
        """What stopped the execution although nothing was wrong: a budget, a gate, a decision that is needed."""
        if self.signal is None and self.pending:
            return f"the run waits for a decision about {self.pending[0]}"
        stopping = isinstance(self.signal, (BudgetSpent, DecisionNeeded, ApprovalPending))
        return str(self.signal) if stopping else None

    def diverged(self, report: DivergenceReport) -> Divergence:
        """Put a divergence into the books; raise what this returns."""
        error = Divergence(report.text(), report.as_dict())
        self.divergences.append(report)
        self.latch(error)
        return error
