"""LOUD: a playbook in the shadow of runs: what it would have done, against what the agent did. Nothing happens for real.

The tools that it calls are answered by the recorded run, by identity; no tool's body runs and no model is asked. Each
walk is recorded as an execution in mode `shadow`, linked to its run, and so is evidence about the body, unless the body
was compiled from that very run: that such a run is followed shows nothing, and counts only where it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field

from spanreel.instrument import activate, codec, recorder
from spanreel.instrument.tools import declared
from spanreel.location import announced_collector, resolve_store
from spanreel.replay.network import denied_network
from spanreel.replay.playbooks.engine.finding import loader
from spanreel.replay.playbooks.governance.evidence import NOT_ANSWERED
from spanreel.replay.playbooks.result import StoppedBy
from spanreel.replay.playbooks.shadows.answering import recording_of
from spanreel.replay.playbooks.shadows.filled import filled
from spanreel.replay.playbooks.shadows.scoring import (
    CallCounts,
    ProposedCall,
    Safeties,
    Score,
    ShadowDivergence,
    score,
)
from spanreel.replay.playbooks.shadows.shadowing import Surroundings, Walk, as_json, in_shadow, root_says
from spanreel.replay.timeline import Frozen, Replay
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    import os

    from spanreel.replay.playbooks.body import Body

Verdict: TypeAlias = Literal["same", "diverged", "stopped", "not_answered"]


class Shadowed(Frozen):
    """A playbook in the shadow of one run.

    Attributes:
        verdict: same (it came to its end, and wrote what the agent wrote); diverged (it wrote something else); stopped (a
            guard stopped it before it did); not_answered (it needed what the run does not tell: not known, and no pass).
        run_id: of this walk, None where nothing is recorded. source_run_id: of the agent's run.
        source: the body was compiled from this run. counted: the walk is evidence about the body.
        params: what the playbook was given. observed: those of them that were read off what the agent did.
        score, first_divergence, writes, reads: see `scoring.Score`.
        stopped: by which guard. unanswered: what the run does not tell, and the state that needed it.
        assumed: gates that were taken to be approved.
    """

    verdict: Verdict
    run_id: str | None = None
    source_run_id: str
    source: bool = False
    counted: bool = True
    params: dict[str, Any] = Field(default_factory=dict)
    observed: list[str] = Field(default_factory=list[str])
    score: float = 0.0
    first_divergence: ShadowDivergence | None = None
    writes: CallCounts = CallCounts()
    reads: CallCounts = CallCounts()
    failed: int = 0
    proposed: list[ProposedCall] = Field(default_factory=list[ProposedCall])
    visited: list[str] = Field(default_factory=list[str])
    stopped: StoppedBy | None = None
    unanswered: StoppedBy | None = None
    assumed: list[str] = Field(default_factory=list[str])
    output: Any = None

    @property
    def ok(self) -> bool:
        """Whether the playbook did what the agent did."""
        return self.verdict == "same"


class ShadowReport(Frozen):
    """A playbook in the shadow of several runs. score: the mean over them; None without any."""

    schema_: Literal["spanreel.shadow.v1"] = Field(default="spanreel.shadow.v1", alias="schema")
    name: str
    hash: str
    runs: list[Shadowed] = Field(default_factory=list[Shadowed])
    same: int = 0
    diverged: int = 0
    stopped: int = 0
    not_answered: int = 0
    counted: int = 0
    score: float | None = None

    @classmethod
    def of(cls, body: Body, runs: Sequence[Shadowed]) -> ShadowReport:
        """Summed up."""
        words = [run.verdict for run in runs]
        return cls(
            name=body.name,
            hash=body.hash,
            runs=list(runs),
            same=words.count("same"),
            diverged=words.count("diverged"),
            stopped=words.count("stopped"),
            not_answered=words.count("not_answered"),
            counted=sum(run.counted for run in runs),
            score=round(sum(run.score for run in runs) / len(runs), 4) if runs else None,
        )

    @property
    def exit_code(self) -> int:
        """0: the same as every run; 4: it parted from one; 3: of one nobody knows."""
        if self.diverged or self.stopped:
            return 4
        return 3 if self.not_answered else 0


@dataclass(frozen=True, slots=True)
class Source:
    """A run to walk in the shadow of. root_span_id: for the link to it."""

    replay: Replay
    root_span_id: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """What somebody who asks for a shadow says besides.

    reads, writes: tools that are, whatever else is known of them. beside: an agent may be at work in this process:
    nothing that is the process's is touched, and Python states are not run. include_sources: the runs that the body was
    compiled from are evidence, too. functions: of Python states that no module has, by name.
    """

    params: Mapping[str, Any] | None = None
    reads: Sequence[str] = ()
    writes: Sequence[str] = ()
    include_sources: bool = False
    beside: bool = False
    functions: Mapping[str, Callable[..., Any]] | None = None


def shadow(
    body: Body,
    run: Replay | str,
    params: Mapping[str, Any] | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    include_sources: bool = False,
) -> Shadowed:
    """Walk a playbook in the shadow of one recorded run.

    Args:
        body: what is walked.
        run: a run's name in the store, or a `Replay`.
        params: by name, over what the run's input says, then what the run shows.
        store: where the run is, and the walk is recorded; default: the project's.
        reads: tools that only read, whatever else is known of them.
        writes: tools that write, likewise.
        include_sources: a run that the body was compiled from is evidence, too.

    Raises:
        UnknownRun, AmbiguousRun, StoreError: there is no such run, or the store cannot be read.
    """
    source = Source(run) if isinstance(run, Replay) else source_of(run, store)
    return walked(body, source, Given(params, reads, writes, include_sources), store)


def shadow_over(
    body: Body,
    runs: Iterable[Replay | str],
    params: Mapping[str, Any] | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    reads: Sequence[str] = (),
    writes: Sequence[str] = (),
    include_sources: bool = False,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    told: Callable[[Shadowed], None] | None = None,
) -> ShadowReport:
    """The same of several runs; `told` is called after each, `functions` are those of Python states that no module has."""
    given = Given(params, reads, writes, include_sources, functions=functions)
    found: list[Shadowed] = []
    with recorded_to(store):
        for run in runs:
            source = Source(run) if isinstance(run, Replay) else source_of(run, store)
            one = walked(body, source, given, store)
            found.append(one)
            if told is not None:
                told(one)
    return ShadowReport.of(body, found)


def source_of(run: str, store: str | os.PathLike[str] | None = None) -> Source:
    """A run out of a store.

    Raises:
        UnknownRun, AmbiguousRun, StoreError: there is no such run, or the store cannot be read.
    """
    from spanreel.collector.store import open_reader
    from spanreel.replay.build import build
    from spanreel.replay.pricing import price

    with open_reader(resolve_store(store)) as reader:
        found = reader.resolve(run)
        return Source(build(found, reader.spans(found.trace_id), price), found.root.span_id)


def walked(body: Body, source: Source, given: Given, store: str | os.PathLike[str] | None = None) -> Shadowed:
    """One walk, judged and recorded."""
    replay = source.replay
    known = filled(body, replay)
    for name, value in (given.params or {}).items():
        known.params[name], known.how[name] = value, "input"
        known.missing.pop(name, None)
    params = known.params
    is_source = of_source(body, replay)
    counted = not is_source or given.include_sources
    if known.missing:
        why = f"parameter {known.why_not}"
        return Shadowed(
            verdict="not_answered",
            source_run_id=replay.run_id,
            source=is_source,
            counted=False,
            params=params,
            unanswered=StoppedBy(guard=NOT_ANSWERED, state="", reason=why),
        )
    safeties = safeties_of(body, replay, given.reads, given.writes)
    recording = recording_of(replay, source.root_span_id)
    judged: list[Shadowed] = []

    def judge(walk: Walk) -> Mapping[str, Any]:
        found = score(walk.proposed, replay, safeties)
        one = _shadowed(walk, found).model_copy(
            update={
                "source_run_id": replay.run_id,
                "source": is_source,
                "counted": counted,
                "params": params,
                "observed": [name for name, how in known.how.items() if how == "observed"],
            }
        )
        judged.append(one)
        return _said(one)

    with recorded_to(store), _closed(store, beside=given.beside):
        surroundings = Surroundings(loader(store), not given.beside, given.functions)
        says = root_says(body, params, counted=counted)
        walk = in_shadow(body, params, recording, safeties, surroundings, judge, says)
        if not judged:
            judge(walk)
    return judged[0].model_copy(update={"run_id": walk.run_id})


def of_source(body: Body, replay: Replay) -> bool:
    """Whether a body was compiled from this run."""
    return replay.run_id in {one.partition(":")[0] for one in body.derived_from} | set(body.derived_from)


def safeties_of(
    body: Body, replay: Replay, reads: Sequence[str] = (), writes: Sequence[str] = ()
) -> Safeties:
    """What class each tool is of, by its author, by the body's states and by the run's spans."""
    authors = {name: known.safety for name in _tools(body, replay) if (known := declared(name)).function}
    states = [{state.tool: state.safety} for state in body.states.values() if state.tool]
    calls = [{call.tool_name: call.safety} for call in replay.tool_calls]
    return Safeties.of(authors, *states, *calls, reads=reads, writes=writes)


def _tools(body: Body, replay: Replay) -> Iterator[str]:
    yield from body.tools
    yield from (call.tool_name for call in replay.tool_calls)


def _shadowed(walk: Walk, found: Score) -> Shadowed:
    unanswered = None
    if walk.unanswered is not None:
        unanswered = StoppedBy(guard=NOT_ANSWERED, state=walk.unanswered[0], reason=walk.unanswered[1])
    stopped = None
    if walk.failure is not None:
        stopped = StoppedBy(guard=walk.failure.guard, state=walk.failure.state, reason=walk.failure.reason)
    return Shadowed(
        verdict=_verdict(walk, found),
        source_run_id="",
        proposed=walk.proposed,
        stopped=stopped,
        unanswered=unanswered,
        assumed=walk.assumed,
        visited=walk.visited,
        output=codec.plain(walk.walked.output) if walk.walked else None,
        score=found.score,
        first_divergence=found.first_divergence,
        writes=found.writes,
        reads=found.reads,
        failed=found.failed,
    )


def _verdict(walk: Walk, found: Score) -> Verdict:
    """A write that the agent did not make is one for certain; what follows a missing answer is not known."""
    if walk.walked is not None:
        return "same" if found.first_divergence is None else "diverged"
    if found.writes.extra or found.writes.changed:
        return "diverged"
    return "stopped" if walk.failure is not None else "not_answered"


def _said(one: Shadowed) -> dict[str, Any]:
    """What the root of the walk ends with."""
    halted = one.stopped or one.unanswered
    said: dict[str, Any] = {
        names.PLAYBOOK_SCORE: one.score,
        names.PLAYBOOK_MODEL_CALLS: 0,
        names.PLAYBOOK_TOOL_CALLS: len(one.proposed),
        f"{names.OUTCOME}success": None if one.unanswered else one.ok,
        f"{names.OUTCOME}summary": one.verdict,
        names.PLAYBOOK_DIVERGENCE: as_json(one.first_divergence) if one.first_divergence else None,
        names.PLAYBOOK_GUARD: halted.guard if halted else None,
        names.PLAYBOOK_STOPPED_AT: halted.state if halted else None,
        names.PLAYBOOK_REASON: halted.reason if halted else None,
    }
    return {key: value for key, value in said.items() if value is not None}


@contextmanager
def recorded_to(store: str | os.PathLike[str] | None) -> Generator[bool]:
    """Recording is on in this block, to this store unless it is on already; whether it is on for this block alone."""
    with ExitStack() as stack:
        own = recorder.current() is None
        if own:
            stack.callback(activate.instrument(store=resolve_store(store)).uninstrument)
        yield own
        found = recorder.current()
        if found is not None:
            found.flush()


@contextmanager
def _closed(store: str | os.PathLike[str] | None, *, beside: bool) -> Generator[None]:
    """No connection leaves this process in this block, unless an agent is at work in it."""
    if beside:
        yield
        return
    announced = announced_collector(resolve_store(store))
    ports = (announced.http_port, announced.grpc_port) if announced else ()
    with denied_network(lambda _: None, ports):
        yield
