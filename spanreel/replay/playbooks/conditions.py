"""What has to hold: pre- and postconditions, assertions, `until`, success criteria, predicates of matchers.

Quiet: it judges values. What it takes to know the surroundings (a file, a port, a function) is asked of `surroundings`
by whoever walks the playbook; here such a condition is only recognised (`is_probe`). The judgement has three values:
True, False, and None, unknown, which is never a pass.

A condition is an object: a subject (`json`: a path), and predicates on it, all of which have to hold:
``{"json": "order.status", "equals": "delivered"}``, ``{"json": "total", "min": 0, "max": 500}``. In `post` and `until`
the path starts at the result, elsewhere at the variables; `{"var": path}` starts at the variables everywhere.
`{"any": [...]}`, `{"all": [...]}`, `{"not": {...}}` combine. Predicates may hold bindings.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from spanreel.replay.playbooks.binding import Unbound, Variables, bind, found, query
from spanreel.replay.playbooks.patterns import NoPattern, occurs
from spanreel.wire.content import canonical_json

MISSING: Final = object()
MOST_SCHEMAS: Final = 20_000
SUBJECTS: Final = ("json", "var")
COMBINED: Final = ("any", "all", "not")
PROBES: Final = (
    "always",
    "file_exists",
    "path_not_exists",
    "command_available",
    "env_exists",
    "env_equals",
    "port_free",
    "cwd_contains",
    "git_clean",
    "http_ok",
    "tool_available",
    "python",
    "judge",
)
"""Conditions of the surroundings, see `surroundings`. `judge` asks a model: its answer is not deterministic."""
OF_PROGRAMS: Final = ("exit_code", "stdout_contains", "stderr_contains", "output_regex")
"""Short forms for the result of a program, an object with `exit_code`, `stdout` and `stderr`."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """holds: True, False, or None: nobody knows. why: in words, with what was found."""

    holds: bool | None
    why: str

    def __bool__(self) -> bool:
        return self.holds is True


def _matches(value: Any, pattern: Any) -> bool:
    try:
        return isinstance(value, str) and occurs(pattern, value)
    except NoPattern as error:
        raise Unbound(str(error)) from None


def equal(a: Any, b: Any) -> bool:
    """Equality of JSON values: 1 is 1.0, but True is not 1."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _is_in(value: Any, options: Any) -> bool:
    if not isinstance(options, (list, tuple, Mapping)):
        raise Unbound(f"{_short(options)} is no list to be in")
    return any(equal(value, option) for option in options)


def _contains(value: Any, wanted: Any) -> bool:
    parts: Any = wanted if isinstance(wanted, (list, tuple)) else [wanted]
    if isinstance(value, str):
        return all((part if isinstance(part, str) else json.dumps(part)) in value for part in parts)
    return isinstance(value, (list, tuple, Mapping)) and all(_is_in(part, value) for part in parts)


def _compared(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(value: Any, limit: Any) -> bool:
        numbers = all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in (value, limit))
        texts = isinstance(value, str) and isinstance(limit, str)  # dates
        return (numbers or texts) and test(value, limit)

    return compare


def _fits(value: Any, schema: Any) -> bool:
    return schema_problem(value, schema) is None


TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (Mapping,),
    "null": (type(None),),
}


def is_type(value: Any, name: Any) -> bool:
    """Whether a value is of a JSON type."""
    if not isinstance(name, str) or name not in TYPES:
        raise Unbound(f"there is no type {name!r}; there are {', '.join(TYPES)}")
    return isinstance(value, TYPES[name]) and (isinstance(value, bool) == (name == "boolean"))


PREDICATES: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "equals": equal,
    "not_equals": lambda value, other: not equal(value, other),
    "in": _is_in,
    "not_in": lambda value, options: not _is_in(value, options),
    "matches": _matches,
    "contains": _contains,
    "min": _compared(lambda value, limit: value >= limit),
    "max": _compared(lambda value, limit: value <= limit),
    "type": is_type,
    "schema": _fits,
    "length": lambda value, wanted: hasattr(value, "__len__") and equal(len(value), wanted),
}
"""Of one value. `exists` is none of them: it asks whether there is one."""


