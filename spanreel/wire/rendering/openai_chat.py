"""Into OpenAI chat completions: requests, whole answers, streams, errors.

Source: OpenAI API reference, "Create chat completion", "The chat completion object", "The chat completion chunk object".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire.lenient import mapping, objects
from spanreel.wire.rendering import conversation, seals, words
from spanreel.wire.rendering.neutral import NotExpressible, Rendering

if TYPE_CHECKING:
    from spanreel.wire.records import Message, Part
    from spanreel.wire.rendering.neutral import NeutralAnswer, NeutralRequest

NAME: Final = "openai.chat"
_PLAIN: Final = (
    "temperature", "top_p", "top_k", "seed", "presence_penalty", "frequency_penalty", "n", "stop", "stream",
    "parallel_tool_calls", "verbosity",
)  # fmt: skip
_EXPRESSIBLE: Final = frozenset({*_PLAIN, "max_tokens", "reasoning", "tool_choice", "response_format"})
_LEVELS: Final = frozenset({"none", "minimal", "low", "medium", "high", "xhigh", "max"})
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID_LENGTH: Final = 40
_STOPS: Final = 4
_FINISH: Final = {
    "stop": "stop", "length": "length", "tool_call": "tool_calls", "content_filter": "content_filter",
}  # fmt: skip


def request(neutral: NeutralRequest, rendering: Rendering) -> tuple[str, dict[str, Any]]:
    """Path and body; `n`, `top_k` and penalties are refused only where the source's words are not chat's."""
    said = rendering.known(neutral.parameters, _EXPRESSIBLE - (set() if rendering.native else {"top_k"}))
    body: dict[str, Any] = {"model": rendering.model}
    told = seals.thoughts(conversation.with_ids(list(neutral.messages)), rendering)
    if neutral.system:
        told.insert(0, {"role": "system", "parts": list(neutral.system)})
    custom = {tool.get("name") for tool in neutral.tools if tool.get("type") == "custom"}
    body["messages"] = [one for message in told for one in _messages(message, custom, rendering)]
    body.update({name: said[name] for name in _PLAIN if name in said})
    if len(said.get("stop") or ()) > _STOPS and not rendering.native:
        rendering.refuse("stop", f"at most {_STOPS} sequences")
        del body["stop"]
    if "max_tokens" in said:
        old = rendering.native and "max_tokens" in neutral.fields
        body["max_tokens" if old else "max_completion_tokens"] = said["max_tokens"]
    if "reasoning" in said and (level := reasoning_level(said["reasoning"], rendering)):
        body["reasoning_effort"] = level
    if tools := _tools(neutral, rendering):
        body["tools"] = tools
    if choice := tool_choice(said, rendering, wrapped=True):
        body["tool_choice"] = choice
    if form := said.get("response_format"):
        body["response_format"] = _format(form)
    if said.get("stream") is True and not rendering.native:
        body["stream_options"] = {"include_usage": True}
    rendering.others(neutral.extra, body)
    return "/v1/chat/completions", body


def reasoning_level(reasoning: dict[str, Any], rendering: Rendering) -> str | None:
    """The effort, as both of OpenAI's dialects spell it."""
    level = reasoning.get("level")
    if "budget" in reasoning and level is None:
        if reasoning["budget"] == 0:
            return "none"
        if reasoning["budget"] != -1:  # Gemini's word for: as much as it needs
            rendering.refuse("reasoning.budget", "an effort is a word there")
    if reasoning.get("shown") not in (None, False) and not rendering.native:
        rendering.leave("reasoning.shown")
    if level is not None and level not in _LEVELS and not rendering.native:
        rendering.refuse("reasoning.level", f"no effort is called {level}")
        return None
    return level


def tool_choice(said: dict[str, Any], rendering: Rendering, *, wrapped: bool) -> Any:
    """The choice of tools, as chat (`wrapped`) or Responses spell it."""
    choice = said.get("tool_choice")
    if not choice:
        return None
    names = choice.get("names") or ()
    if not names:
        return choice["mode"]
    one = [
        {"type": "function", "function": {"name": name}} if wrapped else {"type": "function", "name": name}
        for name in names
    ]
    if len(one) == 1:
        return one[0]
    mode = "required" if choice["mode"] == "required" else "auto"
    if wrapped:
        return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": one}}
    return {"type": "allowed_tools", "mode": mode, "tools": one}


def _format(form: dict[str, Any]) -> dict[str, Any]:
    inner = {key: value for key, value in form.items() if key != "type"}
    if form["type"] != "json_schema":
        return {"type": form["type"]}
    return {"type": "json_schema", "json_schema": {**inner, "name": words.schema_name(inner.get("name"))}}


