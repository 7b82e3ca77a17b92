"""Recordings made by hand, for what decides without I/O."""

from __future__ import annotations

import json

from spanreel.instrument.responder import ModelRequest, ToolRequest
from spanreel.replay.answer import Answer
from spanreel.replay.recording import Effect, ModelEffect, Recording, ToolEffect

URL = "https://api.openai.com/v1/chat/completions"
PATH = "/v1/chat/completions"


def body(*messages: str, **fields: object) -> bytes:
    """A chat request; users and assistants take turns."""
    said = [
        {"role": "assistant" if place % 2 else "user", "content": text} for place, text in enumerate(messages)
    ]
    return json.dumps({"model": "m-1", "messages": said, **fields}).encode()


def request(*messages: str, lane: str = "0", attempt: int | None = None, **fields: object) -> ModelRequest:
    """A live call."""
    headers = () if attempt is None else (("x-stainless-retry-count", str(attempt)),)
    return ModelRequest("openai.chat", "POST", URL, headers, body(*messages, **fields), "httpx2", lane)


def model(
    *messages: str, lane: str = "0", statuses: tuple[int, ...] = (200,), **fields: object
) -> ModelEffect:
    """A recorded call; one answer for each status."""
    answers = tuple(Answer("", status, (), (b"%d" % place,)) for place, status in enumerate(statuses))
    return ModelEffect(
        0, 0, "r1", "", "openai.chat", PATH, body(*messages, **fields), answers, "m-1", lane=lane
    )


def tool(name: str, arguments: object, call_id: str | None = None, **fields: object) -> ToolEffect:
    """A recorded tool call."""
    fields = {"encoded": '"done"', **fields}
    return ToolEffect(0, 0, "r1", "", name, arguments, call_id, **fields)  # type: ignore[arg-type]


def asked(name: str, arguments: object, call_id: str | None = None, lane: str = "0") -> ToolRequest:
    """A live tool call."""
    return ToolRequest(name, arguments, call_id, lane=lane)


def recording(*effects: Effect, redacted: bool = False) -> Recording:
    """The effects in this order, numbered from step 1; span ids are ``s<place>`` unless given."""
    from dataclasses import replace

    placed = [
        replace(one, index=place, number=place + 1, span_id=one.span_id or f"s{place}")
        for place, one in enumerate(effects)
    ]
    return Recording("r1", tuple(placed), redacted)
