"""Which recorded call answers this one? By identity only; never by position, and never the next best.

Tiers are tried strictest first. Within a tier: the same lane first, then recorded order. Each recorded call answers
once (a call that failed to the end, as often as it did). What has been used is a value of its own (`Consumed`), so
that a recording can be played any number of times. No clock, no lock: `executor` holds one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from spanreel.instrument.responder import ModelRequest, ToolRequest
from spanreel.replay.recording import Answer, Effect, ModelEffect, Recording, ToolEffect
from spanreel.wire import identity, recognise
from spanreel.wire.content import canonical_json
from spanreel.wire.differences import first_difference
from spanreel.wire.identity import Tier
from spanreel.wire.lenient import parse

E = TypeVar("E", ModelEffect, ToolEffect)

MATCH: Final[dict[str, tuple[Tier, ...]]] = {
    "strict": (identity.EXACT,),
    "structural": (identity.EXACT, identity.STRUCTURAL),
}
"""How far `match=` goes; the verdict of every tier is in `VERDICT`."""

VERDICT: Final[dict[str, str]] = {"exact": "exact", "structural": "exact", "matcher": "equivalent"}
"""What serving a call by this tier makes of an execution, at best."""

RETRY_HEADERS: Final = frozenset({"x-stainless-retry-count"})
"""Where SDKs say which attempt of a call this is."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A call that was served although it was not byte for byte the recorded one.

    path: JSON path of the first difference, as recorded and as asked; None where only the answer is affected.
    """

    tier: str
    step: int
    source_span_id: str
    path: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Hit:
    """The recorded call that answers. answer: of a model call, the attempt to serve."""

    effect: Effect
    tier: str
    answer: Answer | None = None
    drift: Drift | None = None


@dataclass(frozen=True, slots=True)
class Miss:
    """Nothing recorded answers.

    kind: unmatched · served (only calls that were served already fit) · opaque · in_doubt · nothing_left.
    tried: each tier with why it failed. effect: the recorded call that fits and cannot be served, if there is one.
    """

    kind: str
    tried: tuple[tuple[str, str], ...]
    effect: Effect | None = None


@dataclass(slots=True)
class Consumed:
    """What has been used of a recording: answers given per effect, and what happened inside a served tool."""

    served: dict[int, int] = field(default_factory=dict[int, int])
    inside: set[int] = field(default_factory=set[int])

    def used(self, index: int) -> bool:
        """Whether the effect was served, at least in part, or lies within one that was."""
        return index in self.served or index in self.inside

    def count(self) -> int:
        """How many effects are used."""
        return len(self.served.keys() | self.inside)


class Matcher:
    """Finds recorded calls. Keys are computed when a tier first needs them, and kept.

    Args:
        recording: what may be served.
        match: a key of `MATCH`.
        redact: what blanked the recording's secrets, applied to what is asked before it is compared.
    """

    def __init__(
        self, recording: Recording, match: str = "structural", redact: Callable[[bytes], bytes] | None = None
    ) -> None:
        self.recording = recording
        self.tiers = MATCH[match]
        self._redact = redact if recording.redacted else None
        self._models = [one for one in recording.effects if isinstance(one, ModelEffect)]
        self._tools = [one for one in recording.effects if isinstance(one, ToolEffect)]
        self._same_bytes: dict[tuple[str, str, bytes], list[ModelEffect]] = defaultdict(list)
        for effect in self._models:
            self._same_bytes[effect.dialect, effect.path, effect.body].append(effect)
        self._keys: dict[str, dict[str, list[ModelEffect]]] = {}
        self._tool_keys = {effect.index: _tool_key(effect.name, effect.arguments) for effect in self._tools}

    def unused(self, consumed: Consumed) -> list[Effect]:
        """Recorded calls that nothing asked for, in order."""
        return [effect for effect in self.recording.effects if not consumed.used(effect.index)]

    def body(self, request: ModelRequest) -> bytes:
        """The request's body as it would have been recorded."""
        return self._redact(request.body) if self._redact else request.body

    def arguments(self, request: ToolRequest) -> Any:
        """The arguments as they would have been recorded."""
        if self._redact is None:
            return request.arguments
        return json.loads(self._redact(canonical_json(request.arguments).encode("utf-8", "surrogatepass")))

    def model(self, request: ModelRequest, consumed: Consumed) -> Hit | Miss:
        """The recorded answer to a model call; a hit is used up."""
        body, path = self.body(request), recognise.path_of(request.url)
        attempt = attempt_of(request.headers)
        # Most calls are byte for byte those of the recording: then nothing needs to be parsed.
        alike: Sequence[ModelEffect] = self._same_bytes.get((request.dialect, path, body), ())
        best = _choose(alike, consumed, request.lane, attempt)
        if best is not None and best.lane == request.lane:
            return self._serve(best, self.tiers[0].name, body, consumed)
        fitting: list[ModelEffect] = []
        keys = identity.identities(request.dialect, path, body, self.tiers)
        for tier, key in zip(self.tiers, keys, strict=True):
            alike = self._index(tier).get(key, ())
            best = _choose(alike, consumed, request.lane, attempt)
            if best is not None:
                return self._serve(best, tier.name, body, consumed)
            fitting += alike
        return self._miss(fitting, self._models, consumed)

    def tool(self, request: ToolRequest, consumed: Consumed) -> Hit | Miss:
        """The recorded result of a tool call: by the id that the model gave it, else by name and arguments."""
        key = _tool_key(request.name, self.arguments(request))
        alike = [effect for effect in self._tools if self._tool_keys[effect.index] == key]
        free = [effect for effect in alike if not consumed.used(effect.index)]
        named = [effect for effect in free if request.call_id and effect.call_id == request.call_id]
        best = _first_in_lane(named or _without_owner(free) or free, request.lane)
        if best is None:
            return self._miss(alike, self._tools, consumed)
        if best.open:
            return Miss("in_doubt", (), best)
        if best.encoded is None or best.fidelity == "opaque":
            return Miss("opaque", (), best)
        consumed.served[best.index] = 1
        consumed.inside.update(self.recording.inside(best.span_id))
        renamed = bool(request.call_id and best.call_id and request.call_id != best.call_id)
        tier = "structural" if renamed else "exact"
        drift = Drift(tier, best.number, best.span_id, "$.id") if renamed else None
        if best.redacted:
            drift = Drift(tier, best.number, best.span_id, None, "a secret in the result was blanked")
        return Hit(best, tier, None, drift)

    def _serve(self, effect: ModelEffect, tier: str, body: bytes, consumed: Consumed) -> Hit:
        given = consumed.served.get(effect.index, 0)
        consumed.served[effect.index] = given + 1
        answer = effect.answers[given]
        drift = None
        if tier != "exact":
            drift = Drift(tier, effect.number, effect.span_id, _first_path(effect.body, body))
        if answer.redacted:
            drift = Drift(tier, effect.number, effect.span_id, None, "a secret in the answer was blanked")
        return Hit(effect, tier, answer, drift)

    def _index(self, tier: Tier) -> dict[str, list[ModelEffect]]:
        if tier.name not in self._keys:
            index: dict[str, list[ModelEffect]] = defaultdict(list)
            for effect in self._models:
                key = identity.identities(effect.dialect, effect.path, effect.body, (tier,))[0]
                index[key].append(effect)
            self._keys[tier.name] = index
        return self._keys[tier.name]

    def _miss(self, fitting: Sequence[Effect], kin: Iterable[Effect], consumed: Consumed) -> Miss:
        names = [tier.name for tier in self.tiers]
        if fitting:
            why = "every recorded call with this identity has been served"
            return Miss("served", tuple((name, why) for name in names), fitting[-1])
        if all(consumed.used(effect.index) for effect in kin):
            why = "every recorded call of this kind has been served"
            return Miss("nothing_left", tuple((name, why) for name in names))
        why = "no recorded call has this identity"
        return Miss("unmatched", tuple((name, why) for name in names))


