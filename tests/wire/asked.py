"""Requests that the rendering's tests ask, and how they say them in another dialect."""

from __future__ import annotations

from typing import Any

from spanreel.wire.rendering import neutral_request, request

OURS = {
    "openai_chat": "openai.chat",
    "openai_responses": "openai.responses",
    "anthropic_messages": "anthropic.messages",
    "gemini_generate": "gemini",
    "gemini_stream": "gemini",
}
CHAT: dict[str, Any] = {
    "model": "gpt-5",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Paris and Rome?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "call_a",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Paris"}'},
                },
                {
                    "id": "call_b",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city":"Rome"}'},
                },
            ],
        },
        {"role": "tool", "tool_call_id": "call_a", "content": "sunny"},
        {"role": "tool", "tool_call_id": "call_b", "content": '{"sky": "clear"}'},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather.",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                },
            },
        }
    ],
    "temperature": 0.5,
    "user": "u-1",
}


MODELS = {"anthropic.messages": "claude-sonnet-4-6"}
"""A model to ask of a dialect, where it matters which."""


def said(dialect: str, body: dict[str, Any], target: str, **options: Any) -> dict[str, Any]:
    """The body that asks the same in the target."""
    return request(target, neutral_request(dialect, body), MODELS.get(target, "m-1"), **options).body


def with_history(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": "m", "messages": list(messages), **more}
