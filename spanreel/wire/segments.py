"""Segments of a run: what a resume adds to it. Given runs of single traces, it joins those that are one run.

A resume executes the agent anew from its start, with what had finished served from the recording, so its newest segment
is a view of the whole run by itself: nothing is counted twice when only one segment is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from spanreel.wire.grouping import Run

# A segment that stopped on its way may know less than the one before it.
_SHORT = frozenset({"incomplete", "paused", "diverged", "cancelled"})


@dataclass(frozen=True, slots=True)
class Segment:
    """One execution of a run that was resumed. number: from 1; run_id: the id that its own trace gives it.

    span_id: of its root; started_ns, ended_ns: Unix nanoseconds; open: its root has not ended.
    """

    number: int
    run_id: str
    trace_id: str
    span_id: str
    started_ns: int
    ended_ns: int
    status: str
    open: bool = False


def origin(run: Run) -> str:
    """The id of the run that this one belongs to: its own, but for a later segment."""
    return (run.root.source_run_id if run.root.segment else None) or run.run_id


def joined(runs: Iterable[Run]) -> list[Run]:
    """The runs with the segments of each made one, where the newest of them stood.

    The joined run has the id of the first segment and its start, the newest one's status and end, and the steps of the
    newest one; where that stopped early, of the one that came furthest.
    """
    families: defaultdict[str, list[Run]] = defaultdict(list)
    places: dict[str, int] = {}
    for place, run in enumerate(runs):
        families[origin(run)].append(run)
        newest = max(families[origin(run)], key=_order)
        if newest is run:
            places[origin(run)] = place
    ordered = sorted(families, key=lambda run_id: places[run_id])
    return [_one(run_id, sorted(families[run_id], key=_order)) for run_id in ordered]


def _order(run: Run) -> tuple[int, int]:
    return run.root.segment or 1, run.started_ns


def _one(run_id: str, members: Sequence[Run]) -> Run:
    first, newest = members[0], members[-1]
    if not newest.root.segment:
        return newest
    view = newest
    if newest.status in _SHORT:
        view = max(members, key=lambda run: (len(run.steps), *_order(run)))
    return replace(
        view,
        run_id=run_id,
        started_ns=first.started_ns,
        ended_ns=newest.ended_ns,
        status=newest.status,
        error=newest.error,
        open=newest.open,
        segment=first.segment,
        segments=tuple(_segment(run) for run in members),
    )


def _segment(run: Run) -> Segment:
    return Segment(
        number=run.root.segment or 1,
        run_id=run.run_id,
        trace_id=run.trace_id,
        span_id=run.root.span_id,
        started_ns=run.started_ns,
        ended_ns=run.ended_ns,
        status=run.status,
        open=run.open,
    )
