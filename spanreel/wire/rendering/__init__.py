"""Neutral GenAI messages in a provider's own words: requests to send, answers to give back, stubs.

`neutral_request` reads a request of one dialect, `request` says it in another; `neutral_answer` reads the reply, `answer`
(and `answer_stream`) says it in the dialect that the agent's SDK parses. What a dialect cannot express is refused by
name (`NotExpressible`), never left out in silence: what may be left out is in `HARMLESS`, and the caller is told.
Values in, values out: no clock, no chance, nothing sent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanreel.exceptions import BadInput
from spanreel.wire import messages
from spanreel.wire.content import canonical_json
from spanreel.wire.rendering import anthropic_messages, gemini, openai_chat, openai_responses, schemas, words
from spanreel.wire.rendering.neutral import (
    HARMLESS,
    NeutralAnswer,
    NeutralRequest,
    NotExpressible,
    RenderedRequest,
    Rendering,
)
from spanreel.wire.rendering.reading import TARGETS, failure, neutral_answer, neutral_request
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from spanreel.wire.records import Message

__all__ = [
    "HARMLESS",
    "STUB_TEXT",
    "TARGETS",
    "NeutralAnswer",
    "NeutralRequest",
    "NotExpressible",
    "RenderedRequest",
    "answer",
    "answer_stream",
    "error",
    "failure",
    "neutral_answer",
    "neutral_request",
    "request",
    "stub_answer",
]

STUB_TEXT: Final = "This is a placeholder answer."
"""What a stub says where nothing else is asked for."""

_Ask: TypeAlias = Callable[[NeutralRequest, Rendering], tuple[str, dict[str, Any]]]
_Answer: TypeAlias = Callable[[NeutralAnswer, int], dict[str, Any]]
_Error: TypeAlias = Callable[[int, str, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Renderer:
    ask: _Ask
    answer: _Answer
    stream: Callable[[dict[str, Any]], tuple[bytes, ...]]
    error: _Error


_RENDERERS: Final[dict[str, _Renderer]] = {
    module.NAME: _Renderer(module.request, module.answer, module.stream, module.error)
    for module in (openai_chat, openai_responses, anthropic_messages, gemini)
}


def _renderer(target: str) -> _Renderer:
    if target not in _RENDERERS:
        raise BadInput(f"nothing can be rendered into {target!r}", f"these can: {', '.join(TARGETS)}")
    return _RENDERERS[target]


def request(
    target: str, neutral: NeutralRequest, model: str, *, drop: Collection[str] = ()
) -> RenderedRequest:
    """A neutral request in a dialect.

    Args:
        target: one of `TARGETS`.
        neutral: what is asked.
        model: the model asked, as the target's provider names it.
        drop: features to leave out that the target cannot express, by the names that `NotExpressible.feature` has.

    Raises:
        NotExpressible: the target has no words for something that is not in `drop`.
        BadInput: `target` is none of the dialects, or a value in the request is of no type that any dialect takes.
    """
    renderer = _renderer(target)
    rendering = Rendering(target, neutral.dialect == target, model, frozenset(drop))
    try:
        if "functions" in neutral.fields and not rendering.native:
            rendering.refuse("functions", "the agent reads an answer in a form before tools")
        tools = tuple(tool if tool.get("type") else {**tool, "type": "function"} for tool in neutral.tools)
        path, body = renderer.ask(replace(neutral, tools=tools), rendering)
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError) as problem:
        raise BadInput(
            f"a request of {neutral.dialect} holds a value of a strange type ({problem})",
            "send what its API takes",
        ) from problem
    return RenderedRequest(path, body, tuple(sorted(rendering.dropped)), tuple(rendering.headers.items()))


def answer(
    target: str,
    message: Message,
    *,
    model: str | None,
    response_id: str | None,
    finish_reason: str | None = None,
    usage: Usage | None = None,
    created: int = 0,
) -> dict[str, Any]:
    """A model's answer as the whole reply body of a dialect, which the dialect's SDK parses.

    Args:
        target: one of `TARGETS`.
        message: GenAI message of the assistant.
        model: who answered.
        response_id: the reply's id; one is made up where there is none.
        finish_reason: in the convention's words; None: the message's own, else what its parts say.
        usage: counts, inclusive.
        created: seconds since the epoch.

    Raises:
        NotExpressible: a part or a reason that the dialect does not have.
        BadInput: `target` is none of the dialects, or the message is none.
    """
    renderer = _renderer(target)
    try:
        calls = any(part["type"] == "tool_call" for part in message["parts"])
        said = finish_reason or message.get("finish_reason") or ("tool_call" if calls else "stop")
        reason = messages.FINISH.get(said, said)
        answered = NeutralAnswer(
            message, reason, usage or Usage(), model or "unknown", response_id or _made_up(message, created)
        )
        return renderer.answer(answered, created)
    except (TypeError, KeyError, ValueError, AttributeError, RecursionError) as problem:
        raise BadInput(
            f"this is no message that {target} can say ({problem})", "give a GenAI message"
        ) from problem


def _made_up(message: Message, created: int) -> str:
    """An id for an answer that has none: the same for the same answer at the same time."""
    text = f"{created} {canonical_json(message)}"
    return "resp_" + hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def answer_stream(
    target: str, body: Mapping[str, Any], *, include_usage: bool = False, array: bool = False
) -> tuple[bytes, ...]:
    """The server-sent events of a reply that `answer` made, which make the same final object.

    Args:
        target: one of `TARGETS`.
        body: the whole reply.
        include_usage: whether the request asked for counts in the stream; only chat asks (`stream_options`).
        array: whether a JSON array is streamed instead, as Gemini does for who does not ask for `alt=sse`.

    Raises:
        BadInput: `target` is none of the dialects, or the body is not one of its replies.
    """
    renderer = _renderer(target)
    try:
        if target == openai_chat.NAME:
            return openai_chat.stream(dict(body), include_usage=include_usage)
        if target == gemini.NAME:
            return gemini.stream(dict(body), array=array)
        return renderer.stream(dict(body))
    except (TypeError, KeyError, ValueError, AttributeError) as problem:
        raise BadInput(f"this is no reply of {target} ({problem})", "give what `answer` made") from problem


def error(target: str, status: int, type: str, message: str) -> dict[str, Any]:  # noqa: A002 - the wire's word
    """The body of an error, for which the dialect's SDK raises the exception of the status.

    Args:
        target: one of `TARGETS`.
        status: HTTP status of the provider's reply.
        type: the provider's `error.type`.
        message: what it said.
    """
    return _renderer(target).error(status, type, message)


def stub_answer(dialect: str, request_body: Mapping[str, Any]) -> Message:
    """A placeholder answer to a request: the least JSON of the schema that it asks for, else `STUB_TEXT`.

    A tool is called only where the request forces one (the named one, else the first), with the least arguments that
    its schema allows.

    Raises:
        BadInput: the dialect is not one of `TARGETS`, or the body is no object.
    """
    neutral = neutral_request(dialect, request_body)
    choice = neutral.parameters.get("tool_choice") or {}
    if choice.get("mode") == "required":
        wanted = choice.get("names") or ()
        tools = [tool for tool in neutral.tools if not wanted or tool.get("name") in wanted]
        if tools:
            arguments = schemas.least(tools[0].get("parameters") or {})
            call = messages.tool_call(
                f"call_stub_{len(neutral.messages)}",
                tools[0].get("name"),
                arguments if isinstance(arguments, dict) else {},
            )
            return messages.message("assistant", [call], "tool_calls")
    form = neutral.parameters.get("response_format") or {}
    text = STUB_TEXT
    if form.get("type") in ("json_object", "json_schema"):
        schema = form.get("schema")
        text = words.json_text(schemas.least(schema if isinstance(schema, dict) else {"type": "object"}))
    return messages.message("assistant", [messages.text(text)], "stop")
