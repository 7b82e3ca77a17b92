"""Any JSON in which an emitter keeps messages, as GenAI messages: whole requests, whole answers, lists, bare strings.

It recognises shapes, never emitters; what has no known shape becomes one message that holds it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import messages
from spanreel.wire.conventions import parts, vocabulary
from spanreel.wire.conventions.values import mapping, parsed, plain, text
from spanreel.wire.history import Grown, Told, told

if TYPE_CHECKING:
    from spanreel.wire.conventions.history import History
    from spanreel.wire.records import Message, Part

# Where a request or an answer keeps its messages, the most telling key first.
_CONVERSATIONS: Final = ("messages", "contents", "input", "prompt", "prompts", "new_message")
_SYSTEMS: Final = ("system", "instructions", "system_instruction", "systemInstruction", "system_prompt")
_LANGCHAIN: Final = frozenset({"human", "ai", "system", "tool", "function", "chat", "AIMessageChunk"})
_ITEMS: Final = frozenset({"function_call", "function_call_output", "reasoning", "custom_tool_call"})
_CLASSES: Final = {
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
}
_ROLE_WORDS: Final = frozenset(
    {"user", "assistant", "system", "tool", "developer", "human", "ai", "model", "function"}
)


def conversation(value: Any, history: History | None = None) -> tuple[list[Part] | None, list[Message]]:
    """The system instructions and the messages of an input, whatever holds them.

    With a history, messages are shared with what was read before, and must not be changed.
    """
    value = history.parsed(value) if history else parsed(value)
    system: list[Part] | None = None
    if isinstance(value, Mapping) and not _is_message(value):
        config = mapping(value.get("config"))
        told = next((held[key] for held in (value, config) for key in _SYSTEMS if held.get(key)), None)
        system = blocks(told) if told else None
        key = next((key for key in _CONVERSATIONS if value.get(key) is not None), None)
        if key is None and system is not None:
            return system, []
        value = value[key] if key else value
    found = _history(value) if isinstance(value, Grown) else dialogue(value)
    if system is None:
        system, found = split_system(found)
    return system, found


def _history(value: Grown) -> list[Message]:
    """As `dialogue`, of a list that may continue another one. What was told as plain messages holds no items."""
    if any(_is_item(one) for one in value.untold(_say_plain)):
        return told(value, _say_plain_item)
    if any(_is_message(one) for one in value):
        return told(value, _say_plain)
    return dialogue(list(value))


def _say_plain(found: list[Message], element: Any) -> None:
    found.append(message(plain(element)))


def _say_plain_item(found: list[Message], element: Any) -> None:
    _say_item(found, plain(element))


def answer(value: Any) -> list[Message]:
    """The messages of an output, whatever holds them."""
    value = parsed(value)
    if isinstance(value, Mapping):
        for key, read in _ANSWERS.items():
            if value.get(key) is not None and (found := read(value)):
                return found
    return dialogue(value, "assistant")


def dialogue(value: Any, role: str = "user") -> list[Message]:
    """The messages of a list, of one message, or of a bare string said by `role`."""
    value = parsed(value)
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, Mapping):
        if _is_message(value):
            return [message(value, role)]
        if isinstance(value.get("messages"), list):
            return dialogue(value["messages"], role)
        return [messages.message(role, [parts.part(value)])]
    if not isinstance(value, list):
        return [messages.message(role, [messages.generic(value)])]
    if all(isinstance(one, list) for one in value):
        pairs = [_pair(one) for one in value]
        if all(pair is not None for pair in pairs):
            return [pair for pair in pairs if pair is not None]
        value = [one for inner in value for one in inner]
    if any(_is_item(one) for one in value):
        return _items(value)
    if value and not any(_is_message(one) for one in value if isinstance(one, Mapping)):
        if all(isinstance(one, str) for one in value):
            return [messages.message(role, [messages.text(one)]) for one in value]
        return [messages.message(role, [parts.part(one) for one in value])]
    return [message(one, role) for one in value]


def message(value: Any, role: str = "user") -> Message:
    """One message of any shape."""
    if not isinstance(value, Mapping):
        return _pair(value) or messages.message(role, [messages.generic(value)])
    said, own_role = _unwrapped(value)
    speaker = vocabulary.role(said.get("role") or own_role or role)
    made_parts = _parts(said, speaker)
    finish = text(said.get("finish_reason") or said.get("finishReason") or said.get("stop_reason"))
    made = messages.message(speaker, made_parts, finish_word(finish) if finish else None)
    if name := text(said.get("name")):
        made["name"] = name
    return made


def finish_word(reason: str) -> str:
    """Our word for why the model stopped."""
    return vocabulary.finish((reason,))[0]


def blocks(value: Any) -> list[Part]:
    """The parts of a content field: a string, a list of blocks, a Gemini content."""
    value = parsed(value)
    if isinstance(value, Mapping) and isinstance(value.get("parts"), list):
        value = value["parts"]
    if isinstance(value, list):
        return [parts.part(one) for one in value]
    return [] if value is None or value == "" else [parts.part(value)]


def split_system(found: list[Message]) -> tuple[list[Part] | None, list[Message]]:
    """Leading system messages as system instructions, and what follows them: the list itself where there are none."""
    at = next((at for at, one in enumerate(found) if one["role"] != "system"), len(found))
    if not at:
        return None, found
    return ([part for one in found[:at] for part in one["parts"]] or None), found.after(at) if isinstance(
        found, Told
    ) else found[at:]


def _parts(said: Mapping[str, Any], role: str) -> list[Part]:
    held = said.get("parts")
    content = held if isinstance(held, list) else said.get("contents") or said.get("content")
    identity = (
        said.get("tool_call_id") or said.get("toolCallId") or (said.get("id") if role == "tool" else None)
    )
    made: list[Part] = []
    if (thought := said.get("reasoning_content")) and isinstance(thought, str):
        made.append(messages.reasoning(thought))
    if role == "tool" and not isinstance(held, list) and not _holds_results(content):
        return [*made, messages.tool_call_response(identity, parts.result(content))]
    if isinstance(content, str):
        made.append(messages.text(content)) if content else None
    else:
        made += blocks(content)
    if isinstance(refusal := said.get("refusal"), str) and refusal:
        made.append({"type": "refusal", "content": refusal})
    known = {one.get("id") for one in made if one["type"] == "tool_call" and one.get("id")}
    calls = said.get("tool_calls") or said.get("toolCalls")
    for one in calls if isinstance(calls, list) else ():
        called = parts.call(one)
        if called.get("id") not in known or called.get("id") is None:
            made.append(called)
    if legacy := mapping(said.get("function_call")):
        made.append(parts.call(legacy))
    return made


def _holds_results(content: Any) -> bool:
    return isinstance(content, list) and any(
        isinstance(one, Mapping)
        and (one.get("type") in ("tool_result", "tool-result") or "toolResult" in one)
        for one in content
    )


def _unwrapped(value: Mapping[str, Any]) -> tuple[Mapping[str, Any], str | None]:
    """The message inside LangChain's two ways of writing one, and OpenInference's, and who says it."""
    if isinstance(inner := value.get("message"), Mapping) and "role" not in value:
        return inner, None
    if isinstance(inner := value.get("kwargs"), Mapping) and value.get("lc"):
        path = value.get("id")
        name = str(path[-1]) if isinstance(path, list) and path else ""
        return inner, _CLASSES.get(name.removesuffix("Chunk")) or text(inner.get("type"))
    kind = value.get("type")
    if isinstance(kind, str) and kind in _LANGCHAIN:
        inner = value.get("data")
        return (inner if isinstance(inner, Mapping) else value), kind
    return value, None


def _is_message(value: Any) -> bool:
    if not isinstance(value, Mapping):
        return False
    if "role" in value or isinstance(value.get("parts"), list):
        return True
    kind = value.get("type")
    if value.get("lc") or (
        isinstance(kind, str) and kind in _LANGCHAIN and ("data" in value or "content" in value)
    ):
        return True
    return isinstance(value.get("message"), Mapping) and "finish_reason" not in value


def _pair(value: Any) -> Message | None:
    if isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2:
        role, said = value
        if isinstance(role, str) and role in _ROLE_WORDS and isinstance(said, str):
            return messages.message(vocabulary.role(role), [messages.text(said)])
    return None


def _items(items: list[Any]) -> list[Message]:
    """Items of an OpenAI conversation; what the assistant did in one turn is one message."""
    return told(items, _say_item)


def _say_item(found: list[Message], item: Any) -> None:
    if isinstance(item, Mapping) and "role" not in item and item.get("type") != "message":
        role = "tool" if str(item.get("type")).endswith("_output") else "assistant"
        made = messages.message(role, [parts.part(item)])
    else:
        made = message(item)
    if made["role"] == "assistant" and found and found[-1]["role"] == "assistant":
        found[-1]["parts"] += made["parts"]
    else:
        found.append(made)


def _is_item(value: Any) -> bool:
    kind = value.get("type") if isinstance(value, Mapping) else None
    return isinstance(kind, str) and kind in _ITEMS


def _choices(value: Mapping[str, Any]) -> list[Message]:
    found = [one for one in _list(value["choices"]) if isinstance(one, Mapping)]
    return [
        message(
            {"role": "assistant", **mapping(one.get("message")), "finish_reason": one.get("finish_reason")}
        )
        for one in found
    ]


def _generations(value: Mapping[str, Any]) -> list[Message]:
    flat = [
        one for held in _list(value["generations"]) for one in (held if isinstance(held, list) else [held])
    ]
    found: list[Message] = []
    for one in flat:
        if not isinstance(one, Mapping):
            continue
        said = one.get("message")
        made = message(said, "assistant") if said else messages.message("assistant", blocks(one.get("text")))
        if finish := text(mapping(one.get("generation_info")).get("finish_reason")):
            made["finish_reason"] = finish_word(finish)
        found.append(made)
    return found


def _candidates(value: Mapping[str, Any]) -> list[Message]:
    found = [one for one in _list(value["candidates"]) if isinstance(one, Mapping)]
    return [message for one in found for message in _gemini(one)]


def _gemini(value: Mapping[str, Any]) -> list[Message]:
    """A Gemini content with its finish reason beside it."""
    held = value.get("content")
    if not isinstance(held, Mapping) or "parts" not in held:
        return []
    finish = value.get("finish_reason") or value.get("finishReason")
    return [message({**held, "finish_reason": finish}, "assistant")]


def _output_items(value: Mapping[str, Any]) -> list[Message]:
    held = value["output"]
    return _items(held) if isinstance(held, list) and value.get("object") == "response" else []


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


_ANSWERS: Final = {
    "choices": _choices,
    "generations": _generations,
    "candidates": _candidates,
    "content": _gemini,
    "output": _output_items,
}
