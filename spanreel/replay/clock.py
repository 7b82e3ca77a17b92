"""LOUD: time and uuid4 as they were in a recorded run, for agents that put them into prompts, keys or file names.

Time stands still. It is the run's start, then the recorded end of each effect as it is served; `time.time`,
`datetime.now`, `date.today` and what else asks the system for the date follow, `time.monotonic` and sleeping do not.
uuid4 is drawn from a seed that the recording keeps, a sequence for each lane, so that threads do not race for values.
The replay's own record keeps the real time. Needs the extra `clock`; time-machine does the time.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument import recorder, responder, runs, threads, tracing
from spanreel.replay.recording import ModelEffect
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spanreel.instrument.responder import ApprovalRequest, Decision, ModelRequest, Responder, ToolRequest
    from spanreel.replay.recording import Recording

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_REMEDY: Final = "pip install 'spanreel[clock]'"


@contextmanager
def recorded_clock(recording: Recording) -> Generator[None]:
    """Time and uuid4 as in the recording while the block runs. Enter it after the execution that answers.

    Raises:
        SpanreelError: time-machine is not installed, or the recording has no times.
    """
    if not recording.started_ns:
        raise SpanreelError("the recording does not say when it was made", "record it again")
    ends = _ends(recording)
    with ExitStack() as stack:
        clock = stack.enter_context(_standing(recording.started_ns))
        if recording.uuid_seed is not None:
            stack.enter_context(seeded_uuids(recording.uuid_seed))
        before = responder.current()
        responder.install(_Following(before, ends, clock))
        stack.callback(responder.install, before)
        yield


@contextmanager
def recording_clock(seed: str, started_ns: int) -> Generator[None]:
    """While a run is recorded: time stands as it will in its replay, and uuid4 is drawn from the seed.

    Args:
        seed: to be kept with the recording.
        started_ns: when the run began, Unix nanoseconds.

    Raises:
        SpanreelError: time-machine is not installed.
    """
    recording = recorder.current()
    with ExitStack() as stack:
        clock = stack.enter_context(_standing(started_ns))
        stack.enter_context(seeded_uuids(seed))
        if recording is not None:
            end = recording.end

            def ended(span: Any, **options: Any) -> None:
                end(span, **options)
                if span.exchange is not None or names.TOOL_NAME in span.attributes:
                    clock(span.end_ns)

            recording.end = ended  # the instance's; the class keeps its own
            stack.callback(recording.__dict__.pop, "end", None)
        yield


@contextmanager
def seeded_uuids(seed: str) -> Generator[None]:
    """uuid4 drawn from a seed: the n-th of a lane is the same each time.

    The module's source of randomness is exchanged, so `from uuid import uuid4` draws from it too.
    """
    counts: dict[str, int] = defaultdict(int)
    lock = threading.Lock()

    def urandom(size: int) -> bytes:
        lane = threads.lane()
        with lock:
            counts[lane] += 1
            number = counts[lane]
        return hashlib.shake_256(f"{seed}:{lane}:{number}".encode()).digest(size)

    module: Any = uuid
    before = module.os
    module.os = _Instead(before, {"urandom": urandom})
    try:
        yield
    finally:
        module.os = before


@contextmanager
def _standing(now: int) -> Generator[Callable[[int], None]]:
    """Time that stands still; gives what moves it on."""
    try:
        import time_machine
    except ImportError:
        raise SpanreelError("the recorded clock needs the package time-machine", _REMEDY) from None
    lock = threading.Lock()
    real = _Instead(_time_module(), {"time_ns": time_machine.escape_hatch.time.time_ns})
    own: tuple[Any, ...] = (tracing, recorder, runs)
    before = [module.time for module in own]
    with time_machine.travel(_moment(now), tick=False) as traveller:
        for module in own:
            module.time = real

        def move(to_ns: int) -> None:
            nonlocal now
            with lock:
                if to_ns > now:  # never back: effects overlap
                    now = to_ns
                    traveller.move_to(_moment(now), tick=False)

        try:
            yield move
        finally:
            for module, time in zip(own, before, strict=True):
                module.time = time


def _ends(recording: Recording) -> dict[str, int]:
    """When each effect ended, by the spans that may be named as its source."""
    ends = {effect.span_id: effect.end_ns for effect in recording.effects}
    for effect in recording.effects:
        if isinstance(effect, ModelEffect):
            ends.update({answer.span_id: effect.end_ns for answer in effect.answers})
    return ends


def _moment(time_ns: int) -> datetime:
    """To the microsecond, which is what a date can say."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def _time_module() -> Any:
    import time

    return time


class _Instead:
    """A module, but for some names."""

    def __init__(self, module: Any, names: Mapping[str, Any]) -> None:
        self.__dict__.update(names)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Following:
    """Asks the one that answers, and moves the clock to the end of what was served."""

    def __init__(self, inner: Responder, ends: Mapping[str, int], move: Callable[[int], None]) -> None:
        self.root = inner.root
        self._inner = inner
        self._ends = ends
        self._move = move

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def model(self, request: ModelRequest) -> Any:
        return self._served(self._inner.model(request))

    def tool(self, request: ToolRequest) -> Any:
        return self._served(self._inner.tool(request))

    def approval(self, request: ApprovalRequest) -> Decision | None:
        return self._inner.approval(request)

    def _served(self, answer: Any) -> Any:
        ended = self._ends.get(getattr(answer, "source_span_id", None) or "")
        if ended:
            self._move(ended)
        return answer
