"""The run follows work into threads, and every thread has a lane: the structural path of how it came to be.

The OpenTelemetry context, and nothing else, is carried into threads and executors; a context that a library
carries itself wins. Identical requests that race in a thread pool are told apart by their lane, which is the
same each time the program runs: "0" is the thread a run began in, "0.2" what that submitted third, and so on.
A thread-local path says it, for libraries copy contextvars before they submit; numbers are counted per run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import wrapt
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from spanreel.instrument.guard import guard

MAIN = "0"
LANES_KEY = otel_context.create_key("spanreel-lanes")
_OWN = ("spanreel.", "opentelemetry.", "concurrent.futures.")  # threads that serve the recording, or a pool

_here = threading.local()
_lock = threading.Lock()
_patched: list[tuple[type, str, Any, Any]] = []


class Lanes:
    """Numbers the submissions of one run. base: the lane its root began in, which counts as "0"."""

    __slots__ = ("_counts", "base")

    def __init__(self, base: str = MAIN) -> None:
        self.base = base
        self._counts: dict[str, int] = {}

    def relative(self, path: str) -> str:
        """The path as it would be had the run begun in the main thread."""
        inside = path == self.base or path.startswith(f"{self.base}.")
        return MAIN + path[len(self.base) :] if inside else path

    def next_below(self, path: str) -> str:
        """The lane of the next submission from this one."""
        with _lock:
            number = self._counts.get(path, 0)
            self._counts[path] = number + 1
        return f"{path}.{number}"


_process_lanes = Lanes()


def lane() -> str:
    """The lane of the current thread within the current run, such as "0.3.1". Asyncio tasks share their thread's."""
    return _lanes(otel_context.get_current()).relative(_path())


def in_new_run(context: Context) -> Context:
    """A context in which lanes are counted from here, for the root of a run."""
    return otel_context.set_value(LANES_KEY, Lanes(_path()), context)


def install() -> None:
    """Carry context and lanes into threads from now on. Calling it again changes nothing."""
    if not _patched:
        _patch(threading.Thread, "start", _start)
        _patch(ThreadPoolExecutor, "submit", _submit)


def uninstall() -> None:
    """Put back what was there, unless somebody patched it after us: then ours only passes through."""
    while _patched:
        owner, name, original, ours = _patched.pop()
        if owner.__dict__.get(name) is ours:
            setattr(owner, name, original)


def forked() -> None:
    """In the child: nobody holds the lock."""
    global _lock
    _lock = threading.Lock()


def _path() -> str:
    return getattr(_here, "path", MAIN)


def _lanes(context: Context) -> Lanes:
    found = context.get(LANES_KEY)
    return found if isinstance(found, Lanes) else _process_lanes


def _patch(owner: type, name: str, wrapper: Callable[..., Any]) -> None:
    original = owner.__dict__[name]
    ours = wrapt.FunctionWrapper(original, wrapper)
    setattr(owner, name, ours)
    _patched.append((owner, name, original, ours))


def _carried(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call, in the submitter's context and in a lane of its own."""
    context = otel_context.get_current()
    path = _lanes(context).next_below(_path())

    def run(*args: Any, **kwargs: Any) -> Any:
        before, _here.path = _path(), path
        token = otel_context.attach(context)
        try:
            return call(*args, **kwargs)
        finally:
            otel_context.detach(token)
            _here.path = before

    return run


def _start(wrapped: Callable[[], None], thread: threading.Thread, args: Any, kwargs: Any) -> None:
    if _patched and not _is_ours(thread):
        with guard("following a thread"):
            thread.run = _once(thread, _carried(thread.run))
    return wrapped(*args, **kwargs)


def _is_ours(thread: threading.Thread) -> bool:
    target = getattr(thread, "_target", None) or type(thread)
    return str(getattr(target, "__module__", "")).startswith(_OWN)


def _once(thread: threading.Thread, call: Callable[[], None]) -> Callable[[], None]:
    """Runs in the thread's place; the thread looks as its author made it while it runs."""

    def run() -> None:
        thread.__dict__.pop("run", None)
        call()

    return run


def _submit(wrapped: Callable[..., Any], executor: ThreadPoolExecutor, args: Any, kwargs: Any) -> Any:
    if not _patched or not args:
        return wrapped(*args, **kwargs)
    return wrapped(_carried(args[0]), *args[1:], **kwargs)
