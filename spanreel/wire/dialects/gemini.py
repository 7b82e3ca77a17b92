"""Gemini's generateContent, on Google's Gemini API and on Vertex AI.

Names are read in both spellings that the API takes (`functionCall`, `function_call`). The model is in the path, so the
request's body names none. A streamed reply (server-sent events, or one JSON array) is assembled into the body that the
same call would have had unstreamed; one reader reads both.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import attributes as names
from spanreel.wire import lenient, messages
from spanreel.wire.assembly import call_of
from spanreel.wire.dialect import Call, Reply
from spanreel.wire.framing import sse
from spanreel.wire.history import told
from spanreel.wire.lenient import first_count, mapping, objects
from spanreel.wire.records import Content, Message, Part
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH: Final = re.compile(r"/(?:models|tunedModels|endpoints)/[^/]+:(?:streamG|g)enerateContent/?$")
_SNAKE: Final = re.compile(r"_([a-z])")
_PARAMETERS: Final = {
    "temperature": names.REQUEST_TEMPERATURE,
    "topP": names.REQUEST_TOP_P,
    "topK": names.REQUEST_TOP_K,
    "seed": names.REQUEST_SEED,
    "maxOutputTokens": names.REQUEST_MAX_TOKENS,
    "stopSequences": names.REQUEST_STOP_SEQUENCES,
    "frequencyPenalty": names.REQUEST_FREQUENCY_PENALTY,
    "presencePenalty": names.REQUEST_PRESENCE_PENALTY,
    "candidateCount": names.REQUEST_CHOICE_COUNT,
}
_PARTIAL: Final = ("stringValue", "numberValue", "boolValue")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[['\"]([^'\"]*)['\"]\]|\[(\d{1,6})\]")
_DEPTH: Final = 24
_WRAPPERS: Final = ("result", "output", "error")
"""What SDKs wrap a tool's result in that is not an object, and what the API calls a result and an error."""


@dataclass(frozen=True, slots=True)
class Gemini:
    """The dialect of `POST …/models/{model}:generateContent` and `:streamGenerateContent`."""

    name: str = "gemini"
    operation: str = "generate_content"
    provider: str = "gcp.gemini"

    def recognises(self, path: str, body: bytes) -> bool:
        return _PATH.search(path) is not None and b'"contents"' in body

    def read(self, request: Mapping[str, Any], reply: Reply | None) -> Call:
        answer, finished, streamed = _answer(reply)
        candidates = [_camel(candidate) for candidate in objects(answer.get("candidates"))]
        reasons = tuple(reason for one in candidates if (reason := lenient.text(one.get("finishReason"))))
        blocked = lenient.text(mapping(answer.get("promptFeedback")).get("blockReason"))
        asked = _camel(request)
        return call_of(
            {**request, "stream": streamed or request.get("stream") is True},
            reply,
            {**answer, "model": answer.get("modelVersion"), "id": answer.get("responseId")},
            finished=finished,
            usage=_usage(mapping(answer.get("usageMetadata"))),
            finish_reasons=reasons or ((blocked,) if blocked and not candidates else ()),
            content=Content(
                system=system(asked.get("systemInstruction")),
                input=_contents(asked["contents"]) if "contents" in asked else None,
                output=[_output(candidate) for candidate in candidates] if candidates else None,
                tools=_tools(asked.get("tools")),
                parameters=_parameters(_camel(mapping(asked.get("generationConfig")))),
            ),
        )


DIALECT = Gemini()


