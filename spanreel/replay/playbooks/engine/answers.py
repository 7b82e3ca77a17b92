"""What a model answered, as the value that was asked for: the first JSON value in its text, and what is wrong with it.

Quiet: values only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from spanreel.replay.playbooks.asks import Misfit
from spanreel.replay.playbooks.conditions import validator

MOST_ISSUES: Final = 32
LONGEST: Final = 4_000_000
"""Characters of an answer that is looked into."""


def answered(text: str, schema: Mapping[str, Any]) -> Any:
    """The value in an answer's text that fits a JSON Schema.

    Raises:
        Misfit: there is no JSON in it, or what is there does not fit; says at which stage, and names what is wrong.
    """
    if len(text) > LONGEST:
        raise Misfit(
            "response_limit", [f"it has {len(text)} characters, at most {LONGEST} are read"], len(text)
        )
    first: list[str] | None = None
    for value in _values(text, schema):
        found = issues(value, schema)
        if not found:
            return value
        first = first if first is not None else found
    if first is not None:
        raise Misfit("schema_validate", first, len(text))
    stage = "json_decode" if "{" in text or "[" in text else "json_extract"
    raise Misfit(stage, ["there is no JSON value in it"], len(text))


def issues(value: Any, schema: Mapping[str, Any]) -> list[str]:
    """What a JSON Schema finds wrong with a value, each with its place."""
    return [f"{error.json_path}: {error.message}" for error in validator(dict(schema)).iter_errors(value)]


def _values(text: str, schema: Mapping[str, Any]) -> Iterator[Any]:
    """The whole text as JSON; else each outermost object or list in it."""
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        pass
    else:
        yield whole
        return
    if schema.get("type") == "string":
        yield text
        return
    decoder, at = json.JSONDecoder(), 0
    opening = {"object": "{", "array": "["}.get(str(schema.get("type")), "{[")
    while at < len(text):
        if text[at] in opening:
            try:
                value, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                at += 1
            else:
                yield value
        else:
            at += 1


def placeholder(schema: Mapping[str, Any] | None) -> Any:
    """An answer that fits a schema and says nothing, where no model is to be asked."""
    if schema is None:
        return "This is a placeholder answer."
    for word in ("const", "default"):
        if word in schema:
            return schema[word]
    for word in ("enum", "examples"):
        if schema.get(word):
            return schema[word][0]
    for word in ("anyOf", "oneOf", "allOf"):
        if schema.get(word):
            return placeholder(schema[word][0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object":
        named = schema.get("properties", {})
        return {name: placeholder(named.get(name, {})) for name in schema.get("required", named)}
    if kind == "array":
        return [placeholder(schema.get("items", {})) for _ in range(schema.get("minItems", 0))]
    if kind in ("integer", "number"):
        return schema.get("minimum", 0)
    return {"boolean": False, "null": None}.get(kind, "x" * max(1, schema.get("minLength", 1)))
