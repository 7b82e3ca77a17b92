"""Answers that no provider gave: what the user said a step should answer, a dry run's placeholder, another dialect's reply.

Each is rendered into the dialect that the agent's SDK reads, whole or as a stream, as the request asks. Values only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument import codec
from spanreel.instrument.responder import ModelAnswer, ModelRequest
from spanreel.wire import recognise, rendering
from spanreel.wire.lenient import mapping, objects, parse
from spanreel.wire.messages import message, text

PLACEHOLDER: Final = object()
"""Stands for an answer that only has the form which the request asks for."""
_STREAM: Final = (("content-type", "text/event-stream; charset=utf-8"),)
_WHOLE: Final = (("content-type", "application/json"),)


def model(request: ModelRequest, response: Any) -> ModelAnswer:
    """An answer to a model call.

    Args:
        request: what the SDK sent.
        response: `PLACEHOLDER`; a text; a GenAI message (``{"role": "assistant", "parts": [...]}``), one
            in OpenAI chat's form (``{"content": ..., "tool_calls": [...]}``); or a reply of the
            request's own dialect (``{"body": {...}, "status": 200}``).

    Raises:
        SpanreelError: the response is none of these, or the dialect cannot express it.
    """
    said: dict[str, Any]
    if isinstance(response, Mapping) and "body" in response:
        status = response.get("status", 200)
        return _answer(request, mapping(response["body"]), status if isinstance(status, int) else 200, "stub")
    if response is PLACEHOLDER:
        said = rendering.stub_answer(request.dialect, mapping(parse(request.body)))
    elif isinstance(response, str):
        said = message("assistant", [text(response)])
    elif isinstance(response, Mapping) and isinstance(response.get("parts"), list):
        said = {"role": "assistant", **response}
    else:
        check(response)
        said = _of_chat(response)
    body = rendering.answer(
        request.dialect,
        said,
        model=recognise.request_model(request.body, request.url),
        response_id="stub",
    )
    return _answer(request, body, 200, "stub")


def check(response: Any) -> None:
    """See that a model step can be answered by this.

    Raises:
        SpanreelError: it is no text, no message and no body.
    """
    known = ("parts", "body", "content", "tool_calls")
    if not (
        isinstance(response, str) or (isinstance(response, Mapping) and any(one in response for one in known))
    ):
        raise SpanreelError(
            "a model step is answered by a text, a message, or a whole body of its dialect",
            'such as {"content": "…", "tool_calls": [{"id": "…", "function": {"name": "…", "arguments": "{}"}}]}, '
            '{"parts": […]}, {"body": {…}}',
        )


def _of_chat(response: Mapping[str, Any]) -> dict[str, Any]:
    """A message in OpenAI chat's form, which people know by heart."""
    calls = [{"type": "function", **one} for one in objects(response.get("tool_calls"))]
    said = {"role": "assistant", **response} | ({"tool_calls": calls} if calls else {})
    body = {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls" if calls else "stop"}]}
    return rendering.neutral_answer("openai.chat", {}, 200, json.dumps(body).encode()).message


def tool(result: Any) -> str:
    """The codec's JSON text of a tool's result; what a person edited as that (`$type`) stays what it is."""
    if isinstance(result, (Mapping, list)):
        try:
            text = json.dumps(result, ensure_ascii=False)
        except (TypeError, ValueError):
            return codec.encode(result)
        return text if f'"{codec.TAG}"' in text else codec.encode(result)
    return codec.encode(result)


def rendered(request: ModelRequest, dialect: str, sent: bytes, status: int, reply: bytes) -> ModelAnswer:
    """The reply of another dialect, as the one that made the request gives it.

    Args:
        request: what the SDK sent.
        dialect: that the reply speaks.
        sent: the body that it answers.
        status: its HTTP status.
        reply: its whole body, decoded.

    Raises:
        SpanreelError: the request's dialect cannot express it.
    """
    failed = rendering.failure(dialect, status, reply)
    if failed is not None:
        status = status if status >= 400 else 500  # an error within a stream that began well
        return _answer(request, rendering.error(request.dialect, status, *failed), status, "live")
    found = rendering.neutral_answer(dialect, mapping(parse(sent)), status, reply)
    body = rendering.answer(
        request.dialect,
        found.message,
        model=found.model,
        response_id=found.response_id,
        finish_reason=found.finish_reason,
        usage=found.usage,
    )
    return _answer(request, body, status, "live")


def _answer(request: ModelRequest, body: dict[str, Any], status: int, source: str) -> ModelAnswer:
    asked = mapping(parse(request.body))
    if status < 400 and (asked.get("stream") or "streamGenerateContent" in request.url):
        counts = bool(mapping(asked.get("stream_options")).get("include_usage"))
        array = "streamGenerateContent" in request.url and "alt=sse" not in request.url
        events = rendering.answer_stream(request.dialect, body, include_usage=counts, array=array)
        return ModelAnswer(status, _WHOLE if array else _STREAM, events, source=source)
    chunk = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return ModelAnswer(status, _WHOLE, (chunk,), source=source)