def _tools(neutral: NeutralRequest, rendering: Rendering) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    words.check_names(
        [tool for tool in neutral.tools if tool.get("type") == "function"], _TOOL_NAME, rendering
    )
    for tool in neutral.tools:
        kind = str(tool.get("type"))
        if kind == "function" or (kind == "custom" and neutral.dialect.startswith("openai.")):
            made.append({"type": kind, kind: words.tool_fields(tool, rendering)})
        elif rendering.native:
            inner = {key: value for key, value in tool.items() if key != "type"}
            made.append({"type": kind, kind: inner})
        else:
            rendering.refuse(f"tools.{kind}", "a tool that its provider runs")
    return made


def _messages(message: Message, custom: set[Any], rendering: Rendering) -> list[dict[str, Any]]:
    """One message of chat, or one for every tool result."""
    role, parts = message["role"], message["parts"]
    if role == "tool":
        return [_result(part, rendering) for part in parts]
    rest = words.message_extras(message, rendering)
    if role != "assistant":
        wire = message.get("wire_role") or next(
            (one["wire_role"] for one in parts if "wire_role" in one), role
        )
        return [{"role": wire, **rest, "content": _content(parts, rendering)}]
    made: dict[str, Any] = {"role": "assistant", **rest}
    sound = next((part["native"] for part in parts if part["type"] == "audio" and rendering.native), None)
    apart = ("refusal", "reasoning", "tool_call", *(("audio",) if sound else ()))
    said = [part for part in parts if part["type"] not in apart]
    refusals = [part["content"] for part in parts if part["type"] == "refusal"]
    thoughts = [part["content"] for part in parts if part["type"] == "reasoning"]
    calls = [_call(part, custom, rendering) for part in parts if part["type"] == "tool_call"]
    made["content"] = _content(said, rendering) if said else None
    if isinstance(sound, dict):
        made["audio"] = {key: value for key, value in sound.items() if key != "type"}
    if refusals:
        made["refusal"] = "".join(refusals)
    if thoughts:
        made["reasoning_content"] = "".join(thoughts)
    if calls:
        made["tool_calls"] = calls
    elif made["content"] is None and not refusals:
        made["content"] = ""
    return [made]


def _content(parts: list[Part], rendering: Rendering) -> Any:
    blocks = [block for part in parts if (block := _block(part, rendering)) is not None]
    if len(blocks) == 1 and set(blocks[0]) == {"type", "text"}:
        return blocks[0]["text"]
    return blocks or ""


def _block(part: Part, rendering: Rendering) -> dict[str, Any] | None:
    kind, rest = part["type"], words.extras(part, {"detail", "filename"}, rendering)
    modality = part.get("modality")
    detail = {"detail": part["detail"]} if "detail" in part else {}
    if kind == "text":
        return {"type": "text", "text": part["content"], **rest}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["content"], **rest}
    if kind in ("blob", "uri") and modality == "image":
        if kind == "uri" and not words.is_web(part["uri"]) and not rendering.native:
            rendering.refuse("history.uri", "an address that only its provider knows")
            return None
        url = words.data_url(part) if kind == "blob" else part["uri"]
        return {"type": "image_url", "image_url": {"url": url, **detail}, **rest}
    if kind == "blob" and modality == "audio" and words.sound_format(part):
        return {
            "type": "input_audio",
            "input_audio": {"data": part["content"], "format": words.sound_format(part)},
        }
    if kind == "blob" and modality == "document":
        name = part.get("filename") or words.file_name(part)
        return {"type": "file", "file": {"filename": name, "file_data": words.data_url(part)}, **rest}
    if kind == "file" and rendering.native:
        return {"type": "file", "file": {"file_id": part["file_id"]}, **rest}
    return words.native_block(part, rendering)


def _result(part: Part, rendering: Rendering) -> dict[str, Any]:
    """A tool's result; chat takes words only."""
    made: dict[str, Any] = {
        "role": "tool",
        "tool_call_id": words.identity(str(part.get("id") or ""), _ID_LENGTH, any_signs=True),
    }
    if rendering.native:
        made["tool_call_id"] = part.get("id") or ""
    words.result_extras(part, rendering)
    if rendering.native and isinstance(part.get("name"), str):
        made["name"] = part["name"]
    if "content" not in part:
        return {**made, "content": words.result_text(part)}
    blocks: list[dict[str, Any]] = []
    for one in part["content"]:
        if one["type"] == "text":
            blocks.append({"type": "text", "text": one["content"]})
        elif (block := words.native_block(one, rendering, "history.tool_call_response.")) is not None:
            blocks.append(block)
    return {**made, "content": blocks}


