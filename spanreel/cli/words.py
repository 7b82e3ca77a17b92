"""Values as a person reads them: durations, counts, money, times, arguments in one line.

Text in, text out; nothing is printed here. Whatever a model, a tool or a file said goes through `clean`
before it reaches a terminal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

# ESC sequences (CSI, OSC and the like with what they carry), then the controls that act alone; last the
# characters that turn the direction of a line round.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c|$)|\x1b[ -/]*[0-~]?",
    re.DOTALL,
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")

ELLIPSIS = "…"


def clean(text: str) -> str:
    """The text without anything that acts on a terminal; newlines and tabs stay."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", text.replace("\r\n", "\n")))


def safe_json(text: str) -> str:
    """JSON text with the characters that act on a terminal escaped; it means the same."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def one_line(text: str) -> str:
    """The text cleaned, every run of white space one blank."""
    return " ".join(clean(text).split())


def shortened(text: str, width: int) -> str:
    """At most `width` characters, an ellipsis in place of the rest."""
    return text if len(text) <= width else text[: max(0, width - 1)] + ELLIPSIS


def value(found: Any) -> str:
    """A JSON value in one line; text as it is."""
    if isinstance(found, str):
        return one_line(found)
    return one_line(json.dumps(found, ensure_ascii=False, default=str))


def quoted(found: Any) -> str:
    """A JSON value in one line, text in quotation marks."""
    return one_line(json.dumps(found, ensure_ascii=False, default=str))


def call(name: str, arguments: Any) -> str:
    """A tool call as code writes it: ``refund(order_id="1042", amount=64.5)``."""
    if isinstance(arguments, dict):
        inside = ", ".join(f"{key}={quoted(item)}" for key, item in arguments.items())
    else:
        inside = "" if arguments is None else value(arguments)
    return f"{one_line(name)}({inside})"


def duration(milliseconds: float | None) -> str:
    """``812ms``, ``4.1s``, ``3m 12s``, ``2h 05m``; a dash for what is not known."""
    if milliseconds is None:
        return "–"
    if abs(milliseconds) < 9.95:
        return f"{milliseconds:.1f}ms"
    if abs(milliseconds) < 999.5:
        return f"{milliseconds:.0f}ms"
    seconds = milliseconds / 1000
    if abs(seconds) < 59.95:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"


def count(number: int | None) -> str:
    """``1,017``, from a million on ``1.2M``; a dash for what is not known."""
    if number is None:
        return "–"
    return f"{number:,}" if abs(number) < 1_000_000 else f"{number / 1_000_000:.1f}M"


def money(dollars: str | None) -> str:
    """``$12.40``, small sums to four places; a dash for what is not known."""
    if dollars is None:
        return "–"
    try:
        amount = Decimal(dollars)
    except InvalidOperation:
        return one_line(dollars)
    sign, amount = ("-" if amount < 0 else ""), abs(amount)
    if 0 < amount < Decimal("0.0001"):
        return f"{sign}<$0.0001"
    return f"{sign}${amount:.2f}" if amount >= 1 or amount == 0 else f"{sign}${amount:.4f}"


def moment(timestamp: str | None, now: datetime | None = None) -> str:
    """A RFC 3339 time as the reader's clock shows it: today ``14:02:11``, this year ``Nov 21 14:02``, else the date."""
    if not timestamp:
        return "–"
    try:
        at = datetime.fromisoformat(timestamp).astimezone()
    except (ValueError, OverflowError, OSError):
        return one_line(timestamp)
    now = (now or datetime.now()).astimezone()
    if at.date() == now.date():
        return at.strftime("%H:%M:%S")
    return at.strftime("%b %d %H:%M") if at.year == now.year else at.strftime("%Y-%m-%d")


def plural(number: int, noun: str) -> str:
    """``1 step``, ``6 steps``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def short_ids(run_ids: Sequence[str], least: int = 8) -> dict[str, str]:
    """The shortest prefix of each id, of at least `least` characters, that no other of them has."""
    ordered = sorted(set(run_ids))
    shorts: dict[str, str] = {}
    for position, run_id in enumerate(ordered):
        neighbours = ordered[max(0, position - 1) : position] + ordered[position + 1 : position + 2]
        need = max([least, *(_shared(run_id, other) + 1 for other in neighbours)])
        shorts[run_id] = run_id[:need]
    return shorts


def _shared(one: str, other: str) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length
