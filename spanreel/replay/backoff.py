"""LOUD: SDKs do not sleep between the attempts of a recorded failure.

A call that failed to the end is answered as often as it was tried, and the SDK would wait between those answers as if
a server could recover. The answers themselves stay as they were recorded: no header is changed. What is replaced,
while a replay runs, is the one private method by which the SDKs that Stainless generates (openai, anthropic, groq, …)
reckon how long to wait. Where it is missing, the SDK waits as it always does, and nothing else changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import wrapt

WAITING = "_calculate_retry_timeout"
SDKS = ("openai", "anthropic", "groq", "together")

_lock = threading.Lock()
_hooked = False
_replays = 0


@contextmanager
def no_backoff() -> Generator[None]:
    """SDKs that are loaded now, or later within the block, do not sleep before they try again."""
    global _replays
    _hook()
    with _lock:
        _replays += 1
    try:
        yield
    finally:
        with _lock:
            _replays -= 1


def _hook() -> None:
    global _hooked
    with _lock:
        hooked, _hooked = _hooked, True
    if not hooked:
        for sdk in SDKS:
            wrapt.register_post_import_hook(_tap, f"{sdk}._base_client")


def _tap(module: Any) -> None:
    if hasattr(getattr(module, "BaseClient", None), WAITING):
        wrapt.wrap_function_wrapper(module, f"BaseClient.{WAITING}", _reckoned)


def _reckoned(
    wrapped: Callable[..., float], client: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> float:
    """Seconds to wait before the next attempt."""
    return 0.0 if _replays else wrapped(*args, **kwargs)
