"""Request and reply bodies of any of the four dialects, as neutral values.

What the dialects' `read` leaves out because no attribute holds it (tool choice, schemas, thinking, parallel calls) is
read here. Sources: the request bodies in OpenAI's API reference ("Create chat completion", "Create a model response"),
Anthropic's ("Create a message"), and Google's ("models.generateContent").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import BadInput
from spanreel.wire import lenient, messages, recognise
from spanreel.wire.dialect import Reply
from spanreel.wire.lenient import mapping
from spanreel.wire.rendering import conversation, schemas
from spanreel.wire.rendering.neutral import NeutralAnswer, NeutralRequest, NotExpressible

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spanreel.wire.dialect import Call

TARGETS: Final = ("openai.chat", "openai.responses", "anthropic.messages", "gemini")
"""Dialects that can be read here and rendered into."""

_COMMON: Final = {"temperature": "temperature", "top_p": "top_p", "stream": "stream"}
_CHAT: Final = {
    **_COMMON, "top_k": "top_k", "seed": "seed", "presence_penalty": "presence_penalty", "frequency_penalty": "frequency_penalty",
    "n": "n", "max_tokens": "max_tokens", "max_completion_tokens": "max_tokens", "parallel_tool_calls": "parallel_tool_calls",
    "verbosity": "verbosity",
}  # fmt: skip
_RESPONSES: Final = {
    **_COMMON, "max_output_tokens": "max_tokens", "parallel_tool_calls": "parallel_tool_calls",
}  # fmt: skip
_ANTHROPIC: Final = {**_COMMON, "top_k": "top_k", "max_tokens": "max_tokens", "stop_sequences": "stop"}
_GEMINI: Final = {
    "temperature": "temperature", "topP": "top_p", "topK": "top_k", "seed": "seed", "maxOutputTokens": "max_tokens",
    "stopSequences": "stop", "presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty",
    "candidateCount": "n",
}  # fmt: skip
_CONVERSATION: Final = frozenset(
    {"model", "messages", "input", "contents", "system", "instructions", "systemInstruction", "tools"}
)


def neutral_request(
    dialect: str, body: Mapping[str, Any], *, model: str | None = None, stream: bool | None = None
) -> NeutralRequest:
    """What a request body asks, in no provider's words.

    Args:
        dialect: one of `TARGETS`.
        body: the JSON object of the request.
        model: the model asked, for a dialect whose body does not name it (Gemini's is in the path).
        stream: whether an answer in pieces is asked for, where the body does not say it (Gemini again).

    Raises:
        BadInput: the dialect is none of these, or the body is no object.
    """
    if dialect not in TARGETS:
        raise BadInput(
            f"no request of {dialect!r} can be put into other words", f"these can: {', '.join(TARGETS)}"
        )
    if not isinstance(body, dict):
        raise BadInput(f"a request body of {dialect} is a JSON object, not {type(body).__name__}", "give one")
    said = {key: value for key, value in body.items() if value is not None}
    if dialect == "gemini":
        said = schemas.camel(said)
    parameters, extra = _READERS[dialect](
        {key: value for key, value in said.items() if key not in _CONVERSATION}
    )
    if stream is not None:
        parameters["stream"] = stream
    if parameters.get("stream") is False:
        del parameters["stream"]
    known = recognise.by_name(dialect)
    assert known is not None
    system, told = conversation.system_of(dialect, said), conversation.messages_of(dialect, said)
    if dialect == "openai.chat":
        system, told = _leading(told)
    tools = known.read({key: said[key] for key in ("tools", "functions") if key in said}, None).content.tools
    return NeutralRequest(
        dialect=dialect,
        model=lenient.text(said.get("model")) or model,
        system=tuple(system),
        messages=tuple(told),
        tools=tuple(_tool(dialect, tool) for tool in tools or ()),
        parameters=parameters,
        extra=extra,
        fields=frozenset(said),
    )


def neutral_answer(
    dialect: str, request_body: Mapping[str, Any], status: int, reply: bytes, content_type: str = ""
) -> NeutralAnswer:
    """What a model answered, from its reply, whole or streamed.

    Args:
        dialect: one of `TARGETS`.
        request_body: the body that was sent (chat needs it to know when a stream is over).
        status: of the HTTP response.
        reply: its decoded entity bytes.
        content_type: as the server named it.

    Raises:
        BadInput: the reply is an error (see `failure`), is cut off, or holds no answer.
        NotExpressible: it holds several answers (``n``).
    """
    call = _call(dialect, request_body, status, reply, content_type)
    if call.error_type is not None:
        raise BadInput(
            f"the reply of {dialect} is an error ({call.error_type}): {call.error_message}", "ask again"
        )
    if not call.finished or not (call.content.output or call.finish_reasons):
        raise BadInput(f"the reply of {dialect} breaks off or holds no answer", "ask again")
    found = call.content.output or [messages.message("assistant", [])]
    if len(found) > 1:
        raise NotExpressible("n", dialect, "several answers to one request")
    parts = found[0]["parts"]
    reason = found[0].get("finish_reason") or next(iter(call.finish_reasons), "stop")
    reason = messages.FINISH.get(reason, reason)
    if reason == "stop" and any(part["type"] == "tool_call" for part in parts):
        reason = "tool_call"
    message = {**found[0], "role": "assistant", "finish_reason": reason}
    return NeutralAnswer(message, reason, call.usage, call.response_model, call.response_id)


def failure(dialect: str, status: int, reply: bytes, content_type: str = "") -> tuple[str, str] | None:
    """Type and message of a reply that is an error; None where it is none."""
    call = _call(dialect, {}, status, reply, content_type)
    return None if call.error_type is None else (call.error_type, call.error_message or "")


def _call(dialect: str, request: Mapping[str, Any], status: int, reply: bytes, content_type: str) -> Call:
    known = recognise.by_name(dialect) if dialect in TARGETS else None
    if known is None:
        raise BadInput(
            f"no reply of {dialect!r} can be put into other words", f"these can: {', '.join(TARGETS)}"
        )
    return known.read(request, Reply(status, reply, content_type))


def _leading(told: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The system messages at the start of a chat as instructions, and the rest; one with a name of its own stays."""
    count = 0
    while (
        count < len(told)
        and told[count]["role"] == "system"
        and set(told[count]) <= {"role", "parts", "wire_role"}
    ):
        count += 1
    roles = {message.get("wire_role") for message in told[:count]}
    if len(roles) > 1:
        return [], told
    return [
        {**part, "wire_role": "developer"} if "developer" in roles else part
        for message in told[:count]
        for part in message["parts"]
    ], told[count:]


def _tool(dialect: str, tool: dict[str, Any]) -> dict[str, Any]:
    made = {key: value for key, value in tool.items() if value is not None}
    if dialect == "gemini" and made.get("type") == "function" and isinstance(made.get("parameters"), dict):
        made["parameters"] = schemas.json_schema(made["parameters"])
    if dialect == "anthropic.messages" and made.get("type") == "custom":
        made["type"] = "function"
    return made


def _split(said: dict[str, Any], names: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    parameters = {name: said[key] for key, name in names.items() if key in said}
    return parameters, {key: value for key, value in said.items() if key not in names}


def _chat(said: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    parameters, extra = _split(said, _CHAT)
    extra.pop("functions", None)
    if "stop" in extra:
        stop = extra.pop("stop")
        parameters["stop"] = stop if isinstance(stop, list) else [stop]
    if "reasoning_effort" in extra:
        parameters["reasoning"] = {"level": extra.pop("reasoning_effort")}
    form = mapping(extra.get("response_format"))
    if form.get("type") in ("text", "json_object", "json_schema"):
        inner = mapping(form.get("json_schema"))
        parameters["response_format"] = {"type": form["type"], **inner}
        del extra["response_format"]
    for key in ("function_call", "tool_choice"):
        if (choice := _openai_choice(extra.get(key))) is not None:
            parameters["tool_choice"] = choice
            del extra[key]
    return parameters, extra


def _openai_choice(value: Any) -> dict[str, Any] | None:
    if isinstance(value, str) and value in ("auto", "none", "required"):
        return {"mode": value}
    if not isinstance(value, dict) or value.get("type", "function") != "function":
        return None
    name = mapping(value.get("function")).get("name") or value.get("name")
    return {"mode": "required", "names": [name]} if isinstance(name, str) else None


def _responses(said: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    parameters, extra = _split(said, _RESPONSES)
    if isinstance(extra.get("reasoning"), dict):
        reasoning = dict(extra.pop("reasoning"))
        if reasoning.get("effort") is not None:
            parameters["reasoning"] = {"level": reasoning.pop("effort")}
        extra.update({f"reasoning.{key}": value for key, value in reasoning.items() if value is not None})
    if isinstance(extra.get("text"), dict):
        text = dict(extra.pop("text"))
        if mapping(text.get("format")).get("type") in ("text", "json_object", "json_schema"):
            parameters["response_format"] = dict(text.pop("format"))
        if text.get("verbosity") is not None:
            parameters["verbosity"] = text.pop("verbosity")
        extra.update({f"text.{key}": value for key, value in text.items() if value is not None})
    if (choice := _openai_choice(extra.get("tool_choice"))) is not None:
        parameters["tool_choice"] = choice
        del extra["tool_choice"]
    return parameters, extra


_ANTHROPIC_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}


def _anthropic(said: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    parameters, extra = _split(said, _ANTHROPIC)
    choice = mapping(extra.get("tool_choice"))
    kind = choice.get("type")
    if isinstance(kind, str) and (
        kind in _ANTHROPIC_CHOICES or (kind == "tool" and isinstance(choice.get("name"), str))
    ):
        del extra["tool_choice"]
        named = {"mode": "required", "names": [choice["name"]]} if kind == "tool" else None
        parameters["tool_choice"] = named or {"mode": _ANTHROPIC_CHOICES[kind]}
        if isinstance(choice.get("disable_parallel_tool_use"), bool):
            parameters["parallel_tool_calls"] = not choice["disable_parallel_tool_use"]
    if isinstance(extra.get("output_config"), dict):
        config = dict(extra.pop("output_config"))
        if config.get("effort") is not None:
            parameters["reasoning"] = {"level": config.pop("effort")}
        extra.update({f"output_config.{key}": value for key, value in config.items() if value is not None})
    for key in ("output_format", "output_config.format"):
        form = mapping(extra.get(key))
        if form.get("type") == "json_schema":
            parameters["response_format"] = {"type": "json_schema", **form}
            del extra[key]
    _anthropic_thinking(parameters, extra)
    return parameters, extra


def _anthropic_thinking(parameters: dict[str, Any], extra: dict[str, Any]) -> None:
    thinking = mapping(extra.get("thinking"))
    made: dict[str, Any] = {}
    if thinking.get("type") == "enabled" and lenient.count(thinking.get("budget_tokens")) is not None:
        made["budget"] = thinking["budget_tokens"]
    elif thinking.get("type") == "adaptive":
        made["adaptive"] = True
    elif thinking.get("type") == "disabled":
        made["budget"] = 0
    else:
        return
    if set(thinking) <= {"type", "budget_tokens", "display"}:
        del extra["thinking"]
        if thinking.get("display") is not None:
            made["shown"] = thinking["display"]
        parameters["reasoning"] = {**parameters.get("reasoning", {}), **made}


_GEMINI_MODES: Final = {"AUTO": "auto", "ANY": "required", "NONE": "none"}


def _gemini(said: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    config = schemas.camel(mapping(said.get("generationConfig")))
    parameters, rest = _split({key: value for key, value in config.items() if value is not None}, _GEMINI)
    extra = {key: value for key, value in said.items() if key not in ("generationConfig", "stream")}
    if said.get("stream") is True:
        parameters["stream"] = True
    thinking = schemas.camel(mapping(rest.get("thinkingConfig")))
    made: dict[str, Any] = {
        name: thinking.pop(key)
        for key, name in (("thinkingBudget", "budget"), ("includeThoughts", "shown"))
        if thinking.get(key) is not None
    }
    if isinstance(thinking.get("thinkingLevel"), str):
        made["level"] = thinking.pop("thinkingLevel").lower()
    if not any(value is not None for value in thinking.values()):
        rest.pop("thinkingConfig", None)
        if made:
            parameters["reasoning"] = made
    _gemini_format(parameters, rest)
    extra.update({f"generationConfig.{key}": value for key, value in rest.items()})
    if (choice := _gemini_choice(extra.get("toolConfig"))) is not None:
        parameters["tool_choice"] = choice
        del extra["toolConfig"]
    return parameters, extra


def _gemini_choice(config: Any) -> dict[str, Any] | None:
    """The choice of tools, where it is all that the configuration says."""
    said = schemas.camel(mapping(config))
    calling = schemas.camel(mapping(said.get("functionCallingConfig")))
    mode, names = str(calling.get("mode")).upper(), calling.get("allowedFunctionNames")
    if len(said) != 1 or mode not in _GEMINI_MODES or not set(calling) <= {"mode", "allowedFunctionNames"}:
        return None
    choice: dict[str, Any] = {"mode": _GEMINI_MODES[mode]}
    return {**choice, "names": names} if isinstance(names, list) and names else choice


def _gemini_format(parameters: dict[str, Any], rest: dict[str, Any]) -> None:
    kind = rest.get("responseMimeType")
    if kind == "text/plain":
        del rest["responseMimeType"]
    if kind != "application/json":
        return
    form: dict[str, Any] = {"type": "json_object"}
    for key in ("responseJsonSchema", "responseSchema"):
        if isinstance(rest.get(key), dict):
            schema = rest.pop(key)
            form = {
                "type": "json_schema",
                "schema": schemas.json_schema(schema) if key == "responseSchema" else schema,
            }
    del rest["responseMimeType"]
    parameters["response_format"] = form


_READERS: Final[dict[str, Callable[[dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]]] = {
    "openai.chat": _chat,
    "openai.responses": _responses,
    "anthropic.messages": _anthropic,
    "gemini": _gemini,
}
