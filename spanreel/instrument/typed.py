"""Types of a function's parameters as JSON Schema, and JSON values as those types.

For the agent's own process: the standard library only; pydantic models are asked for their own schema where the agent
has them. What no rule knows is any value: a model may send what it likes there, and the function decides.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import types
import typing
import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

_PLAIN: Final[dict[Any, str]] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}
_TEXTS: Final[tuple[tuple[type, str | None, Callable[[str], Any]], ...]] = (
    (dt.datetime, "date-time", dt.datetime.fromisoformat),
    (dt.date, "date", dt.date.fromisoformat),
    (dt.time, "time", dt.time.fromisoformat),
    (uuid.UUID, "uuid", uuid.UUID),
    (Decimal, None, Decimal),
)  # fmt: skip
_CONSTRAINTS: Final = {
    "ge": "minimum", "le": "maximum", "gt": "exclusiveMinimum", "lt": "exclusiveMaximum", "multiple_of": "multipleOf",
    "min_length": "minLength", "max_length": "maxLength", "pattern": "pattern", "description": "description",
}  # fmt: skip
_ITEMS: Final = {"minLength": "minItems", "maxLength": "maxItems"}


class Unfit(ValueError):
    """A value is not of the type that is asked for; the text says where and what is wanted."""


class Schemas:
    """Makes schemas; `defs` collects those that others refer to as ``#/$defs/NAME``."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}
        self._within: list[Any] = []
        self._referred: set[str] = set()

    def of(self, annotation: Any) -> dict[str, Any]:
        """The JSON Schema of a type; ``{}`` of what no rule knows."""
        said = unwrapped(annotation)
        if said is not annotation:
            return self.of(said)
        if isinstance(said, type) and said in _PLAIN:
            return {"type": _PLAIN[said]}
        if said is None:
            return {"type": "null"}
        for kind, form, _ in _TEXTS:
            if said is kind:
                return {"type": "string"} | ({"format": form} if form else {})
        origin = get_origin(said)
        if origin is not None:
            return self._composed(said, origin, get_args(said))
        return self._of_class(said) if isinstance(said, type) else {}

    def _composed(self, said: Any, origin: Any, args: tuple[Any, ...]) -> dict[str, Any]:
        if origin is Annotated:
            return {**self.of(args[0]), **_metadata(args[1:], self.of(args[0]))}
        if origin is Literal:
            return _choice([one.value if isinstance(one, Enum) else one for one in args])
        if origin in (Union, types.UnionType):
            return _union([self.of(one) for one in args])
        if origin in (typing.Required, typing.NotRequired):
            return self.of(args[0])
        if isinstance(origin, type) and issubclass(origin, tuple):
            if len(args) == 2 and args[1] is Ellipsis:
                return {"type": "array", "items": self.of(args[0])}
            count = len(args)
            return {
                "type": "array",
                "prefixItems": [self.of(one) for one in args],
                "minItems": count,
                "maxItems": count,
            }
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(args[1]) or True}
        if isinstance(origin, type) and issubclass(origin, Collection):
            unique = {"uniqueItems": True} if issubclass(origin, (set, frozenset)) else {}
            return {"type": "array", "items": self.of(args[0]), **unique}
        return self._of_class(said) if hasattr(origin, "model_json_schema") else {}

    def _of_class(self, kind: Any) -> dict[str, Any]:
        if hasattr(kind, "model_json_schema"):
            found = dict(kind.model_json_schema())
            self.defs.update(found.pop("$defs", {}))
            return found
        if issubclass(kind, Enum):
            return _choice([one.value for one in kind])
        if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
            return self._record(kind)
        if issubclass(kind, PurePath):
            return {"type": "string"}
        if issubclass(kind, Mapping):
            return {"type": "object"}
        if issubclass(kind, Collection) and not issubclass(kind, (str, bytes)):
            return {"type": "array"}
        return next(({"type": word} for plain, word in _PLAIN.items() if issubclass(kind, plain)), {})

    def _record(self, kind: Any) -> dict[str, Any]:
        name = kind.__name__
        if kind in self._within:
            self._referred.add(name)
            return {"$ref": f"#/$defs/{name}"}
        self._within.append(kind)
        fields, required = fields_of(kind)
        made = object_schema({key: self.of(one) for key, one in fields.items()}, required)
        self._within.pop()
        if name in self._referred:
            self.defs[name] = made
        return made


def object_schema(
    properties: Mapping[str, Any], required: Collection[str], more: Any = False
) -> dict[str, Any]:
    """Of an object. more: the schema of properties without a name here, or whether there may be any."""
    return {
        "type": "object",
        "properties": dict(properties),
        **({"required": list(required)} if required else {}),
        "additionalProperties": more,
    }


