"""`@spanreel.tool`: what a tool's author says of it, and its calls recorded or answered."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar, overload

from spanreel.exceptions import SpanreelError
from spanreel.instrument.binding import arguments_of
from spanreel.instrument.stepping import async_generator, generator
from spanreel.instrument.tool_call import (
    WRITE,
    Dispatch,
    Key,
    Tool,
    ToolCall,
    acall_tool,
    call_tool,
    listening,
)

F = TypeVar("F", bound=Callable[..., Any])

SAFETY: Final = ("read", WRITE, "irreversible")

_declared: dict[str, Tool] = {}


def declared(name: str) -> Tool:
    """What is known of a tool by its name; a framework's tool of the same name shares its safety."""
    return _declared.get(name) or Tool(name)


def register(made: Tool) -> Callable[..., Any]:
    """A tool that is not written here, such as one of a server: registered as `@spanreel.tool` would; gives its call.

    Raises:
        SpanreelError: for a safety class that does not exist.
    """
    if made.safety not in SAFETY:
        raise SpanreelError(f"there is no safety class {made.safety!r}", f"use one of {', '.join(SAFETY)}")
    _declared[made.name] = made
    return recorded(made)


def recorded(made: Tool) -> Callable[..., Any]:
    """A tool's function as `@spanreel.tool` gives it: its calls are recorded, and answered in a replay."""
    assert made.function is not None
    wrapper: Any = functools.wraps(made.function)(_wrapper(made.function, made))
    wrapper.__spanreel__ = made
    return wrapper


def registered() -> dict[str, Tool]:
    """Every tool that was declared with `@spanreel.tool` in this process, by name."""
    return dict(_declared)


@overload
def tool(function: F, /) -> F: ...
@overload
def tool(
    *,
    name: str | None = None,
    safety: str = WRITE,
    idempotency_key: Key = None,
    pre: Sequence[Any] = (),
    post: Sequence[Any] = (),
) -> Callable[[F], F]: ...
def tool(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    safety: str = WRITE,
    idempotency_key: Key = None,
    pre: Sequence[Any] = (),
    post: Sequence[Any] = (),
) -> Any:
    """Mark a function as a tool: its calls are recorded, and in a replay answered without running it.

    Plain and async functions and generators. Under a framework's own tool decorator it adds no second call.

    Args:
        function: the tool.
        name: as the model knows it; default: the function's name.
        safety: `read` (may be run again), `write`, or `irreversible`.
        idempotency_key: the parameter that makes a second identical call harmless, or a function of the arguments.
        pre: conditions (callables or objects) that a playbook checks before a call.
        post: the same, of the result.

    Raises:
        SpanreelError: for a safety class that does not exist, or a condition that is neither callable nor an object.
    """
    if safety not in SAFETY:
        raise SpanreelError(f"there is no safety class {safety!r}", f"use one of {', '.join(SAFETY)}")
    if not all(callable(condition) or isinstance(condition, dict) for condition in (*pre, *post)):
        raise SpanreelError("a condition of a tool is a callable or a dict", 'such as pre=[{"json": "status", "equals": "open"}]')  # fmt: skip
    if function is None:
        return functools.partial(
            tool, name=name, safety=safety, idempotency_key=idempotency_key, pre=pre, post=post
        )
    return register(
        Tool(name or function.__name__, safety, idempotency_key, tuple(pre), tuple(post), function)
    )


def _wrapper(function: Callable[..., Any], known: Tool) -> Any:
    def begin(args: tuple[Any, ...], kwargs: dict[str, Any]) -> ToolCall | None:
        return ToolCall.begin(Dispatch(known, _bound(function, args, kwargs))) if listening() else None

    if inspect.isasyncgenfunction(function):
        return async_generator(function, begin)
    if inspect.isgeneratorfunction(function):
        return generator(function, begin)
    if inspect.iscoroutinefunction(function):

        async def acall(*args: Any, **kwargs: Any) -> Any:
            if not listening():
                return await function(*args, **kwargs)
            return await acall_tool(
                Dispatch(known, _bound(function, args, kwargs)), lambda: function(*args, **kwargs)
            )

        return acall

    def call(*args: Any, **kwargs: Any) -> Any:
        if not listening():
            return function(*args, **kwargs)
        return call_tool(Dispatch(known, _bound(function, args, kwargs)), lambda: function(*args, **kwargs))

    return call


def _bound(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return arguments_of(function, args, kwargs)
    except (TypeError, ValueError):  # they do not fit, or there is no signature: the tool says so itself
        return {"args": list(args), **kwargs}
