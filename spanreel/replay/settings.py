"""From what somebody wants to be different to the `Policy` of an execution: one rule for the command line and for Python.

What comes before the first difference is answered from the recording; from there on models are live. A difference in
every call begins at the first one, a difference in single steps at the earliest of them, a fork where it says.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.replay.policy import Budget, Overrides, Policy, budget_of, policy_of

EVERYWHERE: Final = "from the first call on"


def policy_for(
    overrides: Overrides | None = None,
    *,
    at: int | None = None,
    live: bool = False,
    stub: bool = False,
    allow_tools: Collection[str] = (),
    budget: Budget | None = None,
    on_miss: str = "raise",
    match: str = "structural",
    **others: Any,
) -> Policy:
    """Who answers which call.

    Args:
        overrides: what is different.
        at: fork: recorded before this step, then live.
        live: models are live from the first call on, whether anything is different or not.
        stub: a dry run: models and tools are stubs, but for tools that are allowed.
        allow_tools: names of tools whose body may run.
        budget: where it stops going live.
        on_miss: what becomes of a call that nothing recorded answers: "raise", "live" or "stub".
        match: a key of `match.MATCH`.
        others: further fields of `Policy`.

    Raises:
        SpanreelError: they contradict each other.
    """
    overrides = overrides or Overrides()
    _refuse(overrides, at, live, stub)
    models = "stub" if stub else "live" if live and at is None else "recorded"
    tools = "stub" if stub else "recorded"
    policy = policy_of(models, tools, match, at, overrides, allow_tools, budget, on_miss)
    return replace(policy, **others)


def begins(policy: Policy) -> str | None:
    """From where on models are live, in words; None: nowhere."""
    if policy.at is not None:
        return f"from step {policy.at} on"
    return EVERYWHERE if policy.models == "live" else None


def _refuse(overrides: Overrides, at: int | None, live: bool, stub: bool) -> None:
    steps = sorted({*overrides.steps, *overrides.responses, *overrides.requests})
    for number in [*steps, *([] if at is None else [at])]:
        if number < 1:
            raise SpanreelError(
                f"there is no step {number}", "steps are numbered from 1: see `spanreel show`"
            )
    if stub and (live or at is not None or overrides):
        raise SpanreelError(
            "a dry run asks no model, so there is nothing that could be different in what it is asked",
            "leave --stub out, or the rest",
        )
    if at is not None and steps and steps[0] < at:
        raise SpanreelError(
            f"step {steps[0]} is to be different, but is answered from the recording before step {at}",
            f"fork at step {steps[0]}",
        )
    both = sorted(overrides.responses.keys() & {*overrides.requests, *overrides.steps})
    if both:
        raise SpanreelError(
            f"step {both[0]} is given its answer, so nobody would be asked what is set for it",
            "give either the answer or the request",
        )


def limited(cost: str | None, calls: int | None, seconds: float | None) -> Budget | None:
    """A budget from its limits as text and numbers; None for none.

    Raises:
        SpanreelError: a limit that is no number, or below 0.
    """
    asked = {"max_cost": cost, "max_calls": calls, "max_seconds": seconds}
    given = {name: value for name, value in asked.items() if value is not None}
    for name, value in given.items():
        if not _is_limit(value):
            raise SpanreelError(f"{name} = {value} is no limit", "give a number of at least 0")
    return budget_of(given) if given else None


def _is_limit(value: Any) -> bool:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return False
    return math.isfinite(number) and number >= 0
