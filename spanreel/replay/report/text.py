"""Steps, values and differences as plain text. Quiet: no colours and no terminal; the command line adds those.

What a model or a tool said is never printed as it came: `clean` takes out everything that a terminal obeys.
"""

from __future__ import annotations

import json
import re
import unicodedata
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from spanreel.replay import conversation

if TYPE_CHECKING:
    from spanreel.replay.timeline import ReplayStep, ToolCallRecord

LONG = 4000  # more columns than any terminal has

_ESCAPE = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI … final byte
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)"  # OSC, DCS, SOS, PM, APC … terminator
    r"|\x1b[ -/]*[0-~]"  # other escapes
    r"|\x9b[0-?]*[ -/]*[@-~]",  # CSI in one byte
    re.DOTALL,
)
# Control characters but tab and line feed, and those that reorder, hide or break what is read.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]"
)


def clean(text: str) -> str:
    """The text without control sequences and control characters; tabs and line feeds stay."""
    unfolded = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ESCAPE.sub("", unfolded)).encode("utf-8", "replace").decode("utf-8")


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def truncated(text: str, width: int) -> str:
    """At most `width` columns of the text; an ellipsis stands for what was cut."""
    if cells(text) <= width:
        return text
    room, kept = max(0, width - 1), 0
    for index, character in enumerate(text):
        kept += _cells(character)
        if kept > room:
            return text[:index].rstrip() + "…" if width > 0 else ""
    return text


def one_line(value: Any, width: int = 80) -> str:
    """A value on one line of at most `width` columns: text as it reads, anything else as compact JSON."""
    if value is None:
        return ""
    if not isinstance(value, str):
        value = json.dumps(value, ensure_ascii=False, separators=(", ", ": "), default=str)
    return truncated(" ".join(clean(value[: 16 * max(width, 1) + 256]).split()), width)


def call_line(name: str, arguments: Any, width: int = LONG) -> str:
    """A tool call as code writes it: `refund(order_id="1042", amount=64.5)`; arguments that are text as they read."""
    if isinstance(arguments, dict):
        told = ", ".join(
            f"{one_line(key, 40)}={json.dumps(value, ensure_ascii=False, default=str)}"
            for key, value in arguments.items()
        )
    else:
        told = one_line(arguments, width)
    return truncated(f"{one_line(name, width)}({one_line(told, width)})", width)


def tool_line(call: ToolCallRecord, width: int = 80) -> str:
    """`get_order(order_id="#W1") → {"status": …}`, the arguments before the result when room is short."""
    head = call_line(call.tool_name, call.tool_args, width)
    came = f"! {one_line(call.error, width)}" if call.error else one_line(call.result, width)
    room = width - cells(head) - 3
    return f"{head} → {truncated(came, room)}" if came and room >= 8 else head


def step_line(step: ReplayStep, width: int = 80) -> str:
    """What a step did, on one line: a tool call and its result, a model's answer, or the calls it asked for."""
    if step.tool:
        return tool_line(step.tool, width)
    if step.error:
        return truncated(f"! {one_line(step.error, width)}", width)
    said = one_line(conversation.text(step.output_messages), width)
    asked = ", ".join(
        call_line(str(part.get("name") or "?"), conversation.decoded(part.get("arguments")), width)
        for part in conversation.parts(step.output_messages, "tool_call")
    )
    return truncated("  ".join(piece for piece in (said, f"→ {asked}" if asked else "") if piece), width)


def duration_text(ms: float | None) -> str:
    """Milliseconds as people read a duration: `850 ms`, `1.2 s`, `3 min 20 s`; a dash where it is not known."""
    if ms is None:
        return "–"
    size, sign = abs(ms), "-" if ms < 0 else ""
    if size < 1000:
        return f"{sign}{size:.0f} ms" if size >= 10 or size == 0 else f"{sign}{size:.1f} ms"
    seconds = size / 1000
    if seconds < 60:
        return f"{sign}{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{sign}{hours} h {minutes} min" if hours else f"{sign}{minutes} min {rest} s"


def cost_text(cost: str | None) -> str:
    """US dollars with as many digits as tell something: `$0.0012`, `$1.25`; a dash where it is not known."""
    if cost is None:
        return "–"
    amount = Decimal(cost)
    size, sign = abs(amount), "-" if amount < 0 else ""
    places = 2 if size >= 1 or size == 0 else max(2, 1 - size.adjusted())
    return f"{sign}${size:.{places}f}"


def count_text(count: int | None) -> str:
    """A count with its thousands set apart; a dash where it is not known."""
    return "–" if count is None else f"{count:,}"
