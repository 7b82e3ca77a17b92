"""What differs between two bodies: as the smallest JSON Patch that makes one of the other, and to be read by people.

Quiet. Their states are paired by `align`, like the steps of two runs, so that a state that only got another name is
one, and not a removed and an added one.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, Final, Literal

from pydantic import Field

from spanreel.replay.align import align
from spanreel.replay.playbooks.body import Body, Json
from spanreel.replay.playbooks.identity import PROVENANCE
from spanreel.replay.playbooks.repairs.patch import Operation, Patch, in_order, redirect
from spanreel.replay.timeline import Frozen, ReplayStep, ToolCallRecord
from spanreel.wire.content import canonical_json

SMALL: Final = 60
"""Lists that are longer are compared place by place, not for the fewest operations."""


class Change(Frozen):
    """One place where two bodies differ.

    Attributes:
        kind: added, removed, changed, or renamed (a state that is the same under another name).
        where: the path, such as ``states.order.args.order_id``.
        before, after: the values; of a renamed state its names.
    """

    kind: Literal["added", "removed", "changed", "renamed"]
    where: str
    before: Any = None
    after: Any = None


class PlaybookDiff(Frozen):
    """`spanreel playbook diff --json`. a, b: the hashes; patch: the JSON Patch that makes b of a."""

    schema_: Literal["spanreel.playbook_diff.v1"] = Field(default="spanreel.playbook_diff.v1", alias="schema")
    name: str
    a: str
    b: str
    same: bool
    changes: list[Change] = Field(default_factory=list[Change])
    patch: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])


def compared(a: Body, b: Body) -> PlaybookDiff:
    """What differs between two bodies; keys that only tell where a part came from are left out of `changes`."""
    return PlaybookDiff(
        name=b.name,
        a=a.hash,
        b=b.hash,
        same=a.hash == b.hash,
        changes=list(changes(a, b)),
        patch=difference(a, b),
    )


def difference(a: Body, b: Body) -> Patch:
    """The JSON Patch that makes the document of `b` of that of `a`: few operations, the parts that stay untouched.

    A state that only has another name is moved.
    """
    before, after = a.document(), b.document()
    operations: Patch = []
    for old, new in renamed(a, b).items():
        operations.append(
            {"op": "move", "from": f"/states/{_escaped(old)}", "path": f"/states/{_escaped(new)}"}
        )
        before["states"][new] = before["states"].pop(old)
    operations.extend(_between(before, after, ""))
    plain: Patch = list(_between(a.document(), after, ""))
    return plain if len(canonical_json(plain)) <= len(canonical_json(operations)) else operations


def renamed(a: Body, b: Body) -> dict[str, str]:
    """The states of `a` that are in `b` under another name, by their names; names that both have are the same state."""
    gone = [name for name in in_order(a) if name not in b.states]
    new = [name for name in in_order(b) if name not in a.states]
    if not gone or not new:
        return {}
    pairs = align([_step(a, name) for name in gone], [_step(b, name) for name in new])
    found: dict[str, str] = {}
    for pair in pairs:
        if pair.a is not None and pair.b is not None and pair.similarity >= 0.5:
            found[str(pair.a.span_id)] = str(pair.b.span_id)
    return found


def _step(body: Body, name: str) -> ReplayStep:
    """A state as a step that can be aligned: its tool and arguments, or the kind of its action and what it says."""
    state = body.states[name]
    said = json.loads(state.model_dump_json(by_alias=True, exclude_defaults=True))
    leads = ("next", "on_approve", "on_reject", "on_failure", *PROVENANCE)
    tool = state.tool or state.action or "none"
    call = ToolCallRecord(
        tool_name=tool, tool_args={key: value for key, value in said.items() if key not in leads}
    )
    return ReplayStep(number=None, kind="tool", name=tool, span_id=name, tool=call)


def changes(a: Body, b: Body) -> Iterator[Change]:
    """Every place where two bodies differ, for people: renamed states, added and removed ones, then what is in them."""
    before, after = _bare(a.document()), _bare(b.document())
    for old, new in renamed(a, b).items():
        yield Change(kind="renamed", where=f"states.{old}", before=old, after=new)
        before["states"][new] = before["states"].pop(old)
        for state in before["states"].values():
            redirect(state, old, new)
        before["initial"] = new if before["initial"] == old else before["initial"]
    yield from _told(before, after, "")


def _told(a: Json, b: Json, where: str) -> Iterator[Change]:
    for key in dict.fromkeys((*a, *b)):
        path = f"{where}.{key}" if where else key
        if key not in b:
            yield Change(kind="removed", where=path, before=a[key])
        elif key not in a:
            yield Change(kind="added", where=path, after=b[key])
        elif isinstance(a[key], dict) and isinstance(b[key], dict):
            yield from _told(a[key], b[key], path)
        elif not _same(a[key], b[key]):
            yield Change(kind="changed", where=path, before=a[key], after=b[key])


def _bare(document: Json) -> Json:
    found = {key: copy.deepcopy(value) for key, value in document.items() if key not in PROVENANCE}
    for group in ("states", "params"):
        for inner in found.get(group, {}).values():
            for key in PROVENANCE & inner.keys():
                del inner[key]
    return found


# the patch


def _between(a: Any, b: Any, path: str) -> Iterator[Operation]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a:
            if key not in b:
                yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
        for key, value in b.items():
            at = f"{path}/{_escaped(key)}"
            if key in a:
                yield from _between(a[key], value, at)
            else:
                yield {"op": "add", "path": at, "value": value}
    elif isinstance(a, list) and isinstance(b, list):
        yield from _lists(a, b, path)
    elif not _same(a, b):
        yield {"op": "replace", "path": path, "value": b}


def _lists(a: list[Any], b: list[Any], path: str) -> Iterator[Operation]:
    """Items of both ends that are equal stay; between them the longest common series does, where that is short to find."""
    head = 0
    while head < min(len(a), len(b)) and _same(a[head], b[head]):
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and _same(a[-1 - tail], b[-1 - tail]):
        tail += 1
    left, right = a[head : len(a) - tail], b[head : len(b) - tail]
    if len(left) == len(right) or max(len(left), len(right)) > SMALL:
        yield from _by_place(left, right, path, head)
        return
    at, i = head, 0
    kept = {j: i for i, j in _common(left, right)}
    for j, value in enumerate(right):
        if j in kept:
            while i < kept[j]:
                yield {"op": "remove", "path": f"{path}/{at}"}
                i += 1
            i, at = i + 1, at + 1
        else:
            yield {"op": "add", "path": f"{path}/{at}", "value": value}
            at += 1
    for _ in range(i, len(left)):
        yield {"op": "remove", "path": f"{path}/{at}"}


def _by_place(left: list[Any], right: list[Any], path: str, head: int) -> Iterator[Operation]:
    for at, (one, other) in enumerate(zip(left, right, strict=False), head):
        yield from _between(one, other, f"{path}/{at}")
    both = head + min(len(left), len(right))
    for at, value in enumerate(right[len(left) :], both):
        yield {"op": "add", "path": f"{path}/{at}", "value": value}
    for _ in left[len(right) :]:
        yield {"op": "remove", "path": f"{path}/{both}"}


def _common(left: list[Any], right: list[Any]) -> list[tuple[int, int]]:
    """Places of a longest common subsequence."""
    ours, theirs = [canonical_json(one) for one in left], [canonical_json(one) for one in right]
    best = [[0] * (len(theirs) + 1) for _ in range(len(ours) + 1)]
    for i in range(len(ours) - 1, -1, -1):
        for j in range(len(theirs) - 1, -1, -1):
            same = ours[i] == theirs[j]
            best[i][j] = best[i + 1][j + 1] + 1 if same else max(best[i + 1][j], best[i][j + 1])
    found: list[tuple[int, int]] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        if ours[i] == theirs[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif best[i + 1][j] >= best[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def _same(a: Any, b: Any) -> bool:
    return canonical_json(a) == canonical_json(b)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")
