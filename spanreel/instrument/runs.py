"""Runs, as agents' authors mark them: `run`, `agent`, `note`, `outcome`; and the process's own, `process_context`.

While nothing is recorded the decorator and the context manager only pass through.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from opentelemetry import context as otel_context

from spanreel.exceptions import SpanreelError
from spanreel.instrument import codec, invocation, process, recorder
from spanreel.instrument.binding import arguments_of, rebound
from spanreel.instrument.guard import guard, log_once
from spanreel.instrument.invocation import ABSENT, AGENT, FUNCTION, PROCESS, WORKFLOW, Invocation
from spanreel.instrument.stepping import async_generator, generator
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from contextvars import Token
    from types import FrameType, TracebackType

    from opentelemetry.context import Context

    from spanreel.instrument.tracing import ActiveSpan

__all__ = ["Run", "agent", "install", "note", "outcome", "process_context", "rebound", "run", "uninstall"]

F = TypeVar("F", bound=Callable[..., Any])
process_context = process.process_context


class Run:
    """A block of code that is one run, entered by `with` or `async with`.

    Attributes:
        run_id: the run's name: as given, else its trace id in hex; empty before it began, and while nothing is recorded.
    """

    def __init__(
        self, name: str, inputs: Any, alias: str | None, attributes: dict[str, Any], where: FrameType | None
    ) -> None:
        self.name = name
        self.run_id = alias or ""
        self._inputs = inputs
        self._alias = alias
        self._attributes = {**_block(where), **attributes}
        self._output: Any = ABSENT
        self._invocation: Invocation | None = None
        self._token: Token[Context] | None = None

    def __enter__(self) -> Self:
        self._invocation = invocation.begin(
            WORKFLOW, self.name, self._attributes, inputs=self._inputs, alias=self._alias
        )
        if self._invocation is not None:
            self._token = otel_context.attach(self._invocation.context)
            self.run_id = self._invocation.span.run_id or ""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None and self._invocation is not None:
            otel_context.detach(self._token)
            self._token = None
            self._invocation.end(self._output, error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def set_output(self, value: Any) -> None:
        """What the run came to; kept as it is when the block ends."""
        self._output = value

    def note(self, kind: str, summary: str | None = None, data: Any = None) -> None:
        """`note`, on this run's own span."""
        if self._invocation is not None:
            _add_note(self._invocation.span, kind, summary, data)

    def outcome(
        self,
        success: bool | None = None,
        summary: str | None = None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        """`outcome`, of this run; also after it ended."""
        if self._invocation is not None:
            _add_outcome(self._invocation.span, success, summary, metrics)


def run(
    name: str,
    *,
    input: Any = ABSENT,  # noqa: A002 — the word of the field
    session: str | None = None,
    run_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    experiment: Mapping[str, Any] | None = None,
) -> Run:
    """One run around a block: ``with spanreel.run("support", input=question) as run: ...``, or ``async with``.

    Args:
        name: of the workflow.
        input: what it was asked; any value.
        session: the conversation that it belongs to.
        run_id: a name of your own for it; the newest run of that name wins.
        tags: short labels to find it by.
        metadata: further values about it.
        experiment: what is being tried, such as ``{"prompt": "b"}``.

    Raises:
        SpanreelError: for a `run_id` that could be mistaken for something else.
    """
    if run_id is not None and (
        not run_id or len(run_id) > 200 or not run_id.isprintable() or run_id != run_id.strip()
    ):
        raise SpanreelError(f"{run_id!r} cannot name a run", "use 1 to 200 printable characters")
    attributes: dict[str, Any] = {} if session is None else {names.CONVERSATION_ID: session}
    for prefix, values in ((names.TAG, tags), (names.METADATA, metadata), (names.EXPERIMENT, experiment)):
        attributes.update({f"{prefix}{key}": _attribute(value) for key, value in (values or {}).items()})
    return Run(name, input, run_id, attributes, sys._getframe(1))


@overload
def agent(function: F, /) -> F: ...
@overload
def agent(*, name: str | None = None, tags: Mapping[str, str] | None = None) -> Callable[[F], F]: ...
def agent(function: Any = None, /, *, name: str | None = None, tags: Mapping[str, str] | None = None) -> Any:
    """Mark a function as an agent: each outermost call is a run, each nested one a step of it.

    Plain and async functions and generators. Arguments are recorded by parameter name, the result as the output.

    Args:
        function: the agent.
        name: what it is called; default: the function's name.
        tags: short labels to find its runs by.
    """
    if function is None:
        return functools.partial(agent, name=name, tags=tags)
    called = _Called(function, name or function.__name__, tags)
    wrapper = called.wrapper()
    wrapper.__spanreel__ = {"agent": called.name}
    return wrapper


def note(kind: str, summary: str | None = None, data: Any = None) -> None:
    """Remark on what the agent does right now: an event on the agent, workflow or tool span that is under way."""
    if recorder.current() is None:
        return
    with guard("note"):
        process_context = None if invocation.current_span() else process.process_context()
        span: Any = invocation.current_span() or (process_context or {}).get(invocation.SPAN_KEY)
        if span is not None:
            _add_note(span, kind, summary, data)


def outcome(
    success: bool | None = None, summary: str | None = None, metrics: Mapping[str, float] | None = None
) -> None:
    """Say how the current run went, as `spanreel.outcome.*`; after it ended, of the run that ended last here.

    Args:
        success: whether it reached its goal.
        summary: in words.
        metrics: numbers, by name.
    """
    if recorder.current() is None:
        return
    with guard("outcome"):
        root = invocation.current_root()
        if root is None:
            log_once(
                "outcome", "spanreel.outcome() was called outside any run and is not kept; call it within one"
            )
            return
        _add_outcome(root, success, summary, metrics)


def install() -> None:
    """What runs need of the process while recording is on."""
    process.install()


def uninstall() -> None:
    """End the process's own run, if there is one."""
    process.uninstall()


class _Called:
    """A function that is an agent."""

    def __init__(
        self, function: Callable[..., Any], name: str, tags: Mapping[str, str] | None = None
    ) -> None:
        self.function = function
        self.name = name
        self._attributes = _entry(function)
        self._attributes.update(
            {f"{names.TAG}{key}": _attribute(value) for key, value in (tags or {}).items()}
        )

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Invocation | None:
        if recorder.current() is None:
            return None
        inputs: Any = ABSENT
        with guard("reading an agent's arguments"):
            inputs = arguments_of(self.function, args, kwargs)
        return invocation.begin(AGENT, self.name, dict(self._attributes), inputs=inputs, code=self.function)

    def wrapper(self) -> Any:
        function = self.function
        if inspect.isasyncgenfunction(function):
            wrapper = async_generator(function, self.begin)
        elif inspect.isgeneratorfunction(function):
            wrapper = generator(function, self.begin)
        else:
            wrapper = self._coroutine() if inspect.iscoroutinefunction(function) else self._plain()
        return functools.wraps(function)(wrapper)

    def _plain(self) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = self.begin(args, kwargs)
            if started is None:
                return self.function(*args, **kwargs)
            token = otel_context.attach(started.context)
            try:
                output = self.function(*args, **kwargs)
            except BaseException as error:
                started.end(error=error)
                raise
            finally:
                otel_context.detach(token)
            started.end(output)
            return output

        return wrapper

    def _coroutine(self) -> Callable[..., Any]:
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            started = self.begin(args, kwargs)
            if started is None:
                return await self.function(*args, **kwargs)
            token = otel_context.attach(started.context)
            try:
                output = await self.function(*args, **kwargs)
            except BaseException as error:
                started.end(error=error)
                raise
            finally:
                otel_context.detach(token)
            started.end(output)
            return output

        return wrapper


def _entry(function: Any) -> dict[str, Any]:
    """How a function is found again; a method or a local function only by starting the process again."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    found = {names.CODE_FUNCTION: f"{function.__module__}:{function.__qualname__}"}
    found[names.RUN_ENTRY] = PROCESS if "." in function.__qualname__ else FUNCTION
    if code is not None:
        found[names.CODE_FILE] = code.co_filename
    return found


def _block(where: FrameType | None) -> dict[str, Any]:
    if where is None:
        return {}
    function = f"{where.f_globals.get('__name__', '')}:{where.f_code.co_qualname}"
    return {
        names.CODE_FUNCTION: function,
        names.CODE_FILE: where.f_code.co_filename,
        names.CODE_LINE: where.f_lineno,
        names.RUN_ENTRY: PROCESS,
    }


def _attribute(value: Any) -> Any:
    return value if isinstance(value, (str, bool, int, float)) else codec.plain_text(value)


def _add_note(span: ActiveSpan, kind: str, summary: str | None, data: Any) -> None:
    values: dict[str, Any] = {f"{names.NOTE}.kind": kind}
    if summary is not None:
        values[f"{names.NOTE}.summary"] = summary
    if data is not None:
        values[f"{names.NOTE}.data"] = codec.plain_text(data)
    if span.end_ns:
        _late(span, "note", values)
    else:
        span.events.append((names.NOTE, time.time_ns(), values))


def _add_outcome(
    root: ActiveSpan, success: bool | None, summary: str | None, metrics: Mapping[str, float] | None
) -> None:
    said = {"success": success, "summary": summary}
    values = {f"{names.OUTCOME}{key}": value for key, value in said.items() if value is not None}
    values.update(
        {f"{names.OUTCOME}metrics.{key}": _attribute(value) for key, value in (metrics or {}).items()}
    )
    if root.end_ns:
        _late(root, "outcome", values)
    else:
        root.attributes.update(values)


def _late(span: ActiveSpan, name: str, values: dict[str, Any]) -> None:
    """What is said after a span ended: a small span below it."""
    recording = recorder.current()
    if recording is not None:
        said = recording.start(name, names.KIND_INTERNAL, values, context=span.context, outward=False)
        said.run_id = span.run_id
        recording.end(said)
