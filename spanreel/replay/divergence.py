"""What a replayed agent did that its recording does not have, for people and for programs.

A report names the step, the line that made the call, the recorded call that is nearest, which message differs and how,
why each tier of matching failed, and three commands that go on. It judges nothing: whether a call matched was decided
by `match`. Values only.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from pydantic import Field

from spanreel.instrument.responder import ModelRequest, ToolRequest
from spanreel.replay.match import NEIGHBOUR, Consumed, Matcher, Miss
from spanreel.replay.nearest import THRESHOLD, Near, message_difference, text_of
from spanreel.replay.recording import Effect, ModelEffect, Recording, ToolEffect
from spanreel.replay.timeline import Frozen
from spanreel.replay.wording import marked, similarity, word_diff
from spanreel.wire import bodies, identity, recognise
from spanreel.wire.content import canonical_json
from spanreel.wire.differences import first_difference

_LIKE_ENOUGH = 0.3
_SHORT = 80
_HEADLINES = {
    "unmatched": "is not the recorded call",
    "served": "was asked again, but was recorded only as often as it has been served",
    "nothing_left": "comes after the last recorded call of its kind",
    "opaque": "has a recorded result that could not be stored, and so cannot be given back",
    "in_doubt": "began in the recorded run and did not come to its end, so its result is not known",
    "cut": "was read further than the recorded run read it, where the recording ends",
    "unconsumed": "was recorded, and the replayed run did not make it",
    "failed": "could not be compared with the recording",
}
Kind = Literal[
    "unmatched", "served", "nothing_left", "opaque", "in_doubt", "cut", "unconsumed", "failed"
]  # fmt: skip


class Asked(Frozen):
    """The call that nothing recorded answers. `source`: `model` or `tool`."""

    source: Literal["model", "tool"]
    dialect: str | None = None
    model: str | None = None
    tool: str | None = None
    arguments: Any = None
    call_id: str | None = None

    @property
    def title(self) -> str:
        """As people name it."""
        return (
            f"tool {self.tool}"
            if self.source == "tool"
            else " ".join(filter(None, (self.dialect, self.model)))
        )


class Nearest(Frozen):
    """The recorded call that is most like it.

    Attributes:
        score: 0 to 1: the share of the messages that are equal, the first different one counting as far as it is alike.
        path: JSON path of the first difference.
        recorded, asked: the values there.
        message: number of the first different message, from 0; None if the messages are equal, or it is a tool call.
        role: who speaks there.
        words: that message (or value), word by word: `[-recorded-]{+asked+}`.
    """

    step: int
    span_id: str
    title: str
    score: float
    path: str | None = None
    recorded: Any = None
    asked: Any = None
    message: int | None = None
    role: str | None = None
    words: str | None = None


class Tried(Frozen):
    """A tier of matching, and why it found nothing: where the nearest recorded call differs in that tier's form."""

    tier: str
    why: str


class DivergenceReport(Frozen):
    """Where a replayed agent left its recording, and how.

    Attributes:
        step: number of the step that the recording has in that place.
        kind: `unconsumed` is a recorded call that the replayed agent did not make.
        code_line: `file:line` of the agent's code that made the call.
        next: what goes on from here: accept the call and go live, the same with this step edited, record anew.
        see: commands that show more.
    """

    schema_: Literal["spanreel.divergence.v1"] = Field(default="spanreel.divergence.v1", alias="schema")
    step: int
    kind: Kind
    asked: Asked
    message: str
    nearest: Nearest | None = None
    tried: list[Tried] = Field(default_factory=list[Tried])
    code_line: str | None = None
    run_id: str | None = None
    source_run_id: str | None = None
    next: list[str] = Field(default_factory=list[str])
    see: list[str] = Field(default_factory=list[str])

    def text(self) -> str:
        """The report as people read it, in a few lines."""
        lines = [self.message]
        if self.code_line:
            lines.append(f"  called from {self.code_line}")
        near = self.nearest
        if near:
            lines.append(f"  nearest: step {near.step} ({near.title}), {near.score:.0%} alike")
            where = f"message {near.message} ({near.role})" if near.message is not None else near.path
            if where:
                path = f", at {near.path}" if near.message is not None and near.path else ""
                lines.append(f"  differs: {where}{path}")
            if near.words:
                lines += [f"    {line}" for line in near.words.splitlines()]
        lines += [f"  tier {one.tier}: {one.why}" for one in self.tried]
        lines += [f"  next: {command}" for command in self.next]
        lines += [f"  see: {command}" for command in self.see]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, object]:
        """The JSON object."""
        return self.model_dump(mode="json", by_alias=True)