def _choose(
    alike: Iterable[ModelEffect], consumed: Consumed, lane: str, attempt: int | None
) -> ModelEffect | None:
    """An effect with an answer left; where the SDK counts its attempts, one that is as far as the SDK is."""
    free = [effect for effect in alike if _has_answer(effect, consumed, attempt)]
    return _first_in_lane(free, lane)


def _has_answer(effect: ModelEffect, consumed: Consumed, attempt: int | None) -> bool:
    given = consumed.served.get(effect.index, 0)
    if effect.index in consumed.inside or given >= len(effect.answers):
        return False
    # An attempt past the first goes on with the call that failed; a first one begins a call that nobody began.
    return given == attempt or (attempt is None or len(effect.answers) == 1)


def _first_in_lane(free: Sequence[E], lane: str) -> E | None:
    return next((effect for effect in free if effect.lane == lane), free[0] if free else None)


def _without_owner(free: Sequence[ToolEffect]) -> list[ToolEffect]:
    """Those that no id of the model's speaks for."""
    return [effect for effect in free if effect.call_id is None]


def attempt_of(headers: Iterable[tuple[str, str]]) -> int | None:
    """Which attempt of a call this is, from 0, where the SDK says so."""
    for name, value in headers:
        if name.lower() in RETRY_HEADERS and value.isascii() and value.isdigit():
            return int(value)
    return None


def _tool_key(name: str, arguments: Any) -> str:
    return f"{name}\0{canonical_json(arguments)}"


def _first_path(recorded: bytes, asked: bytes) -> str | None:
    found = first_difference(parse(recorded), parse(asked))
    return found[0] if found else None
