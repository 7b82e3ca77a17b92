"""Response streams of httpx and httpx2: teed while a caller reads them, or served from a recording.

They derive from the classes of the module they are for, which it checks for. Bytes pass through untouched and undelayed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanreel.instrument.clients.attempt import Attempt
    from spanreel.instrument.responder import ModelAnswer

PATIENCE_S = 30.0  # a replayed call waits this long for the cancellation that ended the recorded one


def _broken_off(error: Exception | None) -> None:
    if error is not None:
        raise error


async def cut_short(answer: ModelAnswer | None) -> None:
    """Where the recording breaks off. A call that was cancelled waits a while to be cancelled again."""
    if answer is not None and answer.at_cut is not None:
        if answer.outcome == "cancelled":
            from anyio import sleep

            await sleep(PATIENCE_S)
        answer.at_cut()


class Streams:
    """The stream classes for one module; they derive from its own, which it checks for."""

    def __init__(self, tee: type[Any], atee: type[Any], canned: type[Any]) -> None:
        self.tee = tee
        self.atee = atee
        self.canned = canned


def streams(module: Any) -> Streams:
    """The classes for httpx or httpx2."""

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
            self._chunks = iter(chunks)  # once: a client may look for more when it closes
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
            await cut_short(self._answer)

    return Streams(Tee, AsyncTee, Canned)


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
