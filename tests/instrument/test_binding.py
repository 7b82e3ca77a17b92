"""A call's arguments by name, and the call again from them: exact for every kind of parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from spanreel.exceptions import NotReplayable
from spanreel.instrument import codec
from spanreel.instrument.binding import arguments_of, rebound


def every(a: int, /, b: int = 2, *rest: int, c: int = 3, **more: Any) -> tuple[Any, ...]:
    """Every kind of parameter."""
    return a, b, rest, c, more


def options(**arguments: Any) -> dict[str, Any]:
    """Only keywords."""
    return arguments


def defaults(a: int, b: int = 1, c: int = 2) -> tuple[int, ...]:
    """Parameters that a call may leave out."""
    return a, b, c


def helper(goal: str) -> str:
    """One parameter."""
    return goal


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "named"),
    [
        (every, (1, 2, 3, 4), {"c": 5, "d": 6}, {"a": 1, "b": 2, "rest": (3, 4), "c": 5, "d": 6}),
        (every, (1,), {"d": {"e": 6}}, {"a": 1, "d": {"e": 6}}),
        (every, (1,), {"a": 7}, {"a": 1, "more": {"a": 7}}),
        (every, (1,), {"rest": 7, "d": 8}, {"a": 1, "more": {"rest": 7, "d": 8}}),
        (every, (1,), {"more": {"a": 7}}, {"a": 1, "more": {"more": {"a": 7}}}),
        (options, (), {"x": 1, "y": [2]}, {"x": 1, "y": [2]}),
        (options, (), {"arguments": {"x": 1}}, {"arguments": {"arguments": {"x": 1}}}),
        (options, (), {}, {}),
        (defaults, (1,), {"c": 5}, {"a": 1, "c": 5}),
        (defaults, (), {"c": 5, "a": 1}, {"a": 1, "c": 5}),
        (defaults, (1, 2, 3), {}, {"a": 1, "b": 2, "c": 3}),
    ],
)
def test_a_recorded_call_can_be_made_again(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], named: dict[str, Any]
) -> None:
    """What `**options` takes is named like any other; every value lands where it was, left-out defaults too."""
    inputs = arguments_of(function, args, kwargs)
    assert inputs == named
    again, by_name = rebound(function, codec.decode(codec.encode(inputs)))
    assert function(*again, **by_name) == function(*args, **kwargs)


@pytest.mark.parametrize(
    ("function", "inputs", "said"),
    [
        (helper, {}, "helper now also needs goal"),
        (helper, {"goal": "", "x": 1}, "helper no longer takes x"),
        (every, {"a": 1, "more": 5, "d": 1}, "every cannot be called like that any more"),
        (every, {"a": 1, "rest": 5}, "every cannot be called like that any more"),
    ],
)
def test_a_function_that_changed_is_named_with_what_it_lacks(
    function: Callable[..., Any], inputs: dict[str, Any], said: str
) -> None:
    """One clear line, whatever the recording holds."""
    with pytest.raises(NotReplayable, match=said):
        rebound(function, inputs)
