"""The one line: `spanreel.instrument()` switches recording on, `uninstrument()` off. May be called at any time."""

from __future__ import annotations

import atexit
import os
import threading
from typing import TYPE_CHECKING

from spanreel.exceptions import SpanreelError
from spanreel.instrument import (
    continuing,
    frameworks,
    guard,
    misses,
    pausing,
    process,
    recorder,
    runs,
    settings,
    taps,
    threads,
    tracing,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    from spanreel.instrument.provider import Provided
    from spanreel.instrument.recorder import Recorder

_lock = threading.RLock()
_active: Instrumentation | None = None
_hooked = False


class Instrumentation:
    """Recording, while it is on; does nothing where OTEL_SDK_DISABLED keeps it off."""

    def __init__(self, recording: Recorder | None = None, provided: Provided | None = None) -> None:
        self._recorder = recording
        self._provided = provided

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything that ended before is kept. False when that took longer than `timeout_s`."""
        done = self._recorder is None or self._recorder.flush(timeout_s)
        if self._provided is not None:
            self._provided.flush(timeout_s)
        return done

    def uninstrument(self) -> None:
        """Write what is left and stop recording."""
        global _active
        with _lock:
            if _active is not self or self._recorder is None or self._provided is None:
                return
            _active = None
            taps.remove()
            misses.remove()
            frameworks.uninstall()
            threads.uninstall()
            runs.uninstall()
            self._recorder.close()
            self._provided.close()
            recorder.install(None)
            guard.reports_to(None)

    def before_fork(self) -> None:
        """Bring our threads to a rest, so that the child finds nothing half done."""
        if self._recorder is not None and self._provided is not None:
            self._recorder.before_fork()
            self._provided.before_fork()

    def after_fork(self) -> None:
        """In the parent of a fork: go on."""
        if self._recorder is not None and self._provided is not None:
            self._recorder.after_fork()
            self._provided.after_fork()

    def forked(self) -> None:
        """In the child of a fork: go on recording, as a process of its own."""
        if self._recorder is not None and self._provided is not None:
            self._provided.forked()
            self._recorder.forked()


def instrument(
    service_name: str | None = None,
    *,
    store: str | os.PathLike[str] | None = None,
    endpoint: str | None = None,
    endpoint_content: bool | None = None,
    capture: str = "full",
    vault: bool = False,
    redact: settings.Redact = None,
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
        redact: what is secret besides the usual: a function of one text, or `{"keys": …, "paths": …, "patterns": …}`.
        console: one line on stderr for every model and tool call that ended.

    Raises:
        SpanreelError: for a capture level that does not exist, or `vault=True`.
    """
    global _active
    if vault:
        raise SpanreelError("instrument(vault=True) is not available in this version", "leave `vault` out")
    if settings.sdk_disabled():
        guard.log_once("disabled", "OTEL_SDK_DISABLED is set: nothing is recorded")
        return Instrumentation()
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
    from spanreel import version
    from spanreel.instrument import exporting, provider
    from spanreel.instrument.channel import Channel
    from spanreel.instrument.finishing import Finishing
    from spanreel.instrument.privacy import Privacy
    from spanreel.instrument.storekey import StoreKey
    from spanreel.wire import attributes as names
    from spanreel.wire.spans import Scope

    privacy = Privacy(asked.capture, asked.redactor, StoreKey(asked.store), by_pattern=asked.by_pattern)
    provided = provider.Provided(asked, version.installed(), _heard)
    finishing = Finishing(
        privacy,
        provided,
        Scope(names.SCOPE, version.installed()),
        complete=exporting.complete if provided.tracer is not None else None,
        outward_content=asked.endpoint_content,
        console=asked.console,
    )
    early = frozenset[str]() if asked.capture == "none" else exporting.EARLY
    starter = tracing.SpanStarter(provided.tracer, runs.process_context, early, privacy.text)
    recording = recorder.Recorder(starter, Channel(asked.store), finishing)
    recorder.install(recording)
    guard.reports_to(recording.fault)
    _hook_process()
    taps.install()
    misses.install()
    frameworks.install()
    threads.install()
    runs.install()
    return Instrumentation(recording, provided)


def _heard(span: ReadableSpan) -> None:
    recording = recorder.current()
    if recording is not None:
        recording.heard(span)


def _hook_process() -> None:
    global _hooked
    if _hooked:
        return
    _hooked = True
    atexit.register(uninstrument)
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)


def _before_fork() -> None:
    if _active is not None:
        _active.before_fork()


def _in_parent() -> None:
    if _active is not None:
        _active.after_fork()


def _in_child() -> None:
    """The locks that another thread may have held are ours alone now."""
    global _lock
    _lock = threading.RLock()
    threads.forked()
    pausing.forked()
    continuing.forked()
    process.forked()
    tracing.forked()
    if _active is not None:
        _active.forked()
