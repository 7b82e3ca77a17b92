"""What an execution does with each effect: the settings of the one executor, as a value.

Replay, re-run, fork, resume, dry run and test are all a `Policy`. It holds no state and decides nothing by itself;
`executor` asks it. It can be written down as JSON (`as_dict`), for a child process, but for a `messages` function.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeAlias, cast

from spanreel.exceptions import SpanreelError
from spanreel.replay.match import MATCH

Source: TypeAlias = Literal["recorded", "live", "stub", "deny"]
OnMiss: TypeAlias = Literal["raise", "live", "stub"]
InDoubt: TypeAlias = Literal["ask", "retry", "skip", "result"]
Messages: TypeAlias = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]

SOURCES: Final = ("recorded", "live", "stub", "deny")
ON_MISS: Final = ("raise", "live", "stub")


@dataclass(frozen=True, slots=True)
class Budget:
    """Where an execution stops going live. cost: USD; calls: live model calls; seconds: since the execution began."""

    cost: Decimal | None = None
    calls: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is different from what the agent asks.

    every: request parameters by name, for each live model call: `model`, `instructions`, `tools`, `temperature`, or any
        field of the body (dotted for nested ones); None removes it.
    steps: the same, for one step each; they win over `every`.
    responses: the answer to give at a step, instead of asking anybody: text, a GenAI message, a tool's result, or a
        whole response body of the step's dialect (`{"body": {...}}`).
    requests: the whole request body to send at a step, of the agent's dialect.
    messages: makes the GenAI messages to send of those the agent has; in-process only.
    """

    every: Mapping[str, Any] = field(default_factory=dict[str, Any])
    steps: Mapping[int, Mapping[str, Any]] = field(default_factory=dict[int, Mapping[str, Any]])
    responses: Mapping[int, Any] = field(default_factory=dict[int, Any])
    requests: Mapping[int, Any] = field(default_factory=dict[int, Any])
    messages: Messages | None = None

    def __bool__(self) -> bool:
        return bool(self.every or self.steps or self.responses or self.requests or self.messages)

    @property
    def crosses(self) -> bool:
        """Whether a model is named with a provider, so that the agent's own key may not be needed."""
        named = [values.get("model") for values in (self.every, *self.steps.values())]
        return any(isinstance(model, str) and "/" in model for model in named)

    def at(self, step: int) -> dict[str, Any]:
        """The parameters that are different at a step."""
        return {**self.every, **self.steps.get(step, {})}


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of one execution.

    models, tools: who answers. at: fork: recorded before this step, then live. resume: of the same run: everything that
    ended is served, then live; `authority` says under which: the run's own, or, of an execution, that tools which are
    not `read` have to be named. match: a key of `match.MATCH`. on_miss: what becomes of a call that nothing recorded
    answers. allow_tools: names of tools whose body may run. in_doubt: what becomes of an effect that began and did not
    end; `in_doubt_result` is its result then. faithful: recorded failures that the SDK retried are served too, and
    waited for. network: deny, or allow.
    """

    models: Source = "recorded"
    tools: Source = "recorded"
    match: str = "structural"
    at: int | None = None
    resume: bool = False
    authority: Literal["own", "named"] = "own"
    overrides: Overrides = field(default_factory=Overrides)
    allow_tools: frozenset[str] = frozenset()
    budget: Budget = field(default_factory=Budget)
    on_miss: OnMiss = "raise"
    in_doubt: InDoubt = "ask"
    in_doubt_result: Any = None
    allow_drift: bool = False
    faithful: bool = False
    clock: Literal["now", "recorded"] = "now"
    network: Literal["deny", "allow"] = "deny"

    @property
    def goes_live(self) -> bool:
        """Whether any call may leave this machine, or any tool's body run."""
        return (
            "live" in (self.models, self.tools, self.on_miss)
            or self.at is not None
            or self.resume
            or bool(self.allow_tools)
        )

    def as_dict(self) -> dict[str, Any]:
        """As JSON.

        Raises:
            SpanreelError: a `messages` function cannot be written down.
        """
        if self.overrides.messages is not None:
            raise SpanreelError(
                "a messages function cannot go into another process", "use `with spanreel.replaying(...)`, or rerun(agent=...)"
            )  # fmt: skip
        found = dataclasses.asdict(self)
        found["allow_tools"] = sorted(self.allow_tools)
        found["budget"]["cost"] = None if self.budget.cost is None else str(self.budget.cost)
        return found

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Policy:
        """The inverse of `as_dict`, through JSON."""
        said, budget = dict(value["overrides"]), dict(value["budget"])
        for name in ("steps", "responses", "requests"):
            said[name] = {int(step): item for step, item in said[name].items()}
        if budget["cost"] is not None:
            budget["cost"] = Decimal(budget["cost"])
        known: dict[str, Any] = {
            "overrides": Overrides(**said),
            "budget": Budget(**budget),
            "allow_tools": frozenset(value["allow_tools"]),
        }
        return cls(**{**value, **known})


