"""`apply_tool_calls`: make the tool calls that a model's answer asks for, and give back what the vendor's API wants to read.

Each call goes the way of every tool call, under the id that the model gave it. What the model got wrong (a name, an
argument) and what a tool raised is told to the model; a `Signal` passes.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument import codec, describing
from spanreel.instrument import tools as registry
from spanreel.instrument.binding import rebound
from spanreel.instrument.describing import DIALECTS
from spanreel.instrument.tool_call import Tool, call_id_hint
from spanreel.instrument.typed import Unfit, checked, hints_of

_ASYNC: Final = "use `await spanreel.aapply_tool_calls(...)`"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that a model asks for. arguments: an object, or the JSON text of one."""

    name: str
    arguments: Any
    call_id: str | None


@dataclass(frozen=True, slots=True)
class Came:
    """What a call came to. value: of the tool, or the text of what went wrong."""

    asked: Asked
    value: Any
    failed: bool


def apply_tool_calls(
    response: Any, dialect: str | None = None, tools: Sequence[Any] | None = None
) -> list[dict[str, Any]]:
    """Make the calls that a model's answer asks for, in order; gives the messages to append after that answer.

    Args:
        response: the SDK's response or its message, or the same as JSON.
        dialect: one of those of `tool_schemas`; default: seen from the response.
        tools: those that may be called, functions or names; default: every registered one.

    Returns:
        The results in the dialect's form; nothing where nothing is asked for.

    Raises:
        SpanreelError: the response is of no known form, or a tool is async.
    """
    word, calls = asked_for(response, dialect)
    known = _by_name(tools)
    return _messages(word, [_made(call, known) for call in calls])


async def aapply_tool_calls(
    response: Any, dialect: str | None = None, tools: Sequence[Any] | None = None
) -> list[dict[str, Any]]:
    """`apply_tool_calls`, of tools of which any may be async; one after the other."""
    word, calls = asked_for(response, dialect)
    known = _by_name(tools)
    return _messages(word, [await _amade(call, known) for call in calls])


def asked_for(response: Any, dialect: str | None = None) -> tuple[str, list[Asked]]:
    """The dialect of a model's answer, and the calls in it.

    Raises:
        SpanreelError: it is of no known form.
    """
    if dialect is not None and dialect not in DIALECTS:
        raise SpanreelError(f"there is no dialect {dialect!r}", f"use one of {', '.join(DIALECTS)}")
    said = _plain(response)
    for word, read in _READERS.items():
        if dialect in (None, word) and (found := read(said)) is not None:
            return word, found
    raise SpanreelError(
        f"no tool calls can be read from {type(response).__name__}" + (f" as {dialect}" if dialect else ""),
        "give the response of the SDK, or its message",
    )


# what an answer asks for


def _openai(said: Any) -> list[Asked] | None:
    message = said
    if isinstance(said, dict) and isinstance(said.get("choices"), list) and said["choices"]:
        message = _object(said["choices"][0]).get("message")
    if not isinstance(message, dict):
        return None
    plain = message.get("role") == "assistant" and not isinstance(message.get("content"), list)
    if "tool_calls" not in message and not plain:
        return None
    found = [
        (_object(one), _object(_object(one).get("function"))) for one in _list(message.get("tool_calls"))
    ]
    return [Asked(_name(function), function.get("arguments"), call.get("id")) for call, function in found]


def _responses(said: Any) -> list[Asked] | None:
    items = said.get("output") if isinstance(said, dict) else said
    if not isinstance(items, list) or not all(isinstance(one, dict) and "type" in one for one in items):
        return None
    calls = [one for one in items if one["type"] == "function_call"]
    return [Asked(_name(one), one.get("arguments"), one.get("call_id")) for one in calls]


def _anthropic(said: Any) -> list[Asked] | None:
    blocks = said.get("content") if isinstance(said, dict) else None
    if not isinstance(blocks, list) or not all(isinstance(one, dict) and "type" in one for one in blocks):
        return None
    return [Asked(_name(one), one.get("input"), one.get("id")) for one in blocks if one["type"] == "tool_use"]


def _bedrock(said: Any) -> list[Asked] | None:
    message: Any = said
    if isinstance(said, dict) and isinstance(said.get("output"), dict):
        message = said["output"].get("message")
    blocks = message.get("content") if isinstance(message, dict) else None
    if not isinstance(blocks, list) or any("type" in _object(one) for one in blocks):
        return None
    found = [one["toolUse"] for one in blocks if isinstance(_object(one).get("toolUse"), dict)]
    return [Asked(_name(one), one.get("input"), one.get("toolUseId")) for one in found]


def _gemini(said: Any) -> list[Asked] | None:
    content: Any = said
    if isinstance(said, dict) and isinstance(said.get("candidates"), list) and said["candidates"]:
        content = _object(said["candidates"][0]).get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return None
    found = [_object(one).get("functionCall") or _object(one).get("function_call") for one in parts]
    calls = [one for one in found if isinstance(one, dict)]
    return [Asked(_name(one), one.get("args") or {}, one.get("id")) for one in calls]


_READERS: Final[dict[str, Callable[[Any], list[Asked] | None]]] = {
    "openai": _openai, "openai-responses": _responses, "anthropic": _anthropic, "gemini": _gemini, "bedrock": _bedrock,
}  # fmt: skip


# the calls


def _by_name(tools: Sequence[Any] | None) -> dict[str, tuple[Tool, Callable[..., Any]]]:
    known = describing.chosen(tools)
    given: Sequence[Any] = known if tools is None else tools
    return {
        tool.name: (tool, one if hasattr(one, "__spanreel__") else registry.recorded(tool))
        for tool, one in zip(known, given, strict=True)
    }


