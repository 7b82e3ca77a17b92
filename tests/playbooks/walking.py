"""A small driver of the walk for tests: tools are functions of the test, gates are decided by a list, time is a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spanreel.instrument.responder import Decision
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Failure, Spent, Stopped, ToolFacts, Walked
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.walk import walk


def body(states: Mapping[str, Any], **keys: Any) -> Body:
    """A body that begins at its first state."""
    return Body.model_validate({"name": "p", "initial": next(iter(states)), "states": states, **keys})


class Walker:
    """Walks a playbook. Attributes: what was asked for, in order."""

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | None = None,
        *,
        safety: Mapping[str, str] | None = None,
        pre: Mapping[str, tuple[Any, ...]] | None = None,
        post: Mapping[str, tuple[Any, ...]] | None = None,
        decisions: list[bool] | None = None,
        spent: Callable[[], Spent] = Spent,
        model: Callable[[asks.Ask], Any] | None = None,
        probes: Mapping[str, bool | None] | None = None,
        bodies: Mapping[str, Body] | None = None,
        mend: Callable[[asks.Mend], Any] | None = None,
    ) -> None:
        self.tools, self.safety = tools or {}, safety or {}
        self.pre, self.post = pre or {}, post or {}
        self.decisions = list(decisions or [])
        self.spent, self.model, self.probes = spent, model, probes or {}
        self.bodies, self.mend = bodies or {}, mend
        self.asked: list[Any] = []

    def walk(self, given: Body, params: Mapping[str, Any] | None = None, **options: Any) -> Walked:
        walking = walk(given, params or {}, **options)
        answer: Any = None
        error: Exception | None = None
        while True:
            try:
                asked = walking.throw(error) if error else walking.send(answer)
            except StopIteration as done:
                return done.value
            self.asked.append(asked)
            answer = error = None
            try:
                answer = self.answer(asked)
            except Exception as raised:
                error = raised

    def stopped(self, given: Body, params: Mapping[str, Any] | None = None, **options: Any) -> Failure:
        """The failure that it stops with, which there has to be."""
        try:
            walked = self.walk(given, params, **options)
        except Stopped as stopped:
            return stopped.failure
        raise AssertionError(f"it came to {walked.output!r}")

    def answer(self, asked: Any) -> Any:
        match asked:
            case asks.Known():
                return (
                    ToolFacts(
                        asked.tool,
                        self.safety.get(asked.tool, "write"),
                        self.pre.get(asked.tool, ()),
                        self.post.get(asked.tool, ()),
                    )
                    if asked.tool in self.tools
                    else None
                )
            case asks.Call():
                return self.tools[asked.tool](**asked.args)
            case asks.Ask():
                assert self.model is not None
                return self.model(asked)
            case asks.Gate():
                return Decision(self.decisions.pop(0), reason="said so")
            case asks.SpentSoFar():
                return self.spent()
            case asks.Probe():
                return Judgement(self.probes.get(next(iter(asked.condition))), "looked")
            case asks.RunPython():
                about = (asked.result,) if asked.of != "state" else (asked.variables,)
                return (
                    asked.function(*about) if callable(asked.function) else self.tools[asked.function](*about)
                )
            case asks.Load():
                return self.bodies[asked.hash or asked.name]
            case asks.Mend():
                return self.mend(asked) if self.mend else None
            case _:
                return None

    def calls(self) -> list[str]:
        """Tools that were called, in order, compensations too."""
        return [one.tool for one in self.asked if isinstance(one, asks.Call)]

    def of(self, kind: type[Any]) -> list[Any]:
        """What was asked of one kind."""
        return [one for one in self.asked if isinstance(one, kind)]
