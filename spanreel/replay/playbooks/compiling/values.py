"""What kind of value it is: how much equality of two of them says, what it looks like, whether a text mentions it.

Quiet. Two equal values prove little where such values are common: flags, small numbers, short words (`weak`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from spanreel.replay.playbooks.conditions import equal
from spanreel.wire.content import canonical_json

FORMATS: Final[dict[str, re.Pattern[str]]] = {
    "uuid": re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"),
    "date-time": re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"),
    "date": re.compile(r"\d{4}-\d{2}-\d{2}"),
    "email": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "uri": re.compile(r"[a-z][a-z0-9+.-]*://\S+"),
    "money": re.compile(r"(?:[$€£¥]\s?\d[\d,]*(?:\.\d+)?|\d[\d,]*(?:\.\d{2})\s?(?:USD|EUR|GBP|CHF))"),
    "path": re.compile(r"(?:~|\.{1,2})?/?(?:[\w.-]+/)+[\w.-]*|/[\w.-]+|[\w-]+\.[A-Za-z]{1,5}"),
}
"""What a text looks like, the first that fits wins; the whole of it has to."""
PATTERNS: Final = {"email": r"[^@\s]+@[^@\s]+", "uri": r"\S+", "path": r"\S+"}
"""Wider than how it is recognised: a pattern refuses, so it must not know better than the tool."""
_RUNS: Final = re.compile(r"\d+|[A-Za-z]+|.", re.DOTALL)
ERRORS: Final = re.compile(r"\s*(?:error|exception|traceback|failed)\b", re.IGNORECASE)


def key(value: Any) -> str:
    """Equal exactly for equal JSON values; 1 is 1.0, True is neither."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return canonical_json(value)


def same(values: Iterable[Any]) -> bool:
    """Whether they are all equal."""
    first, *others = values
    return all(equal(first, other) for other in others)


def scalar(value: Any) -> bool:
    """Whether it is neither an object nor a list."""
    return not isinstance(value, (Mapping, list, tuple))


def weak(value: Any) -> bool:
    """Whether two such values may well be equal by chance."""
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return not math.isfinite(value) or len(re.sub(r"[^0-9]", "", f"{value:.10g}").strip("0")) < 5
    if isinstance(value, str):
        if format_of(value) in ("uuid", "email", "uri", "date-time"):
            return False
        digits = sum(letter.isdigit() for letter in value)
        return not (
            (len(value) >= 6 and digits >= 3) or (len(value) >= 5 and digits >= 4) or len(value) >= 24
        )
    parts: Sequence[Any] = list(value.values()) if isinstance(value, Mapping) else value
    return not any(not weak(part) for part in parts)


def names_data(value: Any) -> bool:
    """Whether it names something of the world, as a person or an amount does, although two may well be equal."""
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, (int, float)):
        return abs(value) >= 100 or (isinstance(value, float) and not value.is_integer())
    if isinstance(value, str):
        return len(value) >= 3 and (value[0].isupper() or any(letter.isdigit() for letter in value))
    return False


def format_of(value: Any) -> str | None:
    """Which of `FORMATS` it is."""
    if not isinstance(value, str):
        return None
    return next((name for name, pattern in FORMATS.items() if pattern.fullmatch(value)), None)


def json_type(value: Any) -> str:
    """Its JSON type, as JSON Schema names it."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "object" if isinstance(value, Mapping) else "array"


def common_type(values: Sequence[Any]) -> str | None:
    """The JSON type that they all have; None if there is none."""
    types = {json_type(value) for value in values}
    if types == {"integer", "number"}:
        return "number"
    return types.pop() if len(types) == 1 else None


def mentions(text: str, value: Any) -> bool:
    """Whether a text has this value as a word or words of its own, however it is capitalised."""
    if value is None or isinstance(value, bool) or not scalar(value):
        return False
    wanted = value if isinstance(value, str) else json.dumps(value)
    if not wanted.strip():
        return False
    return any(_stands_alone(text, at, len(wanted)) for at in _finds(text.casefold(), wanted.casefold()))


def _finds(text: str, wanted: str) -> Iterator[int]:
    at = text.find(wanted)
    while at >= 0:
        yield at
        at = text.find(wanted, at + 1)


def _stands_alone(text: str, at: int, length: int) -> bool:
    def word(letter: str) -> bool:
        return letter.isalnum() or letter == "_"

    if at + length > len(text):
        return False
    before = text[at - 1] if at else " "
    after = text[at + length] if at + length < len(text) else " "
    first, last = text[at], text[at + length - 1]
    number = first.isdigit() and re.search(r"\d[.,]$", text[max(0, at - 2) : at]) is not None
    longer = last.isdigit() and re.match(r"[.,]\d", text[at + length :]) is not None
    return (
        not (word(before) and word(first)) and not (word(after) and word(last)) and not number and not longer
    )


def pattern_of(values: Sequence[Any]) -> str | None:
    """A regular expression that identifiers of this kind fit; None for words, numbers and what has no one form.

    Letters are taken literally where many different values share them, or where they are a short mark such as `#W`.
    """
    texts = list(dict.fromkeys(value for value in values if isinstance(value, str)))
    if not texts or len(texts) != len({key(value) for value in values}):
        return None
    forms = {format_of(text) for text in texts}
    form = forms.pop() if len(forms) == 1 else None
    if form in PATTERNS:
        return PATTERNS[form]
    if form in ("uuid", "date", "date-time"):
        return FORMATS[form].pattern
    if form is not None or any(
        not any(c.isdigit() for c in text) or re.search(r"\s", text) for text in texts
    ):
        return None
    rows = [_RUNS.findall(text) for text in texts]
    shapes = {tuple(_shape(run) for run in row) for row in rows}
    if len(shapes) != 1:
        return r"\S+"
    parts: list[str] = []
    for runs in zip(*rows, strict=True):
        alike = len(set(runs)) == 1
        if runs[0][0].isdigit():
            parts.append(r"\d+")
        elif runs[0][0].isalpha() and not (alike and (len(texts) > 3 or len(runs[0]) <= 2)):
            parts.append("[A-Za-z]+")
        else:
            parts.append(re.sub(r"([.^$*+?()\[\]{}|\\])", r"\\\1", runs[0]))
    return "".join(parts)


def _shape(run: str) -> str:
    return "0" if run[0].isdigit() else "a" if run[0].isascii() and run[0].isalpha() else run


def looks_failed(result: Any) -> str | None:
    """What a result that tells of a failure says; None for every other."""
    if isinstance(result, str) and ERRORS.match(result) and len(result) < 500:
        return result.strip().splitlines()[0]
    if isinstance(result, Mapping) and result.get("error") and len(result) <= 3:
        return f"error: {result['error']}"
    return None
