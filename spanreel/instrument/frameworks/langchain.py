"""LangChain tools and LangGraph graphs. Reads their objects by duck typing; imports them only where it builds one."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from spanreel.instrument import invocation, recorder
from spanreel.instrument.guard import guard
from spanreel.instrument.invocation import ABSENT, AGENT, WORKFLOW, Invocation
from spanreel.instrument.stepping import async_generator, generator
from spanreel.instrument.tool_call import Dispatch, Tool, acall_tool, call_tool, dispatched, listening
from spanreel.instrument.tools import declared
from spanreel.wire import attributes as names

NAME: Final = "langchain"
_UNNAMED: Final = "LangGraph"
_INJECTED: Final = ("runtime", "state", "store", "config", "run_manager", "callbacks")


def run_tool(wrapped: Callable[..., Any], tool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """`BaseTool.run`."""
    if not listening():
        return wrapped(*args, **kwargs)
    dispatch = dispatched(NAME, partial(_dispatch, tool, args, kwargs))
    body = partial(wrapped, *args, **kwargs)
    return body() if dispatch is None else call_tool(dispatch, body)


async def arun_tool(
    wrapped: Callable[..., Any], tool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`BaseTool.arun`."""
    if not listening():
        return await wrapped(*args, **kwargs)
    dispatch = dispatched(NAME, partial(_dispatch, tool, args, kwargs))
    body = partial(wrapped, *args, **kwargs)
    return await (body() if dispatch is None else acall_tool(dispatch, body))


def stream_graph(
    wrapped: Callable[..., Any], graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`Pregel.stream`."""
    return generator(wrapped, partial(_begin, wrapped, graph))(*args, **kwargs)


def astream_graph(
    wrapped: Callable[..., Any], graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """`Pregel.astream`."""
    return async_generator(wrapped, partial(_begin, wrapped, graph))(*args, **kwargs)


# tools


def _dispatch(tool: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Dispatch:
    given = args[0] if args else kwargs.get("tool_input")
    call_id = kwargs.get("tool_call_id")
    name = str(getattr(tool, "name", type(tool).__name__))
    return Dispatch(
        _tool(tool, name),
        _arguments(tool, given),
        call_id=call_id if isinstance(call_id, str) else None,
        framework=NAME,
        restored=partial(_restored, name, call_id),
        shown=_shown,
        failed=_failed,
    )


def _tool(tool: Any, name: str) -> Tool:
    """What the author said of the function behind it, whatever it is called here."""
    for function in (getattr(tool, "func", None), getattr(tool, "coroutine", None)):
        known = getattr(function, "__spanreel__", None)
        if isinstance(known, Tool):
            return Tool(name, known.safety, known.idempotency_key, known.pre, known.post, known.function)
    known = declared(name)
    return (
        known
        if known.function
        else Tool(name, function=getattr(tool, "func", None) or getattr(tool, "coroutine", None))
    )


def _arguments(tool: Any, given: Any) -> Any:
    """What the model gave; what the framework injects (state, store, runtime) is no part of a call's identity."""
    if not isinstance(given, dict):
        return given
    injected = {*_INJECTED, *(getattr(tool, "_injected_args_keys", None) or ())}
    return {key: value for key, value in given.items() if key not in injected}


def _restored(name: str, call_id: Any, value: Any) -> Any:
    """A recorded ToolMessage answers the call that is made now; a plain value becomes one, as the framework does it."""
    if not isinstance(call_id, str):
        return value
    messages = list(_tool_messages(value))
    if (
        len({message.tool_call_id for message in messages}) == 1
    ):  # with several, nobody knows which was the call's own
        for message in messages:
            message.tool_call_id = call_id
    if messages or not isinstance(value, (str, int, float, dict, list, type(None))):
        return value
    from langchain_core.messages import ToolMessage

    content = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return ToolMessage(content=content, tool_call_id=call_id, name=name)


def _tool_messages(value: Any) -> Iterator[Any]:
    """Those in a result: itself, in a list, or in what a `Command` puts into the state."""
    if hasattr(value, "tool_call_id"):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tool_messages(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tool_messages(item)
    elif hasattr(value, "goto"):
        yield from _tool_messages(value.update)


def _shown(value: Any) -> Any:
    return value.content if hasattr(value, "tool_call_id") and hasattr(value, "content") else value


def _failed(value: Any) -> str | None:
    failed = getattr(value, "status", None) == "error" and hasattr(value, "tool_call_id")
    return str(value.content) if failed else None


# graphs


class _GraphRun:
    """A graph being stepped through: what it yields is not its output, its last state is."""

    def __init__(self, started: Invocation, modes: Any) -> None:
        self.context = started.context
        self._started = started
        self._modes = modes

    def body(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return function(*args, **kwargs)

    def end(self, output: Any = None, error: BaseException | None = None) -> None:
        state: Any = ABSENT
        with guard("reading a graph's last state", self._started.span):
            found = [_state(item, self._modes) for item in (output or [])[-50:]]
            state = next((one for one in reversed(found) if one is not ABSENT), ABSENT)
        self._started.end(state if self._started.root else ABSENT, error)


def _begin(
    wrapped: Callable[..., Any], graph: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> _GraphRun | None:
    if recorder.current() is None:
        return None
    with guard("starting a graph"):
        given = inspect.signature(wrapped).bind(*args, **kwargs).arguments
        name = str(getattr(graph, "name", None) or _UNNAMED)
        operation = AGENT if "tools" in (getattr(graph, "nodes", None) or ()) else WORKFLOW
        nested = invocation.in_run()
        started = invocation.begin(
            operation, name, _session(given.get("config")), inputs=ABSENT if nested else given.get("input")
        )
        modes = given.get("stream_mode") or getattr(graph, "stream_mode", None)
        return _GraphRun(started, modes) if started else None
    return None


def _session(config: Any) -> dict[str, Any]:
    asked = config.get("configurable") if isinstance(config, dict) else None
    thread = asked.get("thread_id") if isinstance(asked, dict) else None
    return {} if thread is None else {names.CONVERSATION_ID: str(thread)}


def _state(item: Any, modes: Any) -> Any:
    """The whole state in what a graph yielded, where it is one: by mode, `(mode, data)` or `{"type", "data"}`."""
    if modes == "values":
        return item
    if isinstance(item, dict):
        return item["data"] if item.get("type") == "values" and "data" in item else ABSENT
    if isinstance(item, tuple) and len(item) >= 2 and item[-2] == "values":
        return item[-1]
    return ABSENT
