"""Into Anthropic messages: requests, whole answers, streams, errors.

Source: Anthropic API reference, "Create a message", "Streaming messages", "Errors", "Versions"; user guide, "Tool use", "Extended thinking".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire.lenient import mapping, objects
from spanreel.wire.rendering import conversation, seals, words
from spanreel.wire.rendering.neutral import NotExpressible, Rendering

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanreel.wire.records import Message, Part
    from spanreel.wire.rendering.neutral import NeutralAnswer, NeutralRequest

NAME: Final = "anthropic.messages"
MAX_TOKENS: Final = 8192
"""The longest answer asked for where the source sets no limit and this wire wants one; a thinking budget is added."""

VERSION: Final = "2026-10-21"
VERSION_THAT_SAMPLES: Final = "2023-06-01"
"""Values of `anthropic-version`: the current one, and the one before, which takes `temperature`, `top_p` and `top_k`."""
_SAMPLING: Final = ("temperature", "top_p", "top_k")
_SAMPLES: Final = re.compile(r"claude-(?:[23]\b|instant|(?:opus|sonnet|haiku)-4(?:$|@|-20|-[0-6](?!\d)))")
"""Claude models that take sampling parameters and a thinking budget: those up to 4.6."""
_EXPRESSIBLE: Final = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "stop", "stream", "reasoning", "tool_choice", "response_format",
     "parallel_tool_calls"}
)  # fmt: skip
_LEVELS: Final = frozenset({"low", "medium", "high", "xhigh", "max"})
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_CHOICES: Final = {"auto": "auto", "required": "any", "none": "none"}
_STOP: Final = {
    "stop": "end_turn", "length": "max_tokens", "tool_call": "tool_use", "content_filter": "refusal", "pause": "pause_turn",
}  # fmt: skip


def request(neutral: NeutralRequest, rendering: Rendering) -> tuple[str, dict[str, Any]]:
    """Path and body. `seed`, `n`, penalties and `verbosity` have no field here; an answer is limited by `MAX_TOKENS`."""
    said = rendering.known(neutral.parameters, _EXPRESSIBLE)
    reasoning = mapping(said.get("reasoning"))
    body: dict[str, Any] = {"model": rendering.model, "max_tokens": said.get("max_tokens", MAX_TOKENS)}
    budget = reasoning.get("budget")
    if "max_tokens" not in said and isinstance(budget, int) and budget > 0:
        body["max_tokens"] = MAX_TOKENS + budget
    if neutral.system:
        blocks = [block for part in neutral.system if (block := _block(part, rendering)) is not None]
        body["system"] = blocks
    body["messages"] = _messages(list(neutral.messages), rendering)
    if not body["messages"] and not rendering.native:
        rendering.refuse("messages", "somebody has to say something there")
    _sample(said, body, rendering)
    if "stream" in said:
        body["stream"] = said["stream"]
    if said.get("stop"):
        body["stop_sequences"] = said["stop"]
    _think(reasoning, body, rendering)
    if form := said.get("response_format"):
        _format(form, body, neutral, rendering)
    if tools := _tools(neutral, rendering):
        body["tools"] = tools
    if choice := _choice(said, rendering, bool(tools)):
        body["tool_choice"] = choice
    rendering.others(neutral.extra, body)
    return "/v1/messages", body


def _sample(said: dict[str, Any], body: dict[str, Any], rendering: Rendering) -> None:
    """How to sample, where the model takes it: those after Claude 4.6, and the API of `VERSION`, refuse any value."""
    found = {name: said[name] for name in _SAMPLING if name in said}
    if not rendering.native:
        rendering.headers["anthropic-version"] = VERSION
        for name in list(found):
            if not _samples(rendering.model):
                rendering.refuse(name, f"{rendering.model} takes none")
                del found[name]
        if _above_one(found.get("temperature")):
            rendering.refuse("temperature", "it ends at 1 there")
            del found["temperature"]
        if found:
            rendering.headers["anthropic-version"] = VERSION_THAT_SAMPLES
    body.update(found)


def _samples(model: str) -> bool:
    """Whether a model takes sampling parameters and a thinking budget; other vendors' models on this wire do."""
    return "claude" not in model or _SAMPLES.search(model) is not None


def _above_one(value: Any) -> bool:
    return isinstance(value, (int, float)) and value > 1


