"""Which recorded model call is most like this one, how much, and where do they part? It says what is near; whether that is served, and
how it is shown, is for others.

Calls are compared in the form of a tier of `identity`, message by message: how many messages both begin with, how much
alike the first different ones are, and how many after them are equal, place by place or from the end, as a share of the
longer history. A one-word edit of the first message leaves a long conversation as near as a one-word edit of the last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import eq
from typing import Any, Final

from spanreel.replay.recording import ModelEffect
from spanreel.replay.wording import common_start, similarity
from spanreel.wire import identity
from spanreel.wire.bodies import history_key
from spanreel.wire.content import canonical_json
from spanreel.wire.differences import first_difference
from spanreel.wire.identity import Tier
from spanreel.wire.lenient import parse

THRESHOLD: Final = 0.6
"""How much alike a neighbour must be to be served."""
SAME_MESSAGES: Final = 0.95
"""The score of a call that differs only outside its messages."""

_LOOKED_AT = 64
_COMPARED = 8
_MESSAGE = re.compile(r"\$\.(?:messages|input|contents)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Near:
    """A recorded call and how it differs.

    score: 0 to 1. message: number of the first different message, from 0; None if the messages are equal.
    path: JSON path of the first difference (in that message, if there is one); None if the forms are equal.
    recorded, asked: the two forms.
    """

    effect: ModelEffect
    score: float
    message: int | None
    path: str | None
    recorded: Any
    asked: Any


class Nearness:
    """Compares calls in the form of one tier; what it makes of recorded calls is kept.

    Args:
        tier: whose form.
    """

    def __init__(self, tier: Tier) -> None:
        self.tier = tier
        self._kept: dict[int, tuple[Any, list[int]]] = {}

    def model(self, left: Sequence[ModelEffect], body: bytes, *, same_stream: bool = False) -> Near | None:
        """The nearest of these calls, the earliest of several; None if there are none.

        Args:
            left: candidates, in recorded order.
            body: what is asked.
            same_stream: only calls with the same stream flag.
        """
        asked = self.form(body)
        said = _digests(asked)
        ranked = [(effect, *self._of(effect)) for effect in _closest(left, len(body))]
        if same_stream:
            ranked = [one for one in ranked if _streams(one[1]) == _streams(asked)]
        ranked.sort(key=lambda one: (-_equal(one[2], said), abs(len(one[2]) - len(said)), one[0].index))
        near = [_near(effect, form, asked, was, said) for effect, form, was in ranked[:_COMPARED]]
        return max(near, key=lambda one: one.score, default=None)

    def form(self, body: bytes) -> dict[str, Any]:
        """The form of a body; empty if it is no JSON object."""
        value = parse(body)
        try:
            return identity.canonical(value, self.tier) if isinstance(value, dict) else {}
        except RecursionError:
            return {}

    def _of(self, effect: ModelEffect) -> tuple[Any, list[int]]:
        if effect.index not in self._kept:
            form = self.form(effect.body)
            self._kept[effect.index] = (form, _digests(form))
        return self._kept[effect.index]


def message_of(path: str | None) -> int | None:
    """The number of the message that a JSON path of a request leads into."""
    found = _MESSAGE.match(path or "")
    return int(found[1]) if found else None


def text_of(messages: Sequence[Any], place: int) -> str:
    """A message as text: what was said where that is all there is, else its JSON; empty past the end."""
    if place >= len(messages):
        return ""
    message = messages[place]
    if isinstance(message, dict):
        said = message.get("content")
        if isinstance(said, str) and set(message) <= {"role", "content"}:
            return said
    return message if isinstance(message, str) else canonical_json(message)


def _closest(left: Sequence[ModelEffect], size: int) -> list[ModelEffect]:
    """Of very many, those that come next and those whose size is most like it."""
    if len(left) <= _LOOKED_AT:
        return list(left)
    by_size = sorted(left[_LOOKED_AT // 2 :], key=lambda one: abs(len(one.body) - size))
    return [*left[: _LOOKED_AT // 2], *by_size[: _LOOKED_AT // 2]]


def _digests(form: Any) -> list[int]:
    return [hash(canonical_json(message)) for message in identity.history(form)]


def _equal(was: Sequence[int], now: Sequence[int]) -> int:
    start = common_start(was, now)
    return start + _equal_after(was, now, start)


def _equal_after(was: Sequence[int], now: Sequence[int], place: int) -> int:
    """How many messages past this one are equal: at the same place, or, where one was put in or left out, from the end."""
    old, new = was[place + 1 :], now[place + 1 :]
    return max(sum(map(eq, old, new)), common_start(old[::-1], new[::-1]))


def _near(effect: ModelEffect, recorded: Any, asked: Any, was: Sequence[int], now: Sequence[int]) -> Near:
    start = common_start(was, now)
    longest = max(len(was), len(now))
    found = message_difference(recorded, asked)
    path = found[0] if found else None
    if start == longest:
        return Near(effect, SAME_MESSAGES if found else 1.0, None, path, recorded, asked)
    old, new = identity.history(recorded), identity.history(asked)
    alike = similarity(text_of(old, start), text_of(new, start))
    score = (start + alike + _equal_after(was, now, start)) / longest
    return Near(effect, round(score, 3), start, path, recorded, asked)


def message_difference(recorded: Any, asked: Any) -> tuple[str, Any, Any] | None:
    """The first difference of two forms as JSON path, recorded, asked: in the messages if they differ, else elsewhere."""
    old, new = identity.history(recorded), identity.history(asked)
    key = history_key(asked) or history_key(recorded)
    found = first_difference(old, new)
    return (f"$.{key}{found[0][1:]}", *found[1:]) if found else first_difference(recorded, asked)


def _streams(form: Any) -> bool:
    return bool(form.get("stream"))
