"""What a replayed agent did that its recording does not have, for people and for programs.

A report names the step, the recorded call that is nearest, which message differs and how, and what to do next. It
judges nothing: whether a call matched was decided by `match`. Values only.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from spanreel.instrument.responder import ModelRequest, ToolRequest
from spanreel.replay.match import Consumed, Matcher, Miss
from spanreel.replay.recording import Effect, ModelEffect, ToolEffect
from spanreel.replay.timeline import Frozen
from spanreel.replay.wording import common_start, marked, similarity, word_diff
from spanreel.wire import identity, recognise
from spanreel.wire.content import canonical_json
from spanreel.wire.differences import first_difference
from spanreel.wire.lenient import parse

_CANDIDATES = 8
_LIKE_ENOUGH = 0.3
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
        score: 0 to 1: the share of the messages that are equal, from the first on, the first different one counting as far as it is alike.
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
    """A tier of matching, and why it found nothing."""

    tier: str
    why: str


class DivergenceReport(Frozen):
    """Where a replayed agent left its recording, and how.

    Attributes:
        step: number of the step that the recording has in that place.
        kind: `unconsumed` is a recorded call that the replayed agent did not make.
        code_line: `file:line` of the agent's code that made the call.
        next: commands that go on from here.
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
    nearest = _nearest(matcher, consumed, request, miss)
    step = nearest.step if nearest and nearest.score >= _LIKE_ENOUGH else consumed.count() + 1
    return DivergenceReport(
        step=step,
        kind=miss.kind,  # pyright: ignore[reportArgumentType] - a Miss names one of them
        asked=asked,
        message=_headline(step, asked.title, miss.kind),
        nearest=nearest,
        tried=[Tried(tier=tier, why=why) for tier, why in miss.tried],
        code_line=code_line or None,
        run_id=run_id,
        source_run_id=matcher.recording.run_id,
        next=next_commands(matcher.recording.run_id, run_id),
    )


def about(
    effect: Effect, kind: Kind, source_run_id: str, code_line: str = "", run_id: str | None = None
) -> DivergenceReport:
    """A report about a recorded call itself: it was not made, or more was wanted of it than was recorded."""
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
        next=next_commands(source_run_id, run_id),
    )


def failure(request: ModelRequest | ToolRequest, error: Exception, run_id: str) -> DivergenceReport:
    """A call that could not even be compared: it is stopped all the same, never let through."""
    asked = _asked(request)
    message = f"{asked.title} {_HEADLINES['failed']}: {type(error).__name__}: {error}"
    return DivergenceReport(step=0, kind="failed", asked=asked, message=message, source_run_id=run_id)


def next_commands(source_run_id: str, run_id: str | None = None) -> list[str]:
    """What to run next."""
    return [
        f"spanreel show {source_run_id}",
        f"spanreel diff {source_run_id} {run_id or 'last'}",
        "run the agent again with recording on, if the change is meant",
    ]


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


def _nearest(
    matcher: Matcher, consumed: Consumed, request: ModelRequest | ToolRequest, miss: Miss
) -> Nearest | None:
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
    return _nearest_model(same, matcher.body(request))


def _nearest_model(left: Sequence[ModelEffect], body: bytes) -> Nearest | None:
    asked = _form(body)
    digests = [canonical_json(one) for one in identity.history(asked)]
    ranked: list[tuple[int, int, ModelEffect, Any]] = []
    for effect in left:
        form = _form(effect.body)
        said = [canonical_json(one) for one in identity.history(form)]
        ranked.append((common_start(said, digests), -abs(len(said) - len(digests)), effect, form))
    ranked.sort(key=lambda one: (-one[0], -one[1], one[2].index))
    scored = [
        (_score(form, asked, equal), equal, effect, form) for equal, _, effect, form in ranked[:_CANDIDATES]
    ]
    best = max(scored, key=lambda one: one[0], default=None)
    if best is None:
        return None
    score, equal, effect, form = best
    return _described(effect, form, asked, equal, round(score, 3))


def _score(recorded: Any, asked: Any, equal: int) -> float:
    """See `Nearest.score`; `equal` is how many messages both begin with."""
    was, now = identity.history(recorded), identity.history(asked)
    longest = max(len(was), len(now))
    if equal < longest:
        return (equal + similarity(_text(was, equal), _text(now, equal))) / longest
    return 1.0 if first_difference(recorded, asked) is None else 0.95


def _described(effect: ModelEffect, recorded: Any, asked: Any, equal: int, score: float) -> Nearest:
    was, now = identity.history(recorded), identity.history(asked)
    found = first_difference(recorded, asked)
    words, role, message = None, None, None
    if equal < max(len(was), len(now)):
        words = marked(word_diff(_text(was, equal), _text(now, equal)))
        role, message = _role(now, equal) or _role(was, equal), equal
    elif found:
        words = marked(word_diff(_plain(found[1]), _plain(found[2])))
    return Nearest(
        step=effect.number, span_id=effect.span_id, title=effect.title, score=score,
        path=_path(recorded, asked, message) or (found[0] if found else None),
        recorded=_brief(found[1]) if found else None, asked=_brief(found[2]) if found else None,
        message=message, role=role, words=words,
    )  # fmt: skip


def _path(recorded: Any, asked: Any, message: int | None) -> str | None:
    """Where the first difference lies within that message, seen from the body."""
    if message is None:
        return None
    was, now = identity.history(recorded), identity.history(asked)
    key = next((one for one in ("messages", "input", "contents") if one in {**recorded, **asked}), "messages")
    if message >= len(was) or message >= len(now):
        return f"$.{key}[{message}]"
    found = first_difference(was[message], now[message])
    return f"$.{key}[{message}]{found[0][1:]}" if found else None


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


def _form(body: bytes) -> Any:
    value = parse(body)
    return identity.canonical(value) if isinstance(value, dict) else {}


def _text(messages: Sequence[Any], place: int) -> str:
    """A message as text: what was said where that is all there is, else its JSON; empty past the end."""
    if place >= len(messages):
        return ""
    message = messages[place]
    if isinstance(message, dict):
        said = message.get("content")
        if isinstance(said, str) and set(message) <= {"role", "content"}:
            return said
    return _plain(message)


def _role(messages: Sequence[Any], place: int) -> str | None:
    message = messages[place] if place < len(messages) else None
    role = message.get("role") or message.get("type") if isinstance(message, dict) else None
    return role if isinstance(role, str) else None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)


def _brief(value: Any) -> Any:
    text = _plain(value)
    return value if len(text) <= 500 else text[:500] + "…"
