"""A playbook or a run as nodes and edges; what is drawn of them is `mermaid`'s and `svg`'s. Quiet.

Ids are ours (`n0`, `n1`, …): what a node says of the outside is only ever its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.playbooks.body import END
from spanreel.replay.report.text import duration_text, one_line
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body, State
    from spanreel.replay.timeline import Replay, ReplayStep

EdgeKind: TypeAlias = Literal["next", "approve", "reject", "case", "failure", "inside"]
START: Final = "start"
_LONG: Final = 60
_TICK: Final = 0.01  # milliseconds: what ends as the next begins is not at once with it


class GraphNode(Frozen):
    """A state, a step, the beginning or an end.

    Attributes:
        kind: of a state its action (tool, llm, branch, …), of a step its kind; start, end.
        label: its name.
        details: further lines, such as the tool that it calls or the agent that made the step.
        marks: its guards, in short: `write`, `2 pre`, `expect`, `retry 3`.
        count: how often it was seen, of observed transitions. failed: of a step.
    """

    id: str
    kind: str
    label: str
    details: list[str] = Field(default_factory=list[str])
    marks: list[str] = Field(default_factory=list[str])
    count: int | None = None
    failed: bool = False


class GraphEdge(Frozen):
    """A way from one node to another.

    Attributes:
        label: what it is taken for.
        count: how often it was taken. mean_ms: how long what it led to took, in milliseconds. errors: how many of
            those failed; error_share is that of count.
    """

    source: str
    target: str
    kind: EdgeKind = "next"
    label: str | None = None
    count: int | None = None
    mean_ms: float | None = None
    errors: int | None = None
    error_share: float | None = None

    @property
    def text(self) -> str:
        """What is written beside it."""
        if self.count is None:
            return self.label or ""
        failed = f"{self.error_share:.0%} failed" if self.errors and self.error_share is not None else ""
        took = duration_text(self.mean_ms) if self.mean_ms is not None else ""
        return " · ".join(part for part in (self.label, f"{self.count}×", took, failed) if part)


class Graph(Frozen):
    """`spanreel graph --json`. of: playbook, run or observed; runs: how many were looked at."""

    schema_: Literal["spanreel.graph.v1"] = Field(default="spanreel.graph.v1", alias="schema")
    of: Literal["playbook", "run", "observed"]
    title: str
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    runs: int | None = None


class Drawing:
    """Nodes and edges as they are added."""

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self.edges: list[GraphEdge] = []

    def node(self, kind: str, label: str, **more: Any) -> str:
        """Add a node; gives its id."""
        self.nodes.append(GraphNode(id=f"n{len(self.nodes)}", kind=kind, label=label, **more))
        return self.nodes[-1].id

    def edge(self, source: str, target: str, kind: EdgeKind = "next", label: str | None = None) -> None:
        """Add an edge."""
        self.edges.append(GraphEdge(source=source, target=target, kind=kind, label=label))


def of_playbook(body: Body) -> Graph:
    """The states of a playbook and every way between them; a target that is no state is drawn as one that is missing."""
    drawing = Drawing()
    params = [
        f"{name}: {one.type}{'' if one.required and one.default is None else '?'}"
        for name, one in body.params.items()
    ]
    start = drawing.node(START, body.name, details=params)
    ids = {
        name: drawing.node(state.action or "state", name, details=_action(state), marks=_marks(state))
        for name, state in body.states.items()
    }

    def of(name: str) -> str:
        if name not in ids:
            ids[name] = drawing.node("end", "end") if name == END else drawing.node("missing", name)
        return ids[name]

    drawing.edge(start, of(body.initial))
    for name, state in body.states.items():
        for target, kind, label in _ways(state):
            drawing.edge(ids[name], of(target), kind, label)
    return Graph(of="playbook", title=body.name, nodes=drawing.nodes, edges=drawing.edges)


def _ways(state: State) -> Iterable[tuple[str, EdgeKind, str | None]]:
    if state.approval is not None:
        yield state.on_approve or state.next or END, "approve", "approved"
        if state.on_reject is not None:
            yield state.on_reject, "reject", "rejected"
    elif state.branch is not None:
        cases = state.branch.cases
        listed = cases.items() if isinstance(cases, dict) else ((_when(one.when), one.next) for one in cases)
        for said, target in listed:
            yield target, "case", one_line(said, _LONG)
        if state.branch.default is not None:
            yield state.branch.default, "case", "else"
    else:
        yield state.next or END, "next", None
    if state.on_failure is not None:
        yield state.on_failure, "failure", "failed"


def _when(conditions: Sequence[Any]) -> str:
    return " and ".join(_condition(one) for one in conditions)


def _condition(condition: Any) -> str:
    if not isinstance(condition, dict):
        return str(condition)
    return " ".join(str(value) if key == "json" else f"{key} {value}" for key, value in condition.items())


def _action(state: State) -> list[str]:
    said: Any = {
        "tool": state.tool,
        "llm": state.llm and (state.llm.model or "model"),
        "approval": state.approval and (state.approval.summary or state.approval.id),
        "playbook": state.playbook and state.playbook.name,
        "python": state.python,
        "branch": state.branch and isinstance(state.branch.on, str) and state.branch.on.strip("{} "),
        "assert": state.assert_ and _when(state.assert_),
        "set": state.set and ", ".join(state.set),
    }.get(state.action or "")
    return (
        [f"{state.action} {one_line(str(said), _LONG)}" if said else str(state.action)]
        if state.action
        else []
    )


def _marks(state: State) -> list[str]:
    repeat, retry = state.repeat, state.retry.max_attempts
    found = [
        state.safety if state.safety and state.safety != "read" else "",
        f"{len(state.pre)} pre" if state.pre else "",
        "expect" if state.expect else "",
        f"{len(state.post)} post" if state.post else "",
        f"retry {retry}" if retry > 1 else "",
        f"repeat ≤ {repeat.max}" if repeat else "",
        f"visits ≤ {state.max_visits}" if state.max_visits else "",
        f"undo {state.compensate.tool}" if state.compensate else "",
    ]
    return [one for one in found if one]


def of_run(run: Replay) -> Graph:
    """The steps of a run in order: at once what ran at once, inside what a step made itself."""
    drawing = Drawing()
    last = [drawing.node(START, run.agent_name or run.run_id[:12], details=[run.run_id[:12]])]
    ids: dict[int | None, str] = {}
    outer = [step for step in run.steps if step.parent_step is None]
    for group in at_once(outer):
        made = [_step_node(drawing, step, run.agent_name) for step in group]
        ids.update(zip((step.number for step in group), made, strict=True))
        for source in last:
            for target in made:
                drawing.edge(source, target)
        last = made
    for step in run.steps:
        if step.parent_step is not None:
            ids[step.number] = _step_node(drawing, step, run.agent_name)
            drawing.edge(ids.get(step.parent_step) or last[0], ids[step.number], "inside", "inside")
    end = drawing.node("end", run.status, failed=run.status not in ("completed", "paused"))
    for source in last:
        drawing.edge(source, end)
    return Graph(of="run", title=f"run {run.run_id[:12]}", nodes=drawing.nodes, edges=drawing.edges)


def at_once(steps: Sequence[ReplayStep]) -> list[list[ReplayStep]]:
    """Steps in order; those of one group began before the first of it had ended."""
    groups: list[list[ReplayStep]] = []
    until = 0.0
    for step in steps:
        begins = step.offset or 0.0
        ends = begins + (step.duration or 0.0)
        if groups and begins < until - _TICK:
            groups[-1].append(step)
            until = min(until, ends)
        else:
            groups.append([step])
            until = ends
    return groups


def _step_node(drawing: Drawing, step: ReplayStep, agent: str | None) -> str:
    within = " › ".join(step.agents)
    details = [within] if within and within != agent else []
    took = duration_text(step.duration) if step.duration is not None else ""
    number = "" if step.number is None else f"{step.number} "
    marks = [one for one in (took, f"{step.attempts} attempts" if step.attempts > 1 else "") if one]
    return drawing.node(
        step.kind, f"{number}{subject(step)}", details=details, marks=marks, failed=step.status == "error"
    )


def subject(step: ReplayStep) -> str:
    """What a step is called: the tool, or the model that was asked."""
    return step.tool.tool_name if step.tool else step.model or step.name
