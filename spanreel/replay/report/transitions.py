"""What followed what over many runs: counts, how long it took, how much of it failed. Quiet.

Of an agent: its steps, by kind and name. Of a playbook: its states, as their spans say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from spanreel.replay.playbooks.body import END
from spanreel.replay.report.graph import START, Drawing, Graph, GraphEdge, subject
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.replay.timeline import Replay
    from spanreel.wire.spans import Span

Place: TypeAlias = tuple[str, str]
"""Kind and name of what is a node."""
BEGIN: Final[Place] = (START, START)


@dataclass(frozen=True, slots=True)
class Transition:
    """One way that was taken. ms: how long what it led to took; failed: whether that did."""

    source: Place
    target: Place
    ms: float | None
    failed: bool


def of_steps(run: Replay, *, models: bool = True) -> list[Transition]:
    """The steps of a run, one after the other in order of their start; what a step made itself is left out.

    Args:
        run: any.
        models: model calls too; else what they led to follows what came before them.
    """
    found: list[Transition] = []
    before = BEGIN
    for step in run.steps:
        if step.parent_step is not None or (step.kind == "llm" and not models):
            continue
        here = (step.kind, subject(step))
        found.append(Transition(before, here, step.duration, step.status == "error"))
        before = here
    found.append(Transition(before, ("end", run.status), None, run.status == "error"))
    return found


def of_states(spans: Iterable[Span]) -> list[Transition]:
    """The states that an execution of a playbook went through, by the spans of its trace."""
    states = sorted(
        (
            span
            for span in spans
            if names.PLAYBOOK_STATE in span.attributes and names.PLAYBOOK_VISIT in span.attributes
        ),
        key=lambda span: (span.start_ns, span.span_id),
    )
    found: list[Transition] = []
    before = BEGIN
    for span in states:
        here = ("state", str(span.attributes[names.PLAYBOOK_STATE]))
        ms = (span.end_ns - span.start_ns) / 1e6 if span.end_ns else None
        found.append(Transition(before, here, ms, _failed(span)))
        before = here
    if states:
        over = "stopped" if _failed(states[-1]) and names.PLAYBOOK_NEXT not in states[-1].attributes else END
        found.append(Transition(before, ("end", over), None, over != END))
    return found


def observed(title: str, runs: Sequence[Sequence[Transition]]) -> Graph:
    """What the runs came to, together; the most frequent first."""
    ways: dict[tuple[Place, Place], list[Transition]] = defaultdict(list)
    for run in runs:
        for one in run:
            ways[one.source, one.target].append(one)
    seen = Counter(one.target for run in runs for one in run)
    drawing = Drawing()
    ids: dict[Place, str] = {BEGIN: drawing.node(START, title, count=len(runs))}
    for place, count in sorted(seen.items(), key=lambda item: (item[0][0] == "end", -item[1], item[0])):
        failed = place[0] == "end" and place[1] not in (END, "completed", "paused")
        ids[place] = drawing.node(place[0], place[1], count=count, failed=failed)
    edges = [_edge(ids[source], ids[target], taken) for (source, target), taken in ways.items()]
    edges.sort(key=lambda edge: (-(edge.count or 0), int(edge.source[1:]), int(edge.target[1:])))
    return Graph(of="observed", title=title, nodes=drawing.nodes, edges=edges, runs=len(runs))


def _edge(source: str, target: str, taken: Sequence[Transition]) -> GraphEdge:
    known = [one.ms for one in taken if one.ms is not None]
    errors = sum(one.failed for one in taken)
    mean = sum(known) / len(known) if known else None
    return GraphEdge(
        source=source,
        target=target,
        count=len(taken),
        mean_ms=mean,
        errors=errors,
        error_share=errors / len(taken),
    )


def _failed(span: Span) -> bool:
    return span.status == names.STATUS_ERROR or names.PLAYBOOK_GUARD in span.attributes
