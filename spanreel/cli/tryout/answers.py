"""Which recorded answer belongs to a request. Bytes and values only; it neither listens nor sends.

A conversation is a list of turns. A request whose messages are the first turns of a conversation gets
the turn that follows; any other request is refused, saying which message is not the recorded one.
OpenAI and Anthropic requests are read into the same turns, so one file answers both.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from spanreel.exceptions import BadInput
from spanreel.replay.wording import common_start


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool call that the model asks for; `arguments` is a JSON object."""

    id: str
    name: str
    arguments: Any


@dataclass(frozen=True, slots=True)
class Turn:
    """One message, whoever's wire it came over. `id` is the call that a tool message answers."""

    role: str
    content: Any = None
    id: str | None = None
    tool_uses: tuple[ToolUse, ...] = ()

    def __str__(self) -> str:
        said = self.content if self.content is not None else [use.name for use in self.tool_uses]
        return f"{self.role}: {said if isinstance(said, str) else json.dumps(said, sort_keys=True)}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A recorded turn of the model: `id` is stable, token counts are those of the recording."""

    id: str
    model: str
    turn: Turn
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Request:
    """A request as its wire was read."""

    model: str | None
    turns: tuple[Turn, ...]
    stream: bool = False


class NotRecorded(Exception):
    """No recorded conversation begins like this; the message says where it departs."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The recorded conversations of one model."""

    model: str
    conversations: dict[str, tuple[Turn, ...]]
    usage: dict[tuple[str, int], tuple[int, int]] = field(
        default_factory=dict[tuple[str, int], tuple[int, int]]
    )

    def find(self, request: Request) -> Answer:
        """The recorded turn that follows the request's messages.

        Raises:
            NotRecorded: another model, or messages that no conversation begins with.
        """
        if request.model != self.model:
            raise NotRecorded(f"the recorded answers are of model {self.model}, not of {request.model}")
        asked = request.turns
        for name, turns in self.conversations.items():
            number = len(asked)
            if number < len(turns) and turns[:number] == asked and turns[number].role == "assistant":
                counts = self.usage.get((name, number), (0, 0))
                return Answer(f"{name}-{number}", self.model, turns[number], *counts)
        raise NotRecorded(self._departure(asked))

    def _departure(self, asked: Sequence[Turn]) -> str:
        name, turns = max(self.conversations.items(), key=lambda item: common_start(item[1], asked))
        at = common_start(turns, asked)
        if at >= len(asked):
            return f"no answer was recorded after message {at} of conversation {name!r}"
        expected = str(turns[at]) if at < len(turns) else "nothing: the conversation ends there"
        return f"message {at + 1} is not the recorded one (nearest: {name!r}); got {asked[at]}; recorded {expected}"


def load(text: str | None = None) -> Answers:
    """The answers of a file's text; default: those of the bundled example.

    Raises:
        BadInput: the text is not such a file.
    """
    text = (
        text if text is not None else files("spanreel.cli.tryout").joinpath("answers.json").read_text("utf-8")
    )
    try:
        found = json.loads(text)
        conversations: dict[str, tuple[Turn, ...]] = {}
        usage: dict[tuple[str, int], tuple[int, int]] = {}
        for conversation in found["conversations"]:
            name = str(conversation["name"])
            conversations[name] = tuple(_recorded(turn) for turn in conversation["turns"])
            for number, turn in enumerate(conversation["turns"]):
                if counts := turn.get("usage"):
                    usage[name, number] = (int(counts["input"]), int(counts["output"]))
        return Answers(str(found["model"]), conversations, usage)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"the answers file cannot be read ({type(error).__name__}: {error})", "leave --answers out"
        ) from error


def _recorded(turn: Any) -> Turn:
    uses = tuple(ToolUse(use["id"], use["name"], use["arguments"]) for use in turn.get("tool_calls", ()))
    return Turn(turn["role"], turn.get("content"), turn.get("id"), uses)


def read_openai(body: bytes) -> Request:
    """An OpenAI chat request.

    Raises:
        NotRecorded: the body is not one.
    """
    return _read(body, _openai_turns)


def read_anthropic(body: bytes) -> Request:
    """An Anthropic messages request.

    Raises:
        NotRecorded: the body is not one.
    """
    return _read(body, _anthropic_turns)


def _read(body: bytes, turns: Any) -> Request:
    try:
        found = json.loads(body)
        return Request(found.get("model"), tuple(turns(found)), bool(found.get("stream")))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise NotRecorded(f"the request cannot be read ({type(error).__name__}: {error})") from error


def _openai_turns(request: Any) -> Sequence[Turn]:
    return [
        Turn(
            message["role"],
            _value(message.get("content")) if message["role"] == "tool" else _words(message.get("content")),
            message.get("tool_call_id"),
            tuple(
                ToolUse(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                for call in message.get("tool_calls") or ()
            ),
        )
        for message in request["messages"]
    ]


def _anthropic_turns(request: Any) -> Sequence[Turn]:
    turns = [Turn("system", _words(request["system"]))] if request.get("system") else []
    for message in request["messages"]:
        blocks = message["content"]
        blocks = [{"type": "text", "text": blocks}] if isinstance(blocks, str) else blocks
        turns += [
            Turn("tool", _value(_words(block.get("content"))), block["tool_use_id"])
            for block in blocks
            if block["type"] == "tool_result"
        ]
        uses = tuple(
            ToolUse(block["id"], block["name"], block["input"])
            for block in blocks
            if block["type"] == "tool_use"
        )
        words = _words([block for block in blocks if block["type"] == "text"])
        if uses or words:
            turns.append(Turn(message["role"], words, None, uses))
    return turns


def _words(content: Any) -> str | None:
    if isinstance(content, list):
        content = "".join(part["text"] for part in content if part.get("type") == "text")
    return content or None


def _value(content: Any) -> Any:
    """A tool's result, by value: how an agent spaces its JSON is its own affair."""
    try:
        return json.loads(content)
    except (ValueError, TypeError):
        return content
