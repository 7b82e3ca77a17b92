"""LOUD: is a change a regression or noise? One recorded call asked K times as it was and K times with the change.

Old and new are asked in turns, so that a provider that drifts meanwhile drifts for both. Whether the answers differ by
more than each group differs in itself is `spread`'s to say. All calls are recorded as one run.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from pydantic import Field

from spanreel.exceptions import BudgetSpent, NotReplayable, SpanreelError
from spanreel.replay.asked import Asked
from spanreel.replay.asking import Asking, Given
from spanreel.replay.calls import RecordedCall
from spanreel.replay.policy import Budget, Overrides
from spanreel.replay.resend import Source, asking, check, prepared, source_of, spent_in
from spanreel.replay.resent import AnswerFacts, Spent, compared, given_facts, recorded_facts, said_of
from spanreel.replay.spread import ALPHA, Said, Spread, answers_needed, distance, spread
from spanreel.replay.timeline import Frozen, Replay

LEAST = 2


class Sample(Frozen):
    """One answer: of which setting, in which turn, and how far it is from the recorded one, 0 to 1."""

    setting: Literal["old", "new"]
    turn: int
    span_id: str | None = None
    answer: AnswerFacts
    from_recorded: float


class Sampled(Frozen):
    """Whether a change of one step is outside the provider's own spread.

    Attributes:
        run_id: the run that the answers are recorded as.
        step: the step that was asked; found: how it was chosen.
        asked: how many answers of each setting were wanted; failed: how many of all did not come.
        spread: the verdict, the statistic, and what it assumes.
        old_from_recorded: mean distance of the old setting's answers from the recorded one: if it is far from what they
            are from each other, the provider is not what it was when the run was recorded.
        stopped: which budget was spent.
    """

    schema_: Literal["spanreel.samples.v1"] = Field(default="spanreel.samples.v1", alias="schema")
    run_id: str | None
    source_run_id: str
    step: int
    found: str
    asked: int
    failed: int = 0
    spread: Spread
    old_from_recorded: float | None = None
    recorded: AnswerFacts
    samples: list[Sample] = Field(default_factory=list[Sample])
    notes: list[str] = Field(default_factory=list[str])
    stopped: str | None = None
    spent: Spent | None = None

    @property
    def exit_code(self) -> int:
        """0 within the spread; 4 outside; 1 where it cannot be told."""
        return {"within the spread": 0, "outside the spread": 4}.get(self.spread.verdict, 1)


def sample(
    run: str | os.PathLike[str] | Replay,
    count: int,
    *,
    overrides: Overrides | None = None,
    step: int | None = None,
    against: str | os.PathLike[str] | Replay | None = None,
    store: str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    alpha: float = ALPHA,
    on_sample: Callable[[Sample], None] | None = None,
) -> Sampled:
    """Ask one recorded call `count` times as it was and `count` times with the overrides.

    Args:
        run: its name in the store, the path of a file of spans (or `file#run`), or a `Replay`.
        count: answers of each setting, at least 2; fewer than `spread.answers_needed()` can tell of no change.
        overrides: the new setting.
        step: which call; default: the diverging one.
        against: a run of the new setting: the diverging step is the first model call at or before its first difference
            from `run`. Without it each call is asked once with the overrides until one is answered otherwise.
        store: where the run is, and where the calls are recorded; default: the project's.
        budget: of all calls together.
        alpha: how often chance alone may be called a change.
        on_sample: told of each answer as it comes.

    Raises:
        UnknownRun, AmbiguousRun, StoreError, BadInput: there is no such run, store or file.
        NotReplayable: the step cannot be asked again, or nothing diverges.
        SpanreelError: no change is named, fewer than two answers are asked for, no key, no place.
    """
    overrides, budget = overrides or Overrides(), budget or Budget()
    if count < LEAST:
        raise SpanreelError(
            f"{count} answers of each setting have no spread",
            f"ask for {answers_needed(alpha)}: --samples {answers_needed(alpha)}",
        )
    if not (overrides.every or overrides.steps or overrides.requests or overrides.messages):
        raise SpanreelError(
            "nothing is to be different, so there is no change to judge",
            "name one: --set model=…, or --set temperature=0",
        )
    source = source_of(run, store)
    chosen, found = (step, "as asked for") if step is not None else _against(source, against, store)
    both = None if chosen is None else _both(source, chosen, overrides)
    taken: list[Sample] = []
    stopped: str | None = None
    with asking(source, overrides, budget, store) as under_way:
        try:
            if both is None:
                chosen = _differing(source, under_way, overrides)
                found = "the first call that was answered otherwise when asked once; that answer is not among the samples"
                both = _both(source, chosen, overrides)
            old, new = both
            routers = under_way.router(Overrides()), under_way.router(overrides)
            for turn in range(1, count + 1):
                for setting, one, router in (("old", old, routers[0]), ("new", new, routers[1])):
                    given = under_way.ask(one, router)
                    taken.append(_sample("old" if setting == "old" else "new", turn, one.call, given))
                    if on_sample is not None:
                        on_sample(taken[-1])
        except BudgetSpent as spent:
            stopped = str(spent)
            if chosen is None:
                raise NotReplayable(
                    f"no call was answered otherwise before the budget was spent: {stopped}",
                    "name one: --step N",
                ) from None
    call = source.model_calls(chosen)[0]
    return _judged(source, call, found, count, taken, under_way, alpha, stopped)


def _against(
    source: Source, against: str | os.PathLike[str] | Replay | None, store: str | os.PathLike[str] | None
) -> tuple[int | None, str]:
    """The step that diverges from another run; None where there is none to compare with.

    Raises:
        NotReplayable: the runs do not differ, or no model call is at the root of it.
    """
    if against is None:
        return None, ""
    from spanreel.replay.build import build
    from spanreel.replay.compare import compare

    other = source_of(against, store)
    first = compare(build(source.run, source.spans), build(other.run, other.spans)).first_divergence
    if first is None or (first.a_step is None and first.b_step is None):
        raise NotReplayable(
            f"run {other.run.run_id} does not differ from {source.run.run_id}", "name a step: --step N"
        )
    # up to an added step both have the same ones
    at = first.a_step if first.a_step is not None else max(1, (first.b_step or 1) - 1)
    before = [call.number for call in source.model_calls(None) if call.number <= at]
    if not before:
        raise NotReplayable(
            f"no model call comes before step {at}, where the runs differ", "name a step: --step N"
        )
    return before[
        -1
    ], f"the model call at or before step {at}, the first difference from run {other.run.run_id}"


def _differing(source: Source, under_way: Asking, overrides: Overrides) -> int:
    """The first call that is answered otherwise with the overrides.

    Raises:
        NotReplayable: each is answered as it was.
        BudgetSpent: before that is known.
    """
    ready, _ = prepared(source, None, overrides)
    check(source, overrides, ready)
    router = under_way.router(overrides)
    for one in ready:
        answered = compared(one, under_way.ask(one, router))
        if answered.verdict == "error":
            raise NotReplayable(
                f"step {one.call.number} failed: {answered.given.error}", "name a step: --step N"
            )
        if answered.verdict != "same":
            return one.call.number
    raise NotReplayable(
        f"every call of run {source.run.run_id} is answered as it was: there is no diverging step",
        "name one: --step N",
    )


def _both(source: Source, step: int, overrides: Overrides) -> tuple[Asked, Asked]:
    """The request of the old setting and the one to be changed, both known to be sendable."""
    (old,), _ = prepared(source, step, Overrides())
    (new,), _ = prepared(source, step, overrides)
    check(source, Overrides(), [old])
    check(source, overrides, [new])
    return old, new


def _sample(setting: Literal["old", "new"], turn: int, call: RecordedCall, given: Given) -> Sample:
    return Sample(
        setting=setting,
        turn=turn,
        span_id=given.span_id,
        answer=given_facts(given),
        from_recorded=distance(call.said, said_of(given)),
    )


def _said(answer: AnswerFacts) -> Said:
    return Said(answer.text, tuple((one.name, one.arguments) for one in answer.tool_calls), answer.error)


def _judged(
    source: Source, call: RecordedCall, found: str, count: int, taken: list[Sample], under_way: Asking, alpha: float, stopped: str | None
) -> Sampled:  # fmt: skip
    said = {
        setting: [_said(one.answer) for one in taken if one.setting == setting and one.answer.error is None]
        for setting in ("old", "new")
    }
    near = [one.from_recorded for one in taken if one.setting == "old" and one.answer.error is None]
    failed = sum(one.answer.error is not None for one in taken)
    notes = [f"{failed} of {len(taken)} calls failed and are left out of the comparison"] if failed else []
    return Sampled(
        run_id=under_way.run_id,
        source_run_id=source.run.run_id,
        step=call.number,
        found=found,
        asked=count,
        failed=failed,
        spread=spread(said["old"], said["new"], alpha),
        old_from_recorded=sum(near) / len(near) if near else None,
        recorded=recorded_facts(call),
        samples=taken,
        notes=notes,
        stopped=stopped,
        spent=spent_in(under_way),
    )
