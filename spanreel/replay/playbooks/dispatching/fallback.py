"""LOUD: the real agent, called where no playbook may do a task, and its run recorded as tomorrow's evidence."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument import invocation, runs

GOAL_TAG: Final = "goal"


def name_of(function: Callable[..., Any]) -> str:
    """What an agent is called: as its decorator says, else by its function's name."""
    said = getattr(function, "__spanreel__", None)
    if isinstance(said, dict) and said.get("agent"):
        return str(said["agent"])
    return str(getattr(function, "__name__", None) or type(function).__name__)


def agent_of(
    function: Callable[..., Any], goal: str, began: Callable[[Any], None] = lambda _root: None
) -> Callable[..., Any]:
    """The agent, so that a call of it is a run with the goal as a tag; one that is inside a run is a step of that.

    Args:
        function: the agent, decorated or not.
        goal: of the task.
        began: told the root of its run, from inside.
    """
    inner = inspect.unwrap(function)
    return runs.agent(name=name_of(function), tags={GOAL_TAG: goal})(_noted(inner, began))


def _noted(inner: Callable[..., Any], began: Callable[[Any], None]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(inner):

        async def acall(*args: Any, **kwargs: Any) -> Any:
            began(invocation.current_root())
            return await inner(*args, **kwargs)

        return functools.wraps(inner)(acall)

    def call(*args: Any, **kwargs: Any) -> Any:
        began(invocation.current_root())
        return inner(*args, **kwargs)

    kept = functools.WRAPPER_ASSIGNMENTS if hasattr(inner, "__qualname__") else ("__doc__",)
    return functools.wraps(inner, assigned=kept, updated=())(call)


def arguments(function: Callable[..., Any], goal: str, inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What an agent is called with: what it names of `goal`, `inputs` and the inputs' own names.

    An agent whose only parameter has another name is given the inputs, or without any the goal.

    Raises:
        SpanreelError: it takes something else.
    """
    signature = inspect.signature(function)
    names = set(signature.parameters)
    values: Mapping[str, Any] = inputs if isinstance(inputs, Mapping) else {}
    said = {"goal": goal, "inputs": inputs}
    given = {name: value for name, value in said.items() if name in names and name not in values}
    open_ended = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.parameters.values())
    if "inputs" not in given:
        given |= {name: value for name, value in values.items() if open_ended or name in names}
    if (given or not names) and _fits(signature, (), given):
        return (), given
    for one in (inputs, goal) if inputs is not None else (goal,):
        if _fits(signature, (one,), {}):
            return (one,), {}
    raise SpanreelError(
        f"the agent {name_of(function)} cannot be called with the goal and these inputs",
        "give it parameters goal and inputs, or the names of the inputs",
    )


def _fits(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        return False
    return True
