"""What two runs are compared without: tools, places in JSON, words, figures. Quiet.

Steps are seen without it; which step is which is then `align`'s to say, as ever.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from spanreel.replay import conversation
from spanreel.replay.timeline import Message, ReplayStep, ToolCallRecord

FIGURES: Final = ("cost", "tokens", "duration", "content", "notes")
"""The names with a meaning of their own; any other name is that of a tool."""

_TOKEN = re.compile(r'\.(\*|\w[\w-]*)|\[(\*|-?\d+|"(?:[^"\\]|\\.)*")\]')
_ANY: Final = "*"
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Ignored:
    """What is left out.

    Attributes:
        figures: those of `FIGURES` that are not compared.
        tools: names of tools whose calls are not looked at.
        paths: places in JSON that are not looked at.
    """

    figures: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    paths: tuple[Path, ...] = ()

    def steps(self, steps: Sequence[ReplayStep]) -> tuple[list[ReplayStep], list[ReplayStep]]:
        """The steps that count, as they are and as they are seen.

        Without a tool's calls go the model calls that asked for nothing else: what they heard is then heard by
        the next one.
        """
        if not (self.tools or self.paths or "content" in self.figures):
            return list(steps), list(steps)
        unheard = _asked_for(steps, self.tools)
        kept: list[ReplayStep] = []
        seen: list[ReplayStep] = []
        gone: dict[int | None, ReplayStep] = {}
        for step in steps:
            if step.tool and step.tool.tool_name in self.tools:
                continue
            found = _continued(self._seen(step, unheard), gone)
            if step.output_messages and not found.output_messages and not step.error:
                gone[step.number] = found
                continue
            kept.append(step)
            seen.append(found)
        return kept, seen

    def _seen(self, step: ReplayStep, unheard: set[str]) -> ReplayStep:
        if step.tool:
            told = {"tool_args": conversation.decoded(step.tool.tool_args), "result": conversation.decoded(step.tool.result), "error": step.tool.error}  # fmt: skip
            told = self._without(told)
            told["tool_args"] = self._without(told.get("tool_args"))
            told = self._without({"tool": told})["tool"] if self.paths else told
            return step.model_copy(
                update={"tool": step.tool.model_copy(update=_fields(told, ToolCallRecord))}
            )
        said = {
            "input_messages": self._said(step.input_messages, unheard),
            "output_messages": self._said(step.output_messages, unheard),
        }
        asked = {name: getattr(step, name) for name in ("model", "parameters", "system", "tools", "error")}
        found = self._without({**asked, **said})
        return step.model_copy(
            update={**dict.fromkeys(asked), "parameters": {}, **dict.fromkeys(said), **found}
        )

    def _said(self, messages: list[Message] | None, unheard: set[str]) -> list[Message] | None:
        if messages is None:
            return None
        found: list[Message] = []
        for message in messages:
            parts = message.get("parts")
            if not isinstance(parts, list):
                found.append(message)
                continue
            wordless = "content" in self.figures and message.get("role") == "assistant"
            left = [self._part(part) for part in parts if not self._unwanted(part, unheard, wordless)]
            if left or not parts or (wordless and not any(map(_is_call, parts))):
                found.append({**message, "parts": left})
        return found

    def _unwanted(self, part: Any, unheard: set[str], wordless: bool) -> bool:
        if not isinstance(part, dict):
            return False
        kind = part.get("type")
        if kind == "tool_call":
            return part.get("name") in self.tools
        return (kind == "tool_call_response" and part.get("id") in unheard) or (wordless and kind in ("text", "reasoning"))  # fmt: skip

    def _part(self, part: Any) -> Any:
        if not self.paths or not isinstance(part, dict):
            return part
        found: dict[str, Any] = dict(part)
        if found.get("type") == "tool_call":
            told = self._without({"tool_args": self._without(conversation.decoded(found.get("arguments")))})
            found["arguments"] = self._without({"tool": told})["tool"].get("tool_args")
        elif found.get("type") == "tool_call_response":
            name = "response" if "response" in found else "result"
            told = self._without({"result": conversation.decoded(found.get(name))})
            found[name] = self._without({"tool": told})["tool"].get("result")
        return found

    def _without(self, value: Any) -> Any:
        for path in self.paths:
            value = without(value, path)
        return value


def ignored(names: Collection[str]) -> Ignored:
    """What these names leave out; see `compare.compare`.

    Raises:
        ValueError: one that begins like a path is none.
    """
    if isinstance(names, str):
        names = (names,)
    paths = tuple(parsed(name) for name in names if name.startswith("$"))
    plain = frozenset(name for name in names if not name.startswith("$"))
    return Ignored(plain & frozenset(FIGURES), plain - frozenset(FIGURES), paths)


def parsed(path: str) -> Path:
    """A JSON path as its steps: `$.a[0].b`, `$["a name"]`, `$.items[*].id`.

    Raises:
        ValueError: it is not one.
    """
    steps: list[str | int] = []
    place = 1
    while place < len(path):
        found = _TOKEN.match(path, place)
        if found is None:
            break
        name, item = found.groups()
        steps.append(name if name is not None else _ANY if item == _ANY else json.loads(item))
        place = found.end()
    if place < len(path) or not steps or not path.startswith("$"):
        raise ValueError(f"{path!r} is not a JSON path such as $.timestamp or $.items[*].id")
    return tuple(steps)


def without(value: Any, path: Path) -> Any:
    """The value without what is at the path; the value itself where there is nothing."""
    step, rest = path[0], path[1:]
    if isinstance(value, dict):
        names = [name for name in value if step in (_ANY, name)]
        if not names:
            return value
        if not rest:
            return {name: inner for name, inner in value.items() if name not in names}
        return {name: without(inner, rest) if name in names else inner for name, inner in value.items()}
    if isinstance(value, list):
        places = [at for at in range(len(value)) if step in (_ANY, at)]
        if not rest:
            return [inner for at, inner in enumerate(value) if at not in places]
        return [without(inner, rest) if at in places else inner for at, inner in enumerate(value)]
    return value


def _fields(told: dict[str, Any], of: type[ToolCallRecord]) -> dict[str, Any]:
    return {name: told.get(name) for name in ("tool_args", "result", "error") if name in of.model_fields}


def _is_call(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "tool_call"


def _asked_for(steps: Iterable[ReplayStep], tools: Collection[str]) -> set[str]:
    """The ids of the calls of these tools."""
    found = {step.tool.tool_call_id for step in steps if step.tool and step.tool.tool_name in tools}
    for step in steps:
        asked = conversation.parts(step.output_messages, "tool_call")
        found.update(part.get("id") for part in asked if part.get("name") in tools)
    return {identity for identity in found if isinstance(identity, str)}


def _continued(step: ReplayStep, gone: dict[int | None, ReplayStep]) -> ReplayStep:
    """The step as one that continues a step that is seen."""
    base = gone.get(step.input_from)
    if base is None:
        return step
    before = base.input_messages or []
    whole = step.input_shared >= base.input_shared
    return step.model_copy(
        update={
            "input_from": base.input_from,
            "input_shared": min(step.input_shared, base.input_shared),
            "input_messages": (before[: step.input_shared - base.input_shared] if whole else [])
            + (step.input_messages or []),
            "system": step.system if step.system is not None else base.system,
            "tools": step.tools if step.tools is not None else base.tools,
        }
    )
