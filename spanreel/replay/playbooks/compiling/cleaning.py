"""What of a run's calls counts: without those that failed, and without reads that were asked twice.

Quiet. Nothing is dropped in silence: every call left out is listed with why.
"""

from __future__ import annotations

from dataclasses import dataclass

from spanreel.replay.playbooks.compiling.observed import Call, Observed
from spanreel.replay.playbooks.compiling.values import key, looks_failed


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A call that is no part of the playbook, and why. again: it failed, and the same call went well later."""

    run_id: str
    call: Call
    why: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A run's calls that count, in order. index: its place among the runs."""

    index: int
    run: Observed
    calls: tuple[Call, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def writes(self) -> tuple[Call, ...]:
        """Those that change something, or of which nobody said that they do not."""
        return tuple(call for call in self.calls if call.safety != "read")


def cleaned(run: Observed, index: int) -> Cleaned:
    """The calls of a run that count."""
    kept: list[Call] = []
    dropped: list[LeftOut] = []
    seen: dict[str, Call] = {}
    for place, call in enumerate(run.calls):
        identity = _identity(call)
        later = [other for other in run.calls[place + 1 :] if _identity(other) == identity]
        if failure := _failure(call):
            again = any(not _failure(other) for other in later)
            why = f"failed ({_short(failure)})" + (", and was tried again" if again else "")
            dropped.append(LeftOut(run.run_id, call, why, again))
            continue
        if call.safety == "read":
            before = seen.get(identity)
            if before is not None and key(before.result) == key(call.result):
                dropped.append(LeftOut(run.run_id, call, "was asked before, with the same result"))
                continue
            seen[identity] = call
        kept.append(call)
    return Cleaned(index, run, tuple(kept), tuple(dropped))


def _identity(call: Call) -> str:
    return key([call.tool, call.arguments])


def _failure(call: Call) -> str | None:
    return call.error if call.error is not None else looks_failed(call.result)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:79]}…"
