"""LOUD: run agent code against a recording: who answers, what is denied, and what became of it.

`with spanreel.replaying(run) as execution: agent(...)`. A replay is itself a run in the store, linked to its source.
What signals were raised inside is raised again at the end, even if the agent swallowed it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context as otel_context

from spanreel.exceptions import Divergence, Signal, SpanreelError
from spanreel.instrument import activate, invocation, process, recorder, responder, runs
from spanreel.instrument.tracing import RUN_KEY
from spanreel.location import announced_collector, resolve_store
from spanreel.replay.backoff import no_backoff
from spanreel.replay.match import MATCH, Matcher
from spanreel.replay.network import denied_network
from spanreel.replay.playback import RecordedResponder
from spanreel.replay.recording import ModelEffect, Recording
from spanreel.replay.stored import stored
from spanreel.replay.verdict import Verdict, judge
from spanreel.wire import attributes as names
from spanreel.wire.redaction import Redactor

if TYPE_CHECKING:
    from types import TracebackType

    from spanreel.replay.timeline import Replay

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "openai": ("OPENAI_API_KEY",),
    "azure.ai.openai": ("AZURE_OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "mistral_ai": ("MISTRAL_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "x_ai": ("XAI_API_KEY",),
}
"""Where SDKs look for the key of a provider; their constructors refuse to go on without one."""

PLACEHOLDER: Final = "spanreel-replay-no-key-needed"


def replaying(
    run: str | os.PathLike[str] | Recording | Replay,
    models: str = "recorded",
    tools: str = "recorded",
    match: str = "structural",
    at: int | None = None,
    overrides: Mapping[str, Any] | None = None,
    allow_tools: Collection[str] = (),
    budget: Any = None,
    on_miss: str = "raise",
    *,
    store: str | os.PathLike[str] | None = None,
) -> Execution:
    """Run what is in the block against a recorded run: no model, no tool and no network is reached.

    ``with spanreel.replaying("last") as execution: agent(...)``, or ``async with``; then `execution.verdict`.

    Args:
        run: its name in the store, the path of a recording file, a `Replay`, or a `Recording`.
        models: who answers model calls; "recorded".
        tools: who answers tool calls; "recorded".
        match: "structural", or "strict" for byte-equal JSON only.
        at: not in this version.
        overrides: not in this version.
        allow_tools: not in this version.
        budget: not in this version.
        on_miss: "raise".
        store: where the run is, and where the replay is recorded; default: the project's.

    Raises:
        SpanreelError: for an option that this version does not have, or a run that cannot be replayed.
        Divergence: at the end of the block at the latest, when the agent did not do what was recorded.
        EffectDenied: likewise, when something in it tried to go out to the network.
    """
    _refuse(models, tools, match, at, overrides, allow_tools, budget, on_miss)
    recording = _recording(run, store)
    return Execution(recording, match=match, store=store)


class Execution:
    """A replay, before, while and after it runs. One use.

    Args:
        recording: what answers.
        match: a key of `MATCH`.
        store: where the replay is recorded if nothing is instrumented yet.
        own_run: the block is a run of its own; not where the agent inside opens its run itself.

    Attributes:
        result: for whoever runs the agent to keep what it gave; None else.
    """

    def __init__(
        self,
        recording: Recording,
        *,
        match: str = "structural",
        store: str | os.PathLike[str] | None = None,
        own_run: bool = True,
    ) -> None:
        self.recording = recording
        self.result: Any = None
        self._store = resolve_store(store)
        self._own_run = own_run
        self._responder = RecordedResponder(Matcher(recording, match, _redact))
        self._books = self._responder.books
        self._run: runs.Run | None = None
        self._open: ExitStack | None = None
        self._error: BaseException | None = None

    @property
    def verdict(self) -> Verdict:
        """What became of it; within the block, what has become of it so far."""
        running = self._open is not None
        left = () if running else self._responder.matcher.unused(self._responder.consumed)
        return judge(
            self.recording,
            run_id=self.run_id,
            served=self._books.recorded,
            divergences=self._books.divergences,
            left=left,
            drift=self._books.drift,
            denied=[str(one) for one in self._books.denied],
            error=self._error,
        )

    @property
    def run_id(self) -> str | None:
        """The replay's own run, once it is known."""
        return (self._run.run_id if self._run else None) or self._books.run_id

    @property
    def source_run_id(self) -> str:
        """The run that is replayed."""
        return self.recording.run_id

    def __enter__(self) -> Self:
        stack = ExitStack()
        with stack:
            stack.enter_context(_placeholder_keys(self.recording))
            if recorder.current() is None:
                stack.callback(activate.instrument(store=self._store).uninstrument)
            if recorder.current() is None:
                raise SpanreelError("a replay needs recording, which OTEL_SDK_DISABLED keeps off", "unset it")
            before = responder.install(self._responder)
            stack.callback(responder.install, before)
            stack.enter_context(no_backoff())
            stack.enter_context(denied_network(self._responder.on_denied, _collector_ports(self._store)))
            if self._own_run:
                token = otel_context.attach(otel_context.Context())  # a trace of its own, wherever it is made
                stack.callback(otel_context.detach, token)
                self._run = stack.enter_context(runs.run(self.recording.agent_name or "replay"))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._open is not None
        stack, self._open = self._open, None
        finished = isinstance(error, SystemExit) and error.code in (None, 0)
        self._error = None if finished or isinstance(error, Signal) else error
        if self._run is None:
            self._find_run()
            self._tell()
        signal = self._books.signal or self._unfinished(None if finished else error)
        ending = signal or error
        stack.__exit__(type(ending) if ending else None, ending, ending.__traceback__ if ending else None)
        recording = recorder.current()
        if recording is not None:
            recording.flush()
        if signal is not None and signal is not error:
            raise signal from error

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def abandon(self) -> None:
        """Nothing was run: give everything back, and judge nothing."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _unfinished(self, error: BaseException | None) -> Divergence | None:
        """Recorded calls that an agent left out although nothing stopped it."""
        first = self.verdict.first_divergence
        return Divergence(first.text(), first.as_dict()) if first and error is None else None

    def _find_run(self) -> None:
        """Of an agent that made no call: the run it began, else the process's own, which is opened to be seen."""
        if self._books.run_id is None:
            root = invocation.latest_root
            own = otel_context.set_value(RUN_KEY, root.run_id, root.context) if root is not None else None
            self._books.context = own or process.process_context()

    def _tell(self) -> None:
        """Say in the replay's run that it diverged, for its root may have ended, or may end as if nothing had been."""
        recording = recorder.current()
        if recording is not None and self.verdict.verdict == "diverged" and self._books.context is not None:
            said = {f"{names.OUTCOME}status": "diverged"}
            recording.end(
                recording.start(
                    "divergence", names.KIND_INTERNAL, said, context=self._books.context, outward=False
                )
            )


