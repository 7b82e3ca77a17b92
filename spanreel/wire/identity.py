"""Is this call that recorded call? The identity of a model call, in tiers.

A tier reduces a request body to a *form*; two calls are the same in that tier when dialect, path and form are. Tiers
are a table, strictest first, and each key names its tier and version: change a form, and its version changes with it.

exact       the JSON value of the body, whatever the order of its keys
structural  without fields that do not reach the model, ids renamed in order of appearance, tools sorted, and what the
            model said in one form, however the SDK wrote it into the history (`reserialised`)
scrubbed    as structural, and without the uuids, times, addresses and temporary paths in its texts (`scrubbing`)

What a form leaves out it still tells (`Form.taken`): of two calls that are the same in a tier, the one that also has the
same ids and times is the better guess.
A body is compared as it is recorded: one whose secrets were blanked matches a body blanked by the same rules.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanreel.wire import bodies
from spanreel.wire.bodies import Body, history_key
from spanreel.wire.content import canonical_json
from spanreel.wire.differences import ABSENT
from spanreel.wire.renaming import Renaming, sorted_tools
from spanreel.wire.reserialised import reserialised
from spanreel.wire.scrubbing import Scrubber

VOLATILE: Final = frozenset(
    {
        "user",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
    }
)
"""Fields of a request that tell the provider who asks, or where to cache, and never reach the model."""
_VOLATILE_ORDER = sorted(VOLATILE)


@dataclass(frozen=True, slots=True)
class Form:
    """What a tier makes of a value.

    taken: what was left out or renamed, place by place: of equal forms these are equally many, and in the same order.
    """

    value: Any
    taken: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tier:
    """One way to call two requests the same.

    Args:
        name: as verdicts and reports spell it.
        version: prefix of its keys.
        renames: whether ids are renamed, and the rest of what `structural` does.
        scrubs: whether texts are scrubbed.
        whole_path: whether the full path counts, or only what in it names the model.
    """

    name: str
    version: str
    renames: bool
    scrubs: bool
    whole_path: bool

    def key(self, dialect: str, path: str, body: Body) -> str:
        """The identity in this tier; of a body that is not JSON, that of its bytes."""
        place = path if self.whole_path else "/".join(_MODEL_IN_PATH.findall(path))
        digest = hashlib.blake2b(_bytes(f"{dialect}\0{place}\0"), digest_size=16)
        try:
            digest.update(self._digested(body))
        except RecursionError:
            digest.update(body.raw)
        return f"{self.version}:{digest.hexdigest()}"

    def form(self, body: Body) -> Form:
        """What it makes of a body, as a JSON value."""
        walk = _Walk.of(self)
        said = walk.add(body.messages)
        fields = walk.fields(body.fields)
        return Form(fields if body.key is None else {**fields, body.key: said}, walk.taken(body.fields))

    def taken(self, body: Body) -> tuple[str, ...]:
        """`Form.taken` of that, at less cost."""
        walk = self._walked(body)
        walk.fields(body.fields)
        return walk.taken(body.fields)

    def _digested(self, body: Body) -> bytes:
        if body.fields is ABSENT:
            return body.raw
        walk = self._walked(body)
        text = canonical_json(walk.fields(body.fields))
        return _bytes(text if body.key is None else f"{text}\0{body.key}\0{walk.digest.hexdigest()}")

    def _walked(self, body: Body) -> _Walk:
        """The walk over all its messages; the state before those that may still change places is kept for the next body."""
        walk: _Walk = body.walks[self.name].copy() if self.name in body.walks else _Walk.of(self)
        settled = body.settled
        if walk.count < settled:
            walk.add(body.messages[walk.count : settled])
            body.walks[self.name] = walk
            walk = walk.copy()
        walk.add(body.messages[walk.count :])
        return walk


@dataclass(slots=True)
class _Walk:
    """What a tier has made of the messages so far: the same for all conversations that begin so."""

    tier: Tier
    renaming: Renaming
    scrubber: Scrubber
    calls: dict[str, int]
    digest: hashlib.blake2b
    count: int = 0

    @classmethod
    def of(cls, tier: Tier) -> _Walk:
        return cls(tier, Renaming(), Scrubber(), {}, hashlib.blake2b(digest_size=16))

    def copy(self) -> _Walk:
        return _Walk(
            self.tier,
            self.renaming.copy(),
            self.scrubber.copy(),
            dict(self.calls),
            self.digest.copy(),
            self.count,
        )

    def add(self, messages: Sequence[Any]) -> list[Any]:
        """Go on over these; returns their forms."""
        self.count += len(messages)
        said = self._values(reserialised(messages, self.calls) if self.tier.renames else messages)
        for message in said:
            self.digest.update(_bytes(canonical_json(message) + "\n"))
        return said

    def fields(self, value: Any) -> Any:
        """The form of the rest of the body, once all messages have been gone over."""
        if not self.tier.renames or not isinstance(value, Mapping):
            return value
        kept = {key: item for key, item in value.items() if key not in VOLATILE}
        return self._values([sorted_tools(kept)])[0]

    def taken(self, value: Any) -> tuple[str, ...]:
        """What has been left out, once `fields` has been called."""
        if not self.tier.renames:
            return ()
        said = value if isinstance(value, Mapping) else {}
        dropped = (canonical_json(said[key]) if key in said else "" for key in _VOLATILE_ORDER)
        return (*dropped, *self.renaming.names, *self.scrubber.taken)

    def _values(self, values: Sequence[Any]) -> list[Any]:
        said = [self.renaming.value(one) for one in values] if self.tier.renames else list(values)
        return [self.scrubber.value(one) for one in said] if self.tier.scrubs else said


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


_MODEL_IN_PATH = re.compile(r"(?<=/deployments/)[^/]+|(?<=/models/)[^/]+")

EXACT: Final = Tier("exact", "e2", renames=False, scrubs=False, whole_path=True)
STRUCTURAL: Final = Tier("structural", "s2", renames=True, scrubs=False, whole_path=False)
SCRUBBED: Final = Tier("scrubbed", "c1", renames=True, scrubs=True, whole_path=False)
TIERS: Final = (EXACT, STRUCTURAL, SCRUBBED)
"""Every tier, strictest first."""


def exact(dialect: str, path: str, body: bytes) -> str:
    """The exact identity of a request; the host plays no part.

    Args:
        dialect: its name, such as ``openai.chat``.
        path: of the URL, without host and query.
        body: as sent; one that is not JSON is taken byte by byte.
    """
    return identities(dialect, path, body, (EXACT,))[0]


def structural(dialect: str, path: str, body: bytes) -> str:
    """The structural identity (`spanreel.request.hash`): as `exact`, but equal for what differs between two runs anyway.

    Of the path only what names the model counts (a deployment), so that a proxy or another base URL changes nothing.
    """
    return identities(dialect, path, body, (STRUCTURAL,))[0]


def scrubbed(dialect: str, path: str, body: bytes) -> str:
    """The scrubbed identity: as `structural`, but equal also for what a program mints and says in its texts."""
    return identities(dialect, path, body, (SCRUBBED,))[0]


def identities(dialect: str, path: str, body: bytes, tiers: tuple[Tier, ...] = TIERS) -> tuple[str, ...]:
    """The identity in each tier, in the order of the tiers; the body is parsed once."""
    read = bodies.whole(body)
    return tuple(tier.key(dialect, path, read) for tier in tiers)


def canonical(value: Any, tier: Tier = STRUCTURAL) -> Any:
    """The form of a body's JSON value in a tier, as a JSON value: what is compared, and what a report shows.

    Raises:
        RecursionError: the value is nested deeper than the interpreter can follow.
    """
    return tier.form(bodies.of_value(b"", value)).value


def scrubbed_arguments(arguments: Any) -> Form:
    """The form of a tool call's arguments in the scrubbed tier: a JSON value of the user's, in which no key means an id."""
    renaming, scrubber = Renaming(), Scrubber()
    value = scrubber.value(renaming.value(arguments, protocol=False))
    return Form(value, (*renaming.names, *scrubber.taken))


def history(value: Any) -> list[Any]:
    """The messages of a request (OpenAI, Anthropic, Gemini: `messages`, `input`, `contents`); a lone text is one message."""
    key = history_key(value)
    if key is None:
        return []
    return value[key] if isinstance(value[key], list) else [value[key]]