def _call(part: Part, custom: set[Any], rendering: Rendering) -> dict[str, Any]:
    name, value = part.get("name", ""), part.get("arguments")
    identity = str(part.get("id") or "")
    identity = identity if rendering.native else words.identity(identity, _ID_LENGTH, any_signs=True)
    rest = words.extras(part, frozenset(), rendering)
    if name in custom and isinstance(value, str):
        return {"id": identity, "type": "custom", "custom": {"name": name, "input": value}, **rest}
    if not isinstance(value, str):
        value = words.json_text({} if value is None else value)
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": value}, **rest}


def answer(answered: NeutralAnswer, created: int) -> dict[str, Any]:
    """The body of an unstreamed reply. A thought is told as `reasoning_content`, which other vendors' chat replies have too."""
    rendering = Rendering(NAME)
    parts = answered.message["parts"]
    for part in parts:
        if part["type"] not in ("text", "reasoning", "refusal", "tool_call", "redacted_thinking"):
            raise NotExpressible(f"answer.{part['type']}", NAME)
    if answered.finish_reason not in _FINISH:
        raise NotExpressible(f"finish_reason.{answered.finish_reason}", NAME)
    text = [part["content"] for part in parts if part["type"] == "text"]
    refusals = [part["content"] for part in parts if part["type"] == "refusal"]
    thoughts = [part["content"] for part in parts if part["type"] == "reasoning" and part["content"]]
    calls = [
        _call(part, set(), rendering)
        for part in conversation.answered_parts(answered.message, answered.response_id)
        if part["type"] == "tool_call"
    ]
    said: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(text) if text else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    if thoughts:
        said["reasoning_content"] = "\n".join(thoughts)
    if calls:
        said["tool_calls"] = calls
    choice = {"index": 0, "message": said, "logprobs": None, "finish_reason": _FINISH[answered.finish_reason]}
    made: dict[str, Any] = {
        "id": answered.response_id,
        "object": "chat.completion",
        "created": created,
        "model": answered.model,
        "choices": [choice],
    }
    if answered.usage:
        made["usage"] = _usage(answered)
    return made


def _usage(answered: NeutralAnswer) -> dict[str, Any]:
    usage = answered.usage
    given, made = usage.input or 0, usage.output or 0
    counts: dict[str, Any] = {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
    if usage.cache_read is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": usage.cache_read}
    if usage.reasoning is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return counts


def stream(body: dict[str, Any], *, include_usage: bool = False) -> tuple[bytes, ...]:
    """The events of a streamed reply; the counts come last, and only to who asked for them (`stream_options`)."""
    head = {
        "id": body.get("id"),
        "object": "chat.completion.chunk",
        "created": body.get("created"),
        "model": body.get("model"),
    }
    events: list[bytes] = []
    for choice in objects(body.get("choices")):
        said, index = mapping(choice.get("message")), choice.get("index", 0)
        events += [
            _chunk(head, {"index": index, "delta": delta, "logprobs": None, "finish_reason": None})
            for delta in _deltas(said)
        ]
        events.append(
            _chunk(
                head,
                {"index": index, "delta": {}, "logprobs": None, "finish_reason": choice.get("finish_reason")},
            )
        )
    if include_usage and body.get("usage"):
        events.append(words.sse({**head, "choices": [], "usage": body["usage"]}))
    return (*events, b"data: [DONE]\n\n")


def _chunk(head: dict[str, Any], choice: dict[str, Any]) -> bytes:
    return words.sse({**head, "choices": [choice]})


def _deltas(said: dict[str, Any]) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": "" if said.get("content") is not None else None}
    ]
    deltas += [{key: said[key]} for key in ("reasoning_content", "content", "refusal") if said.get(key)]
    for index, call in enumerate(objects(said.get("tool_calls"))):
        kind = str(call.get("type", "function"))
        inner = mapping(call.get(kind))
        text = "arguments" if kind == "function" else "input"
        first = {"name": inner.get("name"), text: ""}
        deltas.append({"tool_calls": [{"index": index, "id": call.get("id"), "type": kind, kind: first}]})
        deltas.append({"tool_calls": [{"index": index, kind: {text: inner.get(text, "")}}]})
    return deltas


def error(status: int, kind: str, message: str) -> dict[str, Any]:
    """The body of an error ("Error codes"); the status makes the SDK's exception."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
