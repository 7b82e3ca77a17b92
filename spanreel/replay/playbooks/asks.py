"""What a walk asks of the world, one value each: it yields one of these and is sent the answer, or an exception thrown.

Quiet. The walk knows no tool, clock, model or file; whoever drives it does (`driver` for real and in an execution,
`simulate` on paper), so that there is one walk, in sync and async code, live, in shadow and in a simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body, Compensation, State

Guard: TypeAlias = Literal[
    "params", "precondition", "approval", "tool", "binding", "budget", "call", "expect", "postcondition", "repeat",
    "assert", "branch", "playbook", "compensation", "max_steps", "max_visits", "success", "output",
]  # fmt: skip
"""What can stop a run of a playbook."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a state did not go through. guard: which one said no; error: the exception of a call, if one did."""

    guard: Guard
    state: str
    reason: str
    error: BaseException | None = None


class Stopped(Exception):
    """A run of a playbook was stopped by one of its guards; nothing after it was done."""

    def __init__(self, failure: Failure) -> None:
        where = f"state {failure.state}: " if failure.state else ""
        super().__init__(f"{where}{failure.guard}: {failure.reason}")
        self.failure = failure


class Misfit(Exception):
    """A model's answer is not what was asked for. stage: where that was found; issues: what is wrong, each with its place.

    cost: what it cost, USD, where somebody knows.
    """

    def __init__(self, stage: str, issues: list[str], chars: int = 0) -> None:
        more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
        super().__init__(f"the model's answer does not fit: {stage}: {issues[0]}{more}")
        self.stage = stage
        self.cost: Any = None
        self.issues = issues
        self.chars = chars


@dataclass(frozen=True, slots=True)
class ToolFacts:
    """What is known of a registered tool.

    pre, post: its author's conditions, objects or callables. takes: whether it takes arguments; None: nobody knows.
    """

    name: str
    safety: str
    pre: tuple[Any, ...] = ()
    post: tuple[Any, ...] = ()
    takes: Callable[[Mapping[str, Any]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """Of this execution so far. cost: USD of its model calls, None where nobody knows."""

    seconds: float = 0.0
    cost: float | None = 0.0


@dataclass(frozen=True, slots=True)
class Enter:
    """A state is entered, for the visit-th time. Answer: None."""

    state: str
    visit: int
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Leave:
    """A state is left. next: where to; None: the path is over. Answer: None."""

    state: str
    next: str | None
    failure: Failure | None = None
    saved: Mapping[str, Any] = field(default_factory=dict[str, Any])
    variables: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Known:
    """What is registered under a tool's name? Answer: ToolFacts, or None."""

    tool: str


@dataclass(frozen=True, slots=True)
class Call:
    """Call a tool. Answer: its result; or its exception, thrown. purpose: `call`, or `compensation`."""

    state: str
    tool: str
    args: Mapping[str, Any]
    safety: str
    attempt: int = 1
    purpose: str = "call"


@dataclass(frozen=True, slots=True)
class Again:
    """An attempt failed, and there is another one. attempt: the one that follows, of at most `of`. Answer: None."""

    state: str
    attempt: int
    of: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a model. Answer: its text, or with a schema the JSON value; or an exception, thrown."""

    state: str
    prompt: str
    system: str | None
    schema: Mapping[str, Any] | None
    model: str | None
    parameters: Mapping[str, Any]
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Gate:
    """Wait for a decision. Answer: a Decision (truthy when approved)."""

    state: str
    id: str
    summary: str | None
    details: Any


@dataclass(frozen=True, slots=True)
class RunPython:
    """Call a function. Answer: what it returned, or `Ran`; or its exception, thrown.

    function: ``module:name``, or a callable. of: `state`: it is called with the variables; `pre`, `post`: a condition of a
    tool's author, called with `result`: the arguments of the call, its result. written: it is a state that was written
    in Python, and says itself which one follows.
    """

    state: str
    function: Any
    variables: Mapping[str, Any]
    result: Any = None
    of: Literal["state", "pre", "post"] = "state"
    written: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """What a state that was written in Python came to. set: the variables that it set; next: what it returned."""

    set: Mapping[str, Any]
    next: Any = None


@dataclass(frozen=True, slots=True)
class Probe:
    """Does this condition of the surroundings hold? Answer: a Judgement."""

    state: str
    condition: Mapping[str, Any]
    variables: Mapping[str, Any]
    result: Any = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Let this much time pass. Answer: None."""

    seconds: float


@dataclass(frozen=True, slots=True)
class SpentSoFar:
    """What was spent? Answer: Spent."""


@dataclass(frozen=True, slots=True)
class Load:
    """The body of another playbook: of that hash, or the active one of the name. Answer: Body; or an exception, thrown."""

    name: str
    hash: str | None


@dataclass(frozen=True, slots=True)
class Mend:
    """Guided: can this state be mended? Answer: the state to try instead, once; or None."""

    body: Body
    failure: Failure
    variables: Mapping[str, Any]


AnyAsk: TypeAlias = (
    "Enter | Leave | Known | Call | Again | Ask | Gate | RunPython | Probe | Wait | SpentSoFar | Load | Mend"
)


@dataclass(frozen=True, slots=True)
class Undoing:
    """The call that would undo what a state did. variables: as they were then, with `result`."""

    state: str
    compensation: Compensation
    variables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Walked:
    """What a run of a playbook came to.

    output: see `Body.output`. variables: at the end. visited: states in order. mended: of a guided run, the states
    that were tried in another form, and helped. model_calls, tool_calls: that it made. undo: what would undo it.
    """

    output: Any
    variables: Mapping[str, Any]
    visited: tuple[str, ...]
    model_calls: int = 0
    tool_calls: int = 0
    mended: Mapping[str, State] = field(default_factory=dict[str, "State"])
    undo: tuple[Undoing, ...] = ()
