"""OpenAI chat completions, and every vendor and server that speaks them.

A streamed reply is assembled into the body that the same call would have had unstreamed; one reader reads both.
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

_PATH = re.compile(r"/chat/completions/?$")
_PARAMETERS = {
    "temperature": names.REQUEST_TEMPERATURE,
    "top_p": names.REQUEST_TOP_P,
    "top_k": names.REQUEST_TOP_K,
    "seed": names.REQUEST_SEED,
    "max_tokens": names.REQUEST_MAX_TOKENS,
    "max_completion_tokens": names.REQUEST_MAX_TOKENS,
    "frequency_penalty": names.REQUEST_FREQUENCY_PENALTY,
    "presence_penalty": names.REQUEST_PRESENCE_PENALTY,
    "n": names.REQUEST_CHOICE_COUNT,
    "reasoning_effort": names.REQUEST_REASONING_LEVEL,
    "stream": names.REQUEST_STREAM,
}
_NONE_USED = Usage()
_MESSAGE_FIELDS = frozenset(
    {
        "role",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "tool_call_id",
        "reasoning_content",
        "reasoning",
        "audio",
    }
)


@dataclass(frozen=True, slots=True)
class OpenAIChat:
    """The dialect of `POST …/chat/completions`."""

    name: str = "openai.chat"
    operation: str = "chat"
    provider: str = "openai"

    def recognises(self, path: str, body: bytes) -> bool:
        return _PATH.search(path) is not None

    def read(self, request: Mapping[str, Any], reply: Reply | None) -> Call:
        answer, finished = answer_of(reply, lambda body: _assembled(request, body))
        choices = objects(answer.get("choices"))
        reasons = tuple(reason for choice in choices if (reason := lenient.text(choice.get("finish_reason"))))
        return call_of(
            request,
            reply,
            answer,
            finished=finished,
            usage=_usage(answer),
            finish_reasons=reasons,
            content=Content(
                input=told(request["messages"], _say) if "messages" in request else None,
                output=[_output(choice) for choice in choices] if choices else None,
                tools=_tools(request),
                parameters=_parameters(request),
            ),
        )


DIALECT = OpenAIChat()


def _assembled(request: Mapping[str, Any], body: bytes) -> tuple[dict[str, Any], bool]:
    """The streamed reply as one body; whole without the end marker too, once every choice asked for has its end."""
    answer, done = _assemble(body)
    choices = answer["choices"]
    ended = bool(choices) and all(choice.get("finish_reason") for choice in choices)
    return answer, done or (ended and len(choices) >= (lenient.count(request.get("n")) or 1))


def _assemble(body: bytes) -> tuple[dict[str, Any], bool]:
    answer: dict[str, Any] = {}
    choices: dict[int, dict[str, Any]] = {}
    done = False
    for event in sse.events(body):
        if event.data.strip() == "[DONE]":
            done = True
            continue
        chunk = lenient.event(event)
        for key in ("id", "model", "error"):
            if chunk.get(key) and not answer.get(key):
                answer[key] = chunk[key]
        if usage := mapping(chunk.get("usage")) or mapping(mapping(chunk.get("x_groq")).get("usage")):
            answer["usage"] = {**mapping(answer.get("usage")), **usage}
        for delta in objects(chunk.get("choices")):
            index = lenient.count(delta.get("index")) or 0
            _continue(choices.setdefault(index, {"index": index, "message": lenient.Merged()}), delta)
        if chunk.get("type") == "error" and "error" not in answer:
            answer["error"] = chunk
    for choice in choices.values():
        choice["message"] = lenient.settle(choice["message"])
    return {**answer, "choices": [choices[index] for index in sorted(choices)]}, done


def _continue(choice: dict[str, Any], delta: Mapping[str, Any]) -> None:
    lenient.merge(choice["message"], mapping(delta.get("delta")) or mapping(delta.get("message")))
    if reason := delta.get("finish_reason"):
        choice["finish_reason"] = reason


def _usage(answer: Mapping[str, Any]) -> Usage:
    usage = mapping(answer.get("usage"))
    if not usage:
        return _NONE_USED
    given, made = mapping(usage.get("prompt_tokens_details")), mapping(usage.get("completion_tokens_details"))
    prompt, output = first_count(usage, "prompt_tokens"), first_count(usage, "completion_tokens")
    reasoning = first_count(made, "reasoning_tokens")
    total = first_count(usage, "total_tokens")
    if reasoning and prompt is not None and output is not None and total == prompt + output + reasoning:
        output += reasoning  # xAI counts reasoning beside the completion
    return Usage(
        input=prompt,
        output=output,
        cache_read=first_count({**usage, **given}, "cached_tokens", "prompt_cache_hit_tokens"),
        cache_write=first_count(given, "cache_write_tokens", "cache_creation_tokens"),
        reasoning=reasoning,
    )


def _parameters(request: Mapping[str, Any]) -> dict[str, Any]:
    found = parameters_of(request, _PARAMETERS)
    stop = request.get("stop")
    if stop is not None:
        found[names.REQUEST_STOP_SEQUENCES] = stop if isinstance(stop, list) else [stop]
    if kind := lenient.text(mapping(request.get("response_format")).get("type")):
        found[names.OUTPUT_TYPE] = messages.OUTPUT_TYPES.get(kind, kind)
    return found


def _tools(request: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    found = [_tool(tool) for tool in objects(request.get("tools"))]
    found += [{"type": "function", **function} for function in objects(request.get("functions"))]
    return found or None


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    kind = lenient.text(tool.get("type")) or "function"
    inner = mapping(tool.get(kind))
    rest = {key: value for key, value in tool.items() if key != kind} if inner else tool
    return {"name": kind, **rest, **inner, "type": kind}


def _output(choice: Mapping[str, Any]) -> Message:
    said = mapping(choice.get("message"))
    return _message({"role": "assistant", **said}, lenient.text(choice.get("finish_reason")))


def _say(found: list[Message], said: Any) -> None:
    if isinstance(said, dict):
        found.append(_message(said))


def _message(said: Mapping[str, Any], finish_reason: str | None = None) -> Message:
    if said.get("role") in ("tool", "function") and "content" in said:
        answer = messages.tool_call_response(said.get("tool_call_id"), messages.plain(said["content"]))
        parts = [messages.extended(answer, said, _MESSAGE_FIELDS)]
    else:
        parts = _parts(said)
    made = messages.message(said.get("role"), parts, finish_reason)
    return messages.extended(made, said, _MESSAGE_FIELDS)


def _parts(said: Mapping[str, Any]) -> list[Part]:
    parts: list[Part] = []
    if thought := said.get("reasoning_content") or said.get("reasoning"):
        parts.append(messages.reasoning(thought) if isinstance(thought, str) else messages.generic(thought))
    parts += messages.blocks(said.get("content"), _block)
    if refusal := lenient.text(said.get("refusal")):
        parts.append(messages.refusal(refusal))
    if audio := mapping(said.get("audio")):
        parts.append({**audio, "type": "audio"})
    parts += [_tool_call(call) for call in objects(said.get("tool_calls"))]
    if legacy := mapping(said.get("function_call")):
        parts.append(messages.tool_call(None, legacy.get("name"), lenient.arguments(legacy.get("arguments"))))
    return parts


def _tool_call(call: dict[str, Any]) -> Part:
    kind = "custom" if "custom" in call else "function"
    inner = mapping(call.get(kind))
    value = inner.get("input") if kind == "custom" else lenient.arguments(inner.get("arguments"))
    part = messages.tool_call(call.get("id"), inner.get("name"), value)
    return messages.extended(part, call, {kind, "id", "type", "index"})


def _block(block: Any) -> Part:
    """One content block of a message; the picture, sound and file blocks name their bytes in different places."""
    if not isinstance(block, dict):
        return messages.generic(block)
    kind = block.get("type")
    inner = mapping(block.get(kind)) if isinstance(kind, str) else {}
    part: Part | None = None
    if kind == "text" and isinstance(block.get("text"), str):
        return messages.extended(messages.text(block["text"]), block, {"text"})
    if kind == "refusal" and isinstance(block.get("refusal"), str):
        return messages.extended(messages.refusal(block["refusal"]), block, {"refusal"})
    if kind == "image_url":
        url = inner.get("url", block.get("image_url"))
        part = messages.media(url, "image") if isinstance(url, str) else None
    elif kind == "input_audio":
        part = messages.sound(inner)
    elif kind == "file" and isinstance(inner.get("file_id"), str):
        part = messages.file(inner["file_id"], "document")
    elif kind == "file" and isinstance(inner.get("file_data"), str):
        part = messages.media(inner["file_data"], "document")
    if part is None:
        return messages.generic(block)
    messages.extended(part, inner, {"url", "data", "format", "file_id", "file_data"})
    return messages.extended(part, block, {str(kind)})
