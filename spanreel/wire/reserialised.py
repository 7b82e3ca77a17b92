"""One form for what the model said, as received and as sent back. What the user and the tools said is not touched.

An SDK, or a newer one, writes an answer into the history in its own way: nulls and empty lists left out or kept, the
content of a tool call null or empty, the arguments' JSON with other spaces, an item without its id and status, a lone
text as a text. None of it changes what the model is told. Nor does the order in which the results of parallel calls
stand, which is the order in which they came in: each names its call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

HISTORY: Final = ("messages", "input", "contents")
"""Where requests keep their messages."""

_SPEAKERS = ("assistant", "model")
_ITEMS = ("function_call", "custom_tool_call", "reasoning")
_RESULTS = ("tool_result", "function_call_output", "custom_tool_call_output")
_RESULT_IDS = ("tool_call_id", "tool_use_id", "call_id")
_TEXTS = ("text", "output_text")
_NUMBERING = frozenset({"index", "status"})  # a stream's, and an item's: completed, since it is history


def reserialised(messages: Sequence[Any], calls: dict[str, int]) -> list[Any]:
    """Messages, the model's own in one form, results of parallel calls in the order of their calls.

    Args:
        messages: some that follow each other; results that stand together must be given together. Not changed.
        calls: the place of each call so far, by its id; added to.
    """
    said: list[Any] = []
    for message in messages:
        if not isinstance(message, Mapping):
            said.append(message)
        elif _is_the_models(message):
            spoken = _spoken(message)
            _note_calls(message, calls)
            said.append(spoken)
        elif isinstance(message.get("content"), list) and calls:
            said.append({**message, "content": _in_order(message["content"], calls)})
        else:
            said.append(message)
    return _in_order(said, calls) if calls else said


def answered(value: Any) -> str | None:
    """The id of the call whose result this message, item or block is."""
    if not isinstance(value, Mapping) or not (value.get("role") == "tool" or value.get("type") in _RESULTS):
        return None
    return next((found for key in _RESULT_IDS if isinstance(found := value.get(key), str)), None)


def _is_the_models(message: Mapping[str, Any]) -> bool:
    return message.get("role") in _SPEAKERS or message.get("type") in _ITEMS


def _spoken(message: Mapping[str, Any]) -> dict[str, Any]:
    said = _without_empty(message)
    if message.get("type") in ("message", "function_call", "custom_tool_call"):
        said.pop("id", None)
        if message["type"] == "message":
            del said["type"]
    if isinstance(message.get("arguments"), str):
        said["arguments"] = _arguments(message["arguments"])
    calls = message.get("tool_calls")
    if isinstance(calls, list) and calls:
        said["tool_calls"] = [_call(call) for call in calls]
    content = message.get("content")
    if isinstance(content, list) and content:
        said["content"] = _blocks(content)
    return said


def _call(call: Any) -> Any:
    if not isinstance(call, Mapping):
        return call
    said = _without_empty(call)
    function = call.get("function")
    if isinstance(function, Mapping) and isinstance(function.get("arguments"), str):
        said["function"] = {**function, "arguments": _arguments(function["arguments"])}
    return said


def _arguments(text: str) -> Any:
    """What the text means; no text means no arguments; a text that is no JSON object stays a text."""
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, dict) else text


def _blocks(blocks: Sequence[Any]) -> Any:
    said = [_without_empty(block) if isinstance(block, Mapping) else block for block in blocks]
    only = said[0] if len(said) == 1 else None
    if isinstance(only, dict) and only.get("type") in _TEXTS and only.keys() == {"type", "text"}:
        return only["text"]
    return said


def _without_empty(value: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: item
        for key, item in value.items()
        if item is not None and item != "" and item != [] and key not in _NUMBERING
    }


def _note_calls(message: Mapping[str, Any], calls: dict[str, int]) -> None:
    made: list[Any] = [message]
    for key in ("tool_calls", "content"):
        value = message.get(key)
        made += value if isinstance(value, list) else []
    for call in made:
        for key in ("call_id", "id"):
            identity = call.get(key) if isinstance(call, Mapping) else None
            if isinstance(identity, str):
                calls.setdefault(identity, len(calls))


def _in_order(values: Sequence[Any], calls: Mapping[str, int]) -> list[Any]:
    """The values, each stretch of results of known calls in the order of the calls."""
    said: list[Any] = []
    stretch: list[tuple[int, Any]] = []
    for value in values:
        place = calls.get(answered(value) or "")
        if place is None:
            said += _sorted(stretch)
            stretch = []
            said.append(value)
        else:
            stretch.append((place, value))
    return said + _sorted(stretch)


def _sorted(stretch: list[tuple[int, Any]]) -> list[Any]:
    return [value for _, value in sorted(stretch, key=lambda pair: pair[0])]
