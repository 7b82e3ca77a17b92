"""The tap on httpx and httpx2: the same API in two class trees, tapped by the same functions.

`_send_handling_auth` is looked up on the class at call time, so that clients made earlier, sub-classes with a
`send` of their own and methods bound earlier are all seen. Bytes pass through untouched and undelayed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import wrapt

from spanreel.exceptions import EffectDenied
from spanreel.instrument import misses
from spanreel.instrument.clients import attempt
from spanreel.instrument.clients.streams import cut_short, streams
from spanreel.instrument.exchange import Exchange
from spanreel.instrument.guard import guard
from spanreel.instrument.responder import ModelAnswer
from spanreel.instrument.threads import lane
from spanreel.wire import recognise

if TYPE_CHECKING:
    from types import ModuleType

    from spanreel.instrument.clients.attempt import Attempt
    from spanreel.instrument.responder import ModelRoute
    from spanreel.wire.dialect import Dialect

Render = Callable[[int, tuple[tuple[str, str], ...], bytes], ModelAnswer]

MODULES = ("httpx", "httpx2")
POINTS = ("_send_handling_auth", "send")  # private, then its public caller should it be renamed


class Tap:
    """The tap on one of the two modules. `remove` takes it off again."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._streams = streams(module)
        self._undo: list[Callable[[], None]] = []
        self._put("Client", self._call)
        self._put("AsyncClient", self._acall)

    def remove(self) -> None:
        """Give the classes their own methods back, unless somebody wrapped them after us; end what is under way."""
        for undo in self._undo:
            undo()
        self._undo.clear()
        attempt.end_all()

    def _put(self, owner: str, wrapper: Callable[..., Any]) -> None:
        cls = getattr(self._module, owner)
        point = next(name for name in POINTS if name in cls.__dict__)
        own = cls.__dict__[point]
        wrapt.wrap_function_wrapper(self._module, f"{owner}.{point}", wrapper)
        ours = cls.__dict__[point]

        def undo() -> None:
            if cls.__dict__.get(point) is ours:
                setattr(cls, point, own)

        self._undo.append(undo)

    # sync

    def _call(
        self, wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        request = args[0] if args else kwargs["request"]
        seen = self._look(request)
        if seen is None:
            with misses.tapped(request.url.host, request.url.port):
                return wrapped(*args, **kwargs)
        dialect, exchange = seen
        who = attempt.ask(dialect, exchange)
        if isinstance(who, ModelAnswer):
            return self._serve(who, self._begin(dialect, exchange, request, who), client, request)
        if who is not None:
            return self._route(who, exchange, wrapped, client, request, args, kwargs)
        under_way = self._begin(dialect, exchange, request, None)
        if under_way is None:
            return wrapped(*args, **kwargs)
        with under_way:
            response = wrapped(*args, **kwargs)
        self._tee(response, under_way, self._streams.tee)
        return response

    def _route(
        self, route: ModelRoute, exchange: Exchange, wrapped: Callable[..., Any], client: Any, request: Any,
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> Any:  # fmt: skip
        under_way, args, kwargs = self._sent(route, exchange, request, args, kwargs)
        with under_way:
            response = wrapped(*args, **kwargs)
            if route.given is not None:
                response.read()
                return self._given(route.given, response, under_way, client, request)
        self._tee(response, under_way, self._streams.tee)
        return response

    def _serve(self, answer: ModelAnswer, under_way: Attempt | None, client: Any, request: Any) -> Any:
        try:
            for hook in client.event_hooks["request"]:
                hook(request)
            response = self._response(answer, client, request)
            self._tee(response, under_way, self._streams.tee)
            for hook in client.event_hooks["response"]:
                hook(response)
        except BaseException as error:
            if under_way is not None:
                under_way.failed(error)
            raise
        return response

    # async: the same, awaited

    async def _acall(
        self, wrapped: Callable[..., Any], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        request = args[0] if args else kwargs["request"]
        seen = self._look(request)
        if seen is None:
            with misses.tapped(request.url.host, request.url.port):
                return await wrapped(*args, **kwargs)
        dialect, exchange = seen
        who = attempt.ask(dialect, exchange)
        if isinstance(who, ModelAnswer):
            return await self._aserve(who, self._begin(dialect, exchange, request, who), client, request)
        if who is not None:
            return await self._aroute(who, exchange, wrapped, client, request, args, kwargs)
        under_way = self._begin(dialect, exchange, request, None)
        if under_way is None:
            return await wrapped(*args, **kwargs)
        with under_way:
            response = await wrapped(*args, **kwargs)
        self._tee(response, under_way, self._streams.atee)
        return response

    async def _aroute(
        self, route: ModelRoute, exchange: Exchange, wrapped: Callable[..., Any], client: Any, request: Any,
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> Any:  # fmt: skip
        under_way, args, kwargs = self._sent(route, exchange, request, args, kwargs)
        with under_way:
            response = await wrapped(*args, **kwargs)
            if route.given is not None:
                await response.aread()
                return self._given(route.given, response, under_way, client, request)
        self._tee(response, under_way, self._streams.atee)
        return response

    async def _aserve(self, answer: ModelAnswer, under_way: Attempt | None, client: Any, request: Any) -> Any:
        from anyio.lowlevel import checkpoint  # a dependency of both modules

        try:
            for hook in client.event_hooks["request"]:
                await hook(request)
            await checkpoint()  # one scheduling point, so that tasks interleave as they plausibly did
            if not answer.status:
                await cut_short(answer)
            response = self._response(answer, client, request)
            self._tee(response, under_way, self._streams.atee)
            for hook in client.event_hooks["response"]:
                await hook(response)
        except BaseException as error:
            if under_way is not None:
                under_way.failed(error)
            raise
        return response

    # shared

    def _look(self, request: Any) -> tuple[Dialect, Exchange] | None:
        """The dialect that the request speaks, and an exchange for it; None: not ours."""
        with guard("look at a request"):
            if attempt.watching() is None or request.method != "POST":
                return None
            url = str(request.url)
            try:
                body = request.content
            except self._module.RequestNotRead:
                if recognise.recognise("POST", url, attempt.UNREAD):
                    path = recognise.path_of(url)
                    misses.report(self._module.__name__, path, "its request body is a stream")
                return None
            dialect = recognise.recognise("POST", url, body)
            if dialect is None:
                misses.unspoken(self._module.__name__, "POST", request.url.host, url)
                return None
            return dialect, Exchange(
                dialect.name, "POST", url, request.headers.multi_items, body, self._module.__name__, lane()
            )
        return None

    def _begin(
        self, dialect: Dialect, exchange: Exchange, request: Any, who: ModelAnswer | ModelRoute | None
    ) -> Attempt | None:
        recording = attempt.watching()
        if recording is None:
            return None
        return attempt.begin(
            recording, dialect, exchange, request.url.host, _traceparent(request.headers.raw), who
        )

    def _sent(
        self,
        route: ModelRoute,
        exchange: Exchange,
        request: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> tuple[Attempt, tuple[Any, ...], dict[str, Any]]:
        """What is sent in the place of a request in an execution, and how the client is called with it.

        Raises:
            EffectDenied: it could not be recorded, so it is not sent.
        """
        made = attempt.routed(exchange, route)
        sent = request
        if made is not exchange:
            sent = self._module.Request(
                "POST",
                route.url,
                headers=list(route.headers),
                content=route.body,
                extensions=request.extensions,
            )
            args, kwargs = ((sent, *args[1:]), kwargs) if args else (args, {**kwargs, "request": sent})
        dialect = recognise.by_name(route.dialect)
        under_way = self._begin(dialect, made, sent, route) if dialect else None
        if under_way is None:
            raise EffectDenied(
                "a live model call could not be recorded, so it is not sent", f"POST {route.url}"
            )
        return under_way, args, kwargs

    def _given(self, render: Render, response: Any, under_way: Attempt, client: Any, request: Any) -> Any:
        """The reply in the dialect that the SDK reads."""
        headers = response.headers.multi_items
        answer = render(response.status_code, tuple(headers()), response.content)
        under_way.rendered(response.status_code, headers, response.content, answer)
        return self._response(answer, client, request)

    def _tee(self, response: Any, under_way: Attempt | None, tee: type[Any]) -> None:
        """From here on each chunk that the caller reads is noted on its way."""
        if under_way is None:
            return
        with guard("response", under_way.span):
            under_way.answered(response.status_code, response.headers.multi_items)
            if response.is_stream_consumed:  # a transport in memory gave the whole body at once
                under_way.received(response.content)
                under_way.ended("complete")
                return
            under_way.exchange.decode = self._decode
            response.stream = tee(response.stream, under_way)

    def _decode(self, encoding: str, chunks: Sequence[bytes]) -> Iterable[bytes]:
        """As the client itself decodes: whichever encodings it was installed with."""
        stream = self._streams.canned(chunks)
        return self._module.Response(200, headers={"content-encoding": encoding}, stream=stream).iter_bytes()

    def _response(self, answer: ModelAnswer, client: Any, request: Any) -> Any:
        """The recorded answer as this module's own response, or its own exception."""
        if not answer.status:
            if answer.at_cut is not None:
                answer.at_cut()
            raise self._error(answer, request)
        broken = self._error(answer, request) if answer.outcome == "error" else None
        encoded = any(name.lower() == "content-encoding" for name, _ in answer.headers)
        drop = ("content-encoding", "content-length") if encoded else ()  # bodies are kept decoded
        response = self._module.Response(
            answer.status,
            headers=[(name, value) for name, value in answer.headers if name.lower() not in drop],
            stream=self._streams.canned(answer.chunks, broken, answer),
            request=request,
            extensions={"http_version": b"HTTP/1.1"},
            default_encoding=getattr(client, "_default_encoding", "utf-8"),
        )
        response.elapsed = dt.timedelta(microseconds=answer.micros[-1] if answer.micros else 0)
        return response

    def _error(self, answer: ModelAnswer, request: Any) -> Exception:
        kind = getattr(self._module, (answer.error_type or "").rpartition(".")[2], None)
        if not (isinstance(kind, type) and issubclass(kind, self._module.RequestError)):
            kind = self._module.ConnectError
        return kind(answer.error_message, request=request)


def _traceparent(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Off the raw pairs: the client's own look-up tries every header's encoding first."""
    for name, value in headers:
        if len(name) == 11 and name.lower() == b"traceparent":
            return value.decode("ascii", "replace")
    return None
