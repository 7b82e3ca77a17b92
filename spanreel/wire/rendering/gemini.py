"""Into Gemini's generateContent: requests, whole answers, streams, errors.

Source: Gemini API reference, "models.generateContent", "Content", "GenerationConfig", "FunctionCallingConfig",
"GenerateContentResponse"; guides "Thinking" and "Thought signatures".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from spanreel.wire.lenient import mapping, objects
from spanreel.wire.rendering import conversation, seals, words
from spanreel.wire.rendering.neutral import NotExpressible, Rendering

if TYPE_CHECKING:
    from spanreel.wire.records import Part
    from spanreel.wire.rendering.neutral import NeutralAnswer, NeutralRequest

NAME: Final = "gemini"
_PLAIN: Final = {
    "temperature": "temperature", "top_p": "topP", "top_k": "topK", "seed": "seed", "max_tokens": "maxOutputTokens",
    "stop": "stopSequences", "presence_penalty": "presencePenalty", "frequency_penalty": "frequencyPenalty",
    "n": "candidateCount",
}  # fmt: skip
_EXPRESSIBLE: Final = frozenset({*_PLAIN, "stream", "reasoning", "tool_choice", "response_format"})
_TOOL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}")
_STOPS: Final = 5
_LEVELS: Final = frozenset({"minimal", "low", "medium", "high"})
_BUDGETS: Final = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""An effort as a budget, for models before Gemini 3 (guide "OpenAI compatibility", table of `reasoning_effort`)."""
_MODES: Final = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_STOP: Final = {"stop": "STOP", "tool_call": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}
_CHECKS_SIGNATURES: Final = re.compile(r"gemini-(?:[3-9]|\d\d)")
_UNSIGNED: Final = "skip_thought_signature_validator"
"""What Google takes in place of the signature of a call that its model did not make."""
_MIME_TYPES: Final = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "gif": "image/gif",
    "pdf": "application/pdf", "wav": "audio/wav", "mp3": "audio/mp3", "mp4": "video/mp4", "txt": "text/plain",
}  # fmt: skip


def request(neutral: NeutralRequest, rendering: Rendering) -> tuple[str, dict[str, Any]]:
    """Path and body. `verbosity` and `parallel_tool_calls` have no field here, nor has a system message in the middle."""
    said = rendering.known(neutral.parameters, _EXPRESSIBLE)
    body: dict[str, Any] = {}
    if neutral.system:
        parts = [block for part in neutral.system if (block := _part(part, {}, rendering)) is not None]
        body["systemInstruction"] = {"parts": parts}
    body["contents"] = _contents(neutral, rendering)
    if not body["contents"] and not rendering.native:
        rendering.refuse("messages", "somebody has to say something there")
    config: dict[str, Any] = {wire: said[name] for name, wire in _PLAIN.items() if name in said}
    if config.get("candidateCount") == 1 and not rendering.native:
        del config["candidateCount"]
    if len(said.get("stop") or ()) > _STOPS and not rendering.native:
        rendering.refuse("stop", f"at most {_STOPS} sequences")
        del config["stopSequences"]
    if form := said.get("response_format"):
        config["responseMimeType"] = "text/plain" if form["type"] == "text" else "application/json"
        if isinstance(form.get("schema"), dict):
            config["responseJsonSchema"] = form["schema"]
    if thinking := _thinking(mapping(said.get("reasoning")), rendering):
        config["thinkingConfig"] = thinking
    if config:
        body["generationConfig"] = config
    if tools := _tools(neutral, rendering):
        body["tools"] = tools
    if choice := said.get("tool_choice"):
        calling: dict[str, Any] = {"mode": _MODES[choice["mode"]]}
        if choice.get("names"):
            calling["allowedFunctionNames"] = list(choice["names"])
        body["toolConfig"] = {"functionCallingConfig": calling}
    rendering.others(neutral.extra, body)
    method = "streamGenerateContent?alt=sse" if said.get("stream") is True else "generateContent"
    return f"/v1beta/models/{quote(rendering.model, safe='')}:{method}", body


def _thinking(reasoning: dict[str, Any], rendering: Rendering) -> dict[str, Any]:
    made: dict[str, Any] = {}
    level, budget, shown = reasoning.get("level"), reasoning.get("budget"), reasoning.get("shown")
    if shown is not None:
        made["includeThoughts"] = shown if isinstance(shown, bool) else shown != "omitted"
    if budget is not None:
        made["thinkingBudget"] = budget
    elif level == "none":
        made["thinkingBudget"] = 0
    elif level is None and reasoning.get("adaptive"):
        made["thinkingBudget"] = -1
    if level is None or level == "none" or (budget is not None and not rendering.native):
        return made
    if level not in _LEVELS and not rendering.native:
        rendering.refuse("reasoning.level", f"no level is called {level}")
    elif rendering.native or _CHECKS_SIGNATURES.match(rendering.model):
        made["thinkingLevel"] = str(level).upper()
    else:
        made["thinkingBudget"] = _BUDGETS[level]
    return made


