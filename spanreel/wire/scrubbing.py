"""Take out of text what a run mints anew: uuids, times, addresses, long hex, paths of temporary files.

Uuids, hex and paths become `<uuid:1>`, `<hex:2>`, … in order of first appearance, so that which of them are equal stays
visible. Times and addresses become `<time>` and `<address>`: whether two of them are equal is chance (a clock's tick,
a freed object's place). A bare date counts as a time, since prompts say what day it is; so does the date of a flight:
that is why this is the last identity that is tried, and what it serves is called equivalent and never exact.

What is of the user's is left alone as far as its shape can tell: a number of 16 digits (a card) is no hex. One of ten
digits that would be a second of the years 2025 to 2034 is taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_DAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?"
    r"|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_ZONE = r"(?:\s?(?:z|utc|gmt|[+-]\d\d:?\d\d)\b)?"
_CLOCK = rf"\d{{1,2}}:\d\d(?::\d\d(?:[.,]\d+)?)?(?:\s?[ap]\.?m\b\.?)?{_ZONE}"
_DIGITS_DATE = (
    r"(?:\d{4}-\d\d-\d\d|\d{4}/\d\d?/\d\d?|\d\d?/\d\d?/\d{4}|\d\d?\.\d\d?\.\d{4}"
    rf"|\d\d?(?:st|nd|rd|th)?[\s-](?:of\s)?{_MONTH}\.?,?[\s-]\d{{4}})"
)
_WORDS_DATE = (
    rf"(?:{_MONTH}\.?\s\d\d?(?:st|nd|rd|th)?,?\s\d{{4}}"
    rf"|{_DAY},?\s(?:{_DIGITS_DATE}|{_MONTH}\.?\s\d\d?(?:st|nd|rd|th)?,?\s\d{{4}}"
    rf"|{_MONTH}\s+\d\d?\s{_CLOCK}(?:\s[a-z]{{3,4}})?\s\d{{4}}))"
)
_ON = rf"(?:(?:t|,?\s(?:at\s)?){_CLOCK})?(?:\s\({_DAY}\))?"
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_TEMP = r"(?:/private)?/(?:tmp|var/tmp|var/folders/[^/\s]+/[^/\s]+/T|dev/shm)|[a-z]:\\(?:[^\\\s\"]+\\)*?Te?mp"
_NAME = r"[^\s\"'`<>|,;:()\[\]{}/\\]+"

_CLOCK_TIME = rf"\d\d:\d\d:\d\d(?:[.,]\d+)?{_ZONE}"
_EPOCH = r"(?<!\.)(?:17[5-9]|1[89]\d|20[0-4])\d{7}(?:\d{3}|\d{6}|\d{9})?(?:\.\d+)?"
_HEX = r"(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{16,128}"
_PATH = rf"(?:{_TEMP})[/\\](?:(?:{_NAME}[/\\])*tmp[a-z0-9_]{{6,}}|(?:{_NAME}[/\\])*(?={_NAME})|{_NAME})"

_PATTERN: Final = re.compile(
    # What follows a letter or a digit is part of a longer word; what cannot begin a match is passed over at once.
    rf"""(?<![A-Za-z0-9])(?=[\da-fjmnostw/]|[a-z]:)(?:(?:
        (?=[0-9a-f]{{8}}-)(?P<uuid>{_UUID})
        |(?=\d)(?:(?P<time>{_DIGITS_DATE}{_ON}|{_CLOCK_TIME})|(?P<epoch>{_EPOCH})|(?P<address>0x[0-9a-f]{{6,16}}))
        |(?P<hex>{_HEX})
        |(?=[adfjmnostw])(?P<date>{_WORDS_DATE}{_ON})
    )(?![A-Za-z0-9])|(?<![\w/])(?P<path>{_PATH}))""",
    re.IGNORECASE | re.ASCII | re.VERBOSE,
)
_PLACEHOLDER: Final = {"epoch": "time", "date": "time"}
_COUNTED: Final = frozenset({"uuid", "hex", "path"})
_EPOCHS: Final = tuple((1.75e9 * unit, 2.05e9 * unit) for unit in (1, 1e3, 1e6, 1e9))


@dataclass(slots=True)
class Scrubber:
    """Replaces what is minted, over one request.

    Attributes:
        taken: what was replaced, in order: the first appearance of what is counted, and each time and address.
    """

    taken: list[str] = field(default_factory=list[str])
    _names: dict[str, str] = field(default_factory=dict[str, str])

    def copy(self) -> Scrubber:
        """One that goes on from here by itself."""
        return Scrubber(list(self.taken), dict(self._names))

    def text(self, text: str) -> str:
        """The text with placeholders."""
        return _PATTERN.sub(self._placeholder, text)

    def number(self, value: float) -> float | str:
        """A number that is a time since 1970, in any of the usual units, as a placeholder; others as they are."""
        if isinstance(value, bool) or not any(low <= value < high for low, high in _EPOCHS):
            return value
        self.taken.append(repr(value))
        return "<time>"

    def value(self, value: Any) -> Any:
        """A JSON value with placeholders in its strings and numbers; keys are left as they are, and come sorted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, (int, float)):
            return self.number(value)
        if isinstance(value, Mapping):
            return {key: self.value(value[key]) for key in sorted(value)}
        return [self.value(item) for item in value] if isinstance(value, (list, tuple)) else value

    def _placeholder(self, found: re.Match[str]) -> str:
        kind = found.lastgroup or ""
        kind = _PLACEHOLDER.get(kind, kind)
        text = found[0]
        if kind not in _COUNTED:
            self.taken.append(text)
            return f"<{kind}>"
        key = text.lower() if kind != "path" else text.rstrip("/\\")
        if key not in self._names:
            self._names[key] = f"<{kind}:{len(self._names) + 1}>"
            self.taken.append(text)
        return self._names[key] + (text[-1] if kind == "path" and text[-1] in "/\\" else "")
