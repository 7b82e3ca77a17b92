"""Rules of repair that bind a state anew to what the run that shows the way was made of, put a state in, or change the order.

Quiet. A value that the run used is bound only where there is one place that it can have come from. What says too little
to be recognised stays a constant, and what looks like data of one task never becomes one.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from spanreel.replay.playbooks.binding import Unbound, bind, literal
from spanreel.replay.playbooks.body import Body, Json
from spanreel.replay.playbooks.conditions import equal
from spanreel.replay.playbooks.planning.reading import looks_like_data
from spanreel.replay.playbooks.repairs.case import Case, Flag, Proposal, alike, stopped
from spanreel.replay.playbooks.repairs.fitting import Done
from spanreel.replay.playbooks.repairs.patch import redirect
from spanreel.replay.playbooks.repairs.renaming import paths_to, weak


def recompiled(case: Case) -> Iterator[Proposal]:
    """The call of one state, bound anew to what the run's own call was made of; with a read before it, if that had a value."""
    at = stopped(case, "tool")
    if at is None:
        return
    name, document = at
    for made in alike(case, case.body.states[name].tool):
        reads = [call for call in case.shows if call.at < made.at and _reads(case, call)]
        for insert in (None, *reads):
            proposal = _rebound(case, name, copy.deepcopy(document), made, insert)
            if proposal is not None:
                yield proposal
                break


def _reads(case: Case, call: Done) -> bool:
    known = (case.signatures or {}).get(call.tool)
    return call.safety == "read" or (known is not None and known.safety == "read")


def _rebound(case: Case, name: str, document: Json, made: Done, insert: Done | None) -> Proposal | None:
    state = document["states"][name]
    variables = dict(case.fit.variables)
    flags: list[Flag] = []
    if insert is not None and case.body.edges:  # the ways on are declared
        return None
    if insert is not None:
        saved = _new_name(insert.tool, {*document["states"], *variables})
        args = _sources(insert.args, variables, {}, flags)
        if args is None:
            return None
        insert_before(
            document,
            name,
            saved,
            {"tool": insert.tool, "args": args, "save_as": saved, "safety": "read", **_from(case, insert)},
        )
        variables[saved] = insert.result
        flags.append("inserted")
    args = _sources(made.args, variables, state.get("args", {}), flags)
    if args is None or (insert is not None and f"{{{{ {saved}" not in str(args)):  # pyright: ignore[reportPossiblyUnboundVariable] - named where something is inserted
        return None
    changed = [
        key for key in {**args, **state.get("args", {})} if args.get(key) != state.get("args", {}).get(key)
    ]
    state["args"] = args
    state["derived_from"] = [*state.get("derived_from", []), *_from(case, made).get("derived_from", [])]
    rule = (
        "inserted read"
        if insert is not None
        else "changed constant"
        if flags == ["constant"]
        else "recompiled state"
    )
    before = f" after a call of {insert.tool}" if insert is not None else ""
    why = f"the run calls {made.tool}{before} with {', '.join(f'{key} = {args.get(key)!r}' for key in changed[:4])}"
    return Proposal(rule, name, document, why, tuple(dict.fromkeys(flags)))


def _sources(
    made: Mapping[str, Any], variables: Mapping[str, Any], old: Mapping[str, Any], flags: list[Flag]
) -> Json | None:
    """Arguments as bindings that give the values of a call: the old ones where they still do, else where the value is.

    A constant stays one. None: nobody can tell where a value comes from.
    """
    result: Json = {}
    for key, value in made.items():
        template = old.get(key)
        try:
            if key in old and equal(bind(template, variables), value):
                result[key] = template
                continue
        except Unbound:
            pass
        source = _source(value, variables, flags)
        if source is None:
            constant = (
                key in old
                and not (isinstance(template, str) and "{{" in template)
                and not isinstance(template, (dict, list))
            )
            if not constant and (looks_like_data(value) or not weak(value)):
                return None
            flags.append("constant")
            source = literal(value)
        result[key] = source
    return result