def hints_of(thing: Any) -> dict[str, Any]:
    """Type hints by name, with what `Annotated` says; those that name something unknown are left out."""
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except RecursionError:
        raise  # of a value nested without end, which is not the types' fault
    except Exception:  # noqa: BLE001 - a name that only type checkers see; the rest is still worth having
        return _one_by_one(thing)


def fields_of(kind: Any) -> tuple[dict[str, Any], list[str]]:
    """Types by name of a dataclass's or TypedDict's fields, and which of them are required."""
    hints = hints_of(kind)
    if typing.is_typeddict(kind):
        return hints, [name for name, said in hints.items() if _is_required(kind, name, said)]
    fields = [one for one in dataclasses.fields(kind) if one.init]
    needed = (dataclasses.MISSING, dataclasses.MISSING)
    required = [one.name for one in fields if (one.default, one.default_factory) == needed]
    return {one.name: hints.get(one.name, Any) for one in fields}, required


def _is_required(kind: Any, name: str, said: Any) -> bool:
    """Of a TypedDict's field; where annotations are texts the class itself does not know."""
    origin = get_origin(said)
    return origin is typing.Required or (origin is not typing.NotRequired and name in kind.__required_keys__)


def typed(annotation: Any, value: Any, at: str = "") -> Any:
    """A JSON value as the type that a parameter is annotated with.

    Args:
        annotation: the type; what no rule knows takes any value.
        value: as a model sent it.
        at: where it is, for the message.

    Raises:
        Unfit: it is none.
    """
    said = unwrapped(annotation)
    if get_origin(said) in (Annotated, typing.Required, typing.NotRequired):
        found = typed(get_args(said)[0], value, at)
        _within_limits(get_args(said)[1:], value, at)
        return found
    if said is None or (isinstance(said, type) and said in _PLAIN):
        return _plain(type(None) if said is None else said, value, at)
    for kind, _, read in _TEXTS:
        if said is kind:
            return _read(kind, read, value, at)
    origin = get_origin(said)
    if origin is not None:
        return _as_composed(origin, get_args(said), value, at)
    return _as_class(said, value, at) if isinstance(said, type) else value


def unwrapped(annotation: Any) -> Any:
    """What stands behind a NewType, a type alias or a type variable."""
    for _ in range(20):
        behind = getattr(annotation, "__supertype__", None) or (
            getattr(annotation, "__value__", None) if type(annotation).__name__ == "TypeAliasType" else None
        )
        if isinstance(annotation, typing.TypeVar):
            behind = annotation.__bound__ or Any
        if behind is None:
            break
        annotation = behind
    return annotation


def _as_composed(origin: Any, args: tuple[Any, ...], value: Any, at: str) -> Any:
    if origin is Literal:
        known = {one.value if isinstance(one, Enum) else one: one for one in args}
        return _one_of(known, value, at)
    if origin in (Union, types.UnionType):
        problems: list[str] = []
        args = tuple(one for one in args if value is None or one is not type(None))
        for one in sorted(
            args, key=lambda one: one is str
        ):  # a text is taken as a text only where nothing else fits
            try:
                return typed(one, value, at)
            except Unfit as error:
                problems.append(str(error))
        raise Unfit(
            problems[0] if len(set(problems)) == 1 else f"{_at(at)}{_shown(value)} is none of what it may be"
        )
    if not isinstance(origin, type):
        return value
    if issubclass(origin, Mapping):
        given = _wanted(dict, "an object", value, at)
        return {key: typed(args[1], item, f"{at}.{key}") for key, item in given.items()}
    if issubclass(origin, Collection):
        given = _wanted(list, "a list", value, at)
        many = issubclass(origin, tuple) and not (len(args) == 2 and args[1] is Ellipsis)
        if many and len(args) != len(given):
            raise Unfit(f"{_at(at)}{len(given)} items, and {len(args)} are wanted")
        kinds = args if many else [args[0]] * len(given)
        items = [
            typed(kind, item, f"{at}[{i}]") for i, (kind, item) in enumerate(zip(kinds, given, strict=True))
        ]
        return origin(items) if origin in (tuple, set, frozenset) else items
    return value


