"""LOUD: two thin drivers of one walk, in sync and in async code: what the walk asks for is done here.

Tools go through `toolbox`, and so through the one seam that decides who answers; gates through `await_approval`. A signal
(a pending approval, a divergence, a denied effect) ends the drive at once: nothing is compensated for, for a resumed run
goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

from spanreel.exceptions import SpanreelError
from spanreel.instrument import codec
from spanreel.instrument.approvals import await_approval
from spanreel.instrument.tool_call import acall_tool, call_tool
from spanreel.replay import entry
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Misfit, Ran, Spent, Walked
from spanreel.replay.playbooks.body import Body, State
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.engine import asking, surroundings
from spanreel.replay.playbooks.engine.context import Context, called
from spanreel.replay.playbooks.engine.state_spans import StateSpans
from spanreel.replay.playbooks.engine.toolbox import Toolbox, function_of
from spanreel.replay.playbooks.engine.unsayable import sayable

Repairer: TypeAlias = "Callable[[Body, asks.Failure, Mapping[str, Any]], Any]"
"""Asked, in a guided run, for what to try instead of a state that failed: a state, a patch of the body, or None."""
Hook: TypeAlias = "Callable[..., Any]"
PARSE_FAILED = "spanreel.parse_failed"
MOST_ISSUES = 32


@dataclass(slots=True)
class World:
    """What a walk's asks are answered with.

    Attributes:
        tools: that may be called.
        model: for model states that name none, or a function that answers for all of them.
        repairers: of a guided run, asked in order.
        bodies: other playbooks, by name and by hash; `load` is asked for those that are not in it.
        before, after: called when a state begins, with its context and name, and when it is over, with the next one too.
        set_as: what functions have set, by name: as JSON, and as it was.
        visited, model_calls, tool_calls, cost: so far. cost: USD; None: nobody knows.
    """

    tools: Toolbox
    model: asking.Model = None
    repairers: Sequence[Repairer] = ()
    bodies: Mapping[str, Body] = field(default_factory=dict[str, Body])
    load: Callable[[str, str | None], Body] | None = None
    before: Hook | None = None
    after: Hook | None = None
    spans: StateSpans = field(default_factory=StateSpans)
    visited: list[str] = field(default_factory=list[str])
    model_calls: int = 0
    tool_calls: int = 0
    cost: Decimal | None = Decimal(0)
    set_as: dict[str, tuple[Any, Any]] = field(default_factory=dict[str, tuple[Any, Any]])
    began: float = field(default_factory=time.monotonic)

    def answer(self, asked: Any) -> Any:
        """Do what is asked, in sync code.

        Raises:
            Exception: of what was called; the walk is told of it.
            Signal: goes through.
        """
        match asked:
            case asks.Call(purpose="compensation"):
                with self.spans.undoing(asked.state):
                    return sayable(self.tools.call(asked))
            case asks.Call():
                self.tool_calls += 1
                return sayable(self.tools.call(asked))
            case asks.Ask():
                with self._asking():
                    return self._paid(asking.ask(asked, self.model))
            case asks.Wait():
                return time.sleep(asked.seconds)
            case asks.RunPython(of="pre" | "post"):
                call = surroundings.of_tool(asked)
                return call_tool(surroundings.of_tool_dispatch(asked), lambda: entry.finished(call()))
            case asks.Probe() if "judge" in asked.condition:
                return _verdict(self.answer(surroundings.question(asked)))
            case asks.Probe():
                return self._known(asked) or surroundings.probe(asked, self._of_probe(asked))
            case asks.RunPython():
                context, found = self._run(asked)
                return self._ran(asked, context, entry.finished(found))
            case _:
                return entry.finished(self._answered(asked))

    async def aanswer(self, asked: Any) -> Any:
        """The same in a running loop."""
        match asked:
            case asks.Call(purpose="compensation"):
                with self.spans.undoing(asked.state):
                    return sayable(await self.tools.acall(asked))
            case asks.Call():
                self.tool_calls += 1
                return sayable(await self.tools.acall(asked))
            case asks.Ask():
                with self._asking():
                    return self._paid(await asking.aask(asked, self.model))
            case asks.Wait():
                return await asyncio.sleep(asked.seconds)
            case asks.RunPython(of="pre" | "post"):
                call = surroundings.of_tool(asked)

                async def body() -> Any:
                    return await entry.awaited(call())

                return await acall_tool(surroundings.of_tool_dispatch(asked), body)
            case asks.Probe() if "judge" in asked.condition:
                return _verdict(await self.aanswer(surroundings.question(asked)))
            case asks.Probe():
                return self._known(asked) or await surroundings.aprobe(asked, self._of_probe(asked))
            case asks.RunPython():
                context, found = self._run(asked)
                return self._ran(asked, context, await entry.awaited(found))
            case _:
                return await entry.awaited(self._answered(asked))

    def _answered(self, asked: Any) -> Any:
        """What is the same in both; an awaitable where the function that was called gave one."""
        match asked:
            case asks.Enter():
                self.visited.append(asked.state)
                self.spans.enter(asked)
                return self._hooked(self.before, asked.state, asked.variables)
            case asks.Leave():
                self.spans.leave(asked)
                return self._hooked(self.after, asked.state, asked.variables, asked.next)
            case asks.Again():
                return self.spans.again(asked)
            case asks.Known():
                return self.tools.facts(asked.tool)
            case asks.Gate():
                return await_approval(asked.id, asked.summary, asked.details)
            case asks.SpentSoFar():
                cost = None if self.cost is None else float(self.cost)
                return Spent(time.monotonic() - self.began, cost)
            case asks.Load():
                return self._loaded(asked)
            case asks.Mend():
                return self._mended(asked)
            case _:
                raise TypeError(f"a walk asked for {type(asked).__name__}, which nobody knows")

    def _hooked(self, hook: Hook | None, state: str, variables: Mapping[str, Any], *more: Any) -> Any:
        return (
            None
            if hook is None
            else hook(Context(state, self._as_set(variables), writable=False), state, *more)
        )

    def _asking(self) -> _Asking:
        self.model_calls += 1
        return _Asking(self)

    def paid(self, cost: Decimal | None) -> None:
        """A model call came to its end. cost: USD; None: nobody knows."""
        self.cost = None if self.cost is None or cost is None else self.cost + cost

    def _paid(self, answer: asking.Answer) -> Any:
        self.paid(answer.cost)
        return answer.value

    def _known(self, asked: asks.Probe) -> Judgement | None:
        """The judgement of a condition that reads nothing."""
        condition = asked.condition
        if "always" in condition:
            return Judgement(condition["always"] is True, "it is said so")
        if "tool_available" not in condition:
            return None
        wanted: Any = condition["tool_available"]
        names: list[str] = [wanted] if isinstance(wanted, str) else list(wanted)
        missing = [name for name in names if self.tools.find(name) is None]
        return Judgement(
            not missing, f"no tool {missing[0]} is registered" if missing else "they are registered"
        )

    def _of_probe(self, asked: asks.Probe) -> Callable[..., Any] | None:
        named = asked.condition.get("python")
        return None if named is None else function_of(named, self.tools)

    def _run(self, asked: asks.RunPython) -> tuple[Context, Any]:
        context = Context(asked.state, self._as_set(asked.variables), writable=asked.written)
        return context, called(function_of(asked.function, self.tools), context)

    def _ran(self, asked: asks.RunPython, context: Context, returned: Any) -> Any:
        if not asked.written:
            return sayable(returned)
        said = {name: sayable(value) for name, value in context.changed.items()}
        self.set_as |= {name: (said[name], value) for name, value in context.changed.items()}
        return Ran(said, returned)

    def _as_set(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The variables as functions have set them, dates as dates; bindings and guards see JSON.

        A run that goes on calls the functions again, so that nothing of it needs to be read back.
        """
        found = dict(variables)
        for name, (said, value) in self.set_as.items():
            if found.get(name) is said and not isinstance(value, (dict, list)):
                found[name] = value
        return found

    def _loaded(self, asked: asks.Load) -> Body:
        found = self.bodies.get(asked.hash or asked.name)
        if found is None and self.load is not None:
            found = self.load(asked.name, asked.hash)
        if found is None:
            raise SpanreelError(
                f"there is no playbook {asked.hash or asked.name}", "see: spanreel playbook list"
            )
        self.spans.inside(found)
        return found

    def _mended(self, asked: asks.Mend) -> State | None:
        for repairer in self.repairers:
            found = repairer(asked.body, asked.failure, asked.variables)
            if isinstance(found, State):
                return found
            if found is not None:
                from spanreel.replay.playbooks.engine.mending import patched_state

                return patched_state(asked.body, asked.failure.state, found)
        return None


