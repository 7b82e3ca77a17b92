"""LOUD: which execution is in charge of this process, and what belongs to it. There is one at a time, or one in another.

What answers calls, the closed network and the keys are the process's: two executions side by side would answer each
other's calls. What an execution began, a thread or a task, carries it along and may not go live after its end.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry.context import Context

from spanreel.exceptions import EffectDenied, SpanreelError
from spanreel.instrument import responder
from spanreel.instrument.responder import ApprovalRequest, ModelRequest, RootFacts, ToolRequest
from spanreel.replay.callsite import code_line

_lock: Final = threading.Lock()
_open: Final[list[responder.Scope]] = []


class Over:
    """Answers what an execution left behind, after its end: nothing may be done any more."""

    root: RootFacts | None = None

    def model(self, request: ModelRequest) -> None:
        raise _late(f"{request.dialect} call")

    def tool(self, request: ToolRequest) -> None:
        raise _late(f"tool {request.name}")

    def approval(self, request: ApprovalRequest) -> None:
        raise _late(f"approval {request.id}")


@contextmanager
def in_charge(*, fresh: bool) -> Generator[None]:
    """Everything that begins in this block belongs to one execution.

    Args:
        fresh: in a context that has nothing else in it, so that a run begun inside is one of its own.

    Raises:
        SpanreelError: another execution is running, and this is not inside it.
    """
    here = otel_context.get_current()
    scope = responder.Scope()
    with _lock:
        if _open and here.get(responder.SCOPE_KEY) is not _open[-1]:
            raise SpanreelError(
                "another execution runs in this process at the same time",
                "one after the other; or in processes of their own: spanreel replay, or rerun() without an agent",
            )
        _open.append(scope)
    token = otel_context.attach(
        otel_context.set_value(responder.SCOPE_KEY, scope, Context() if fresh else here)
    )
    try:
        yield
    finally:
        otel_context.detach(token)
        with _lock:
            _open.remove(scope)
        scope.after = Over()


def _late(what: str) -> EffectDenied:
    where = code_line()
    place = f", from {where}" if where else ""
    return EffectDenied(
        f"{what} is not let through{place}: a replay that has ended began this thread or task", what, where
    )
