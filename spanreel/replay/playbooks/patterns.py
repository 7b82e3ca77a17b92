"""Regular expressions that a playbook brings along, searched with an end: neither a pattern nor a text can make it hang.

Quiet. Patterns are those of the `regex` package; `$` at the end of one is the very end of the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import prod
from typing import Any, Final

SECONDS: Final = 1.0
"""How long one may search."""
LONGEST: Final = 5_000
MOST_REPEATS: Final = 1_000_000
"""Of the counts in a pattern, multiplied: nested ones are written out when it is compiled."""

_COUNT = re.compile(r"\{(\d{1,9})?(?:,(\d{1,9})?)?\}")


class NoPattern(ValueError):
    """What is no regular expression, or one that costs too much. Its text says why."""


@lru_cache(maxsize=1024)
def compiled(pattern: str) -> Any:
    """A pattern, ready to search.

    Raises:
        NoPattern: it is none.
    """
    import regex

    if len(pattern) > LONGEST:
        raise NoPattern(f"a pattern of {len(pattern):,} characters")
    counts = (max(int(low or 0), int(high or 0)) for low, high in _COUNT.findall(pattern))
    if prod(count for count in counts if count) > MOST_REPEATS:
        raise NoPattern("a pattern that repeats too often")
    strict = rf"{pattern[:-1]}\Z" if re.search(r"(?<!\\)(?:\\\\)*\$$", pattern) else pattern
    try:
        return regex.compile(strict)
    except (regex.error, RecursionError, OverflowError, ValueError) as error:
        raise NoPattern(str(error)) from None


def occurs(pattern: Any, text: str) -> bool:
    """Whether a pattern is found in a text.

    Raises:
        NoPattern: it is none, or searched for too long.
    """
    if not isinstance(pattern, str):
        raise NoPattern(f"{pattern!r} is no pattern")
    try:
        return compiled(pattern).search(text, timeout=SECONDS) is not None
    except TimeoutError:
        raise NoPattern(f"the pattern {pattern!r} searched for longer than {SECONDS:g} s") from None


def whole(pattern: Any, text: str) -> bool:
    """Whether the whole of a text fits a pattern.

    Raises:
        NoPattern: it is none, or searched for too long.
    """
    return occurs(f"^(?:{pattern})$" if isinstance(pattern, str) else pattern, text)
