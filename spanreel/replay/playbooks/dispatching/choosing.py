"""Which playbook fits a task, and why each other one does not: reasons with codes that stay the same.

Quiet. It judges what it is given: the goal's words, the inputs, the names of tools that are registered. What a playbook is
for its author says in `matchers`; where nothing is said of the goal, enough of its words have to be in the task, and
the first of them, which mostly names what is done, or its whole name: to return an item is not to exchange it. In doubt it
does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.playbooks.conditions import judge
from spanreel.replay.playbooks.shadows.filled import Mapped, mapped
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body, Matchers

Code: TypeAlias = Literal[
    "not_active", "disabled", "needs_repair", "agent_mismatch", "goal_mismatch", "input_mismatch", "tool_missing",
    "param_invalid", "params_missing", "needs_extract_model", "extract_failed", "gate_failed", "hook_refused",
    "precondition_failed", "stopped_before_write", "stopped_after_write", "nothing_fits", "ambiguous",
]  # fmt: skip

REASONS: Final[dict[str, tuple[str, str]]] = {
    "not_active": ("it was not promoted", "spanreel playbook promote NAME"),
    "disabled": ("somebody took it out of use", "spanreel playbook why NAME"),
    "needs_repair": ("evidence took it out of use", "spanreel playbook repair NAME"),
    "agent_mismatch": ("it is meant for another agent", "name the agent, or mend its matchers"),
    "goal_mismatch": ("its goal is another one", "mend its goal, or its matchers"),
    "input_mismatch": ("the inputs are not those that its matchers ask for", "mend its matchers"),
    "tool_missing": ("a tool that it calls is not registered", "name its module: --tools MODULE"),
    "param_invalid": ("a value is none that the parameter takes", "give another value"),
    "params_missing": ("the inputs lack a parameter", "give it as an input"),
    "needs_extract_model": ("a parameter only occurs in free text", "name a model: --model PROVIDER/NAME"),
    "extract_failed": ("a model could not read the parameters out of the text", "give them as inputs"),
    "gate_failed": ("a gate keeps it from being promoted", "spanreel playbook candidate NAME"),
    "hook_refused": ("a hook of the project said no", "see [tool.spanreel.hooks]"),
    "precondition_failed": ("what has to hold before does not", "spanreel playbook simulate NAME"),
    "stopped_before_write": (
        "a guard stopped it before it changed anything",
        "spanreel playbook repair NAME",
    ),
    "stopped_after_write": ("a guard stopped it after it had changed something", "spanreel show RUN"),
    "nothing_fits": ("no playbook fits", "spanreel playbook suggest GOAL"),
    "ambiguous": ("several playbooks fit equally well", "narrow their matchers"),
}
"""Why a playbook is not taken: what the code means, and what to do about it."""

ENOUGH: Final = 0.5
"""Of the words of a playbook's goal, the share that a task has to have where no matcher says what it is for."""
RANKED: Final = {"active": 0, "shadow": 1, "candidate": 2}


class Reason(Frozen):
    """Something that speaks for or against a playbook. next: what to do about it."""

    code: str
    text: str
    next: str | None = None


