"""The rules of a resumed run: what has happened is served; what may have happened is not done again unasked.

A model call has no side effect: where it cannot be a changed form of a recorded one, it goes live. A tool that writes
goes live only if it is certain that this very call was not made before. Values only; `executor` asks.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from spanreel.exceptions import DecisionNeeded
from spanreel.instrument import codec
from spanreel.replay.gates import Recorded, asked
from spanreel.replay.match import Consumed, Matcher
from spanreel.replay.recording import Answer, Effect, ModelEffect, ToolEffect
from spanreel.wire import recognise
from spanreel.wire.dialect import Reply
from spanreel.wire.lenient import mapping, parse

if TYPE_CHECKING:
    from spanreel.instrument.responder import ApprovalRequest, Decision, ModelRequest, ToolRequest


def other_question(request: ApprovalRequest, decision: Decision) -> DecisionNeeded | None:
    """What to raise where a gate asks for something else than was decided: a decision holds for its question only."""
    about = decision.about if isinstance(decision, Recorded) else None
    details = None if request.details is None else codec.plain_text(request.details)
    if about is None or about == asked(request.summary, details):
        return None
    return DecisionNeeded(
        f"approval {request.id} was decided about another question than {request.summary or details!r}; "
        "if the decision holds for this one too, resume with --allow-drift",
        f"approval {request.id}",
    )


def model_may_go_live(matcher: Matcher, consumed: Consumed, request: ModelRequest) -> bool:
    """Whether a model call that nothing recorded answers is a new one.

    It is when every recorded one of its lane was asked for again, or when effects ran at the same time: then the
    recorded ones may be another task's. Else the agent does not do what it did.
    """
    left = [
        one for one in matcher.unused(consumed) if isinstance(one, ModelEffect) and one.lane == request.lane
    ]
    return not left or matcher.recording.overlapped


def tool_may_go_live(
    matcher: Matcher, consumed: Consumed, request: ToolRequest, minted: Collection[str]
) -> bool:
    """Whether it is certain that a tool call that nothing recorded answers was not made before.

    minted: ids that recorded answers gave to the calls they asked for.
    """
    if request.safety == "read":
        return True
    known = {one.call_id for one in matcher.recording.effects if isinstance(one, ToolEffect)}
    if request.call_id is not None and request.call_id in minted and request.call_id not in known:
        return True
    return not _alike(matcher, consumed, request)


def unclear(matcher: Matcher, consumed: Consumed, request: ToolRequest) -> str:
    """Why a tool call cannot be let through, in words."""
    like = _alike(matcher, consumed, request)[0]
    return (
        f"tool {request.name} ({request.safety}) is asked for with arguments that were not recorded, while step {like.number} "
        f"({like.title}), which ended, was not asked for again: this may be the same effect twice; "
        f"look at it with `spanreel show {matcher.recording.run_id}`, then resume with --in-doubt retry to run it"
    )


def doubt(effect: ToolEffect, kind: str, run_id: str) -> str:
    """Why a recorded tool call stops a resume, in words."""
    why = "began and did not come to its end, so nobody knows whether it happened"
    if kind == "opaque":
        why = "has a result that could not be stored"
    return (
        f"step {effect.number} ({effect.title}, {effect.safety}) {why}; check, then "
        f"`spanreel resume {run_id} --in-doubt retry|skip|result=@file`"
    )


def minted_ids(effect: ModelEffect, answer: Answer) -> set[str]:
    """The ids of the tool calls that a recorded answer asks for."""
    known = recognise.by_name(effect.dialect)
    if known is None or not answer.status:
        return set()
    call = known.read(mapping(parse(effect.body)), Reply(answer.status, b"".join(answer.chunks)))
    parts = [part for message in call.content.output or () for part in message.get("parts", ())]
    return {part["id"] for part in parts if part.get("type") == "tool_call" and part.get("id")}


def _alike(matcher: Matcher, consumed: Consumed, request: ToolRequest) -> list[Effect]:
    """Finished calls of the same tool that were not asked for again, and that this one may be."""
    return [
        one
        for one in matcher.unused(consumed)
        if isinstance(one, ToolEffect) and one.name == request.name and one.lane == request.lane
    ]
