"""Deletes the contents, chain nodes and shapes that no span refers to any more.

Mark and sweep over fragments: it must not know what a value means. Whoever calls it has begun the transaction.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from spanreel.collector.store.contents import FLAT

_SOURCES = (
    "SELECT attributes FROM span WHERE attributes IS NOT NULL",
    "SELECT events FROM span WHERE events IS NOT NULL",
    "SELECT links FROM span WHERE links IS NOT NULL",
    "SELECT attributes FROM shape",
    "SELECT attributes FROM resource",
    "SELECT attributes FROM scope",
)


def sweep(connection: sqlite3.Connection) -> None:
    """Delete every row that nothing refers to."""
    connection.execute("DELETE FROM shape WHERE id NOT IN (SELECT shape FROM span)")
    marks = _Marks(connection)
    for query in _SOURCES:
        for (text,) in connection.execute(query):
            marks.read(str(text))
    marks.follow()
    for table, kept in (("content", marks.contents), ("node", marks.nodes)):
        connection.execute("CREATE TEMP TABLE IF NOT EXISTS kept(id INTEGER PRIMARY KEY)")
        connection.execute("DELETE FROM kept")
        connection.executemany("INSERT INTO kept VALUES (?)", ((number,) for number in kept))
        connection.execute(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM kept)")  # noqa: S608
    connection.execute("DROP TABLE kept")


class _Marks:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._decoder = json.JSONDecoder(object_hook=self._see)
        self._arrays: set[int] = set()
        self._heads: set[int] = set()
        self.contents: set[int] = set()
        self.nodes: set[int] = set()

    def read(self, fragment: str) -> None:
        """Mark what a fragment refers to directly."""
        if "$" in fragment:
            self._decoder.decode(fragment)

    def _see(self, found: dict[str, Any]) -> None:
        number = found.get("$content")
        if isinstance(number, int):
            self.contents.add(number)
        array = found.get("$array")
        if isinstance(array, int):
            self._arrays.add(array)
            self._heads.add(array)
        for name, value in found.items():
            if name.startswith(FLAT) and isinstance(value, list):
                self._arrays.add(value[0])
                self._heads.add(value[0])
        cut = found.get("$cut")
        if isinstance(cut, list):
            if isinstance(cut[0], int):
                self.contents.add(cut[0])
            self._heads.update(fill[1] for fill in cut[1] if fill[1] > 0)
            self.contents.update(-fill[1] for fill in cut[1] if fill[1] < 0)

    def follow(self) -> None:
        """Mark the chains, their elements, and what the elements of structured arrays refer to in turn."""
        while self._heads:
            heads, self._heads = self._heads, set()
            within = self._arrays
            self._arrays = set()
            for head in heads:
                self._chain(head, head in within)

    def _chain(self, node: int, structured: bool) -> None:
        while node and (structured or node not in self.nodes):
            parent, content = self._connection.execute(
                "SELECT parent, content FROM node WHERE id = ?", (node,)
            ).fetchone()
            self.nodes.add(node)
            self.contents.add(content)
            if structured:
                data = self._connection.execute(
                    "SELECT data FROM content WHERE id = ? AND codec = 0", (content,)
                ).fetchone()
                if data:
                    self.read(str(data[0]))
            node = parent
