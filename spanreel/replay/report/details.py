"""What differs between the two steps of a pair, place by place, ready to be drawn. Quiet.

Prose is told word by word, everything else by its place in the JSON and its two values.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from spanreel.replay import conversation
from spanreel.replay.comparable import changes, what_differs
from spanreel.replay.report.text import call_line, clean
from spanreel.replay.wording import Change, word_diff

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from spanreel.replay.align import Pair
    from spanreel.replay.timeline import Message, ReplayStep

KINDRED = 0.25  # share of equal words below which two texts are not versions of each other
SHOWN = 12  # places of a step: beyond these they are counted
_ITEM = re.compile(r"\$\.(input_messages|output_messages)\[(\d+)\](.*)", re.DOTALL)
_SAID = re.compile(r"\.parts\[\d+\]\.content")
_KIND = re.compile(r"\$\.\w+\[\d+\]\.parts\[\d+\]\.type")
_PART = re.compile(r"\.parts\[(\d+)\](?:\.(arguments|response|result|name))?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Detail:
    """One place at which two steps differ.

    Attributes:
        label: what it is: `arguments`, `result`, `messages[3] (user)`, `answer`, …
        path: where in it, empty for all of it.
        one: the value in the first run, None for none.
        other: the value in the second.
    """

    label: str
    path: str
    one: Any
    other: Any

    @property
    def prose(self) -> bool:
        """Whether it is text to be compared word by word."""
        return is_prose(self.one, self.other)

    @property
    def place(self) -> str:
        """Label and path in one."""
        return f"{self.label} {self.path}".rstrip()


def within(label: str, one: Any, other: Any) -> list[Detail]:
    """Two values of a run as a whole, such as its answers: JSON objects and lists place by place, else the values."""
    before, after = conversation.decoded(one), conversation.decoded(other)
    if isinstance(before, dict | list) and type(before) is type(after):
        return [Detail(label, path, left, right) for path, left, right in changes(before, after)]
    return [Detail(label, "", one, other)]


def is_prose(one: Any, other: Any) -> bool:
    """Whether both are text, and at least one of them is more than a name or a number."""
    texts = [value for value in (one, other) if value is not None]
    return all(isinstance(value, str) for value in texts) and any(len(value.split()) > 2 for value in texts)


def words(one: Any, other: Any) -> list[Change]:
    """Two values word by word, cleaned; what is no text is compared as JSON. Texts of little in common are replaced whole."""
    before, after = written(one), written(other)
    found = word_diff(before, after)
    common = sum(len(change.one) for change in found if change.equal)
    return found if common >= KINDRED * max(len(before), len(after)) else [Change(before, after)]


def written(value: Any) -> str:
    """A value as it is drawn: text as it reads, nothing for None, anything else as indented JSON."""
    if value is None:
        return ""
    return clean(
        value if isinstance(value, str) else json.dumps(value, indent=1, ensure_ascii=False, default=str)
    )


def as_json(value: Any) -> str:
    """A value on one line as JSON, cleaned; a dash for none."""
    if value is None:
        return "–"
    return " ".join(clean(json.dumps(value, ensure_ascii=False, default=str)).split())


def details(pair: Pair) -> list[Detail]:
    """The places at which the steps of a pair differ; parts of a message that are of two kinds, each as a whole."""
    if pair.a is None or pair.b is None:
        return []
    kinds = {path.removesuffix(".type") for path, _, _ in pair.changes if _KIND.fullmatch(path)}
    found: list[Detail] = []
    for path, one, other in pair.changes:
        part = re.match(r"\$\.\w+\[\d+\]\.parts\[\d+\]", path)
        if part is None or part[0] not in kinds:
            found.append(_detail(pair.a, pair.b, path, one, other))
        elif path == f"{part[0]}.type":
            label = _detail(pair.a, pair.b, path, one, other).label
            found.append(Detail(label, "", *(_said(step, path) for step in (pair.a, pair.b))))
    return found


def _said(step: ReplayStep, path: str) -> str | None:
    """What a part of a message says: its text, or the call it asks for."""
    name, message, part = re.findall(r"\$\.(\w+)\[(\d+)\]\.parts\[(\d+)\]", path)[0]
    messages = getattr(step, name) or []
    found = _part(messages[int(message) :], int(part))
    if found.get("type") == "tool_call":
        return f"→ {call_line(str(found.get('name') or '?'), conversation.decoded(found.get('arguments')))}"
    return written(found.get("content", found)) if found else None


def _detail(a: ReplayStep, b: ReplayStep, path: str, one: Any, other: Any) -> Detail:
    found = _ITEM.fullmatch(path)
    if found is None:
        field = path.removeprefix("$.").removeprefix("tool.")
        name = re.split(r"[.\[]", field, maxsplit=1)[0]
        label = what_differs(path).removeprefix("the ").replace("tool's ", "")
        rest = field.removeprefix(name)
        return Detail(label, f"${rest}" if rest else "", one, other)
    place, rest = int(found[2]), found[3]
    sides = [getattr(step, found[1]) or [] for step in (a, b)]
    messages = next((side[place : place + 1] for side in sides[::-1] if len(side) > place), [])
    if found[1] == "input_messages":
        label = f"messages[{b.input_shared + place}]" + _role(messages)
    else:
        label = "answer" if place == 0 else f"answer[{place}]"
    if not rest:
        return Detail(label, "", _whole(one), _whole(other))
    return Detail(*_within(label, rest, messages), _whole(one), _whole(other))


def _within(label: str, rest: str, messages: Sequence[Message]) -> tuple[str, str]:
    if _SAID.fullmatch(rest):
        return label, ""
    found = _PART.fullmatch(rest)
    if found is None:
        return label, f"${rest}"
    part = _part(messages, int(found[1]))
    if found[2] == "arguments":
        return f"{label}, call of {part.get('name', '?')}", f"${found[3]}"
    if found[2] in ("response", "result"):
        return f"{label}, result", f"${found[3]}" if found[3] else ""
    if found[2] == "name":
        return f"{label}, tool called", ""
    return label, f"$.parts[{found[1]}]{found[3]}"


def _part(messages: Sequence[Message], place: int) -> dict[str, Any]:
    parts = messages[0].get("parts") if messages else None
    found = parts[place] if isinstance(parts, list) and place < len(parts) else None
    return found if isinstance(found, dict) else {}


def _role(messages: Sequence[Message]) -> str:
    role = messages[0].get("role") if messages else None
    return f" ({role})" if isinstance(role, str) else ""


def _whole(value: Any) -> Any:
    """A message or a part of one as what it says; a call as code writes it."""
    if isinstance(value, dict) and "parts" in value and conversation.text([value]) and not any(_calls(value)):
        return conversation.text([value])
    if isinstance(value, dict) and value.get("type") == "text" and "content" in value:
        return value["content"]
    return value


def _calls(message: Message) -> Iterator[dict[str, Any]]:
    return conversation.parts([message], "tool_call")


def headline(pair: Pair) -> str:
    """What differs in a changed pair, in a few words: the kinds of things, and the tools that were asked for instead."""
    kinds: list[str] = []
    for what, places in groupby(pair.changes, key=lambda change: what_differs(change[0])):
        if what in ("the arguments", "the tool's result") and pair.step.tool:
            paths = [path.removeprefix("$.tool.").partition(".")[2] for path, _, _ in places]
            named = ", ".join(dict.fromkeys(path for path in paths if path))
            kinds.append(f"{what} ({named})" if named else what)
        elif what == "the model's answer" and pair.a and pair.b:
            before, after = (", ".join(_names(step)) or "words" for step in (pair.a, pair.b))
            kinds.append(f"{what} ({before} → {after})" if before != after else what)
        elif what == "the messages sent":
            roles = dict.fromkeys(
                each.label.partition("(")[2].partition(")")[0]
                for each in details(pair)
                if each.label.startswith("messages[")
            )
            kinds.append(f"{what} ({', '.join(filter(None, roles))})" if any(roles) else what)
        else:
            kinds.append(what)
    return ", ".join(dict.fromkeys(kinds))


def _names(step: ReplayStep) -> list[str]:
    return [str(part.get("name") or "?") for part in conversation.parts(step.output_messages, "tool_call")]
