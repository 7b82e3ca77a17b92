"""What a playbook proposed against what an agent did: which calls are the same, and where the two part first.

Quiet. Which call is which is decided by `replay.align` alone, over what was asked: the results do not count, for in a
shadow they are the agent's own. Writes are judged first: a write that is missing, that the agent did not make, that has
other arguments or another place is a divergence. What either side read is its own affair; it is only counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.align import Pair, align
from spanreel.replay.comparable import comparables
from spanreel.replay.playbooks.compiling.values import looks_failed
from spanreel.replay.playbooks.walk import jsonable
from spanreel.replay.timeline import Frozen, ReplayStep, ToolCallRecord
from spanreel.wire.differences import differences

if TYPE_CHECKING:
    from spanreel.replay.timeline import Replay

READ: Final = "read"
WRITE: Final = "write"
STRICTNESS: Final = (READ, WRITE, "irreversible")
Kind: TypeAlias = Literal["missing", "extra", "changed", "reordered"]


class ProposedCall(Frozen):
    """A tool call that a playbook would make. answered: the recorded run had its result."""

    state: str
    tool: str
    args: Any = None
    safety: str = WRITE
    answered: bool = True


class DoneCall(Frozen):
    """A tool call that the agent made. step: its number in the run."""

    tool: str
    args: Any = None
    step: int | None = None
    span_id: str | None = None


class ShadowDivergence(Frozen):
    """Where a playbook and an agent part.

    Attributes:
        kind: missing (only the agent did it), extra (only the playbook would), changed (other arguments), reordered.
        state: of the playbook; None where it proposes nothing.
        paths: JSON paths within the arguments that differ.
        reason: in words.
    """

    kind: Kind
    state: str | None = None
    proposed: ProposedCall | None = None
    did: DoneCall | None = None
    paths: list[str] = Field(default_factory=list[str])
    reason: str = ""


class CallCounts(Frozen):
    """Of calls of one class: on both sides alike; with other arguments or elsewhere; only the agent's; only the playbook's."""

    same: int = 0
    changed: int = 0
    missing: int = 0
    extra: int = 0

    @property
    def total(self) -> int:
        """Calls of either side, those of both counted once."""
        return self.same + self.changed + self.missing + self.extra


class Score(Frozen):
    """How much of what an agent did a playbook proposed.

    Attributes:
        score: 0 to 1: the share of the writes that are the same on both sides. Where neither side writes, the share of
            what the playbook would read that the agent had read too.
        first_divergence: of the writes; None: they are the same.
        failed: calls of the agent that failed; they are not judged.
    """

    score: float
    first_divergence: ShadowDivergence | None = None
    writes: CallCounts = CallCounts()
    reads: CallCounts = CallCounts()
    failed: int = 0


@dataclass(frozen=True, slots=True)
class Safeties:
    """What class a tool is of, by everything that is known of it.

    named: what the caller says, which wins. known: what its author, a state or a span says; the strictest counts, and a
    tool of which nobody says anything writes.
    """

    named: Mapping[str, str]
    known: Mapping[str, str]

    @classmethod
    def of(
        cls, *known: Mapping[str, str | None], reads: Sequence[str] = (), writes: Sequence[str] = ()
    ) -> Safeties:
        """From any number of tables, and names that the caller gives."""
        strictest: dict[str, str] = {}
        for table in known:
            for tool, said in table.items():
                if said in STRICTNESS:
                    strictest[tool] = max(strictest.get(tool, READ), said, key=STRICTNESS.index)
        return cls(dict.fromkeys(reads, READ) | dict.fromkeys(writes, WRITE), strictest)

    def __getitem__(self, tool: str) -> str:
        return self.named.get(tool) or self.known.get(tool) or WRITE


def failed(call: ToolCallRecord) -> bool:
    """Whether a call failed, by its span, or by a result that says so."""
    return call.error is not None or looks_failed(jsonable(call.result)) is not None


def done_steps(replay: Replay) -> list[ReplayStep]:
    """The tool calls of a run that went through, as steps; those known only from the model's messages too."""
    steps = {step.number: step for step in replay.steps if step.tool is not None}
    found: list[ReplayStep] = []
    for call in replay.tool_calls:
        step = steps.get(call.step) if call.step is not None else None
        if not failed(call) and (step is None or step.status == "ok"):
            found.append(step or ReplayStep(number=None, kind="tool", name=call.tool_name, tool=call))
    return found


