"""What becomes of `ApprovalPending` once it is raised: nobody's failure, and not lost where an agent swallows it.

It is latched on the root of its run and raised again when that ends. Nobody catches it: one line on stderr instead of a
traceback, and exit code 3. Must not change what happens to any other exception.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from spanreel.exceptions import ApprovalPending

if TYPE_CHECKING:
    from types import TracebackType

    from spanreel.instrument.tracing import ActiveSpan

EXIT_CODE: Final = 3
PAUSED: Final = "paused"
"""The outcome of a span that a pending approval went through."""

_latched: WeakKeyDictionary[ActiveSpan, ApprovalPending] = WeakKeyDictionary()
_lock = threading.Lock()
_hooked = False
_in_thread: ApprovalPending | None = None


def pending_in(error: BaseException | None) -> ApprovalPending | None:
    """The pending approval that this exception is, or that a group of exceptions holds."""
    if isinstance(error, ApprovalPending):
        return error
    if isinstance(error, BaseExceptionGroup):
        return next((found for one in error.exceptions if (found := pending_in(one))), None)
    return None


def latch(root: ActiveSpan | None, pending: ApprovalPending) -> None:
    """A run has come to a gate: whatever its code does now, it is paused."""
    _hook()
    if root is not None:
        with _lock:
            _latched.setdefault(root, pending)


def released(root: ActiveSpan) -> ApprovalPending | None:
    """The gate that a run waits at, which is forgotten by this."""
    with _lock:
        return _latched.pop(root, None)


def exit_if_unseen() -> None:
    """End the process as paused if a thread came to a gate and no run raised it again.

    Raises:
        SystemExit: with code 3.
    """
    if _in_thread is not None and _in_thread in _latched.values():
        sys.exit(EXIT_CODE)


def line(pending: ApprovalPending) -> str:
    """The one line that says it, with the command that goes on."""
    named = f'paused: approval "{pending.approval_id}"'
    if pending.run_id is None:
        return f"{named}; nothing is recorded, so nobody can decide: call spanreel.instrument()"
    short = pending.run_id[:12] if _is_id(pending.run_id) else pending.run_id
    return f"{named} of run {short}: spanreel approve {short} {pending.approval_id}"


def forked() -> None:
    """In the child: nobody holds the lock."""
    global _lock
    _lock = threading.Lock()


def _hook() -> None:
    global _hooked
    with _lock:
        if _hooked:
            return
        _hooked = True
    _hook_main()
    _hook_threads()


def _hook_main() -> None:
    before = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        pending = pending_in(error)
        if pending is None:
            before(kind, error, trace)
            return
        _say(pending)
        raise SystemExit(EXIT_CODE) from None

    sys.excepthook = excepthook


def _hook_threads() -> None:
    before = threading.excepthook

    def excepthook(args: Any) -> None:
        global _in_thread
        pending = pending_in(args.exc_value)
        if pending is None:
            before(args)
            return
        _in_thread = pending
        _say(pending)

    threading.excepthook = excepthook


_said: set[int] = set()


def _say(pending: ApprovalPending) -> None:
    """Once, however many threads it goes through."""
    if id(pending) not in _said and sys.stderr is not None:
        _said.add(id(pending))
        sys.stderr.write(f"spanreel: {line(pending)}\n")
        sys.stderr.flush()


def _is_id(run_id: str) -> bool:
    return len(run_id) == 32 and all(letter in "0123456789abcdef" for letter in run_id)
