"""The parameters of a playbook, out of inputs: by their names, and where each says that an input has it.

Quiet. What a free text alone tells is not guessed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.binding import Unbound, found
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
    given: Mapping[str, Any] = inputs if isinstance(inputs, Mapping) else {}
    result = Mapped({})
    for name, param in body.params.items():
        values = [given[name]] if name in given else _at(param, given)
        if len(values) != 1:
            if param.required and param.default is None:
                result.missing.append(name)
            continue
        if problem := schema_problem(values[0], param.json_schema()):
            result.wrong[name] = problem
            continue
        result.params[name] = values[0]
    return result


def _at(param: Param, given: Mapping[str, Any]) -> list[Any]:
    if not param.input:
        return []
    path = param.input.removeprefix("$").removeprefix(".")
    try:
        return found(
            path if path.startswith("input.") and "input" not in given else f"input.{path}", {"input": given}
        )
    except Unbound:
        return []


def filled(body: Body, replay: Replay) -> tuple[dict[str, Any], list[str]]:
    """The parameters that a recorded run had, and those of them that its input names.

    Raises:
        SpanreelError: one of them cannot be told.
    """
    said = replay.input
    inputs = said if isinstance(said, Mapping) else {}
    one = mapped(body, inputs)
    if one.missing or one.wrong:
        name = (one.missing or list(one.wrong))[0]
        raise SpanreelError(
            f"run {replay.run_id[:12]} does not tell parameter {name} of {body.name}",
            "give it with --param",
        )
    return one.params, list(one.params)
