"""LOUD: a walk through a playbook that a recorded run answers, and the spans that it leaves.

It is an execution like any other, a run of its own; its mode is `shadow`, and nothing outside of this process notices it.
It gives up where the run has no answer: what would follow is not known, and is not guessed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from spanreel.exceptions import Signal, SpanreelError
from spanreel.instrument import codec, invocation, responder
from spanreel.instrument.tools import declared
from spanreel.replay import entry
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Failure, Spent, Stopped, ToolFacts, Walked
from spanreel.replay.playbooks.compiling.values import looks_failed
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.engine.driver import World, drive
from spanreel.replay.playbooks.engine.surroundings import of_tool
from spanreel.replay.playbooks.engine.toolbox import Toolbox, function_of
from spanreel.replay.playbooks.entry import ENTRY
from spanreel.replay.playbooks.shadows.answering import NotAnswered, OutOfTheRun, served
from spanreel.replay.playbooks.shadows.scoring import ProposedCall, Safeties
from spanreel.replay.playbooks.walk import jsonable, walk
from spanreel.wire import attributes as names
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from pydantic import BaseModel

    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.recording import Recording

SHADOW: Final = "shadow"


@dataclass(slots=True)
class Walk:
    """What a walk in shadow came to.

    walked: None unless it came to its end. failure: of the guard that stopped it. unanswered: the state and what nobody
    could tell it; then nothing after it is known. assumed: gates that were taken to be approved. run_id: of the
    execution, None where nothing is recorded.
    """

    proposed: list[ProposedCall] = field(default_factory=list[ProposedCall])
    walked: Walked | None = None
    failure: Failure | None = None
    unanswered: tuple[str, str] | None = None
    assumed: list[str] = field(default_factory=list[str])
    visited: list[str] = field(default_factory=list[str])
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a shadow may know besides the run.

    load: bodies of playbooks within; code: whether Python states are run; functions: of them, by name.
    """

    load: Callable[[str, str | None], Body]
    code: bool = True
    functions: Mapping[str, Callable[..., Any]] | None = None


def in_shadow(
    body: Body,
    params: Mapping[str, Any],
    recording: Recording,
    safeties: Safeties,
    surroundings: Surroundings,
    judged: Callable[[Walk], Mapping[str, Any]],
    said: Mapping[str, Any],
) -> Walk:
    """Walk a playbook in the shadow of a run, recorded where recording is on.

    Args:
        body: what is walked.
        params: by name.
        recording: what answers.
        safeties: which tools write.
        surroundings: what else may be asked.
        judged: makes of the walk the attributes that its root ends with.
        said: attributes that its root begins with.
    """
    answers = OutOfTheRun(recording, {names.SOURCE_RUN_ID: recording.run_id})
    found = Walk()
    with _own_context(answers):
        given = {"body": body.document(), "params": dict(params), "mode": SHADOW}
        about = {names.CODE_FUNCTION: ENTRY, names.RUN_ENTRY: invocation.FUNCTION, **said}
        root = invocation.begin(invocation.WORKFLOW, body.name, about, inputs=given)
        with _attached(root.context if root else otel_context.get_current()):
            world = _Answers(
                Toolbox(surroundings.functions), safeties=safeties, surroundings=surroundings, found=found
            )
            try:
                found.walked = drive(walk(body, params), world)
            except Stopped as stopped:
                found.failure = stopped.failure
            except NotAnswered:
                pass  # it is in `found`
            found.visited = world.visited
        found.assumed = answers.assumed
        if root is not None:
            found.run_id = root.span.run_id
            root.span.attributes.update(judged(found))
            root.end(found.walked.output if found.walked else None)
    return found


@contextmanager
def _own_context(answers: OutOfTheRun) -> Generator[None]:
    """A run of its own, in which this responder answers, and in which alone it does."""
    scope = responder.Scope(after=answers)
    with _attached(otel_context.set_value(responder.SCOPE_KEY, scope, Context())):
        yield


