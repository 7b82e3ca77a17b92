"""The one path that every tool call takes, whichever framework dispatches it.

`ToolCall` decides: whether the call is one of its own, who answers it, what is written and when. `call_tool` and
`acall_tool` only drive it. A tool that may write is on file before its body runs and again before its result
is handed back, so that what was begun is never unknown. Nothing here but a recorded answer, the tool's own
exception or a `Signal` reaches the agent.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace

from spanreel.exceptions import BadInput, Divergence, EffectDenied, Signal
from spanreel.instrument import codec, contract, pausing, recorder, responder, threads
from spanreel.instrument.guard import guard
from spanreel.instrument.invocation import SPAN_KEY, TOOL_KEY
from spanreel.instrument.responder import LIVE, ToolAnswer, ToolRequest, ToolRoute
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanreel.instrument.tracing import ActiveSpan

Key = str | Callable[..., str] | None

READ: Final = "read"
WRITE: Final = "write"
EXECUTE_TOOL: Final = "execute_tool"

call_id_hint: ContextVar[str | None] = ContextVar("spanreel-tool-call-id", default=None)
"""The id that the model gave the call which is about to be made, for agents that dispatch tools themselves."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What a tool's author said of it; on the wrapped function as `__spanreel__`.

    safety: read | write | irreversible. idempotency_key: the parameter that carries it, or a function of the arguments.
    pre, post: what must hold around a call; playbooks enforce them, a plain call does not. function: its body.
    description, schema (JSON Schema of its arguments): where its function's own do not say it.
    """

    name: str
    safety: str = WRITE
    idempotency_key: Key = None
    pre: tuple[Any, ...] = ()
    post: tuple[Any, ...] = ()
    function: Callable[..., Any] | None = field(default=None, compare=False, repr=False)
    description: str | None = field(default=None, compare=False, repr=False)
    schema: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)


def _same(value: Any) -> Any:
    return value


def _no_failure(_value: Any) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class Dispatch:
    """A call about to be made, as a tap sees it.

    arguments: by name, or the JSON text the model gave. kept: the part of the result to record. restored: the
    inverse. shown: what the model will see of it. failed: the message of a failure that is a plain result.
    """

    tool: Tool
    arguments: Any
    call_id: str | None = None
    framework: str = ""
    kept: Callable[[Any], Any] = _same
    restored: Callable[[Any], Any] = _same
    shown: Callable[[Any], Any] = _same
    failed: Callable[[Any], str | None] = _no_failure


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a generator tool yielded before it raised."""

    items: list[Any]
    error: BaseException


