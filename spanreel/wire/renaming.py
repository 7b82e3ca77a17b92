"""Ids that a run mints anew, renamed in order of appearance; lists of tools in one order. Values in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spanreel.wire.content import canonical_json

_ID_KEYS = frozenset(
    {
        "id",
        "call_id",
        "tool_call_id",
        "tool_use_id",
        "toolUseId",
        "item_id",
        "response_id",
        "previous_response_id",
    }
)
_PAYLOADS = frozenset(
    {
        "arguments",
        "args",
        "input_schema",
        "parameters",
        "schema",
        "json_schema",
        "json",
        "inputSchema",
        "properties",
    }
)
"""Keys below which an `id` is the user's: an argument, a result, a schema."""
_CALL_TYPES = ("tool_use", "server_tool_use", "mcp_tool_use", "custom_tool_call")
_TOOL_LISTS = frozenset({"tools", "functions", "functionDeclarations", "function_declarations"})
_ID_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:call|toolu|tooluse|srvtoolu|mcptoolu|fc|fco|ctc|msg|resp|rs|ws|mcp|run|step|thread|chatcmpl)[_-](?:vrtx_|bdrk_)?"
    r"(?=[A-Za-z]*[0-9])[A-Za-z0-9]{12,}"
    r"|(?:adk-|pyd_ai_|af-call-|lc_run--)[0-9a-f-]{16,})"
)


class Repeats(dict[str, str]):
    """Names for ids in order of first appearance."""

    def __missing__(self, identity: str) -> str:
        name = self[identity] = f"<id:{len(self) + 1}>"
        return name


@dataclass(slots=True)
class Renaming:
    """Renames ids: which ids are equal stays visible, what they are does not.

    Attributes:
        names: the new name of each id, in order of appearance.
    """

    names: Repeats = field(default_factory=Repeats)

    def copy(self) -> Renaming:
        """One that goes on from here by itself."""
        return Renaming(Repeats(self.names))

    def value(self, value: Any, protocol: bool = True) -> Any:
        """The value with its ids renamed; outside the protocol's own objects only tokens that look like ids are."""
        if isinstance(value, str):
            return _ID_TOKEN.sub(lambda found: self.names[found[0]], value)
        if isinstance(value, list):
            return [self.value(item, protocol) for item in value]
        if not isinstance(value, Mapping):
            return value
        return {key: self._field(key, value, protocol) for key in sorted(value)}

    def _field(self, key: str, owner: Mapping[str, Any], protocol: bool) -> Any:
        item = owner[key]
        if protocol and key in _ID_KEYS and isinstance(item, str):
            return self.names[item]
        payload = key in _PAYLOADS or (key == "input" and owner.get("type") in _CALL_TYPES)
        return self.value(item, protocol and not payload)


def sorted_tools(value: dict[str, Any]) -> dict[str, Any]:
    """The body with the tool lists at its top, and those within them, in the order of their text."""
    return {
        key: _sorted_list(item) if key in _TOOL_LISTS and isinstance(item, list) else item
        for key, item in value.items()
    }


def _sorted_list(tools: list[Any]) -> list[Any]:
    return sorted(
        (sorted_tools(tool) if isinstance(tool, dict) else tool for tool in tools), key=canonical_json
    )
