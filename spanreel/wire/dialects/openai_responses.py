"""OpenAI responses, and every vendor and server that speaks them.

A streamed reply carries the whole response in its last event; one that was cut is put together from what came.
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

_PATH = re.compile(r"/responses/?$")
_PROBES = (b'"input"', b'"previous_response_id"', b'"prompt"', b'"conversation"')
_PARAMETERS = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "max_output_tokens": names.REQUEST_MAX_TOKENS,
    "previous_response_id": names.REQUEST_PREVIOUS_RESPONSE,
    "stream": names.REQUEST_STREAM,
}
_TERMINAL = frozenset({"response.completed", "response.incomplete", "response.failed"})


@dataclass(frozen=True, slots=True)
class OpenAIResponses:
    """The dialect of `POST …/responses`."""

    name: str = "openai.responses"
    operation: str = "chat"
    provider: str = "openai"

    def recognises(self, path: str, body: bytes) -> bool:
        return _PATH.search(path) is not None and any(probe in body for probe in _PROBES)

    def read(self, request: Mapping[str, Any], reply: Reply | None) -> Call:
        answer, finished = answer_of(reply, _assemble)
        reason = _finish_reason(answer)
        items = lenient.items(answer.get("output"))
        return call_of(
            request,
            reply,
            answer,
            finished=finished,
            usage=_usage(answer),
            finish_reasons=(reason,) if reason else (),
            content=Content(
                system=_system(request.get("instructions")),
                input=_conversation(request["input"]) if request.get("input") is not None else None,
                output=_output(items, reason) if items else None,
                tools=[_tool(tool) for tool in objects(request.get("tools"))] or None,
                parameters=_parameters(request),
            ),
        )


DIALECT = OpenAIResponses()


def _assemble(body: bytes) -> tuple[dict[str, Any], bool]:
    answer: dict[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    done = False
    for sent in sse.events(body):
        event = lenient.event(sent)
        kind = str(event.get("type"))
        if kind == "error":
            answer["error"] = event.get("error") or event
        elif isinstance(event.get("response"), dict):
            answer = {
                **answer,
                **{key: value for key, value in event["response"].items() if value is not None},
            }
        elif kind.startswith("response."):
            _arrive(items, kind, event)
        done = done or kind in _TERMINAL
    if not answer.get("output") and items:
        answer["output"] = [_closed(items[index]) for index in sorted(items)]
    return answer, done


_DELTAS = {
    "response.output_text.delta": ("content", "output_text", "text"),
    "response.refusal.delta": ("content", "refusal", "refusal"),
    "response.reasoning_text.delta": ("content", "reasoning_text", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_text", "text"),
}
"""Which list of an item a delta adds to, the type of the block there, and the block's string."""
_WHOLE_DELTAS = {
    "response.function_call_arguments.delta": ("function_call", "arguments"),
    "response.custom_tool_call_input.delta": ("custom_tool_call", "input"),
    "response.mcp_call_arguments.delta": ("mcp_call", "arguments"),
    "response.code_interpreter_call_code.delta": ("code_interpreter_call", "code"),
}


def _arrive(items: dict[int, dict[str, Any]], kind: str, event: Mapping[str, Any]) -> None:
    """One event about an output item, which its last event repeats whole."""
    index = lenient.count(event.get("output_index")) or 0
    if kind in ("response.output_item.added", "response.output_item.done"):
        items[index] = mapping(event.get("item"))
        return
    piece = event.get("delta")
    if not isinstance(piece, str):
        return
    if kind in _DELTAS:
        key, block_type, string = _DELTAS[kind]
        item = items.setdefault(
            index, {"type": "message" if key == "content" else "reasoning", "role": "assistant"}
        )
        blocks = item.get(key)
        if not isinstance(blocks, _Growing):
            blocks = item[key] = _Growing()
        place = lenient.count(event.get("summary_index" if key == "summary" else "content_index")) or 0
        block = blocks.setdefault(place, {"type": block_type, string: lenient.Pieces()})
        block.setdefault(string, lenient.Pieces()).append(piece)
    elif kind in _WHOLE_DELTAS:
        item_type, string = _WHOLE_DELTAS[kind]
        item = items.setdefault(index, {"type": item_type})
        if not isinstance(item.get(string), lenient.Pieces):
            item[string] = lenient.Pieces()
        item[string].append(piece)


class _Growing(dict[int, dict[str, Any]]):
    """Blocks of an item by their place, while deltas arrive."""


def _closed(item: Mapping[str, Any]) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for key, value in item.items():
        if isinstance(value, _Growing):
            whole[key] = [
                {name: lenient.settle(part) for name, part in value[at].items()} for at in sorted(value)
            ]
        else:
            whole[key] = lenient.settle(value)
    return whole


def _usage(answer: Mapping[str, Any]) -> Usage:
    usage = mapping(answer.get("usage"))
    given, made = mapping(usage.get("input_tokens_details")), mapping(usage.get("output_tokens_details"))
    return Usage(
        input=first_count(usage, "input_tokens"),
        output=first_count(usage, "output_tokens"),
        cache_read=first_count(given, "cached_tokens"),
        cache_write=first_count(given, "cache_write_tokens", "cache_creation_tokens"),
        reasoning=first_count(made, "reasoning_tokens"),
    )