def validator(schema: Any) -> Any:
    """A validator that fetches nothing, and whose patterns end."""
    import jsonschema
    from jsonschema.validators import extend
    from referencing import Registry

    def patterned(_: Any, pattern: Any, value: Any, __: Any) -> Iterator[Any]:
        if isinstance(value, str) and not occurs(pattern, value):
            yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")

    kind: Any = extend(jsonschema.Draft202012Validator, {"pattern": patterned})
    return kind(schema, registry=Registry(), format_checker=kind.FORMAT_CHECKER)


@lru_cache(maxsize=512)
def _checked(schema: str) -> Any:
    """The validator of a schema, by its text: a guard is asked many times."""
    import jsonschema

    found = json.loads(schema)
    if _expanded(found, found, {}) > MOST_SCHEMAS:
        raise Unbound(
            f"that JSON Schema refers to more than {MOST_SCHEMAS:,} others, each counted as often as it is named"
        )
    jsonschema.Draft202012Validator.check_schema(found)
    return validator(found)


def _expanded(schema: Any, whole: Any, known: dict[str, int]) -> int:
    """How many schemas there are when references are written out; one to itself, or to another document, counts once."""
    if isinstance(schema, Mapping):
        said = cast("Mapping[str, Any]", schema)
        reference = said.get("$ref")
        found = 1 + sum(_expanded(one, whole, known) for key, one in said.items() if key != "$defs")
        if isinstance(reference, str) and reference.startswith("#"):
            if reference not in known:
                known[reference] = 1  # while it is looked at, and where it leads back to itself
                known[reference] = _expanded(_at(whole, reference), whole, known)
            found += known[reference]
        return found
    return (
        sum(_expanded(one, whole, known) for one in cast("list[Any]", schema))
        if isinstance(schema, list)
        else 0
    )


def _at(whole: Any, reference: str) -> Any:
    """What a reference within a document names; None: nothing."""
    for part in reference.removeprefix("#").split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        whole = cast("Mapping[str, Any]", whole).get(key) if isinstance(whole, Mapping) else None
    return whole


def schema_problem(value: Any, schema: Any) -> str | None:
    """What a JSON Schema finds wrong with a value; None: nothing.

    Raises:
        Unbound: it is no schema.
    """
    import jsonschema
    import referencing.exceptions

    try:
        error = next(_checked(canonical_json(schema)).iter_errors(value), None)
    except jsonschema.SchemaError as error:
        raise Unbound(f"that is no JSON Schema: {error.message}") from None
    except (referencing.exceptions.Unresolvable, NoPattern) as error:
        raise Unbound(f"that JSON Schema cannot be followed: {error}") from None
    except RecursionError:
        raise Unbound("that JSON Schema leads back to itself, or its value is nested too deeply") from None
    return None if error is None else f"{error.json_path}: {error.message}"


def is_probe(condition: Mapping[str, Any]) -> bool:
    """Whether the surroundings have to be asked."""
    return any(name in condition for name in PROBES)


def judge(condition: Any, variables: Variables, subject: Any = MISSING) -> Judgement:
    """Whether a condition on values holds.

    Args:
        condition: one that is no probe, nor holds one.
        variables: of the playbook.
        subject: the result that `json` paths start at; default: the variables.
    """
    if not isinstance(condition, Mapping):
        return Judgement(None, f"{_short(condition)} is no condition")
    try:
        return _judged(condition, variables, subject)
    except Unbound as error:
        return Judgement(None, str(error))
    except RecursionError:
        return Judgement(None, "it is nested too deeply to be compared")


