"""Generators driven step by step under a context of their own. The context is never left attached across a yield."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from opentelemetry import context as otel_context

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context

MOST_ITEMS = 10_000


class Held:
    """A context that is current within `with`, and that remembers what was attached inside it for the next time."""

    __slots__ = ("_context", "_token")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._token: Token[Context] | None = None

    def __enter__(self) -> None:
        self._token = otel_context.attach(self._context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context = otel_context.get_current()
        assert self._token is not None
        otel_context.detach(self._token)


class Stepped(Protocol):
    """What a generator's steps belong to. context: current during each step."""

    @property
    def context(self) -> Context: ...

    def body(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The generator to step through: the function's own, or one that says what was recorded."""
        ...

    def end(self, output: Any = ..., error: BaseException | None = None) -> None:
        """Called once, with the items that were yielded, and the exception that ended it, if one did."""
        ...


Begin: TypeAlias = "Callable[[tuple[Any, ...], dict[str, Any]], Stepped | None]"
"""Called with the arguments at the first step. None: the generator is only passed through."""


def generator(function: Callable[..., Any], begin: Begin) -> Callable[..., Generator[Any, Any, Any]]:
    """A generator function that yields what `function` yields, passing on what is sent and thrown."""

    def wrapper(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        started = begin(args, kwargs)
        inner = started.body(function, args, kwargs) if started else function(*args, **kwargs)
        if started is None:
            return (yield from inner)
        held, items = Held(started.context), list[Any]()
        step: Callable[[], Any] = partial(next, inner)
        try:
            while True:
                try:
                    with held:
                        item = step()
                except StopIteration as stop:
                    started.end(items)
                    return stop.value
                _keep(items, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with held:
                        inner.close()
                    raise
                except BaseException as thrown:  # noqa: BLE001 — it is the generator's to handle
                    step = partial(inner.throw, thrown)
                else:
                    step = partial(inner.send, sent)
        except BaseException as error:
            started.end(items, error)
            raise

    return wrapper


def async_generator(function: Callable[..., Any], begin: Begin) -> Callable[..., AsyncGenerator[Any, Any]]:
    """`generator`, of an async generator function."""

    async def wrapper(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        started = begin(args, kwargs)
        inner = started.body(function, args, kwargs) if started else function(*args, **kwargs)
        held = Held(started.context) if started else nullcontext()
        items = list[Any]()
        step: Callable[[], Any] = partial(anext, inner)
        try:
            while True:
                try:
                    with held:
                        item = await step()
                except StopAsyncIteration:
                    break
                if started is not None:
                    _keep(items, item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with held:
                        await inner.aclose()
                    raise
                except BaseException as thrown:  # noqa: BLE001 — it is the generator's to handle
                    step = partial(inner.athrow, thrown)
                else:
                    step = partial(inner.asend, sent)
        except BaseException as error:
            if started is not None:
                started.end(items, error)
            raise
        if started is not None:
            started.end(items)

    return wrapper


def _keep(items: list[Any], item: Any) -> None:
    if len(items) <= MOST_ITEMS:
        items.append(item)
