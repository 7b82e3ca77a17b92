"""LOUD: a model that is made up: every model call of any SDK is answered from a list or by a function; nothing goes out.

The answer is rendered into what the SDK reads, whole or streamed, so the SDK's own parser and types are tested too.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from opentelemetry import context as otel_context

from spanreel.exceptions import EffectDenied, Signal, SpanreelError
from spanreel.instrument import activate, recorder, responder, runs
from spanreel.replay import load, stubs
from spanreel.replay.callsite import code_line
from spanreel.replay.execution import KEYS, PLACEHOLDER
from spanreel.replay.testing import requests

if TYPE_CHECKING:
    from spanreel.instrument.responder import (
        ApprovalRequest,
        Decision,
        ModelAnswer,
        ModelRequest,
        Responder,
        ToolAnswer,
        ToolRequest,
        ToolRoute,
    )
    from spanreel.replay.testing.requests import Request
    from spanreel.replay.timeline import Replay

Answer: TypeAlias = "str | Mapping[str, Any]"
Answers: TypeAlias = "Answer | Iterable[Answer] | Callable[[Request], Answer]"


def tool_call(
    name: str, arguments: Mapping[str, Any] | None = None, call_id: str | None = None
) -> dict[str, Any]:
    """An answer by which the model asks for a tool.

    Args:
        name: of the tool.
        arguments: by name.
        call_id: of the call; default: made of the name.
    """
    part = {
        "type": "tool_call",
        "id": call_id or f"call_{name}",
        "name": name,
        "arguments": dict(arguments or {}),
    }
    return {"role": "assistant", "parts": [part]}


class Stub:
    """What answers. `calls`: the requests so far. More answers may be put in at any time."""

    def __init__(self, answers: Answers = ()) -> None:
        self.calls: list[Request] = []
        self._queue: deque[Answer] = deque()
        self._always: Answer | None = None
        self._function: Callable[[Request], Answer] | None = None
        self._lock = threading.Lock()
        self.signal: Signal | None = None
        self.fault: Exception | None = None
        self.run: runs.Run | None = None
        self.store: Path | None = None
        self._ran: Replay | None = None
        if callable(answers):
            self._function = answers
        elif isinstance(answers, (str, Mapping)):
            self._always = cast("Answer", answers)
        else:
            self._queue.extend(answers)

    @property
    def replay(self) -> Replay:
        """What ran in the block, so far or in all.

        Raises:
            SpanreelError: the block has not begun.
        """
        if self._ran is not None:
            return self._ran
        recording = recorder.current()
        if self.run is None or self.store is None or recording is None:
            raise SpanreelError("nothing has run yet", "ask for it within the block")
        recording.flush()
        return load.load(self.run.run_id, self.store)

    def enqueue(self, *answers: Answer) -> None:
        """Answer the next calls so."""
        self._queue.extend(answers)

    def clear(self) -> None:
        """Forget the answers that have not been given, and the calls."""
        self._queue.clear()
        self.calls.clear()

    def answer(self, request: ModelRequest) -> ModelAnswer:
        """The next answer, as the SDK reads it.

        Raises:
            EffectDenied: there is none left.
        """
        asked = requests.asked(request)
        with self._lock:
            self.calls.append(asked)
            number = len(self.calls)
            if self._queue:
                said: Answer | None = self._queue.popleft()
            else:
                said = self._always
        title = f"model call {number} ({asked.model or request.dialect})"
        try:
            if said is None and self._function is not None:
                said = self._function(asked)
            if said is not None:
                return stubs.model(request, said)
        except Exception as error:  # an SDK would take it for a failed connection, and try again
            self.fault = self.fault or error
            raise self._denied(f"stub_model has no answer to {title}: {error}", request) from error
        raise self._denied(f"stub_model has no answer left for {title}", request)

    def _denied(self, message: str, request: ModelRequest) -> EffectDenied:
        where = code_line()
        denied = EffectDenied(f"{message}, called from {where}" if where else message, request.dialect, where)
        self.signal = self.signal or denied
        return denied

    def ended(self) -> None:
        """Keep what ran, for after the block."""
        self._ran = self.replay


@contextmanager
def stub_model(answers: Answers = ()) -> Generator[Stub]:
    """Answer every model call in the block; no model is reached. Tools run as they are.

    Args:
        answers: one text or GenAI message for every call; several, one for each call in turn; or a function of the
            request. `tool_call` makes one that asks for a tool.

    Raises:
        EffectDenied: there was a call and no answer left, also where the agent swallowed that.
        SpanreelError: an answer cannot be said in the dialect of the SDK that asks.
    """
    stub = Stub(answers)
    with ExitStack() as stack:
        stack.enter_context(_keys())
        recording: Any = recorder.current()
        if recording is None:
            folder = tempfile.mkdtemp(prefix="spanreel-stub-")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            stack.callback(activate.instrument(store=Path(folder, "spans.db")).uninstrument)
            recording = recorder.current()
        if recording is None:
            raise SpanreelError("a model is stubbed only with recording on, which OTEL_SDK_DISABLED keeps off", "unset it")  # fmt: skip
        stub.store = recording._channel._spool._store
        before = responder.install(_Stubbing(stub, responder.current()))
        stack.callback(responder.install, before)
        token = otel_context.attach(otel_context.Context())
        stack.callback(otel_context.detach, token)
        try:
            with runs.run("stub_model") as stub.run:
                yield stub
        except Signal as signal:
            if stub.fault is not None and signal is stub.signal:
                raise stub.fault from None
            raise
        stub.ended()
    if stub.fault is not None:
        raise stub.fault
    if stub.signal is not None:
        raise stub.signal


class _Stubbing:
    """Model calls are the stub's; all else is asked of whoever was asked before."""

    def __init__(self, stub: Stub, inner: Responder) -> None:
        self.root = inner.root
        self._stub = stub
        self._inner = inner

    def model(self, request: ModelRequest) -> ModelAnswer:
        return self._stub.answer(request)

    def tool(self, request: ToolRequest) -> ToolAnswer | ToolRoute | None:
        return self._inner.tool(request)

    def approval(self, request: ApprovalRequest) -> Decision | None:
        return self._inner.approval(request)


@contextmanager
def _keys() -> Generator[None]:
    """Keys for SDKs, whose constructors refuse to go on without one."""
    added = [name for names in KEYS.values() for name in names if name not in os.environ]
    os.environ.update(dict.fromkeys(added, PLACEHOLDER))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