def _camel(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object with its own names in the API's spelling; objects within it stay as they are."""
    return {
        (_SNAKE.sub(lambda found: found[1].upper(), key) if "_" in key else key): item
        for key, item in value.items()
    }


def _answer(reply: Reply | None) -> tuple[dict[str, Any], bool, bool]:
    """The reply as one unstreamed body, whether it is whole, and whether it came as a stream."""
    if reply is None:
        return {}, False, False
    if lenient.is_event_stream(reply.body, reply.content_type):
        return *_assembled([lenient.event(event) for event in sse.events(reply.body)]), True
    start = reply.body[:64].lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    if start == b"[":
        return *_assembled(_elements(reply.body)), True
    value = lenient.parse(reply.body)
    return _camel(mapping(value)), isinstance(value, dict), False


def _elements(body: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON array, of one that was cut off too."""
    whole = lenient.parse(body)
    if isinstance(whole, list):
        return objects(whole)
    text = body.decode("utf-8", "replace")
    at, found, decode = text.find("[") + 1, list[dict[str, Any]](), json.JSONDecoder().raw_decode
    while (at := text.find("{", at)) >= 0:
        try:
            _, end = decode(text, at)
        except (ValueError, RecursionError):
            break
        found += objects([lenient.parse(text[at:end])])
        at = end
    return found


def _assembled(chunks: list[dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """The body of the call unstreamed; whole when every candidate that was begun has its end."""
    answer: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for chunk in map(_camel, chunks):
        for one in map(_camel, objects(chunk.pop("candidates", None))):
            index = lenient.count(one.get("index")) or 0
            _continue(candidates.setdefault(index, {"parts": list[dict[str, Any]]()}), one)
        counts = {**mapping(answer.get("usageMetadata")), **_camel(mapping(chunk.pop("usageMetadata", None)))}
        answer.update({key: value for key, value in chunk.items() if value is not None and key != "type"})
        if counts:
            answer["usageMetadata"] = counts
    if candidates:
        answer["candidates"] = [_closed(candidates[index]) for index in sorted(candidates)]
    ended = [bool(one.get("finishReason")) for one in answer.get("candidates", ())]
    return answer, all(ended) if ended else "promptFeedback" in answer or "error" in answer


def _continue(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    content = mapping(delta.pop("content", None))
    whole.update({key: value for key, value in delta.items() if value is not None})
    whole["role"] = content.get("role") or whole.get("role")
    for part in map(_camel, objects(content.get("parts"))):
        _add(whole["parts"], part)


def _add(parts: list[dict[str, Any]], part: dict[str, Any]) -> None:
    """A part of the stream; a text goes on with the last one if both are thoughts, or both are not."""
    said, last = part.get("text"), parts[-1] if parts else {}
    call, begun = part.get("functionCall"), last.get("functionCall")
    if isinstance(begun, dict) and begun.get("willContinue") is True and isinstance(call, dict):
        _call_on(begun, call)
        return
    if isinstance(call, dict) and call.get("willContinue") is True:
        begun = part["functionCall"] = {"willContinue": True}
        _call_on(begun, call)
    if not isinstance(said, str):
        parts.append(part)
    elif isinstance(last.get("text"), lenient.Pieces) and last.get("thought") == part.get("thought"):
        last["text"].append(said)
        last.update({key: value for key, value in part.items() if key != "text"})
    else:
        parts.append({**part, "text": lenient.Pieces([said])})


def _call_on(begun: dict[str, Any], call: dict[str, Any]) -> None:
    """A call whose arguments come in pieces (`partialArgs`, on Vertex AI) goes on; the piece without `willContinue` ends it."""
    said = _camel(call)
    partial = objects(said.pop("partialArgs", None))
    begun.pop("willContinue")
    begun.update({key: value for key, value in said.items() if value is not None})
    for one in map(_camel, partial):
        found = _STEP.findall(str(one.get("jsonPath")).removeprefix("$"))
        steps = [int(index) if index else name or quoted for name, quoted, index in found]
        if steps and len(steps) <= _DEPTH:
            begun["args"] = _grown(begun.get("args"), steps, one)


def _grown(value: Any, steps: list[str | int], piece: Mapping[str, Any]) -> Any:
    """The arguments with a piece put at its place; a text goes on."""
    if not steps:
        told = next((piece[key] for key in _PARTIAL if piece.get(key) is not None), None)
        return value + told if isinstance(value, str) and isinstance(told, str) else told
    first, rest = steps[0], steps[1:]
    if isinstance(first, str):
        whole = value if isinstance(value, dict) else {}
        whole[first] = _grown(whole.get(first), rest, piece)
        return whole
    items = value if isinstance(value, list) else []
    if first < len(items):
        items[first] = _grown(items[first], rest, piece)
    else:
        items.append(_grown(None, rest, piece))
    return items


def _closed(candidate: dict[str, Any]) -> dict[str, Any]:
    parts = [{key: lenient.settle(value) for key, value in part.items()} for part in candidate.pop("parts")]
    content = {"role": candidate.pop("role", None) or "model", "parts": parts}
    return {"content": content, **candidate}


def _usage(said: Mapping[str, Any]) -> Usage:
    """Google counts thoughts and the tokens of its own tools' results beside the candidates and the prompt."""
    counts = _camel(said)
    prompt, tools = first_count(counts, "promptTokenCount"), first_count(counts, "toolUsePromptTokenCount")
    made, thoughts = first_count(counts, "candidatesTokenCount"), first_count(counts, "thoughtsTokenCount")
    return Usage(
        input=None if prompt is None else prompt + (tools or 0),
        output=None if made is None and thoughts is None else (made or 0) + (thoughts or 0),
        cache_read=first_count(counts, "cachedContentTokenCount"),
        reasoning=thoughts,
    )


def _parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: config[key] for key, name in _PARAMETERS.items() if config.get(key) is not None}
    thinking = _camel(mapping(config.get("thinkingConfig")))
    if level := lenient.text(thinking.get("thinkingLevel")):
        found[names.REQUEST_REASONING_LEVEL] = level.lower()
    if lenient.text(config.get("responseMimeType")) == "application/json":
        found[names.OUTPUT_TYPE] = "json"
    return found


def _tools(tools: Any) -> list[dict[str, Any]] | None:
    """Declared functions one by one; a tool of the provider's own under its name, such as ``googleSearch``."""
    found: list[dict[str, Any]] = []
    for tool in map(_camel, objects(tools if isinstance(tools, list) else [tools])):
        for declared in objects(tool.pop("functionDeclarations", None)):
            said = _camel(declared)
            schema = said.pop("parametersJsonSchema", None)
            made: dict[str, Any] = {
                "type": "function",
                "name": said.get("name", ""),
                "description": said.get("description"),
                "parameters": said.get("parameters") if schema is None else schema,
            }
            found.append(messages.extended(made, said, ()))
        found += [{"type": name, "name": name, name: value} for name, value in tool.items()]
    return found or None


def _contents(contents: Any) -> list[Message]:
    if isinstance(contents, list):
        return told(contents, _say)
    found: list[Message] = []
    _say(found, contents)
    return found


def _say(found: list[Message], said: Any) -> None:
    if isinstance(said, dict):
        found.append(messages.message(said.get("role"), _parts(said.get("parts"))))
    elif isinstance(said, str):
        found.append(messages.message("user", [messages.text(said)]))


def _output(candidate: Mapping[str, Any]) -> Message:
    content = mapping(candidate.get("content"))
    parts, reason = _parts(content.get("parts")), lenient.text(candidate.get("finishReason"))
    if reason == "STOP" and any(one["type"] == "tool_call" for one in parts):
        reason = "tool_call"  # the wire has no word for it
    return messages.message("assistant", parts, reason)


def system(instruction: Any) -> list[Part] | None:
    """The parts of a system instruction: a content, its parts, or a text."""
    if instruction is None:
        return None
    if isinstance(instruction, dict):
        return _parts(instruction.get("parts", [instruction]))
    return _parts(instruction)


def _parts(parts: Any) -> list[Part]:
    return messages.blocks([parts] if isinstance(parts, dict) else parts, part)


def part(block: Any) -> Part:
    """One part of a content."""
    if not isinstance(block, dict):
        return messages.generic(block)
    said = _camel(block)
    if isinstance(said.get("text"), str):
        make = messages.reasoning if said.get("thought") is True else messages.text
        return messages.extended(make(said["text"]), said, {"text", "thought"})
    for key, read in (
        ("functionCall", _call),
        ("functionResponse", _response),
        ("inlineData", _blob),
        ("fileData", _file),
    ):
        if isinstance(said.get(key), dict) and (made := read(_camel(said[key]))) is not None:
            return messages.extended(made, said, {key})
    return messages.generic(
        {**said, "type": next((key for key in said if key not in ("thought", "thoughtSignature")), "")}
    )


def _call(call: dict[str, Any]) -> Part:
    args = call.get("args")
    made = messages.tool_call(call.get("id"), call.get("name"), {} if args is None else args)
    return messages.extended(made, call, {"args"})


def _response(answer: dict[str, Any]) -> Part:
    """What a tool answered, out of the object that a result must be on this wire; `wrapper` is the key it was under."""
    response, extra = answer.get("response"), dict[str, Any]()
    if isinstance(response, dict) and len(response) == 1:
        key, value = next(iter(response.items()))
        if key in _WRAPPERS and not isinstance(value, dict):
            response, extra = value, {"wrapper": key} if key != "result" else {}
    made = messages.tool_call_response(answer.get("id"), response)
    return messages.extended({**made, **extra}, answer, {"response"})


def _blob(data: dict[str, Any]) -> Part | None:
    kind = lenient.text(data.get("mimeType"))
    if not isinstance(data.get("data"), str):
        return None
    made = messages.blob(data["data"], _modality(kind), kind)
    return messages.extended(made, data, {"data", "mimeType"})


def _file(data: dict[str, Any]) -> Part | None:
    kind, uri = lenient.text(data.get("mimeType")), lenient.text(data.get("fileUri"))
    if uri is None:
        return None
    made: Part = {"type": "uri", "modality": _modality(kind), "uri": uri}
    return messages.extended({**made, "mime_type": kind} if kind else made, data, {"fileUri", "mimeType"})


def _modality(mime_type: str | None) -> str:
    kind = (mime_type or "").partition("/")[0]
    return kind if kind in ("image", "audio", "video") else "document"
