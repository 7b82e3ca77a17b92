"""The bodies of a library as values, which one a name means, and that at most one of them stands for a name.

Quiet: `library` reads and writes them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import UnknownPlaybook
from spanreel.replay.moments import timestamp
from spanreel.replay.playbooks.governance import lifecycle
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.governance.evidence import Evidence
    from spanreel.replay.playbooks.governance.lifecycle import Decision

_HASH: Final = re.compile(r"(?:sha256:)?([0-9a-f]{4,64})")


@dataclass(frozen=True, slots=True)
class Entry:
    """A body in the library.

    Attributes:
        version: 1, 2, … among the bodies of its name, in the order in which they were added.
        status: see `lifecycle`. why: what made it that, in words; empty for a candidate.
        added_ns: when, in nanoseconds since the epoch; added_at: RFC 3339 UTC.
        origin: how it came to be, such as recorded_run. parent: hash of the body that it repairs.
        report: what the compiler said. history: what the file said that it was imported from.
        decisions: about it, oldest first, the one that added it included. tip: when the newest decision about its name
            was made, and the id of its span, which the next one follows.
    """

    body: Body
    hash: str
    name: str
    version: int
    status: lifecycle.Status
    why: str
    added_ns: int
    origin: str
    parent: str | None
    report: Any
    history: Any
    decisions: tuple[Decision, ...]
    evidence: Evidence
    tip: tuple[int, str] = field(repr=False, default=(0, ""))

    @property
    def dispatchable(self) -> bool:
        """Whether dispatch may pick it."""
        return self.status in lifecycle.DISPATCHABLE

    @property
    def added_at(self) -> str | None:
        """When it was added, RFC 3339 UTC."""
        return timestamp(self.added_ns)

    @property
    def ref(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def short(self) -> str:
        """The first 12 digits of its hash."""
        return self.hash.removeprefix("sha256:")[:12]


def chosen(entries: Sequence[Entry], ref: str, where: str) -> Entry:
    """The entry that a person means, see `Library.get`.

    Raises:
        UnknownPlaybook: there is none, or several begin with these digits.
    """
    name, at, which = ref.partition("@")
    own = [one for one in entries if one.name == name]
    if own and not at:
        return _preferred(own)
    if own and which == "active":
        live = [one for one in own if one.status in lifecycle.LIVE]
        if not live:
            raise UnknownPlaybook(
                f"no body of playbook {name} is active", f"spanreel playbook promote {name}"
            )
        return live[0]
    if own and which.isdigit() and (version := [one for one in own if str(one.version) == which]):
        return version[0]
    digits = _HASH.fullmatch(which if own and at else ref)
    fitting = [
        one for one in (own or entries) if digits and one.hash.removeprefix("sha256:").startswith(digits[1])
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        shown = ", ".join(f"{one.ref} {one.short}" for one in fitting[:4])
        raise UnknownPlaybook(
            f"{len(fitting)} bodies begin with {digits and digits[1]}: {shown}", "give more digits"
        )
    if own:
        known = ", ".join(f"@{one.version}" for one in own)
        raise UnknownPlaybook(
            f"playbook {name} has no body {which}; there are {known}", f"spanreel playbook list {name}"
        )
    if not entries:
        raise UnknownPlaybook(
            f"the store at {where} holds no playbook",
            "compile one: spanreel playbook compile RUN --name NAME",
        )
    raise UnknownPlaybook(f"there is no playbook {ref} in {where}", "spanreel playbook list")


def _preferred(own: Sequence[Entry]) -> Entry:
    for wanted in ({"active"}, {"needs_repair"}, {"shadow", "candidate", "disabled"}):
        fitting = [one for one in own if one.status in wanted]
        if fitting:
            return fitting[-1]
    return own[-1]


def matched_as(body: Body) -> str | None:
    """What its matchers say, as text to compare; None without any: then only its name is its own."""
    said = body.matchers.model_dump(mode="json", exclude_defaults=True)
    return canonical_json(said) if said else None


def rivals(entries: Sequence[Entry], entry: Entry) -> list[Entry]:
    """What `entry` replaces when it becomes active: promoted bodies of its name, or with its matchers."""
    own = matched_as(entry.body)
    return [
        one
        for one in entries
        if one.hash != entry.hash
        and one.status in lifecycle.LIVE
        and (one.name == entry.name or (own is not None and matched_as(one.body) == own))
    ]


def one_active(found: Sequence[Entry], promoted: Mapping[str, str]) -> list[Entry]:
    """Of promoted bodies of one name, or with equal matchers, the last one; also where two were promoted at once."""
    standing: dict[str, Entry] = {one.hash: one for one in found}
    before: list[Entry] = []
    live = [one for one in found if one.hash in promoted]
    for one in sorted(live, key=lambda one: (promoted[one.hash], one.hash)):
        for other in rivals(before, one):
            standing[other.hash] = replace(other, status="retired", why=f"superseded by {one.ref}")
        before.append(one)
    return list(standing.values())


def told(decision: Decision) -> str:
    """A decision in one line."""
    by = f" by {who(decision.actor)}" if decision.actor else ""
    forced = ", forced" if decision.forced else ""
    return f"{decision.kind}{by}{forced}" + (f": {decision.reason}" if decision.reason else "")


def who(actor: Any) -> str:
    """An actor as people name it."""
    if isinstance(actor, Mapping):
        return str(actor.get("name") or json.dumps(dict(actor), ensure_ascii=False))
    return str(actor)
