"""How two texts differ, word by word, in a form that people read: `[-recorded-]{+asked+}`. Values in, values out.

Bounded: common beginnings and ends are cut off first; where thousands of words remain, they are one change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORDS = re.compile(r"\w+|\s+|[^\w\s]")
_LIMIT = 1500
_AROUND = 12


@dataclass(frozen=True, slots=True)
class Change:
    """A stretch of words: as recorded, and as asked. Equal on both sides: nothing changed here."""

    recorded: str
    asked: str

    @property
    def equal(self) -> bool:
        """Whether it is the same on both sides."""
        return self.recorded == self.asked


def word_diff(recorded: str, asked: str) -> list[Change]:
    """The texts as alternating equal and changed stretches; joined up, each side is its whole text again."""
    a, b = _WORDS.findall(recorded), _WORDS.findall(asked)
    head = _common(a, b)
    tail = _common(a[head:][::-1], b[head:][::-1])
    middle_a, middle_b = a[head : len(a) - tail], b[head : len(b) - tail]
    changes = [Change("".join(a[:head]), "".join(a[:head]))] if head else []
    changes += _middle(middle_a, middle_b)
    if tail:
        end = "".join(a[len(a) - tail :])
        changes.append(Change(end, end))
    return changes


def marked(changes: Sequence[Change]) -> str:
    """One line or more: `[-recorded-]{+asked+}`, with equal stretches shortened to what stands around the changes."""
    return "".join(_pieces(changes))


def similarity(recorded: str, asked: str) -> float:
    """From 0, nothing in common, to 1, the same; by the share of equal words."""
    if recorded == asked:
        return 1.0
    changes = word_diff(recorded, asked)
    equal = sum(len(change.recorded) for change in changes if change.equal)
    return 2 * equal / max(1, len(recorded) + len(asked))


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    count = 0
    for left, right in zip(a, b, strict=False):
        if left != right:
            break
        count += 1
    return count


def _middle(a: list[str], b: list[str]) -> Iterator[Change]:
    if len(a) > _LIMIT or len(b) > _LIMIT:
        yield Change("".join(a), "".join(b))
        return
    for _, a0, a1, b0, b1 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        yield Change("".join(a[a0:a1]), "".join(b[b0:b1]))


def _pieces(changes: Sequence[Change]) -> Iterator[str]:
    for place, change in enumerate(changes):
        if change.equal:
            yield _shortened(change.recorded, first=place == 0, last=place == len(changes) - 1)
            continue
        if change.recorded:
            yield f"[-{_clipped(change.recorded)}-]"
        if change.asked:
            yield f"{{+{_clipped(change.asked)}+}}"


def _shortened(text: str, *, first: bool, last: bool) -> str:
    words = _WORDS.findall(text)
    before = [] if first else words[:_AROUND]
    after = [] if last else words[-_AROUND:]
    if len(before) + len(after) >= len(words):
        return text
    return "".join([*before, "…", *after])


def _clipped(text: str, limit: int = 2000) -> str:
    return text if len(text) <= limit else text[:limit] + f"… ({len(text) - limit} more characters)"
