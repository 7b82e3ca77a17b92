"""The JSON Schemas that `spanreel schema <name>` prints: one for every object that a command prints with `--json`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanreel.replay.timeline import Frozen

MODELS = {
    "replay": "spanreel.replay.timeline:Replay",
    "runs": "spanreel.replay.timeline:RunList",
    "diff": "spanreel.replay.compare:ReplayComparison",
}
"""Schema name -> `module:class`, imported when it is asked for."""


def model(name: str) -> type[Frozen]:
    """The model of that name.

    Raises:
        KeyError: there is no such schema.
    """
    module, _, attribute = MODELS[name].partition(":")
    return getattr(import_module(module), attribute)


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what is printed under `"schema": "spanreel.<name>.v1"`.

    Raises:
        KeyError: there is no such schema.
    """
    found = model(name).model_json_schema(by_alias=True, mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"spanreel.{name}.v1", **found}
