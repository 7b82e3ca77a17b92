"""LOUD: what the playbooks of a store know of a task, for an agent that begins it: a block for its prompt, and its steps.

Derived when it is asked for, from active bodies alone; there is no second copy to keep in step. The block says what has
worked, and binds the agent to nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from spanreel.replay.playbooks.dispatching.choosing import Considered
from spanreel.replay.playbooks.dispatching.surveying import survey
from spanreel.replay.timeline import Frozen

if TYPE_CHECKING:
    import os

    from spanreel.replay.playbooks.body import Body, State
    from spanreel.replay.playbooks.governance.library import Entry

MOST = 2
"""How many playbooks a block tells of, at most: more of them would cost the tokens that they are to save."""
LONGEST = 160


class PrimedStep(Frozen):
    """One state, as an agent needs to know it. needs: what has to hold before; gives: what to expect."""

    state: str
    tool: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    what: str
    needs: list[str] = Field(default_factory=list[str])
    gives: list[str] = Field(default_factory=list[str])


class PrimedPlaybook(Frozen):
    """A playbook that fits. params: by name, what each is. pitfalls: what stopped it before."""

    name: str
    hash: str
    version: int | None = None
    goal: str
    confidence: float
    tools: list[str] = Field(default_factory=list[str])
    params: dict[str, str] = Field(default_factory=dict[str, str])
    steps: list[PrimedStep] = Field(default_factory=list[PrimedStep])
    pitfalls: list[str] = Field(default_factory=list[str])


class Priming(Frozen):
    """What to begin a task with.

    Attributes:
        prompt: the block, to be put into the instructions; empty where no playbook fits.
        steps: of the first playbook.
        playbooks: those that the block tells of.
    """

    schema_: Literal["spanreel.priming.v1"] = Field(default="spanreel.priming.v1", alias="schema")
    goal: str
    prompt: str = ""
    steps: list[PrimedStep] = Field(default_factory=list[PrimedStep])
    playbooks: list[PrimedPlaybook] = Field(default_factory=list[PrimedPlaybook])


def prime(
    goal: str,
    inputs: Any = None,
    *,
    store: str | os.PathLike[str] | None = None,
    agent: str | None = None,
    most: int = MOST,
) -> Priming:
    """What active playbooks know of a task.

    Args:
        goal: in words.
        inputs: of the task; those that a matcher refuses keep its playbook out.
        store: default: the project's.
        agent: who begins it; matchers of other agents keep their playbooks out.
        most: how many playbooks to tell of.

    Raises:
        StoreError: the store cannot be read.
    """
    found = survey(goal, inputs, store=store, agent=agent, any_tools=True, model=True)
    told = [
        _primed(one, found.entries[one.hash])
        for one in found.considered
        if one.status == "active" and _apart_from_params(one)
    ][:most]
    steps = told[0].steps if told else []
    return Priming(goal=goal, prompt="\n\n".join(_block(one) for one in told), steps=steps, playbooks=told)


def _apart_from_params(one: Considered) -> bool:
    """Whether only values are missing, or inputs were not given at all."""
    waived = {"params_missing", "needs_extract_model", "param_invalid"}
    return all(reason.code in waived for reason in one.reasons_against)


def _primed(one: Considered, entry: Entry) -> PrimedPlaybook:
    body = entry.body
    steps = list(_steps(body))
    in_order = [step.tool for step in steps if step.tool]
    return PrimedPlaybook(
        name=body.name,
        hash=entry.hash,
        version=entry.version,
        goal=body.goal,
        confidence=one.confidence,
        tools=list(dict.fromkeys([*in_order, *body.tools])),
        params={name: _about(param) for name, param in body.params.items()},
        steps=steps,
        pitfalls=list(dict.fromkeys(_pitfalls(entry))),
    )


def _about(param: Any) -> str:
    parts = [param.type, param.description, f"matches {param.pattern}" if param.pattern else None]
    if param.enum is not None:
        parts.append(f"one of {', '.join(map(str, param.enum))}")
    return ", ".join(part for part in parts if part)


def _steps(body: Body) -> Iterator[PrimedStep]:
    """The states along the way that no guard leaves, each once."""
    name: str | None = body.initial
    seen: set[str] = set()
    while name is not None and name in body.states and name not in seen:
        seen.add(name)
        state = body.states[name]
        yield _step(name, state)
        following = [state.next, state.on_approve]
        if state.branch is not None:
            following += [state.branch.default, *state.branch.targets()]
        name = next((one for one in following if one is not None), None)


def _step(name: str, state: State) -> PrimedStep:
    gives = [_condition(one) for one in state.post]
    if state.expect is not None:
        said = state.expect.model_dump(mode="json", by_alias=True, exclude_none=True)
        gives += [f"{key} {_short(value)}" for key, value in said.items() if key not in ("hash", "shape")]
        required = said.get("shape", {}).get("required")  # the rest of a schema is for machines
        gives += [f"with {', '.join(map(str, required))}"] if required else []
    return PrimedStep(
        state=name,
        tool=state.tool,
        args=state.args,
        what=_what(name, state),
        needs=[_condition(one) for one in (*state.pre, *(state.assert_ or ()))],
        gives=gives,
    )


def _what(name: str, state: State) -> str:
    if state.tool is not None:
        args = ", ".join(f"{key}={_short(value)}" for key, value in state.args.items())
        return f"{state.tool}({args})" + (f" -> {state.save_as}" if state.save_as else "")
    if state.approval is not None:
        return f"wait for the approval {state.approval.id}"
    if state.branch is not None:
        ways = state.branch.cases if isinstance(state.branch.cases, dict) else {}
        return f"by {_short(state.branch.on)}: {_short(ways)}" if ways else "decide how to go on"
    if state.llm is not None:
        return f"write: {_short(state.llm.prompt)}"
    if state.playbook is not None:
        return f"do what the playbook {state.playbook.name} says"
    return state.description or name


def _condition(condition: Mapping[str, Any]) -> str:
    subject = condition.get("json") or condition.get("var")
    rest = [f"{key} {_short(value)}" for key, value in condition.items() if key not in ("json", "var")]
    return " ".join([*([str(subject)] if subject else []), *rest])


def _pitfalls(entry: Entry) -> Iterator[str]:
    """What stopped executions of this body, and what people kept with it as counterexamples."""
    for one in entry.evidence.executions:
        if one.became == "failed":
            yield _short(one.why)
    for decision in entry.decisions:
        if decision.kind == "counterexample" and decision.reason:
            yield _short(decision.reason)


def _block(one: PrimedPlaybook) -> str:
    lines = [
        f"## What has worked for tasks like this: {one.name}",
        f"Goal: {one.goal}" if one.goal else "",
        f"Tools: {', '.join(one.tools)}" if one.tools else "",
        "Needed: " + "; ".join(f"{name} ({about})" for name, about in one.params.items())
        if one.params
        else "",
        "Steps, in which {{ … }} is a value that you fill in:" if one.steps else "",
        *(_line(number, step) for number, step in enumerate(one.steps, 1)),
        *_list("It stopped before, where:", one.pitfalls[:5]),
        "Where the task is another one, do what the task asks instead.",
    ]
    return "\n".join(line for line in lines if line)


def _line(number: int, step: PrimedStep) -> str:
    before = f" (only if {'; '.join(step.needs)})" if step.needs else ""
    after = f" (expect {'; '.join(step.gives)})" if step.gives else ""
    return f"{number}. {step.what}{before}{after}"


def _list(title: str, items: Sequence[str]) -> list[str]:
    return [title, *(f"- {item}" for item in items)] if items else []


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
