"""A step of a run as a document that a person can change, and back: what is different about it. Quiet: no editor, no file.

Of a model call the request can be changed, or an answer written; of a tool call its result. What was recorded stands
beside it to be read, and a change there is refused by name, since nothing would come of it.
"""

from __future__ import annotations

import json
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.replay.policy import Overrides
from spanreel.replay.recording import Effect, ModelEffect, Recording, ToolEffect
from spanreel.wire.lenient import parse

_ABOUT_MODEL: Final = "Change `request`, and it is sent instead; or write an `answer` (a text, or a message), and nobody is asked."
_ABOUT_TOOL: Final = "Change `result`, and the tool gives that."
_FOR_ARGUMENTS: Final = (
    "edit the answer of the model call that made this one (`--edit` of the step before it)"
)


def effect_of(recording: Recording, step: int) -> Effect:
    """The recorded call of that step.

    Raises:
        SpanreelError: there is none.
    """
    for effect in recording.effects:
        if effect.number == step and effect.run_id == recording.run_id:
            return effect
    last = max((one.number for one in recording.effects if one.run_id == recording.run_id), default=0)
    raise SpanreelError(
        f"run {recording.run_id} has no recorded call at step {step}; its last one is step {last}",
        f"spanreel show {recording.run_id}",
    )


def document(effect: Effect, recorded_answer: Any = None) -> str:
    """A step as readable JSON, for `overrides` to read again.

    Args:
        effect: the step.
        recorded_answer: what the model answered then, to be read.

    Raises:
        SpanreelError: it has nothing that a person could edit.
    """
    said = _model(effect, recorded_answer) if isinstance(effect, ModelEffect) else _tool(effect)
    return json.dumps(said, ensure_ascii=False, indent=2) + "\n"


def overrides(effect: Effect, before: str, after: str) -> Overrides:
    """What is different, from the document as it was written and as it is now; empty: nothing.

    Raises:
        SpanreelError: it is no JSON, or something was changed that cannot be.
    """
    was, now = json.loads(before), _read(after)
    fixed = set(was) - ({"request", "answer"} if isinstance(effect, ModelEffect) else {"result"})
    for name in [*sorted(fixed), *sorted(set(now) - set(was))]:
        if now.get(name, was.get(name)) != was.get(name):
            raise SpanreelError(f"`{name}` of step {effect.number} cannot be edited", _remedy(name))
    if isinstance(effect, ToolEffect):
        given = now.get("result")
        return Overrides(responses={effect.number: given}) if given != was["result"] else Overrides()
    request, answer = now.get("request"), now.get("answer")
    changed = request != was["request"]
    if changed and answer is not None:
        raise SpanreelError(
            f"step {effect.number} has an answer, so its edited request would not be sent",
            "edit one of the two",
        )
    if answer is not None:
        if not isinstance(answer, str) and not (isinstance(answer, dict) and {"parts", "body"} & set(answer)):
            raise SpanreelError(
                f"the answer of step {effect.number} is neither text nor a message",
                "write a text, or a message like `recorded_answer`",
            )
        return Overrides(responses={effect.number: answer})
    if changed and not isinstance(request, dict):
        raise SpanreelError(
            f"the request of step {effect.number} is no JSON object any more", "edit it again"
        )
    return Overrides(requests={effect.number: request}) if changed else Overrides()


def _model(effect: ModelEffect, recorded_answer: Any) -> dict[str, Any]:
    request = parse(effect.body)
    if not isinstance(request, dict):
        raise SpanreelError(
            f"the request of step {effect.number} is no JSON, so it cannot be edited", "use --respond"
        )
    said = {"step": effect.number, "call": effect.title, "about": _ABOUT_MODEL}
    return said | {"request": request, "answer": None, "recorded_answer": recorded_answer}


def _tool(effect: ToolEffect) -> dict[str, Any]:
    said = {"step": effect.number, "call": effect.title, "about": _ABOUT_TOOL}
    result = None if effect.encoded is None else json.loads(effect.encoded)
    return said | {"arguments": effect.arguments, "result": result}


def _read(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpanreelError(f"what was edited is no JSON: {error}", "mend it") from None
    if not isinstance(found, dict):
        raise SpanreelError("what was edited is no JSON object any more", "edit it again")
    return found


def _remedy(name: str) -> str:
    return _FOR_ARGUMENTS if name == "arguments" else "leave it as it was"
