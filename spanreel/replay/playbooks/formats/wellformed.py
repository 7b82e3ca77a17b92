"""Whether the parts of a playbook can be read at all: templates, conditions, patterns, schemas, JSON paths.

Quiet: nothing is evaluated. It knows what may be named at a place (`Scope`), not where that place is in the graph.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeAlias

from spanreel.replay.playbooks.binding import FILTERS, Binding, Unbound, bindings
from spanreel.replay.playbooks.conditions import (
    COMBINED,
    OF_PROGRAMS,
    PREDICATES,
    PROBES,
    SUBJECTS,
    TYPES,
    path_problem,
    schema_problem,
)
from spanreel.replay.playbooks.patterns import NoPattern, compiled

Path: TypeAlias = tuple[str | int, ...]
_HYPHEN = re.compile(r"([A-Za-z_]\w*)\.(\w+-[\w-]+)")
FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a body, and where.

    Attributes:
        path: of the place, from the body's outermost key on.
        message: what is wrong, without the place.
        remedy: what mends it.
        level: an error stops every run; a warning is an error under ``--strict``.
    """

    path: Path
    message: str
    remedy: str = ""
    level: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Scope:
    """What can be named at a place. may: set on some way there; must: on every one; params: of the playbook.

    free: there are states that were written in Python, which set what they like.
    """

    may: Collection[str]
    must: Collection[str]
    params: Collection[str]
    free: bool = False


def meant(word: object, known: Collection[str], otherwise: str = "") -> str:
    """``did you mean `states`?``, where a known word is close."""
    close = get_close_matches(str(word), [*known], 1, 0.5)
    return f"did you mean `{close[0]}`?" if close else otherwise


def template(value: Any, path: Path, scope: Scope) -> Iterator[Problem]:
    """What is wrong with the bindings in a value."""
    if isinstance(value, str):
        try:
            found = list(bindings(value))
        except Unbound as error:
            yield Problem(path, str(error), _how_to_bind(value, str(error)))
            return
        for binding in found:
            yield from _bound(binding, path, scope)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from template(item, (*path, key), scope)
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from template(item, (*path, place), scope)


def _how_to_bind(text: str, error: str) -> str:
    if "no filter" in error:
        return "a template holds no code"
    if hyphened := _HYPHEN.search(text):
        return f"a name with - stands in brackets: {hyphened[1]}['{hyphened[2]}']"
    return f"between braces stands a path or a constant, then filters: {', '.join(FILTERS)}"


def _bound(binding: Binding, path: Path, scope: Scope) -> Iterator[Problem]:
    said = f"{{{{ {binding.text} }}}}"
    for name in sorted(binding.params() - {*scope.params}):
        known = f"there are {', '.join(sorted(scope.params))}" if scope.params else "there are none"
        yield Problem(path, f"{said}: there is no parameter `{name}`", meant(name, scope.params, known))
    for root in sorted(binding.roots() - {"params"}):
        if scope.free:
            continue
        if root not in scope.may:
            known = f"known here: {', '.join(sorted({'params', *scope.may}))}"
            hint = f"write params.{root}" if root in scope.params else meant(root, scope.may, known)
            yield Problem(path, f"{said} is bound to nothing: `{root}` is not set on any way to here", hint)
        elif root not in scope.must:
            message = f"{said}: `{root}` is not set on every way to here"
            yield Problem(path, message, "set it before the ways part", "warning")


def condition(value: Any, path: Path, scope: Scope, *, result: bool = False) -> Iterator[Problem]:
    """What is wrong with a condition. result: `json` paths start at a result here."""
    if not isinstance(value, Mapping) or not value:
        yield Problem(path, "that is no condition", 'such as {json: "order.status", equals: delivered}')
        return
    combining = next((word for word in COMBINED if word in value), None)
    if combining is not None:
        yield from _combined(combining, value, path, scope, result)
    elif probe := next((word for word in PROBES if word in value), None):
        yield from template(value, path, scope)
        if probe == "python" and not (isinstance(value[probe], str) and FUNCTION.fullmatch(value[probe])):
            yield Problem((*path, probe), f"{value[probe]!r} is no function", "write module:function")
    elif any(word in OF_PROGRAMS for word in value):
        yield from _of_program(value, path, scope, result)
    else:
        yield from _on_values(value, path, scope, result)


def conditions(values: Sequence[Any], path: Path, scope: Scope, *, result: bool = False) -> Iterator[Problem]:
    """The same of a list of them."""
    for place, value in enumerate(values):
        yield from condition(value, (*path, place), scope, result=result)


