"""Loops of writes in the compiler: calls that one state makes, and the list that it goes over.

Quiet. Reads are not collapsed: those that are needed are told by what is taken from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spanreel.replay.playbooks.body import Repeat
from spanreel.replay.playbooks.compiling import guarding
from spanreel.replay.playbooks.compiling.cleaning import Cleaned
from spanreel.replay.playbooks.compiling.expressions import Column, FromResult, Given, render
from spanreel.replay.playbooks.compiling.loops import Looped, collapse
from spanreel.replay.playbooks.compiling.paths import told, value_at
from spanreel.replay.playbooks.compiling.places import Index, Key
from spanreel.replay.playbooks.compiling.slots import Slot

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Expect
    from spanreel.replay.playbooks.compiling.flow import Flow
    from spanreel.replay.playbooks.compiling.observed import Call


def looped(runs: Sequence[Cleaned]) -> list[Cleaned]:
    """The runs, with one call for the writes that are a loop in all of them."""
    found = collapse([run.calls for run in runs], [run.run.input for run in runs], reads=False)
    return [replace(run, calls=tuple(calls)) for run, calls in zip(runs, found, strict=True)]


def unrolled(call: Call) -> tuple[Call, ...]:
    """The calls that a call stands for; itself, where it is no loop."""
    return call.calls if isinstance(call, Looped) else (call,)


def goes_over(flow: Flow, column: Column) -> bool:
    """Find what the loop of a step goes over; whether it was found, or there is nothing to find."""
    loops = [call for call in column.calls if isinstance(call, Looped)]
    if not loops or loops[0].kind != "each":
        return True
    first = loops[0]
    if first.over is None:
        lists = tuple(value_at(run.run.input, first.over_path) for run in flow.runs)
        slot = Slot(lists, tuple(loop.first_at for loop in loops), str(first.over_path[-1]), first.tool)
        column.said = (Given(flow.spec("input", slot, path=told(first.over_path).removeprefix("."))),)
        return True
    rows = [
        [call for call in run.calls if call.at == loop.over]
        for run, loop in zip(flow.runs, loops, strict=True)
    ]
    source = flow.column(tuple(row[0] for row in rows)) if all(rows) else None
    if source is None:
        return False
    form = tuple(Index(step) if isinstance(step, int) else Key(step) for step in first.over_path)
    column.said = (FromResult(source, form),)
    column.needs |= source.needs
    return True


def arguments(column: Column) -> dict[str, Any]:
    """The arguments that a step's loop explains, with bindings."""
    first = column.calls[0]
    return dict(first.explained(column.name)) if isinstance(first, Looped) else {}


def repeat(column: Column, args: dict[str, Any]) -> Repeat | None:
    """How a step is repeated; args: all of its state's."""
    first = column.calls[0]
    if not isinstance(first, Looped):
        return None
    found = first.repeat("", args)
    if first.kind == "each":
        found["for_each"] = render(column.said[0])
    return Repeat.model_validate(found)


def expected(column: Column, used: Sequence[FromResult]) -> Expect | None:
    """What each result of a step looks like."""
    inner = tuple(one for call in column.calls for one in unrolled(call))
    if not isinstance(column.calls[0], Looped):
        return guarding.expected(column, used)
    return guarding.expected(Column(inner, column.write), ())
