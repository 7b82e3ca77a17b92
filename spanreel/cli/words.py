"""Words of the command line: names of runs, times of the reader's clock, values on one line.

Text in, text out; nothing is printed here. What steps, values and differences look like as text is
`replay.report.text`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

_UNSAFE_IN_JSON = re.compile(r"[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def safe_json(text: str) -> str:
    """JSON text with the characters that act on a terminal escaped; it means the same."""
    return _UNSAFE_IN_JSON.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def flat(value: Any) -> str:
    """A value on one line, cleaned: text as it reads, anything else as JSON."""
    from spanreel.replay.report.text import LONG, one_line

    return one_line(value, LONG)


def quoted(value: Any) -> str:
    """A value on one line as JSON, so text is in quotation marks."""
    return flat(json.dumps(value, ensure_ascii=False, default=str))


def moment(timestamp: str | None, now: datetime | None = None) -> str:
    """A RFC 3339 time as the reader's clock shows it: today ``14:02:11``, this year ``Nov 21 14:02``, else the date."""
    if not timestamp:
        return "–"
    try:
        at = datetime.fromisoformat(timestamp).astimezone()
    except (ValueError, OverflowError, OSError):
        return flat(timestamp)
    now = (now or datetime.now()).astimezone()
    if at.date() == now.date():
        return at.strftime("%H:%M:%S")
    return at.strftime("%b %d %H:%M") if at.year == now.year else at.strftime("%Y-%m-%d")


def plural(number: int, noun: str) -> str:
    """``1 step``, ``6 steps``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def short_ids(run_ids: Sequence[str], least: int = 8) -> dict[str, str]:
    """The shortest prefix of each id, of at least `least` characters, that no other of them has."""
    from spanreel.replay.wording import common_start

    ordered = sorted(set(run_ids))
    shorts: dict[str, str] = {}
    for position, run_id in enumerate(ordered):
        neighbours = ordered[max(0, position - 1) : position] + ordered[position + 1 : position + 2]
        need = max([least, *(common_start(run_id, other) + 1 for other in neighbours)])
        shorts[run_id] = run_id[:need]
    return shorts
