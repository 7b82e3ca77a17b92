"""LOUD: two thin drivers of one walk, in sync and in async code: what the walk asks for is done here.

Tools go through `toolbox`, and so through the one seam that decides who answers; gates through `await_approval`. A signal
(a pending approval, a divergence, a denied effect) ends the drive at once: nothing is compensated for, for a resumed run
goes on from there.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from spanreel.exceptions import SpanreelError
from spanreel.instrument.approvals import await_approval
from spanreel.replay import entry
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Spent, Walked
from spanreel.replay.playbooks.body import Body, State
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.state_spans import StateSpans
from spanreel.replay.playbooks.toolbox import Toolbox, imported

Repairer: TypeAlias = "Callable[[Body, asks.Failure, Mapping[str, Any]], Any]"
"""Asked, in a guided run, for the state to try instead of one that failed; None: it knows none."""


@dataclass(slots=True)
class World:
    """What a walk's asks are answered with.

    Attributes:
        tools: that may be called.
        models: asks a model; None: model states fail, for nobody said how to reach one.
        repairers: of a guided run, asked in order.
        bodies: other playbooks, by name and by hash.
        functions: of a playbook written in Python, by state.
        visited, model_calls, tool_calls, cost: so far. cost: USD; None: nobody knows.
    """

    tools: Toolbox
    models: Any = None
    repairers: Sequence[Repairer] = ()
    bodies: Mapping[str, Body] = field(default_factory=dict[str, Body])
    spans: StateSpans = field(default_factory=StateSpans)
    visited: list[str] = field(default_factory=list[str])
    model_calls: int = 0
    tool_calls: int = 0
    cost: Decimal | None = Decimal(0)
    began: float = field(default_factory=time.monotonic)

    def answer(self, asked: Any) -> Any:
        """Do what is asked, in sync code.

        Raises:
            Exception: of what was called; the walk is told of it.
            Signal: goes through.
        """
        match asked:
            case asks.Call():
                return self._called(asked, lambda: self.tools.call(asked))
            case asks.Wait():
                return time.sleep(asked.seconds)
            case _:
                found = self._answered(asked)
                return entry.finished(found) if inspect.isawaitable(found) else found

    async def aanswer(self, asked: Any) -> Any:
        """The same in a running loop."""
        match asked:
            case asks.Call(purpose="compensation"):
                with self.spans.undoing(asked.state):
                    return await self.tools.acall(asked)
            case asks.Call():
                self.tool_calls += 1
                return await self.tools.acall(asked)
            case asks.Wait():
                return await asyncio.sleep(asked.seconds)
            case _:
                found = self._answered(asked)
                return await found if inspect.isawaitable(found) else found

    def _called(self, asked: asks.Call, call: Callable[[], Any]) -> Any:
        if asked.purpose == "compensation":
            with self.spans.undoing(asked.state):
                return call()
        self.tool_calls += 1
        return call()

    def _answered(self, asked: Any) -> Any:
        """What is the same in both; an awaitable where the function that was called gave one."""
        match asked:
            case asks.Enter():
                self.visited.append(asked.state)
                return self.spans.enter(asked)
            case asks.Leave():
                return self.spans.leave(asked)
            case asks.Again():
                return self.spans.again(asked)
            case asks.Known():
                return self.tools.facts(asked.tool)
            case asks.Gate():
                return await_approval(asked.id, asked.summary, asked.details)
            case asks.SpentSoFar():
                cost = None if self.cost is None else float(self.cost)
                return Spent(time.monotonic() - self.began, cost)
            case asks.RunPython():
                return _function(asked.function)(*_given(asked))
            case asks.Ask():
                self.model_calls += 1
                raise SpanreelError(
                    "this playbook asks a model, and none was named", "name it: --model PROVIDER/NAME"
                )
            case asks.Probe():
                return Judgement(None, f"nobody knows how to find out {dict(asked.condition)}")
            case asks.Load():
                return self._loaded(asked)
            case asks.Mend():
                return self._mended(asked)
            case _:
                raise TypeError(f"a walk asked for {type(asked).__name__}, which nobody knows")

    def _loaded(self, asked: asks.Load) -> Body:
        found = self.bodies.get(asked.hash or asked.name)
        if found is None:
            raise SpanreelError(
                f"there is no playbook {asked.hash or asked.name}", "see: spanreel playbook list"
            )
        self.spans.inside(found)
        return found

    def _mended(self, asked: asks.Mend) -> State | None:
        for repairer in self.repairers:
            found = repairer(asked.body, asked.failure, asked.variables)
            if found is not None:
                return found
        return None


Walking: TypeAlias = "Generator[Any, Any, Walked]"


def drive(walking: Walking, world: World) -> Walked:
    """Take a walk to its end.

    Raises:
        Stopped: by one of its guards.
        Signal: by whoever is in charge.
    """
    step = _Steps(walking, world)
    with step:
        while not step.over:
            try:
                answer = world.answer(step.asked)
            except Exception as error:  # noqa: BLE001 - the walk decides what a failure means
                step.throw(error)
            else:
                step.send(answer)
    return step.walked


async def adrive(walking: Walking, world: World) -> Walked:
    """`drive`, in a running loop."""
    step = _Steps(walking, world)
    with step:
        while not step.over:
            try:
                answer = await world.aanswer(step.asked)
            except Exception as error:  # noqa: BLE001 - the walk decides what a failure means
                step.throw(error)
            else:
                step.send(answer)
    return step.walked


class _Steps:
    """A walk step by step: what it asks for now, and what it came to."""

    def __init__(self, walking: Walking, world: World) -> None:
        self._walking = walking
        self._world = world
        self.over = False
        self.asked: Any = None
        self._walked: Walked | None = None

    @property
    def walked(self) -> Walked:
        assert self._walked is not None
        return self._walked

    def __enter__(self) -> None:
        try:
            self.send(None)
        except BaseException as error:
            self._world.spans.close(error)
            raise

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._walking.close()
        self._world.spans.close(error)

    def send(self, answer: Any) -> None:
        self._step(lambda: self._walking.send(answer))

    def throw(self, error: Exception) -> None:
        self._step(lambda: self._walking.throw(error))

    def _step(self, step: Callable[[], Any]) -> None:
        try:
            self.asked = step()
        except StopIteration as done:
            self.over, self._walked = True, done.value


def _function(named: Any) -> Callable[..., Any]:
    """A function by its ``module:name``.

    Raises:
        SpanreelError: there is none.
    """
    if callable(named):
        return named
    module, _, name = str(named).partition(":")
    found: Any = imported(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SpanreelError(f"there is no function {name} in {module}", "mend the playbook, or the module")
    return found


def _given(asked: asks.RunPython) -> Sequence[Any]:
    return (dict(asked.variables),)
