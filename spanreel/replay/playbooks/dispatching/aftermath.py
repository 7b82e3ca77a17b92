"""Of a playbook that stopped: may it have changed anything by then? And what a run of one did without.

Quiet. Where that cannot be told it may have, so that no agent does a second time what was done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from spanreel.replay.playbooks.result import Saved
from spanreel.replay.playbooks.shadows.scoring import READ, STRICTNESS, WRITE

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body, State
    from spanreel.replay.playbooks.result import PlaybookResult

BEFORE_CALL: Final = frozenset(
    {"params", "precondition", "approval", "tool", "binding", "budget", "assert", "max_visits", "max_steps"}
)
"""Guards that say no before the first call of a state."""


def may_have_written(body: Body, result: PlaybookResult, declared: Callable[[str], str | None]) -> bool:
    """Whether a run that was stopped may have changed something.

    Args:
        body: what was run.
        result: what it came to.
        declared: the safety class that a tool's author declared, by its name; None: there is no such tool.
    """
    failure = result.failure
    last = len(result.visited) - 1
    for place, name in enumerate(result.visited):
        state = body.states.get(name)
        if state is None:  # of a playbook inside
            return True
        stopped_here = place == last and failure is not None and failure.state == name
        before = (
            stopped_here
            and failure is not None
            and failure.guard in BEFORE_CALL
            and state.repeat is None
            and state.retry.max_attempts == 1
        )
        if _writes(state, declared) and not before:
            return True
    return False


def _writes(state: State, declared: Callable[[str], str | None]) -> bool:
    if state.python is not None or state.playbook is not None:
        return True
    if state.tool is None:
        return False
    words = [word for word in (state.safety, declared(state.tool)) if word in STRICTNESS]
    return max(words, key=STRICTNESS.index, default=WRITE) != READ


def saved(avoided: Mapping[str, Any] | None, spent: Saved) -> Saved | None:
    """What the source runs needed, less what was spent; None where it is not known what they needed.

    Args:
        avoided: model_calls, tokens, cost and seconds of the model spans of one source run.
        spent: the same of what was done instead.
    """
    if not avoided:
        return None
    calls, tokens = (
        _less(avoided.get("model_calls"), spent.model_calls),
        _less(avoided.get("tokens"), spent.tokens),
    )
    cost, seconds = _decimal(avoided.get("cost")), avoided.get("seconds")
    used = _decimal(spent.cost)
    return Saved(
        model_calls=None if calls is None else round(calls),
        tokens=None if tokens is None else round(tokens),
        cost=None if cost is None or used is None else str(cost - used),
        seconds=None
        if seconds is None or spent.seconds is None
        else round(float(seconds) - spent.seconds, 3),
    )


def _less(one: Any, other: Any) -> float | None:
    known = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other))
    return one - other if known else None


def _decimal(value: Any) -> Decimal | None:
    try:
        return None if value is None else Decimal(str(value))
    except InvalidOperation:
        return None