def _prepared(call: Asked, known: Mapping[str, tuple[Tool, Callable[..., Any]]]) -> functools.partial[Any]:
    """The call, ready to be made.

    Raises:
        Unfit: it cannot be; says what the model got wrong.
    """
    if call.name not in known:
        raise Unfit(f"there is no tool {call.name}; there are: {', '.join(known) or 'none'}")
    tool, function = known[call.name]
    given = call.arguments
    if isinstance(given, (str, bytes)):
        try:
            given = json.loads(given or "{}")
        except (ValueError, RecursionError) as error:
            raise Unfit(f"the arguments of {call.name} are not JSON ({error})") from error
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise Unfit(f"the arguments of {call.name} are not an object")
    if tool.schema is not None:
        _fits(tool.schema, given)
        return functools.partial(function, **given)
    body = tool.function or function
    hints, wanted = hints_of(body), describing.arguments(body)
    options = next((one for one in wanted.values() if one.kind is one.VAR_KEYWORD), None)
    named = [one for one in wanted.values() if one is not options]
    values = checked(
        {one.name: hints.get(one.name, Any) for one in named},
        [one.name for one in named if one.default is one.empty],
        given,
        more=hints.get(options.name, Any) if options else None,
    )
    positional, by_name = rebound(function, values)
    return functools.partial(function, *positional, **by_name)


def _fits(schema: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """A tool of elsewhere checks its arguments itself; what is plainly wrong need not go there."""
    properties = _object(schema.get("properties"))
    missing = [f"{name} is missing" for name in schema.get("required") or () if name not in given]
    if schema.get("additionalProperties") is False:
        known = ", ".join(properties) or "none"
        missing += [f"there is no {name}; there are: {known}" for name in given if name not in properties]
    if missing:
        raise Unfit("; ".join(missing))


def _made(call: Asked, known: Mapping[str, tuple[Tool, Callable[..., Any]]]) -> Came:
    try:
        prepared = _prepared(call, known)
    except Exception as error:  # noqa: BLE001 - Unfit; or a validator of the tool's own types, on what the model sent
        return _failure(call, error)
    if inspect.iscoroutinefunction(prepared.func) or inspect.isasyncgenfunction(prepared.func):
        raise SpanreelError(f"tool {call.name} is async", _ASYNC)
    token = call_id_hint.set(call.call_id)
    try:
        value = prepared()
        return Came(call, list(value) if inspect.isgenerator(value) else value, failed=False)
    except Exception as error:  # noqa: BLE001 - the tool's own failure, which is told to the model
        return _failure(call, error)
    finally:
        call_id_hint.reset(token)


async def _amade(call: Asked, known: Mapping[str, tuple[Tool, Callable[..., Any]]]) -> Came:
    token = call_id_hint.set(call.call_id)
    try:
        value = _prepared(call, known)()
        if inspect.isasyncgen(value):
            value = [item async for item in value]
        elif inspect.isawaitable(value):
            value = await value
        return Came(call, list(value) if inspect.isgenerator(value) else value, failed=False)
    except Exception as error:  # noqa: BLE001 - the tool's own failure, which is told to the model
        return _failure(call, error)
    finally:
        call_id_hint.reset(token)


def _failure(call: Asked, error: Exception) -> Came:
    said = str(error) if isinstance(error, Unfit) else f"{type(error).__name__}: {error}".rstrip(": ")
    return Came(call, said, failed=True)


# what they came to


def _messages(dialect: str, came: list[Came]) -> list[dict[str, Any]]:
    if not came:
        return []
    if dialect == "openai":
        return [{"role": "tool", "tool_call_id": one.asked.call_id, "content": _text(one)} for one in came]
    if dialect == "openai-responses":
        return [
            {"type": "function_call_output", "call_id": one.asked.call_id, "output": _text(one)}
            for one in came
        ]
    if dialect == "gemini":
        return [{"role": "user", "parts": [{"functionResponse": _gemini_result(one)} for one in came]}]
    if dialect == "anthropic":
        return [{"role": "user", "content": [_anthropic_result(one) for one in came]}]
    return [{"role": "user", "content": [{"toolResult": _bedrock_result(one)} for one in came]}]


def _text(came: Came) -> str:
    text = came.value if isinstance(came.value, str) else codec.plain_text(came.value)
    return f"Error: {text}" if came.failed else text


def _anthropic_result(came: Came) -> dict[str, Any]:
    text = came.value if came.failed else _text(came)
    found = {"type": "tool_result", "tool_use_id": came.asked.call_id, "content": text}
    return found | ({"is_error": True} if came.failed else {})


def _bedrock_result(came: Came) -> dict[str, Any]:
    value = codec.plain(came.value)
    content = {"json": value} if isinstance(value, dict) and not came.failed else {"text": _text(came)}
    status = "error" if came.failed else "success"
    return {"toolUseId": came.asked.call_id, "content": [content], "status": status}


def _gemini_result(came: Came) -> dict[str, Any]:
    value = codec.plain(came.value)
    said = {"error": value} if came.failed else value if isinstance(value, dict) else {"output": value}
    found = {"name": came.asked.name, "response": said}
    return {"id": came.asked.call_id, **found} if came.asked.call_id else found


def _plain(response: Any) -> Any:
    """JSON of what an SDK gave; a list's items likewise."""
    if isinstance(response, (list, tuple)):
        return [_plain(one) for one in response]
    dump = getattr(response, "model_dump", None)
    return dump(mode="json", exclude_none=True) if callable(dump) else response


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(call: Mapping[str, Any]) -> str:
    return str(call.get("name") or "")
