"""Reading a body: which variables it asks for, which constants it holds, and which of those look like data.

Quiet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanreel.replay.playbooks.binding import Binding, Unbound, bindings, parse
from spanreel.replay.playbooks.body import Body, State
from spanreel.replay.playbooks.conditions import COMBINED

DATA: Final = (
    ("an email address", re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")),
    ("a uuid", re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)),
    ("a date", re.compile(r"\d{4}-\d{2}-\d{2}([T ][\d:.]+(Z|[+-]\d{2}:?\d{2})?)?|\d{1,2}/\d{1,2}/\d{4}")),
    ("a sum of money", re.compile(r"[$€£]\s?\d[\d.,]*|\d[\d.,]*\s?(USD|EUR|GBP)")),
    ("a url", re.compile(r"https?://\S+")),
    ("an id", re.compile(r"#?[A-Za-z]{0,12}[_-]?#?\d{4,}|[A-Za-z_-]*\d{5,}|(?=[^\W_]*\d)(?=[^\W_]*[A-Za-z])[A-Za-z0-9]{16,}")),
)  # fmt: skip
_ROOT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PARAM: Final = re.compile(r"params\.([A-Za-z_][A-Za-z0-9_-]*)")


def looks_like_data(value: Any) -> str | None:
    """Which kind of data of one task a constant looks like, in words; None: it may well be the same in every run."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and not value.is_integer():
        return "a sum of money"
    if isinstance(value, int):
        return "an id" if abs(value) >= 10_000 else None
    if not isinstance(value, str):
        return None
    return next((kind for kind, form in DATA if form.fullmatch(value.strip())), None)


def constants(state: State) -> Iterator[tuple[str, Any]]:
    """Path and value of each constant that a state gives to its action."""
    given = {
        "args": state.args,
        "set": state.set or {},
        "playbook.params": state.playbook.params if state.playbook else {},
        "compensate.args": state.compensate.args if state.compensate else {},
    }
    for name, values in given.items():
        yield from _constants(values, name)


def _constants(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _constants(item, f"{path}.{key}")
    elif isinstance(value, (list, tuple)):
        for at, item in enumerate(value):
            yield from _constants(item, f"{path}[{at}]")
    elif isinstance(value, str) and "{{" in value:
        try:
            pieces = parse(value)
        except Unbound:
            return
        if len(pieces) == 1 and isinstance(pieces[0], Binding) and pieces[0].path is None:
            yield path, pieces[0].literal
    else:
        yield path, value


def used(body: Body) -> set[str] | None:
    """The variables that a body asks for somewhere, parameters as ``params.name``; None: code may ask for any."""
    if any(state.python or (state.assert_ and _is_code(state.assert_)) for state in body.states.values()):
        return None
    found: set[str] = set()
    for state in body.states.values():
        document = state.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        found |= _bound(document)
        conditions: list[Any] = [*state.pre, *(state.assert_ or [])]
        if state.branch is not None and not isinstance(state.branch.cases, dict):
            conditions += [one for case in state.branch.cases for one in case.when]
        for condition in conditions:
            found |= _asked(condition, ("json", "var"))
        for condition in [*state.post, *((state.repeat and state.repeat.until) or [])]:
            found |= _asked(condition, ("var",))
    for condition in body.success:
        found |= _asked(condition, ("json", "var"))
    return found | _bound(body.output) | _bound(body.success)


def _is_code(conditions: list[Any]) -> bool:
    return any(isinstance(one, Mapping) and "python" in one for one in conditions)


def _bound(value: Any) -> set[str]:
    try:
        return {name for one in bindings(value) for name in _names(one)}
    except Unbound:
        return set()


def _names(one: Binding) -> Iterator[str]:
    yield from one.roots() - {"params"}
    named = _PARAM.findall(one.path or "")
    yield from (f"params.{name}" for name in named)
    if not named and "params" in one.roots():
        yield "params"


def _asked(condition: Any, subjects: tuple[str, ...]) -> set[str]:
    if not isinstance(condition, Mapping):
        return set()
    found: set[str] = set()
    for word in COMBINED:
        if word in condition:
            parts = [condition[word]] if word == "not" else condition[word]
            for part in parts:
                found |= _asked(part, subjects)
    for subject in subjects:
        path = condition.get(subject)
        if isinstance(path, str) and (root := _ROOT.match(path)):
            named = _PARAM.match(path)
            found.add(f"params.{named[1]}" if named else root[0])
    return found
