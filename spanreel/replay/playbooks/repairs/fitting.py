"""A body held against a recorded run: walked with its tools answered by that run, by identity. How far does it come?

Quiet, and nothing is recorded: `repair` asks it of one body after another. What is recorded, and counts, is a shadow
(`shadow`); both are judged by `scoring`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Failure, Spent, Stopped, ToolFacts, Walked
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.shadows.scoring import ProposedCall, Safeties, Score, score
from spanreel.replay.playbooks.walk import jsonable, walk
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.timeline import Replay, ToolCallRecord


@dataclass(frozen=True, slots=True)
class Signature:
    """What a registered tool takes. required, optional: names of its parameters; open: any other, too."""

    name: str
    required: frozenset[str] = frozenset()
    optional: frozenset[str] = frozenset()
    open: bool = False
    safety: str | None = None

    def takes(self, names: Sequence[str] | Mapping[str, Any]) -> bool:
        """Whether it can be called with arguments of these names."""
        given = set(names)
        return self.required <= given and (self.open or given <= self.required | self.optional)

    @classmethod
    def of(cls, name: str, function: Callable[..., Any], safety: str | None = None) -> Signature:
        """Of a function."""
        try:
            found = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return cls(name, open=True, safety=safety)
        named = [one for one in found if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)]
        required = frozenset(one.name for one in named if one.default is one.empty)
        return cls(
            name,
            required,
            frozenset(one.name for one in named) - required,
            any(one.kind is one.VAR_KEYWORD for one in found),
            safety,
        )


Signatures: TypeAlias = Mapping[str, Signature]


@dataclass(frozen=True, slots=True)
class Done:
    """A tool call of a run. at: its place among them. result: as bindings see it."""

    at: int
    tool: str
    args: dict[str, Any]
    result: Any
    error: str | None = None
    span_id: str | None = None
    safety: str | None = None


def calls_of(replay: Replay) -> list[Done]:
    """The tool calls of a run, in order; one that failed is left out where the same call went through later."""
    last: dict[str, int] = {}
    for at, call in enumerate(replay.tool_calls):
        if call.error is None:
            last[_identity(call.tool_name, call.tool_args)] = at
    return [
        _done(at, call)
        for at, call in enumerate(replay.tool_calls)
        if call.error is None or last.get(_identity(call.tool_name, call.tool_args), -1) < at
    ]


def _done(at: int, call: ToolCallRecord) -> Done:
    args = call.tool_args if isinstance(call.tool_args, dict) else {}
    return Done(at, call.tool_name, args, jsonable(call.result), call.error, call.span_id, call.safety)


def _identity(tool: str, args: Any) -> str:
    return f"{tool}\0{canonical_json(args)}"


@dataclass(frozen=True, slots=True)
class Shown:
    """A run that a body is held against.

    params: what the playbook is given. ok: the run succeeded, and so shows how it is done; else it shows what went wrong.
    """

    replay: Replay
    params: Mapping[str, Any]
    ok: bool


@dataclass(frozen=True, slots=True)
class Fit:
    """How far a body comes over a run.

    Attributes:
        proposed: its calls in order.
        walked: what it came to; None: it did not come to its end.
        failure: the guard that stopped it.
        asked: the call that the run has no answer for, where that stopped it; what else it lacked: `lacked`.
        variables: when it stopped.
        served: by state, the recorded call that answered it last.
        left: recorded calls that it did not make.
    """

    score: Score
    proposed: tuple[ProposedCall, ...]
    walked: Walked | None
    failure: Failure | None
    asked: ProposedCall | None
    lacked: str | None
    variables: Mapping[str, Any]
    served: Mapping[str, Done]
    left: tuple[Done, ...]

    @property
    def clean(self) -> bool:
        """It came to its end, and wrote what the run wrote."""
        return self.walked is not None and self.score.first_divergence is None

    @property
    def stopped_at(self) -> str | None:
        """The state that it did not get through."""
        if self.asked is not None:
            return self.asked.state
        return self.failure.state if self.failure is not None else None


class _NotAnswered(Exception):
    """The run does not know."""


class RecordedFailure(Exception):
    """What a recorded call failed with, in its words."""


@dataclass(slots=True)
class _Answers:
    calls: Sequence[Done]
    signatures: Signatures | None
    safeties: Safeties
    params: Mapping[str, Any]
    used: set[int] = field(default_factory=set[int])
    given: dict[str, Any] = field(default_factory=dict[str, Any])
    served: dict[str, Done] = field(default_factory=dict[str, Done])
    proposed: list[ProposedCall] = field(default_factory=list[ProposedCall])
    asked: ProposedCall | None = None
    state: str = ""
    lacked: str | None = None
    variables: dict[str, Any] = field(default_factory=dict[str, Any])

    def answer(self, ask: Any) -> Any:
        match ask:
            case asks.Enter():
                self.state = ask.state
                return None
            case asks.Leave():
                self.variables.update(ask.saved)
                return None
            case asks.Known():
                return self.known(ask.tool)
            case asks.Call():
                return self.called(ask)
            case asks.Gate():
                return _Assumed()
            case asks.Probe():
                return Judgement(True, "assumed of a recorded run")
            case asks.SpentSoFar():
                return Spent()
            case asks.Ask():
                return self.lacks(ask.state, "what a model would say")
            case asks.RunPython():
                return self.lacks(ask.state, "what code would return")
            case asks.Load():
                return self.lacks(self.state, f"playbook {ask.name}")
            case _:
                return None

    def lacks(self, state: str, what: str) -> Any:
        self.lacked = f"state {state} needs {what}, which the run does not tell"
        raise _NotAnswered

    def known(self, tool: str) -> ToolFacts | None:
        made = any(call.tool == tool for call in self.calls)
        if self.signatures is not None and tool not in self.signatures and not made:
            return None
        return ToolFacts(tool, self.safeties[tool])

    def called(self, ask: asks.Call) -> Any:
        proposed = ProposedCall(state=ask.state, tool=ask.tool, args=dict(ask.args), safety=ask.safety)
        identity = _identity(ask.tool, ask.args)
        call = next(
            (
                one
                for one in self.calls
                if one.at not in self.used and _identity(one.tool, one.args) == identity
            ),
            None,
        )
        if call is None and ask.safety == "read" and identity in self.given:
            return self.given[identity]
        if call is None:
            self.asked = proposed.model_copy(update={"answered": False})
            raise _NotAnswered
        self.used.add(call.at)
        self.served[ask.state] = call
        self.proposed.append(proposed)
        if call.error is not None:
            raise RecordedFailure(call.error)
        if ask.safety == "read":
            self.given[identity] = call.result
        else:
            self.given.clear()
        return call.result


class _Assumed:
    approved = True
    reason = None

    def __bool__(self) -> bool:
        return True


def fit(body: Body, shown: Shown, signatures: Signatures | None, safeties: Safeties) -> Fit:
    """Hold a body against a run.

    Args:
        body: any.
        shown: the run.
        signatures: of the registered tools; None: what is registered is not known, and nothing is said about it.
        safeties: which tools write.
    """
    calls = calls_of(shown.replay)
    answers = _Answers(calls, signatures, safeties, shown.params, variables={"params": dict(shown.params)})
    walking = walk(body, shown.params)
    walked: Walked | None = None
    failure: Failure | None = None
    answer: Any = None
    error: Exception | None = None
    try:
        while True:
            ask = walking.throw(error) if error is not None else walking.send(answer)
            answer = error = None
            try:
                answer = answers.answer(ask)
            except RecordedFailure as raised:
                error = raised
    except StopIteration as done:
        walked = done.value
    except Stopped as stopped:
        failure = stopped.failure
    except _NotAnswered:
        pass
    finally:
        walking.close()
    unanswered = [answers.asked] if answers.asked is not None else []
    return Fit(
        score=score([*answers.proposed, *unanswered], shown.replay, safeties),
        proposed=tuple(answers.proposed),
        walked=walked,
        failure=failure,
        asked=answers.asked,
        lacked=answers.lacked,
        variables=answers.variables,
        served=answers.served,
        left=tuple(call for call in calls if call.at not in answers.used),
    )