def score(proposed: Sequence[ProposedCall], replay: Replay, safeties: Safeties) -> Score:
    """Judge what a playbook proposed by what an agent did.

    Args:
        proposed: in order.
        replay: the agent's run.
        safeties: which tools write.
    """
    done = done_steps(replay)
    writes = _aligned(
        [call for call in proposed if call.safety != READ],
        [step for step in done if step.tool and safeties[step.tool.tool_name] != READ],
    )
    reads = _aligned(
        [call for call in proposed if call.safety == READ],
        [step for step in done if step.tool and safeties[step.tool.tool_name] == READ],
    )
    wrote, read = _counts(writes), _counts(reads)
    first = next((found for pair in writes if (found := _divergence(pair)) is not None), None)
    return Score(
        score=_share(wrote, read),
        first_divergence=first,
        writes=wrote,
        reads=read,
        failed=len(replay.tool_calls) - len(done),
    )


def _share(wrote: CallCounts, read: CallCounts) -> float:
    if wrote.total:
        return round(wrote.same / wrote.total, 4)
    proposed = read.same + read.changed + read.extra
    return round(read.same / proposed, 4) if proposed else 1.0


@dataclass(frozen=True, slots=True)
class _Judged:
    """A pair of `align`, with what was proposed in it."""

    pair: Pair
    proposed: ProposedCall | None


def _aligned(proposed: Sequence[ProposedCall], done: Sequence[ReplayStep]) -> list[_Judged]:
    ours = [_asked(call.tool, call.args, place) for place, call in enumerate(proposed)]
    theirs = [_asked(step.tool.tool_name, step.tool.tool_args, None) if step.tool else step for step in done]
    pairs = align(ours, done, left=comparables(ours), right=comparables(theirs))
    return [
        _Judged(pair, proposed[pair.a.number] if pair.a is not None and pair.a.number is not None else None)
        for pair in pairs
    ]


def _asked(tool: str, args: Any, place: int | None) -> ReplayStep:
    """A call without what came of it."""
    return ReplayStep(
        number=place, kind="tool", name=tool, tool=ToolCallRecord(tool_name=tool, tool_args=args)
    )


def _counts(judged: Sequence[_Judged]) -> CallCounts:
    relations = [one.pair.relation for one in judged]
    return CallCounts(
        same=relations.count("same"),
        changed=relations.count("changed") + relations.count("moved"),
        missing=relations.count("added"),
        extra=relations.count("removed"),
    )


def _divergence(judged: _Judged) -> ShadowDivergence | None:
    pair, proposed = judged.pair, judged.proposed
    if pair.relation == "same":
        return None
    did = _done(pair.b) if pair.b is not None else None
    if pair.relation == "added" and did is not None:
        return ShadowDivergence(
            kind="missing", did=did, reason=f"the agent called {did.tool}, which the playbook does not"
        )
    assert proposed is not None
    if did is None:
        return ShadowDivergence(
            kind="extra",
            state=proposed.state,
            proposed=proposed,
            reason=f"the playbook calls {proposed.tool}, which the agent did not",
        )
    paths = [path for path, _, _ in differences(proposed.args, did.args)]
    kind: Kind = "changed" if paths else "reordered"
    what = f"with other arguments at {', '.join(paths[:3])}" if paths else "in another place"
    return ShadowDivergence(
        kind=kind,
        state=proposed.state,
        proposed=proposed,
        did=did,
        paths=paths,
        reason=f"the agent called {did.tool} {what}",
    )


def _done(step: ReplayStep) -> DoneCall:
    assert step.tool is not None
    return DoneCall(
        tool=step.tool.tool_name, args=step.tool.tool_args, step=step.number, span_id=step.span_id
    )