def _think(reasoning: dict[str, Any], body: dict[str, Any], rendering: Rendering) -> None:
    level, budget = reasoning.get("level"), reasoning.get("budget")
    shown = reasoning.get("shown")
    display = {"display": shown} if isinstance(shown, str) else {}
    if level == "none" or budget == 0:
        body["thinking"] = {"type": "disabled", **display}
        level = None if level == "none" else level
    elif isinstance(budget, int) and budget > 0:
        if not rendering.native and not _samples(rendering.model):
            rendering.refuse("reasoning.budget", f"{rendering.model} takes none")
            return
        body["thinking"] = {"type": "enabled", "budget_tokens": budget, **display}
    elif reasoning.get("adaptive") or budget == -1 or (level is not None and not rendering.native):
        body["thinking"] = {"type": "adaptive", **display}
    if level is not None:
        if level not in _LEVELS and not rendering.native:
            rendering.refuse("reasoning.level", f"no effort is called {level}")
            body.pop("thinking", None)
            return
        body["output_config"] = {"effort": level}
    if shown is True and not display:
        rendering.leave("reasoning.shown")


def _format(
    form: dict[str, Any], body: dict[str, Any], neutral: NeutralRequest, rendering: Rendering
) -> None:
    if form["type"] == "text":
        return
    if form["type"] == "json_object" or not isinstance(form.get("schema"), dict):
        rendering.refuse("response_format", "JSON is asked for by a schema there")
        return
    made = {"type": "json_schema", "schema": form["schema"]}
    if rendering.native and "output_format" in neutral.fields:
        body["output_format"] = made
    else:
        body["output_config"] = {**body.get("output_config", {}), "format": made}


def _tools(neutral: NeutralRequest, rendering: Rendering) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    words.check_names(
        [tool for tool in neutral.tools if tool.get("type") == "function"], _TOOL_NAME, rendering
    )
    for tool in neutral.tools:
        if tool.get("type") == "function":
            fields = words.tool_fields(tool, rendering)
            schema = fields.pop("parameters", None)
            made.append({**fields, "input_schema": schema or {"type": "object", "properties": {}}})
        elif rendering.native:
            made.append(tool)
        else:
            rendering.refuse(f"tools.{tool.get('type')}", "a tool that its provider runs")
    return made


def _choice(said: dict[str, Any], rendering: Rendering, tools: bool) -> dict[str, Any] | None:
    choice, parallel = said.get("tool_choice"), said.get("parallel_tool_calls")
    if not choice and (parallel is not False or not tools):
        return None
    names = (choice or {}).get("names") or ()
    if len(names) > 1:
        rendering.refuse("tool_choice", "it names one tool or none there")
        return None
    mode = (choice or {"mode": "auto"})["mode"]
    made: dict[str, Any] = {"type": "tool", "name": names[0]} if names else {"type": _CHOICES[mode]}
    if isinstance(parallel, bool) and mode != "none" and (parallel is False or rendering.native):
        made["disable_parallel_tool_use"] = not parallel
    return made


def _messages(told: list[Message], rendering: Rendering) -> list[dict[str, Any]]:
    """Turns of alternating roles; a user's turn begins with the results of the tools that the assistant asked for."""
    turns: list[dict[str, Any]] = []
    for message in seals.thoughts(conversation.with_ids(told), rendering):
        role = {"tool": "user"}.get(message["role"], message["role"])
        rest = words.message_extras(message, rendering)
        blocks = [block for part in message["parts"] if (block := _block(part, rendering)) is not None]
        if turns and turns[-1]["role"] == role and not rest:
            turns[-1]["content"] += blocks
        elif blocks or rendering.native:
            turns.append({"role": role, **rest, "content": blocks})
    for turn in turns:
        if turn["role"] == "user":
            turn["content"].sort(key=lambda block: block.get("type") != "tool_result")
    return turns


def _block(part: Part, rendering: Rendering) -> dict[str, Any] | None:
    kind = part["type"]
    if "native" in part:
        return part["native"] if part.get("returned") else words.native_block(part, rendering)
    rest = words.extras(part, {"content", "tool_use_id"}, rendering) if kind != "reasoning" else {}
    if kind in ("text", "refusal"):
        return (
            {**rest, "type": "text", "text": part["content"]} if part["content"] or rendering.native else None
        )
    if kind == "reasoning":
        thought = {"type": "thinking", "thinking": part["content"]}
        return {**thought, "signature": part["signature"]} if "signature" in part else thought
    if kind == "tool_call":
        identity = part["id"] if rendering.native else words.identity(part["id"], 128)
        value = part.get("arguments") if rendering.native else words.arguments(part, rendering)
        return {**rest, "type": "tool_use", "id": identity, "name": part.get("name", ""), "input": value}
    if kind == "tool_call_response":
        return _result(part, rest, rendering)
    return _media(part, rest, rendering)


def _result(part: Part, rest: dict[str, Any], rendering: Rendering) -> dict[str, Any]:
    made: dict[str, Any] = {**rest, "type": "tool_result", "tool_use_id": part["id"]}
    if not rendering.native:
        made = {"type": "tool_result", "tool_use_id": words.identity(part["id"], 128)}
    if isinstance(part.get("is_error"), bool) and (part["is_error"] or rendering.native):
        made["is_error"] = part["is_error"]
    if isinstance(part.get("content"), list):
        made["content"] = [block for one in part["content"] if (block := _block(one, rendering)) is not None]
    elif part.get("response") is not None:
        made["content"] = words.json_text(part["response"])
    return made


