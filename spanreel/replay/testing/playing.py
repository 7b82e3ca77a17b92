"""LOUD: one test against its recording: recorded, replayed, or both; and what became of it.

The plugin says when the test's own code begins and ends. One at a time in a process.
"""

from __future__ import annotations

import secrets
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
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

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from spanreel.instrument.invocation import Invocation
    from spanreel.replay.testing.options import Options
    from spanreel.replay.testing.places import Test
    from spanreel.replay.timeline import Replay
    from spanreel.replay.verdict import Verdict
    from spanreel.wire.spans import Span

_MODE: Final = 0o644  # a recording goes into the repository; what is secret was blanked before


class Playing:
    """A test that is recorded or replayed; what the fixture `spanreel_recording` gives.

    Attributes:
        path: of the recording. mode: none, once, new or all. action: what that comes to: replay, record, extend (replay
            and record what is new), or outer where an execution around the whole process answers already.
        execution: the replay, from when the test begins; None while recording.
        missing: there was no file. written: the file was written. looked_at: the test has this object, so what ran is
            kept for it until the end.
    """

    def __init__(self, test: Test, options: Options, mode: str) -> None:
        self.path = test.recording(options.path)
        self.mode = mode
        self.options = options
        self.execution: Execution | None = None
        self.missing = not self.path.exists()
        self.written = False
        self.looked_at = False
        self.context: Context | None = None
        self._named = test.named(self.path)
        self._source: list[Span] = []
        self._seed: str | None = None
        self._inner = ExitStack()
        self._outer = ExitStack()
        self._store: Path | None = None
        self._began_ns = 0
        self._root: Invocation | None = None
        self._ran: list[Span] | None = None
        self.action = _action(mode, missing=self.missing)

    @property
    def verdict(self) -> Verdict | None:
        """Of the replay; None while recording."""
        return self.execution.verdict if self.execution is not None else None

    @property
    def replay(self) -> Replay:
        """What ran: so far, and after the test all of it.

        Raises:
            SpanreelError: the test has not begun, or another execution answers.
        """
        return load.from_spans(self._ran if self._ran is not None else self._gathered())

    def begin(self) -> None:
        """The test begins.

        Raises:
            SpanreelError: the recording cannot be read, or does not fit its options.
        """
        with ExitStack() as outer, ExitStack() as inner:
            self._instrument(outer)
            self._began_ns = time.time_ns()
            begin = {"outer": self._begin_within, "record": self._begin_recording}.get(self.action, self._begin_replay)  # fmt: skip
            begin(inner)
            self.context = otel_context.get_current()
            self._inner, self._outer = inner.pop_all(), outer.pop_all()

    def end(self, error: BaseException | None) -> None:
        """The test has ended, by an exception or without one.

        Raises:
            SpanreelError: it passed, and what it did cannot be kept.
        """
        outer, self._outer = self._outer, ExitStack()
        with outer:
            self._judged(error)
            writes = self._writes() and (error is None or self.options.record_on_exception)
            if writes or self.looked_at:
                self._ran = self._gathered()
                if writes:
                    self._keep(self._ran)

    def abandon(self) -> None:
        """The test did not come to its own code: nothing is judged or written."""
        if self.execution is not None:
            self._inner.close()
            self.execution.abandon()
        self._inner.close()
        self._outer.close()

    def _instrument(self, stack: ExitStack) -> None:
        if recorder.current() is None:
            folder = tempfile.mkdtemp(prefix="spanreel-test-")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            self._store = Path(folder, "spans.db")
            stack.callback(activate.instrument(store=self._store).uninstrument)
        recording: Any = recorder.current()
        if recording is None:
            raise SpanreelError(
                "a test is recorded and replayed only with recording on, which OTEL_SDK_DISABLED keeps off",
                "unset it",
            )
        self._store = self._store or recording._channel._spool._store

    def _begin_within(self, stack: ExitStack) -> None:
        """Another execution answers; what the test says about comparing and the clock holds in it too."""
        self._begin_run(stack)
        if not self.missing:
            recording = self._read()
            self._answering(stack)
            if self.options.clock == "recorded":
                stack.enter_context(clock.recorded_clock(recording))

    def _begin_run(self, stack: ExitStack) -> None:
        token = otel_context.attach(otel_context.Context())  # a trace of its own
        stack.callback(otel_context.detach, token)
        run = stack.enter_context(runs.run(self._named.title.partition(" ")[2]))
        self._root = run._invocation

    def _begin_recording(self, stack: ExitStack) -> None:
        self._begin_run(stack)
        if self.options.clock == "recorded" and self._root is not None:
            self._seed = secrets.token_hex(8)
            stack.enter_context(clock.recording_clock(self._seed, self._root.span.start_ns))

    def _begin_replay(self, stack: ExitStack) -> None:
        recording = Recording(self._named.name, ()) if self.missing else self._read()
        policy = Policy(match=self.options.match, on_miss="live" if self.action == "extend" else "raise")
        self.execution = Execution(recording, policy, store=self._store)
        self.execution.__enter__()
        try:
            run = self.execution._run
            self._root = run._invocation if run is not None else None
            with ExitStack() as inner:
                self._answering(inner)
                if self.options.clock == "recorded" and not self.missing:
                    inner.enter_context(clock.recorded_clock(recording))
                stack.push(inner.pop_all())
        except BaseException:
            self.execution.abandon()
            raise

    def _read(self) -> Recording:
        self._source = read(self.path)
        run = pick(runs_of(self._source), None, str(self.path))
        return Recording.from_spans(self._source, run.run_id)

    def _answering(self, stack: ExitStack) -> None:
        """Who answers, as the test's options want it."""
        said = self.options
        answering = responder.current()
        executor = _executor(answering)
        if said.filters or said.match_on is not None or said.matcher is not None:
            before = executor.matcher
            executor.matcher = TestMatcher(before, said, self._source)
            stack.callback(setattr, executor, "matcher", before)
        if said.ignore_hosts or said.ignore_localhost or said.before_record_request:
            stack.enter_context(allowed_hosts(said.ignore_hosts, loopback=said.ignore_localhost))
            responder.install(LettingOut(answering, said))
            stack.callback(responder.install, answering)

    def _judged(self, error: BaseException | None) -> None:
        """Close what `begin` opened; a run that ended by an exception says so."""
        why = (type(error), error, error.__traceback__) if error is not None else (None, None, None)
        inner, self._inner = self._inner, ExitStack()
        inner.__exit__(*why)
        if self.execution is not None:
            with suppress(Signal):  # it is in the verdict, which the plugin reads
                self.execution.__exit__(*why)

    def _keep(self, ran: Sequence[Span]) -> None:
        """Write the recording; of one that was replayed, with what was new after it."""
        if self.execution is None:
            assert self._root is not None
            self._write(ran, f"{self._root.span.span_id:016x}", self._seed)
        else:
            root = pick(runs_of(self._source), None, str(self.path)).root.span_id
            seed = self.execution.recording.uuid_seed
            self._write([*self._source, *_live(ran, root)], root, seed)

    def _writes(self) -> bool:
        """Whether this mode writes, and there is anything new."""
        if self.action == "extend" and self.execution is not None:
            return self.execution.verdict.effects.live > 0
        return self.action == "record"

    def _write(self, spans: Sequence[Span], root_id: str, seed: str | None) -> None:
        """The file appears whole or not at all."""
        from spanreel.collector import files

        more = {names.RECORDING_SEED: seed} if seed else {}
        named = replace(self._named, attributes={**self._named.attributes, **more})
        made = stable.stabilised(kept(spans, self.options), root_id, named)
        if not any(_is_effect(span) for span in made):
            return  # there is nothing to serve, and nothing to keep
        try:
            Recording.from_spans(made)
        except NotReplayable as error:
            raise SpanreelError(f"{self.path} is not written: {error.args[0]}", error.remedy) from error
        self.path.parent.mkdir(parents=True, exist_ok=True)
        files.write_jsonl(made, self.path)
        self.path.chmod(_MODE)
        self.written = True

    def _gathered(self) -> list[Span]:
        """What this test's calls were, so far."""
        from spanreel.collector.store import open_reader

        if self._root is None or self._store is None:
            raise SpanreelError(f"nothing has run against {self.path} yet", "ask for it within the test")
        recording = recorder.current()
        if recording is not None:
            recording.flush()
        trace, root_id = f"{self._root.span.trace_id:032x}", f"{self._root.span.span_id:016x}"
        with open_reader(self._store) as reader:
            spans = reader.spans(trace)
            root = next(span for span in spans if span.span_id == root_id)
            instance = root.resource.attributes.get(names.SERVICE_INSTANCE)
            for other in set(reader.traces_of(str(instance))) - {trace}:
                spans += [span for span in reader.spans(other) if span.start_ns >= self._began_ns]
        return stable.gathered(spans, root)


def _action(mode: str, *, missing: bool) -> str:
    if responder.current() is not responder.LIVE:
        return "outer"
    if mode == "all" or (missing and mode != "none"):
        return "record"
    return "extend" if mode == "new" else "replay"


def _live(ran: Sequence[Span], root_id: str) -> list[Span]:
    """What was not served, under the recording's own root."""
    new = [span for span in ran if span.attributes.get(names.EFFECT_SOURCE) == "live"]
    known = {span.span_id for span in new}
    return [
        replace(
            span,
            trace_id=span.trace_id,
            parent_span_id=span.parent_span_id if span.parent_span_id in known else root_id,
        )
        for span in new
    ]


def _is_effect(span: Span) -> bool:
    return names.WIRE_DIALECT in span.attributes or names.TOOL_NAME in span.attributes


def _executor(answering: Any) -> Any:
    """The one that serves, below those that only pass on."""
    while hasattr(answering, "_inner"):
        answering = answering._inner
    return answering
