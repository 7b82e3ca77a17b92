"""What of a step counts when two runs are compared, and where two values differ. Quiet.

Left out is what another run of the same agent mints anew or measures anew: ids, times, durations, token counts,
signatures. A tool's answer is tied to its call by what was called instead of by the call's id.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any
from zlib import crc32

from spanreel.replay import conversation
from spanreel.wire.differences import ABSENT
from spanreel.wire.differences import differences as json_differences

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanreel.replay.timeline import ReplayStep

SKETCH_BITS = 512
SKETCH_TOKENS = 96  # the lowest hashes stand for the whole: long texts stay comparable
MAX_PATHS = 64
MINTED = frozenset(
    {"id", "signature", "thought_signature", "encrypted_content", "response_id", "obfuscation"}
)
"""Properties of messages and their parts that a provider mints for each answer."""
_WORD = re.compile(r"\w+", re.ASCII)
_WHAT = {
    "model": "the model asked",
    "system": "the instructions",
    "tools": "the tool definitions",
    "parameters": "the request parameters",
    "input_messages": "the messages sent",
    "input_dropped": "the history sent",
    "output_messages": "the model's answer",
    "tool_args": "the arguments",
    "tool_name": "the tool",
    "result": "the tool's result",
    "error": "the error",
}


@dataclass(frozen=True, slots=True)
class Comparable:
    """A step as it is compared.

    Attributes:
        kind: steps of different kinds, and calls of different tools, are never the same step changed.
        document: what counts, by the field names of `ReplayStep`, what comes first in time first.
        key: equal exactly when the documents are.
        request_key: equal when the same was asked, whatever came of it.
        asked, answered: sketches of the words in it (bit sets).
    """

    kind: tuple[str, str]
    document: dict[str, Any]
    key: str
    request_key: str
    asked: int
    answered: int


def comparables(steps: Sequence[ReplayStep]) -> list[Comparable]:
    """The steps of one run as they are compared.

    A request is what it adds to the one that it continues; `input_dropped` counts what it leaves out of that one.
    """
    calls = _call_labels(steps)
    lengths: dict[int | None, int] = {None: 0}
    found: list[Comparable] = []
    for step in steps:
        dropped = max(0, lengths.get(step.input_from, 0) - step.input_shared)
        found.append(_comparable(step, calls, dropped))
        if step.number is not None:
            lengths[step.number] = step.input_shared + len(step.input_messages or ())
    return found


def what_differs(path: str) -> str:
    """In words, what a JSON path within a step points at."""
    name = path.removeprefix("$.").removeprefix("tool.").partition(".")[0].partition("[")[0]
    return _WHAT.get(name, name)


def canonical(value: Any) -> str:
    """JSON text that is equal exactly when the values are; `1`, `1.0` and `true` are three values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def changes(one: Any, other: Any) -> list[tuple[str, Any, Any]]:
    """Path, value here and value there, where two values differ; None stands for what one side lacks."""
    found = islice(json_differences(one, other), MAX_PATHS)
    return [(path, _given(left), _given(right)) for path, left, right in found]


def _given(value: Any) -> Any:
    return None if value is ABSENT else value


def _comparable(step: ReplayStep, calls: dict[str, str], dropped: int) -> Comparable:
    if step.tool is not None:
        told = step.tool
        asked: dict[str, Any] = {
            "tool_name": told.tool_name,
            "tool_args": _unminted(conversation.decoded(told.tool_args), calls),
        }
        answered: dict[str, Any] = {
            "result": _unminted(conversation.decoded(told.result), calls),
            "error": told.error,
        }
        document: dict[str, Any] = {"tool": {**asked, **answered}}
        kind = ("tool", told.tool_name)
    else:
        asked = {
            "model": step.model,
            "parameters": step.parameters,
            "system": _messages(step.system, calls),
            "tools": step.tools,
            "input_dropped": dropped,
            "input_messages": _messages(step.input_messages, calls),
        }
        answered = {"output_messages": _messages(step.output_messages, calls), "error": step.error}
        document = {**asked, **answered}
        kind = (step.kind, "" if step.kind == "llm" else step.name)
    words = {**asked, "system": None, "tools": None, "input_dropped": None} if step.tool is None else asked
    return Comparable(
        kind,
        document,
        canonical([kind, document]),
        canonical([kind, asked]),
        sketch(words),
        sketch(answered),
    )


def _call_labels(steps: Sequence[ReplayStep]) -> dict[str, str]:
    """Tool call ids -> what was called, as far as the run tells."""
    labels: dict[str, str] = {}
    for step in steps:
        if step.tool and step.tool.tool_call_id:
            labels.setdefault(step.tool.tool_call_id, canonical([step.tool.tool_name, step.tool.tool_args]))
        for part in conversation.parts(step.output_messages, "tool_call"):
            if isinstance(identity := part.get("id"), str):
                labels[identity] = canonical([part.get("name"), conversation.decoded(part.get("arguments"))])
    return labels


def _messages(messages: list[dict[str, Any]] | None, calls: dict[str, str]) -> list[Any] | None:
    return None if messages is None else [_said(message, calls) for message in messages]


def _said(value: dict[str, Any], calls: dict[str, str]) -> dict[str, Any]:
    """A message or a part without what was minted for it."""
    said: dict[str, Any] = {}
    for name, inner in value.items():
        if name == "id" and value.get("type") == "tool_call_response" and isinstance(inner, str):
            said["call"] = calls.get(inner, "")
        elif name == "parts" and isinstance(inner, list):
            said[name] = [_said(part, calls) if isinstance(part, dict) else part for part in inner]
        elif name in ("arguments", "response", "result"):
            said[name] = _unminted(conversation.decoded(inner), calls)
        elif name not in MINTED:
            said[name] = inner
    return said


def _unminted(value: Any, calls: dict[str, str]) -> Any:
    """The value with ids of tool calls replaced by what they called."""
    if isinstance(value, str):
        return calls.get(value, value)
    if isinstance(value, dict):
        return {name: _unminted(inner, calls) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_unminted(inner, calls) for inner in value]
    return value


def sketch(value: Any) -> int:
    """A set of bits that stands for the words in a value; those of like values overlap."""
    hashes = sorted({crc32(token.encode("utf-8", "replace")) for token in _tokens("", value)})
    bits = 0
    for hashed in hashes[:SKETCH_TOKENS]:
        bits |= 1 << (hashed % SKETCH_BITS)
    return bits


def _tokens(name: str, value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for inner_name, inner in value.items():
            yield from _tokens(str(inner_name), inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _tokens(name, inner)
    elif isinstance(value, str):
        yield from (f"{name}={word}" for word in _WORD.findall(value)) if value.isascii() else value.split()
    elif value is not None:
        yield f"{name}={value!r}"


def similarity(one: Comparable, other: Comparable) -> float:
    """From 0 (nothing in common but the kind) to 1 (the same), in thousandths."""
    if one.key == other.key:
        return 1.0
    asked, answered = overlap(one.asked, other.asked), overlap(one.answered, other.answered)
    return min(0.999, round(0.6 * asked + 0.4 * answered, 3))


def overlap(one: int, other: int) -> float:
    """How much two sketches share: size of the intersection by size of the union."""
    union = (one | other).bit_count()
    return (one & other).bit_count() / union if union else 1.0
