"""Thoughts that must find their way back.

A provider seals a thought (a signature, an encrypted text) and wants it back as it gave it. An agent that speaks another
dialect carries it in that dialect's own field for seals, and `opened` gives it back to who made it.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Final

from spanreel.wire import lenient

if TYPE_CHECKING:
    from spanreel.wire.records import Message, Part
    from spanreel.wire.rendering.neutral import Rendering

_MARK: Final = b"spanreel:"
_BEGINNING: Final = base64.b64encode(_MARK).decode()
_THOUGHTS: Final = ("reasoning", "redacted_thinking")
SEALS: Final = {
    "signature": "anthropic.messages",
    "encrypted_content": "openai.responses",
    "thoughtSignature": "gemini",
}
"""The field that holds a dialect's seal."""


def sealed(part: Part) -> str:
    """A thought as a text that only `opened` reads; it is valid base64."""
    return base64.b64encode(_MARK + json.dumps(part, separators=(",", ":")).encode()).decode()


def opened(part: Part) -> Part:
    """The thought that a seal of ours holds, marked `returned`; any other thought as it is."""
    for name in SEALS:
        text = part.get(name)
        if isinstance(text, str) and text.startswith(_BEGINNING):
            try:
                inner = lenient.parse(base64.b64decode(text, validate=True)[len(_MARK) :])
            except ValueError:
                continue
            if isinstance(inner, dict) and isinstance(inner.get("type"), str):
                return {"content": "", **inner, "returned": True}
    return part


def thoughts(messages: list[Message], rendering: Rendering) -> list[Message]:
    """The conversation with the thoughts that the target can be told; in its own dialect, all of them.

    Thoughts of turns that are over are left out: providers do not show them to a model again (Anthropic, "Extended
    thinking: preserving thinking blocks"; OpenAI, "Reasoning models: keeping reasoning items in context"); chat takes
    none back, not even its own. One of the turn under
    way is given back to who made it, told to Gemini as a thought, or refused as ``history.reasoning``.
    """
    current = max((at for at, one in enumerate(messages) if one["role"] in ("user", "system")), default=-1)
    made: list[Message] = []
    for at, message in enumerate(messages):
        parts: list[Part] = []
        for part in message["parts"]:
            if part["type"] == "text" and part["content"] == "" and not rendering.native:
                continue  # Gemini hangs a signature on it; others refuse it
            if part["type"] not in _THOUGHTS or (rendering.native and not part.get("returned")):
                parts.append(part)
            elif (told := _told(part, rendering)) is not None:
                parts.append(told)
            elif at < current or (part.get("returned") and rendering.target == "openai.chat"):
                rendering.leave("history.reasoning")
            else:
                rendering.refuse("history.reasoning", "a thought that another model sealed")
        made.append({**message, "parts": parts})
    return made


def _told(part: Part, rendering: Rendering) -> Part | None:
    """The thought if the target can be told it."""
    owner = next((SEALS[name] for name in SEALS if part.get(name)), None)
    if owner is None and "summary" in part:
        owner = "openai.responses"
    if part.get("returned") is not True:
        owner = owner or "another"
    elif part["type"] == "redacted_thinking":
        block = {"type": "redacted_thinking", "data": part.get("data")}
        return {**part, "native": block} if rendering.target == "anthropic.messages" else None
    elif owner == rendering.target:
        return {key: value for key, value in part.items() if key != "returned"}
    told = rendering.target == "gemini" and owner in (None, "another") and part.get("content")
    return {"type": "reasoning", "content": part["content"]} if told else None
