"""openai-agents: function tools and runs. Agents used as tools are steps of the run that calls them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from opentelemetry import context as otel_context

from spanreel.instrument import invocation, recorder
from spanreel.instrument.guard import guard
from spanreel.instrument.invocation import ABSENT, AGENT, Invocation
from spanreel.instrument.tool_call import Dispatch, acall_tool, dispatched, listening
from spanreel.instrument.tools import declared
from spanreel.wire import attributes as names

NAME: Final = "openai-agents"


@dataclass(frozen=True, slots=True)
class GeneratedError:
    """A tool result that the SDK wrote itself because the tool failed; it treats it differently from the tool's own."""

    output: Any


async def invoke_tool(
    wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`_invoke_function_tool_with_metadata`."""
    if not listening():
        return await wrapped(*args, **kwargs)
    dispatch = dispatched(NAME, partial(_dispatch, wrapped, args, kwargs))
    body = partial(wrapped, *args, **kwargs)
    return await (body() if dispatch is None else acall_tool(dispatch, body))


def _dispatch(wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Dispatch:
    given = inspect.signature(wrapped).bind(*args, **kwargs).arguments
    call_id = getattr(given.get("context"), "tool_call_id", None)
    return Dispatch(
        declared(str(given["function_tool"].name)),
        given["arguments"],
        call_id=call_id if isinstance(call_id, str) else None,
        framework=NAME,
        kept=_kept,
        restored=_restored,
        shown=_output,
        failed=_failed,
    )


def _output(result: Any) -> Any:
    return result.output


def _kept(result: Any) -> Any:
    return GeneratedError(result.output) if result.is_sdk_generated_error else result.output


def _restored(value: Any) -> Any:
    from agents.tool import _FunctionToolInvocationResult  # pyright: ignore[reportAttributeAccessIssue, reportMissingImports]  # fmt: skip

    if isinstance(value, GeneratedError):
        return _FunctionToolInvocationResult(value.output, is_sdk_generated_error=True)
    return _FunctionToolInvocationResult(value)


def _failed(result: Any) -> str | None:
    return str(result.output) if result.is_sdk_generated_error else None


async def run_agent(
    wrapped: Callable[..., Any], _runner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`AgentRunner.run`."""
    started = _begin(wrapped, args, kwargs)
    if started is None:
        return await wrapped(*args, **kwargs)
    token = otel_context.attach(started.context)
    try:
        result = await wrapped(*args, **kwargs)
    except BaseException as error:
        started.end(error=error)
        raise
    finally:
        otel_context.detach(token)
    started.end(getattr(result, "final_output", ABSENT))
    return result


def run_agent_streamed(
    wrapped: Callable[..., Any], _runner: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`AgentRunner.run_streamed`: the run goes on in a task of its own, and ends with it."""
    started = _begin(wrapped, args, kwargs)
    if started is None:
        return wrapped(*args, **kwargs)
    token = otel_context.attach(started.context)
    try:
        result = wrapped(*args, **kwargs)
    except BaseException as error:
        started.end(error=error)
        raise
    finally:
        otel_context.detach(token)
    with guard("following a streamed run", started.span):
        _loop_task(result).add_done_callback(partial(_streamed, started, result))
    return result


def _loop_task(result: Any) -> Any:
    """The task that runs the agent; its attribute has been renamed before."""
    found = getattr(result, "run_loop_task", None) or getattr(result, "_run_impl_task", None)
    if found is None:
        raise AttributeError("run_loop_task")
    return found


def _streamed(started: Invocation, result: Any, task: Any) -> None:
    with guard("ending a streamed run", started.span):
        if task.cancelled():
            import asyncio

            started.end(error=asyncio.CancelledError())
            return
        error = task.exception()
        started.end(getattr(result, "final_output", ABSENT) if error is None else ABSENT, error)


def _begin(wrapped: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Invocation | None:
    if recorder.current() is None:
        return None
    with guard("starting an agent's run"):
        bound = inspect.signature(wrapped).bind(*args, **kwargs).arguments
        given = {**bound, **bound.get("kwargs", {})}
        name = str(getattr(given["starting_agent"], "name", None) or "agent")
        return invocation.begin(AGENT, name, _session(given), inputs=given.get("input", ABSENT))
    return None


def _session(given: dict[str, Any]) -> dict[str, Any]:
    session = given.get("session")
    found = given.get("conversation_id") or getattr(session, "session_id", None)
    found = found or getattr(given.get("run_config"), "group_id", None)
    return {names.CONVERSATION_ID: str(found)} if found else {}
