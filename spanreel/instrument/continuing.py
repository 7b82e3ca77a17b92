"""In a process that resumes runs: which run each new root goes on with.

Nobody resumes here unless `install` was called; then every root that begins asks once. It must not read or write a store.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A run to go on with, as its newest root has it.

    name: of the agent or workflow. run_id: of the run, from its first segment. named: what `spanreel.run.id` says.
    segment: the number of the segment to come. trace_id, span_id: the root before, in hex.
    """

    name: str
    run_id: str
    named: str
    segment: int
    trace_id: str
    span_id: str


active = False
"""Whether this process resumes runs."""
_left: list[Origin] = []
_lock = threading.Lock()


def install(origins: Iterable[Origin]) -> None:
    """From now on roots go on with these runs, in this order; none: every root is a run of its own."""
    global active
    with _lock:
        _left[:] = origins
        active = bool(_left)


def taken(name: str) -> Origin | None:
    """The run that a root of this name goes on with: the first of its name, or the only one there is."""
    if not _left:
        return None
    with _lock:
        found = next((one for one in _left if one.name == name), _left[0] if len(_left) == 1 else None)
        if found is not None:
            _left.remove(found)
        return found


def forked() -> None:
    """In the child of a fork: its roots are its own."""
    global _lock
    _lock = threading.Lock()
    _left.clear()