class Considered(Frozen):
    """A playbook, and what speaks for and against it.

    Attributes:
        fits: nothing speaks against it: dispatch would take it.
        confidence: 0 to 1: how much of the goal the two have in common, times how reliable its executions were.
        params: that the inputs give. missing: that they do not.
    """

    name: str
    hash: str
    version: int | None = None
    status: str
    goal: str = ""
    fits: bool
    confidence: float
    reasons_for: list[Reason] = Field(default_factory=list[Reason])
    reasons_against: list[Reason] = Field(default_factory=list[Reason])
    params: dict[str, Any] = Field(default_factory=dict)
    missing: list[str] = Field(default_factory=list[str])

    def against(self, code: str) -> bool:
        """Whether this speaks against it."""
        return any(reason.code == code for reason in self.reasons_against)


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done.

    Attributes:
        goal: in words. words: their stems.
        inputs: an object by name, a text, or nothing.
        agent: who would do it else; None: nobody said.
        tools: names of those that are registered; None: nobody knows, and none is asked for.
        model: whether there is a model that reads parameters out of text.
    """

    goal: str
    words: AbstractSet[str]
    inputs: Any = None
    agent: str | None = None
    tools: AbstractSet[str] | None = None
    model: bool = False

    @property
    def text(self) -> str:
        """What parameters may be read out of: the inputs where they are a text, and the goal."""
        return f"{self.goal}\n{self.inputs}" if isinstance(self.inputs, str) else self.goal


@dataclass(frozen=True, slots=True)
class Known:
    """A body, as it is looked at.

    words: stems by where they stand: `name`, `goal`, `all`, `matchers`. ok, runs: of its executions. gates: those that keep it from
    being promoted, in words.
    """

    body: Body
    status: str
    version: int | None = None
    words: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    ok: int = 0
    runs: int = 0
    gates: Sequence[str] = ()


def reason(code: str, text: str | None = None) -> Reason:
    """A reason against, with what to do about it."""
    meaning, remedy = REASONS[code]
    return Reason(code=code, text=text or meaning, next=remedy)


def consider(task: Task, known: Sequence[Known]) -> list[Considered]:
    """Every playbook with what speaks for and against it, the best first.

    Args:
        task: what is to be done.
        known: the library's bodies.
    """
    found = [_considered(task, one) for one in known]
    return sorted(
        found,
        key=lambda one: (
            not one.fits,
            one.against("goal_mismatch"),
            RANKED.get(one.status, 3),
            -one.confidence,
            -len(one.params),
            one.name,
        ),
    )


def _considered(task: Task, known: Known) -> Considered:
    body = known.body
    pros: list[Reason] = []
    cons: list[Reason] = []
    _status(known, pros, cons)
    common = _goal(task, known, pros, cons)
    _agent(task, body.matchers, pros, cons)
    _inputs(task, body.matchers, pros, cons)
    _tools(task, body, pros, cons)
    given = mapped(body, task.inputs)
    _params(task, given, pros, cons)
    reliable = (known.ok + 1) / (known.runs + 2)
    if known.runs:
        pros.append(Reason(code="evidence", text=f"{known.ok} of {known.runs} executions were ok"))
    return Considered(
        name=body.name,
        hash=body.hash,
        version=known.version,
        status=known.status,
        goal=body.goal,
        fits=not cons,
        confidence=round(common * reliable, 2),
        reasons_for=pros,
        reasons_against=cons,
        params=given.params,
        missing=given.missing,
    )


def _status(known: Known, pros: list[Reason], cons: list[Reason]) -> None:
    if known.status == "active":
        pros.append(Reason(code="active", text="it is active"))
    elif known.status in ("disabled", "needs_repair"):
        cons.append(reason(known.status))
    else:
        cons.append(reason("not_active", f"it is {known.status}"))
    cons.extend(reason("gate_failed", gate) for gate in known.gates)


def _goal(task: Task, known: Known, pros: list[Reason], cons: list[Reason]) -> float:
    """How much of the goal the two have in common, 0 to 1."""
    leading = next(iter(known.words.get("goal", ())), None)
    wanted, every, named = (set(known.words.get(part, ())) for part in ("goal", "all", "matchers"))
    shared = wanted & task.words
    name = set(known.words.get("name", ()))
    by_name = len(name) > 1 and name <= task.words  # return-item, for: return an item
    of_theirs = len(shared) / len(wanted) if wanted else 0.0
    of_ours = len(task.words & every) / len(task.words) if task.words else 0.0
    common = max(of_theirs, of_ours)
    hit = sorted(named & task.words)
    if named and not hit:
        cons.append(reason("goal_mismatch", f"none of {', '.join(known.body.matchers.goal)} is in the goal"))
    elif not named and common < ENOUGH:
        said = f"{len(shared)} of the {len(wanted)} words of its goal are in the task, {ENOUGH:.0%} are asked for"
        cons.append(reason("goal_mismatch", said if wanted else "it says no goal"))
    elif not named and leading not in task.words and not by_name:
        cons.append(reason("goal_mismatch", f"the first word of its goal, {leading}…, is not in the task"))
    else:
        words = hit or sorted(shared) or sorted(task.words & every)
        pros.append(Reason(code="goal", text=f"in common: {', '.join(words[:8])}"))
    return max(common, ENOUGH) if hit else common


def _agent(task: Task, matchers: Matchers, pros: list[Reason], cons: list[Reason]) -> None:
    if matchers.agent is None:
        return
    allowed = [matchers.agent] if isinstance(matchers.agent, str) else list(matchers.agent)
    if task.agent in allowed:
        pros.append(Reason(code="agent", text=f"it is meant for {task.agent}"))
    elif task.agent is not None:
        cons.append(reason("agent_mismatch", f"it is meant for {', '.join(allowed)}, not for {task.agent}"))


def _inputs(task: Task, matchers: Matchers, pros: list[Reason], cons: list[Reason]) -> None:
    given = task.inputs if isinstance(task.inputs, Mapping) else {}
    for path, predicate in matchers.input.items():
        where = path if path.startswith("input.") else f"input.{path.removeprefix('$').removeprefix('.')}"
        judged = judge({"json": where, **predicate}, {"input": given})
        if judged:
            pros.append(Reason(code="input", text=judged.why))
        else:
            cons.append(reason("input_mismatch", judged.why))


def _tools(task: Task, body: Body, pros: list[Reason], cons: list[Reason]) -> None:
    needed = list(dict.fromkeys([*body.tools, *body.matchers.tools]))
    if task.tools is None or not needed:
        return
    missing = [name for name in needed if name not in task.tools]
    if missing:
        cons.append(reason("tool_missing", f"not registered: {', '.join(missing)}"))
    else:
        pros.append(Reason(code="tools", text=f"all {len(needed)} tools are registered"))


def _params(task: Task, given: Mapped, pros: list[Reason], cons: list[Reason]) -> None:
    for name, problem in given.wrong.items():
        cons.append(reason("param_invalid", f"{name}: {problem}"))
    if not given.missing:
        if given.params:
            pros.append(Reason(code="params", text=f"the inputs give {', '.join(given.params)}"))
        return
    said = f"missing: {', '.join(given.missing)}"
    if task.inputs is not None and not isinstance(task.inputs, str) and not task.model:
        cons.append(reason("params_missing", said))
    elif not task.model:
        cons.append(reason("needs_extract_model", said))
    else:
        pros.append(Reason(code="extract", text=f"a model reads {', '.join(given.missing)} out of the text"))