class _Asking:
    """A model is asked in this block; an answer that does not fit is remarked on, and paid for."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Misfit):
            self._world.paid(error.cost)
            said = {
                "stage": error.stage,
                "issues": codec.plain_text(error.issues[:MOST_ISSUES]),
                "issue_count": len(error.issues),
                "truncated": len(error.issues) > MOST_ISSUES,
                "response_chars": error.chars,
            }
            self._world.spans.note(said, PARSE_FAILED)


def _verdict(found: Any) -> Judgement:
    return Judgement(found.get("holds"), f"a model says: {found.get('why') or found.get('holds')}")


Walking: TypeAlias = "Generator[Any, Any, Walked]"


def drive(walking: Walking, world: World) -> Walked:
    """Take a walk to its end.

    Raises:
        Stopped: by one of its guards.
        Signal: by whoever is in charge.
    """
    steps = _Steps(walking, world)
    with steps:
        while not steps.over:
            try:
                answer = world.answer(steps.asked)
            except Exception as error:  # noqa: BLE001 - the walk decides what a failure means
                steps.throw(error)
            else:
                steps.send(answer)
    return steps.walked


async def adrive(walking: Walking, world: World) -> Walked:
    """`drive`, in a running loop."""
    steps = _Steps(walking, world)
    with steps:
        while not steps.over:
            try:
                answer = await world.aanswer(steps.asked)
            except Exception as error:  # noqa: BLE001 - the walk decides what a failure means
                steps.throw(error)
            else:
                steps.send(answer)
    return steps.walked


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
