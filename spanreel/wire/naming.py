"""What a person calls a run, and which run that is: one rule for stores, files and lists of spans.

Given runs, it decides; it looks nowhere for them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from spanreel.exceptions import AmbiguousRun, UnknownRun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.wire.grouping import Run

_LAST: Final = re.compile(r"last(?:~(\d{1,9})|:(\w+))?", re.ASCII)
_FAILED: Final = ("error", "diverged", "incomplete")
_IDS_SHOWN: Final = 4


def named(runs: Sequence[Run], name: str, where: str, remedy: str = "spanreel runs") -> Run:
    """The run that a name means.

    Args:
        runs: newest first.
        name: an id, an alias (the newest run wins), a unique prefix of an id, `last`, `last~1` (the one before),
            `last:failed` or `last:` and a status.
        where: what holds them, for the error's words.
        remedy: the command that lists them.

    Raises:
        UnknownRun: nothing fits.
        AmbiguousRun: the prefix fits several.
    """
    if found := _LAST.fullmatch(name):
        return _last(runs, name, found, where, remedy)
    if exact := next((run for run in runs if name in _ids(run)), None):
        return exact
    if alias := next((run for run in runs if name and run.segment == name), None):
        return alias
    fitting = [run for run in runs if name and any(one.startswith(name.lower()) for one in _ids(run))]
    if not fitting:
        raise UnknownRun(f"{where} holds no run {name!r}", remedy)
    if len(fitting) > 1:
        ids = ", ".join(run.run_id for run in fitting[:_IDS_SHOWN]) + ", …" * (len(fitting) > _IDS_SHOWN)
        raise AmbiguousRun(
            f"{len(fitting)} runs begin with {name}: {ids}", f"give more letters of the id: {remedy}"
        )
    return fitting[0]


def _ids(run: Run) -> tuple[str, ...]:
    """Its own id, and those of the traces of its segments."""
    return (run.run_id, *(segment.run_id for segment in run.segments))


def _last(runs: Sequence[Run], name: str, found: re.Match[str], where: str, remedy: str) -> Run:
    back, state = found.groups()
    if state is not None:
        wanted = _FAILED if state == "failed" else (state,)
        runs = [run for run in runs if run.status in wanted]
    position = int(back or 0)
    if position >= len(runs):
        held = f"{len(runs)} {state + ' ' if state else ''}run{'s' * (len(runs) != 1)}"
        raise UnknownRun(f"{name}: {where} holds {held}", remedy)
    return runs[position]
