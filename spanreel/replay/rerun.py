"""LOUD: a run again from Python, as it was or with a change: `Replay.rerun` and `Replay.arerun`.

With `agent` it runs in this process, on its recorded inputs; without, in a process of its own, by its recorded entry
point. Whatever ends it (a divergence, a denied effect, a pause, its own error) is in the verdict: nothing is raised
for it, so that two runs can be compared however they ended.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from spanreel.exceptions import NotReplayable, Signal, SpanreelError
from spanreel.instrument import codec
from spanreel.instrument.binding import rebound
from spanreel.replay import entry
from spanreel.replay.connections import own_connections
from spanreel.replay.policy import Messages, Overrides, Policy, budget_of
from spanreel.replay.settings import policy_for
from spanreel.replay.stored import Stored, stored
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    import os

    from spanreel.replay.compare import ReplayComparison
    from spanreel.replay.execution import Execution
    from spanreel.replay.timeline import Replay
    from spanreel.replay.verdict import Verdict

Agent = Callable[..., Any]


@dataclass(frozen=True)
class Rerun:
    """A run that was run again.

    Attributes:
        source: the run it was made of.
        replay: the new run.
        verdict: whether it went as recorded, and what went live.
        result: what the agent returned; None from a process of its own (there, see `replay.content`).
        error: what ended it early, in this process; None else.
    """

    source: Replay
    replay: Replay
    verdict: Verdict
    result: Any = None
    error: BaseException | None = None

    @cached_property
    def comparison(self) -> ReplayComparison:
        """What changed from the source to the new run."""
        return self.source.compare(self.replay)


@dataclass(frozen=True, slots=True)
class Asked:
    """What `rerun` was asked, put together. prompt: a text, or arguments of the agent by name; None: as recorded."""

    source: Replay
    agent: Agent | None
    policy: Policy
    prompt: str | Mapping[str, Any] | None
    file: str | os.PathLike[str] | None
    store: str | os.PathLike[str] | None
    timeout: float | None

    @property
    def name(self) -> str:
        """Of the recorded run, in the store or in its file."""
        return self.source.run_id if self.file is None else f"{self.file}#{self.source.run_id}"


def asked(
    source: Replay,
    agent: Agent | None = None,
    *,
    model: str | None = None,
    instructions: str | None = None,
    tools: list[dict[str, Any]] | None = None,
    params: Mapping[str, Any] | None = None,
    messages: Messages | None = None,
    prompt: str | Mapping[str, Any] | None = None,
    step_overrides: Mapping[int, Mapping[str, Any]] | None = None,
    responses: Mapping[int, Any] | None = None,
    at: int | None = None,
    live: bool = False,
    allow_tools: Collection[str] = (),
    budget: Any = None,
    on_miss: str = "raise",
    match: str = "structural",
    file: str | os.PathLike[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    timeout: float | None = None,
) -> Asked:
    """The arguments of `Replay.rerun` as one value.

    Raises:
        SpanreelError: they contradict each other, or cannot be written down.
    """
    said = {"model": model, "instructions": instructions, "tools": tools}
    every = {**(params or {}), **{name: value for name, value in said.items() if value is not None}}
    _plain({"params": every, "step_overrides": step_overrides})
    if agent is None:
        _plain({"responses": responses})
    overrides = Overrides(every, step_overrides or {}, responses or {}, messages=messages)
    policy = policy_for(
        overrides,
        at=at,
        live=live or (prompt is not None and at is None),  # another question has no recorded answer
        allow_tools=allow_tools,
        budget=budget_of(budget),
        on_miss=on_miss,
        match=match,
    )
    if agent is None and messages is not None:
        policy.as_dict()  # says why it cannot go into another process
    return Asked(source, agent, policy, prompt, file, store, timeout)


def rerun(what: Asked) -> Rerun:
    """Run it; see `Replay.rerun`."""
    if what.agent is None:
        return _in_child(what)
    execution, call = _prepared(what, what.agent)
    error = None
    try:
        with execution, _outside(what.agent):
            execution.result = entry.finished(call(), _connections(what.policy))
    except (Exception, Signal, SystemExit) as raised:  # noqa: BLE001 - it is in the verdict
        error = _ended(raised)
    return _rerun(what, execution.verdict, execution.result, error)


async def arerun(what: Asked) -> Rerun:
    """Run it; see `Replay.arerun`."""
    if what.agent is None:
        return await asyncio.to_thread(_in_child, what)
    execution, call = _prepared(what, what.agent)
    error = None
    try:
        async with execution:
            with _outside(what.agent):
                waits = inspect.iscoroutinefunction(what.agent) or inspect.isasyncgenfunction(what.agent)
                value = call() if waits else await asyncio.to_thread(call)
                execution.result = await entry.awaited(value, _connections(what.policy))
    except (Exception, Signal, SystemExit) as raised:  # noqa: BLE001 - it is in the verdict
        error = _ended(raised)
    return await asyncio.to_thread(_rerun, what, execution.verdict, execution.result, error)


def _in_child(what: Asked) -> Rerun:
    from spanreel.replay.child import replay_run

    found = stored(what.name, what.store)
    inputs = None
    if what.prompt is not None:
        if found.whole_process:
            raise SpanreelError(
                f"run {what.source.run_id} was started by a command, which has no prompt to replace",
                "give rerun(agent=...), or run `spanreel replay RUN --live -- python …`",
            )
        inputs = codec.encode(_inputs(found, what))
    outcome = replay_run(
        what.store, what.name, policy=what.policy, inputs=inputs, timeout=what.timeout, echo="stderr"
    )
    if outcome.verdict is None:
        raise SpanreelError(
            outcome.problem or "the rerun has no verdict", f"spanreel show {what.source.run_id}"
        )
    return _rerun(what, outcome.verdict, None, None)


def _prepared(what: Asked, agent: Agent) -> tuple[Execution, Callable[[], Any]]:
    from spanreel.replay.execution import Execution

    if not callable(agent):
        raise SpanreelError(
            f"{agent!r} is not an agent that can be called", "give a function, or leave it out"
        )
    found = stored(what.name, what.store, whole_process=False, faithful=what.policy.faithful)
    try:
        args, kwargs = rebound(agent, _inputs(found, what))
    except NotReplayable as error:
        raise SpanreelError(
            f"the agent cannot be called as it was recorded: {error.args[0]}",
            "give it with the same parameters",
        ) from error
    execution = Execution(found.recording, policy=what.policy, store=what.store, own_run=not _marked(agent))
    return execution, lambda: agent(*args, **kwargs)


def _inputs(found: Stored, what: Asked) -> dict[str, Any]:
    """The recorded arguments by name, with the prompt in its place."""
    encoded = found.root.attributes.get(names.RUN_INPUT)
    inputs = codec.decode(encoded) if isinstance(encoded, str) else {}
    if not isinstance(inputs, dict):
        inputs = {} if what.prompt is None else {"input": inputs}
    if what.prompt is None:
        return inputs
    if isinstance(what.prompt, Mapping):
        return {**inputs, **what.prompt}
    texts = [name for name, value in inputs.items() if isinstance(value, str)]
    if len(texts) != 1:
        which = f"several texts: {', '.join(texts)}" if texts else "no text"
        raise SpanreelError(
            f"which argument the prompt is cannot be told: run {what.source.run_id} was started with {which}",
            "name it: prompt={'question': …}",
        )
    return {**inputs, texts[0]: what.prompt}


def _rerun(what: Asked, verdict: Verdict, result: Any, error: BaseException | None) -> Rerun:
    from spanreel.replay.load import load

    if verdict.run_id is None:
        raise error or SpanreelError("the rerun made no run", "see `spanreel doctor`")
    return Rerun(what.source, load(verdict.run_id, what.store), verdict, result, error)


@contextmanager
def _outside(agent: Agent) -> Generator[None]:
    """An agent that begins its run by itself begins it outside of any run that is under way here."""
    if not _marked(agent):
        yield
        return
    token = otel_context.attach(otel_context.Context())
    try:
        yield
    finally:
        otel_context.detach(token)


def _connections(policy: Policy) -> AbstractAsyncContextManager[None]:
    return own_connections() if policy.goes_live else nullcontext()


def _marked(agent: Agent) -> bool:
    return hasattr(agent, "__spanreel__")


def _ended(error: BaseException) -> BaseException | None:
    return None if isinstance(error, SystemExit) and error.code in (None, 0) else error


def _plain(said: Mapping[str, Any]) -> None:
    for name, value in said.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError) as error:
            raise SpanreelError(
                f"rerun({name}=...) is not JSON: {error}", "give what goes into the request"
            ) from None
