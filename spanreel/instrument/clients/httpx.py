"""The tap on httpx and httpx2: the same API in two class trees, tapped by the same functions.

`_send_handling_auth` is looked up on the class at call time, so that clients made earlier, sub-classes with a
`send` of their own and methods bound earlier are all seen. Bytes pass through untouched and undelayed.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import wrapt

from spanreel.instrument import misses
from spanreel.instrument.clients import attempt
from spanreel.instrument.exchange import Exchange
from spanreel.instrument.guard import guard
from spanreel.instrument.threads import lane
from spanreel.wire import recognise

if TYPE_CHECKING:
    from types import ModuleType

    from spanreel.instrument.clients.attempt import Attempt
    from spanreel.instrument.responder import ModelAnswer
    from spanreel.wire.dialect import Dialect

PATIENCE_S = 30.0  # a replayed call waits this long for the cancellation that ended the recorded one
MODULES = ("httpx", "httpx2")
POINTS = ("_send_handling_auth", "send")  # private, then its public caller should it be renamed


class Tap:
    """The tap on one of the two modules. `remove` takes it off again."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._streams = _streams(module)
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
        answer = attempt.ask(dialect, exchange)
        under_way = self._begin(dialect, exchange, request, answer)
        if under_way is None and answer is None:
            return wrapped(*args, **kwargs)
        if answer is not None:
            return self._serve(answer, under_way, client, request)
        assert under_way is not None
        with under_way:
            response = wrapped(*args, **kwargs)
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
        answer = attempt.ask(dialect, exchange)
        under_way = self._begin(dialect, exchange, request, answer)
        if under_way is None and answer is None:
            return await wrapped(*args, **kwargs)
        if answer is not None:
            return await self._aserve(answer, under_way, client, request)
        assert under_way is not None
        with under_way:
            response = await wrapped(*args, **kwargs)
        self._tee(response, under_way, self._streams.atee)
        return response

    async def _aserve(self, answer: ModelAnswer, under_way: Attempt | None, client: Any, request: Any) -> Any:
        from anyio.lowlevel import checkpoint  # a dependency of both modules

        try:
            for hook in client.event_hooks["request"]:
                await hook(request)
            await checkpoint()  # one scheduling point, so that tasks interleave as they plausibly did
            if not answer.status:
                await _cut_short(answer)
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
        self, dialect: Dialect, exchange: Exchange, request: Any, answer: ModelAnswer | None
    ) -> Attempt | None:
        recording = attempt.watching()
        if recording is None:
            return None
        return attempt.begin(
            recording, dialect, exchange, request.url.host, _traceparent(request.headers.raw), answer
        )

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


def _broken_off(error: Exception | None) -> None:
    if error is not None:
        raise error


async def _cut_short(answer: ModelAnswer | None) -> None:
    """Where the recording breaks off. A call that was cancelled waits a while to be cancelled again."""
    if answer is not None and answer.at_cut is not None:
        if answer.outcome == "cancelled":
            from anyio import sleep

            await sleep(PATIENCE_S)
        answer.at_cut()


class _Streams:
    """The stream classes for one module; they derive from its own, which it checks for."""

    def __init__(self, tee: type[Any], atee: type[Any], canned: type[Any]) -> None:
        self.tee = tee
        self.atee = atee
        self.canned = canned


def _streams(module: Any) -> _Streams:
    class Tee(_Passing, module.SyncByteStream):
        """Hands chunks on and notes them."""

        def __iter__(self) -> Any:
            return _Chunks(iter(self._stream), self)

        def close(self) -> None:
            try:
                self._stream.close()
            finally:
                self._under_way.ended("closed")

    class AsyncTee(_Passing, module.AsyncByteStream):
        """The same, awaited."""

        def __aiter__(self) -> Any:
            return _AsyncChunks(self._stream.__aiter__(), self)

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._under_way.ended("closed")

    class Canned(module.SyncByteStream, module.AsyncByteStream):
        """Recorded chunks, with their boundaries, and the error that broke them off if one did."""

        def __init__(
            self, chunks: Sequence[bytes], broken: Exception | None = None, answer: ModelAnswer | None = None
        ) -> None:
            self._chunks = chunks
            self._broken = broken
            self._answer = answer

        def __iter__(self) -> Any:
            yield from self._chunks
            _broken_off(self._broken)
            if self._answer is not None and self._answer.at_cut is not None:
                self._answer.at_cut()

        async def __aiter__(self) -> Any:
            for chunk in self._chunks:
                yield chunk
            _broken_off(self._broken)
            await _cut_short(self._answer)

    return _Streams(Tee, AsyncTee, Canned)


class _Passing:
    """What both tees share. Iterators, not generators: the client's own stream ends as it would alone."""

    def __init__(self, stream: Any, under_way: Attempt) -> None:
        self._stream = stream
        self._under_way = under_way

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_stream"], name)

    def __del__(self) -> None:
        self._under_way.ended("dropped")


class _Chunks:
    """Iterates a response body; keeps its stream alive, so that it is not taken for dropped."""

    __slots__ = ("_inner", "_owner", "_under_way")

    def __init__(self, inner: Any, owner: Any) -> None:
        self._inner = inner
        self._owner = owner
        self._under_way: Attempt = owner._under_way

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._inner)
        except StopIteration:
            self._under_way.ended("complete")
            raise
        except BaseException as error:
            self._under_way.failed(error)
            raise
        self._under_way.received(chunk)
        return chunk


class _AsyncChunks:
    """The same, awaited."""

    __slots__ = ("_inner", "_owner", "_under_way")

    def __init__(self, inner: Any, owner: Any) -> None:
        self._inner = inner
        self._owner = owner
        self._under_way: Attempt = owner._under_way

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._inner.__anext__()
        except StopAsyncIteration:
            self._under_way.ended("complete")
            raise
        except BaseException as error:
            self._under_way.failed(error)
            raise
        self._under_way.received(chunk)
        return chunk
