"""Several playbooks as one, with a branch between them: what they begin with in common first, then each way by itself.

Quiet. Names of one way that mean something else in another are given that way's name; parameters of one way only are
asked for on that way, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from spanreel.replay.playbooks.binding import Binding, parse
from spanreel.replay.playbooks.body import END, Body, Branch, Case, Param, State

PATHS: Final = ("json", "var")
_INSIDE: Final = re.compile(r"(\$\.)([A-Za-z_][A-Za-z0-9_-]*)((?:\.[A-Za-z_][A-Za-z0-9_-]*)?)")
_ROOT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
Renaming = Mapping[str, str]
"""Of variables, and of parameters as ``params.name``."""


def merged(
    name: str,
    shared: Mapping[str, State],
    ways: Mapping[str, Body],
    conditions: Mapping[str, Sequence[Mapping[str, Any]]],
) -> Body:
    """One body of several.

    Args:
        name: of the branch's state.
        shared: the states that come before it, in order.
        ways: by way, its playbook; each may have the shared states too.
        conditions: by way, what holds there.
    """
    first = next(iter(ways.values()))
    states: dict[str, State] = {}
    order = list(shared)
    for place, known in enumerate(order):
        follows = order[place + 1] if place + 1 < len(order) else name
        states[known] = shared[known].model_copy(update={"next": follows})
    cases: list[Case] = []
    params: dict[str, Param] = {}
    parts: dict[str, State] = {}
    for way, body in ways.items():
        apart = _apart(body, way, shared, params, [other for key, other in ways.items() if key != way])
        only = [one for one in body.params if not all(_has(other, one, body) for other in ways.values())]
        begin, found = _way(body, way, shared, apart, only)
        cases.append(Case(when=[dict(one) for one in conditions[way]], next=begin))
        parts |= found
        for one, param in body.params.items():
            told = apart.get(f"params.{one}", f"params.{one}").removeprefix("params.")
            params[told] = param.model_copy(update={"required": False}) if one in only else param
    states[name] = State(branch=Branch(cases=cases))
    return first.model_copy(
        update={
            "params": params,
            "initial": order[0] if order else name,
            "states": {**states, **parts},
            "output": None,
            "success": [],
            "derived_from": [run for body in ways.values() for run in body.derived_from],
            "notes": list(dict.fromkeys(note for body in ways.values() for note in body.notes)),
        }
    )


def _has(other: Body, name: str, body: Body) -> bool:
    return name in other.params and _same(other.params[name], body.params[name])


def _same(one: Param, other: Param) -> bool:
    return (one.type, one.input, one.pattern) == (other.type, other.input, other.pattern)


def _apart(
    body: Body, way: str, shared: Mapping[str, State], params: Mapping[str, Param], others: Sequence[Body]
) -> dict[str, str]:
    """What is called otherwise here, so that it is nobody else's."""
    variables = {state.save_as for name, state in body.states.items() if state.save_as and name not in shared}
    taken = {state.save_as for other in others for state in other.states.values() if state.save_as}
    taken |= {state.save_as for state in shared.values() if state.save_as}
    found = {one: f"{one}_{way}" for one in sorted(variables) if one in taken}
    for one, param in body.params.items():
        if one in params and not _same(params[one], param):
            found[f"params.{one}"] = f"params.{one}_{way}"
    return found


def _way(
    body: Body, way: str, shared: Mapping[str, State], apart: Renaming, only: Sequence[str]
) -> tuple[str, dict[str, State]]:
    """The states of one way, without those that all have, and the first of them."""

    def called(name: str | None) -> str | None:
        seen: set[str] = set()
        while name in shared and name not in seen:  # it was done already
            seen.add(cast("str", name))
            name = shared_next(name)
        return name if name in (None, END) else f"{name}_{way}" if name in clash else name

    def shared_next(name: str | None) -> str | None:
        return body.states[name].next if name in body.states else None

    clash = {name for name in body.states if name not in shared}
    found: dict[str, State] = {}
    for name, state in body.states.items():
        if name in shared:
            continue
        document = renamed(state.model_dump(by_alias=True, exclude_defaults=True), apart)
        for leading in ("next", "on_failure", "on_approve", "on_reject"):
            if leading in document:
                document[leading] = called(document[leading])
        made = State.model_validate(document)
        found[cast("str", called(name))] = made
    begin = called(body.initial) or END
    if only and begin in found:  # what nobody gave is never passed on as nothing
        asked = [
            {"var": apart.get(f"params.{one}", f"params.{one}"), "type": body.params[one].type}
            for one in only
            if body.params[one].required
        ]
        found[begin] = found[begin].model_copy(update={"pre": [*asked, *found[begin].pre]})
    return begin, found


def renamed(value: Any, names: Renaming) -> Any:
    """A part of a playbook in which variables are called otherwise.

    Args:
        value: a state's document, or a piece of it.
        names: what each is called now.
    """
    if not names:
        return value
    if isinstance(value, str):
        if "{{" not in value:
            return names.get(value, value) if False else value
        return "".join(
            piece if isinstance(piece, str) else f"{{{{ {_binding(piece, names)} }}}}"
            for piece in parse(value)
        )
    if isinstance(value, Mapping):
        told = cast("Mapping[str, Any]", value)
        return {key: _key(key, one, names) for key, one in told.items()}
    if isinstance(value, (list, tuple)):
        return [renamed(one, names) for one in cast("Sequence[Any]", value)]
    return value


def _key(key: str, value: Any, names: Renaming) -> Any:
    if key == "save_as":
        return names.get(value, value)
    if key in PATHS and isinstance(value, str) and "{{" not in value:
        return path(value, names)
    return renamed(value, names)


def _binding(binding: Binding, names: Renaming) -> str:
    if binding.path is None:
        return binding.text
    return path(binding.path, names) + binding.text[len(binding.path) :]


def path(text: str, names: Renaming) -> str:
    """A path in which variables are called otherwise; those inside of its filters too."""
    text = _INSIDE.sub(lambda found: f"$.{_head(found[2] + found[3], names)}", text)
    return _head(text, names)


def _head(text: str, names: Renaming) -> str:
    root = _ROOT.match(text)
    if root is None:
        return text
    param = re.match(r"params\.[A-Za-z_][A-Za-z0-9_-]*", text)
    for found in (param, root):
        if found is not None and found[0] in names:
            return names[found[0]] + text[found.end() :]
    return text
