"""Anthropic messages, on Anthropic's API and on Vertex AI.

A streamed reply is assembled into the message that the same call would have had unstreamed; one reader reads both.
Input tokens on this wire leave out what the cache read and wrote; here they are added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spanreel.wire import attributes as names
from spanreel.wire import lenient, messages
from spanreel.wire.assembly import answer_of, call_of, parameters_of
from spanreel.wire.dialect import Call, Reply
from spanreel.wire.framing import sse
from spanreel.wire.history import told
from spanreel.wire.lenient import first_count, mapping, objects
from spanreel.wire.records import Content, Message, Part
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = re.compile(r"/(?:v1|anthropic)/messages/?$|/messages/?$")
_VERTEX = re.compile(r"/publishers/anthropic/models/[^/]+:(?:rawPredict|streamRawPredict)$")
_PARAMETERS = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "top_k": names.REQUEST_TOP_K,
    "max_tokens": names.REQUEST_MAX_TOKENS,
    "stop_sequences": names.REQUEST_STOP_SEQUENCES,
    "stream": names.REQUEST_STREAM,
}
_MODALITIES = {"image": "image", "document": "document", "file": "document"}


@dataclass(frozen=True, slots=True)
class AnthropicMessages:
    """The dialect of `POST …/v1/messages`."""

    name: str = "anthropic.messages"
    operation: str = "chat"
    provider: str = "anthropic"

    def recognises(self, path: str, body: bytes) -> bool:
        if _VERTEX.search(path):
            return True
        # other APIs have a path like this one: a thread's messages, a chat service's
        return _PATH.search(path) is not None and b'"messages"' in body and b'"max_tokens"' in body

    def read(self, request: Mapping[str, Any], reply: Reply | None) -> Call:
        answer, finished = answer_of(reply, _assemble)
        reason = lenient.text(answer.get("stop_reason"))
        return call_of(
            request,
            reply,
            answer,
            finished=finished,
            usage=_usage(answer),
            finish_reasons=(reason,) if reason else (),
            content=Content(
                system=_blocks(request["system"]) if request.get("system") is not None else None,
                input=told(request["messages"], _say) if "messages" in request else None,
                output=[messages.message("assistant", _blocks(answer["content"]), reason)]
                if "content" in answer
                else None,
                tools=[_tool(tool) for tool in objects(request.get("tools"))] or None,
                parameters=_parameters(request),
            ),
        )


DIALECT = AnthropicMessages()


def _assemble(body: bytes) -> tuple[dict[str, Any], bool]:
    answer: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    done = False
    for sent in sse.events(body):
        event = lenient.event(sent)
        kind = event.get("type")
        index = lenient.count(event.get("index")) or 0
        if kind == "message_start":
            answer = mapping(event.get("message"))
        elif kind == "content_block_start":
            blocks[index] = _opened(mapping(event.get("content_block")))
        elif kind == "content_block_delta":
            _grow(blocks.setdefault(index, {}), mapping(event.get("delta")))
        elif kind == "message_delta":
            _conclude(answer, event)
        elif kind == "message_stop":
            done = True
        elif kind == "error":
            answer["error"] = event.get("error") or event
    if blocks:
        answer["content"] = [_closed(blocks[index]) for index in sorted(blocks)]
    return answer, done


def _opened(block: dict[str, Any]) -> dict[str, Any]:
    """A block whose strings can grow; an input that is complete from the start is kept."""
    return {
        key: lenient.Pieces([value]) if key in _GROWING and isinstance(value, str) else value
        for key, value in block.items()
    }


_GROWING = {
    "text": "text",
    "thinking": "thinking",
    "signature": "signature",
    "content": "compaction",
    "partial_json": "tool_use",
}
"""The strings of a delta that add to a block, and the block's type where its start was not seen."""


def _grow(block: dict[str, Any], delta: Mapping[str, Any]) -> None:
    if "citation" in delta:
        block["citations"] = [*lenient.items(block.get("citations")), delta["citation"]]
    for key, kind in _GROWING.items():
        piece = delta.get(key)
        if not isinstance(piece, str):
            continue
        block.setdefault("type", kind)
        known = block.get(key)
        if not isinstance(known, lenient.Pieces):
            known = block[key] = lenient.Pieces()
        known.append(piece)


def _closed(block: dict[str, Any]) -> dict[str, Any]:
    whole = {key: lenient.settle(value) for key, value in block.items()}
    streamed = whole.pop("partial_json", None)
    if streamed:
        whole["input"] = lenient.arguments(streamed)
    return {key: value for key, value in whole.items() if not (key == "signature" and value == "")}