def _finish_reason(answer: Mapping[str, Any]) -> str | None:
    """The status, or why the response is incomplete; none while it is still being made."""
    status = lenient.text(answer.get("status"))
    if status in ("in_progress", "queued"):
        return None
    return lenient.text(mapping(answer.get("incomplete_details")).get("reason")) or status


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    found = parameters_of(request, _PARAMETERS)
    if effort := lenient.text(mapping(request.get("reasoning")).get("effort")):
        found[names.REQUEST_REASONING_LEVEL] = effort
    if kind := lenient.text(mapping(mapping(request.get("text")).get("format")).get("type")):
        found[names.OUTPUT_TYPE] = messages.OUTPUT_TYPES.get(kind, kind)
    return found


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = lenient.text(tool.get("type")) or "function"
    return {"name": kind, **tool, "type": kind}


def _system(instructions: Any) -> list[Part] | None:
    if instructions is None:
        return None
    if isinstance(instructions, list):
        return [part for said in _conversation(instructions) for part in said["parts"]]
    return [messages.generic(instructions)]


def _output(items: list[Any], reason: str | None) -> list[Message]:
    parts = [part for item in items for part in _item(item)[1]]
    return [messages.message("assistant", parts, reason)]


def _conversation(value: Any) -> list[Message]:
    """Messages of the input; what the assistant did in one turn (thoughts, calls, words) is one message, as in a reply."""
    if not isinstance(value, list):
        return [messages.message("user", [messages.generic(value)])]
    return told(value, _say)


def _say(found: list[Message], item: Any) -> None:
    role, parts = _item(item)
    if role == "assistant" and found and found[-1]["role"] == "assistant":
        found[-1]["parts"] += parts
    else:
        found.append(messages.message(role, parts))


def _item(item: Any) -> tuple[str, list[Part]]:
    """An item of the conversation: who said it, and its parts."""
    if not isinstance(item, dict):
        return "user", [messages.generic(item)]
    kind = item.get("type")
    if kind == "message" or (kind is None and "role" in item):
        role = item.get("role")
        return role if isinstance(role, str) and role else "user", messages.blocks(
            item.get("content"), _block
        )
    if kind == "reasoning":
        return "assistant", [_reasoning(item)]
    if isinstance(kind, str) and "call_id" in item:
        return _client_call(kind, item)
    if isinstance(kind, str) and kind.endswith("_call"):
        details = {key: value for key, value in item.items() if key != "id"}
        made: Part = {
            "type": "server_tool_call",
            "name": item.get("name") or kind.removesuffix("_call"),
            "server_tool_call": details,
        }
        return "assistant", [{**made, "id": item["id"]} if isinstance(item.get("id"), str) else made]
    return "assistant", [messages.generic(item)]


def _client_call(kind: str, item: dict[str, Any]) -> tuple[str, list[Part]]:
    """A call that the agent answers, or its answer; `call_id` ties them, `id` is only the item's."""
    extra = {"item_id": item["id"]} if "id" in item else {}
    if kind.endswith("_output"):
        made = messages.tool_call_response(item["call_id"], messages.plain(item.get("output")))
        return "tool", [messages.extended({**made, **extra}, item, {"id", "call_id", "output"})]
    key = next((key for key in ("arguments", "input", "action", "operation") if key in item), "arguments")
    value = lenient.arguments(item.get(key)) if key == "arguments" else item.get(key)
    made = messages.tool_call(item["call_id"], item.get("name") or kind.removesuffix("_call"), value)
    return "assistant", [messages.extended({**made, **extra}, item, {"id", "call_id", key})]


def _reasoning(item: dict[str, Any]) -> Part:
    """A thought: its full text where the provider gives it, else the summary; the sealed form is kept beside it."""
    thoughts = [
        piece
        for key in ("content", "summary")
        for block in objects(item.get(key))
        if (piece := lenient.text(block.get("text")))
    ]
    full = [piece for block in objects(item.get("content")) if (piece := lenient.text(block.get("text")))]
    return messages.extended(messages.reasoning("\n".join(full or thoughts)), item, {"content", "type"})


def _block(block: Any) -> Part:
    if not isinstance(block, dict):
        return messages.generic(block)
    kind = block.get("type")
    if kind in ("input_text", "output_text", "text") and isinstance(block.get("text"), str):
        made = messages.extended(messages.text(block["text"]), block, {"text"})
        return {
            key: value for key, value in made.items() if value != []
        }  # no annotations, no log probabilities
    if kind == "refusal" and isinstance(block.get("refusal"), str):
        return messages.extended(messages.refusal(block["refusal"]), block, {"refusal"})
    return _media(block) or messages.generic(block)


_MEDIA = {
    "input_image": ("image", "image_url"),
    "input_file": ("document", "file_url"),
    "input_audio": ("audio", ""),
}


def _media(block: dict[str, Any]) -> Part | None:
    modality, address = _MEDIA.get(str(block.get("type")), ("", ""))
    if not modality:
        return None
    if sound := messages.sound(mapping(block.get("input_audio"))):
        return sound
    for key in (address, "file_data"):
        if isinstance(block.get(key), str):
            return messages.extended(messages.media(block[key], modality), block, {key})
    if isinstance(block.get("file_id"), str):
        return messages.extended(messages.file(block["file_id"], modality), block, ())
    return None
