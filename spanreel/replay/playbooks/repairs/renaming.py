"""Keys of results under another name: found by comparing an old result with a new one, and put into a body's paths.

Quiet. A key is named by where its object is: ``("items", "*")`` is each item of the list `items` of a result.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spanreel.replay.playbooks.body import Json
from spanreel.replay.playbooks.conditions import COMBINED, equal, is_type
from spanreel.replay.playbooks.planning.reading import looks_like_data
from spanreel.wire.content import canonical_json

EACH: Final = "*"
_TOKEN: Final = re.compile(
    r"""(?P<root>^[A-Za-z_][\w-]*)|\.(?P<name>[A-Za-z_][\w-]*)|\[(?P<q>['"])(?P<key>[^'"\\]*)(?P=q)\]|\[(?P<rest>[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*)\]"""
)
_INNER: Final = re.compile(r"@\.([A-Za-z_][\w-]*)")
_TEMPLATE: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Renamed:
    """A key of results. where: the way to its object; old, new: its names."""

    where: tuple[str, ...]
    old: str
    new: str

    def __str__(self) -> str:
        return f"{'.'.join((*self.where, self.old))} is {self.new} now"


def renamed_keys(old: Any, new: Any, where: tuple[str, ...] = ()) -> Iterator[Renamed]:
    """Keys that have another name in a new result of the same call: one gone and one come, or one with the same value."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        gone = [key for key in old if key not in new]
        come = [key for key in new if key not in old]
        for key in gone:
            alike = [other for other in come if equal(old[key], new[other])]
            if len(alike) != 1:
                alike = (
                    [other for other in come if _same_kind(old[key], new[other])] if len(gone) == 1 else []
                )
            if len(alike) == 1:
                yield Renamed(where, str(key), str(alike[0]))
        for key in old:
            if key in new:
                step = EACH if looks_like_data(key) else str(key)  # an object that is kept by ids
                yield from renamed_keys(old[key], new[key], (*where, step))
    elif isinstance(old, list) and isinstance(new, list) and old and new:
        yield from renamed_keys(old[0], new[0], (*where, EACH))


def _same_kind(one: Any, other: Any) -> bool:
    kinds = ("string", "number", "boolean", "array", "object", "null")
    return any(is_type(one, kind) and is_type(other, kind) for kind in kinds)


def in_path(path: str, renamed: Renamed, *, rooted: bool = True) -> str:
    """A path with a key under its new name. rooted: it begins with a variable, whose value is the result."""
    pieces: list[str] = []
    walked: list[str] = []
    at = 0
    for found in _TOKEN.finditer(path):
        pieces.append(path[at : found.start()])
        at = found.end()
        text = found[0]
        if found["root"] is not None and rooted:
            pieces.append(text)
            continue
        key = found["name"] or found["key"] or found["root"]
        if key is None:
            walked.append(EACH)
            if _there(walked, renamed.where):
                text = _INNER.sub(lambda one: f"@.{renamed.new}" if one[1] == renamed.old else one[0], text)
        elif _there(walked, renamed.where) and key == renamed.old:
            text = text.replace(renamed.old, renamed.new)
            walked.append(renamed.old)
        else:
            walked.append(key)
        pieces.append(text)
    return "".join((*pieces, path[at:]))


def _there(walked: Sequence[str], where: tuple[str, ...]) -> bool:
    """Whether a path has come to the object of a key; each of a list, or of what is kept by ids, is any of them."""
    if len(walked) != len(where):
        return False
    return all(one == other or EACH in (one, other) for one, other in zip(walked, where, strict=True))


def plain_steps(path: str) -> list[str | int] | None:
    """The steps of a path after its variable, if it consists of names and places only."""
    steps: list[str | int] = []
    at = 0
    for one in _TOKEN.finditer(path):
        if one.start() != at:
            return None
        at = one.end()
        key = one["name"] or one["key"]
        if key is not None:
            steps.append(key)
        elif one["rest"] is not None:
            if not re.fullmatch(r"-?\d+", one["rest"].strip()):
                return None
            steps.append(int(one["rest"]))
    return steps if at == len(path) else None


def renamed_in(document: Json, state: str, renamed: Renamed) -> Json:
    """A body's document in which the result of a state has a key under another name: in what it checks, and wherever it is used."""
    import copy

    found = copy.deepcopy(document)
    maker = found["states"][state]
    variable = maker.get("save_as")
    _in_expectation(maker, renamed)
    for name in ("post", "until"):
        conditions = maker.get(name) if name == "post" else (maker.get("repeat") or {}).get("until")
        for condition in conditions or ():
            _in_condition(condition, renamed, "json", rooted=False)
    if variable is not None:
        found = _everywhere(found, variable, renamed)
    return found


def _in_expectation(maker: Json, renamed: Renamed) -> None:
    expect = maker.get("expect")
    if not expect:
        return
    if "json" in expect:
        _rename(_at(expect["json"], renamed.where), renamed)
    if "tolerance" in expect:
        expect["tolerance"] = {
            in_path(path, renamed, rooted=False): limits for path, limits in expect["tolerance"].items()
        }
    schema: Any = expect.get("shape")
    for step in renamed.where:
        schema = (
            schema.get("items")
            if isinstance(schema, dict) and step == EACH
            else (schema or {}).get("properties", {}).get(step)
        )
    if isinstance(schema, dict):
        _rename(schema.get("properties"), renamed)
        if renamed.old in schema.get("required", ()):
            schema["required"] = [renamed.new if key == renamed.old else key for key in schema["required"]]


def _at(value: Any, where: tuple[str, ...]) -> Any:
    for step in where:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _rename(value: Any, renamed: Renamed) -> None:
    if isinstance(value, dict) and renamed.old in value:
        items = [(renamed.new if key == renamed.old else key, item) for key, item in value.items()]
        value.clear()
        value.update(items)


def _in_condition(
    condition: Any, renamed: Renamed, subject: str, *, rooted: bool, variable: str = ""
) -> None:
    if not isinstance(condition, dict):
        return
    for word in COMBINED:
        parts = [condition[word]] if word == "not" and word in condition else condition.get(word, ())
        for part in parts:
            _in_condition(part, renamed, subject, rooted=rooted, variable=variable)
    path = condition.get(subject)
    if isinstance(path, str) and (not rooted or _root(path) == variable):
        condition[subject] = in_path(path, renamed, rooted=rooted)


def _everywhere(value: Any, variable: str, renamed: Renamed) -> Any:
    """Every binding and condition that begins with a variable."""
    if isinstance(value, str):
        return _TEMPLATE.sub(lambda one: _binding(one, variable, renamed), value)
    if isinstance(value, list):
        return [_everywhere(item, variable, renamed) for item in value]
    if isinstance(value, dict):
        found = {key: _everywhere(item, variable, renamed) for key, item in value.items()}
        if "var" in found:
            _in_condition(found, renamed, "var", rooted=True, variable=variable)
        for name in ("pre", "assert", "success", "when"):
            for condition in found.get(name) or () if isinstance(found.get(name), list) else ():
                _in_condition(condition, renamed, "json", rooted=True, variable=variable)
        return found
    return value


def _binding(found: re.Match[str], variable: str, renamed: Renamed) -> str:
    head, bar, filters = found[1].partition("|")
    path = head.strip()
    if _root(path) != variable:
        return found[0]
    changed = in_path(path, renamed)
    return found[0] if changed == path else f"{{{{ {changed}{f' {bar}{filters.rstrip()}' if bar else ''} }}}}"


def _root(path: str) -> str | None:
    found = re.match(r"[A-Za-z_][\w-]*", path)
    return found[0] if found else None


def paths_to(value: Any, within: Any, path: str = "") -> Iterator[str]:
    """Every path at which a value has this one; one that says too little to be recognised (true, 1, "") is found nowhere."""
    if weak(value):
        return
    if not isinstance(within, (Mapping, list)):
        if equal(value, within):
            yield path
        return
    if isinstance(value, (Mapping, list)) and canonical_json(value) == canonical_json(within):
        yield path
    items = within.items() if isinstance(within, Mapping) else enumerate(within)
    for key, item in items:
        yield from paths_to(value, item, path + _step(key))


def weak(value: Any) -> bool:
    """Whether a value is so common that it could be anywhere by chance."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return abs(value) < 100
    return len(value) < 3 if isinstance(value, str) else not value


def _step(key: Any) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return f".{key}" if re.fullmatch(r"[A-Za-z_]\w*", str(key)) else f"[{canonical_json(str(key))}]"
