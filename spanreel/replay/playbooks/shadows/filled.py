"""The parameters of a playbook, out of inputs: by their names, and where each says that an input has it.

Quiet. What a free text alone tells is not guessed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.replay.playbooks.binding import Unbound, found
from spanreel.replay.playbooks.compiling.filling import Filled, params_of
from spanreel.replay.playbooks.conditions import schema_problem

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body, Param
    from spanreel.replay.timeline import Replay


@dataclass(frozen=True, slots=True)
class Mapped:
    """What inputs come to. missing: names of parameters without a value. wrong: by name, what is wrong with one."""

    params: dict[str, Any]
    missing: list[str] = field(default_factory=list[str])
    wrong: dict[str, str] = field(default_factory=dict[str, str])


def mapped(body: Body, inputs: Any) -> Mapped:
    """The parameters that inputs give.

    Args:
        body: whose parameters.
        inputs: an object by name; a text gives none.
    """
    places = list(_places(inputs))
    result = Mapped({})
    for name, param in body.params.items():
        values = next((found for place in places if (found := _values(name, param, place))), [])
        if len(values) != 1:
            if param.required and param.default is None:
                result.missing.append(name)
            continue
        if problem := schema_problem(values[0], param.json_schema()):
            result.wrong[name] = problem
            continue
        result.params[name] = values[0]
    return result


def _places(inputs: Any) -> Iterator[Mapping[str, Any]]:
    """Where a value may be: in the inputs; an agent that dispatch called was given them as `inputs`, with the goal."""
    if isinstance(inputs, Mapping):
        yield inputs
        inner = inputs.get("inputs")
        if isinstance(inner, Mapping):
            yield inner
        yield {"inputs": inputs}


def _values(name: str, param: Param, given: Mapping[str, Any]) -> list[Any]:
    if name in given:
        return [given[name]]
    if not param.input:
        return []
    path = param.input.removeprefix("$").removeprefix(".")
    try:
        values = found(f"input{'' if path.startswith('[') else '.'}{path}", {"input": given})
    except Unbound:
        return []
    return values if len(values) == 1 else []


def filled(body: Body, replay: Replay) -> Filled:
    """The parameters that a recorded run had: what its input names, then what the run shows, which is told apart."""
    given = mapped(body, replay.input)
    shown = params_of(body, replay)
    result = Filled()
    for name in body.params:
        if name in given.params:
            result.params[name], result.how[name] = given.params[name], "input"
        elif name in shown.params:
            result.params[name], result.how[name] = shown.params[name], shown.how[name]
        elif name in shown.missing or name in given.missing:
            result.missing[name] = shown.missing.get(name) or given.wrong.get(name) or "nothing gives it"
    return result