def _tools(neutral: NeutralRequest, rendering: Rendering) -> list[dict[str, Any]]:
    declared: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    words.check_names(
        [tool for tool in neutral.tools if tool.get("type") == "function"], _TOOL_NAME, rendering
    )
    for tool in neutral.tools:
        kind = str(tool.get("type"))
        if kind == "function":
            fields = words.tool_fields(tool, rendering)
            if fields.pop("strict", None):
                rendering.leave("tools.strict")
            schema = fields.pop("parameters", None)
            declared.append({**fields, **({"parametersJsonSchema": schema} if schema else {})})
        elif rendering.native:
            others.append({kind: tool.get(kind)})
        else:
            rendering.refuse(f"tools.{kind}", "a tool that its provider runs")
    return [*([{"functionDeclarations": declared}] if declared else []), *others]


def _contents(neutral: NeutralRequest, rendering: Rendering) -> list[dict[str, Any]]:
    """Turns of user and model; what tools answered is the user's."""
    told = list(neutral.messages)
    named = conversation.names_of_calls(conversation.with_ids(told))
    if not rendering.native:
        told = conversation.with_ids(told)
    turns: list[dict[str, Any]] = []
    last = ""
    for message in seals.thoughts(told, rendering):
        words.message_extras(message, rendering)
        role = message["role"]
        if role == "system":
            rendering.refuse("history.system", "instructions come first there")
            continue
        parts = [block for part in message["parts"] if (block := _part(part, named, rendering)) is not None]
        wire = {"assistant": "model", "tool": "user"}.get(role, role if rendering.native else "user")
        if wire == "model" and not rendering.native and _CHECKS_SIGNATURES.match(rendering.model):
            _sign(parts)
        if turns and turns[-1]["role"] == wire and (last == "tool" or not rendering.native):
            turns[-1]["parts"] += parts
        elif parts or rendering.native:
            turns.append({"role": wire, "parts": parts})
        last = role
    return turns


def _sign(parts: list[dict[str, Any]]) -> None:
    """The first call of a step has a signature."""
    first = next((part for part in parts if "functionCall" in part), None)
    if first is not None:
        first.setdefault("thoughtSignature", _UNSIGNED)


def _part(part: Part, named: dict[str, str], rendering: Rendering) -> dict[str, Any] | None:
    kind = part["type"]
    if "native" in part:
        native = words.native_block(part, rendering)
        return None if native is None else {key: value for key, value in native.items() if key != "type"}
    if kind in ("text", "refusal"):
        rest = words.extras(part, frozenset(), rendering)
        return {"text": part["content"], **rest} if part["content"] or rest or rendering.native else None
    if kind == "reasoning":
        seal = {"thoughtSignature": part["thoughtSignature"]} if "thoughtSignature" in part else {}
        return {"text": part["content"], "thought": True, **seal}
    if kind == "tool_call":
        rest = words.extras(part, frozenset(), rendering)
        args = part.get("arguments") if rendering.native else words.arguments(part, rendering)
        identity = {"id": part["id"]} if part.get("id") else {}
        return {"functionCall": {**identity, "name": part.get("name", ""), "args": args}, **rest}
    if kind == "tool_call_response":
        return {"functionResponse": _result(part, named, rendering)}
    return _media(part, rendering)


def _result(part: Part, named: dict[str, str], rendering: Rendering) -> dict[str, Any]:
    """A tool's result, which is an object here: any other value is its `result`, a failure its `error`."""
    identity = str(part.get("id") or "")
    name = part.get("name") if isinstance(part.get("name"), str) else None
    made: dict[str, Any] = {
        **({"id": identity} if identity else {}),
        "name": name or named.get(identity) or "",
    }
    rest = words.extras(part, {"content", "cache_control"}, rendering)
    response = part.get("response")
    pictures: list[dict[str, Any]] = []
    if "content" in part:
        response = "\n".join(one["content"] for one in part["content"] if one["type"] == "text")
        told = [_part(one, {}, rendering) for one in part["content"] if one["type"] != "text"]
        pictures = [one for one in told if one is not None]
    if not made["name"] and not rendering.native:
        rendering.refuse("history.tool_call_response", "no call has its id, so its tool has no name")
    if part.get("cache_control"):
        rendering.leave("cache_control")
    key = "error" if part.get("is_error") is True else part.get("wrapper", "result")
    wrapped = response if isinstance(response, dict) else {key: response}
    return {**made, **rest, "response": wrapped, **({"parts": pictures} if pictures else {})}


