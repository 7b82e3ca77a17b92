"""An agent or workflow under way: its span, its context, and what is kept so that it can be run again.

Used by `runs` (decorator and `with`), `process` and the framework taps alike. Never raises into the agent.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from spanreel.instrument import codec, continuing, contract, pausing, recorder, responder, threads
from spanreel.instrument.guard import guard, log_once
from spanreel.instrument.revision import revision
from spanreel.instrument.tracing import RUN_KEY
from spanreel.wire import attributes as names
from spanreel.wire.spans import Link

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanreel.instrument.responder import RootFacts
    from spanreel.instrument.tracing import ActiveSpan

AGENT: Final = "invoke_agent"
WORKFLOW: Final = "invoke_workflow"
FUNCTION: Final = "function"
PROCESS: Final = "process"
ROOT_KEY = otel_context.create_key("spanreel-root")
SPAN_KEY = otel_context.create_key("spanreel-span")
TOOL_KEY = otel_context.create_key("spanreel-tool")  # the tool in flight; an agent inside it begins anew

_NAME_KEYS = {AGENT: names.AGENT_NAME, WORKFLOW: names.WORKFLOW_NAME}
latest_root: ActiveSpan | None = None
"""Of this process, whether it has ended or not."""
_last_root: ContextVar[ActiveSpan | None] = ContextVar("spanreel-last-root", default=None)


class Absent:
    """Nothing was given, which None would not say."""


ABSENT: Final = Absent()


@dataclass(frozen=True, slots=True)
class Invocation:
    """What `begin` started. context: to attach while the body runs. root: it is a run of its own."""

    span: ActiveSpan
    context: Context
    root: bool

    def body(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The agent's own code: an agent always runs, in a replay too."""
        return function(*args, **kwargs)

    def end(self, output: Any = ABSENT, error: BaseException | None = None) -> None:
        """It is over: with what it gave, or with the exception that ended it.

        Raises:
            ApprovalPending: the run came to a gate, and its code swallowed that.
        """
        pending = pausing.released(self.span) if self.root else None
        self._end(ABSENT if pending else output, pending or error)
        if pending is not None and error is not pending:
            raise pending from error

    def _end(self, output: Any, error: BaseException | None) -> None:
        recording = recorder.current()
        if recording is None:
            log_once("late", "an agent ended after recording was switched off; its run stays open")
            return
        with guard("ending a run", self.span):
            if not isinstance(output, Absent):
                self.span.attributes[names.RUN_OUTPUT] = codec.encode(output)
            if error is not None:
                _fail(self.span, error)
        if self.root:
            _last_root.set(self.span)
        recording.end(self.span)


def begin(
    operation: str,
    name: str,
    attributes: dict[str, Any],
    *,
    inputs: Any = ABSENT,
    alias: str | None = None,
    context: Context | None = None,
    code: Any = None,
) -> Invocation | None:
    """Start an agent or workflow span under the current context; None while nothing is recorded.

    The outermost one is a run: it is on file, open, before this returns. code: the agent's function, where calling it
    makes the run again; else the program does.
    """
    global latest_root
    recording = recorder.current()
    if recording is None:
        return None
    with guard(f"starting {operation}"):
        context = otel_context.get_current() if context is None else context
        root = context.get(RUN_KEY) is None
        if alias and not root:
            log_once("alias", "run_id=%r is not kept: the run is inside another one", alias)
        values = {names.OPERATION: operation, _NAME_KEYS[operation]: name, **attributes}
        told = responder.current().root
        resumed = continuing.taken(name) if root else None
        if root:
            values = {**origin(), **values, **_told(told, resumed)}
            _say_contract(values, code)
        if not isinstance(inputs, Absent):
            values[names.RUN_INPUT] = codec.encode(inputs)
        span = recording.start(
            f"{operation} {name}",
            names.KIND_INTERNAL,
            values,
            context=context,
            root=True,
            outward=told is None or told.outward,  # what a replay does did not happen again
        )
        inside = otel_context.set_value(SPAN_KEY, span, span.context)
        inside = otel_context.set_value(TOOL_KEY, None, inside)
        if root:
            if resumed is not None:
                span.run_id = resumed.named
                span.links.append(Link(resumed.trace_id, resumed.span_id))
            else:
                given = told.run_id if told and not continuing.active else None
                span.run_id = given or alias or f"{span.trace_id:032x}"
                links = told.links if told and not continuing.active else ()
                span.links += [Link(*ids) for ids in links]
            inside = otel_context.set_value(RUN_KEY, span.run_id, inside)
            inside = threads.in_new_run(otel_context.set_value(ROOT_KEY, span, inside))
            latest_root = span
            recording.open(span)
        return Invocation(span, inside, root)
    return None


def in_run() -> bool:
    """Whether a run is under way in this context."""
    return otel_context.get_current().get(RUN_KEY) is not None


def current_span() -> ActiveSpan | None:
    """The innermost agent, workflow or tool span of ours in this context."""
    found: Any = otel_context.get_current().get(SPAN_KEY)
    return found


def current_root() -> ActiveSpan | None:
    """The root of the run that this context is in, or of the run that ended last in it."""
    found: Any = otel_context.get_current().get(ROOT_KEY)
    return found or _last_root.get()


def origin() -> dict[str, Any]:
    """What starts this process again: arguments after the interpreter, working directory, commit."""
    found: dict[str, Any] = {names.RUN_ENTRY: PROCESS, names.PROCESS_ARGS: list(sys.orig_argv[1:])}
    with guard("reading the working directory"):
        found[names.PROCESS_CWD] = _started_in or os.getcwd()
        commit = revision(found[names.PROCESS_CWD])
        if commit:
            found[names.VCS_REVISION] = commit
    return found


def note_start() -> None:
    """Remember where the process was started, before it goes elsewhere."""
    global _started_in
    with guard("reading the working directory"):
        _started_in = _started_in or os.getcwd()


_started_in = ""


def _told(told: RootFacts | None, resumed: continuing.Origin | None) -> dict[str, Any]:
    """What an execution says on this root. In a resumed process each root goes on with a run of its own, or is a new one."""
    said = dict(told.attributes) if told else {}
    if resumed is not None:
        said |= {names.RUN_SEGMENT: resumed.segment, names.SOURCE_RUN_ID: resumed.run_id}
    elif continuing.active:
        for name in (names.RUN_SEGMENT, names.SOURCE_RUN_ID):
            said.pop(name, None)
    return said


def _say_contract(values: dict[str, Any], code: Any) -> None:
    """Of the function that is called to make the run again, or of the program; unless it is said already."""
    if names.CONTRACT in values:
        return
    with guard("reading what the agent is"):
        function = code if values.get(names.RUN_ENTRY) == FUNCTION else None
        found = (
            contract.of_function(function, contract.AGENT) if function is not None else contract.of_script()
        )
        if found is not None:
            values[names.CONTRACT] = found


def _fail(span: ActiveSpan, error: BaseException) -> None:
    if pausing.pending_in(error) is not None:
        span.attributes[names.WIRE_OUTCOME] = pausing.PAUSED
        return
    if isinstance(error, GeneratorExit):
        span.attributes[names.WIRE_OUTCOME] = "closed"  # the caller took what it wanted
        return
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return
    if type(error).__name__ == "CancelledError":
        span.attributes[names.WIRE_OUTCOME] = "cancelled"
    span.fail(error)