def _media(part: Part, rest: dict[str, Any], rendering: Rendering) -> dict[str, Any] | None:
    kind, modality, mime = part["type"], part.get("modality"), str(part.get("mime_type") or "")
    source: dict[str, Any] | None = None
    if modality not in ("image", "document"):
        return words.native_block(part, rendering)
    if kind == "uri" and (words.is_web(part["uri"]) or rendering.native):
        source = {"type": "url", "url": part["uri"]}
    elif kind == "file" and rendering.native:
        source = {"type": "file", "file_id": part["file_id"]}
    elif kind == "blob" and (mime in _IMAGES or mime == "application/pdf" or rendering.native):
        source = {"type": "base64", **({"media_type": mime} if mime else {}), "data": part["content"]}
    if source is None:
        return words.native_block(part, rendering)
    return {**rest, "type": modality, "source": source}


def answer(answered: NeutralAnswer, created: int) -> dict[str, Any]:
    """The body of an unstreamed reply: a message."""
    if answered.finish_reason not in _STOP:
        raise NotExpressible(f"finish_reason.{answered.finish_reason}", NAME)
    blocks: list[dict[str, Any]] = []
    for part in conversation.answered_parts(answered.message, answered.response_id):
        kind = part["type"]
        if kind in ("text", "refusal"):
            blocks.append({"type": "text", "text": part["content"], "citations": None})
        elif kind == "tool_call":
            value = words.arguments(part, Rendering(NAME))
            blocks.append(
                {
                    "type": "tool_use",
                    "id": words.identity(part["id"], 128),
                    "name": part["name"],
                    "input": value,
                }
            )
        elif kind == "reasoning":
            own = isinstance(part.get("signature"), str)
            seal = part["signature"] if own else seals.sealed(part)
            blocks.append({"type": "thinking", "thinking": part["content"], "signature": seal})
        elif kind == "redacted_thinking" and isinstance(part.get("data"), str):
            blocks.append({"type": "redacted_thinking", "data": part["data"]})
        else:
            raise NotExpressible(f"answer.{kind}", NAME)
    usage = answered.usage
    read, written = usage.cache_read or 0, usage.cache_write or 0
    thoughts = None if usage.reasoning is None else {"thinking_tokens": usage.reasoning}
    counts = {
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation_input_tokens": usage.cache_write,
        "output_tokens_details": thoughts,
    }
    return {
        "id": answered.response_id,
        "type": "message",
        "role": "assistant",
        "model": answered.model,
        "content": blocks,
        "stop_reason": _STOP[answered.finish_reason],
        "stop_sequence": None,
        "usage": {
            "input_tokens": max((usage.input or 0) - read - written, 0),
            "output_tokens": usage.output or 0,
            **{key: count for key, count in counts.items() if count is not None},
        },
    }


def stream(body: dict[str, Any]) -> tuple[bytes, ...]:
    """The events of a streamed reply: the message opened, each block opened, told and closed, then why it stopped."""
    usage = mapping(body.get("usage"))
    begun = {key: count for key, count in usage.items() if key != "output_tokens_details"}
    start = {**body, "content": [], "stop_reason": None, "usage": {**begun, "output_tokens": 0}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(objects(body.get("content"))):
        empty, deltas = _pieces(block)
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    why = {"stop_reason": body.get("stop_reason"), "stop_sequence": body.get("stop_sequence")}
    events += [{"type": "message_delta", "delta": why, "usage": usage}, {"type": "message_stop"}]
    return tuple(words.sse(event, event["type"]) for event in events)


def _pieces(block: dict[str, Any]) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """A block as it is opened, and what is told of it after."""
    kind = block["type"]
    if kind == "text":
        return {**block, "text": ""}, iter([{"type": "text_delta", "text": block["text"]}])
    if kind == "tool_use":
        text = words.json_text(block["input"])
        return {**block, "input": {}}, iter([{"type": "input_json_delta", "partial_json": text}])
    if kind == "thinking":
        told = {"type": "thinking_delta", "thinking": block["thinking"]}
        seal = {"type": "signature_delta", "signature": block["signature"]}
        return {**block, "thinking": "", "signature": ""}, iter([told, seal])
    return block, iter([])


_ERRORS: Final = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error",
    404: "not_found_error", 408: "timeout_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error",
    504: "timeout_error", 529: "overloaded_error",
}  # fmt: skip


def error(status: int, kind: str, message: str) -> dict[str, Any]:
    """The body of an error; its type is Anthropic's for the status, unless the given one is Anthropic's."""
    known = (
        kind
        if kind in _ERRORS.values()
        else _ERRORS.get(status) or ("api_error" if status >= 500 else "invalid_request_error")
    )
    return {"type": "error", "error": {"type": known, "message": message}}