def _media(part: Part, rendering: Rendering) -> dict[str, Any] | None:
    kind, mime = part["type"], part.get("mime_type")
    rest = words.extras(part, {"filename"}, rendering)
    if kind == "blob":
        return {"inlineData": {**({"mimeType": mime} if mime else {}), "data": part["content"]}, **rest}
    if kind == "uri" and (words.is_web(part["uri"]) or rendering.native):
        mime = mime or _MIME_TYPES.get(part["uri"].partition("?")[0].rpartition(".")[2].lower())
        if mime is None and not rendering.native:
            rendering.refuse("history.uri", "its media type has to be said there")
            return None
        return {"fileData": {**({"mimeType": mime} if mime else {}), "fileUri": part["uri"]}, **rest}
    return words.native_block(part, rendering)


def answer(answered: NeutralAnswer, created: int) -> dict[str, Any]:
    """The body of an unstreamed reply: one candidate."""
    if answered.finish_reason not in _STOP:
        raise NotExpressible(f"finish_reason.{answered.finish_reason}", NAME)
    parts = [_answered(part) for part in answered.message["parts"]]
    candidate = {
        "content": {"role": "model", "parts": parts},
        "finishReason": _STOP[answered.finish_reason],
        "index": 0,
    }
    made: dict[str, Any] = {
        "candidates": [candidate],
        "modelVersion": answered.model,
        "responseId": answered.response_id,
    }
    usage = answered.usage
    if usage:
        given, thought, total = usage.input or 0, usage.reasoning or 0, usage.output or 0
        counts = {
            "promptTokenCount": given,
            "candidatesTokenCount": max(total - thought, 0),
            "totalTokenCount": given + total,
        }
        cached = {} if usage.cache_read is None else {"cachedContentTokenCount": usage.cache_read}
        thoughts = {} if usage.reasoning is None else {"thoughtsTokenCount": thought}
        made["usageMetadata"] = {**counts, **cached, **thoughts}
    return made


def _answered(part: Part) -> dict[str, Any]:
    kind = part["type"]
    seal = (
        {"thoughtSignature": part["thoughtSignature"]}
        if isinstance(part.get("thoughtSignature"), str)
        else {}
    )
    if kind in ("text", "refusal"):
        return {"text": part["content"], **seal}
    if kind == "tool_call":
        identity = {"id": part["id"]} if part.get("id") else {}
        call = {**identity, "name": part["name"], "args": words.arguments(part, Rendering(NAME))}
        return {"functionCall": call, **seal}
    if kind in ("reasoning", "redacted_thinking"):
        return {
            "text": part.get("content") or "",
            "thought": True,
            **(seal or {"thoughtSignature": seals.sealed(part)}),
        }
    raise NotExpressible(f"answer.{kind}", NAME)


def stream(body: dict[str, Any], *, array: bool = False) -> tuple[bytes, ...]:
    """The events of a streamed reply, or the elements of its `array`: a part each; the last brings the reason and the counts."""
    rest = {key: value for key, value in body.items() if key not in ("candidates", "usageMetadata")}
    counts = {"usageMetadata": body["usageMetadata"]} if "usageMetadata" in body else {}
    chunks: list[dict[str, Any]] = []
    for candidate in objects(body.get("candidates")):
        content = mapping(candidate.get("content"))
        parts = [[part] for part in objects(content.get("parts"))] or [[]]
        for at, part in enumerate(parts):
            last = at == len(parts) - 1
            end = {"finishReason": candidate.get("finishReason")} if last else {}
            one = {"content": {**content, "parts": part}, **end, "index": candidate.get("index", 0)}
            chunks.append({"candidates": [one], **(counts if last else {}), **rest})
    if array:
        texts = [words.json_text(chunk).encode("utf-8", "surrogatepass") for chunk in chunks]
        return (b"[" + (texts[0] if texts else b""), *(b"\n,\r\n" + text for text in texts[1:]), b"\n]")
    return tuple(words.sse(chunk).replace(b"\n\n", b"\r\n\r\n") for chunk in chunks)


_ERRORS: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED", 529: "UNAVAILABLE",
}  # fmt: skip


def error(status: int, kind: str, message: str) -> dict[str, Any]:
    """The body of an error, its status being Google's word for the number."""
    return {"error": {"code": status, "message": message, "status": _ERRORS.get(status, "UNKNOWN")}}
