"""LOUD: a walk through a playbook that a recorded run answers, and the spans that it leaves.

It is an execution like any other, a run of its own; its mode is `shadow`, and nothing outside of this process notices it.
It gives up where the run has no answer: what would follow is not known, and is not guessed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from spanreel.exceptions import Signal
from spanreel.instrument import approvals, codec, invocation, recorder, responder
from spanreel.instrument.tools import declared
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.answering import NotAnswered, OutOfTheRun, served
from spanreel.replay.playbooks.asks import Failure, Spent, Stopped, ToolFacts, Walked
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.scoring import ProposedCall, Safeties
from spanreel.replay.playbooks.walk import walk
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.instrument.tracing import ActiveSpan
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.recording import Recording

SHADOW: Final = "shadow"
ENTRY: Final = "spanreel.replay.playbooks.entry:execute"


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
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a shadow may know besides the run. load: bodies of playbooks within; code: whether Python states are run."""

    load: Callable[[str, str | None], Body]
    code: bool = True


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
        body, params: what is walked.
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
            _drive(body, params, safeties, surroundings, found)
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


def _drive(
    body: Body, params: Mapping[str, Any], safeties: Safeties, surroundings: Surroundings, found: Walk
) -> None:
    answering = _Answering(safeties, surroundings, found)
    walking = walk(body, params)
    try:
        answer: Any = None
        error: Exception | None = None
        while True:
            asked = walking.throw(error) if error is not None else walking.send(answer)
            answer = error = None
            try:
                answer = answering.answer(asked)
            except NotAnswered as unknown:
                found.unanswered = (answering.state, str(unknown))
                return
            except Exception as raised:  # noqa: BLE001 - what an effect ends with is the walk's to judge
                error = raised
    except StopIteration as over:
        found.walked = over.value
    except Stopped as stopped:
        found.failure = stopped.failure
    finally:
        walking.close()
        answering.close()


class _Answering:
    """What a walk asks, answered out of the run."""

    def __init__(self, safeties: Safeties, surroundings: Surroundings, found: Walk) -> None:
        self._safeties = safeties
        self._surroundings = surroundings
        self._found = found
        self._spans: list[tuple[str, ActiveSpan | None, ExitStack]] = []

    @property
    def state(self) -> str:
        """The one that is under way."""
        return self._spans[-1][0] if self._spans else ""

    def answer(self, asked: Any) -> Any:
        """The answer to one ask.

        Raises:
            NotAnswered: the run does not know.
        """
        name = type(asked).__name__.lower()
        return getattr(self, f"_{name}")(asked)

    def close(self) -> None:
        """What is still open ends here."""
        while self._spans:
            self._end({})

    def _enter(self, asked: asks.Enter) -> None:
        recording = recorder.current()
        stack = ExitStack()
        span = None
        if recording is not None:
            about = {names.PLAYBOOK_STATE: asked.state, names.PLAYBOOK_VISIT: asked.visit}
            span = recording.start(f"state {asked.state}", names.KIND_INTERNAL, about, outward=False)
            stack.enter_context(_attached(span.context))
        self._spans.append((asked.state, span, stack))

    def _leave(self, asked: asks.Leave) -> None:
        saved = codec.plain_text(dict(asked.saved)) if asked.saved else None
        guard = asked.failure.guard if asked.failure else None
        reason = asked.failure.reason if asked.failure else None
        said = {
            names.PLAYBOOK_NEXT: asked.next,
            names.PLAYBOOK_SAVED: saved,
            names.PLAYBOOK_GUARD: guard,
            names.PLAYBOOK_REASON: reason,
        }
        self._end({key: value for key, value in said.items() if value is not None})

    def _end(self, said: Mapping[str, Any]) -> None:
        _, span, stack = self._spans.pop()
        stack.close()
        recording = recorder.current()
        if span is not None and recording is not None:
            span.attributes.update(said)
            recording.end(span)

    def _known(self, asked: asks.Known) -> ToolFacts:
        told = declared(asked.tool)
        return ToolFacts(asked.tool, self._safeties[asked.tool], told.pre, told.post)

    def _call(self, asked: asks.Call) -> Any:
        proposed = ProposedCall(
            state=asked.state, tool=asked.tool, args=codec.plain(dict(asked.args)), safety=asked.safety
        )
        try:
            result = served(asked.tool, asked.args, asked.safety)
        except NotAnswered:
            self._found.proposed.append(proposed.model_copy(update={"answered": False}))
            raise
        if asked.purpose == "call":
            self._found.proposed.append(proposed)
        return result

    def _ask(self, asked: asks.Ask) -> Any:
        raise NotAnswered("what a model would say is not known without asking it")

    def _gate(self, asked: asks.Gate) -> Any:
        return approvals.await_approval(asked.id, asked.summary, asked.details)

    def _runpython(self, asked: asks.RunPython) -> Any:
        if not self._surroundings.code:
            raise NotAnswered("Python code is not run beside an agent that works")
        try:
            return codec.plain(_function(asked.function)(*_given(asked)))
        except Signal as signal:
            raise NotAnswered(f"Python code wanted what a shadow does not do: {signal}") from None

    def _probe(self, asked: asks.Probe) -> Judgement:
        kind = next(iter(asked.condition), "a condition")
        if kind == "always":
            return Judgement(True, "always")
        raise NotAnswered(f"{kind} asks how the surroundings were, which the run does not tell")

    def _wait(self, asked: asks.Wait) -> None:
        return None

    def _spentsofar(self, asked: asks.SpentSoFar) -> Spent:
        return Spent()

    def _load(self, asked: asks.Load) -> Body:
        return self._surroundings.load(asked.name, asked.hash)

    def _mend(self, asked: asks.Mend) -> None:
        return None


def _given(asked: asks.RunPython) -> tuple[Any, ...]:
    return (dict(asked.variables),) if asked.result is None else (dict(asked.variables), asked.result)


def _function(named: Any) -> Callable[..., Any]:
    if callable(named):
        return named
    from importlib import import_module

    module, _, name = str(named).partition(":")
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def root_says(body: Body, params: Mapping[str, Any]) -> dict[str, Any]:
    """What the root of a shadow begins with."""
    from spanreel.wire.content import canonical_json

    return {
        names.PLAYBOOK_NAME: body.name,
        names.PLAYBOOK_HASH: body.hash,
        names.PLAYBOOK_MODE: SHADOW,
        names.PLAYBOOK_PARAMS: canonical_json(codec.plain(dict(params))),
    }


def as_json(value: Any) -> str:
    """For an attribute."""
    with contextlib.suppress(AttributeError):
        value = value.model_dump(mode="json", exclude_none=True)
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
