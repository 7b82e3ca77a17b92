"""The messages of a request body of any dialect: parts that every renderer knows, each other one with its own block.

Built on the dialects' `read`, element by element, so that an element's own form is at hand where `read` keeps none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import lenient, recognise
from spanreel.wire.lenient import mapping
from spanreel.wire.rendering import seals
from spanreel.wire.rendering.neutral import STANDARD

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.wire.records import Message, Part

_RESPONSES_ITEMS: Final = frozenset({"message", "function_call", "function_call_output", "reasoning"})
_MESSAGE_KEYS: Final = frozenset({"role", "parts", "finish_reason"})


def messages_of(dialect: str, body: Mapping[str, Any]) -> list[Message]:
    """The conversation of a request body; instructions that stand outside it are not among them."""
    key = {"openai.responses": "input", "gemini": "contents"}.get(dialect, "messages")
    elements = body.get(key)
    if not isinstance(elements, list):
        elements = [] if elements is None else [elements]
    if dialect == "openai.responses":
        return _responses(elements)
    return [message for element in elements for message in _element(dialect, key, element)]


def system_of(dialect: str, body: Mapping[str, Any]) -> list[Part]:
    """The instructions that stand outside the conversation."""
    said = _read(dialect, {key: value for key, value in body.items() if key in _SYSTEMS}).content.system
    return [_part(dialect, one, one) for one in said or ()]


_SYSTEMS: Final = ("system", "instructions", "systemInstruction", "system_instruction")


def _read(dialect: str, body: Mapping[str, Any]) -> Any:
    known = recognise.by_name(dialect)
    assert known is not None
    return known.read(body, None)


def _element(dialect: str, key: str, element: Any) -> list[Message]:
    """One message of chat, Anthropic or Gemini, whose blocks are its parts one to one."""
    found = _read(dialect, {key: [element]}).content.input or []
    for message in found:
        blocks = _blocks(dialect, element)
        parts = message["parts"]
        if len(blocks) != len(parts):
            blocks = parts  # chat: what is no block is a field of the message, and says itself what it is
        message["parts"] = [_part(dialect, one, block) for one, block in zip(parts, blocks, strict=True)]
        if mapping(element).get("role") == "developer":
            message["wire_role"] = "developer"
    return [split for message in found for split in _by_role(message)]


def _blocks(dialect: str, element: Any) -> list[Any]:
    content = mapping(element).get("parts" if dialect == "gemini" else "content")
    return [content] if dialect == "gemini" and isinstance(content, dict) else lenient.items(content)


def _by_role(message: Message) -> list[Message]:
    """Tool results and what a user says beside them, in one message on some wires, are messages of their own."""
    results = [part for part in message["parts"] if part["type"] == "tool_call_response"]
    if message["role"] in ("user", "tool") and results:
        others = [part for part in message["parts"] if part["type"] != "tool_call_response"]
        rest: Message = {key: value for key, value in message.items() if key not in _MESSAGE_KEYS}
        tool = {**message, "role": "tool", "parts": results}
        return [tool, {"role": "user", "parts": others, **rest}] if others else [tool]
    return [message]


def _responses(items: list[Any]) -> list[Message]:
    """The items of a Responses input; what the assistant did in one turn is one message."""
    found: list[Message] = []
    for item in items:
        for said in _read("openai.responses", {"input": [item]}).content.input or ():
            kind = mapping(item).get("type", "message")
            standard = isinstance(item, str) or (isinstance(kind, str) and kind in _RESPONSES_ITEMS)
            message: Message = {
                **said,
                "parts": [
                    _part("openai.responses", one, one) if standard else _native(one, item)
                    for one in said["parts"]
                ],
            }
            if (found and found[-1]["role"] == message["role"] == "assistant") or (
                found and found[-1]["role"] == message["role"] == "tool"
            ):
                found[-1]["parts"] += message["parts"]
            else:
                found.append(message)
    return found


def _native(part: Part, block: Any) -> Part:
    return {"type": str(part.get("type")), "native": block}


def _part(dialect: str, part: Part, block: Any) -> Part:
    """The part, with its block where no other dialect knows its type; a seal of ours is opened."""
    if part["type"] not in STANDARD:
        return _native(part, block)
    if part["type"] == "reasoning":
        return seals.opened(part)
    if part["type"] == "tool_call_response" and isinstance(part["response"], list):
        return {**part, **_several(dialect, part["response"])}
    if dialect == "gemini" and part["type"] == "tool_call_response" and isinstance(part.get("parts"), list):
        media = [_part(dialect, one, one) for one in _inner("gemini", part["parts"])]
        words = part["response"]
        said = [] if words in (None, "", {}) else [{"type": "text", "content": words.json_text(words)}]
        rest = {key: value for key, value in part.items() if key != "parts"}
        return {**rest, "content": [*said, *media]}
    if dialect == "gemini" and part["type"] == "tool_call_response" and part.get("wrapper") == "error":
        return {**{key: value for key, value in part.items() if key != "wrapper"}, "is_error": True}
    return part


def _several(dialect: str, blocks: list[Any]) -> dict[str, Any]:
    """A tool's result of several blocks (words and pictures) as parts; a list that is none is a value like any other."""
    if not blocks or not all(
        isinstance(block, dict) and isinstance(block.get("type"), str) for block in blocks
    ):
        return {}
    parts = _inner(dialect, blocks)
    return {"content": [_part(dialect, one, block) for one, block in zip(parts, blocks, strict=True)]}