class ToolCall:
    """One call of a tool, from the question who answers to the end of its span."""

    def __init__(
        self, dispatch: Dispatch, who: ToolAnswer | ToolRoute | None, span: ActiveSpan | None
    ) -> None:
        self.answer = who if isinstance(who, ToolAnswer) else None
        self._route = who if isinstance(who, ToolRoute) else None
        self._dispatch = dispatch
        self._span = span
        self.context: Context = otel_context.set_value(
            TOOL_KEY, dispatch, span.context if span else otel_context.get_current()
        )
        if span is not None:
            self.context = otel_context.set_value(SPAN_KEY, span, self.context)
        if self._route is not None:
            self.context = otel_context.set_value(responder.LIVE_KEY, True, self.context)

    @classmethod
    def begin(cls, dispatch: Dispatch) -> ToolCall | None:
        """Ask who answers, and start the span; None when the call is part of one under way, or nobody listens.

        Raises:
            Signal: the responder refuses the call.
        """
        if not listening() or _is_inner(dispatch):
            return None
        request = _request(dispatch)
        who = responder.current().tool(request)
        return cls(dispatch, who, _start(dispatch, request, who))

    def body(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The generator to step through: the tool's own, or one that yields what was recorded."""
        if self.answer is None:
            return function(*args, **kwargs)
        recorded = self.served()
        return _areplayed(recorded) if inspect.isasyncgenfunction(function) else _replayed(recorded)

    def served(self) -> Any:
        """The recorded result, or the recorded exception, raised; the tool's body does not run.

        Raises:
            Divergence: when the recorded result cannot be rebuilt here.
        """
        assert self.answer is not None
        try:
            value = codec.result(self.answer.encoded)
        except BadInput as error:
            raise self._unusable(error) from error
        except BaseException as error:
            self._end(error=error)
            raise
        try:
            value = self._dispatch.restored(value)
        except Exception as error:
            raise self._unusable(error) from error
        self._end(value, value.error if isinstance(value, Streamed) else None)
        return value

    def _unusable(self, error: Exception) -> Divergence:
        self._end(error=error)
        name = self._dispatch.tool.name
        return Divergence(f"the recorded result of tool {name} cannot be rebuilt: {error}", {"tool": name})

    def returned(self, value: Any) -> None:
        """The body gave a value."""
        if self._span is not None:
            with guard(f"recording the result of tool {self._dispatch.tool.name}", self._span):
                self._put(codec.encode_returned(self._dispatch.kept(value)))
        self._end(value)

    def raised(self, error: BaseException) -> None:
        """The body raised."""
        if self._span is not None:
            with guard(f"recording the error of tool {self._dispatch.tool.name}", self._span):
                if isinstance(error, (Signal, KeyboardInterrupt, GeneratorExit)):
                    self._span.attributes[names.TOOL_FIDELITY] = codec.OPAQUE  # it did not finish
                else:
                    self._put(codec.encode(error))
        self._end(error=error)

    def end(self, output: Any = None, error: BaseException | None = None) -> None:
        """A generator tool is over, having yielded the list `output`."""
        if self.answer is not None:
            return
        if error is None or isinstance(error, GeneratorExit):
            self.returned(output)
        elif isinstance(error, (Signal, KeyboardInterrupt)):
            self.raised(error)
        else:
            if self._span is not None:
                with guard(f"recording the error of tool {self._dispatch.tool.name}", self._span):
                    self._put(codec.encode(Streamed(list(output), error)))
            self._end(error=error)

    def _put(self, encoded: str) -> None:
        assert self._span is not None
        self._span.attributes[names.TOOL_RESULT] = encoded
        self._span.attributes[names.TOOL_FIDELITY] = codec.fidelity(encoded)

    def _end(self, value: Any = None, error: BaseException | None = None) -> None:
        recording = recorder.current()
        route, self._route = self._route, None
        if route is not None and route.ended is not None:
            route.ended(error)
        if self._span is None or recording is None:
            return
        with guard(f"recording tool {self._dispatch.tool.name}", self._span):
            if error is None:
                self._show(value)
            else:
                _fail(self._span, error)
        recording.end(self._span, durable=self.answer is None and self._dispatch.tool.safety != READ)

    def _show(self, value: Any) -> None:
        assert self._span is not None
        self._span.attributes[names.TOOL_CALL_RESULT] = codec.plain_text(self._dispatch.shown(value))
        failure = self._dispatch.failed(value)
        if failure is not None:
            self._span.status = names.STATUS_ERROR
            self._span.status_message = failure


def listening() -> bool:
    """Whether anybody wants to know of tool calls, or to answer them."""
    return recorder.current() is not None or responder.current() is not LIVE


def dispatched(where: str, read: Callable[[], Dispatch]) -> Dispatch | None:
    """What a tap reads off a framework's call; None when it cannot, and the call is simply let through.

    Raises:
        EffectDenied: when it cannot in a replay, which runs no tool that it could not read.
    """
    with guard(f"reading a call of {where}"):
        return read()
    if responder.current() is not LIVE:
        raise EffectDenied(f"a tool call of {where} could not be read, so it is not run", f"tool of {where}")
    return None


def call_tool(dispatch: Dispatch, body: Callable[[], Any]) -> Any:
    """Make a call: recorded, and answered by the responder where it has an answer."""
    call = ToolCall.begin(dispatch)
    if call is None:
        return body()
    if call.answer is not None:
        return call.served()
    token = otel_context.attach(call.context)
    try:
        value = body()
    except BaseException as error:
        call.raised(error)
        raise
    finally:
        otel_context.detach(token)
    call.returned(value)
    return value


async def acall_tool(dispatch: Dispatch, body: Callable[[], Awaitable[Any]]) -> Any:
    """`call_tool`, of an async tool."""
    call = ToolCall.begin(dispatch)
    if call is None:
        return await body()
    if call.answer is not None:
        return call.served()
    token = otel_context.attach(call.context)
    try:
        value = await body()
    except BaseException as error:
        call.raised(error)
        raise
    finally:
        otel_context.detach(token)
    call.returned(value)
    return value


def _arguments(given: Any) -> Any:
    """As a JSON value; the model's own text is parsed."""
    if isinstance(given, str):
        try:
            return json.loads(given)
        except (ValueError, RecursionError):
            return given
    return codec.plain(given)


def _is_inner(dispatch: Dispatch) -> bool:
    """Whether this is the function behind a call that a framework's tap has already seen."""
    outer = otel_context.get_current().get(TOOL_KEY)
    if not isinstance(outer, Dispatch) or outer.tool.name != dispatch.tool.name:
        return False
    return dispatch.call_id in (None, outer.call_id)


def _native_call_id() -> str | None:
    """The call id on a tool span that the framework opened itself."""
    native: Any = getattr(trace.get_current_span(), "attributes", None) or {}
    found = native.get(names.TOOL_CALL_ID) if native.get(names.OPERATION) == EXECUTE_TOOL else None
    return found if isinstance(found, str) else None


def _request(dispatch: Dispatch) -> ToolRequest:
    known = dispatch.tool
    arguments: Any = None
    call_id, lane, said = dispatch.call_id, threads.MAIN, None
    with guard(f"reading the arguments of tool {known.name}"):
        arguments = _arguments(dispatch.arguments)
        if call_id is None and (call_id := call_id_hint.get()):
            call_id_hint.set(None)  # it is of this call, and of none that the tool makes itself
        call_id = call_id or _native_call_id()
        lane = threads.lane()
        said = contract.of_function(known.function, known.safety) if known.function else None
    return ToolRequest(known.name, arguments, call_id, known.safety, dispatch.framework, lane, said)


def _start(dispatch: Dispatch, request: ToolRequest, who: ToolAnswer | ToolRoute | None) -> ActiveSpan | None:
    """The call's span, on file already if it may write. A fault in what it says does not keep it from being there."""
    recording = recorder.current()
    if recording is None:
        return None
    span = None
    with guard(f"starting tool {request.name}"):
        attributes: dict[str, Any] = {
            names.OPERATION: EXECUTE_TOOL,
            names.TOOL_NAME: request.name,
            names.TOOL_TYPE: "function",
            names.TOOL_SAFETY: request.safety,
            names.WIRE_LANE: request.lane,
        }
        title = f"{EXECUTE_TOOL} {request.name}"
        live = not isinstance(who, ToolAnswer)
        span = recording.start(title, names.KIND_INTERNAL, attributes, outward=live)
    if span is None:
        return None
    with guard(f"recording the arguments of tool {request.name}", span):
        said = {
            names.TOOL_CALL_ARGUMENTS: codec.plain_text(request.arguments),
            names.TOOL_CALL_ID: request.call_id,
            names.TOOL_FRAMEWORK: request.framework or None,
            names.CONTRACT: request.contract,
            **(_provenance(who) if who else {}),
        }
        span.attributes.update({key: value for key, value in said.items() if value is not None})
        key = _idempotency(dispatch.tool, request.arguments)
        if key is not None:
            span.attributes[names.TOOL_IDEMPOTENCY] = key
    if not isinstance(who, ToolAnswer) and request.safety != READ:
        recording.open(span)
    return span


def _provenance(answer: ToolAnswer | ToolRoute) -> dict[str, Any]:
    if isinstance(answer, ToolRoute):
        return {names.EFFECT_SOURCE: answer.source}
    return {
        names.EFFECT_SOURCE: answer.source,
        names.SOURCE_RUN_ID: answer.source_run_id,
        names.REPLAY_TIER: answer.tier,
        names.REPLAY_SOURCE_SPAN: answer.source_span_id,
        names.TOOL_RESULT: answer.encoded,
        names.TOOL_FIDELITY: codec.fidelity(answer.encoded),
    }


def _idempotency(known: Tool, arguments: Any) -> str | None:
    key = known.idempotency_key
    if key is None or not isinstance(arguments, dict):
        return None
    return str(key(**arguments)) if callable(key) else str(arguments.get(key, key))


def _fail(span: ActiveSpan, error: BaseException) -> None:
    if any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__):
        return  # how a graph pauses, and no failure
    if pausing.pending_in(error) is not None:
        span.attributes[names.WIRE_OUTCOME] = pausing.PAUSED
        return
    if type(error).__name__ == "CancelledError":
        span.attributes[names.WIRE_OUTCOME] = "cancelled"
    span.fail(error)


def _replayed(recorded: Any) -> Iterator[Any]:
    items, error = _split(recorded)
    yield from items
    if error is not None:
        raise error


async def _areplayed(recorded: Any) -> AsyncIterator[Any]:
    items, error = _split(recorded)
    for item in items:
        yield item
    if error is not None:
        raise error


def _split(recorded: Any) -> tuple[list[Any], BaseException | None]:
    if isinstance(recorded, Streamed):
        return recorded.items, recorded.error
    return (list(recorded) if isinstance(recorded, (list, tuple)) else [recorded]), None
