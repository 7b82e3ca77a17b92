"""How two texts differ, word by word. Values in, values out; how a difference is drawn is for whoever shows it.

Bounded: common beginnings and ends are cut off first; where very many words remain, those that occur everywhere are no
anchors, and beyond that the rest is one change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import compress, count
from operator import ne
from typing import Any

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_GLUE = re.compile(r"[^\S\n]{1,2}|[^\w\s]")
_EVERY_WORD = 2_250_000  # pairs of words: up to here every word may be an anchor
_ONE_CHANGE = 400_000_000  # pairs of words: beyond this nothing is looked for
_AROUND = 12


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of words: in the one text and in the other. Equal on both sides: nothing changed here."""

    one: str
    other: str

    @property
    def equal(self) -> bool:
        """Whether it is the same on both sides."""
        return self.one == self.other


def word_diff(one: str, other: str) -> list[Change]:
    """The texts as equal and changed stretches, a replaced phrase in one; joined up, each side is its text again."""
    return list(_phrases(_stretches(one, other)))


def marked(changes: Sequence[Change]) -> str:
    """One line or more: `[-one-]{+other+}`, with equal stretches shortened to what stands around the changes."""
    return "".join(_pieces(changes))


def similarity(one: str, other: str) -> float:
    """From 0, nothing in common, to 1, the same; by the share of equal words."""
    if one == other:
        return 1.0
    equal = sum(len(change.one) for change in _stretches(one, other) if change.equal)
    return 2 * equal / max(1, len(one) + len(other))


def common_start(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many items two sequences begin with alike."""
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return shorter
    return next(compress(count(), map(ne, one, other)), shorter)


def _stretches(one: str, other: str) -> Iterator[Change]:
    a, b = _WORDS.findall(one), _WORDS.findall(other)
    head = common_start(a, b)
    tail = common_start(a[head:][::-1], b[head:][::-1])
    if head:
        yield Change("".join(a[:head]), "".join(a[:head]))
    yield from _middle(a[head : len(a) - tail], b[head : len(b) - tail])
    if tail:
        yield Change("".join(a[-tail:]), "".join(a[-tail:]))


def _middle(a: list[str], b: list[str]) -> Iterator[Change]:
    pairs = len(a) * len(b)
    if pairs > _ONE_CHANGE:
        yield Change("".join(a), "".join(b))
        return
    for _, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=pairs > _EVERY_WORD).get_opcodes():
        yield Change("".join(a[a0:a1]), "".join(b[b0:b1]))


def _phrases(stretches: Iterable[Change]) -> Iterator[Change]:
    """A space or a mark alone between two changes belongs to them: `a b` → `c d` is one change, not two.

    It stays apart at the end, and where it ends a line.
    """
    one = other = between = ""
    for change in stretches:
        if not change.equal:
            one, other, between = one + between + change.one, other + between + change.other, ""
        elif (one or other) and not between and _GLUE.fullmatch(change.one):
            between = change.one
        else:
            yield from _apart(one, other, between)
            one = other = between = ""
            yield change
    yield from _apart(one, other, between)


def _apart(one: str, other: str, between: str) -> Iterator[Change]:
    if one or other:
        yield Change(one, other)
    if between:
        yield Change(between, between)


def _pieces(changes: Sequence[Change]) -> Iterator[str]:
    for place, change in enumerate(changes):
        if change.equal:
            yield _shortened(change.one, first=place == 0, last=place == len(changes) - 1)
            continue
        if change.one:
            yield f"[-{_clipped(change.one)}-]"
        if change.other:
            yield f"{{+{_clipped(change.other)}+}}"


def _shortened(text: str, *, first: bool, last: bool) -> str:
    words = _WORDS.findall(text)
    before = [] if first else words[:_AROUND]
    after = [] if last else words[-_AROUND:]
    if len(before) + len(after) >= len(words):
        return text
    return "".join([*before, "…", *after])


def _clipped(text: str, limit: int = 2000) -> str:
    return text if len(text) <= limit else text[:limit] + f"… ({len(text) - limit} more characters)"