def report(
    matcher: Matcher,
    consumed: Consumed,
    request: ModelRequest | ToolRequest,
    miss: Miss,
    code_line: str = "",
    run_id: str | None = None,
) -> DivergenceReport:
    """Why this call was not answered, from what the recording has and what is left of it."""
    asked = _asked(request)
    compared = _compared(matcher, consumed, request, miss)
    nearest = _described(compared) if isinstance(compared, Near) else compared
    step = nearest.step if nearest and nearest.score >= _LIKE_ENOUGH else consumed.count() + 1
    return DivergenceReport(
        step=step,
        kind=miss.kind,  # pyright: ignore[reportArgumentType] - a Miss names one of them
        asked=asked,
        message=_headline(step, asked.title, miss.kind),
        nearest=nearest,
        tried=list(_tried(matcher, request, miss, compared)),
        code_line=code_line or None,
        run_id=run_id,
        source_run_id=matcher.recording.run_id,
        next=next_commands(matcher.recording, step),
        see=see_commands(matcher.recording.run_id, run_id),
    )


def about(
    effect: Effect,
    kind: Kind,
    source_run_id: str,
    code_line: str = "",
    run_id: str | None = None,
    recording: Recording | None = None,
) -> DivergenceReport:
    """A report about a recorded call itself: it was not made, or more was wanted of it than was recorded."""
    recording = recording or Recording(source_run_id, ())
    asked = (
        Asked(source="model", dialect=effect.dialect, model=effect.model)
        if isinstance(effect, ModelEffect)
        else Asked(source="tool", tool=effect.name, arguments=effect.arguments, call_id=effect.call_id)
    )
    return DivergenceReport(
        step=effect.number,
        kind=kind,
        asked=asked,
        message=_headline(effect.number, effect.title, kind),
        code_line=code_line or None,
        run_id=run_id,
        source_run_id=source_run_id,
        next=next_commands(recording, effect.number),
        see=see_commands(source_run_id, run_id),
    )


def failure(request: ModelRequest | ToolRequest, error: Exception, run_id: str) -> DivergenceReport:
    """A call that could not even be compared: it is stopped all the same, never let through."""
    asked = _asked(request)
    message = f"{asked.title} {_HEADLINES['failed']}: {type(error).__name__}: {error}"
    return DivergenceReport(step=0, kind="failed", asked=asked, message=message, source_run_id=run_id)


def next_commands(recording: Recording, step: int) -> list[str]:
    """Three ways on from a step: take what the agent does now and go live, the same with the step edited, record anew."""
    name = shlex.quote(recording.name or recording.run_id)
    again = "run the agent again with recording on"
    if recording.command:
        again = f"spanreel run -- {shlex.join(('python', *recording.command))}"
    fork = f"spanreel fork {name} --at {step}"
    what = f" -- {shlex.join(('python', *recording.command))}" if recording.named else ""
    return [fork + what, f"{fork} --edit {step}{what}", again]


def see_commands(source_run_id: str, run_id: str | None = None) -> list[str]:
    """What shows more of the recorded run and of this one."""
    return [f"spanreel show {source_run_id}", f"spanreel diff {source_run_id} {run_id or 'last'}"]


def title(request: ModelRequest | ToolRequest) -> str:
    """A call as people name it."""
    return _asked(request).title


def _headline(step: int, title: str, kind: str) -> str:
    return f"step {step}: {title} {_HEADLINES[kind]}"


def _asked(request: ModelRequest | ToolRequest) -> Asked:
    if isinstance(request, ToolRequest):
        arguments = json.loads(json.dumps(request.arguments, default=repr))
        return Asked(source="tool", tool=request.name, arguments=arguments, call_id=request.call_id)
    model = recognise.request_model(request.body, request.url)
    return Asked(source="model", dialect=request.dialect, model=model)


def _compared(
    matcher: Matcher, consumed: Consumed, request: ModelRequest | ToolRequest, miss: Miss
) -> Near | Nearest | None:
    """The nearest recorded call that is left; the one that fits, where it cannot be served."""
    if miss.effect is not None:
        return Nearest(
            step=miss.effect.number, span_id=miss.effect.span_id, title=miss.effect.title, score=1.0
        )
    left = matcher.unused(consumed)
    if isinstance(request, ToolRequest):
        return _nearest_tool(
            [one for one in left if isinstance(one, ToolEffect)], request, matcher.arguments(request)
        )
    same = [one for one in left if isinstance(one, ModelEffect) and one.dialect == request.dialect]
    return matcher.nearest.model(same, matcher.body(request))


def _described(near: Near) -> Nearest:
    was, now = identity.history(near.recorded), identity.history(near.asked)
    words, role, recorded, asked = None, None, None, None
    if near.message is not None:
        words = marked(word_diff(text_of(was, near.message), text_of(now, near.message)))
        role = _role(now, near.message) or _role(was, near.message)
    found = message_difference(near.recorded, near.asked)
    if found:
        _, recorded, asked = found
        words = words if words is not None else marked(word_diff(_plain(recorded), _plain(asked)))
    return Nearest(
        step=near.effect.number, span_id=near.effect.span_id, title=near.effect.title, score=round(near.score, 3),
        path=near.path, recorded=_brief(recorded), asked=_brief(asked), message=near.message, role=role, words=words,
    )  # fmt: skip


