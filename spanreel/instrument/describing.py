"""`tool_schemas`: registered tools as the vendors' APIs take them, from their signatures and docstrings.

For the agent's own process: the standard library only. A schema is made when it is asked for and kept nowhere.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument import tools as registry
from spanreel.instrument.tool_call import Tool
from spanreel.instrument.typed import Schemas, hints_of, object_schema

DIALECTS: Final = ("openai", "openai-responses", "anthropic", "bedrock", "gemini")
_NAMES: Final = {
    "openai": r"[a-zA-Z0-9_-]{1,64}", "openai-responses": r"[a-zA-Z0-9_-]{1,64}", "anthropic": r"[a-zA-Z0-9_-]{1,128}",
    "bedrock": r"[a-zA-Z0-9_-]{1,64}", "gemini": r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}",
}  # fmt: skip
_SECTION: Final = re.compile(
    r"(Args|Arguments|Parameters|Returns?|Raises|Yields?|Examples?|Notes?|Attributes):\s*$"
)
_ARGUMENT: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_FIELD: Final = re.compile(r":param\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)|:(?:returns?|rtype|raises|type)\b.*:")


@dataclass(frozen=True, slots=True)
class Described:
    """A tool as a model is told of it. parameters: a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]


def tool_schemas(dialect: str = "openai", tools: Sequence[Any] | None = None) -> list[dict[str, Any]]:
    """The `tools` of a request: what a model may call, with the schema of its arguments.

    Args:
        dialect: `openai` (chat), `openai-responses`, `anthropic`, `bedrock` (for `toolConfig`), `gemini`.
        tools: functions, or names of registered tools; default: every one that `@spanreel.tool` registered.

    Raises:
        SpanreelError: there is no such dialect or tool, or the API does not take the tool's name.
    """
    if dialect not in DIALECTS:
        raise SpanreelError(f"there is no dialect {dialect!r}", f"use one of {', '.join(DIALECTS)}")
    found = [described(one) for one in chosen(tools)]
    for one in found:
        if not re.fullmatch(_NAMES[dialect], one.name):
            raise SpanreelError(
                f"{dialect} takes no tool of the name {one.name!r}", "name it with @spanreel.tool(name=...)"
            )
    return _rendered(dialect, found)


def chosen(tools: Sequence[Any] | None) -> list[Tool]:
    """The tools that are meant: all that are registered, or those.

    Raises:
        SpanreelError: one is not registered.
    """
    if tools is None:
        return list(registry.registered().values())
    found: list[Tool] = []
    for one in tools:
        known: Any = (
            registry.registered().get(one) if isinstance(one, str) else getattr(one, "__spanreel__", None)
        )
        if isinstance(known, Tool):
            found.append(known)
        elif callable(one):
            found.append(Tool(one.__name__, function=one))
        else:
            raise SpanreelError(f"no tool {one!r} is registered", "mark its function with @spanreel.tool")
    return found


def described(tool: Tool) -> Described:
    """A tool's description and the schema of its arguments."""
    if tool.schema is not None:
        return Described(tool.name, tool.description or tool.name, dict(tool.schema))
    assert tool.function is not None
    summary, said = documented(tool.function)
    return Described(tool.name, tool.description or summary or tool.name, parameters_of(tool.function, said))


def parameters_of(function: Callable[..., Any], said: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON Schema of a function's arguments by name. said: descriptions, where the types have none."""
    schemas, hints = Schemas(), hints_of(function)
    properties: dict[str, Any] = {}
    required: list[str] = []
    more: Any = False
    for name, parameter in arguments(function).items():
        schema = schemas.of(hints.get(name, Any))
        if parameter.kind is parameter.VAR_KEYWORD:
            more = schema or True
            continue
        if said and name in said and "description" not in schema:
            schema = {**schema, "description": said[name]}
        if parameter.default is parameter.empty:
            required.append(name)
        elif parameter.default is not None and _is_json(parameter.default):
            schema = {**schema, "default": parameter.default}
        properties[name] = schema
    made = object_schema(properties, required, more)
    return made | ({"$defs": schemas.defs} if schemas.defs else {})


def arguments(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The parameters that a model can give, by name; the object of a method and ``*rest`` are none."""
    found = inspect.signature(function).parameters.values()
    return {
        one.name: one
        for place, one in enumerate(found)
        if one.kind is not one.VAR_POSITIONAL and not (place == 0 and one.name in ("self", "cls"))
    }


def documented(function: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """What a docstring says of the function, and of each argument (Google's style, or ``:param name:``)."""
    summary: list[str] = []
    said: dict[str, list[str]] = {}
    section, current, margin = "", "", -1
    for line in (inspect.getdoc(function) or "").splitlines():
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if field := _FIELD.match(text):
            section, current = "fields", field[1] or ""
            said.setdefault(current, []).append(field[2] or "")
        elif indent == 0 and (head := _SECTION.match(text)):
            section, current, margin = head[1], "", -1
        elif section in ("Args", "Arguments", "Parameters"):
            margin = indent if margin < 0 and text else margin
            if indent <= margin and (argument := _ARGUMENT.match(text)):
                current = argument[1]
                said[current] = [argument[2]]
            elif current:
                said[current].append(text)
        elif section == "fields":
            said[current].append(text)
        elif not section:
            summary.append(line)
    told = {name: " ".join(" ".join(lines).split()) for name, lines in said.items() if name}
    return "\n".join(summary).strip(), {name: text for name, text in told.items() if text}


def _rendered(dialect: str, tools: list[Described]) -> list[dict[str, Any]]:
    def of(one: Described, key: str) -> dict[str, Any]:
        return {"name": one.name, "description": one.description, key: one.parameters}

    if dialect == "openai":
        return [{"type": "function", "function": of(one, "parameters")} for one in tools]
    if dialect == "openai-responses":
        return [{"type": "function", **of(one, "parameters"), "strict": False} for one in tools]
    if dialect == "anthropic":
        return [of(one, "input_schema") for one in tools]
    if dialect == "bedrock":
        return [
            {"toolSpec": {**of(one, "inputSchema"), "inputSchema": {"json": one.parameters}}} for one in tools
        ]
    return [{"functionDeclarations": [of(one, "parametersJsonSchema") for one in tools]}] if tools else []


def _is_json(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError, RecursionError):
        return False
