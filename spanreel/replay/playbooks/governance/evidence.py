"""What became of the executions of a body: the evidence that its status is computed from.

Quiet. Read off the roots of runs, never off their steps, so that thousands of them stay quick. What counts as evidence:

* an execution that was run for itself; a replay, a re-run or a fork of it is none, for it shows nothing new;
* a shadow of a run; of several shadows of one run the newest one, and none of a run that is an execution of the body;
* a run that waits for somebody, or goes on, is not over, and one that was killed is unknown, which is no pass.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from spanreel.replay.moments import milliseconds, timestamp
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    from spanreel.collector.store.playbooks import Walked
    from spanreel.wire.grouping import Run

Mode: TypeAlias = Literal["strict", "guided", "shadow"]
Became: TypeAlias = Literal["ok", "failed", "blocked", "unknown"]
BLOCKED: Final = frozenset({"params", "approval", "tool", "budget"})
"""Guards that say something of how it was called, not of the world that it was made for."""
NOT_ANSWERED: Final = "not_answered"
"""What a shadow says where the run does not tell what the playbook needed: unknown, and no pass."""


class Executed(Frozen):
    """One execution.

    Attributes:
        at: when it began, RFC 3339 UTC.
        ok: it did what it should; None: nobody knows (it was killed).
        guard, stopped_at, reason: which guard stopped it, at which state, in its words.
        inputs: canonical JSON of its parameters.
        score: of a shadow: how much of what the agent did it proposed, 0 to 1. source: the run that was shadowed.
        model_calls: that it made; tokens: of them; cost: USD; seconds: from start to end. None: not recorded.
    """

    run_id: str
    at: str | None
    mode: Mode
    ok: bool | None
    guard: str | None = None
    stopped_at: str | None = None
    reason: str | None = None
    inputs: str | None = None
    score: float | None = None
    source: str | None = None
    model_calls: int | None = None
    tokens: int | None = None
    cost: str | None = None
    seconds: float | None = None

    @property
    def became(self) -> Became:
        """ok; failed; blocked: stopped by how it was called (see `BLOCKED`); unknown."""
        if self.ok is None:
            return "unknown"
        return "ok" if self.ok else "blocked" if self.guard in BLOCKED else "failed"

    @property
    def why(self) -> str:
        """Why it is not ok, in one line."""
        where = f" at {self.stopped_at}" if self.stopped_at else ""
        what = f"{self.guard}{where}" if self.guard else ""
        return ": ".join(part for part in (what, self.reason or "") if part) or self.became


class Evidence(Frozen):
    """Everything that counts for one body, oldest first."""

    executions: tuple[Executed, ...] = ()

    @property
    def live(self) -> tuple[Executed, ...]:
        """Executions that were no shadow."""
        return tuple(one for one in self.executions if one.mode != "shadow")

    @property
    def shadows(self) -> tuple[Executed, ...]:
        """Shadows of recorded runs."""
        return tuple(one for one in self.executions if one.mode == "shadow")

    def count(self, became: Became) -> int:
        """How many became so."""
        return sum(one.became == became for one in self.executions)

    @property
    def runs(self) -> int:
        """How many show whether it works: those that are ok and those that failed."""
        return self.count("ok") + self.count("failed")

    @property
    def distinct_inputs(self) -> int:
        """Over how many different parameters it was ok."""
        return len({one.inputs for one in self.executions if one.became == "ok" and one.inputs is not None})

    @property
    def success_ratio(self) -> float | None:
        """Of all that it was not kept from, how many were ok; unknown is not ok. None without any."""
        over = self.runs + self.count("unknown")
        return self.count("ok") / over if over else None

    @property
    def divergence(self) -> float | None:
        """How much of what agents did the shadows did not propose, on average; None without a scored one."""
        scores = [one.score for one in self.shadows if one.score is not None]
        return 1 - sum(scores) / len(scores) if scores else None

    def after(self, at: str | None) -> Evidence:
        """What began after a moment."""
        return Evidence(executions=tuple(one for one in self.executions if (one.at or "") > (at or "")))


def evidence(executions: Iterable[tuple[Walked, Run]]) -> dict[str, Evidence]:
    """The evidence of each body, by hash.

    Args:
        executions: spans of executions with their runs, oldest first.
    """
    by_hash: dict[str, list[tuple[Walked, Run]]] = {}
    for walked, run in executions:
        by_hash.setdefault(walked.hash, []).append((walked, run))
    return {body_hash: _of_one(found) for body_hash, found in by_hash.items()}


def _of_one(found: list[tuple[Walked, Run]]) -> Evidence:
    own = {run.run_id for _, run in found}
    kept: dict[str, Executed] = {}
    for walked, run in found:
        shadow = walked.facts.get("mode") == "shadow"
        source = run.source_run_id
        if source is not None and (not shadow or source in own):
            continue
        made = _executed(walked, run)
        if made is not None:
            key = f"shadow of {source}" if shadow and source else f"{walked.trace_id}:{walked.span_id}"
            kept.pop(key, None)  # of shadows of one run the newest one counts, in its own place
            kept[key] = made
    return Evidence(executions=tuple(kept.values()))


def _executed(walked: Walked, run: Run) -> Executed | None:
    facts = walked.facts
    root = walked.span_id == run.root.span_id or any(one.span_id == walked.span_id for one in run.segments)
    if (run.status if root else None) == "paused" or run.status == "cancelled":
        return None
    mode: Any = facts.get("mode")
    if mode not in ("strict", "guided", "shadow"):
        return None
    calls = _count(facts.get("model_calls"))
    if calls is None and root:
        calls = run.model_calls
    end = run.ended_ns if root and not run.open else walked.end_ns
    took = milliseconds(walked.start_ns, end or None)
    return Executed.made(
        run_id=run.run_id,
        at=timestamp(walked.start_ns),
        mode=mode,
        ok=_ok(walked, run, root),
        guard=_text(facts.get("guard")),
        stopped_at=_text(facts.get("stopped_at")),
        reason=_text(facts.get("reason")) or (run.error if root else None),
        inputs=_text(facts.get("params")),
        score=_score(facts.get("score")),
        source=run.source_run_id if mode == "shadow" else None,
        model_calls=calls,
        tokens=_tokens(run, calls, root),
        cost=_cost(run, calls, root),
        seconds=None if took is None else took / 1000,
    )


def _ok(walked: Walked, run: Run, root: bool) -> bool | None:
    facts = walked.facts
    if facts.get("guard") == NOT_ANSWERED:
        return None
    if facts.get("guard") or facts.get("success") is False:
        return False
    if not walked.end_ns or (root and run.status == "incomplete"):
        return None
    if walked.failed or (root and run.status != "completed"):
        return False
    return not (facts.get("mode") == "shadow" and _diverged(facts))


def _diverged(facts: Mapping[str, Any]) -> bool:
    return facts.get("divergence") not in (None, "", "null")


def _tokens(run: Run, calls: int | None, root: bool) -> int | None:
    if calls == 0:
        return 0
    used = (run.usage.input or 0) + (run.usage.output or 0)
    return used if root and used else None


def _cost(run: Run, calls: int | None, root: bool) -> str | None:
    if calls == 0:
        return "0"
    return run.cost if root and not run.uncosted else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _score(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return min(1.0, max(0.0, float(value)))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def mean_cost(costs: Iterable[str | None]) -> float | None:
    """The mean in USD; None where one is not known, or there is none."""
    known = list(costs)
    if not known or any(one is None for one in known):
        return None
    return float(sum((Decimal(one) for one in known if one is not None), Decimal(0)) / len(known))
