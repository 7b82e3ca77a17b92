"""Which recorded call answers this one? By identity; never by position, and the next best only where that was asked for.

Tiers are tried strictest first, over all recorded calls that are left. Where several are the same call in a tier, what
the tier left out decides (ids, times, the user): the one that has most of it in common with what is asked, less what it
has and this replay has asked for elsewhere word for word. Then the same lane, then recorded order. So two calls swap only
if nothing tells them apart: no id or time of either is asked again, they come from one lane, and they come in another
order than they were recorded in. Calls that are equal in identity and lane are interchangeable.

`explore` serves the nearest neighbour (`nearest`) where no tier fits, and each such hit is a drift. A tool that does
something is never answered by its neighbour.

Each recorded call answers once (a call that failed to the end, as often as it did). What has been used is a value of
its own (`Consumed`), so that a recording can be played any number of times. No clock, no lock: `executor` holds one.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from spanreel.instrument.responder import ModelRequest, ToolRequest
from spanreel.replay.nearest import THRESHOLD, Nearness, message_of
from spanreel.replay.recording import Answer, Effect, ModelEffect, Recording, ToolEffect
from spanreel.replay.toolcalls import ToolCalls, first_in_lane, likeliest
from spanreel.replay.wording import common_start
from spanreel.wire import identity, recognise
from spanreel.wire.bodies import Body, BodyReader
from spanreel.wire.content import canonical_json
from spanreel.wire.differences import first_difference
from spanreel.wire.identity import Tier

MATCH: Final[dict[str, tuple[Tier, ...]]] = {
    "strict": (identity.EXACT,),
    "structural": (identity.EXACT, identity.STRUCTURAL),
    "scrubbed": identity.TIERS,
    "explore": identity.TIERS,
}
"""How far `match=` goes; the verdict of every tier is in `VERDICT`."""

NEIGHBOUR: Final = "neighbour"
"""The tier of a hit that is no match: `explore` only."""

VERDICT: Final[dict[str, str]] = {
    "exact": "exact",
    "structural": "exact",
    "scrubbed": "equivalent",
    "matcher": "equivalent",  # a test's own
    NEIGHBOUR: "drifted",
}
"""What serving a call by this tier makes of an execution, at best."""

_WORST_LAST: Final = ("exact", "equivalent", "drifted")

RETRY_HEADERS: Final = frozenset({"x-stainless-retry-count"})
"""Where SDKs say which attempt of a call this is."""


@dataclass(frozen=True, slots=True)
class Drift:
    """A call that was served although it was not byte for byte the recorded one.

    path: JSON path of the first difference between what was recorded and what was asked; None where only the answer
        is affected. message: number of the message it lies in, from 0, if it lies in one.
    score: of a neighbour, how much alike, 0 to 1.
    """

    tier: str
    step: int
    source_span_id: str
    path: str | None = None
    note: str = ""
    score: float | None = None
    message: int | None = None


def verdict_of(drift: Iterable[Drift]) -> str:
    """What served calls make of an execution: exact, equivalent or drifted, by the worst of them.

    An answer with a secret blanked in it (`note`) is the recorded one only as far as anyone can tell.
    """
    words = [
        max(VERDICT[one.tier], "equivalent" if one.note else "exact", key=_WORST_LAST.index) for one in drift
    ]
    return max(words, key=_WORST_LAST.index, default="exact")


@dataclass(frozen=True, slots=True)
class Hit:
    """The recorded call that answers.

    answer: of a model call, the attempt to serve. score, message: as in its `drift`.
    """

    effect: Effect
    tier: str
    answer: Answer | None = None
    drift: Drift | None = None
    score: float | None = None
    message: int | None = None


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
    """What has been used of a recording: answers given per effect, and what happened inside a served tool.

    verbatim: the effects that were asked for in the exact tier.
    """

    served: dict[int, int] = field(default_factory=dict[int, int])
    inside: set[int] = field(default_factory=set[int])
    verbatim: set[int] = field(default_factory=set[int])

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
        self.neighbours = match == "explore"
        self.nearest = Nearness(self.tiers[-1])
        self._reader = BodyReader()
        self._redact = redact if recording.redacted else None
        self._models = [one for one in recording.effects if isinstance(one, ModelEffect)]
        self._tools = [one for one in recording.effects if isinstance(one, ToolEffect)]
        self._same_bytes: dict[tuple[str, str, bytes], list[ModelEffect]] = defaultdict(list)
        for effect in self._models:
            self._same_bytes[effect.dialect, effect.path, effect.body].append(effect)
        self._keys: dict[str, dict[str, list[ModelEffect]]] = {}
        self._taken: dict[tuple[int, str], tuple[str, ...]] = {}
        self._calls = ToolCalls(self._tools, scrub=identity.SCRUBBED in self.tiers)

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
        best = first_in_lane(_free(alike, consumed, attempt), request.lane)
        if best is not None and best.lane == request.lane:
            return self._serve(best, self.tiers[0].name, None, consumed)
        fitting: list[ModelEffect] = []
        asked = self._reader.read(body)
        for tier in self.tiers:
            alike = self._index(tier).get(tier.key(request.dialect, path, asked), ())
            free = _free(alike, consumed, attempt)
            best = first_in_lane(self._likeliest(free, asked, tier, consumed), request.lane)
            if best is not None:
                return self._serve(best, tier.name, asked, consumed)
            fitting += alike
        near = self._neighbour(request.dialect, body, consumed, attempt) if self.neighbours else None
        return near or self._miss(fitting, self._models, consumed)

    def tool(self, request: ToolRequest, consumed: Consumed) -> Hit | Miss:
        """The recorded result of a tool call: by the id that the model gave it, else by name and arguments."""
        arguments = self.arguments(request)
        found = self._calls.find(request, arguments, consumed)
        if found.effect is None and self.neighbours and request.safety == "read":
            found = self._calls.neighbour(request, arguments, consumed)
        best = found.effect
        if best is None:
            return self._miss(found.alike, self._tools, consumed)
        if best.open:
            return Miss("in_doubt", (), best)
        if best.encoded is None or best.fidelity == "opaque":
            return Miss("opaque", (), best)
        consumed.served[best.index] = 1
        consumed.inside.update(self.recording.inside(best.span_id))
        drift = None
        if found.path is not None:
            drift = Drift(found.tier, best.number, best.span_id, found.path, score=found.score)
        if best.redacted:
            drift = Drift(found.tier, best.number, best.span_id, None, "a secret in the result was blanked")
        return Hit(best, found.tier, None, drift, found.score)

    def _likeliest(
        self, free: Sequence[ModelEffect], asked: Body, tier: Tier, consumed: Consumed
    ) -> Sequence[ModelEffect]:
        """Of calls that are the same in a tier, those that have most in common of what the tier leaves out."""
        if len(free) < 2 or tier is identity.EXACT:
            return free
        elsewhere = {
            one
            for effect in self._models
            if effect.index in consumed.verbatim
            for one in self._left_out(effect, tier)
        }
        return likeliest(
            [(effect, self._left_out(effect, tier)) for effect in free], tier.taken(asked), elsewhere
        )

    def _left_out(self, effect: ModelEffect, tier: Tier) -> tuple[str, ...]:
        key = (effect.index, tier.name)
        if key not in self._taken:
            self._taken[key] = tier.taken(self._reader.read(effect.body))
        return self._taken[key]

    def _serve(self, effect: ModelEffect, tier: str, asked: Body | None, consumed: Consumed) -> Hit:
        answer = _next_answer(effect, consumed)
        drift = None
        if tier == "exact" or asked is None:
            consumed.verbatim.add(effect.index)
        else:
            path = _first_path(self._reader.read(effect.body), asked)
            drift = Drift(tier, effect.number, effect.span_id, path, message=message_of(path))
        if answer.redacted:
            drift = Drift(tier, effect.number, effect.span_id, None, "a secret in the answer was blanked")
        return Hit(effect, tier, answer, drift, message=drift.message if drift else None)

    def _neighbour(self, dialect: str, body: bytes, consumed: Consumed, attempt: int | None) -> Hit | None:
        free = _free((one for one in self._models if one.dialect == dialect), consumed, attempt)
        near = self.nearest.model(free, body, same_stream=True)
        if near is None or near.score < THRESHOLD:
            return None
        answer = _next_answer(near.effect, consumed)
        note = "a secret in the answer was blanked" if answer.redacted else ""
        number, span_id = near.effect.number, near.effect.span_id
        drift = Drift(NEIGHBOUR, number, span_id, near.path, note, near.score, near.message)
        return Hit(near.effect, NEIGHBOUR, answer, drift, near.score, near.message)

    def _index(self, tier: Tier) -> dict[str, list[ModelEffect]]:
        if tier.name not in self._keys:
            index: dict[str, list[ModelEffect]] = defaultdict(list)
            for effect in self._models:
                key = tier.key(effect.dialect, effect.path, self._reader.read(effect.body))
                index[key].append(effect)
            self._keys[tier.name] = index
        return self._keys[tier.name]

    def _miss(self, fitting: Sequence[Effect], kin: Iterable[Effect], consumed: Consumed) -> Miss:
        names = [tier.name for tier in self.tiers] + [NEIGHBOUR] * self.neighbours
        if fitting:
            why = "every recorded call with this identity has been served"
            return Miss("served", tuple((name, why) for name in names), fitting[-1])
        if all(consumed.used(effect.index) for effect in kin):
            why = "every recorded call of this kind has been served"
            return Miss("nothing_left", tuple((name, why) for name in names))
        why = "no recorded call has this identity"
        return Miss("unmatched", tuple((name, why) for name in names))


def _free(alike: Iterable[ModelEffect], consumed: Consumed, attempt: int | None) -> list[ModelEffect]:
    """Effects with an answer left; where the SDK counts its attempts, those that are as far as the SDK is."""
    return [effect for effect in alike if _has_answer(effect, consumed, attempt)]


def _has_answer(effect: ModelEffect, consumed: Consumed, attempt: int | None) -> bool:
    given = consumed.served.get(effect.index, 0)
    if effect.index in consumed.inside or given >= len(effect.answers):
        return False
    # An attempt past the first goes on with the call that failed; a first one begins a call that nobody began.
    return given == attempt or (attempt is None or len(effect.answers) == 1)


def _next_answer(effect: ModelEffect, consumed: Consumed) -> Answer:
    given = consumed.served.get(effect.index, 0)
    consumed.served[effect.index] = given + 1
    return effect.answers[given]


def attempt_of(headers: Iterable[tuple[str, str]]) -> int | None:
    """Which attempt of a call this is, from 0, where the SDK says so."""
    for name, value in headers:
        if name.lower() in RETRY_HEADERS and value.isascii() and value.isdigit():
            return int(value)
    return None


def _first_path(recorded: Body, asked: Body) -> str | None:
    """The first difference: in the messages, if there is one, else in the rest."""
    was, now = recorded.messages, asked.messages
    start = common_start(was, now)
    if recorded.key and recorded.key == asked.key and start < max(len(was), len(now)):
        place = f"$.{recorded.key}[{start}]"
        found = first_difference(was[start], now[start]) if start < min(len(was), len(now)) else None
        return place + found[0][1:] if found else place
    found = first_difference(recorded.fields, asked.fields)
    return found[0] if found else None
