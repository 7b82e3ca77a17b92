"""Into OpenAI responses: requests, whole answers, streams, errors.

Source: OpenAI API reference, "Create a model response", "The response object", "Streaming events".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire.content import canonical_json
from spanreel.wire.lenient import objects
from spanreel.wire.rendering import conversation, seals, words
from spanreel.wire.rendering.neutral import NotExpressible, Rendering
from spanreel.wire.rendering.openai_chat import reasoning_level, tool_choice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from spanreel.wire.records import Message, Part
    from spanreel.wire.rendering.neutral import NeutralAnswer, NeutralRequest

NAME: Final = "openai.responses"
_PLAIN: Final = {
    "temperature": "temperature", "top_p": "top_p", "stream": "stream", "parallel_tool_calls": "parallel_tool_calls",
    "max_tokens": "max_output_tokens", "verbosity": "text.verbosity", "reasoning": "", "tool_choice": "", "response_format": "",
}  # fmt: skip
_TOOL_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID_LENGTH: Final = 64


def request(neutral: NeutralRequest, rendering: Rendering) -> tuple[str, dict[str, Any]]:
    """Path and body. `stop`, `seed`, `n`, `top_k` and penalties have no field here."""
    said = rendering.known(neutral.parameters, set(_PLAIN))
    body: dict[str, Any] = {"model": rendering.model}
    if neutral.system:
        body["instructions"] = words.instructions(neutral.system, rendering)
    told = seals.thoughts(conversation.with_ids(list(neutral.messages)), rendering)
    custom = {tool.get("name") for tool in neutral.tools if tool.get("type") == "custom"}
    if told or not rendering.native or "input" in neutral.fields:
        body["input"] = [item for message in told for item in _items(message, custom, rendering)]
    for name in ("temperature", "top_p", "stream", "parallel_tool_calls", "max_tokens"):
        if name in said:
            body[_PLAIN[name]] = said[name]
    text: dict[str, Any] = {}
    if form := said.get("response_format"):
        name = {"name": words.schema_name(form.get("name"))} if form["type"] == "json_schema" else {}
        text["format"] = {**form, **name}
    if "verbosity" in said:
        text["verbosity"] = said["verbosity"]
    if text:
        body["text"] = text
    if "reasoning" in said and (level := reasoning_level(said["reasoning"], rendering)):
        body["reasoning"] = {"effort": level}
    if tools := _tools(neutral, rendering):
        body["tools"] = tools
    if choice := tool_choice(said, rendering, wrapped=False):
        body["tool_choice"] = choice
    rendering.others(neutral.extra, body)
    return "/v1/responses", body


def _tools(neutral: NeutralRequest, rendering: Rendering) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    words.check_names(
        [tool for tool in neutral.tools if tool.get("type") == "function"], _TOOL_NAME, rendering
    )
    for tool in neutral.tools:
        kind = str(tool.get("type"))
        if kind == "function":
            strict = {} if rendering.native else {"strict": tool.get("strict", False)}
            made.append({"type": "function", **words.tool_fields(tool, rendering), **strict})
        elif kind == "custom" and neutral.dialect.startswith("openai."):
            made.append({"type": kind, **words.tool_fields(tool, rendering)})
        elif rendering.native:
            made.append({key: value for key, value in tool.items() if key != "name" or value != kind})
        else:
            rendering.refuse(f"tools.{kind}", "a tool that its provider runs")
    return made


def _items(message: Message, custom: set[Any], rendering: Rendering) -> list[dict[str, Any]]:
    """The items that a message is here: its words in one, each thought, call and result in one of its own."""
    role = message["role"]
    words.message_extras(message, rendering)
    items: list[dict[str, Any]] = []
    for part in message["parts"]:
        kind = part["type"]
        if "native" in part and kind not in _BLOCKS:
            if (block := words.native_block(part, rendering)) is not None:
                items.append(block)
        elif kind == "reasoning":
            items.append(_thought(part, rendering))
        elif kind == "tool_call":
            items.append(_call(part, custom, rendering))
        elif kind == "tool_call_response":
            items.append(_result(part, custom, rendering))
        elif (block := _block(part, role, rendering)) is not None:
            if not items or items[-1].get("type") != "message":
                items.append({"type": "message", "role": role, "content": list[dict[str, Any]]()})
            items[-1]["content"].append(block)
    if role == "assistant":
        return [_spoken(item) for item in items]
    if not items:
        items.append({"type": "message", "role": role, "content": []})
    return items


def _spoken(item: dict[str, Any]) -> dict[str, Any]:
    """What the assistant said: one text as it is; anything else wants the id that it had, or one like it."""
    content = item.get("content")
    if item["type"] != "message" or not isinstance(content, list):
        return item
    if len(content) == 1 and content[0]["type"] == "output_text" and not content[0]["annotations"]:
        return {**item, "content": content[0]["text"]}
    return {
        **item,
        "id": words.identity(f"msg {canonical_json(content)}", 0).replace("call_", "msg_"),
        "status": "completed",
    }


_BLOCKS: Final = frozenset({"input_image", "input_file", "input_audio", "input_text", "output_text"})


def _block(part: Part, role: str, rendering: Rendering) -> dict[str, Any] | None:
    kind, modality = part["type"], part.get("modality")
    if "native" in part:
        return words.native_block(part, rendering)
    rest = words.extras(part, {"detail", "filename"}, rendering)
    if kind == "text":
        if role == "assistant":
            return {"annotations": [], **rest, "type": "output_text", "text": part["content"]}
        return {**rest, "type": "input_text", "text": part["content"]}
    if kind == "refusal":
        return {"type": "refusal", "refusal": part["content"]}
    named = {"filename": part["filename"]} if "filename" in part else {}
    detail = {"detail": part.get("detail", "auto")} if modality == "image" else {}
    wire = {"image": "input_image", "document": "input_file"}.get(str(modality))
    if kind == "file" and wire and rendering.native:
        return {**detail, **named, **rest, "type": wire, "file_id": part["file_id"]}
    if kind == "uri" and wire and (words.is_web(part["uri"]) or rendering.native):
        address = "image_url" if modality == "image" else "file_url"
        return {**detail, **named, **rest, "type": wire, address: part["uri"]}
    if kind == "blob" and modality == "image":
        return {**detail, **rest, "type": wire, "image_url": words.data_url(part)}
    if kind == "blob" and modality == "document":
        name = part.get("filename") or words.file_name(part)
        return {**rest, "type": wire, "filename": name, "file_data": words.data_url(part)}
    if kind == "blob" and modality == "audio" and (form := words.sound_format(part)):
        return {"type": "input_audio", "input_audio": {"data": part["content"], "format": form}}
    return words.native_block(part, rendering)


def _thought(part: Part, rendering: Rendering) -> dict[str, Any]:
    """A thought as it came; its full text is not sent back where there is a summary."""
    rest = {key: value for key, value in words.extras(part, frozenset(), rendering).items() if key != "type"}
    made: dict[str, Any] = {"type": "reasoning", "summary": [], **rest}
    for key in ("id", "summary", "encrypted_content", "status"):
        if part.get(key) is not None:
            made[key] = part[key]
    if not made["summary"] and part["content"]:
        made["summary"] = [{"type": "summary_text", "text": part["content"]}]
    return made


def _call(part: Part, custom: set[Any], rendering: Rendering) -> dict[str, Any]:
    name, value = part.get("name", ""), part.get("arguments")
    rest = words.extras(part, {"item_id"}, rendering)
    if rendering.native and "item_id" in part:
        rest = {"id": part["item_id"], **rest}
    made = {**rest, "call_id": _id(part, rendering), "name": name}
    if name in custom and isinstance(value, str):
        return {"type": "custom_tool_call", **made, "input": value}
    if not isinstance(value, str):
        value = words.json_text({} if value is None else value)
    return {"type": "function_call", **made, "arguments": value}


def _result(part: Part, custom: set[Any], rendering: Rendering) -> dict[str, Any]:
    words.result_extras(part, rendering)
    rest = words.extras(part, {"item_id", "content", "cache_control"}, rendering) if rendering.native else {}
    if rendering.native and "item_id" in part:
        rest = {"id": part["item_id"], **rest}
    made = {"type": "function_call_output", **rest, "call_id": _id(part, rendering)}
    if "content" not in part:
        return {**made, "output": words.result_text(part)}
    blocks = [block for one in part["content"] if (block := _block(one, "user", rendering)) is not None]
    return {**made, "output": blocks}


def _id(part: Part, rendering: Rendering) -> str:
    identity = str(part.get("id") or "")
    return identity if rendering.native else words.identity(identity, _ID_LENGTH, any_signs=True)


def answer(answered: NeutralAnswer, created: int) -> dict[str, Any]:
    """The body of an unstreamed reply: a `response` with its output items."""
    reason = answered.finish_reason
    if reason not in ("stop", "tool_call", "length", "content_filter"):
        raise NotExpressible(f"finish_reason.{reason}", NAME)
    usage = answered.usage
    cut = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reason)
    status = "incomplete" if cut else "completed"
    given, made = usage.input or 0, usage.output or 0
    counts: dict[str, Any] = {
        "input_tokens": given,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write or 0,
        },
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": given + made,
    }
    return {
        "id": answered.response_id,
        "object": "response",
        "created_at": created,
        "status": status,
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "instructions": None,
        "metadata": {},
        "model": answered.model,
        "output": _output(answered, status),
        "parallel_tool_calls": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": counts if usage else None,
    }


def _output(answered: NeutralAnswer, status: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for part in conversation.answered_parts(answered.message, answered.response_id):
        identity = f"{answered.response_id}_{len(items)}"
        kind = part["type"]
        if kind in ("text", "refusal"):
            if not items or items[-1]["type"] != "message":
                items.append(
                    {
                        "id": f"msg_{identity}",
                        "type": "message",
                        "role": "assistant",
                        "status": status,
                        "content": [],
                    }
                )
            items[-1]["content"].append(_said(part))
        elif kind == "tool_call":
            value = part.get("arguments")
            text = value if isinstance(value, str) else words.json_text({} if value is None else value)
            items.append(
                {"id": f"fc_{identity}", "type": "function_call", "status": "completed",
                 "call_id": words.identity(part["id"], _ID_LENGTH, any_signs=True), "name": part["name"], "arguments": text}
            )  # fmt: skip
        elif kind in ("reasoning", "redacted_thinking"):
            items.append(_reasoning(part, f"rs_{identity}"))
        else:
            raise NotExpressible(f"answer.{kind}", NAME)
    return items


def _said(part: Part) -> dict[str, Any]:
    if part["type"] == "refusal":
        return {"type": "refusal", "refusal": part["content"]}
    return {"type": "output_text", "text": part["content"], "annotations": [], "logprobs": []}


def _reasoning(part: Part, identity: str) -> dict[str, Any]:
    """A thought as a summary; one that another model made is sealed, so that it finds its way back."""
    content = part.get("content") if isinstance(part.get("content"), str) else ""
    own = isinstance(part.get("summary"), list)
    return {
        "id": str(part["id"]) if own and part.get("id") else identity,
        "type": "reasoning",
        "summary": part["summary"] if own else [{"type": "summary_text", "text": content}] if content else [],
        "encrypted_content": part.get("encrypted_content") if own else seals.sealed(part),
    }


def stream(body: dict[str, Any]) -> tuple[bytes, ...]:
    """The events of a streamed reply: every item opened, told and closed, then the whole response."""
    events: list[dict[str, Any]] = []
    begun = {**body, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    events += [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, item in enumerate(objects(body.get("output"))):
        opened = {**item, **{key: [] for key in ("content", "summary") if key in item}}
        if item["type"] == "function_call":
            opened["arguments"] = ""
        if "status" in item:
            opened["status"] = "in_progress"
        events.append({"type": "response.output_item.added", "output_index": index, "item": opened})
        place = {"item_id": item.get("id"), "output_index": index}
        events += [{**event, **place} for event in _told(item)]
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": f"response.{body['status']}", "response": body})
    return tuple(
        words.sse({**event, "sequence_number": number}, event["type"]) for number, event in enumerate(events)
    )


def _told(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if item["type"] == "function_call":
        text = item["arguments"]
        yield {"type": "response.function_call_arguments.delta", "delta": text}
        yield {"type": "response.function_call_arguments.done", "arguments": text, "name": item.get("name")}
    elif item["type"] == "reasoning":
        for at, block in enumerate(objects(item.get("summary"))):
            place = {"summary_index": at}
            yield {"type": "response.reasoning_summary_part.added", **place, "part": {**block, "text": ""}}
            yield {"type": "response.reasoning_summary_text.delta", **place, "delta": block["text"]}
            yield {"type": "response.reasoning_summary_text.done", **place, "text": block["text"]}
            yield {"type": "response.reasoning_summary_part.done", **place, "part": block}
    elif item["type"] == "message":
        for at, block in enumerate(objects(item.get("content"))):
            key = "refusal" if block["type"] == "refusal" else "text"
            name = "response.refusal" if key == "refusal" else "response.output_text"
            place, logs = {"content_index": at}, {} if key == "refusal" else {"logprobs": list[Any]()}
            yield {"type": "response.content_part.added", **place, "part": {**block, key: ""}}
            yield {"type": f"{name}.delta", **place, **logs, "delta": block[key]}
            yield {"type": f"{name}.done", **place, **logs, key: block[key]}
            yield {"type": "response.content_part.done", **place, "part": block}


def error(status: int, kind: str, message: str) -> dict[str, Any]:
    """The body of an error ("Error codes"); the status makes the SDK's exception."""
    return {"error": {"message": message, "type": kind, "param": None, "code": None}}
