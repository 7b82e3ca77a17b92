"""LOUD: one test against its recording: recorded, replayed, or both; and what became of it.

The plugin says when the test's own code begins and ends. One at a time in a process.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import context as otel_context

from spanreel.exceptions import NotReplayable, Signal, SpanreelError
from spanreel.instrument import activate, recorder, responder, runs
from spanreel.replay import clock, load, stable
from spanreel.replay.execution import Execution
from spanreel.replay.files import pick, read, runs_of
from spanreel.replay.network import allowed_hosts
from spanreel.replay.policy import Policy
from spanreel.replay.recording import Recording
from spanreel.replay.testing.filters import kept
from spanreel.replay.testing.matching import LettingOut, TestMatcher
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanreel.replay.testing.options import Options
    from spanreel.replay.testing.places import Test
    from spanreel.replay.timeline import Replay
    from spanreel.replay.verdict import Verdict

_REPLAY: Final = "replay"
_RECORD: Final = "record"
_EXTEND: Final = "extend"
_OUTER: Final = "outer"


class Playing:
    """A test that is recorded or replayed; what the fixture `spanreel_recording` gives.

    Attributes:
        path: of the recording. mode: none, once, new or all. action: what that comes to: replay, record, extend (replay
            and record what is new), or outer where an execution around the whole process answers already.
        execution: the replay, from when the test begins; None while recording.
        written: whether the file was written.
    """

    def __init__(self, test: Test, options: Options, mode: str) -> None:
        self.path = test.recording(options.path)
        self.mode = mode
        self.options = options
        self.execution: Execution | None = None
        self.written = False
        self._test = test
        self._named = test.named(self.path)
        self._missing = not self.path.exists()
        self._source: list[Span] = []
        self._seed: str | None = None
        self._stack = ExitStack()
        self._folder: str | None = None
        self._run: runs.Run | None = None
        self._context: Context | None = None
        self._began_ns = 0
        self._ran: list[Span] | None = None
        outer = responder.current() is not responder.LIVE
        recording = mode == "all" or (self._missing and mode != "none")
        extend = mode == "new"
        self.action = _OUTER if outer else _RECORD if recording else _EXTEND if extend else _REPLAY

    @property
    def verdict(self) -> Verdict | None:
        """Of the replay; None while recording."""
        return self.execution.verdict if self.execution is not None else None

    @property
    def replay(self) -> Replay:
        """What ran: so far, or after the test all of it.

        Raises:
            SpanreelError: the test has not begun.
        """
        return load.from_spans(self._ran if self._ran is not None else self._gathered())

    @property
    def context(self) -> Context | None:
        """Of the test's own run, for code that runs in a context of its own."""
        return self._context

    def begin(self) -> None:
        """The test begins.

        Raises:
            SpanreelError: the recording cannot be read, or does not fit its options.
        """
        with ExitStack() as stack:
            stack.callback(self._forget)
            if self.action == _OUTER:
                self._begin_within(stack)
            elif self.action == _RECORD:
                self._begin_recording(stack)
            else:
                self._begin_replay(stack)
            self._context = otel_context.get_current()
            self._stack = stack.pop_all()

    def end(self, error: BaseException | None) -> None:
        """The test has ended, by an exception or without one.

        Raises:
            SpanreelError: it passed, and what it did cannot be kept.
        """
        try:
            if self.action == _OUTER:
                self._stack.close()
            elif self.execution is not None:
                self._end_replay(error)
            else:
                self._end_recording(error)
        finally:
            self._forget()

    def abandon(self) -> None:
        """The test did not come to its own code: nothing is judged or written."""
        if self.execution is not None:
            self.execution.abandon()
        self._stack.close()

    def _begin_within(self, stack: ExitStack) -> None:
        """Another execution answers; what the test says about comparing and the clock holds in it too."""
        if self._missing:
            return
        recording = self._read()
        stack.enter_context(allowed_hosts(self.options.ignore_hosts, loopback=self.options.ignore_localhost))
        self._answering(stack, responder.current())
        if self.options.clock == "recorded":
            stack.enter_context(clock.recorded_clock(recording))

    def _begin_recording(self, stack: ExitStack) -> None:
        if recorder.current() is None:
            stack.callback(activate.instrument(store=self._own_store()).uninstrument)
        if recorder.current() is None:
            raise SpanreelError("a test is recorded only with recording on, which OTEL_SDK_DISABLED keeps off", "unset it")  # fmt: skip
        self._began_ns = time.time_ns()
        token = otel_context.attach(otel_context.Context())
        stack.callback(otel_context.detach, token)
        self._run = runs.run(self._named.title.partition(" ")[2]).__enter__()
        stack.push(self._run)
        if self.options.clock == "recorded":
            self._seed = secrets.token_hex(8)
            stack.enter_context(clock.recording_clock(self._seed, self._root_start()))

    def _begin_replay(self, stack: ExitStack) -> None:
        recording = Recording(self._named.name, ()) if self._missing else self._read()
        on_miss = "live" if self.action == _EXTEND else "raise"
        policy = Policy(match=self.options.match, on_miss=on_miss)
        self._began_ns = time.time_ns()
        self.execution = Execution(recording, policy=policy, store=self._own_store())
        self.execution.__enter__()
        try:
            with ExitStack() as inner:
                hosts, loopback = self.options.ignore_hosts, self.options.ignore_localhost
                inner.enter_context(allowed_hosts(hosts, loopback=loopback))
                self._answering(inner, responder.current())
                if self.options.clock == "recorded" and not self._missing:
                    inner.enter_context(clock.recorded_clock(recording))
                stack.push(inner.pop_all())
        except BaseException:
            self.execution.abandon()
            raise

    def _read(self) -> Recording:
        self._source = read(self.path)
        run = pick(runs_of(self._source), None, str(self.path))
        return Recording.from_spans(self._source, run.run_id)

    def _answering(self, stack: ExitStack, answering: Any) -> None:
        """Who answers, as the test's options want it."""
        said = self.options
        if said.filters or said.match_on is not None or said.matcher is not None:
            before = answering.matcher
            answering.matcher = TestMatcher(before, said, self._source)
            stack.callback(setattr, answering, "matcher", before)
        if said.ignore_hosts or said.ignore_localhost or said.before_record_request:
            responder.install(LettingOut(answering, said))
            stack.callback(responder.install, answering)

    def _end_recording(self, error: BaseException | None) -> None:
        run, self._run = self._run, None
        assert run is not None
        root = run._invocation.span if run._invocation else None
        recording = recorder.current()
        if recording is not None:
            self._stack.pop_all_but = None  # type: ignore[attr-defined]
        self._close_run(run, error)
        self._ran = self._gathered(root)
        self._stack.close()
        if error is None or self.options.record_on_exception:
            self._write(self._ran)
