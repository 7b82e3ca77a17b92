"""Rules of repair: each looks at where a body and a run part, and proposes a body that may not; none guesses.

Quiet. A rule proposes only what something shows: a tool's signature, an earlier result, or the run that shows the new
way. It takes no step out and loosens no guard. What a person should look at is flagged. Which proposal is taken, and
whether it helps, is `repair`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanreel.replay.playbooks.binding import Binding, Unbound, bind, found, literal, parse
from spanreel.replay.playbooks.body import Json
from spanreel.replay.playbooks.conditions import equal
from spanreel.replay.playbooks.repairs.case import Case, Proposal, Rule, alike, stopped
from spanreel.replay.playbooks.repairs.fitting import Done
from spanreel.replay.playbooks.repairs.rebinding import changed_order, inserted_write, recompiled
from spanreel.replay.playbooks.repairs.renaming import (
    Renamed,
    in_path,
    plain_steps,
    renamed_in,
    renamed_keys,
)


def renamed_tool(case: Case) -> Iterator[Proposal]:
    """A tool that is gone, and one other takes the very same arguments."""
    at = stopped(case, "tool")
    if at is None:
        return
    name, document = at
    old, args = case.body.states[name].tool or "", case.body.states[name].args
    gone = case.signatures is not None and old not in case.signatures
    if not (gone or (case.fit.asked is not None and not _made(case, old))):
        return
    others = set(case.body.tools)
    asked = case.fit.asked.args if case.fit.asked is not None and case.fit.asked.state == name else None
    shown = [
        call.tool
        for call in case.shows
        if call.tool not in others and asked is not None and equal(call.args, asked)
    ]
    if shown:
        fitting, how = shown, "the run calls it with the very same arguments"
    elif gone and case.signatures is not None:
        fitting = [
            one.name
            for one in case.signatures.values()
            if one.name not in others and not one.open and one.takes(args)
        ]
        how = "it is the only registered tool that takes these arguments"
    else:
        return
    if len(set(fitting)) != 1:
        return
    for other in document["states"].values():  # it is gone for all of them
        if other.get("tool") == old:
            other["tool"] = fitting[0]
    yield Proposal("renamed tool", name, document, f"{old} is {fitting[0]} now: {how}")


def _made(case: Case, tool: str) -> bool:
    return any(call.tool_name == tool for call in case.shown.replay.tool_calls)


def renamed_argument(case: Case) -> Iterator[Proposal]:
    """An argument that a tool takes no more, and one new name has its value, or is the only one that is missing."""
    at = stopped(case, "tool")
    if at is None:
        return
    name, document = at
    state = case.body.states[name]
    given = document["states"][name].get("args", {})
    for call in (one for one in case.shows if one.tool == state.tool):
        asked = case.fit.asked.args if case.fit.asked is not None else _bound(state.args, case)
        pairs = _by_value(asked, call.args) if asked is not None else {}
        if pairs:
            _rename_arguments(document, state.tool, pairs)
            why = f"{_and(pairs)} in the call that the run made, with the same value"
            yield Proposal("renamed argument", name, document, why)
            return
    known = (case.signatures or {}).get(state.tool or "")
    if known is None or known.open:
        return
    refused = [key for key in given if key not in known.required | known.optional]
    missing = sorted(known.required - given.keys())
    if len(refused) == len(missing) == 1:
        _rename_arguments(document, state.tool, {refused[0]: missing[0]})
        why = f"{state.tool} takes no {refused[0]}, and only {missing[0]} is missing"
        yield Proposal("renamed argument", name, document, why)


def _rename_arguments(document: Json, tool: str | None, pairs: Mapping[str, str]) -> None:
    """In every call of the tool: it has one signature."""
    for state in document["states"].values():
        if state.get("tool") == tool and "args" in state:
            state["args"] = {pairs.get(key, key): value for key, value in state["args"].items()}


def _by_value(asked: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, str]:
    """Old names to new ones, where each value that is gone has come under one other name, and nothing else differs."""
    gone = [key for key in asked if key not in made]
    come = [key for key in made if key not in asked]
    if (
        not gone
        or len(gone) != len(come)
        or any(not equal(asked[key], made[key]) for key in asked if key in made)
    ):
        return {}
    pairs: dict[str, str] = {}
    for key in gone:
        same = [other for other in come if equal(asked[key], made[other]) and other not in pairs.values()]
        if len(same) != 1:
            return {}
        pairs[key] = same[0]
    return pairs


def _and(pairs: Mapping[str, str]) -> str:
    return " and ".join(f"{old} is {new}" for old, new in pairs.items())


def _bound(value: Any, case: Case) -> Any:
    try:
        return bind(value, case.fit.variables)
    except Unbound:
        return None


def renamed_output(case: Case) -> Iterator[Proposal]:
    """Keys of earlier states' results that have another name: by their value, or by comparing with an earlier result.

    One at a time, and all of them at once: what one result calls something else another often does, too.
    """
    before = case.body.document()
    together, told, last = before, list[str](), ""
    for name, call in case.fit.served.items():
        if call.error is not None or name not in case.body.states:
            continue
        renames = [one for old in case.earlier.get(name, ())[:3] for one in renamed_keys(old, call.result)]
        renames += _renamed_by_value(case, name, call)
        for renamed in dict.fromkeys(renames):
            document = renamed_in(before, name, renamed)
            if document == before:
                continue
            why = f"in what {name} gives, {renamed}"
            yield Proposal("renamed output key", name, document, why)
            together, last = renamed_in(together, name, renamed), name
            told.append(why)
    if len(told) > 1:
        yield Proposal("renamed output key", last, together, "; ".join(told))


def _renamed_by_value(case: Case, name: str, call: Done) -> Iterator[Renamed]:
    """Keys that bindings look for in vain, where the value that the run used stands under exactly one other."""
    variable = case.body.states[name].save_as
    at = case.body.states.get(case.state or "")
    if variable is None or at is None or at.tool is None:
        return
    for made in alike(case, at.tool):
        for key, template in at.args.items():
            path = _whole_path(template, variable)
            if key not in made.args or path is None:
                continue
            missing = _missing(path, call.result)
            if missing is None:
                continue
            where, old, keys = missing
            fitting = [
                new for new in keys if _gives(path, variable, call.result, where, old, new, made.args[key])
            ]
            if len(fitting) == 1:
                yield Renamed(where, old, fitting[0])


def _whole_path(template: Any, variable: str) -> str | None:
    try:
        pieces = parse(template) if isinstance(template, str) else ()
    except Unbound:
        return None
    if len(pieces) != 1 or not isinstance(pieces[0], Binding) or pieces[0].root != variable:
        return None
    return pieces[0].path


def _missing(path: str, result: Any) -> tuple[tuple[str, ...], str, list[str]] | None:
    """Where a plain path ends in a result: the way there, the key that is not there, and those that are."""
    where: list[str] = []
    for step in plain_steps(path) or ():
        if isinstance(result, list) and isinstance(step, int) and -len(result) <= step < len(result):
            result = result[step]
            where.append("*")
        elif isinstance(result, Mapping) and step in result:
            result = result[step]
            where.append(str(step))
        elif isinstance(result, Mapping):
            return tuple(where), str(step), [str(key) for key in result]
        else:
            return None
    return None


def _gives(
    path: str, variable: str, result: Any, where: tuple[str, ...], old: str, new: str, wanted: Any
) -> bool:
    try:
        values = found(in_path(path, Renamed(where, old, new)), {variable: result})
    except Unbound:
        return False
    return len(values) == 1 and equal(values[0], wanted)


def changed_guard(case: Case) -> Iterator[Proposal]:
    """A value that a guard asks for, and that is another one in a run that succeeded. Flagged: a person decides."""
    failure, at = case.fit.failure, stopped(case)
    if failure is None or at is None or not case.shown.ok:
        return
    name, document = at
    state, call = document["states"][name], case.fit.served.get(case.state or "")
    changed: list[str] = []
    if failure.guard == "expect" and call is not None and "json" in state.get("expect", {}):
        state["expect"]["json"], changed = _updated(state["expect"]["json"], call.result, "expect.json")
    elif failure.guard == "postcondition" and call is not None:
        changed = _conditions(state.get("post", []), {"result": call.result}, "result.")
    elif failure.guard in ("precondition", "assert"):
        changed = _conditions(
            state.get("pre" if failure.guard == "precondition" else "assert", []), case.fit.variables, ""
        )
    if changed:
        why = f"the run succeeded with {'; '.join(changed)}"
        yield Proposal("changed guard", name, document, why, ("guard",))


def _updated(wanted: Any, value: Any, where: str) -> tuple[Any, list[str]]:
    """What was expected with the values that are there; what is not there stays expected."""
    if isinstance(wanted, dict) and isinstance(value, Mapping):
        changed: list[str] = []
        result: Json = {}
        for key, item in wanted.items():
            result[key], more = _updated(item, value[key], f"{where}.{key}") if key in value else (item, [])
            changed += more
        return result, changed
    if (
        (isinstance(wanted, str) and "{{" in wanted)
        or equal(wanted, value)
        or isinstance(value, (Mapping, list))
    ):
        return wanted, []
    return literal(value), [f"{where} {value!r} instead of {wanted!r}"]


def _conditions(conditions: Any, variables: Mapping[str, Any], prefix: str) -> list[str]:
    changed: list[str] = []
    for condition in conditions:
        if not isinstance(condition, dict) or "equals" not in condition or "json" not in condition:
            continue
        try:
            values = found(f"{prefix}{condition['json']}", variables)
            wanted = bind(condition["equals"], variables)
        except Unbound:
            continue
        if len(values) == 1 and not equal(values[0], wanted) and not isinstance(condition["equals"], dict):
            changed.append(f"{condition['json']} {values[0]!r} instead of {wanted!r}")
            condition["equals"] = literal(values[0])
    return changed


EXPLAINING: Final = ("renamed tool", "renamed argument", "renamed output key")
"""Rules that say what changed in the world; they go before those that only make the playbook fit."""
RULES: Final[tuple[Rule, ...]] = (
    renamed_tool,
    renamed_argument,
    renamed_output,
    changed_guard,
    recompiled,
    inserted_write,
    changed_order,
)
