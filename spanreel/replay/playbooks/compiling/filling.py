"""Which parameters a playbook would have been given for a recorded run.

Quiet. In this order: where the run's input has it; the one text of that form in what was said; the run's own argument
at the call that the playbook makes there, if it was said, or shown by an earlier result, or is an option: those are
marked `observed`, for they are read off what the run did.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from spanreel.replay.playbooks.binding import Binding, Unbound, found, parse
from spanreel.replay.playbooks.body import Body, Param, State
from spanreel.replay.playbooks.compiling.cleaning import Cleaned, cleaned
from spanreel.replay.playbooks.compiling.observe import observe
from spanreel.replay.playbooks.compiling.observed import Call, Observed
from spanreel.replay.playbooks.compiling.places import places
from spanreel.replay.playbooks.compiling.values import key, mentions
from spanreel.replay.playbooks.conditions import schema_problem
from spanreel.replay.timeline import Replay

How: TypeAlias = Literal["input", "said", "observed"]
_PARAM: Final = re.compile(r"params\.([A-Za-z_][A-Za-z0-9_-]*)")


@dataclass(frozen=True, slots=True)
class Filled:
    """The parameters of a run. how: where each came from. missing: those that nothing gives, with why."""

    params: dict[str, Any] = field(default_factory=dict[str, Any])
    how: dict[str, How] = field(default_factory=dict[str, How])
    missing: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def why_not(self) -> str | None:
        """Why a run with these cannot begin; None: it can."""
        return "; ".join(f"{name}: {why}" for name, why in self.missing.items()) or None


def params_of(body: Body, run: Observed | Replay) -> Filled:
    """The parameters that a playbook would have been given for a run.

    Args:
        body: the playbook.
        run: a recorded run, of whatever agent.
    """
    seen = run if isinstance(run, Observed) else observe(run, allow_partial=True)
    filled = Filled()
    clean = cleaned(seen, 0)
    own = _own(body, clean)
    for name, param in body.params.items():
        _fill(name, param, seen, clean, own.get(name, []), filled)
    return filled


def _fill(
    name: str, param: Param, run: Observed, clean: Cleaned, own: Sequence[tuple[Any, int]], filled: Filled
) -> None:
    def put(value: Any, how: How) -> None:
        filled.params[name] = value
        filled.how[name] = how

    given = _input(param, run)
    if given and schema_problem(given[0], param.json_schema()) is None:
        put(given[0], "input")
        return
    fitting = [(value, at) for value, at in own if schema_problem(value, param.json_schema()) is None]
    different = {key(value): (value, at) for value, at in fitting}
    told = _told(param, run)
    if len(told) == 1 and (not own or key(told[0]) in different) and len(different) <= 1:
        put(told[0], "said")
        return
    if len(different) == 1:
        value, at = next(iter(different.values()))
        if param.enum is not None or _known(value, at, run, clean):
            put(value, "observed")
            return
        filled.missing[name] = "it was neither said nor shown"
    elif len(different) > 1:
        filled.missing[name] = f"the run has {len(different)} values for it"
    elif param.default is None and param.required:
        filled.missing[name] = "what was said does not tell, and the run has no such call"


def _input(param: Param, run: Observed) -> list[Any]:
    if param.input is None or not isinstance(run.input, Mapping):
        return []
    try:
        values = found(f"input.{param.input}", {"input": run.input})
    except Unbound:
        return []
    return values if len(values) == 1 else []


def _told(param: Param, run: Observed) -> list[str]:
    """Every text of its form in what was said, each once."""
    if param.type != "string" or param.pattern is None or param.pattern == r"\S+":
        return []
    import regex

    form = regex.compile(rf"(?<![\w#])(?:{param.pattern})(?![\w])")
    matches = [match[0] for one in run.said for match in form.finditer(one.text, timeout=1.0)]
    return list(dict.fromkeys(matches))


def _known(value: Any, at: int, run: Observed, clean: Cleaned) -> bool:
    if isinstance(value, list):
        return bool(value) and all(_known(item, at, run, clean) for item in value)
    if isinstance(value, Mapping):
        return all(_known(item, at, run, clean) for item in value.values())
    return any(one.at <= at and mentions(one.text, value) for one in run.said) or any(
        call.at < at and places(call.result, value) for call in clean.calls
    )


def _own(body: Body, clean: Cleaned) -> dict[str, list[tuple[Any, int]]]:
    """What the run's own calls have where the playbook has a parameter, with the moment of the call."""
    per_tool: dict[str, list[State]] = {}
    for state in body.states.values():
        if state.tool is not None:
            per_tool.setdefault(state.tool, []).append(state)
    written: dict[str, list[tuple[Any, int]]] = {}
    read: dict[str, list[tuple[Any, int]]] = {}
    for tool, states in per_tool.items():
        calls = [call for call in clean.calls if call.tool == tool]
        for place, state in enumerate(states):
            if state.safety == "read":
                rows: Sequence[Call] = calls
            else:
                rows = calls[place : place + 1]
            found_in = read if state.safety == "read" else written
            for call in rows:
                for name, value in _matched(state.args, call.arguments):
                    found_in.setdefault(name, []).append((value, call.at))
    return read | written


def _matched(template: Any, value: Any) -> Iterator[tuple[str, Any]]:
    """The parameters that a template gives the value for."""
    if isinstance(template, Mapping) and isinstance(value, Mapping):
        for name, inner in template.items():
            if name in value:
                yield from _matched(inner, value[name])
    elif isinstance(template, list) and isinstance(value, list) and len(template) == len(value):
        for inner, item in zip(template, value, strict=True):
            yield from _matched(inner, item)
    elif isinstance(template, str) and "{{" in template:
        yield from _unbound(parse(template), value)


def _unbound(pieces: Sequence[str | Binding], value: Any) -> Iterator[tuple[str, Any]]:
    if len(pieces) == 1 and isinstance(pieces[0], Binding):
        name = _PARAM.fullmatch(pieces[0].path or "")
        if name and not pieces[0].filters:
            yield name[1], value
        return
    if not isinstance(value, str):
        return
    names: list[str | None] = []
    form = ""
    for piece in pieces:
        if isinstance(piece, str):
            form += re.escape(piece)
        else:
            name = _PARAM.fullmatch(piece.path or "")
            names.append(name[1] if name else None)
            form += "(.+?)"
    match = re.fullmatch(form, value, re.DOTALL)
    for name, text in zip(names, match.groups() if match else (), strict=False):
        if name:
            yield name, text
