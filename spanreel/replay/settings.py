"""From what somebody wants to be different to the `Policy` of an execution: one rule for the command line and for Python.

What comes before the first difference is answered from the recording; from there on models are live. A difference in
every call begins at the first one, a difference in single steps at the earliest of them, a fork where it says.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.replay.policy import ON_MISS, Budget, OnMiss, Overrides, Policy, Source

EVERYWHERE: Final = "from its first call on"


def policy_for(
    overrides: Overrides | None = None,
    *,
    at: int | None = None,
    live: bool = False,
    stub: bool = False,
    allow_tools: Collection[str] = (),
    budget: Budget | None = None,
    on_miss: str | None = None,
    **others: Any,
) -> Policy:
    """Who answers which call.

    Args:
        overrides: what is different.
        at: fork: recorded before this step, then live.
        live: models are live from the first call on, whether anything is different or not.
        stub: a dry run: models are stubs, tools too where nothing recorded answers.
        allow_tools: names of tools whose body may run.
        budget: where it stops going live.
        on_miss: "raise", "live" or "stub"; default: "raise", in a dry run "stub".
        others: further fields of `Policy`.

    Raises:
        SpanreelError: they contradict each other.
    """
    overrides = overrides or Overrides()
    steps = sorted({*overrides.steps, *overrides.responses, *overrides.requests})
    _refuse(overrides, steps, at, live, stub)
    if on_miss is not None and on_miss not in ON_MISS:
        raise SpanreelError(f"on_miss={on_miss!r} is not known", f"use one of {', '.join(ON_MISS)}")
    everywhere = at is None and (live or bool(overrides.every) or overrides.messages is not None)
    models: Source = "stub" if stub else "live" if everywhere else "recorded"
    missed: OnMiss = on_miss or ("stub" if stub else "raise")  # pyright: ignore[reportAssignmentType] - checked above
    return Policy(
        models=models,
        at=at if at is not None or everywhere or stub or not steps else steps[0],
        overrides=overrides,
        allow_tools=frozenset(allow_tools),
        budget=budget or Budget(),
        on_miss=missed,
        **others,
    )


def begins(policy: Policy) -> str | None:
    """From where on models are live, in words; None: nowhere."""
    if policy.at is not None:
        return f"from step {policy.at} on"
    return EVERYWHERE if policy.models == "live" else None


def _refuse(overrides: Overrides, steps: list[int], at: int | None, live: bool, stub: bool) -> None:
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
    from spanreel.replay.policy import budget_of

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
