"""LOUD: one execution of a playbook, recorded as a run; and `execute`, which replay, fork and resume call again.

The run's root says which body it was, by name and hash; its input holds the body itself, the parameters and where its
tools are found, so that the run needs nothing but the recording, and the tools, to be gone through again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from spanreel.exceptions import ApprovalPending
from spanreel.instrument import codec, contract, invocation, responder, runs
from spanreel.instrument.invocation import FUNCTION, PROCESS, WORKFLOW, Invocation
from spanreel.instrument.responder import LIVE
from spanreel.replay import starting
from spanreel.replay.playbooks import executors
from spanreel.replay.playbooks.asks import Stopped, Walked
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.engine import mending
from spanreel.replay.playbooks.engine.driver import Hook, Repairer, World, adrive, drive
from spanreel.replay.playbooks.engine.pinning import check_code, pinned
from spanreel.replay.playbooks.engine.toolbox import Tools, gathered
from spanreel.replay.playbooks.formats.flow import functions_of
from spanreel.replay.playbooks.result import PlaybookResult, StoppedBy
from spanreel.replay.playbooks.walk import walk
from spanreel.wire import attributes as names
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.engine.asking import Model

ENTRY: Final = "spanreel.replay.playbooks.entry:execute"
GUIDED: Final = "guided"
WORD: Final = "playbook"
"""In the contract of a run: it is the body that it was, and that is in its input."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run of a playbook is given.

    Attributes:
        params: by name. task: free text that those which are missing are read out of, by the body's `extract`.
        mode: strict or guided.
        tools: functions by name, besides those that are registered; also those that a body names as ``module:name``.
        modules: that register tools, to be imported; names, or what `Toolbox.places` gave.
        model: for model states, ``provider/name``, or a function of prompt, system and schema.
        repairers: of a guided run, asked before the rules.
        before, after: called around each state.
        bodies: of playbooks within, by name and hash. load: finds those that are not in it.
        run: name, tags and so on of the run, as attributes of its root; `alias`: a name of its own.
    """

    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    mode: str = "strict"
    tools: Tools | None = None
    modules: Sequence[Any] = ()
    model: Model = None
    repairers: Sequence[Repairer] = ()
    task: str | None = None
    before: Hook | None = None
    after: Hook | None = None
    bodies: Mapping[str, Body] = field(default_factory=dict[str, Body])
    load: Callable[[str, str | None], Body] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    alias: str | None = None
    store: Any = None


def execute(
    body: Mapping[str, Any],
    params: Mapping[str, Any],
    mode: str = "strict",
    tools: Sequence[Any] = (),
    model: str | None = None,
    task: str | None = None,
    playbooks: Mapping[str, Any] | None = None,
) -> Any:
    """Run a playbook as it was run.

    Args:
        body: its document.
        params: by name.
        mode: strict or guided.
        tools: where its tools are found: modules to import, see `toolbox.gathered`.
        model: for model states.
        task: free text.
        playbooks: documents of those within, by name and hash.

    Returns:
        What it came to.

    Raises:
        Stopped: by one of its guards.
        ContractChanged: its Python code is not what it was.
    """
    bodies = {name: Body.model_validate(one) for name, one in (playbooks or {}).items()}
    wanted = Wanted(params, mode, None, tools, model, task=task, bodies=bodies)
    execution = Execution(Body.model_validate(body), wanted)
    walked = execution.walked()
    if getattr(getattr(responder.current(), "policy", None), "resume", False):
        execution.result(walked)  # it goes on for real: what it mended is kept
    return walked.output


def run_body(body: Body, wanted: Wanted) -> PlaybookResult:
    """Run a playbook.

    Raises:
        SpanreelError: its tools cannot be found.
        ContractChanged: its Python code is not what it says.
        Refused: a hook of the project said no before it began.
        ApprovalPending: it is paused at a gate; `spanreel approve` and `spanreel resume` go on.
    """
    execution = Execution(body, wanted)
    try:
        return execution.result(execution.walked())
    except Stopped as stopped:
        return execution.result(stopped)


async def arun_body(body: Body, wanted: Wanted) -> PlaybookResult:
    """`run_body`, in a running loop."""
    execution = Execution(body, wanted)
    try:
        return execution.result(await execution.awalked())
    except Stopped as stopped:
        return execution.result(stopped)


class Execution:
    """One run of a playbook. One use.

    Attributes:
        run_id: once it has begun, where it is recorded.
    """

    def __init__(self, body: Body, wanted: Wanted) -> None:
        self.body = body
        self.run_id: str | None = None
        self._wanted = wanted
        self._toolbox = gathered(wanted.modules, wanted.tools)
        self._bodies = pinned(body, wanted.bodies, wanted.load)
        self._world = World(
            self._toolbox,
            wanted.model,
            self._repairers(),
            self._bodies,
            before=wanted.before,
            after=wanted.after,
        )
        for one in (body, *self._bodies.values()):
            check_code(one, self._toolbox)
            if responder.current() is LIVE and any(self._toolbox.find(name) is None for name in one.tools):
                executors.prepare(one.tools)

    def walked(self) -> Walked:
        """Go through it.

        Raises:
            Stopped: by a guard.
        """
        with self._recorded() as end:
            found = drive(self._walk(), self._world)
            end(found)
        return found

    async def awalked(self) -> Walked:
        """The same in a running loop."""
        with self._recorded() as end:
            found = await adrive(self._walk(), self._world)
            end(found)
        return found

    def result(self, ended: Walked | Stopped) -> PlaybookResult:
        """What it came to, as one value; what was mended is kept."""
        failure = kept = None
        if isinstance(ended, Stopped):
            said = ended.failure
            failure = StoppedBy(guard=said.guard, state=said.state, reason=said.reason)
        else:
            kept = mending.keep(self.body, ended.mended, self.run_id, self._wanted.store)
        return PlaybookResult(
            status="completed" if failure is None else "failed",
            run_id=self.run_id,
            name=self.body.name,
            hash=self.body.hash,
            mode=self._wanted.mode,
            output=codec.plain(ended.output) if isinstance(ended, Walked) else None,
            failure=failure,
            visited=self._world.visited,
            model_calls=self._world.model_calls,
            tool_calls=self._world.tool_calls,
            mended=kept,
        )

    def paused(self, pending: ApprovalPending) -> PlaybookResult:
        """The same of a run that waits for a decision."""
        return PlaybookResult(
            status="paused",
            run_id=pending.run_id,
            name=self.body.name,
            hash=self.body.hash,
            mode=self._wanted.mode,
            visited=self._world.visited,
            model_calls=self._world.model_calls,
            tool_calls=self._world.tool_calls,
            waits_for=pending.approval_id,
        )

    def _repairers(self) -> Sequence[Repairer]:
        """Of a guided run: those that it was given, then the rules."""
        if self._wanted.mode != GUIDED:
            return ()
        from spanreel.replay.playbooks.repairs.repairers import rule

        return (*self._wanted.repairers, rule(self._toolbox))

    def _walk(self) -> Generator[Any, Any, Walked]:
        wanted = self._wanted
        return walk(self.body, wanted.params, guided=wanted.mode == GUIDED, task=wanted.task)

    @contextmanager
    def _recorded(self) -> Generator[Callable[[Walked], None]]:
        """The run, in this block; what is given to the function is what it came to."""
        said = starting.ask_playbook(self.body, self._wanted.mode, self._wanted.params)
        places = self._places()
        begun = invocation.begin(
            WORKFLOW,
            self.body.name,
            self._facts(places),
            inputs=self._inputs(places),
            alias=self._wanted.alias,
        )
        starting.keep_here(said, begun)
        if begun is None:
            yield lambda _walked: None
            return
        self.run_id = begun.span.run_id
        output: list[Walked] = []
        token = otel_context.attach(begun.context)
        error: BaseException | None = None
        try:
            yield output.append
        except BaseException as raised:
            error = raised
            raise
        finally:
            otel_context.detach(token)
            self._say(begun, error)
            if output and self._wanted.task is not None:  # with those that were read out of the text
                taken = output[0].variables["params"]
                begun.span.attributes[names.PLAYBOOK_PARAMS] = canonical_json(codec.plain(taken))
            begun.end(output[0].output if output else invocation.ABSENT, error)

    def _facts(self, places: Sequence[Any] | None) -> dict[str, Any]:
        """How it is run again: `execute` is called where all that it needs can be found by name, else the program is."""
        again = places is not None and not callable(self._wanted.model) and not self._wanted.repairers
        found = {
            **{
                f"{names.PLAYBOOK_META}{key}": runs._attribute(value) for key, value in self.body.meta.items()
            },
            **self._wanted.facts,
            names.CODE_FUNCTION: ENTRY,
            names.RUN_ENTRY: FUNCTION if again else PROCESS,
            names.PLAYBOOK_NAME: self.body.name,
            names.PLAYBOOK_HASH: self.body.hash,
            names.PLAYBOOK_MODE: self._wanted.mode,
            names.PLAYBOOK_PARAMS: canonical_json(codec.plain(dict(self._wanted.params))),
        }
        if again:
            found[names.CONTRACT] = contract.text(WORD, contract.NO_PARAMETERS, self.body.hash.encode())
        return found

    def _inputs(self, places: Sequence[Any] | None) -> dict[str, Any]:
        wanted = self._wanted
        found: dict[str, Any] = {
            "body": self.body.document(),
            "params": dict(wanted.params),
            "mode": wanted.mode,
            "tools": list(places or ()),
            "model": wanted.model if isinstance(wanted.model, str) else None,
            "task": wanted.task,
            "playbooks": {name: one.document() for name, one in self._bodies.items()} or None,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _places(self) -> list[Any] | None:
        """Where everything is found again that is called by name; None: something cannot be."""
        found: list[Any] = [
            one for one in self._wanted.modules if isinstance(one, str) and not executors.is_named(one)
        ]
        for body in (self.body, *self._bodies.values()):
            places = self._toolbox.places([*body.tools, *functions_of(body)])
            if places is None:
                return None
            found += [one for one in places if one not in found]
        return found

    def _say(self, begun: Invocation, error: BaseException | None) -> None:
        said = begun.span.attributes
        said[names.PLAYBOOK_MODEL_CALLS] = self._world.model_calls
        said[names.PLAYBOOK_TOOL_CALLS] = self._world.tool_calls
        if isinstance(error, Stopped):
            failure = error.failure
            said[names.PLAYBOOK_GUARD] = failure.guard
            said[names.PLAYBOOK_STOPPED_AT] = failure.state
            said[names.PLAYBOOK_REASON] = failure.reason
        if error is None or isinstance(error, Exception):
            said[f"{names.OUTCOME}success"] = error is None
