"""The one line: `spanreel.instrument()` switches recording on, `uninstrument()` off. May be called at any time."""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import SpanreelError
from spanreel.instrument import frameworks, guard, recorder, runs, settings, taps, threads, tracing

if TYPE_CHECKING:
    from spanreel.instrument.recorder import Recorder

_lock = threading.RLock()
_active: Instrumentation | None = None
_hooked = False


class Instrumentation:
    """Recording, while it is on."""

    def __init__(self, settings: settings.Settings, recorder: Recorder) -> None:
        self.settings = settings
        self._recorder = recorder

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything that ended before is kept. False when that took longer than `timeout_s`."""
        return self._recorder.flush(timeout_s)

    def uninstrument(self) -> None:
        """Write what is left and stop recording."""
        global _active
        with _lock:
            if _active is not self:
                return
            _active = None
            taps.remove()
            frameworks.uninstall()
            threads.uninstall()
            runs.uninstall()
            self._recorder.close()
            recorder.install(None)
            guard.reports_to(None)


def instrument(
    service_name: str | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    endpoint_content: bool | None = None,
    capture: str = "full",
    vault: bool = False,
    redact: Callable[[str], str] | None = None,
    console: bool = False,
) -> Instrumentation:
    """Record this process's model calls, tool calls and agent runs. Calling it again changes nothing.

    Args:
        service_name: how this process is called; default: OTEL_SERVICE_NAME.
        store: path of the store; default: SPANREEL_STORE, else `.spanreel/spans.db` of the project.
        endpoint: OTLP endpoint that gets standard spans besides; default: OTEL_EXPORTER_OTLP_ENDPOINT.
        endpoint_content: whether messages, arguments and results go there; default: as
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says, else no.
        capture: how much is kept: full, hashes, metadata or none.
        vault: keep the full recording encrypted below `full`; not there yet.
        redact: a function of one text, applied after the built-in patterns.
        console: one line on stderr for every model and tool call that ended.

    Raises:
        SpanreelError: for a capture level that does not exist, or `vault=True`.
    """
    global _active
    if vault:
        raise SpanreelError("instrument(vault=True) is not available in this version", "leave `vault` out")
    asked = settings.from_arguments(service_name, store, endpoint, endpoint_content, capture, redact, console)
    with _lock:
        if _active is None:
            _active = _switch_on(asked)
        return _active


def uninstrument() -> None:
    """Stop recording, wherever it was switched on."""
    if _active is not None:
        _active.uninstrument()


def _switch_on(asked: settings.Settings) -> Instrumentation:
    from spanreel import __version__
    from spanreel.instrument.channel import Channel
    from spanreel.wire import attributes as names
    from spanreel.wire.spans import Resource, Scope

    values: dict[str, Any] = {
        names.SERVICE_NAME: asked.service_name or "unknown_service",
        names.PROCESS_PID: os.getpid(),
    }
    starter = tracing.SpanStarter(None, runs.process_context)
    recording = recorder.Recorder(
        starter, Channel(asked.store), Resource(values), Scope(names.SCOPE, __version__)
    )
    recorder.install(recording)
    guard.reports_to(recording.fault)
    _hook_process()
    taps.install()
    frameworks.install()
    threads.install()
    runs.install()
    return Instrumentation(asked, recording)


def _hook_process() -> None:
    global _hooked
    if _hooked:
        return
    _hooked = True
    atexit.register(uninstrument)
    os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    tracing.forked()
    recording = recorder.current()
    if recording is not None:
        recording.forked()
