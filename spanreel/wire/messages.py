"""GenAI messages and their parts, as JSON values. Shapes only: which wire field becomes which part is a dialect's business.

What a provider says beyond the convention stays on the part as an extra property, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from spanreel.wire.records import Message, Part

FINISH: Final[dict[str, str]] = {
    "stop": "stop", "end_turn": "stop", "STOP": "stop", "stop_sequence": "stop", "completed": "stop",
    "length": "length", "max_tokens": "length", "MAX_TOKENS": "length", "max_output_tokens": "length",
    "incomplete": "length", "model_context_window_exceeded": "length",
    "tool_calls": "tool_call", "tool_call": "tool_call", "tool-calls": "tool_call", "tool_use": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter", "content-filter": "content_filter", "SAFETY": "content_filter",
    "refusal": "content_filter", "RECITATION": "content_filter", "PROHIBITED_CONTENT": "content_filter",
    "BLOCKLIST": "content_filter", "SPII": "content_filter", "IMAGE_SAFETY": "content_filter",
    "pause_turn": "pause", "error": "error", "failed": "error", "MALFORMED_FUNCTION_CALL": "error",
    "UNEXPECTED_TOOL_CALL": "error",
}  # fmt: skip
"""Providers' finish reasons in the words of the convention."""

OUTPUT_TYPES: Final[dict[str, str]] = {"text": "text", "json_object": "json", "json_schema": "json"}
"""Types of a response format in the words of the convention."""

ROLES: Final[dict[str, str]] = {
    "developer": "system", "human": "user", "ai": "assistant", "model": "assistant", "function": "tool",
}  # fmt: skip
"""Providers' roles in the words of the convention."""


def extended(part: Part, block: Mapping[str, Any], used: Collection[str]) -> Part:
    """The part with those properties of the provider's block that it does not yet say."""
    if isinstance(used, (set, frozenset)) and block.keys() <= used:
        return part
    for key, value in block.items():
        if key not in used and key not in part and value is not None:
            part[key] = value
    return part


def text(content: str) -> Part:
    """What somebody said."""
    return {"type": "text", "content": content}


def reasoning(content: str) -> Part:
    """What a model thought before it spoke."""
    return {"type": "reasoning", "content": content}


def tool_call(identity: Any, name: Any, arguments: Any) -> Part:
    """A tool that the model asks for; an identity that is not text is left out."""
    part: Part = {"type": "tool_call", "name": name if isinstance(name, str) else "", "arguments": arguments}
    if isinstance(identity, str) and identity:
        part["id"] = identity
    return part


def tool_call_response(identity: Any, response: Any) -> Part:
    """What a tool answered."""
    part: Part = {"type": "tool_call_response", "response": response}
    if isinstance(identity, str) and identity:
        part["id"] = identity
    return part


def generic(block: Any) -> Part:
    """A part of a type the convention does not know, as the provider sent it."""
    if isinstance(block, str):
        return text(block)
    if isinstance(block, Mapping):
        kind = block.get("type")
        return {**block, "type": kind if isinstance(kind, str) and kind else "unknown"}
    return {"type": "unknown", "value": block}


def blocks(content: Any, part: Callable[[Any], Part]) -> list[Part]:
    """The parts of a message's content: a list of blocks, each read by `part`, or one text, or nothing."""
    if isinstance(content, list):
        return [part(block) for block in content]
    return [] if content is None or content == "" else [generic(content)]


def refusal(content: str) -> Part:
    """Why a model does not answer."""
    return {"type": "refusal", "content": content}


def blob(content: str, modality: str, mime_type: str | None = None) -> Part:
    """A picture, sound or document by value, in base64."""
    part: Part = {"type": "blob", "modality": modality, "content": content}
    return {**part, "mime_type": mime_type} if mime_type else part


def sound(source: Mapping[str, Any]) -> Part | None:
    """A sound as OpenAI's wires carry it (`data`, `format`); None where there is none."""
    data = source.get("data")
    return blob(data, "audio", f"audio/{source.get('format', 'wav')}") if isinstance(data, str) else None


def file(identity: str, modality: str) -> Part:
    """A picture or document that the provider holds."""
    return {"type": "file", "modality": modality, "file_id": identity}


def media(location: str, modality: str, mime_type: str | None = None) -> Part:
    """A picture, sound or document: a `data:` URL becomes a blob, any other a reference."""
    if location.startswith("data:") and ";base64," in location[:256]:
        head, _, data = location.partition(";base64,")
        return blob(data, modality, head[5:] or mime_type)
    part: Part = {"type": "uri", "modality": modality, "uri": location}
    return {**part, "mime_type": mime_type} if mime_type else part


def message(role: Any, parts: list[Part], finish_reason: str | None = None) -> Message:
    """A message; its role and finish reason in the convention's words."""
    name = role if isinstance(role, str) and role else "user"
    made: Message = {"role": ROLES.get(name, name), "parts": parts}
    if (
        parts
        and parts[0]["type"] == "tool_call_response"
        and all(part["type"] == "tool_call_response" for part in parts)
    ):
        made["role"] = "tool"
    if finish_reason:
        made["finish_reason"] = FINISH.get(finish_reason, finish_reason)
    return made


def plain(content: Any) -> Any:
    """A tool's result as it reads: blocks that are all text become one string, anything else stays."""
    if not isinstance(content, list) or not content:
        return content
    texts: list[str] = []
    for block in content:
        said = block.get("text") if isinstance(block, dict) and len(block) <= 2 else None
        if not isinstance(said, str):
            return content
        texts.append(said)
    return "".join(texts)
