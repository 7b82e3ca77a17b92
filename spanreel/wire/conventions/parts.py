"""One content block of a message, in any emitter's or provider's shape, as GenAI parts.

A block whose type is not known stays as it is: nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import messages
from spanreel.wire.conventions.values import mapping, parsed, text

if TYPE_CHECKING:
    from spanreel.wire.records import Part

Block = Mapping[str, Any]


def part(block: Any) -> Part:
    """The part that a block is."""
    if not isinstance(block, Mapping):
        return messages.generic(block)
    kind = block.get("type")
    if isinstance(kind, str) and (made := _BY_TYPE.get(kind)):
        found = made(block)
        if found is not None:
            return found
    for key, made in _BY_KEY:
        if key in block and (found := made(block)) is not None:
            return found
    return messages.generic(block)


def call(block: Any) -> Part:
    """A tool call at message level: OpenAI's, LangChain's, Traceloop's, or wrapped by OpenInference."""
    outer = mapping(mapping(block).get("tool_call")) or mapping(block)
    inner = mapping(outer.get("function")) or outer
    name = inner.get("name") or outer.get("name") or outer.get("toolName")
    return messages.tool_call(
        _first(outer, "id", "tool_call_id", "toolCallId", "call_id"),
        name,
        _arguments(_first(inner, "arguments", "args", "input")),
    )


def result(value: Any) -> Any:
    """A tool's result without the message or the list of text blocks that it came in."""
    value = parsed(value)
    if isinstance(value, Mapping):
        for key in ("output", "kwargs", "data"):
            inner = value.get(key)
            if isinstance(inner, Mapping) and (key != "output" or len(value) == 1):
                return result(inner) if key == "output" else result(inner.get("content", inner))
        if value.get("type") in ("text", "json", "error-text", "error-json") and "value" in value:
            return value["value"]
    return messages.plain(value)


def _text(block: Block) -> Part | None:
    said = _first(block, "content", "text")
    return _with(messages.text(said), block, "content", "text") if isinstance(said, str) else None


def _reasoning(block: Block) -> Part | None:
    said = _first(block, "content", "text", "thinking", "reasoning")
    if isinstance(said, str):
        return _with(messages.reasoning(said), block, "content", "text", "thinking", "reasoning")
    summary = block.get("summary")
    if isinstance(summary, list):
        texts = [
            one["text"] for one in summary if isinstance(one, Mapping) and isinstance(one.get("text"), str)
        ]
        return _with(messages.reasoning("\n".join(texts)), block, "summary")
    return None


def _tool_call(block: Block) -> Part | None:
    inner = mapping(block.get("function")) or block
    name = _first(inner, "name", "toolName", "tool_name")
    if name is None:
        return None
    identity = _first(block, "call_id", "toolCallId", "toolUseId", "tool_call_id", "id")
    return messages.tool_call(identity, name, _arguments(_first(inner, "arguments", "args", "input")))


def _tool_result(block: Block) -> Part | None:
    keys = ("response", "result", "output", "content")
    identity = _first(block, "call_id", "tool_use_id", "toolCallId", "toolUseId", "tool_call_id", "id")
    made = messages.tool_call_response(identity, result(_first(block, *keys)))
    if name := text(_first(block, "name", "toolName")):
        made["name"] = name
    if block.get("is_error") is True or block.get("status") == "error":
        made["is_error"] = True
    return made


def _image(block: Block) -> Part | None:
    source = mapping(block.get("source"))
    if isinstance(data := source.get("data"), str):
        return _blob(data, "image", source.get("media_type"))
    held = block.get("image_url") or block.get("image") or source.get("url") or block.get("url")
    while isinstance(held, Mapping):
        held = held.get("url") or held.get("image")
    return messages.media(held, "image", text(block.get("media_type"))) if isinstance(held, str) else None


def _tool_use(block: Block) -> Part | None:
    return _tool_call(mapping(block.get("toolUse")))


def _bedrock_result(block: Block) -> Part | None:
    return _tool_result(mapping(block.get("toolResult")))


def _bedrock_reasoning(block: Block) -> Part | None:
    told = mapping(block.get("reasoningContent"))
    return _reasoning(mapping(told.get("reasoningText")) or told)


def _gemini_call(block: Block) -> Part | None:
    return _tool_call(mapping(block.get("functionCall") or block.get("function_call")))


def _gemini_response(block: Block) -> Part | None:
    return _tool_result(mapping(block.get("functionResponse") or block.get("function_response")))


def _gemini_blob(block: Block) -> Part | None:
    told = mapping(block.get("inlineData") or block.get("inline_data"))
    mime_type = text(_first(told, "mimeType", "mime_type")) or ""
    data = told.get("data")
    return (
        _blob(data, mime_type.partition("/")[0] or "document", mime_type) if isinstance(data, str) else None
    )


def _gemini_file(block: Block) -> Part | None:
    told = mapping(block.get("fileData") or block.get("file_data"))
    mime_type = text(_first(told, "mimeType", "mime_type"))
    uri = _first(told, "fileUri", "file_uri")
    return (
        messages.media(uri, (mime_type or "document").partition("/")[0], mime_type)
        if isinstance(uri, str)
        else None
    )


def _vercel(block: Block) -> Part | None:
    return _tool_result(block) if "output" in block or "result" in block else _tool_call(block)


def _typeless_text(block: Block) -> Part | None:
    said = block.get("text")
    if not isinstance(said, str) or "type" in block:
        return None
    return messages.reasoning(said) if block.get("thought") is True else messages.text(said)


def _wrapped(block: Block) -> Part | None:
    return part(block["message_content"]) if isinstance(block["message_content"], Mapping) else None


def _blob(data: str, modality: str, mime_type: object) -> Part:
    made: Part = {"type": "blob", "modality": modality, "content": data}
    return {**made, "mime_type": mime_type} if isinstance(mime_type, str) and mime_type else made


def _arguments(value: Any) -> Any:
    return parsed(value)


def _first(block: Block, *keys: str) -> Any:
    return next((block[key] for key in keys if block.get(key) is not None), None)


def _with(made: Part, block: Block, *used: str) -> Part:
    return messages.extended(made, block, {*used, "type"})


_BY_TYPE: Final[dict[str, Callable[[Block], Part | None]]] = {
    "text": _text,
    "input_text": _text,
    "output_text": _text,
    "reasoning": _reasoning,
    "thinking": _reasoning,
    "tool_call": _tool_call,
    "tool_use": _tool_call,
    "tool-call": _tool_call,
    "function_call": _tool_call,
    "function": _tool_call,
    "tool_call_response": _tool_result,
    "tool_result": _tool_result,
    "tool-result": _tool_result,
    "function_call_output": _tool_result,
    "image_url": _image,
    "image-url": _image,
    "input_image": _image,
    "image": _image,
}
_BY_KEY: Final[tuple[tuple[str, Callable[[Block], Part | None]], ...]] = (
    ("message_content", _wrapped),
    ("toolUse", _tool_use),
    ("toolResult", _bedrock_result),
    ("reasoningContent", _bedrock_reasoning),
    ("functionCall", _gemini_call),
    ("function_call", _gemini_call),
    ("functionResponse", _gemini_response),
    ("function_response", _gemini_response),
    ("inlineData", _gemini_blob),
    ("inline_data", _gemini_blob),
    ("fileData", _gemini_file),
    ("file_data", _gemini_file),
    ("toolName", _vercel),
    ("text", _typeless_text),
)