def _inner(dialect: str, blocks: list[Any]) -> list[Part]:
    bodies: dict[str, dict[str, Any]] = {
        "openai.responses": {"input": [{"role": "user", "content": blocks}]},
        "gemini": {"contents": [{"role": "user", "parts": blocks}]},
    }
    asked = bodies.get(dialect, {"messages": [{"role": "user", "content": blocks}]})
    found = _read(dialect, asked).content.input or [{"parts": []}]
    return list(found[0]["parts"])


def with_ids(messages: list[Message], prefix: str = "call") -> list[Message]:
    """The conversation with an id on every tool call and on the result that belongs to it.

    A call that has none is given one by its place, after the prefix; a result that has none belongs to the oldest call without a result,
    of the same name where the result says one.
    """
    made: list[Message] = []
    waiting: list[tuple[str, str]] = []
    count = 0
    for message in messages:
        parts: list[Part] = []
        for part in message["parts"]:
            if part["type"] == "tool_call":
                count += 1
                identity = part.get("id") or f"{prefix}_{count}"
                waiting.append((identity, part.get("name", "")))
                parts.append({**part, "id": identity})
            elif part["type"] == "tool_call_response":
                parts.append({**part, "id": _answered(waiting, part, count)})
            else:
                parts.append(part)
        made.append({**message, "parts": parts})
    return made


def _answered(waiting: list[tuple[str, str]], part: Part, count: int) -> str:
    identity, name = part.get("id"), part.get("name")
    fitting = [
        one
        for one in waiting
        if (one[0] == identity if identity else not isinstance(name, str) or one[1] == name)
    ] or ([] if identity else waiting)
    if not fitting:
        return identity or f"call_{count}"
    waiting.remove(fitting[0])
    return fitting[0][0]


def answered_parts(message: Message, response_id: str | None) -> list[Part]:
    """The parts of an answer; a call without an id is given one that no other answer's calls have."""
    return with_ids([message], f"call_{response_id}")[0]["parts"]


def names_of_calls(messages: list[Message]) -> dict[str, str]:
    """The tool's name of every call, by the call's id."""
    return {
        part["id"]: part["name"]
        for message in messages
        for part in message["parts"]
        if part["type"] == "tool_call" and part.get("id")
    }
