"""Patches of playbooks: JSON Patch over a body's document, and the step form of Aionis; the result is a new body.

Quiet. A patch is applied to a copy, and what comes out is looked at like any file: nothing is half applied. What is named
and is not there is an error, never skipped.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.body import END, Body, Json
from spanreel.replay.playbooks.formats.checking import check

Operation: TypeAlias = dict[str, Any]
Patch: TypeAlias = list[Operation]

STEP_FORM: Final = (
    "steps_override",
    "remove_step_indices",
    "step_patches",
    "matchers",
    "success_criteria",
    "risk_profile",
    "policy_constraints",
)
"""The keys of a patch in step form, in the order in which they are applied."""
TOP_LEVEL: Final = {
    "matchers": "matchers",
    "success_criteria": "success",
    "risk_profile": "risk",
    "policy_constraints": "budget",
}
STEP_KEYS: Final = {
    "tool_name": "tool",
    "tool_input_template": "args",
    "preconditions": "pre",
    "postconditions": "post",
    "expected_output_signature": "expect",
    "retry_policy": "retry",
    "safety_level": "safety",
}
"""Names of a step in that form, and ours; any key of a state is taken as it is."""
SAFETY_LEVELS: Final = {"auto_ok": "read", "needs_confirm": "write", "manual_only": "irreversible"}
_REMEDY: Final = "give a JSON Patch (RFC 6902) of the body, or an object with step_patches"


def in_order(body: Body) -> list[str]:
    """The names of the states as they are walked: from the first one on, `next` before other ways, then those that nothing leads to."""
    found: dict[str, None] = {}
    waiting = [body.initial]
    while waiting:
        name = waiting.pop()
        if name in found or name not in body.states:
            continue
        found[name] = None
        waiting.extend(reversed(list(body.states[name].targets())))
    return [*found, *(name for name in body.states if name not in found)]


def patched(body: Body, patch: Any) -> Body:
    """The body that a patch makes of this one.

    Args:
        body: stays as it is.
        patch: a JSON Patch (a list of operations, `test` included) over `body.document()`, or an object in step form
            (`STEP_FORM`), whose step indices count the states from 1 in the order of `in_order`.

    Raises:
        BadInput: it is no patch, names what is not there, a `test` fails, or what comes out is no playbook, or another's.
    """
    if isinstance(patch, Mapping) and "patch" in patch and not any(key in patch for key in STEP_FORM):
        patch = patch["patch"]
    if isinstance(patch, Mapping):
        document = _stepwise(body, patch)
    elif isinstance(patch, Sequence) and not isinstance(patch, str):
        document = _applied(body.document(), list(patch))
    else:
        raise BadInput(f"{_short(patch)} is no patch", _REMEDY)
    return _body(document, body)


def _applied(document: Json, operations: Patch) -> Json:
    import jsonpatch
    import jsonpointer

    try:
        found = jsonpatch.JsonPatch(operations).apply(document)
    except jsonpatch.JsonPatchTestFailed as error:
        raise BadInput(
            f"the patch is meant for another body: {_line(error)}", "make it again of this one"
        ) from None
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise BadInput(f"the patch does not fit the playbook: {_line(error)}", _REMEDY) from None
    except (TypeError, KeyError, ValueError, IndexError, AttributeError) as error:
        raise BadInput(f"that is no JSON Patch: {_line(error)}", _REMEDY) from None
    if not isinstance(found, dict):
        raise BadInput("the patch leaves no playbook behind", _REMEDY)
    return found


def _body(document: Json, before: Body) -> Body:
    try:
        body = Body.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadInput(
            f"the patch makes no playbook of it: {where}: {first['msg']}", "mend the patch"
        ) from None
    if body.name != before.name:
        raise BadInput(
            f"the patch renames {before.name} to {body.name}",
            "a repair is of the same playbook: keep the name",
        )
    known = {(one.path, one.message) for one in check(before)}
    for one in check(body):
        if one.level == "error" and (one.path, one.message) not in known:
            where = ".".join(str(part) for part in one.path)
            raise BadInput(
                f"the patch makes no playbook of it: {where}: {one.message}", one.remedy or "mend the patch"
            )
    return body


# step form


def _stepwise(body: Body, patch: Mapping[str, Any]) -> Json:
    unknown = [key for key in patch if key not in STEP_FORM]
    if unknown or not patch:
        known = ", ".join(STEP_FORM)
        raise BadInput(
            f"a patch in step form has no key {unknown[0] if unknown else ''!r}; it has {known}", _REMEDY
        )
    document = copy.deepcopy(body.document())
    names = in_order(body)
    if override := patch.get("steps_override"):
        names = _overridden(document, override)
    gone = [_index(index, names, "remove_step_indices") for index in _listed(patch, "remove_step_indices")]
    changed = [
        (_index(_field(step, "step_index"), names, "step_patches"), _field(step, "set"))
        for step in _listed(patch, "step_patches")
    ]
    for name in dict.fromkeys(gone):
        remove_state(document, name)
    for name, values in changed:
        if name in gone:
            raise BadInput(
                f"step {names.index(name) + 1} ({name}) is removed and patched", "do one of the two"
            )
        document["states"][name] |= _state(values)
    for key, ours in TOP_LEVEL.items():
        if key in patch:
            document[ours] = _top(key, patch[key])
    return document


def _listed(patch: Mapping[str, Any], key: str) -> list[Any]:
    found = patch.get(key) or []
    if not isinstance(found, list):
        raise BadInput(f"{key} is no list", _REMEDY)
    return found


def _field(step: Any, key: str) -> Any:
    if not isinstance(step, Mapping) or key not in step:
        raise BadInput(f"a step patch has step_index and set, and this is {_short(step)}", _REMEDY)
    return step[key]


def _index(index: Any, names: Sequence[str], where: str) -> str:
    if isinstance(index, bool) or not isinstance(index, int) or not 1 <= index <= len(names):
        said = ", ".join(f"{at} {name}" for at, name in enumerate(names, 1))
        raise BadInput(f"{where}: there is no step {index}; there are {said}", "count the states from 1")
    return names[index - 1]


def _overridden(document: Json, steps: Any) -> list[str]:
    """Put these steps, one after the other, in place of all states."""
    if not isinstance(steps, list) or not steps:
        raise BadInput("steps_override is no list of steps", _REMEDY)
    names = [str(step.get("name") or f"step_{at}") if isinstance(step, Mapping) else "" for at, step in enumerate(steps, 1)]  # fmt: skip
    states: Json = {}
    for at, (name, step) in enumerate(zip(names, steps, strict=True), 1):
        follows = names[at] if at < len(names) else END
        states[name] = {"next": follows} | _state(_without(step, "name", "step_index"))
    if len(states) != len(steps):
        raise BadInput("two steps of steps_override have the same name", "name each once")
    document |= {"states": states, "initial": names[0]}
    return names


def _without(step: Any, *keys: str) -> Json:
    if not isinstance(step, Mapping):
        raise BadInput(f"{_short(step)} is no step", _REMEDY)
    return {key: value for key, value in step.items() if key not in keys}


def _state(values: Any) -> Json:
    """The values of a step in our words."""
    said = _without(values)
    return {STEP_KEYS.get(key, key): _valued(key, value) for key, value in said.items()}


def _valued(key: str, value: Any) -> Any:
    if key == "safety_level":
        return SAFETY_LEVELS.get(str(value), value)
    if not isinstance(value, Mapping):
        return value
    if key == "retry_policy" and isinstance(retries := value.get("max_retries"), int):
        return {"max_attempts": retries + 1}
    if key == "expected_output_signature":
        return {_EXPECTED.get(name, name): inner for name, inner in value.items()}
    return dict(value)


_EXPECTED: Final = {"output_regex": "regex", "stdout_contains": "contains"}


def _top(key: str, value: Any) -> Any:
    if key == "risk_profile" and isinstance(value, Mapping):
        return value.get("risk") or value.get("level")
    if key == "success_criteria" and isinstance(value, Mapping):
        return [value]
    return value


def remove_state(document: Json, name: str) -> None:
    """Take a state out of a document; what led to it leads to what followed it.

    Raises:
        BadInput: several states follow it, or none can.
    """
    states = document["states"]
    state = states[name]
    follows = state.get("next") or END
    if (
        document.get("edges")
        or any(key in state for key in ("branch", "approval"))
        or (follows == END and document.get("initial") == name)
    ):
        raise BadInput(
            f"state {name} cannot be taken out: more than one state follows it, or none",
            "rewrite it with a JSON Patch",
        )
    del states[name]
    if document.get("initial") == name:
        document["initial"] = follows
    for other in states.values():
        redirect(other, name, follows)


def redirect(state: Json, old: str, new: str) -> None:
    """Let a state's document lead to `new` wherever it led to `old`."""
    for key in ("next", "on_approve", "on_reject", "on_failure"):
        if state.get(key) == old:
            state[key] = new
    branch = state.get("branch")
    if not branch:
        return
    if branch.get("default") == old:
        branch["default"] = new
    cases = branch["cases"]
    if isinstance(cases, dict):
        branch["cases"] = {value: new if target == old else target for value, target in cases.items()}
    else:
        for case in cases:
            case["next"] = new if case["next"] == old else case["next"]


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