def _judged(condition: Mapping[str, Any], variables: Variables, subject: Any) -> Judgement:
    for name in COMBINED:
        if name in condition:
            parts: Any = [condition[name]] if name == "not" else condition[name]
            if not isinstance(parts, (list, tuple)):
                raise Unbound(f"`{name}` is a list of conditions, and not {_short(parts)}")
            return combined(name, [judge(part, variables, subject) for part in parts])
    if any(name in condition for name in OF_PROGRAMS):
        return combined(
            "all", [_of_program(name, wanted, variables, subject) for name, wanted in condition.items()]
        )
    values, where = _subject(condition, variables, subject)
    there = _exists(condition, variables, values)
    if there is False or (there and len(condition) == 2):
        return Judgement(there, f"{where} {'is there' if values else 'is not there'}")
    if not values:
        return Judgement(False, f"{where} is not there")
    tests = [name for name in condition if name in PREDICATES]
    unknown = [name for name in condition if name not in (*PREDICATES, *SUBJECTS, "exists")]
    if unknown or not (tests or "exists" in condition):
        return Judgement(None, f"nobody knows what {unknown[0] if unknown else _short(condition)} asks")
    for name in tests:
        wanted = bind(condition[name], variables)
        for value in values:
            if not PREDICATES[name](value, wanted):
                return Judgement(False, f"{where} is {_short(value)}, and not {name} {_short(wanted)}")
    return Judgement(True, f"{where} is {_short(values[0])}")


def _exists(condition: Mapping[str, Any], variables: Variables, values: list[Any]) -> bool | None:
    """Whether what is found is as `exists` says; None: it does not say."""
    if condition.get("exists") is None:
        return None
    wanted = bind(condition["exists"], variables)
    if not isinstance(wanted, bool):
        raise Unbound(f"`exists` is true or false, and not {_short(wanted)}")
    return bool(values) == wanted


def _subject(condition: Mapping[str, Any], variables: Variables, subject: Any) -> tuple[list[Any], str]:
    path = condition.get("var", condition.get("json"))
    if path is None:
        raise Unbound(f"{_short(condition)} has no subject: name a path with `json`")
    if not isinstance(path, str):
        raise Unbound(f"{_short(path)} is no path")
    if "var" in condition or subject is MISSING:
        return found(path, variables), path
    return found(of_result(path), {"result": subject}), path if path not in ("", "$") else "the result"


def _of_program(name: str, wanted: Any, variables: Variables, subject: Any) -> Judgement:
    if not isinstance(subject, Mapping):
        return Judgement(False, f"{name}: the result is none of a program")
    wanted = bind(wanted, variables)
    if name == "exit_code":
        return Judgement(equal(subject.get(name), wanted), f"exit_code is {_short(subject.get(name))}")
    if name == "output_regex":
        text = f"{subject.get('stdout', '')}{subject.get('stderr', '')}"
        return Judgement(_matches(text, wanted), f"the output is {_short(text)}")
    text = str(subject.get(name.partition("_")[0], ""))
    return Judgement(_contains(text, wanted), f"{name.partition('_')[0]} is {_short(text)}")


def combined(how: str, parts: list[Judgement]) -> Judgement:
    """`any`, `all` or `not` of judgements; what is unknown stays unknown unless the others decide."""
    if how == "not":
        (one,) = parts
        return Judgement(None if one.holds is None else not one.holds, f"not: {one.why}")
    deciding = how == "any"
    decided = next((one for one in parts if one.holds is deciding), None)
    unknown = next((one for one in parts if one.holds is None), None)
    settling = unknown if decided is None else decided
    if settling is not None:
        return settling
    return Judgement(not deciding, parts[0].why if parts else "nothing is asked")


def of_result(path: str) -> str:
    """A path into a result, written from the variable `result` on: ``items[0]``, ``[0]``, ``$.items``, or nothing."""
    path = path.removeprefix("$")
    return f"result{path}" if path[:1] in ("", "[", ".") else f"result.{path}"


def path_problem(path: Any, *, result: bool = False) -> str | None:
    """What is wrong with the path of a condition, if anything. result: it begins at the result."""
    if not isinstance(path, str):
        return f"{_short(path)} is no path"
    try:
        query(of_result(path) if result else path)
    except Unbound as error:
        return str(error).replace(of_result(path), path) if result else str(error)
    return None


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
