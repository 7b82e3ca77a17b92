"""Short names for attributes: a span's row says `$7` where the table attribute_key says what 7 is.

It must not know what an attribute means. The names of the conventions are there from the start, so that views can rely
on them; others are added as they come, up to a bound, and are spelled out beyond it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from spanreel.wire import attributes as names

FIRST: Final = {
    names.INPUT_MESSAGES: "input", names.OUTPUT_MESSAGES: "output", names.SYSTEM_INSTRUCTIONS: "system",
    names.TOOL_DEFINITIONS: "tool definition", names.TOOL_CALL_ARGUMENTS: "tool arguments",
    names.TOOL_CALL_RESULT: "tool result", "input.value": "input", "output.value": "output",
    names.RUN_INPUT: "run input", names.RUN_OUTPUT: "run output", names.HTTP_REQUEST_BODY: "request body",
    names.HTTP_RESPONSE_BODY: "response body",
}  # fmt: skip
"""The names with numbers from 1, those that hold content, and what people call it. Contents name their role by these too."""
_MOST: Final = 5000
_LENGTHS: Final = range(4, 100)


class Keys:
    """The names of a store. `load` before anything else, and again when another process may have written."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._short: dict[str, str] = {}
        self._long: dict[str, str] = {}

    def load(self) -> None:
        """Read the table."""
        rows = self._connection.execute("SELECT id, name FROM attribute_key").fetchall()
        self._short = {str(name): f"${number}" for number, name in rows}
        self._long = {short: name for name, short in self._short.items()}

    def shortened(self, members: Mapping[str, str]) -> dict[str, str]:
        """The members of a row under their short names; names met for the first time are added to the table."""
        return {self._short.get(name) or self._added(name): member for name, member in members.items()}

    def spelled(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `shortened`."""
        return {self._long.get(name, name): member for name, member in members.items()}

    def _added(self, name: str) -> str:
        if name[:1] == "$" or len(name) not in _LENGTHS or len(self._short) >= _MOST:
            return name
        cursor = self._connection.execute("INSERT INTO attribute_key(name) VALUES (?)", (name,))
        short = self._short[name] = f"${cursor.lastrowid}"
        self._long[short] = name
        return short
