"""A playbook's body as a value: parameters, states, guards; immutable, and named by its hash.

Quiet. It says what a playbook is, in the keys of its file (`spanreel schema playbook`); what those mean together is
looked at by `checking`, how a file becomes one by `file`, what it does by `walk`. Keys that tell where a part came
from (`PROVENANCE`) do not change what it does, and are no part of its identity.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from spanreel.replay.playbooks.identity import hash_of
from spanreel.replay.timeline import Frozen

FORMAT: Final = "playbook/v1"
END: Final = "end"
"""The name of no state: where a path is over."""
MAX_STEPS: Final = 200
ACTIONS: Final = ("tool", "llm", "branch", "approval", "assert", "playbook", "python", "set")
"""What a state can be, exactly one of them. A state with none of them only leads on."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
RESERVED: Final = frozenset({"params", "result", "state", "end", "true", "false", "null"})

Safety: TypeAlias = Literal["read", "write", "irreversible"]
Risk: TypeAlias = Literal["low", "medium", "high"]
Origin: TypeAlias = Literal[
    "recorded_run", "merged_runs", "repair:rule", "repair:model", "repair:human", "imported", "handwritten"
]
Json: TypeAlias = dict[str, Any]


def _named(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: use letters, digits, - and _")
    return name


Name: TypeAlias = Annotated[str, AfterValidator(_named)]
Condition: TypeAlias = dict[str, Any]
"""What has to hold, see `conditions`: ``{"json": "order.status", "equals": "delivered"}``."""


class Param(Frozen):
    """What a run of the playbook is given.

    Attributes:
        type: string, integer, number, boolean, array, object, or any of them.
        pattern: of a string: a regular expression that the whole of it matches.
        enum, minimum, maximum, items: as in JSON Schema.
        required: a run without it is refused; not where there is a default.
        input: where a recorded run's input has it: a JSON path such as ``order.id``; None: only in free text.
        examples: values that the source runs had; never used as a default.
    """

    type: Literal["string", "integer", "number", "boolean", "array", "object", "any"] = "string"
    pattern: str | None = None
    format: str | None = None
    enum: list[Any] | None = None
    minimum: float | None = None
    maximum: float | None = None
    items: Json | None = None
    description: str | None = None
    required: bool = True
    default: Any = None
    input: str | None = None
    examples: list[Any] = Field(default_factory=list[Any])

    def json_schema(self) -> Json:
        """The JSON Schema of a value."""
        names = ("type", "pattern", "format", "enum", "minimum", "maximum", "items", "description")
        found = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if self.type == "any":
            del found["type"]
        if self.pattern is not None:
            found["pattern"] = f"^(?:{self.pattern})$"
        return found


class Retry(Frozen):
    """How often an action that failed is tried. max_attempts: the first one included; backoff_seconds: between two."""

    max_attempts: int = Field(default=1, ge=1, le=25)
    backoff_seconds: float = Field(default=0.0, ge=0, le=3600)


class Repeat(Frozen):
    """An action that is done several times.

    Attributes:
        until: done again until this holds of the result (a condition, see `conditions`); reaching `max` first fails.
        first: with `until`: the arguments of the first time, before there is a result to go on from; then `args`.
        for_each: done once for each item of this list (a binding); `as` names the item in `args`.
        max: the most times.
        wait_seconds: between two times.
        collect: `save_as` keeps the list of all results, not the last one; always so with `for_each`.
    """

    until: list[Condition] | None = None
    first: Json | None = None
    for_each: str | None = None
    as_: Name = Field(default="item", alias="as")
    max: int = Field(ge=1, le=10_000)
    wait_seconds: float = Field(default=0.0, ge=0, le=3600)
    collect: bool = False

    @model_validator(mode="after")
    def _one(self) -> Repeat:
        if (self.until is None) == (self.for_each is None):
            raise ValueError("repeat has either `until` or `for_each`")
        if self.first is not None and self.until is None:
            raise ValueError("`first` goes with `until`")
        return self


class Llm(Frozen):
    """A model call that is part of the procedure: a counted one.

    Attributes:
        prompt: the user's message, with bindings.
        system: the instructions, with bindings.
        schema: JSON Schema of the answer, which is then parsed and checked; None: the answer is its text.
        model: with its provider, such as ``openai/gpt-4o-mini``; None: the one that the caller gives.
        parameters: of the request, such as temperature.
    """

    prompt: str
    system: str | None = None
    schema_: Json | None = Field(default=None, alias="schema")
    model: str | None = None
    parameters: Json = Field(default_factory=dict)


class Approval(Frozen):
    """A gate: nobody goes on before somebody has decided. summary, details: with bindings."""

    id: str = Field(min_length=1, max_length=200)
    summary: str | None = None
    details: Any = None


class Case(Frozen):
    """A way on that is taken when all of `when` hold."""

    when: list[Condition]
    next: str


class Branch(Frozen):
    """Where to go on. on: a binding, whose value (as text) names a case; or cases with conditions, the first that holds.

    default: where no case fits; None: that stops the run.
    """

    on: Any = None
    cases: dict[str, str] | list[Case]
    default: str | None = None

    def targets(self) -> list[str]:
        """Every state that it may lead to."""
        cases = self.cases.values() if isinstance(self.cases, dict) else (case.next for case in self.cases)
        return [*cases, *([] if self.default is None else [self.default])]


class SubPlaybook(Frozen):
    """Another playbook as a state: the active body of that name, or the one of that hash. params: with bindings."""

    name: str
    hash: str | None = None
    params: Json = Field(default_factory=dict)


class Compensation(Frozen):
    """The tool call that undoes a state, made when a later one fails for good; newest first."""

    tool: str
    args: Json = Field(default_factory=dict)


class Expect(Frozen):
    """What a result has to be.

    Attributes:
        hash: its content id, ``sha256:…`` of its canonical JSON.
        json: a part of it that has to be there: objects by their keys, everything else equal.
        shape: JSON Schema that it fits.
        regex: found in its text.
        contains: every one of these is found in its text.
        tolerance: by JSON path: ``{"value": 10, "within": 0.5}``.
    """

    hash: str | None = None
    json_: Any = Field(default=None, alias="json")
    shape: Json | None = None
    regex: str | None = None
    contains: list[str] | None = None
    tolerance: dict[str, dict[str, float]] | None = None


class State(Frozen):
    """One state. Exactly one of the actions (see `ACTIONS`), or none.

    Attributes:
        tool, args: a call of a registered tool; `args` with bindings.
        python: ``module:function``, called with the variables; what it returns is the result.
        code: the contract of that function's code, where it was written in Python.
        set: variables by name, with bindings.
        save_as: the variable that keeps the result.
        pre, post: what holds before (of the variables) and after (of the result; the variables by bindings).
        safety: of the tool here; it can only be stricter than what the tool's author declared.
        next: the next state; None: where the path is over, unless the action leads on itself.
        on_failure: the state to go on with when this one fails for good, instead of stopping.
        max_visits: how often it may be entered in one run; what bounds a cycle.
        derived_from: ``trace:span`` ids of the calls that it was compiled from.
    """

    tool: str | None = None
    args: Json = Field(default_factory=dict)
    llm: Llm | None = None
    branch: Branch | None = None
    approval: Approval | None = None
    assert_: list[Condition] | None = Field(default=None, alias="assert")
    playbook: SubPlaybook | None = None
    python: str | None = None
    code: str | None = None
    set: Json | None = None
    save_as: Name | None = None
    pre: list[Condition] = Field(default_factory=list[Condition])
    post: list[Condition] = Field(default_factory=list[Condition])
    expect: Expect | None = None
    safety: Safety | None = None
    retry: Retry = Retry()
    repeat: Repeat | None = None
    compensate: Compensation | None = None
    on_approve: str | None = None
    on_reject: str | None = None
    on_failure: str | None = None
    next: str | None = None
    max_visits: int | None = Field(default=None, ge=1, le=10_000)
    description: str | None = None
    derived_from: list[str] = Field(default_factory=list[str])

    @property
    def action(self) -> str | None:
        """Which of `ACTIONS` it is."""
        return next((name for name in ACTIONS if getattr(self, _FIELDS.get(name, name)) is not None), None)

    def targets(self) -> Iterator[str]:
        """Every state that it may lead to, `END` included."""
        found = [self.next, self.on_approve, self.on_reject, self.on_failure]
        yield from (name for name in found if name is not None)
        if self.branch is not None:
            yield from self.branch.targets()

    @model_validator(mode="after")
    def _one_action(self) -> State:
        found = [name for name in ACTIONS if getattr(self, _FIELDS.get(name, name)) is not None]
        if len(found) > 1:
            raise ValueError(f"a state is one thing, and this one is {' and '.join(found)}")
        if self.args and self.tool is None:
            raise ValueError("args without a tool")
        return self


_FIELDS: Final = {"assert": "assert_"}


class Matchers(Frozen):
    """For which tasks it is meant; dispatch asks for all that are given.

    Attributes:
        agent: of the agent, by name.
        goal: words of which at least one is in the task's goal.
        tools: names that have to be registered; those of its states always have to.
        input: predicates over the inputs, by JSON path: ``{"region": {"in": ["eu", "us"]}}``.
    """

    agent: str | list[str] | None = None
    goal: list[str] = Field(default_factory=list[str])
    tools: list[str] = Field(default_factory=list[str])
    input: dict[str, Json] = Field(default_factory=dict[str, Json])


class Limits(Frozen):
    """Where a run of it stops. cost: USD, as a decimal string or number."""

    max_cost: float | None = Field(default=None, ge=0)
    max_calls: int | None = Field(default=None, ge=0)
    max_tool_calls: int | None = Field(default=None, ge=0)
    max_seconds: float | None = Field(default=None, ge=0)


class Extract(Frozen):
    """How parameters are read out of a task that is free text: one counted model call before the first state."""

    prompt: str | None = None
    system: str | None = None
    model: str | None = None
    parameters: Json = Field(default_factory=dict)


class Edge(Frozen):
    """A way from one state to another that was declared."""

    from_: str = Field(alias="from")
    to: str


class Body(Frozen):
    """A playbook.

    Attributes:
        spanreel: the format, ``playbook/v1``.
        risk: low: no gate of its own; medium: an irreversible state waits for an approval; high: every write does.
        success: what holds, of the variables and of `result` (the output), when it is over.
        promotion: gates of its own, over those of the project; see `promotion`.
        edges: the ways on that are declared; where there are any, there are no others.
        llm_defaults: of every model call that does not say otherwise: `model`, and parameters of the request.
        meta: anything; on the root of each run under ``spanreel.workflow.``.
        output: what a run comes to, with bindings; default: the last result.
        origin: how it came to be. derived_from: the runs, by id.
        notes: what the compiler, or a repair, wants people to know.
        provenance: of an exported one: what was decided about it, and on which evidence.
    """

    spanreel: Literal["playbook/v1"] = FORMAT
    name: Name
    goal: str = ""
    description: str | None = None
    params: dict[Name, Param] = Field(default_factory=dict[Name, Param])
    matchers: Matchers = Matchers()
    risk: Risk = "medium"
    budget: Limits = Limits()
    success: list[Condition] = Field(default_factory=list[Condition])
    promotion: Json = Field(default_factory=dict)
    extract: Extract | None = None
    llm_defaults: Json = Field(default_factory=dict)
    initial: str
    max_steps: int = Field(default=MAX_STEPS, ge=1, le=100_000)
    states: dict[Name, State]
    edges: list[Edge] = Field(default_factory=list[Edge])
    output: Any = None
    meta: Json = Field(default_factory=dict)
    origin: Origin | None = None
    derived_from: list[str] = Field(default_factory=list[str])
    notes: list[str] = Field(default_factory=list[str])
    provenance: Json = Field(default_factory=dict)

    def document(self) -> Json:
        """As its file says it: what is not said is left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {"spanreel": FORMAT}

    def asking(self, said: Llm | Extract) -> tuple[str | None, Json]:
        """The model that a call of it asks, and the parameters of the request."""
        defaults = dict(self.llm_defaults)
        model = defaults.pop("model", None)
        return said.model or model, {**defaults, **said.parameters}

    @property
    def hash(self) -> str:
        """Its identity: ``sha256:<64 hex>`` of the canonical JSON of what it does."""
        return hash_of(self.document())

    @property
    def tools(self) -> list[str]:
        """Names of the tools that its states call, each once, in order."""
        called = [name for state in self.states.values() for name in (state.tool, _undoing(state)) if name]
        return list(dict.fromkeys(called))


def _undoing(state: State) -> str | None:
    return state.compensate.tool if state.compensate else None