def _tried(
    matcher: Matcher, request: ModelRequest | ToolRequest, miss: Miss, compared: Near | Nearest | None
) -> Iterator[Tried]:
    """Each tier, with where the nearest differs in its form; as `match` said it where there is nothing to compare."""
    tiers = {tier.name: tier for tier in matcher.tiers}
    by_span = {effect.span_id: effect for effect in matcher.recording.effects}
    for name, said in miss.tried:
        effect = (
            compared.effect
            if isinstance(compared, Near)
            else by_span.get(compared.span_id)
            if compared
            else None
        )
        why = None
        known = name in tiers or name == NEIGHBOUR  # a test's own matcher speaks for itself
        if known and miss.kind == "unmatched" and compared is not None and effect is not None:
            if name == NEIGHBOUR:
                why = _why_no_neighbour(request, effect, compared.score)
            elif isinstance(request, ToolRequest):
                why = _why_no_tool(effect, request, matcher.arguments(request), scrub=tiers[name].scrubs)
            elif isinstance(effect, ModelEffect):
                why = _why_no_model(effect, request, matcher.body(request), tiers[name])
        yield Tried(tier=name, why=why or said)


def _why_no_model(effect: ModelEffect, request: ModelRequest, body: bytes, tier: identity.Tier) -> str | None:
    try:
        was, now = (tier.form(bodies.whole(raw)).value for raw in (effect.body, body))
    except RecursionError:
        return None
    found = message_difference(was, now)
    if found is not None:
        return _differs(*found)
    path = recognise.path_of(request.url)
    return f"the path of the URL was {effect.path} and is {path}" if path != effect.path else None


def _why_no_tool(effect: Effect, request: ToolRequest, arguments: Any, *, scrub: bool) -> str | None:
    assert isinstance(effect, ToolEffect)
    was, now = effect.arguments, arguments
    if scrub:
        was, now = (identity.scrubbed_arguments(one).value for one in (was, now))
    found = first_difference(
        {"name": effect.name, "arguments": was}, {"name": request.name, "arguments": now}
    )
    return _differs(*found) if found else None


def _why_no_neighbour(request: ModelRequest | ToolRequest, effect: Effect, score: float) -> str:
    if isinstance(request, ToolRequest):
        safety = {request.safety, effect.safety if isinstance(effect, ToolEffect) else ""}
        if safety != {"read"}:
            return "a tool that is not declared read is never answered by its neighbour"
    return f"the nearest is {score:.0%} alike, and {THRESHOLD:.0%} is the least that is served"


def _differs(path: str, recorded: Any, asked: Any) -> str:
    was, now = _plain(recorded), _plain(asked)
    if len(was) <= _SHORT and len(now) <= _SHORT:
        return f"at {path}: {_quoted(recorded)} was recorded, {_quoted(asked)} was asked"
    words = marked(word_diff(was, now)).replace("\n", "\\n")
    return f"at {path}: {words if len(words) <= 3 * _SHORT else words[: 3 * _SHORT] + '…'}"


def _quoted(value: Any) -> str:
    return value if value == bodies.ABSENT else canonical_json(value)


def _nearest_tool(left: Sequence[ToolEffect], request: ToolRequest, arguments: Any) -> Nearest | None:
    compared = [_compare_tool(effect, request, arguments) for effect in left]
    return max(compared, key=lambda one: one.score, default=None)


def _compare_tool(effect: ToolEffect, request: ToolRequest, arguments: Any) -> Nearest:
    was, now = canonical_json(effect.arguments), canonical_json(arguments)
    same_name = effect.name == request.name
    score = (0.5 if same_name else 0.0) + 0.4 * similarity(was, now)
    score += 0.1 if request.call_id and request.call_id == effect.call_id else 0.0
    found = first_difference(
        {"name": effect.name, "arguments": effect.arguments}, {"name": request.name, "arguments": arguments}
    )
    return Nearest(
        step=effect.number, span_id=effect.span_id, title=effect.title, score=round(score, 3),
        path=found[0] if found else None,
        recorded=_brief(found[1]) if found else None, asked=_brief(found[2]) if found else None,
        words=marked(word_diff(f"{effect.name} {was}", f"{request.name} {now}")),
    )  # fmt: skip


def _role(messages: Sequence[Any], place: int) -> str | None:
    message = messages[place] if place < len(messages) else None
    role = message.get("role") or message.get("type") if isinstance(message, dict) else None
    return role if isinstance(role, str) else None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _brief(value: Any) -> Any:
    text = _plain(value)
    return value if len(text) <= 500 else text[:500] + "…"