def _conclude(answer: dict[str, Any], event: Mapping[str, Any]) -> None:
    """The last words: why it stopped, and counts that replace those of the start."""
    answer.update({key: value for key, value in mapping(event.get("delta")).items() if value is not None})
    counts = {key: value for key, value in mapping(event.get("usage")).items() if value is not None}
    answer["usage"] = {**mapping(answer.get("usage")), **counts}


def _usage(answer: Mapping[str, Any]) -> Usage:
    usage = mapping(answer.get("usage"))
    fresh = first_count(usage, "input_tokens")
    read, written = (
        first_count(usage, "cache_read_input_tokens"),
        first_count(usage, "cache_creation_input_tokens"),
    )
    return Usage(
        input=None if fresh is None else fresh + (read or 0) + (written or 0),
        output=first_count(usage, "output_tokens"),
        cache_read=read,
        cache_write=written,
        reasoning=first_count(
            mapping(usage.get("output_tokens_details")), "thinking_tokens", "reasoning_tokens"
        ),
    )


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    found = parameters_of(request, _PARAMETERS)
    config = mapping(request.get("output_config"))
    if effort := lenient.text(config.get("effort")):
        found[names.REQUEST_REASONING_LEVEL] = effort
    if mapping(config.get("format")) or mapping(request.get("output_format")):
        found[names.OUTPUT_TYPE] = "json"
    return found


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = lenient.text(tool.get("type")) or "custom"
    if kind != "custom":
        return {"name": kind, **tool}
    made: dict[str, Any] = {
        "type": "function",
        "name": tool.get("name", ""),
        "description": tool.get("description"),
    }
    made["parameters"] = tool.get("input_schema")
    return messages.extended(made, tool, {"input_schema"})


def _say(found: list[Message], said: Any) -> None:
    if isinstance(said, dict):
        found.append(_message(said))


def _message(said: Mapping[str, Any]) -> Message:
    made = messages.message(said.get("role"), _blocks(said.get("content")))
    return messages.extended(made, said, {"content"})


def _blocks(content: Any) -> list[Part]:
    return messages.blocks(content, _block)


def _block(block: Any) -> Part:
    if not isinstance(block, dict):
        return messages.generic(block)
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        return messages.extended(messages.text(block["text"]), block, {"text"})
    if kind == "thinking" and isinstance(block.get("thinking"), str):
        return messages.extended(messages.reasoning(block["thinking"]), block, {"thinking"})
    if kind == "tool_use":
        made = messages.tool_call(block.get("id"), block.get("name"), block.get("input"))
        return messages.extended(made, block, {"input"})
    if kind == "tool_result":
        made = messages.tool_call_response(block.get("tool_use_id"), messages.plain(block.get("content")))
        return messages.extended(made, block, {"tool_use_id", "content"})
    return _source(block) or _server_tool(block) or messages.generic(block)


def _server_tool(block: dict[str, Any]) -> Part | None:
    """A tool that the provider runs itself: searches, code, MCP servers."""
    kind = str(block.get("type"))
    if kind in ("server_tool_use", "mcp_tool_use"):
        details = {key: value for key, value in block.items() if key not in ("id", "name")}
        made: Part = {
            "type": "server_tool_call",
            "name": block.get("name") or kind,
            "server_tool_call": details,
        }
        return messages.extended(made, block, details)
    if kind.endswith("_tool_result"):
        details = {key: value for key, value in block.items() if key != "tool_use_id"}
        return {
            "type": "server_tool_call_response",
            "id": block.get("tool_use_id"),
            "server_tool_call_response": details,
        }
    return None


def _source(block: dict[str, Any]) -> Part | None:
    """A picture or document, by value, by address or by file id; one given as text stays as it is."""
    modality, source = _MODALITIES.get(str(block.get("type"))), mapping(block.get("source"))
    made: Part | None = None
    if modality and source.get("type") == "base64" and isinstance(source.get("data"), str):
        made = messages.blob(source["data"], modality, lenient.text(source.get("media_type")))
    elif modality and source.get("type") == "url" and isinstance(source.get("url"), str):
        made = {"type": "uri", "modality": modality, "uri": source["url"]}
    elif modality and source.get("type") == "file" and isinstance(source.get("file_id"), str):
        made = messages.file(source["file_id"], modality)
    return messages.extended(made, block, {"source"}) if made else None
