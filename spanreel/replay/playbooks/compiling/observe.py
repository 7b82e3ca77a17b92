"""A `Replay` as the compiler sees it.

Quiet. It reads what the run tells and judges only two things: whether the run succeeded, and how safe a call is. What
of it a playbook keeps is for others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from spanreel.replay import conversation
from spanreel.replay.playbooks.compiling.blanked import not_kept
from spanreel.replay.playbooks.compiling.observed import Call, Observed, Said, Thought
from spanreel.replay.playbooks.walk import jsonable

if TYPE_CHECKING:
    from spanreel.replay.timeline import Replay, ReplayStep, ToolCallRecord

STRIDE: Final = 10
"""Moments between two steps: calls that only messages tell of stand between them."""


def observe(
    replay: Replay,
    *,
    reads: Collection[str] = (),
    writes: Collection[str] = (),
    allow_partial: bool = False,
) -> Observed:
    """What the compiler needs of a run.

    Args:
        replay: the run.
        reads: tools that only read, whatever the run says of them.
        writes: tools that change something, whatever the run says of them.
        allow_partial: a run that did not end well counts as well; one without any call never does.
    """
    said = tuple(_said(replay))
    calls = tuple(_calls(replay, reads, writes))
    why = _why_not(replay, calls, allow_partial)
    return Observed(
        run_id=replay.run_id,
        agent=replay.agent_name,
        input=replay.input,
        said=said,
        calls=calls,
        thoughts=tuple(_thoughts(replay)),
        output=replay.content,
        ok=not why,
        why=why,
        replay=replay,
        schemas=_schemas(replay),
    )


def _why_not(replay: Replay, calls: tuple[Call, ...], allow_partial: bool) -> str:
    if not calls:
        return "it called no tool"
    if lost := not_kept(replay):
        return lost
    if allow_partial:
        return ""
    if replay.status != "completed":
        return f"its status is {replay.status}"
    if replay.outcome.get("success") is False:
        return "its outcome says that it did not succeed"
    return ""


def _said(replay: Replay) -> Iterator[Said]:
    told: set[str] = set()
    for text in _texts(replay.input):
        free = isinstance(replay.input, str) or any(letter.isspace() for letter in text)  # else it is a value
        if free and text not in told:
            told.add(text)
            yield Said(0, text, "input")
    for place, step in enumerate(replay.steps, 1):
        if step.kind != "llm":
            continue
        for message in step.input_messages or ():
            text = conversation.text([message])
            if message.get("role") == "user" and text and text not in told:
                told.add(text)
                yield Said(place * STRIDE, text)


def _texts(value: Any) -> Iterator[str]:
    """The texts in what a run was given; of messages, those of the user."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        if "role" in value and value.get("role") != "user":
            return
        for key, item in value.items():
            if key not in ("role", "type") or "role" not in value:
                yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _calls(replay: Replay, reads: Collection[str], writes: Collection[str]) -> Iterator[Call]:
    places = {step.number: place for place, step in enumerate(replay.steps, 1) if step.number is not None}
    at = 0
    for told in replay.tool_calls:
        place = places.get(told.step) if told.step is not None else None
        at = place * STRIDE if place is not None else at + 1
        yield _call(replay, told, at, reads, writes)


def _call(
    replay: Replay, told: ToolCallRecord, at: int, reads: Collection[str], writes: Collection[str]
) -> Call:
    arguments = conversation.decoded(told.tool_args)
    safety = "read" if told.tool_name in reads else "write" if told.tool_name in writes else told.safety
    return Call(
        at=at,
        tool=told.tool_name,
        arguments=dict(arguments) if isinstance(arguments, Mapping) else {},
        result=jsonable(told.result),
        text=told.result if isinstance(told.result, str) else None,
        error=told.error,
        safety=safety,
        span=f"{replay.trace_id}:{told.span_id}" if told.span_id else "",
        call_id=told.tool_call_id,
        seconds=None if told.duration_ms is None else told.duration_ms / 1000,
    )


def _thoughts(replay: Replay) -> Iterator[Thought]:
    for place, step in enumerate(replay.steps, 1):
        if step.kind == "llm":
            yield _thought(replay, step, place * STRIDE)


def _thought(replay: Replay, step: ReplayStep, at: int) -> Thought:
    system: str | None = None
    earlier: ReplayStep | None = step
    while system is None and earlier is not None:
        system = _words(earlier.system)
        earlier = replay.step(earlier.input_from) if earlier.input_from is not None else None
    asked = [part.get("id") for part in conversation.parts(step.output_messages, "tool_call")]
    return Thought(
        at=at,
        span=f"{replay.trace_id}:{step.span_id}",
        system=system,
        prompt=tuple(replay.input_of(step.number)) if step.number is not None else (),
        text=conversation.text(step.output_messages) or "",
        calls=tuple(identity for identity in asked if isinstance(identity, str)),
        model=f"{step.provider}/{step.model}" if step.provider and step.model else step.model,
        parameters=step.parameters,
        input_tokens=step.tokens.input_tokens,
        output_tokens=step.tokens.output_tokens,
        cost=step.cost,
        seconds=None if step.duration is None else step.duration / 1000,
    )


def _words(parts: Iterable[Mapping[str, Any]] | None) -> str | None:
    if parts is None:
        return None
    words: list[str] = []
    for part in parts:
        inner = part.get("parts")
        for one in inner if isinstance(inner, list) else [part]:
            content = one.get("content") if isinstance(one, Mapping) else None
            if isinstance(content, str):
                words.append(content)
    return "\n".join(words) or None


def _schemas(replay: Replay) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for step in replay.steps:
        for told in step.tools or ():
            function = told.get("function")
            tool: Mapping[str, Any] = function if isinstance(function, Mapping) else told
            name = tool.get("name")
            schema = tool.get("parameters") or tool.get("input_schema") or tool.get("inputSchema")
            if isinstance(name, str) and isinstance(schema, Mapping):
                found.setdefault(name, dict(schema))
    return found