def policy_of(
    models: str = "recorded",
    tools: str = "recorded",
    match: str = "structural",
    at: int | None = None,
    overrides: Any = None,
    allow_tools: Collection[str] = (),
    budget: Any = None,
    on_miss: str = "raise",
) -> Policy:
    """The policy of `spanreel.replaying`; see there.

    Raises:
        SpanreelError: for a setting that is not one of its words, or of the wrong form.
    """
    for name, value, known in (
        ("models", models, SOURCES), ("tools", tools, SOURCES), ("match", match, tuple(MATCH)), ("on_miss", on_miss, ON_MISS),
    ):  # fmt: skip
        if value not in known:
            raise SpanreelError(f"{name}={value!r} is none of the settings", f"use one of {', '.join(known)}")
    step: Any = at
    if isinstance(step, bool) or not isinstance(step, int | None):
        raise SpanreelError(f"at={step!r} is no step", "give its number, from 1")
    if isinstance(allow_tools, str):
        allow_tools = (allow_tools,)
    said = overrides_of(overrides)
    if said and models == "recorded" and at is None:
        if said.every or said.messages:
            models = "live"
        else:
            at = min([*said.steps, *said.responses, *said.requests])
    return Policy(
        models=cast("Source", models),
        tools=cast("Source", tools),
        match=match,
        at=at,
        overrides=said,
        allow_tools=frozenset(allow_tools),
        budget=budget_of(budget),
        on_miss=cast("OnMiss", on_miss),
    )


def overrides_of(value: Any) -> Overrides:
    """Overrides from None, `Overrides`, or a mapping as `spanreel.replaying` takes it.

    Raises:
        SpanreelError: it has another form.
    """
    if value is None or isinstance(value, Overrides):
        return value or Overrides()
    if not isinstance(value, Mapping):
        raise SpanreelError(f"{value!r} are no overrides", 'give a mapping such as {"model": "gpt-4o-mini"}')
    every = {name: item for name, item in value.items() if isinstance(name, str)}
    steps = {step: item for step, item in value.items() if isinstance(step, int)}
    by_step = {name: every.pop(name, None) or {} for name in ("responses", "requests")}
    messages = every.pop("messages", None)
    if messages is not None and not callable(messages):
        raise SpanreelError(
            "messages is a function of the messages", "it takes GenAI messages and returns them"
        )
    for name, item in (("steps", steps), *by_step.items()):
        if not isinstance(item, Mapping) or not all(isinstance(step, int) and step > 0 for step in item):
            raise SpanreelError(f"{name} go by the number of a step, from 1", f"such as {name}={{4: ...}}")
    if not all(isinstance(item, Mapping) for item in steps.values()):
        raise SpanreelError("what is different at a step is a mapping", 'such as {4: {"temperature": 0}}')
    return Overrides(every=every, steps=steps, messages=cast("Messages | None", messages), **by_step)


def budget_of(value: Any) -> Budget:
    """A budget from None, a `Budget`, or a mapping with `max_cost`, `max_calls`, `max_seconds`.

    Raises:
        SpanreelError: for anything else, or a limit that is not a number of at least 0.
    """
    if value is None or isinstance(value, Budget):
        return value or Budget()
    known = {"max_cost", "max_calls", "max_seconds"}
    if not isinstance(value, Mapping) or set(value) - known:
        raise SpanreelError(f"{value!r} is not a budget", f"give a mapping of {', '.join(sorted(known))}")
    try:
        cost, calls, seconds = (value.get(name) for name in ("max_cost", "max_calls", "max_seconds"))
        made = Budget(
            None if cost is None else Decimal(str(cost)),
            None if calls is None else int(calls),
            None if seconds is None else float(seconds),
        )
    except (InvalidOperation, TypeError, ValueError):
        raise SpanreelError(f"{value!r} is not a budget", "its limits are numbers") from None
    if any(limit is not None and limit < 0 for limit in (made.cost, made.calls, made.seconds)):
        raise SpanreelError(f"{value!r} is not a budget", "its limits are at least 0")
    return made