@contextmanager
def _attached(context: Context) -> Generator[None]:
    token = otel_context.attach(context)
    try:
        yield
    finally:
        otel_context.detach(token)


@dataclass(slots=True)
class _Answers(World):
    """What a walk asks, answered out of the run."""

    safeties: Safeties = field(default_factory=lambda: Safeties({}, {}))
    surroundings: Surroundings | None = None
    found: Walk = field(default_factory=Walk)

    def answer(self, asked: Any) -> Any:
        """The answer to one ask.

        Raises:
            NotAnswered: the run does not know; the walk ends there.
        """
        try:
            return self._told(asked)
        except NotAnswered as unknown:
            self.found.unanswered = (getattr(asked, "state", ""), str(unknown))
            self.spans.close()
            raise

    def _told(self, asked: Any) -> Any:
        match asked:
            case asks.Known():
                told = declared(asked.tool)
                return ToolFacts(asked.tool, self.safeties[asked.tool], told.pre, told.post)
            case asks.Call(purpose="compensation"):
                with self.spans.undoing(asked.state):
                    return self._served(asked)
            case asks.Call():
                return self._served(asked)
            case asks.Ask():
                raise NotAnswered("what a model would say is not known without asking it")
            case asks.RunPython():
                return self._code(asked)
            case asks.Probe():
                return _probed(asked)
            case asks.Wait() | asks.Mend():
                return None
            case asks.SpentSoFar():
                return Spent()
            case asks.Load():
                assert self.surroundings is not None
                body = self.surroundings.load(asked.name, asked.hash)
                self.spans.inside(body)
                return body
            case _:
                return self._answered(asked)

    def _served(self, asked: asks.Call) -> Any:
        proposed = ProposedCall(
            state=asked.state, tool=asked.tool, args=codec.plain(dict(asked.args)), safety=asked.safety
        )
        try:
            result = served(asked.tool, asked.args, asked.safety)
        except NotAnswered:
            self.found.proposed.append(proposed.model_copy(update={"answered": False}))
            raise
        self.tool_calls += 1
        if asked.purpose == "call" and looks_failed(jsonable(result)) is None:  # as it failed for the agent
            self.found.proposed.append(proposed)
        return result

    def _code(self, asked: asks.RunPython) -> Any:
        """The author's own code, which an execution runs as it is; the tools in it are answered like all others."""
        if self.surroundings is None or not self.surroundings.code:
            raise NotAnswered("Python code is not run beside an agent that works")
        try:
            function_of(asked.function, self.tools)
        except SpanreelError as error:
            raise NotAnswered(str(error.args[0])) from None
        try:
            if asked.of != "state":
                return entry.finished(of_tool(asked)())
            return World.answer(self, asked)
        except NotAnswered:
            raise
        except Signal as signal:
            raise NotAnswered(f"Python code wanted what a shadow does not do: {signal}") from None


def _probed(asked: asks.Probe) -> Judgement:
    kind = next(iter(asked.condition), "a condition")
    if kind == "always":
        return Judgement(True, "always")
    raise NotAnswered(f"{kind} asks how the surroundings were, which the run does not tell")


def root_says(body: Body, params: Mapping[str, Any], *, counted: bool) -> dict[str, Any]:
    """What the root of a shadow begins with. counted: it is evidence about the body, and so says its mode."""
    return {
        names.PLAYBOOK_NAME: body.name,
        names.PLAYBOOK_HASH: body.hash,
        names.PLAYBOOK_PARAMS: canonical_json(codec.plain(dict(params))),
        **({names.PLAYBOOK_MODE: SHADOW} if counted else {}),
    }


def as_json(value: BaseModel) -> str:
    """For an attribute."""
    return json.dumps(value.model_dump(mode="json", exclude_none=True), ensure_ascii=False, sort_keys=True)