def _combined(
    word: str, value: Mapping[str, Any], path: Path, scope: Scope, result: bool
) -> Iterator[Problem]:
    yield from _others(value, (word,), path, f"beside `{word}`")
    if word == "not":
        yield from condition(value[word], (*path, word), scope, result=result)
    elif not isinstance(value[word], (list, tuple)) or not value[word]:
        yield Problem((*path, word), f"`{word}` is a list of conditions", f"write {word}: [{{…}}, {{…}}]")
    else:
        yield from conditions(value[word], (*path, word), scope, result=result)


def _of_program(value: Mapping[str, Any], path: Path, scope: Scope, result: bool) -> Iterator[Problem]:
    yield from _others(value, OF_PROGRAMS, path, "of a program's result")
    yield from template(value, path, scope)
    if not result:
        yield Problem(path, "there is no result of a program here", "say it in `post` or `until`")
    if "output_regex" in value:
        yield from pattern(value["output_regex"], (*path, "output_regex"))


def _others(value: Mapping[str, Any], known: Sequence[str], path: Path, where: str) -> Iterator[Problem]:
    for key in value:
        if key not in known:
            yield Problem((*path, key), f"`{key}` asks nothing {where}", meant(key, known))


def _on_values(value: Mapping[str, Any], path: Path, scope: Scope, result: bool) -> Iterator[Problem]:
    subjects = [word for word in SUBJECTS if word in value]
    known = [*PREDICATES, *SUBJECTS, "exists", *COMBINED, *PROBES, *OF_PROGRAMS]
    unknown = [key for key in value if key not in (*PREDICATES, *SUBJECTS, "exists")]
    for key in unknown:
        yield Problem(
            (*path, key),
            f"nobody knows the condition `{key}`",
            meant(key, known, f"there are {', '.join(PREDICATES)}, exists"),
        )
    if unknown:
        return
    if len(subjects) != 1:
        yield Problem(
            path,
            "a condition is of one thing" if subjects else "it does not say of what",
            "name a path with `json`",
        )
        return
    where = (*path, subjects[0])
    at_result = result and subjects[0] == "json"
    if wrong := path_problem(value[subjects[0]], result=at_result):
        yield Problem(where, wrong, "a path is such as order.items[0].id")
    elif not at_result:
        yield from _path(str(value[subjects[0]]), where, scope)
    if len(value) == 1:
        yield Problem(path, "it asks nothing", f"add one of {', '.join(PREDICATES)}, exists")
    for word in value:
        if word not in SUBJECTS:
            yield from _predicate(word, value[word], (*path, word), scope)


def _path(said: str, path: Path, scope: Scope) -> Iterator[Problem]:
    binding = Binding(said, said, None, ())
    if binding.root is None:
        yield Problem(path, f"{said} does not begin with a variable", "such as order.status")
    else:
        yield from _bound(binding, path, scope)


def _predicate(word: str, wanted: Any, path: Path, scope: Scope) -> Iterator[Problem]:
    wrong = list(template(wanted, path, scope))
    yield from wrong
    if wrong or (isinstance(wanted, str) and "{{" in wanted):
        return
    if word == "matches":
        yield from pattern(wanted, path)
    elif word == "schema":
        yield from schema(wanted, path)
    elif word == "type" and wanted not in TYPES:
        yield Problem(
            path, f"there is no type `{wanted}`", meant(wanted, TYPES, f"there are {', '.join(TYPES)}")
        )
    elif word == "exists" and not isinstance(wanted, bool):
        yield Problem(path, "`exists` is true or false", "write exists: true")
    elif word in ("in", "not_in") and not isinstance(wanted, (list, tuple)):
        yield Problem(path, f"`{word}` wants a list", f"write {word}: [{wanted}]")
    elif word in ("min", "max") and (isinstance(wanted, bool) or not isinstance(wanted, (int, float, str))):
        yield Problem(path, f"`{word}` wants a number, or a date as text", f"write {word}: 10")
    elif word == "length" and (isinstance(wanted, bool) or not isinstance(wanted, int)):
        yield Problem(path, "`length` wants a whole number", "write length: 1")


def pattern(value: Any, path: Path) -> Iterator[Problem]:
    """What is wrong with a regular expression."""
    if not isinstance(value, str):
        yield Problem(path, "a pattern is a text", "quote it")
        return
    try:
        compiled(value)
    except NoPattern as error:
        remedy = "mind brackets, and \\ before what is meant as it stands"
        yield Problem(path, f"that is no regular expression: {error}", remedy)


def schema(value: Any, path: Path) -> Iterator[Problem]:
    """What is wrong with a JSON Schema."""
    try:
        schema_problem(None, value)
    except Unbound as error:
        yield Problem(path, str(error), "see json-schema.org, draft 2020-12")


def result_path(said: Any, path: Path) -> Iterator[Problem]:
    """What is wrong with a JSON path into a result."""
    if wrong := path_problem(said, result=True):
        yield Problem(path, wrong, "a path is such as items[0].price")
