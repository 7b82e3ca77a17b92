"""Content that stands in span events: the details event, and the message events of earlier conventions.

Log records arrive here as events too; their body, if they had one, is the attribute `body`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import attributes as names
from spanreel.wire.conventions import dialogue
from spanreel.wire.conventions.values import mapping, parsed, text
from spanreel.wire.records import Content, Message, Part

if TYPE_CHECKING:
    from spanreel.wire.spans import Event

_ROLES: Final = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
_CHOICE: Final = "gen_ai.choice"
_PROMPTS: Final = {"gen_ai.content.prompt": "gen_ai.prompt", "gen_ai.content.completion": "gen_ai.completion"}


def content(happened: Iterable[Event]) -> Content:
    """The content that the events carry; None for what they do not."""
    system: list[Part] | None = None
    tools: list[dict[str, Any]] | None = None
    said: list[Message] = []
    answers: list[Message] = []
    for event in happened:
        attributes = event.attributes
        if told := attributes.get(names.SYSTEM_INSTRUCTIONS):
            system = system or dialogue.blocks(told)
        if told := attributes.get(names.INPUT_MESSAGES):
            said += dialogue.conversation(told)[1] if not said else []
        if told := attributes.get(names.OUTPUT_MESSAGES):
            answers += dialogue.answer(told) if not answers else []
        if told := attributes.get(names.TOOL_DEFINITIONS):
            found = parsed(told)
            tools = tools or (
                [one for one in found if isinstance(one, dict)] if isinstance(found, list) else None
            )
        if event.name in _ROLES:
            said.append(_message(_payload(event), _ROLES[event.name]))
        elif event.name == _CHOICE:
            answers.append(_choice(_payload(event)))
        elif event.name in _PROMPTS:
            _prompt(event, said, answers)
    led, rest = dialogue.split_system(said)
    return Content(system=system or led, input=rest or None, output=answers or None, tools=tools)


def tool(happened: Iterable[Event]) -> tuple[Any, Any]:
    """The arguments and the result of a tool that only events tell."""
    given = got = None
    for event in happened:
        payload = _payload(event)
        if event.name == "gen_ai.tool.message" and given is None:
            given = parsed(payload.get("content"))
        elif event.name == _CHOICE and got is None:
            got = parsed(payload.get("message"))
        elif event.name == "tool.output" and got is None:
            got = next((payload[key] for key in ("output", "content", "diff") if payload.get(key)), None)
    return given, got


def _payload(event: Event) -> Mapping[str, Any]:
    """A log record's body where it is an object, else the attributes."""
    return mapping(event.attributes.get("body")) or event.attributes


def _message(payload: Mapping[str, Any], role: str) -> Message:
    return dialogue.message(
        {"role": role, **{key: parsed(value) for key, value in payload.items() if key != "role"}}
    )


def _choice(payload: Mapping[str, Any]) -> Message:
    held = parsed(payload.get("message"))
    said = dict(held) if isinstance(held, Mapping) else {"content": held}
    made = dialogue.message({**said, "role": "assistant"}, "assistant")
    if finish := text(payload.get("finish_reason")):
        made["finish_reason"] = dialogue.finish_word(finish)
    return made


def _prompt(event: Event, said: list[Message], answers: list[Message]) -> None:
    told = event.attributes.get(_PROMPTS[event.name]) or event.attributes.get("body")
    if told and event.name.endswith("prompt"):
        said += dialogue.dialogue(told)
    elif told:
        answers += dialogue.answer(told)
