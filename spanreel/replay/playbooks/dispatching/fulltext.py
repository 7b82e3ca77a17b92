"""LOUD: the words of texts, as SQLite's full-text search sees them: folded, stemmed, in any script. In memory only."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Final

STOP: Final = (
    "a an and are as at be been but by can could do does for from had has have he her his how i if in into is it its let me"
    " my new not of on one or other our out please she should so some that the their them then there these they this to"
    " up us was we were what when where which who will with would you your"
    " want wants wanted need needs like just also hi hello hey thank thanks help d ll m re s t ve"
)
"""Words that say nothing of what a task is about."""


def stems(texts: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The words of each text, stemmed, each once and in order, without those that say nothing.

    Args:
        texts: by any key.
    """
    keys = list(texts)
    with closing(sqlite3.connect(":memory:")) as memory:
        memory.execute("CREATE VIRTUAL TABLE said USING fts5(words, tokenize = 'porter unicode61')")
        memory.execute("CREATE VIRTUAL TABLE stem USING fts5vocab(said, 'instance')")
        spoken = [STOP, *(texts[key].replace("_", " ") for key in keys)]
        memory.executemany("INSERT INTO said(rowid, words) VALUES (?, ?)", enumerate(spoken, 1))
        found: list[dict[str, None]] = [{} for _ in spoken]
        for term, document in memory.execute('SELECT term, doc FROM stem ORDER BY doc, "offset"'):
            found[document - 1][term] = None
    silent = found[0].keys()
    return {
        key: tuple(word for word in words if word not in silent)
        for key, words in zip(keys, found[1:], strict=True)
    }
