"""What others rely on in a playbook or an agent, as a value with a hash; and what changed between two of them. Quiet.

Of a playbook it is what it does, and the tools and functions that it stands on. Of an agent it is what was *seen* over
recorded runs: models, hashes of its instructions, tools as they were declared to the models, and the shapes of arguments
and results; what no run came to is not in it.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from spanreel.replay.playbooks.identity import without_provenance
from spanreel.replay.timeline import Frozen
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.timeline import Replay, ReplayStep

MANY: Final = 40
"""An object with more keys than these, over all runs, is taken for a map whose keys are data."""
_DEPTH: Final = 24
_WORDS: Final[dict[type, str]] = {
    bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object", type(None): "null",
}  # fmt: skip


class Contract(Frozen):
    """`spanreel contract`: what others rely on.

    Attributes:
        of: playbook or agent.
        runs: how many an agent's was seen over; no part of the hash.
        sha256: of the canonical JSON of `says`, 64 hex digits.
    """

    schema_: Literal["spanreel.contract.v1"] = Field(default="spanreel.contract.v1", alias="schema")
    of: Literal["playbook", "agent"]
    name: str
    runs: int | None = None
    sha256: str
    says: dict[str, Any]


class ContractChange(Frozen):
    """One place that differs.

    Attributes:
        path: where, with dots.
        kind: additive: whoever relied on it still can; breaking: somebody may not.
        what: added, removed or changed.
    """

    path: str
    kind: Literal["additive", "breaking"]
    what: Literal["added", "removed", "changed"]


class ContractChanges(Frozen):
    """`spanreel contract --check --json`; diff: unified, of the two documents."""

    schema_: Literal["spanreel.contract_changes.v1"] = Field(
        default="spanreel.contract_changes.v1", alias="schema"
    )
    name: str
    verdict: Literal["same", "additive", "breaking"]
    changes: list[ContractChange]
    diff: str
    before: str
    now: str


def of_playbook(body: Body, tools: Mapping[str, Any], code: Mapping[str, str | None]) -> Contract:
    """The contract of a playbook.

    Args:
        body: what it does.
        tools: safety and schema of the arguments, by name; None of one that is not registered here.
        code: the contract of each Python function that its states call, by name; None of one that is not found.
    """
    says = {
        "playbook": without_provenance(body.document()),
        "tools": {name: tools.get(name) for name in body.tools},
        "code": dict(sorted(code.items())),
    }
    return _contract("playbook", body.name, says, None)


def of_runs(name: str, runs: Sequence[Replay]) -> Contract:
    """The contract of an agent, as far as these runs show it."""
    steps = [step for run in runs for step in run.steps]
    called: dict[str, list[ReplayStep]] = {}
    for step in steps:
        if step.tool is not None:
            called.setdefault(step.tool.tool_name, []).append(step)
    asked = [step for step in steps if step.kind == "llm"]
    declared: dict[str, dict[str, Any]] = {}
    for step in asked:
        for definition in step.tools or ():
            declared.setdefault(_name(definition), {})[_hash(definition)] = definition
    says = {
        "models": sorted({step.model for step in asked if step.model}),
        "instructions": sorted({_hash(step.system) for step in asked if step.system}),
        "declared_tools": {
            name: [found[one] for one in sorted(found)] for name, found in sorted(declared.items())
        },
        "tools": {name: _seen(called[name]) for name in sorted(called)},
        "input": shape(run.input for run in runs if run.input is not None),
    }
    return _contract("agent", name, says, len(runs))


def _seen(steps: Sequence[ReplayStep]) -> dict[str, Any]:
    calls = [step.tool for step in steps if step.tool is not None]
    return {
        "safety": sorted({call.safety for call in calls if call.safety}),
        "arguments": shape(call.tool_args for call in calls),
        "result": shape(_parsed(call.result) for call in calls if call.error is None),
        "fails": any(call.error is not None for call in calls),
    }


def shape(values: Iterable[Any], depth: int = 0) -> dict[str, Any]:
    """A JSON Schema that all of these values fit: types, properties, and which of those all have."""
    found = list(values)
    words = {_WORDS.get(type(value), "string") for value in found}
    if {"integer", "number"} <= words:
        words.discard("integer")
    if not words or depth > _DEPTH:
        return {}
    made: dict[str, Any] = {"type": min(words) if len(words) == 1 else sorted(words)}
    objects = [value for value in found if isinstance(value, dict)]
    keys = sorted({str(key) for value in objects for key in value})
    if len(keys) > MANY:
        made["additionalProperties"] = shape(
            (item for value in objects for item in value.values()), depth + 1
        )
    elif keys:
        made["properties"] = {
            key: shape((value[key] for value in objects if key in value), depth + 1) for key in keys
        }
        made["required"] = [key for key in keys if all(key in value for value in objects)]
    items = [item for value in found if isinstance(value, list) for item in value]
    if items:
        made["items"] = shape(items, depth + 1)
    return made


def compared(before: Contract, now: Contract) -> ContractChanges:
    """What changed from one contract to another."""
    found = list(_changes(before.says, now.says, ()))
    kinds = {one.kind for one in found}
    lines = difflib.unified_diff(
        _lines(before), _lines(now), f"{before.name} (snapshot)", f"{now.name} (now)", lineterm="", n=3
    )
    return ContractChanges(
        name=now.name,
        verdict="breaking" if "breaking" in kinds else "additive" if kinds else "same",
        changes=found,
        diff="\n".join(lines),
        before=before.sha256,
        now=now.sha256,
    )


def _changes(before: Any, now: Any, path: tuple[str, ...]) -> Iterator[ContractChange]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}, key=str):
            here = (*path, str(key))
            if key not in before:
                yield _change(
                    here, "additive" if _harmless(here, now[key], added=True) else "breaking", "added"
                )
            elif key not in now:
                yield _change(
                    here, "additive" if _harmless(here, before[key], added=False) else "breaking", "removed"
                )
            else:
                yield from _changes(before[key], now[key], here)
    elif (
        isinstance(before, list)
        and isinstance(now, list)
        and path[-1:] in (("required",), ("models",), ("type",))
    ):
        more = [one for one in now if one not in before]
        less = [one for one in before if one not in now]
        for one in more:
            yield _change((*path, str(one)), "breaking", "added")
        for one in less:
            yield _change((*path, str(one)), "additive" if path[-1] == "required" else "breaking", "removed")
    elif canonical_json(before) != canonical_json(now):
        yield _change(path, "breaking", "changed")


def _harmless(path: tuple[str, ...], value: Any, *, added: bool) -> bool:
    """Whether a key that came, or went, leaves everybody well who relied on the rest."""
    if path[:2] == ("playbook", "params") and len(path) == 3:
        said = value if isinstance(value, dict) else {}
        return added and (said.get("required") is False or "default" in said)
    if path[0] == "playbook":
        return path[-1] in ("description", "goal", "meta")
    if path[0] == "tools" and len(path) == 2:
        return added
    return added and (
        path[-2:-1] == ("properties",) or path[0] == "declared_tools" or path[-1] == "description"
    )


def _change(path: tuple[str, ...], kind: Any, what: Any) -> ContractChange:
    return ContractChange(path=".".join(path), kind=kind, what=what)


def _contract(of: Any, name: str, says: dict[str, Any], runs: int | None) -> Contract:
    return Contract(of=of, name=name, runs=runs, sha256=_hash(says).removeprefix("sha256:"), says=says)


def _lines(contract: Contract) -> list[str]:
    return json.dumps(contract.says, indent=2, sort_keys=True, ensure_ascii=False).splitlines()


def _hash(value: Any) -> str:
    return f"sha256:{sha256(canonical_json(value).encode('utf-8', 'surrogatepass')).hexdigest()}"


def _name(definition: Mapping[str, Any]) -> str:
    inner: Any = definition.get("function")
    said = inner if isinstance(inner, dict) else definition
    return str(said.get("name") or said.get("type") or "?")


def _parsed(value: Any) -> Any:
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value
