"""Why two runs part: the earliest thing that differs, in words. Quiet; `align` says which step is which.

What comes first in time comes first: the model asked, request parameters, instructions, history, then the answer to
an equal request, then what a tool gave back for equal arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from spanreel.replay import conversation
from spanreel.replay.align import Change, Pair, Relation
from spanreel.replay.comparable import Comparable, canonical, changes, what_differs
from spanreel.replay.report.text import one_line
from spanreel.replay.timeline import Frozen, Message, ReplayStep

Differs: TypeAlias = Literal[
    "model",
    "parameters",
    "system",
    "tools",
    "history",
    "answer",
    "arguments",
    "result",
    "error",
    "added",
    "removed",
    "repeated",
    "order",
    "content",
    "status",
    "outcome",
    "notes",
    "step",
]
ROOM = 60  # columns of a value within a sentence
_ASKED_THE_SAME = "though it was asked the same"


class FirstDivergence(Frozen):
    """The first cause: the earliest pair of steps that is not the same.

    Attributes:
        a_step, b_step: the step numbers, None on the side that has no such step, and where no step differs.
        kind: that of the step; `run` where every step is the same and the runs differ in something else.
        cause: a sentence that names the cause, with its step.
        differs: what differs, in one word.
        what: what differs, in words.
        path: the JSON path within the step of the first difference, None for a step that one side lacks.
        a, b: the values at that path; of runs of equal steps, what differs of each.
    """

    a_step: int | None
    b_step: int | None
    kind: str
    name: str
    relation: Relation
    cause: str
    differs: Differs
    what: str
    path: str | None = None
    a: Any = None
    b: Any = None


def first_divergence(
    pairs: Sequence[Pair],
    here: tuple[Sequence[ReplayStep], Sequence[Comparable]],
    there: tuple[Sequence[ReplayStep], Sequence[Comparable]],
) -> FirstDivergence | None:
    """The cause, or None when every step is the same.

    Args:
        pairs: the aligned steps.
        here: the steps of the one run and what of them counts, in order.
        there: those of the other.
    """
    place = next((at for at, pair in enumerate(pairs) if pair.relation != "same"), None)
    if place is None:
        return None
    place = _innermost(pairs, place)
    pair = pairs[place]
    if pair.relation != "changed":
        pair = _side_by_side(pairs, place, here, there) or pair
    if pair.a is None or pair.b is None or not pair.changes:
        return _one_sided(pair)
    differs, words = _said(pair.a, pair.b, pair.changes)
    failed = [change for change in pair.changes if change[0].endswith(".error")] if differs == "error" else []
    path, one, other = (failed or pair.changes)[0]
    return FirstDivergence(
        a_step=pair.a.number,
        b_step=pair.b.number,
        kind=pair.step.kind,
        name=pair.step.name,
        relation=pair.relation,
        cause=f"{_where(pair)}: {words}",
        differs=differs,
        what=what_differs(path),
        path=path,
        a=one,
        b=other,
    )


def _innermost(pairs: Sequence[Pair], place: int) -> int:
    """Of a tool that gave another result for what was done inside it, such as a nested agent, the first of that."""
    pair = pairs[place]
    if (
        pair.a is None
        or pair.b is None
        or any(_field(path) not in ("result", "error") for path in pair.paths)
    ):
        return place
    inside = (
        at
        for at, other in enumerate(pairs)
        if other.relation != "same"
        and (
            (other.a and other.a.parent_step == pair.a.number)
            or (other.b and other.b.parent_step == pair.b.number)
        )
    )
    inner = next(inside, None)
    return place if inner is None or pair.a.tool is None or inner <= place else _innermost(pairs, inner)


def _side_by_side(
    pairs: Sequence[Pair],
    place: int,
    here: tuple[Sequence[ReplayStep], Sequence[Comparable]],
    there: tuple[Sequence[ReplayStep], Sequence[Comparable]],
) -> Pair | None:
    """The steps at which the runs part, as one pair, where one is the other asked or answered in another way.

    They asked the same: a call that failed and was made again is aligned by its second answer, and what came first is
    the failure. Or both are model calls, and neither is made by the other run later: its prompt was another.
    """
    if place >= min(len(here[0]), len(there[0])) or any(
        pair.a is not one or pair.b is not other
        for pair, one, other in zip(pairs[:place], here[0], there[0], strict=False)
    ):
        return None
    left, right = here[1][place], there[1][place]
    if left.key == right.key:
        return None
    one, other = here[0][place], there[0][place]
    later = any(pair.similarity == 1 and (pair.a is one or pair.b is other) for pair in pairs)
    if left.request_key != right.request_key and (later or left.kind != right.kind or left.kind[0] != "llm"):
        return None
    found = changes(left.document, right.document)
    return Pair(
        a=one,
        b=other,
        relation="changed",
        paths=[path for path, _, _ in found],
        changes=found,
    )


def _where(pair: Pair) -> str:
    one, other = pair.a and pair.a.number, pair.b and pair.b.number
    if one == other and one is not None:
        return f"step {one}"
    sides = [f"step {number} of {run}" for number, run in ((one, "a"), (other, "b")) if number is not None]
    return ", ".join(sides) or "a call without a number"


def _one_sided(pair: Pair) -> FirstDivergence:
    step = pair.step
    call = "tool call" if step.tool else "model call" if step.kind == "llm" else "step"
    name = _name(step)
    words: dict[str, tuple[Differs, str, str]] = {
        "added": (
            "added",
            f"a {call} that only the second run made",
            f"{name}, which only the second run made",
        ),
        "removed": (
            "removed",
            f"a {call} that only the first run made",
            f"{name}, which only the first run made",
        ),
        "moved": ("order", f"a {call} made at another place", f"{name} was made at another place"),
    }
    differs, what, said = words.get(pair.relation, ("step", f"a {call}", f"{name} differs"))
    if pair.repeated:
        run = "second" if pair.relation == "added" else "first"
        differs, said = "repeated", f"{name} was made again with the same arguments, by the {run} run only"
    return FirstDivergence(
        a_step=pair.a.number if pair.a else None,
        b_step=pair.b.number if pair.b else None,
        kind=step.kind,
        name=step.name,
        relation=pair.relation,
        cause=f"{_where(pair)}: {said}",
        differs=differs,
        what=what,
    )


def _name(step: ReplayStep) -> str:
    if step.tool:
        return f"tool call {_short(step.tool.tool_name)}"
    return f"model call {_short(step.model or step.name)}" if step.kind == "llm" else _short(step.name)


def _said(a: ReplayStep, b: ReplayStep, found: Sequence[Change]) -> tuple[Differs, str]:
    path, one, other = found[0]
    field = _field(path)
    if a.tool and b.tool:
        return _tool(field, _short(b.tool.tool_name), found)
    if field == "output_messages" or (field == "error" and not b.error and not a.error):
        return "answer", f"{_answer(a, b, path)}{_served(a, b)}"
    if field == "error":
        return "error", _failure("the model call", a.error, b.error, _ASKED_THE_SAME)
    asked: dict[str, Callable[[], tuple[Differs, str]]] = {
        "model": lambda: ("model", f"model {_short(one)} → {_short(other)}"),
        "parameters": lambda: (
            "parameters",
            f"request parameter {_below(path, 'parameters')} {_json(one)} → {_json(other)}",
        ),
        "system": lambda: ("system", "the system prompt differs"),
        "tools": lambda: ("tools", f"the tool definitions differ{_tools(a, b)}"),
        "input_dropped": lambda: (
            "history",
            f"the prompt leaves out {other} messages of the history instead of {one}",
        ),
        "input_messages": lambda: ("history", _message(a, b, path)),
    }
    return asked[field]() if field in asked else ("step", f"it differs at {path}")


def _field(path: str) -> str:
    return path.removeprefix("$.").removeprefix("tool.").partition(".")[0].partition("[")[0]


def _tool(field: str, name: str, found: Sequence[Change]) -> tuple[Differs, str]:
    paths = [path.removeprefix("$.tool.") for path, _, _ in found]
    if field == "tool_args":
        at = [_below(path, "tool_args") for path in paths if path.startswith("tool_args")]
        _, one, other = found[0]
        return (
            "arguments",
            f"tool {name} was called with other arguments: {_among(at)} {_json(one)} → {_json(other)}",
        )
    failures = {path: (one, other) for path, (_, one, other) in zip(paths, found, strict=True)}
    if "error" in failures:
        one, other = failures["error"]
        return "error", _failure(f"tool {name}", one, other, "for the same arguments")
    at = [_below(path, "result") for path in paths]
    _, one, other = found[0]
    return "result", f"tool {name} returned another result for the same arguments: {_among(at)} {_json(one)} → {_json(other)}"  # fmt: skip


def _failure(who: str, one: str | None, other: str | None, although: str) -> str:
    if not one:
        return f"{who} failed ({_short(other)}) where it had succeeded, {although}"
    if not other:
        return f"{who} succeeded where it had failed ({_short(one)}), {although}"
    return f"{who} failed in another way ({_short(one)} → {_short(other)}), {although}"


def _answer(a: ReplayStep, b: ReplayStep, path: str) -> str:
    before, after = _calls(a.output_messages), _calls(b.output_messages)
    named, renamed = ([name for name, _ in calls] for calls in (before, after))
    if named != renamed:
        if not named:
            return f"the model called {_names(renamed)} where it had answered in words, {_ASKED_THE_SAME}"
        if not renamed:
            return f"the model answered in words where it had called {_names(named)}, {_ASKED_THE_SAME}"
        return f"the model answered with another tool call ({_names(named)} → {_names(renamed)}) {_ASKED_THE_SAME}"
    for (name, one), (_, other) in zip(before, after, strict=True):
        if found := changes(one, other):
            at = [path for path, _, _ in found]
            _, left, right = found[0]
            return f"the model called {_short(name)} with other arguments ({_among(at)} {_json(left)} → {_json(right)}) {_ASKED_THE_SAME}"  # fmt: skip
    if conversation.text(a.output_messages) != conversation.text(b.output_messages):
        return f"the model answered in other words {_ASKED_THE_SAME}"
    return f"the model's answer differs at {path} {_ASKED_THE_SAME}"


def _served(a: ReplayStep, b: ReplayStep) -> str:
    if not a.response_model or not b.response_model or a.response_model == b.response_model:
        return ""
    return f"; {_short(b.response_model)} answered, not {_short(a.response_model)}"


def _calls(messages: Sequence[Message] | None) -> list[tuple[str, Any]]:
    return [
        (str(part.get("name") or "?"), conversation.decoded(part.get("arguments")))
        for part in conversation.parts(messages, "tool_call")
    ]


def _names(names: Sequence[str]) -> str:
    return _short(", ".join(names))


def _tools(a: ReplayStep, b: ReplayStep) -> str:
    before, after = ({_tool_name(tool): canonical(tool) for tool in step.tools or ()} for step in (a, b))
    told = [
        *(f"+{name}" for name in after if name not in before),
        *(f"−{name}" for name in before if name not in after),
        *(f"~{name}" for name in after if name in before and before[name] != after[name]),
    ]
    return f" ({_short(', '.join(told))})" if told else ""


def _tool_name(tool: dict[str, Any]) -> str:
    inner = tool.get("function")
    return str(tool.get("name") or (inner.get("name") if isinstance(inner, dict) else None) or "?")


def _message(a: ReplayStep, b: ReplayStep, path: str) -> str:
    """Which message of the whole prompt it is: what the step adds comes after what it shares."""
    index = path.removeprefix("$.input_messages").partition("]")[0].removeprefix("[")
    if not index.isdecimal():
        return "the prompt differs"
    place = int(index)
    sides = [(step.input_messages or [])[place : place + 1] for step in (a, b)]
    at = f"messages[{b.input_shared + place}]"
    if all(sides):
        return f"the prompt differs at {at} ({_short((sides[1] or sides[0])[0].get('role', 'message'))})"
    return f"the prompt {'ends before' if sides[0] else 'goes on with'} {at}"


def _below(path: str, field: str) -> str:
    """The path from the field on: `$.tool_args.order.id` → `$.order.id`; of a parameter its name alone."""
    below = path.removeprefix("$.").removeprefix(field)
    return below.removeprefix(".") if field == "parameters" else f"${below}"


def _among(paths: Sequence[str]) -> str:
    return paths[0] + (f" and {len(paths) - 1} more," if len(paths) > 1 else "")


def _short(value: Any) -> str:
    return one_line(value, ROOM) if value is not None else "none"


def _json(value: Any) -> str:
    return one_line(canonical(value), ROOM) if value is not None else "none"
