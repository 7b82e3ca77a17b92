"""LOUD: one execution of a playbook, recorded as a run; and `execute`, which replay, fork and resume call again.

The run's root says which body it was, by name and hash; its input holds the body itself, the parameters and where its
tools are found, so that the run needs nothing but the recording, and the tools, to be gone through again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from opentelemetry import context as otel_context

from spanreel.exceptions import ApprovalPending
from spanreel.instrument import codec, invocation
from spanreel.instrument.invocation import FUNCTION, PROCESS, WORKFLOW, Invocation
from spanreel.replay.playbooks.asks import Stopped, Walked
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.driver import Repairer, World, adrive, drive
from spanreel.replay.playbooks.result import PlaybookResult, StoppedBy
from spanreel.replay.playbooks.toolbox import Tools, gathered
from spanreel.replay.playbooks.walk import walk
from spanreel.wire import attributes as names
from spanreel.wire.content import canonical_json

ENTRY: Final = "spanreel.replay.playbooks.entry:execute"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run of a playbook is given.

    tools: functions by name, besides those that are registered; modules: that register tools, to be imported.
    model: for model states, ``provider/name``, or a function of prompt, system and schema.
    """

    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    mode: str = "strict"
    tools: Tools | None = None
    modules: Sequence[Any] = ()
    model: str | Callable[..., Any] | None = None
    repairers: Sequence[Repairer] = ()


def execute(
    body: Mapping[str, Any],
    params: Mapping[str, Any],
    mode: str = "strict",
    tools: Sequence[Any] = (),
    model: str | None = None,
) -> Any:
    """Run a playbook as it was run.

    Args:
        body: its document.
        params: by name.
        mode: strict or guided.
        tools: where its tools are found: modules to import, see `toolbox.gathered`.
        model: for model states.

    Returns:
        What it came to.

    Raises:
        Stopped: by one of its guards.
    """
    return _Execution(Body.model_validate(body), Wanted(params, mode, None, tools, model)).walked().output


def run_body(body: Body, wanted: Wanted) -> PlaybookResult:
    """Run a playbook.

    Raises:
        SpanreelError: its tools cannot be found.
        ApprovalPending: it is paused at a gate; `spanreel approve` and `spanreel resume` go on.
    """
    execution = _Execution(body, wanted)
    try:
        return execution.result(execution.walked())
    except Stopped as stopped:
        return execution.result(stopped)


async def arun_body(body: Body, wanted: Wanted) -> PlaybookResult:
    """`run_body`, in a running loop."""
    execution = _Execution(body, wanted)
    try:
        return execution.result(await execution.awalked())
    except Stopped as stopped:
        return execution.result(stopped)


class _Execution:
    def __init__(self, body: Body, wanted: Wanted) -> None:
        self.body = body
        self.wanted = wanted
        self.run_id: str | None = None
        self.toolbox = gathered(wanted.modules, wanted.tools)
        self.world = World(self.toolbox, wanted.model, wanted.repairers if wanted.mode == "guided" else ())

    def walked(self) -> Walked:
        with self._recorded() as end:
            found = drive(self._walk(), self.world)
            end(found)
        return found

    async def awalked(self) -> Walked:
        with self._recorded() as end:
            found = await adrive(self._walk(), self.world)
            end(found)
        return found

    def _walk(self) -> Generator[Any, Any, Walked]:
        return walk(self.body, self.wanted.params, guided=self.wanted.mode == "guided")

    def result(self, ended: Walked | Stopped) -> PlaybookResult:
        failure = None
        if isinstance(ended, Stopped):
            said = ended.failure
            failure = StoppedBy(guard=said.guard, state=said.state, reason=said.reason)
        return PlaybookResult(
            status="completed" if failure is None else "failed",
            run_id=self.run_id,
            name=self.body.name,
            hash=self.body.hash,
            mode=self.wanted.mode,
            output=codec.plain(ended.output) if isinstance(ended, Walked) else None,
            failure=failure,
            visited=self.world.visited,
            model_calls=self.world.model_calls,
            tool_calls=self.world.tool_calls,
        )

    @contextmanager
    def _recorded(self) -> Generator[Callable[[Walked], None]]:
        """The run, in this block; what is given to the function is what it came to."""
        begun = invocation.begin(WORKFLOW, self.body.name, self._facts(), inputs=self._inputs())
        if begun is None:
            yield lambda _walked: None
            return
        self.run_id = begun.span.run_id
        output: list[Any] = []
        token = otel_context.attach(begun.context)
        error: BaseException | None = None
        try:
            yield lambda walked: output.append(walked.output)
        except BaseException as raised:
            error = raised
            raise
        finally:
            otel_context.detach(token)
            self._say(begun, error)
            begun.end(output[0] if output else invocation.ABSENT, error)

    def _facts(self) -> dict[str, Any]:
        again = FUNCTION if self._places() is not None and not callable(self.wanted.model) else PROCESS
        return {
            names.CODE_FUNCTION: ENTRY,
            names.RUN_ENTRY: again,
            names.PLAYBOOK_NAME: self.body.name,
            names.PLAYBOOK_HASH: self.body.hash,
            names.PLAYBOOK_MODE: self.wanted.mode,
            names.PLAYBOOK_PARAMS: canonical_json(codec.plain(dict(self.wanted.params))),
        }

    def _inputs(self) -> dict[str, Any]:
        model = self.wanted.model if isinstance(self.wanted.model, str) else None
        return {
            "body": self.body.document(),
            "params": dict(self.wanted.params),
            "mode": self.wanted.mode,
            "tools": self._places() or [],
            **({"model": model} if model else {}),
        }

    def _places(self) -> list[Any] | None:
        found = self.toolbox.places(self.body.tools)
        return (
            None if found is None else [*(one for one in self.wanted.modules if isinstance(one, str)), *found]
        )

    def _say(self, begun: Invocation, error: BaseException | None) -> None:
        said = begun.span.attributes
        said[names.PLAYBOOK_MODEL_CALLS] = self.world.model_calls
        said[names.PLAYBOOK_TOOL_CALLS] = self.world.tool_calls
        if isinstance(error, Stopped):
            failure = error.failure
            said[names.PLAYBOOK_GUARD] = failure.guard
            said[names.PLAYBOOK_STOPPED_AT] = failure.state
            said[names.PLAYBOOK_REASON] = failure.reason
        if not isinstance(error, ApprovalPending):
            said[f"{names.OUTCOME}success"] = error is None
