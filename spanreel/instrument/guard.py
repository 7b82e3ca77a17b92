"""The one guard: what fails while recording is logged once, marked on the span, and never reaches the agent.

Signals (`spanreel.exceptions.Signal`) and everything else that is no `Exception` pass through.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from spanreel.instrument.tracing import ActiveSpan

logger = logging.getLogger("spanreel")
_logged: set[str] = set()
_report: Callable[[str, BaseException, ActiveSpan | None], None] | None = None


class guard(ContextDecorator):  # noqa: N801 - reads as a statement: `with guard("tap"):`
    """Keeps an `Exception` of ours from the agent, as a context manager or a decorator.

    Args:
        where: what was being done, such as ``openai.chat request``; one log line per place.
        span: the span that is incomplete if this fails; default: a marker in the current run.
    """

    __slots__ = ("_span", "_where")

    def __init__(self, where: str, span: ActiveSpan | None = None) -> None:
        self._where = where
        self._span = span

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None or not isinstance(error, Exception):
            return False
        report(self._where, error, self._span)
        return True


def report(where: str, error: BaseException, span: ActiveSpan | None = None) -> None:
    """Log a fault once per place and hand it to the recorder, which marks what it cost."""
    log_once(where, "recording failed in %s (%s); the agent is not affected", where, type(error).__name__)
    logger.debug("fault in %s", where, exc_info=error)
    if _report is None:
        return
    try:
        _report(where, error, span)
    except Exception:
        logger.debug("the fault in %s could not be marked", where, exc_info=True)


def log_once(place: str, message: str, *args: object) -> None:
    """A warning, the first time only."""
    if place not in _logged:
        _logged.add(place)
        logger.warning(f"spanreel: {message}", *args)


def reports_to(report_fault: Callable[[str, BaseException, ActiveSpan | None], None] | None) -> None:
    """Who marks faults from now on; None: nobody. Also lets every place log again."""
    global _report
    _report = report_fault
    _logged.clear()