def _refuse(
    models: str,
    tools: str,
    match: str,
    at: int | None,
    overrides: Mapping[str, Any] | None,
    allow_tools: Collection[str],
    budget: Any,
    on_miss: str,
) -> None:
    if match not in MATCH:
        raise SpanreelError(f"replaying(match={match!r}) is not available in this version", f"use one of {', '.join(MATCH)}")  # fmt: skip
    asked = {
        f"models={models!r}": models != "recorded",
        f"tools={tools!r}": tools != "recorded",
        "at": at is not None,
        "overrides": bool(overrides),
        "allow_tools": bool(allow_tools),
        "budget": budget is not None,
        f"on_miss={on_miss!r}": on_miss != "raise",
    }
    refused = [name for name, given in asked.items() if given]
    if refused:
        raise SpanreelError(
            f"replaying({', '.join(refused)}) is not available in this version",
            "leave it out: every call is answered from the recording, and what is not in it raises Divergence",
        )


def _recording(
    run: str | os.PathLike[str] | Recording | Replay, store: str | os.PathLike[str] | None
) -> Recording:
    if isinstance(run, Recording):
        return run
    if isinstance(run, (str, os.PathLike)):
        return stored(run, store, whole_process=False).recording
    return stored(run.run_id, store, whole_process=False).recording


def _redact(body: bytes) -> bytes:
    """As this process blanks secrets before it records them."""
    recording = recorder.current()
    redactor = recording._finishing.privacy._redactor if recording else Redactor()
    return redactor.body(body)[0]


def _collector_ports(store: os.PathLike[str]) -> tuple[int, ...]:
    announced = announced_collector(resolve_store(store))
    return (announced.http_port, announced.grpc_port) if announced else ()


@contextmanager
def _placeholder_keys(recording: Recording) -> Generator[None]:
    """Keys for the providers that the recording has calls to, where the environment has none."""
    providers = {effect.provider for effect in recording.effects if isinstance(effect, ModelEffect)}
    providers |= {effect.dialect.partition(".")[0] for effect in recording.effects if isinstance(effect, ModelEffect)}  # fmt: skip
    wanted = [name for provider in providers for name in KEYS.get(provider or "", ())]
    added = [name for name in wanted if name not in os.environ]
    os.environ.update(dict.fromkeys(added, PLACEHOLDER))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
