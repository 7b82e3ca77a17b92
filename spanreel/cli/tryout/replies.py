"""A recorded answer as the bytes of a wire: OpenAI chat and Anthropic messages, whole or as server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from spanreel.cli.tryout.answers import Answer

CREATED = 1763800000  # the same bytes for the same request, always
PIECE = 24  # characters of text in one event of a stream


def openai(answer: Answer) -> bytes:
    """The body of a chat completion."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.turn.content, "refusal": None}
    if answer.turn.tool_uses:
        message["tool_calls"] = _openai_calls(answer)
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _openai_reason(answer)}
    return _json(_openai(answer, "chat.completion", [choice]) | {"usage": _openai_usage(answer)})


def openai_events(answer: Answer) -> Iterator[bytes]:
    """The same completion as a stream."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "" if answer.turn.content else None}]
    deltas += [{"content": piece} for piece in _pieces(answer)]
    deltas += [{"tool_calls": [{"index": at} | call]} for at, call in enumerate(_openai_calls(answer))]
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        yield b"data: " + _json(_openai(answer, "chat.completion.chunk", [choice])) + b"\n\n"
    last = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": _openai_reason(answer)}
    yield b"data: " + _json(_openai(answer, "chat.completion.chunk", [last])) + b"\n\n"
    usage = _openai(answer, "chat.completion.chunk", []) | {"usage": _openai_usage(answer)}
    yield b"data: " + _json(usage) + b"\n\ndata: [DONE]\n\n"


def anthropic(answer: Answer) -> bytes:
    """The body of a message."""
    return _json(_anthropic(answer, _blocks(answer), _anthropic_reason(answer), answer.output_tokens))


def anthropic_events(answer: Answer) -> Iterator[bytes]:
    """The same message as a stream."""
    yield _event("message_start", message=_anthropic(answer, [], None, 1))
    for index, block in enumerate(_blocks(answer)):
        text = block["type"] == "text"
        start = block | ({"text": ""} if text else {"input": {}})
        yield _event("content_block_start", index=index, content_block=start)
        if text:
            for piece in _pieces(answer):
                yield _event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        else:
            written = json.dumps(block["input"])
            delta = {"type": "input_json_delta", "partial_json": written}
            yield _event("content_block_delta", index=index, delta=delta)
        yield _event("content_block_stop", index=index)
    ending = {"stop_reason": _anthropic_reason(answer), "stop_sequence": None}
    yield _event("message_delta", delta=ending, usage={"output_tokens": answer.output_tokens})
    yield _event("message_stop")


def openai_error(message: str) -> bytes:
    """A refusal, in OpenAI's form."""
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "not_recorded"}
    return _json({"error": error})


def anthropic_error(message: str) -> bytes:
    """A refusal, in Anthropic's form."""
    return _json({"type": "error", "error": {"type": "invalid_request_error", "message": message}})


def _openai(answer: Answer, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{answer.id}",
        "object": kind,
        "created": CREATED,
        "model": answer.model,
        "choices": choices,
    }


def _openai_calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {
            "id": use.id,
            "type": "function",
            "function": {"name": use.name, "arguments": json.dumps(use.arguments)},
        }
        for use in answer.turn.tool_uses
    ]


def _openai_reason(answer: Answer) -> str:
    return "tool_calls" if answer.turn.tool_uses else "stop"


def _openai_usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.input_tokens,
        "completion_tokens": answer.output_tokens,
        "total_tokens": answer.input_tokens + answer.output_tokens,
    }


def _anthropic(
    answer: Answer, content: list[dict[str, Any]], reason: str | None, output_tokens: int
) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": {"input_tokens": answer.input_tokens, "output_tokens": output_tokens},
    }


def _blocks(answer: Answer) -> list[dict[str, Any]]:
    text = [{"type": "text", "text": answer.turn.content}] if answer.turn.content else []
    return text + [
        {"type": "tool_use", "id": use.id, "name": use.name, "input": use.arguments}
        for use in answer.turn.tool_uses
    ]


def _anthropic_reason(answer: Answer) -> str:
    return "tool_use" if answer.turn.tool_uses else "end_turn"


def _pieces(answer: Answer) -> Iterator[str]:
    text = answer.turn.content or ""
    return (text[start : start + PIECE] for start in range(0, len(text), PIECE))


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + _json({"type": kind} | fields) + b"\n\n"


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
