"""The process as a run: calls that belong to no agent share one trace, under a root that closes when the process ends.

In a process that serves requests on an event loop, each task that makes such a call is a run of its own instead.
A process that is killed leaves its root open: a visible, incomplete run.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn
from weakref import WeakKeyDictionary, WeakSet

from opentelemetry import context as otel_context

from spanreel.instrument import pausing, tracing
from spanreel.instrument.guard import guard
from spanreel.instrument.invocation import WORKFLOW, Invocation, begin, note_start
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    import asyncio

    from opentelemetry.context import Context

_SERVERS = ("uvicorn.server", "uvicorn.workers", "uvicorn_worker", "hypercorn.asyncio", "granian.server")

_lock = threading.RLock()
_root: Invocation | None = None
_opening = False
_exit_code: int | str | None = None
_plain_exit: Any = None
_serving: WeakSet[Any] = WeakSet()
_tasks: WeakKeyDictionary[Any, Invocation] = WeakKeyDictionary()


def process_context() -> Context | None:
    """The context of the process's own run, opened at the first call; None while nothing is recorded."""
    global _root, _opening, _exit_code
    with guard("finding the task's run"):
        own = _task_run()
        if own is not None:
            return own.context
    with _lock:
        if _opening:
            return None
        _exit_code = None  # whoever called sys.exit went on after it
        if (
            _root is None or _root.span.generation != tracing.generation
        ):  # after a fork: the parent's, not ours
            _opening = True
            try:
                _root = begin(WORKFLOW, _script(), {}, context=otel_context.Context())
            finally:
                _opening = False
        return _root.context if _root else None


def install() -> None:
    """Remember how the process started; see how it exits."""
    global _plain_exit
    note_start()
    if _plain_exit is None:
        _plain_exit = sys.exit
        sys.exit = _exit


def uninstall() -> None:
    """End the process's run, as the process ended if this is its end."""
    global _root, _plain_exit
    if sys.exit is _exit:
        sys.exit = _plain_exit
    _plain_exit = None
    with _lock:
        ended, _root = _root, None
    if ended is None or ended.span.generation != tracing.generation:
        return
    error = None
    pausing.released(ended.span)  # the process is ending: there is nobody to raise it to
    with guard("ending the process's run", ended.span):
        error = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
        code = 0 if _exit_code is None else _exit_code if isinstance(_exit_code, int) else 1
        if _exit_code is not None or error is not None:
            ended.span.attributes[names.PROCESS_EXIT] = code if error is None else _code_of(error)
        if code and code != pausing.EXIT_CODE:
            ended.span.status = names.STATUS_ERROR
            ended.span.status_message = f"exit code {code}"
    ended.end(error=error if isinstance(error, BaseException) else None)


def forked() -> None:
    """In the child: nobody holds the lock, and nobody is opening the run."""
    global _lock, _opening
    _lock = threading.RLock()
    _opening = False


def _code_of(error: Any) -> int:
    return 1 if pausing.pending_in(error) is None else pausing.EXIT_CODE


def _exit(status: int | str | None = None, /) -> NoReturn:
    """`sys.exit`; what it was given is nowhere to be read once the interpreter shuts down."""
    global _exit_code
    _exit_code = status
    _plain_exit(status)
    raise SystemExit(status)


def _script() -> str:
    """As people name it: the file, the module after -m, or `python -c`."""
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    first = sys.argv[0] if sys.argv else ""
    return "python -c" if first == "-c" else Path(first).name or "python"


def _task_run() -> Invocation | None:
    """In a server: the run of the current task, which ends with it."""
    if "asyncio" not in sys.modules or not any(name in sys.modules for name in _SERVERS):
        return None
    import asyncio

    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop runs in this thread
        return None
    if task is None or not _serves(task.get_loop()) or _is_server(task):
        return None
    if task not in _tasks:
        started = begin(WORKFLOW, f"{_script()} request", {}, context=otel_context.Context())
        if started is None:
            return None
        _tasks[task] = started
        task.add_done_callback(_task_done)
        otel_context.attach(started.context)  # never detached: the task's context ends with the task
    return _tasks[task]


def _task_done(task: asyncio.Task[Any]) -> None:
    started = _tasks.pop(task, None)
    if started is None:
        return
    pausing.released(started.span)
    with guard("ending a task's run", started.span):
        if task.cancelled():
            import asyncio

            started.end(error=asyncio.CancelledError())
        else:
            started.end(error=task.exception())


def _serves(loop: Any) -> bool:
    import asyncio

    if loop not in _serving and any(_is_server(task) for task in asyncio.all_tasks(loop)):
        _serving.add(loop)
    return loop in _serving


def _is_server(task: asyncio.Task[Any]) -> bool:
    """Whether a task runs a server's own loop, at whatever depth of awaiting."""
    running: Any = task.get_coro()
    for _ in range(20):
        frame = getattr(running, "cr_frame", None)
        if frame is None:
            return False
        if str(frame.f_globals.get("__name__", "")).startswith(_SERVERS):
            return frame.f_code.co_name in ("serve", "_serve", "worker_serve", "main_loop")
        running = running.cr_await
    return False
