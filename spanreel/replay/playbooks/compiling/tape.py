"""Walking a playbook over a recorded run: its calls are answered from the run, by identity; nothing happens.

Quiet. What the run does not have stops the walk, as a missing tool would. Used to check what was compiled against the
runs it came from, and to fill in parameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Failure, Stopped, ToolFacts, Walked
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.compiling.observed import Call, Observed
from spanreel.replay.playbooks.compiling.values import key
from spanreel.replay.playbooks.walk import walk


@dataclass(frozen=True, slots=True)
class Proposed:
    """A call that the playbook made, and the run's own that answered it."""

    state: str
    tool: str
    args: Mapping[str, Any]
    safety: str
    answered_by: Call | None


@dataclass(slots=True)
class Walkthrough:
    """What a walk over a run came to. failure: what stopped it, if anything did."""

    proposed: list[Proposed] = field(default_factory=list[Proposed])
    walked: Walked | None = None
    failure: Failure | None = None

    @property
    def writes(self) -> list[Proposed]:
        """The calls that would have changed something."""
        return [one for one in self.proposed if one.safety != "read"]


class NotOnTape(Exception):
    """The run has no such call."""


def over(
    body: Body,
    run: Observed,
    params: Mapping[str, Any],
    *,
    safety: Mapping[str, str] | None = None,
    answers: Mapping[str, Any] | None = None,
) -> Walkthrough:
    """Walk a playbook over a run.

    Args:
        body: the playbook.
        run: whose calls answer; approvals are given, models answer with what they said in that run.
        params: by name.
        safety: of tools, over what the run says.
        answers: what models say, by the variable that keeps it.
    """
    found = Walkthrough()
    tape = _Tape(run.calls)
    known = {call.tool: call.safety or "write" for call in run.calls} | dict(safety or {})
    steps = walk(body, params)
    answer: Any = None
    thrown: Exception | None = None
    while True:
        try:
            ask = steps.throw(thrown) if thrown else steps.send(answer)
        except StopIteration as stopped:
            found.walked = stopped.value
            return found
        except Stopped as stopped:
            found.failure = stopped.failure
            return found
        answer, thrown = None, None
        if isinstance(ask, asks.Known):
            answer = ToolFacts(ask.tool, known[ask.tool]) if ask.tool in known else None
        elif isinstance(ask, asks.Call):
            call = tape.take(ask.tool, ask.args)
            found.proposed.append(Proposed(ask.state, ask.tool, ask.args, ask.safety, call))
            if call is None:
                thrown = NotOnTape(f"the run has no call of {ask.tool} with these arguments")
            elif call.error is not None:
                thrown = RuntimeError(call.error)
            else:
                answer = call.result
        elif isinstance(ask, asks.Gate):
            answer = _Approved()
        elif isinstance(ask, asks.SpentSoFar):
            answer = asks.Spent()
        elif isinstance(ask, (asks.Ask, asks.RunPython, asks.Load)):
            answer, thrown = _told(body, ask, answers or {})
        elif isinstance(ask, asks.Probe):
            from spanreel.replay.playbooks.conditions import Judgement

            answer = Judgement(True, "the surroundings are not looked at over a recorded run")


def _told(body: Body, ask: Any, answers: Mapping[str, Any]) -> tuple[Any, Exception | None]:
    name = body.states[ask.state].save_as if isinstance(ask, asks.Ask) else None
    if name in answers:
        return answers[str(name)], None
    return None, NotOnTape("the run does not tell what this would have answered")


class _Approved:
    approved = True
    actor = None
    reason = None

    def __bool__(self) -> bool:
        return True


class _Tape:
    """Calls by identity: one that was not used yet and comes next, else one that was made before."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self._calls: dict[str, list[Call]] = {}
        for call in calls:
            self._calls.setdefault(key([call.tool, call.arguments]), []).append(call)
        self._used: set[int] = set()
        self._now = -1

    def take(self, tool: str, args: Mapping[str, Any]) -> Call | None:
        """The call that this is: among equal ones those that went well, then the next one from here on."""
        alike = self._calls.get(key([tool, dict(args)]), [])
        well = [call for call in alike if call.error is None] or alike
        free = [call for call in well if id(call) not in self._used]
        if well and well[0].safety != "read":
            call = free[0] if free else None
        else:
            ahead = [call for call in free if call.at >= self._now]
            call = (ahead or well or [None])[0]
        if call is not None:
            self._used.add(id(call))
            self._now = max(self._now, call.at)
        return call
