"""What a rule of repair looks at, and what it proposes. Quiet values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from spanreel.replay.playbooks.asks import Failure
from spanreel.replay.playbooks.body import Body, Json
from spanreel.replay.playbooks.repairs.fitting import Done, Fit, Shown, Signatures

Flag: TypeAlias = Literal["guard", "constant", "order", "inserted", "unverified", "position"]
"""What a person should look at: a guard's value changed; a constant came from one run; the order changed; a state is new;
no run shows what follows; a value is told by its place in a list."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a rule looks at.

    Attributes:
        body: that does not fit. fit: over `shown`.
        failure: of a failed execution, as it was recorded, where that is what is repaired.
        signatures: of the registered tools; None: nobody knows them.
        earlier: results that each state had before, when it worked.
    """

    body: Body
    fit: Fit
    shown: Shown
    signatures: Signatures | None = None
    failure: Failure | None = None
    earlier: Mapping[str, Sequence[Any]] = field(default_factory=dict[str, Sequence[Any]])

    @property
    def state(self) -> str | None:
        """Where it stopped."""
        return self.fit.stopped_at

    @property
    def shows(self) -> list[Done]:
        """The calls that the run made and the body did not, if the run shows how it is done."""
        return [call for call in self.fit.left if call.error is None] if self.shown.ok else []


@dataclass(frozen=True, slots=True)
class Proposal:
    """A body's document that may fit better. why: in words."""

    rule: str
    state: str
    document: Json
    why: str
    flags: tuple[Flag, ...] = ()


Rule: TypeAlias = Callable[[Case], Iterator[Proposal]]


def stopped(case: Case, *actions: str) -> tuple[str, Json] | None:
    """The name of the state where it stopped, and a copy of the document, if it is a state with one of these actions."""
    state = case.body.states.get(case.state or "")
    if state is None or (actions and state.action not in actions):
        return None
    return case.state or "", copy.deepcopy(case.body.document())


def alike(case: Case, tool: str | None) -> list[Done]:
    """What the run did in the place of the call: the first call of that tool that is left."""
    return [call for call in case.shows if call.tool == tool][:1]