def _as_class(kind: Any, value: Any, at: str) -> Any:
    if hasattr(kind, "model_validate"):
        try:
            return kind.model_validate(value)
        except ValueError as error:
            raise Unfit(f"{_at(at)}{' '.join(str(error).split())}") from error
    if issubclass(kind, Enum):
        return _one_of({one.value: one for one in kind}, value, at)
    if dataclasses.is_dataclass(kind) or typing.is_typeddict(kind):
        made: Any = kind
        return made(**checked(*fields_of(kind), _wanted(dict, "an object", value, at), at))
    if issubclass(kind, PurePath):
        return kind(_wanted(str, "a text", value, at))
    if issubclass(kind, dict):
        return _wanted(dict, "an object", value, at)
    if kind in (list, tuple, set, frozenset):
        return kind(_wanted(list, "a list", value, at))
    return value


def checked(
    fields: Mapping[str, Any],
    required: Collection[str],
    given: Mapping[str, Any],
    at: str = "",
    more: Any = None,
) -> dict[str, Any]:
    """An object's values as the types of its fields. more: the type of those without a name here; None: there are none.

    Raises:
        Unfit: one is missing, unknown or of another type; all of them are named.
    """
    problems = [f"{name} is missing" for name in required if name not in given]
    found: dict[str, Any] = {}
    for name, value in given.items():
        kind = fields.get(name, more)
        if kind is None and name not in fields:
            known = ", ".join(fields) or "none"
            problems.append(f"there is no {name}; there are: {known}")
            continue
        try:
            found[name] = typed(kind, value, name)
        except Unfit as error:
            problems.append(str(error))
    if problems:
        raise Unfit(_at(at) + "; ".join(problems))
    return found


def _plain(kind: type, value: Any, at: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not kind:
        raise Unfit(f"{_at(at)}{_shown(value)} is no {_PLAIN[kind]}")
    return value


def _read(kind: type, read: Callable[[str], Any], value: Any, at: str) -> Any:
    try:
        return read(
            str(value)
            if kind is Decimal and type(value) in (int, float)
            else _wanted(str, "a text", value, at)
        )
    except (ValueError, ArithmeticError) as error:
        raise Unfit(f"{_at(at)}{_shown(value)} is no {kind.__name__}") from error


def _one_of(known: Mapping[Any, Any], value: Any, at: str) -> Any:
    for said, one in known.items():
        if said == value and type(said) is type(value):
            return one
    raise Unfit(f"{_at(at)}{_shown(value)} is none of {', '.join(map(_shown, known))}")


def _wanted(kind: type, word: str, value: Any, at: str) -> Any:
    if not isinstance(value, kind):
        raise Unfit(f"{_at(at)}{_shown(value)} is not {word}")
    return value


def _within_limits(metadata: tuple[Any, ...], value: Any, at: str) -> None:
    said = _metadata(metadata, {})
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    for name, wrong in (
        ("minimum", lambda limit: value < limit), ("maximum", lambda limit: value > limit),
        ("exclusiveMinimum", lambda limit: value <= limit), ("exclusiveMaximum", lambda limit: value >= limit),
    ):  # fmt: skip
        if number and name in said and wrong(said[name]):
            raise Unfit(f"{_at(at)}{_shown(value)} is outside of its {name} {said[name]}")


def _metadata(metadata: tuple[Any, ...], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What `Annotated` says besides the type: a text is the description; limits as pydantic and annotated-types name them."""
    found: dict[str, Any] = {}
    for one in metadata:
        if isinstance(one, str):
            found.setdefault("description", one)
            continue
        for part in (one, *(getattr(one, "metadata", None) or ())):
            for name, word in _CONSTRAINTS.items():
                value = getattr(part, name, None)
                if isinstance(value, (int, float, str)):
                    found[_ITEMS.get(word, word) if schema.get("type") == "array" else word] = value
    return found


def _choice(values: list[Any]) -> dict[str, Any]:
    words = {_PLAIN.get(type(value)) for value in values}
    return ({"type": words.pop()} if len(words) == 1 and None not in words else {}) | {"enum": values}


def _union(parts: list[dict[str, Any]]) -> dict[str, Any]:
    if any(not part for part in parts):
        return {}
    if all(list(part) == ["type"] and isinstance(part["type"], str) for part in parts):
        return {"type": [part["type"] for part in parts]}
    return {"anyOf": parts}


def _one_by_one(thing: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names = getattr(thing, "__globals__", None) or vars(typing)
    for name, said in getattr(thing, "__annotations__", {}).items():
        try:
            found[name] = typing.get_type_hints(
                types.SimpleNamespace(__annotations__={name: said}), dict(names), include_extras=True
            )[name]
        except Exception:  # noqa: BLE001, S112 - this one is any value
            continue
    return found


def _at(at: str) -> str:
    return f"{at}: " if at else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
