"""Which recorded tool call is this one? By the id that the model gave it, by name and arguments, by what is left of them.

In order, each over all calls that are left: the same arguments under the same id; under no id; where scrubbing is asked
for, arguments that are the same but for times, uuids and the like, under the same id; the same arguments under another
id; scrubbed ones under none; under another. Where several fit, what scrubbing left out decides, then the lane, then
recorded order. Judges only: what is served, and what it means, is for `match`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from spanreel.replay.nearest import THRESHOLD
from spanreel.replay.recording import ModelEffect, ToolEffect
from spanreel.replay.wording import similarity
from spanreel.wire import identity
from spanreel.wire.content import canonical_json
from spanreel.wire.differences import first_difference

if TYPE_CHECKING:
    from spanreel.instrument.responder import ToolRequest
    from spanreel.replay.match import Consumed

E = TypeVar("E", ModelEffect, ToolEffect)


@dataclass(frozen=True, slots=True)
class Found:
    """The recorded call, if there is one.

    path: of the first difference, in the call as ``{id, arguments}``; None if there is none.
    alike: without one, those that fit and were served.
    """

    effect: ToolEffect | None
    tier: str = "exact"
    path: str | None = None
    score: float | None = None
    alike: Sequence[ToolEffect] = ()


class ToolCalls:
    """The recorded tool calls.

    Args:
        effects: in recorded order.
        scrub: whether arguments may differ in what the scrubbed tier leaves out.
    """

    def __init__(self, effects: Sequence[ToolEffect], scrub: bool) -> None:
        self._effects = effects
        self._scrub = scrub
        self._keys = {effect.index: _key(effect.name, effect.arguments) for effect in effects}
        self._forms: dict[int, tuple[str, tuple[str, ...]]] = {}

    def find(self, request: ToolRequest, arguments: Any, consumed: Consumed) -> Found:
        """The call that this is, by the rules above; `arguments` as they would have been recorded."""
        key = _key(request.name, arguments)
        alike = [one for one in self._effects if self._keys[one.index] == key]
        same = [one for one in alike if not consumed.used(one.index)]
        scrubbed, asked = self._scrubbed(request, arguments, consumed) if self._scrub else ([], ())
        sets: list[tuple[Sequence[ToolEffect], str, Callable[[ToolEffect], bool]]] = [
            (same, "exact", lambda one: bool(request.call_id) and one.call_id == request.call_id),
            (same, "exact", lambda one: one.call_id is None),
            (scrubbed, "scrubbed", lambda one: bool(request.call_id) and one.call_id == request.call_id),
            (same, "exact", lambda one: True),
            (scrubbed, "scrubbed", lambda one: one.call_id is None),
            (scrubbed, "scrubbed", lambda one: True),
        ]
        for among, tier, fits in sets:
            some = [one for one in among if fits(one)]
            if tier == "scrubbed":
                some = likeliest([(one, self._form(one)[1]) for one in some], asked, set())
            best = first_in_lane(some, request.lane)
            if best is not None:
                renamed = bool(request.call_id and best.call_id and request.call_id != best.call_id)
                reached = "structural" if renamed and tier == "exact" else tier
                return Found(best, reached, _path(best, request, arguments, renamed))
        return Found(None, alike=alike)

    def neighbour(self, request: ToolRequest, arguments: Any, consumed: Consumed) -> Found:
        """The most similar call of the same tool, if it only reads."""
        asked = canonical_json(identity.scrubbed_arguments(arguments).value)
        free = [
            one
            for one in self._effects
            if one.name == request.name and one.safety == "read" and not consumed.used(one.index)
        ]
        scored = [(round(similarity(self._form(one)[0], asked), 3), one) for one in free]
        score, best = max(scored, key=lambda pair: pair[0], default=(0.0, None))
        if best is None or score < THRESHOLD:
            return Found(None)
        return Found(best, "neighbour", _path(best, request, arguments, False), score)

    def _scrubbed(
        self, request: ToolRequest, arguments: Any, consumed: Consumed
    ) -> tuple[list[ToolEffect], tuple[str, ...]]:
        free = [one for one in self._effects if one.name == request.name and not consumed.used(one.index)]
        if not free:
            return [], ()
        form = identity.scrubbed_arguments(arguments)
        text = canonical_json(form.value)
        return [one for one in free if self._form(one)[0] == text], form.taken

    def _form(self, effect: ToolEffect) -> tuple[str, tuple[str, ...]]:
        if effect.index not in self._forms:
            form = identity.scrubbed_arguments(effect.arguments)
            self._forms[effect.index] = (canonical_json(form.value), form.taken)
        return self._forms[effect.index]


def likeliest(
    candidates: Sequence[tuple[E, tuple[str, ...]]], asked: Sequence[str], elsewhere: AbstractSet[str]
) -> list[E]:
    """Of calls that are the same but for what was left out of them, those that have most of it in common with what is asked.

    Args:
        candidates: each with what was left out of it, place by place.
        asked: what was left out of what is asked.
        elsewhere: what other calls of this replay have word for word: it is not minted anew, so where a candidate has it
            and what is asked does not, that speaks against the candidate.
    """
    scored = [(_in_common(taken, asked, elsewhere), effect) for effect, taken in candidates]
    best = max((score for score, _ in scored), default=0)
    return [effect for score, effect in scored if score == best]


def first_in_lane(free: Sequence[E], lane: str) -> E | None:
    """The first of this lane, else the first."""
    return next((effect for effect in free if effect.lane == lane), free[0] if free else None)


def _in_common(taken: Iterable[str], asked: Iterable[str], elsewhere: AbstractSet[str]) -> int:
    pairs = list(zip(taken, asked, strict=False))
    return sum(one == other for one, other in pairs) - sum(
        one in elsewhere and one != other for one, other in pairs
    )


def _key(name: str, arguments: Any) -> str:
    return f"{name}\0{canonical_json(arguments)}"


def _path(effect: ToolEffect, request: ToolRequest, arguments: Any, renamed: bool) -> str | None:
    found = first_difference({"arguments": effect.arguments}, {"arguments": arguments})
    return found[0] if found else "$.id" if renamed else None
