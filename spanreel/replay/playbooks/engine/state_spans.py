"""LOUD: the spans of a run of a playbook: one for each state, below it one for each further attempt and each playbook inside.

What a state calls is recorded below it by the taps. Nothing here decides anything; while nothing is recorded it does
nothing.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from spanreel.exceptions import Signal
from spanreel.instrument import codec, recorder, responder
from spanreel.instrument.guard import guard
from spanreel.instrument.invocation import SPAN_KEY
from spanreel.instrument.pausing import PAUSED, pending_in
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from contextvars import Token

    from opentelemetry.context import Context

    from spanreel.instrument.tracing import ActiveSpan
    from spanreel.replay.playbooks.asks import Again, Enter, Failure, Leave
    from spanreel.replay.playbooks.body import Body

RETRY = "spanreel.retry"


@dataclass(slots=True)
class _Frame:
    kind: str
    state: str
    span: ActiveSpan
    token: Token[Context]


class StateSpans:
    """The spans under way, innermost last. Used from one thread or task."""

    def __init__(self) -> None:
        self._frames: list[_Frame] = []

    def enter(self, asked: Enter) -> None:
        """A state begins."""
        self._push("state", asked.state, f"state {asked.state}", {
            names.PLAYBOOK_STATE: asked.state, names.PLAYBOOK_VISIT: asked.visit,
        })  # fmt: skip

    def again(self, asked: Again) -> None:
        """An attempt failed, and the next one begins."""
        self._until(asked.state)
        if not self._frames:
            return
        failure = asked.failure
        said = {
            "attempt": asked.attempt, "max_attempts": asked.of, "guard": failure.guard, "error": failure.reason,
        }  # fmt: skip
        self._frames[-1].span.events.append((RETRY, time.time_ns(), said))
        self._push("attempt", asked.state, f"attempt {asked.attempt} of {asked.state}", {
            names.PLAYBOOK_STATE: asked.state, names.PLAYBOOK_ATTEMPT: asked.attempt,
        })  # fmt: skip

    def inside(self, body: Body) -> None:
        """A playbook begins inside of a state."""
        if self._frames:
            self._push("playbook", self._frames[-1].state, f"playbook {body.name}", {
                names.PLAYBOOK_NAME: body.name, names.PLAYBOOK_HASH: body.hash,
            })  # fmt: skip

    @contextmanager
    def undoing(self, state: str) -> Generator[None]:
        """What undoes a state, in this block."""
        before = len(self._frames)
        self._push("compensation", state, f"compensation of {state}", {
            names.PLAYBOOK_STATE: state, names.PLAYBOOK_PURPOSE: "compensation",
        })  # fmt: skip
        try:
            yield
        finally:
            while len(self._frames) > before:
                self._pop()

    def leave(self, asked: Leave) -> None:
        """A state is over."""
        self._until(asked.state)
        if self._frames:
            span = self._frames[-1].span
            with guard(f"recording state {asked.state}", span):
                if asked.next is not None:
                    span.attributes[names.PLAYBOOK_NEXT] = asked.next
                if asked.saved:
                    span.attributes[names.PLAYBOOK_SAVED] = codec.plain_text(dict(asked.saved))
                if asked.failure is not None:
                    _failed(span, asked.failure)
            self._pop()

    def note(self, said: Mapping[str, Any], kind: str) -> None:
        """Remark on the state under way."""
        if self._frames:
            self._frames[-1].span.events.append((kind, time.time_ns(), dict(said)))

    def close(self, error: BaseException | None = None) -> None:
        """Everything is over: by an exception, or because a state that leads nowhere was the last."""
        while self._frames:
            if isinstance(error, Exception):
                self._frames[-1].span.fail(error)
            elif pending_in(error) is not None:
                self._frames[-1].span.attributes[names.WIRE_OUTCOME] = PAUSED
            elif error is not None and not isinstance(error, Signal):
                self._frames[-1].span.fail(error)
            self._pop()

    def _until(self, state: str) -> None:
        """End what began inside of the innermost visit of a state."""
        inner = [frame for frame in self._frames if frame.kind == "state"]
        while self._frames and inner and self._frames[-1] is not inner[-1]:
            self._pop()
        assert not inner or inner[-1].state == state

    def _push(self, kind: str, state: str, name: str, attributes: dict[str, Any]) -> None:
        recording = recorder.current()
        if recording is None:
            return
        with guard(f"starting {name}"):
            told = responder.current().root
            outward = told is None or told.outward  # what a replay or a shadow does did not happen again
            span = recording.start(name, names.KIND_INTERNAL, attributes, outward=outward)
            context = otel_context.set_value(SPAN_KEY, span, span.context)
            self._frames.append(_Frame(kind, state, span, otel_context.attach(context)))

    def _pop(self) -> None:
        frame = self._frames.pop()
        otel_context.detach(frame.token)
        recording = recorder.current()
        if recording is not None:
            recording.end(frame.span)


def _failed(span: ActiveSpan, failure: Failure) -> None:
    span.attributes[names.PLAYBOOK_GUARD] = failure.guard
    span.attributes[names.PLAYBOOK_REASON] = failure.reason
    span.status = names.STATUS_ERROR
    span.status_message = f"{failure.guard}: {failure.reason}"
    if failure.error is not None:
        span.error = failure.error