def _source(value: Any, variables: Mapping[str, Any], flags: list[Flag]) -> Any:
    """A binding for a value: the only one there is, a parameter before all others; lists item by item."""
    paths = [f"{name}{path}" for name, within in variables.items() for path in paths_to(value, within)]
    given = [path for path in paths if path.startswith("params")]
    chosen = given if len(given) == 1 else paths
    if len(chosen) == 1:
        if "[" in chosen[0]:
            flags.append("position")
        return f"{{{{ {chosen[0]} }}}}"
    if isinstance(value, list) and value and not paths:
        items = [_source(item, variables, flags) for item in value]
        return None if None in items else items
    return None


def _from(case: Case, call: Done) -> Json:
    trace = case.shown.replay.trace_id
    return {"derived_from": [f"{trace}:{call.span_id}"]} if call.span_id else {}


def _new_name(tool: str, taken: set[str]) -> str:
    name = (
        tool
        if tool not in taken
        else next(f"{tool}_{n}" for n in range(2, 1000) if f"{tool}_{n}" not in taken)
    )
    return name.replace(".", "_")


def insert_before(document: Json, name: str, new: str, state: Json) -> None:
    """Put a state in front of another one: what led there leads to the new one."""
    for other in document["states"].values():
        redirect(other, name, new)
    document["states"][new] = {**state, "next": name}
    if document["initial"] == name:
        document["initial"] = new


def inserted_write(case: Case) -> Iterator[Proposal]:
    """A write that the run made and the body does not, in its place; only if all that it is given can be bound."""
    divergence = case.fit.score.first_divergence
    if divergence is None or divergence.kind != "missing" or divergence.did is None:
        return
    missing = next(
        (
            call
            for call in case.shows
            if call.tool == divergence.did.tool and equal(call.args, divergence.did.args)
        ),
        None,
    )
    if missing is None or missing.tool in case.body.tools or case.body.edges:
        return
    flags: list[Flag] = ["inserted"]
    args = _sources(missing.args, case.fit.variables, {}, flags)
    if args is None:
        return
    document = copy.deepcopy(case.body.document())
    name = _new_name(missing.tool, {*document["states"], *case.fit.variables})
    state = {"tool": missing.tool, "args": args, **_from(case, missing)}
    later = [one for one, call in case.fit.served.items() if call.at > missing.at]
    before = next(
        (one for one in later if case.body.states[one].safety != "read"), later[0] if later else case.state
    )
    if before is not None:
        insert_before(document, before, name, state)
    else:
        for other in document["states"].values():
            if other.get("next") in (None, "end") and not any(key in other for key in ("branch", "approval")):
                other["next"] = name
        document["states"][name] = {**state, "next": "end"}
    yield Proposal(
        "inserted state",
        name,
        document,
        f"the run calls {missing.tool}, which the playbook does not",
        tuple(flags),
    )


def changed_order(case: Case) -> Iterator[Proposal]:
    """States of a straight line in the order in which the run did the same."""
    names = _line(case.body)
    if names is None or not case.shown.ok or case.body.edges:
        return
    placed = [name for name in names if name in case.fit.served]
    wanted = sorted(placed, key=lambda name: case.fit.served[name].at)
    if placed == wanted:
        return
    document = copy.deepcopy(case.body.document())
    order = iter(wanted)
    line = [next(order) if name in case.fit.served else name for name in names]
    document["initial"] = line[0]
    for name, follows in zip(line, [*line[1:], "end"], strict=True):
        document["states"][name]["next"] = follows
    yield Proposal(
        "changed order", wanted[0], document, f"the run does it in the order {', '.join(wanted)}", ("order",)
    )


def _line(body: Body) -> list[str] | None:
    """The states in order, if they are a straight line."""
    names: list[str] = []
    name: str | None = body.initial
    while name is not None and name in body.states and name not in names:
        state = body.states[name]
        if list(state.targets()) not in ([], [state.next]):
            return None
        names.append(name)
        name = state.next
    return names if len(names) == len(body.states) else None
