"""Recorded episodes as spanreel would have recorded them: spans of a run, its `Replay`, its `Recording`.

An `Episode` is what the readers of `playbook_domains` make of a file. Nothing in it was made for spanreel: what was said,
called and returned is the recording's; ids are hashes of where it came from, times a count of steps. Tools that fail say
so as they did there, in a text or an object: the span of the call is no error, for nothing was thrown.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from spanreel.instrument.codec import encode_returned
from spanreel.replay.recording import Recording
from spanreel.replay.timeline import Replay
from spanreel.wire import attributes as names
from spanreel.wire.spans import Resource, Scope, Span

SCOPE = Scope(names.SCOPE)
BEGIN = 1_760_000_000_000_000_000
TICK = 250_000_000


@dataclass(frozen=True)
class Called:
    """A tool call of an episode. write: the tool changes the world; failed: this call said that it did not go through."""

    name: str
    arguments: dict[str, Any]
    result: str
    write: bool
    failed: bool
    call_id: str


@dataclass(frozen=True)
class Turn:
    """A message: of role system, user or assistant; or a call, with what it gave back."""

    role: str
    text: str = ""
    called: Called | None = None


@dataclass(frozen=True)
class Episode:
    """A recorded run of an agent.

    task: what it was to do, the same for runs of one task. success: as its domain judged it. truth: the domain's own
    list of calls that do the task, (name, arguments). given: what the run was started with, if not only words.
    """

    domain: str
    agent: str
    task: str
    trial: int
    turns: tuple[Turn, ...]
    success: bool
    instruction: str = ""
    truth: tuple[tuple[str, dict[str, Any]], ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    given: Any = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any], hash=False)

    @property
    def key(self) -> str:
        """Which it is, in words."""
        return f"{self.domain}/{self.agent}/{self.task}/{self.trial}"

    @property
    def calls(self) -> list[Called]:
        """Its tool calls, in order."""
        return [turn.called for turn in self.turns if turn.called]

    @property
    def writes(self) -> list[tuple[str, str]]:
        """The writes that went through, in order: tool and arguments."""
        return [written(one.name, one.arguments) for one in self.calls if one.write and not one.failed]

    @property
    def kind(self) -> tuple[str, ...]:
        """The tools of its writes, in order."""
        return tuple(name for name, _ in self.writes)

    @property
    def model_calls(self) -> int:
        """How often a model was asked."""
        return sum(turn.role == "assistant" for turn in self.turns)

    @cached_property
    def spans(self) -> list[Span]:
        """The spans of the run."""
        return _Told(self).spans()

    @cached_property
    def replay(self) -> Replay:
        """The run, as everything that reads runs sees it."""
        return Replay.from_spans(self.spans)

    @cached_property
    def recording(self) -> Recording:
        """Its tool calls, ready to be served."""
        return Recording.from_spans(self.spans, may_be_empty=True)


def written(name: str, arguments: Any) -> tuple[str, str]:
    """A write, comparable: numbers that are equal are the same."""
    return name, json.dumps(_plain(arguments), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Told:
    """An episode told in spans: the root, one a model call, one a tool call."""

    def __init__(self, episode: Episode) -> None:
        self.episode = episode
        self.trace = self.id(32, "trace")
        self.root = self.id(16, "root")
        self.now = BEGIN
        self.history: list[dict[str, Any]] = []

    def id(self, length: int, *parts: Any) -> str:
        text = "/".join(map(str, (self.episode.key, *parts)))
        return hashlib.sha256(text.encode()).hexdigest()[:length]

    def spans(self) -> list[Span]:
        began, found = self.now, list[Span]()
        system, last = "", ""
        for place, turn in enumerate(self.episode.turns):
            if turn.role == "system":
                system = turn.text
            elif turn.role == "user":
                self.history.append({"role": "user", "parts": [_text(turn.text)]})
            elif turn.role == "assistant":
                last = turn.text or last
                found.append(self.thought(place, system))
            else:
                assert turn.called is not None
                found.append(self.call(place, turn.called))
        said: dict[str, Any] = {
            names.OPERATION: "invoke_agent",
            names.AGENT_NAME: self.episode.domain,
            f"{names.OUTCOME}success": self.episode.success,
            names.RUN_OUTPUT: json.dumps(last),
        }
        if self.episode.given is not None:
            said[names.RUN_INPUT] = json.dumps(self.episode.given, ensure_ascii=False)
        first = next((message for message in self.history if message["role"] == "user"), None)
        if first:
            said[names.INPUT_MESSAGES] = json.dumps([first], ensure_ascii=False)
        return [self.span(self.root, f"invoke_agent {self.episode.domain}", None, began, said), *found]

    def thought(self, place: int, system: str) -> Span:
        turns = self.episode.turns
        answer: dict[str, Any] = {"role": "assistant", "parts": []}
        if turns[place].text:
            answer["parts"].append(_text(turns[place].text))
        after = place + 1
        while after < len(turns) and (called := turns[after].called):
            answer["parts"].append(
                {
                    "type": "tool_call",
                    "id": called.call_id,
                    "name": called.name,
                    "arguments": called.arguments,
                }
            )
            after += 1
        calls = after > place + 1
        said: dict[str, Any] = {
            names.OPERATION: "chat",
            names.PROVIDER: "openai",
            names.REQUEST_MODEL: self.episode.agent,
            names.RESPONSE_FINISH_REASONS: ["tool_call" if calls else "stop"],
            names.INPUT_MESSAGES: json.dumps(self.history, ensure_ascii=False),
            names.OUTPUT_MESSAGES: json.dumps(
                [{**answer, "finish_reason": "tool_call" if calls else "stop"}], ensure_ascii=False
            ),
        }
        if system:
            said[names.SYSTEM_INSTRUCTIONS] = json.dumps([_text(system)], ensure_ascii=False)
        if self.episode.tools:
            said[names.TOOL_DEFINITIONS] = json.dumps(self.episode.tools, ensure_ascii=False)
        self.history.append(answer)
        return self.span(
            self.id(16, "chat", place), f"chat {self.episode.agent}", self.root, self.now, said, kind=3
        )

    def call(self, place: int, called: Called) -> Span:
        said = {
            names.OPERATION: "execute_tool",
            names.TOOL_NAME: called.name,
            names.TOOL_TYPE: "function",
            names.TOOL_CALL_ID: called.call_id,
            names.TOOL_CALL_ARGUMENTS: json.dumps(called.arguments, ensure_ascii=False),
            names.TOOL_CALL_RESULT: called.result,
            names.TOOL_RESULT: encode_returned(called.result),
            names.TOOL_FIDELITY: "exact",
            names.TOOL_SAFETY: "write" if called.write else "read",
        }
        response = {"type": "tool_call_response", "id": called.call_id, "response": called.result}
        self.history.append({"role": "tool", "parts": [response]})
        return self.span(self.id(16, "tool", place), f"execute_tool {called.name}", self.root, self.now, said)

    def span(
        self, span_id: str, name: str, parent: str | None, began: int, said: dict[str, Any], kind: int = 1
    ) -> Span:
        self.now += TICK
        return Span(
            trace_id=self.trace,
            span_id=span_id,
            name=name,
            parent_span_id=parent,
            kind=kind,
            start_ns=began,
            end_ns=self.now,
            attributes={key: value for key, value in said.items() if value is not None},
            resource=Resource({names.SERVICE_NAME: self.episode.domain}),
            scope=SCOPE,
        )


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}
