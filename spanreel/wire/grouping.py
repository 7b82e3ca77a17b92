"""Runs of a pile of records: which spans belong together, which of them is the root, what became of it.

Given values, it decides; it reads no attributes and opens nothing. Every span (once per id) is in exactly one run, but for
the bodies of playbooks and what was decided about them, which are in none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from spanreel.wire.playbooks import KIND as PLAYBOOK
from spanreel.wire.records import Record
from spanreel.wire.segments import Segment, joined
from spanreel.wire.steps import MODEL_KINDS, ROOT_KINDS, STEP_KINDS, Step, failed, order, steps_of
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["Run", "Step", "apart", "group", "latest"]

# What SDKs call a run that the user did not name: the agent inside tells more.
_UNNAMED = frozenset(
    {"", "Agent workflow", "LangGraph", "invocation", "invoke_agent", "invoke_workflow", "run"}
)
_OPERATION_PREFIXES = ("invoke_agent ", "invoke_workflow ", "agent_run [", "invocation [")
_TOLD = frozenset({"cancelled", "paused", "diverged"})
# An exception that ended the root, by the last part of its type.
_ENDED_BY = {
    "CancelledError": "cancelled",
    "KeyboardInterrupt": "cancelled",
    "GeneratorExit": "cancelled",
    "ApprovalPending": "paused",
    "DecisionNeeded": "paused",
    "Divergence": "diverged",
    "BudgetSpent": "cancelled",
}


@dataclass(frozen=True, slots=True)
class Run:
    """One run: the spans under one outermost agent or workflow span, or one trace that has none.

    run_id: the trace id, or ``trace:span`` where a trace holds several outermost spans.
    root: that outermost span; in a trace with none, its first span that has no parent here.
    records: every span of the run, in order of start.
    model: what the first model call asked for.
    started_ns, ended_ns: of the root; where it is open or is no agent span, the first start and the last sign of life.
    status: completed, error, cancelled, paused, incomplete or diverged.
    usage, cost: summed over model calls only, each once; cost in USD as a decimal string, None where none is known.
    incomplete: what the recording says it lacks, each reason once.
    open: the root has not ended (it runs still, or it died).
    model_calls, tool_calls: how many of the steps are such.
    uncosted: how many model calls used tokens, but nobody said what they cost.
    segment: the `spanreel.run.id` that ties the segments of a resumed run, and that names it as an alias.
    segments: of a run that was resumed, all of them, oldest first.
    """

    run_id: str
    trace_id: str
    root: Record
    records: tuple[Record, ...]
    steps: tuple[Step, ...]
    agent_name: str
    model: str | None
    session: str | None
    user: str | None
    started_ns: int
    ended_ns: int
    status: str
    error: str | None
    usage: Usage
    cost: str | None
    incomplete: tuple[str, ...] = ()
    open: bool = False
    segment: str | None = None
    model_calls: int = 0
    tool_calls: int = 0
    uncosted: int = 0
    segments: tuple[Segment, ...] = ()

    @property
    def alias(self) -> str | None:
        """The name that somebody gave it; None where it only has the id that every run has."""
        own = {self.run_id, self.run_id.partition(":")[0], self.trace_id}
        return self.segment if self.segment not in own else None

    @property
    def source_run_id(self) -> str | None:
        """The run that this one replays or forks; None for a run of its own, however often it was resumed."""
        return None if self.root.segment else self.root.source_run_id


@dataclass(slots=True)
class _Trace:
    records: list[Record]
    by_id: dict[str, Record] = field(default_factory=dict[str, Record])

    def ancestors(self, record: Record) -> Iterator[Record]:
        """Nearest first; a cycle of parents ends where it closes."""
        seen = {record.span_id}
        above = self.by_id.get(record.parent_span_id or "")
        while above is not None and above.span_id not in seen:
            yield above
            seen.add(above.span_id)
            above = self.by_id.get(above.parent_span_id or "")


def group(records: Iterable[Record]) -> list[Run]:
    """The runs of these records, oldest first; the segments of a resumed run are one (see `segments`).

    An id that comes twice counts once: ended replaces open, nothing replaces ended. With one outermost agent or
    workflow span the whole trace is its run. With several, each has its subtree, and a span outside all of them goes
    where the model or tool span above it goes, else to the last outermost span that started before it, else to the
    first. With none, the trace is the run.

    Status: what the root's outcome says (cancelled, paused, diverged), or the exception that ended it; `diverged` where
    any span of it says so; a pending
    approval is `paused`; an open root is `incomplete`; a failed root is `error`. A trace without an agent span is
    `incomplete` while one of its calls is open, `error` if its first span or its last step failed, else `completed`.
    """
    return joined(apart(records))


def apart(records: Iterable[Record]) -> list[Run]:
    """The runs as `group` finds them, each segment of a resumed run for itself."""
    traces: dict[str, list[Record]] = defaultdict(list)
    for record in latest(records):
        if record.kind != PLAYBOOK:
            traces[record.trace_id].append(record)
    runs = [run for found in traces.values() for run in _runs_of(found)]
    runs.sort(key=lambda run: (run.started_ns, run.run_id))
    return runs


def latest(records: Iterable[Record]) -> list[Record]:
    """Each span once: ended replaces open, nothing replaces ended."""
    kept: dict[tuple[str, str], Record] = {}
    for record in records:
        key = (record.trace_id, record.span_id)
        known = kept.get(key)
        if known is None or (known.open and not record.open):
            kept[key] = record
    return list(kept.values())


def _runs_of(records: list[Record]) -> list[Run]:
    records.sort(key=order)
    trace = _Trace(records, {record.span_id: record for record in records})
    roots = _outermost(trace)
    if len(roots) < 2:
        root = roots[0] if roots else _first_span(trace)
        return [_run(root.trace_id, root, records, trace)]
    members = _assigned(trace, roots)
    return [_run(f"{root.trace_id}:{root.span_id}", root, members[root.span_id], trace) for root in roots]


def _outermost(trace: _Trace) -> list[Record]:
    """Agent and workflow spans with no such span above them; of a cycle of parents, the earliest one."""
    roots: list[Record] = []
    nested: list[Record] = []
    for record in trace.records:
        if record.kind not in ROOT_KINDS:
            continue
        if any(above.kind in ROOT_KINDS for above in trace.ancestors(record)):
            nested.append(record)
        else:
            roots.append(record)
    return roots or nested[:1]


def _first_span(trace: _Trace) -> Record:
    return next(
        (record for record in trace.records if record.parent_span_id not in trace.by_id), trace.records[0]
    )


def _assigned(trace: _Trace, roots: Sequence[Record]) -> Mapping[str, list[Record]]:
    ids = {root.span_id for root in roots}
    members: dict[str, list[Record]] = defaultdict(list)
    for record in trace.records:
        members[_root_of(record, trace, roots, ids)].append(record)
    return members


def _root_of(record: Record, trace: _Trace, roots: Sequence[Record], ids: set[str]) -> str:
    if record.span_id in ids:
        return record.span_id
    anchor, contiguous = record, True
    for above in trace.ancestors(record):
        if above.span_id in ids:
            return above.span_id
        contiguous = contiguous and above.kind in STEP_KINDS
        anchor = above if contiguous else anchor
    before = [root for root in roots if root.start_ns <= anchor.start_ns]
    return (before[-1] if before else roots[0]).span_id


def _run(run_id: str, root: Record, records: Sequence[Record], trace: _Trace) -> Run:
    steps = steps_of(records, trace.ancestors)
    models = [step.record for step in steps if step.record.kind in MODEL_KINDS]
    usage = Usage()
    for model in models:
        usage += model.usage
    agent = root.kind in ROOT_KINDS
    status = _status(root, records, steps)
    starts = [record.start_ns for record in records if record.start_ns]
    ends = [max(record.start_ns, record.end_ns) for record in records]
    return Run(
        run_id=run_id,
        trace_id=root.trace_id,
        root=root,
        records=tuple(records),
        steps=steps,
        agent_name=_agent_name(root, records),
        model=_first(models, "model") or _first(models, "response_model") or root.model,
        session=root.session or _first(records, "session"),
        user=root.user or _first(records, "user"),
        started_ns=root.start_ns if agent else min(starts, default=0),
        ended_ns=root.end_ns if agent and root.end_ns else max(ends, default=0),
        status=status,
        error=_error(root, steps) if status == "error" else None,
        usage=usage,
        cost=_cost(models),
        incomplete=tuple(dict.fromkeys(record.incomplete for record in records if record.incomplete)),
        open=root.open,
        segment=root.run_id or _first(records, "run_id"),
        model_calls=len(models),
        tool_calls=sum(step.record.kind == "tool" for step in steps),
        uncosted=sum(_amount(model.cost) is None for model in models if model.usage),
    )


def _status(root: Record, records: Sequence[Record], steps: Sequence[Step]) -> str:
    told = (
        root.outcome if root.outcome in _TOLD else _ENDED_BY.get((root.error_type or "").rpartition(".")[2])
    )
    if told:
        return told
    if any(
        record.outcome == "diverged" for record in records
    ):  # seen when the root had ended, or in spite of it
        return "diverged"
    if any(
        record.outcome == "paused" or (record.kind == "approval" and record.outcome == "pending")
        for record in records
    ):
        return "paused"
    if root.open:
        return "incomplete"
    if root.kind in ROOT_KINDS:
        return "error" if failed(root) else "completed"
    if any(record.open for record in records):
        return "incomplete"
    return "error" if failed(root) or (steps and failed(steps[-1].record)) else "completed"


def _error(root: Record, steps: Sequence[Step]) -> str | None:
    for record in (root, *(step.record for step in reversed(steps))):
        if failed(record) and (record.error_message or record.error_type):
            return record.error_message or record.error_type
    return None


def _agent_name(root: Record, records: Sequence[Record]) -> str:
    own = root.agent or _bare_name(root.name) if root.kind in ROOT_KINDS else root.agent
    if own and own not in _UNNAMED:
        return own
    inner = (record.agent or _bare_name(record.name) for record in records if record.kind in ROOT_KINDS)
    named = next((name for name in inner if name not in _UNNAMED), None)
    return named or _first(records, "agent") or own or root.name


def _bare_name(name: str) -> str:
    for prefix in _OPERATION_PREFIXES:
        if name.startswith(prefix):
            return name[len(prefix) :].removesuffix("]") if prefix.endswith("[") else name[len(prefix) :]
    return name


def _first(records: Iterable[Record], name: str) -> str | None:
    return next((value for record in records if (value := getattr(record, name))), None)


def _cost(models: Iterable[Record]) -> str | None:
    total: Decimal | None = None
    for model in models:
        if (cost := _amount(model.cost)) is not None:
            total = cost if total is None else total + cost
    return None if total is None else format(total, "f")


def _amount(cost: str | None) -> Decimal | None:
    try:
        amount = Decimal(cost or "NaN")
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
