"""Overrides put into a request body: the words that people use, where each dialect keeps them. Values only."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.wire.lenient import objects

SYSTEM: Final = ("instructions", "system")
"""Both mean the system prompt."""

_NAMES: Final[dict[str, dict[str, str]]] = {
    "openai.chat": {"max_output_tokens": "max_tokens", "stop_sequences": "stop"},
    "openai.responses": {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"},
    "anthropic.messages": {
        "max_output_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "stop": "stop_sequences",
    },
    "gemini": {
        name: f"generationConfig.{field}"
        for name, field in {
            "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed",
            "max_tokens": "maxOutputTokens", "max_output_tokens": "maxOutputTokens",
            "max_completion_tokens": "maxOutputTokens", "stop": "stopSequences", "stop_sequences": "stopSequences",
            "frequency_penalty": "frequencyPenalty", "presence_penalty": "presencePenalty",
        }.items()
    },
}  # fmt: skip
"""Where a dialect keeps what others call by that name."""
_LISTS: Final = frozenset({"stop_sequences", "generationConfig.stopSequences"})
_MODEL_IN_PATH = re.compile(r"(?<=/models/)[^/:?#]+")


def applied(
    dialect: str, url: str, body: Mapping[str, Any], parameters: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A request with other parameters.

    Args:
        dialect: that the request speaks.
        url: where it goes; the model may be in its path.
        body: its JSON object.
        parameters: by name: `model`, `instructions` or `system`, `tools`, or a field of the body, dotted for one within
            another; None removes it.

    Returns:
        The URL and a new body.

    Raises:
        SpanreelError: a dotted name leads into something that is no object, or tools are not a list.
    """
    made = copy.deepcopy(dict(body))
    for name, value in parameters.items():
        if name == "model" and "model" not in made and _MODEL_IN_PATH.search(url):
            url = _MODEL_IN_PATH.sub(str(value), url, count=1)
        elif name in SYSTEM:
            _instruct(dialect, made, value)
        elif name == "tools":
            _equip(dialect, made, value)
        else:
            field = _field(dialect, name, made)
            _put(made, field, [value] if field in _LISTS and isinstance(value, str) else value)
    return url, made


def _field(dialect: str, name: str, body: Mapping[str, Any]) -> str:
    if (
        dialect == "openai.chat"
        and name in ("max_tokens", "max_output_tokens")
        and "max_completion_tokens" in body
    ):
        return "max_completion_tokens"
    return _NAMES.get(dialect, {}).get(name, name)


def _put(body: dict[str, Any], name: str, value: Any) -> None:
    *above, last = name.split(".")
    owner = body
    for key in above:
        if value is None and key not in owner:
            return  # there is nothing to take out
        inner = owner.setdefault(key, {})
        if not isinstance(inner, dict):
            raise SpanreelError(
                f"{name} cannot be set: {key} is no object in this request", f"set {key} as a whole"
            )
        owner = inner
    if value is None:
        owner.pop(last, None)
    else:
        owner[last] = value


def _instruct(dialect: str, body: dict[str, Any], value: Any) -> None:
    """The system prompt, wherever the dialect has it."""
    if dialect == "openai.chat":
        messages = [
            one for one in objects(body.get("messages")) if one.get("role") not in ("system", "developer")
        ]
        role = next(
            (one["role"] for one in objects(body.get("messages")) if one.get("role") == "developer"), "system"
        )
        body["messages"] = ([] if value is None else [{"role": role, "content": value}]) + messages
    elif dialect == "gemini":
        body.pop("system_instruction", None)
        _put(body, "systemInstruction", {"parts": [{"text": value}]} if isinstance(value, str) else value)
    elif dialect == "openai.responses":
        if isinstance(body.get("input"), list):
            body["input"] = [
                one for one in body["input"]
                if not (isinstance(one, dict) and one.get("role") in ("system", "developer"))
            ]  # fmt: skip
        _put(body, "instructions", value)
    else:
        _put(body, "system", value)


def _equip(dialect: str, body: dict[str, Any], tools: Any) -> None:
    """Tool definitions: as the dialect spells them, or as ``{name, description, parameters}``."""
    if tools is None:
        for name in ("tools", "tool_choice", "parallel_tool_calls", "toolConfig"):
            body.pop(name, None)
        return
    if not isinstance(tools, list) or not all(isinstance(one, dict) for one in tools):
        raise SpanreelError(
            "tools are a list of definitions", 'such as [{"name": "look_up", "parameters": {...}}]'
        )
    made = [_tool(dialect, one) for one in tools]
    body["tools"] = [{"functionDeclarations": made}] if dialect == "gemini" and _plain(tools) else made


def _plain(tools: list[dict[str, Any]]) -> bool:
    return all("name" in one for one in tools)


def _tool(dialect: str, tool: dict[str, Any]) -> dict[str, Any]:
    if "name" not in tool or ("type" in tool and tool["type"] != "function") or "input_schema" in tool:
        return tool  # spelled in the dialect's own way
    said = {key: tool[key] for key in ("name", "description", "strict") if key in tool}
    schema = tool.get("parameters", {"type": "object", "properties": {}})
    if dialect == "openai.chat":
        return {"type": "function", "function": {**said, "parameters": schema}}
    if dialect == "openai.responses":
        return {"type": "function", **said, "parameters": schema}
    said.pop("strict", None)
    return {**said, ("input_schema" if dialect == "anthropic.messages" else "parameters"): schema}


def encoded(body: Mapping[str, Any]) -> bytes:
    """A body as it is sent."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
