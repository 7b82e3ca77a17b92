"""The figures of a comparison, as rows of text: what it is, in a, in b, and b − a. Quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from spanreel.replay.report.text import cost_text, count_text, duration_text, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from spanreel.replay.compare import ReplayComparison
    from spanreel.replay.timeline import Replay

Row: TypeAlias = tuple[str, str, str, str]
CLASSES = {
    "input_tokens": "input tokens",
    "cache_read_tokens": "of them read from cache",
    "cache_write_tokens": "of them written to cache",
    "output_tokens": "output tokens",
    "reasoning_tokens": "of them reasoning",
}


def signed(number: float | None, said: Callable[[float], str]) -> str:
    """A difference with its sign; a dash where it is not known, nothing more than 0 for none."""
    if number is None:
        return "–"
    return ("+" if number > 0 else "−" if number < 0 else "±") + said(abs(number))


def signed_cost(difference: str | None) -> str:
    """A difference in cost with its sign."""
    return signed(
        None if difference is None else float(difference), lambda _: cost_text((difference or "").lstrip("-"))
    )


def signed_count(difference: int | None) -> str:
    """A difference of counts with its sign."""
    return signed(difference, lambda number: count_text(int(number)))


def rows(found: ReplayComparison) -> Iterator[Row]:
    """Agent, status, model, steps, tokens by class, cost, time; what neither run knows is left out."""
    a, b = found.original, found.replayed
    for name, told in (("agent", _agent), ("status", _status), ("model", _model)):
        one, other = told(a), told(b)
        if one or other:
            yield name, one or "–", other or "–", "" if one == other else "differs"
    steps = len(a.steps), len(b.steps)
    yield "steps", count_text(steps[0]), count_text(steps[1]), signed_count(steps[1] - steps[0])
    for name, label in CLASSES.items():
        one, other = getattr(a.tokens, name), getattr(b.tokens, name)
        if one is not None or other is not None:
            yield label, count_text(one), count_text(other), signed_count(getattr(found.token_diff, name))
    if a.cost is not None or b.cost is not None:
        yield "cost", cost_text(a.cost), cost_text(b.cost), signed_cost(found.cost_diff)
    if a.duration is not None or b.duration is not None:
        yield (
            "time",
            duration_text(a.duration),
            duration_text(b.duration),
            signed(found.duration_diff, duration_text),
        )


def model_rows(found: ReplayComparison) -> Iterator[Row]:
    """Calls and cost of each model, where there is more than one, or its cost is known."""
    told = [
        each
        for each in found.cost_by_model
        if each.a_cost not in (None, "0") or each.b_cost not in (None, "0")
    ]
    for each in found.cost_by_model if len(found.cost_by_model) > 1 else told:
        yield (
            one_line(each.model, 60),
            f"{_calls(each.a_calls)}, {cost_text(each.a_cost)}" if each.a_calls else "–",
            f"{_calls(each.b_calls)}, {cost_text(each.b_cost)}" if each.b_calls else "–",
            signed_cost(each.cost_diff),
        )


def call_counts(found: ReplayComparison) -> str:
    """`3 the same, 2 added (1 repeated), 1 at another place`; or none."""
    calls = found.tool_calls_diff
    again = {id(call) for call in calls.repeated}
    repeated = [sum(id(call) in again for call in side) for side in (calls.added, calls.removed)]
    told = [
        (calls.common, "the same", 0),
        (len(calls.added), "added", repeated[0]),
        (len(calls.removed), "removed", repeated[1]),
        (len(calls.changed), "changed", 0),
        (len(calls.reordered), "at another place", 0),
    ]
    return (
        ", ".join(
            f"{number} {name}" + (f" ({more} repeated)" if more else "")
            for number, name, more in told
            if number
        )
        or "none"
    )


def _agent(run: Replay) -> str:
    return one_line(run.agent_name, 60)


def _status(run: Replay) -> str:
    return run.status + (f": {one_line(run.error, 80)}" if run.error else "")


def _model(run: Replay) -> str:
    return one_line(run.model, 60)


def _calls(number: int) -> str:
    return f"{number:,} call" + ("" if number == 1 else "s")
