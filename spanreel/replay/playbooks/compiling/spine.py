"""The spine of a procedure: what it changes, in order. Real runs of one task agree in it, not in what they looked up.

Quiet. The runs are aligned by `replay.align`, each with the one that most of them resemble; a call of one run stands in
one column with the same call of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from spanreel.replay.align import align
from spanreel.replay.playbooks.compiling.cleaning import Cleaned
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.refusal import refused
from spanreel.replay.timeline import ReplayStep, ToolCallRecord


@dataclass(frozen=True, slots=True)
class Spine:
    """columns: for each step of the procedure the call of each run, in the order of the runs. notes: on their order."""

    columns: tuple[tuple[Call, ...], ...]
    reference: int
    notes: tuple[str, ...] = ()
    writes: bool = True


def spine(runs: Sequence[Cleaned]) -> Spine:
    """The steps that the runs have in common.

    Raises:
        NotCompilable: the runs differ in what they changed, or there is nothing that they share.
    """
    sides = [run.writes for run in runs]
    writes = any(sides)
    if not writes:
        sides = [run.calls for run in runs]
    kinds = [tuple(sorted(call.tool for call in side)) for side in sides]
    if writes and len(set(kinds)) > 1:
        raise refused("writes_differ", _difference(runs, kinds))
    orders = [tuple(call.tool for call in side) for side in sides]
    usual = Counter(orders).most_common(1)[0][0]
    reference = orders.index(usual)
    columns: list[list[Call | None]] = [[None] * len(runs) for _ in sides[reference]]
    for index, side in enumerate(sides):
        for place, call in _paired(sides[reference], side):
            columns[place][index] = call
    full = [tuple(call for call in column if call is not None) for column in columns]
    full = [column for column in full if len(column) == len(runs)]
    if writes and len(full) < len(columns):
        raise refused("writes_differ", _difference(runs, kinds))
    if not full:
        raise refused("nothing_to_keep", "the runs have no call in common")
    return Spine(tuple(full), reference, tuple(_order_notes(runs, orders, usual, full, reference)), writes)


def _paired(reference: Sequence[Call], side: Sequence[Call]) -> list[tuple[int, Call]]:
    """Which call of the reference each call of the other run is: by tool and arguments, in order or moved."""
    if reference is side:
        return list(enumerate(side))
    left, right = _steps(reference), _steps(side)
    found: list[tuple[int, Call]] = []
    over: list[int] = []
    under: list[int] = []
    for pair in align(left, right):
        at = None if pair.a is None or pair.a.number is None else pair.a.number - 1
        to = None if pair.b is None or pair.b.number is None else pair.b.number - 1
        if at is not None and to is not None:
            found.append((at, side[to]))
        elif at is not None:
            over.append(at)
        elif to is not None:
            under.append(to)
    for at in over:  # the same tool in another order, with other arguments
        to = next((to for to in under if side[to].tool == reference[at].tool), None)
        if to is not None:
            under.remove(to)
            found.append((at, side[to]))
    return found


def _steps(calls: Sequence[Call]) -> list[ReplayStep]:
    """What counts of a call here: its tool and its arguments."""
    return [
        ReplayStep(
            number=place,
            kind="tool",
            name=call.tool,
            tool=ToolCallRecord(tool_name=call.tool, tool_args=call.arguments),
        )
        for place, call in enumerate(calls, 1)
    ]


def _order_notes(
    runs: Sequence[Cleaned],
    orders: Sequence[tuple[str, ...]],
    usual: tuple[str, ...],
    columns: Sequence[tuple[Call, ...]],
    reference: int,
) -> list[str]:
    other = [
        run.run.run_id
        for index, run in enumerate(runs)
        if orders[index] != usual or sorted(columns, key=lambda column: column[index].at) != list(columns)
    ]
    if not other or reference >= len(runs):
        return []
    return [
        f"{', '.join(_short(one) for one in other)} did it in another order; kept is that of {_short(runs[reference].run.run_id)}"
    ]


def _difference(runs: Sequence[Cleaned], kinds: Sequence[tuple[str, ...]]) -> str:
    usual = Counter(kinds).most_common(1)[0][0]
    told = [
        f"{_short(run.run.run_id)} calls {_counted(kind)}"
        for run, kind in zip(runs, kinds, strict=True)
        if kind != usual
    ]
    return f"the runs differ in what they change: most call {_counted(usual)}, but {'; '.join(told[:4])}"


def _counted(kind: tuple[str, ...]) -> str:
    counted = Counter(kind)
    return (
        ", ".join(f"{name} {times}x" if times > 1 else name for name, times in counted.items()) or "nothing"
    )


def _short(run_id: str) -> str:
    return run_id[:12]
