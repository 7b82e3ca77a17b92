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
from spanreel.replay.playbooks.conditions import Judgement
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
        answers: of models, by the variable that keeps them.
    """
    world = _World(body, run, dict(safety or {}), dict(answers or {}))
    found = world.found
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
        try:
            answer = world.answered(ask)
        except (NotOnTape, RuntimeError) as error:
            thrown = error


class _World:
    """Answers from a run what a walk asks."""

    def __init__(self, body: Body, run: Observed, safety: dict[str, str], answers: dict[str, Any]) -> None:
        self.found = Walkthrough()
        self._body = body
        self._tape = _Tape(run.calls)
        self._known = {call.tool: call.safety or "write" for call in run.calls} | safety
        self._answers = answers

    def answered(self, ask: asks.AnyAsk) -> Any:
        """The answer.

        Raises:
            NotOnTape: the run does not tell.
            RuntimeError: the call failed in the run.
        """
        if isinstance(ask, asks.Known):
            return ToolFacts(ask.tool, self._known[ask.tool]) if ask.tool in self._known else None
        if isinstance(ask, asks.Call):
            return self._called(ask)
        if isinstance(ask, asks.Gate):
            return _Approved()
        if isinstance(ask, asks.SpentSoFar):
            return asks.Spent()
        if isinstance(ask, asks.Probe):
            return Judgement(True, "the surroundings are not looked at over a recorded run")
        if isinstance(ask, asks.Ask):
            name = self._body.states[ask.state].save_as
            if name is not None and name in self._answers:
                return self._answers[name]
        if isinstance(ask, (asks.Ask, asks.RunPython, asks.Load)):
            raise NotOnTape("the run does not tell what this would have answered")
        return None

    def _called(self, ask: asks.Call) -> Any:
        call = self._tape.take(ask.tool, ask.args)
        self.found.proposed.append(Proposed(ask.state, ask.tool, ask.args, ask.safety, call))
        if call is None:
            raise NotOnTape(f"the run has no call of {ask.tool} with these arguments")
        if call.error is not None:
            raise RuntimeError(call.error)
        return call.result


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
