"""Schemas of tools and answers: Google's older form as JSON Schema, and the least value that a schema allows.

Google's form is a subset of OpenAPI 3.0 ("Schema" in the Gemini API reference): types in capitals, `nullable`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from spanreel.wire import lenient
from spanreel.wire.lenient import mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

_SNAKE: Final = re.compile(r"_([a-z])")
_DEPTH: Final = 24
_COUNTS: Final = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_ABSENT: Final = ("nullable", "propertyOrdering", "example", "type")


def camel(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object with its own names in Google's spelling; objects within it stay as they are."""
    return {_SNAKE.sub(lambda found: found[1].upper(), str(key)): item for key, item in value.items()}


def json_schema(schema: Any, depth: int = 0) -> Any:
    """A schema of Google's form as JSON Schema; what is JSON Schema already comes out as it is."""
    if not isinstance(schema, dict) or depth > _DEPTH:
        return schema
    said = camel(schema)
    made: dict[str, Any] = {key: value for key, value in said.items() if key not in _ABSENT}
    kind = said.get("type")
    if isinstance(kind, str):
        kind = kind.lower()
    if kind is not None and kind != "type_unspecified":
        made["type"] = [kind, "null"] if said.get("nullable") is True and isinstance(kind, str) else kind
    for key in _COUNTS:
        if isinstance(made.get(key), str) and made[key].isdecimal():
            made[key] = int(made[key])
    if made.get("format") == "enum":
        del made["format"]
    for key in ("items", "additionalProperties"):
        if key in made:
            made[key] = json_schema(made[key], depth + 1)
    for key in ("anyOf", "prefixItems"):
        if isinstance(made.get(key), list):
            made[key] = [json_schema(one, depth + 1) for one in made[key]]
    if isinstance(made.get("properties"), dict):
        made["properties"] = {name: json_schema(one, depth + 1) for name, one in schema["properties"].items()}
    return made


_LEAST: Final[dict[str, Any]] = {"string": "", "integer": 0, "number": 0, "boolean": False, "null": None}


def least(schema: Any, root: Any = None, depth: int = 0) -> Any:
    """A small value that the schema allows: required properties only, the first of a choice, the shortest text."""
    whole = schema if root is None else root
    if not isinstance(schema, dict) or depth > _DEPTH:
        return {}
    if "const" in schema:
        return schema["const"]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    if "default" in schema:
        return schema["default"]
    if isinstance(schema.get("$ref"), str):
        return least(_referred(schema["$ref"], whole), whole, depth + 1)
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return least(schema[key][0], whole, depth + 1)
    if isinstance(schema.get("allOf"), list) and schema["allOf"]:
        made = [least(one, whole, depth + 1) for one in schema["allOf"]]
        return (
            {k: v for one in made if isinstance(one, dict) for k, v in one.items()}
            if isinstance(made[0], dict)
            else made[0]
        )
    return _of_type(schema, whole, depth)


def _of_type(schema: dict[str, Any], whole: Any, depth: int) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if kind == "object" or (kind is None and "properties" in schema):
        properties = mapping(schema.get("properties"))
        names = [name for name in lenient.items(schema.get("required")) if isinstance(name, str)]
        return {name: least(properties.get(name, {}), whole, depth + 1) for name in names}
    if kind == "array":
        count = min(lenient.count(schema.get("minItems")) or 0, 100)
        return [least(schema.get("items", {}), whole, depth + 1) for _ in range(count)]
    if kind == "string":
        return "x" * min(lenient.count(schema.get("minLength")) or 0, 1000)
    if kind in ("integer", "number"):
        return _number(schema)
    return _LEAST.get(kind, {}) if isinstance(kind, str) else {}


def _number(schema: Mapping[str, Any]) -> Any:
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high, below = schema.get("maximum"), schema.get("exclusiveMaximum")
    if isinstance(low, (int, float)) and low > 0:
        return low
    if isinstance(above, (int, float)) and above >= 0:
        return int(above) + 1
    if isinstance(high, (int, float)) and high < 0:
        return high
    if isinstance(below, (int, float)) and below <= 0:
        return int(below) - 1
    return 0


def _referred(reference: str, whole: Any) -> Any:
    found = whole
    for name in reference.removeprefix("#").strip("/").split("/"):
        found = mapping(found).get(name.replace("~1", "/").replace("~0", "~")) if name else found
    return found
