"""LOUD: run agent code again: the executor put in charge of a block, the network closed, and what became of it.

`with spanreel.replaying(run) as execution: agent(...)`. An execution is itself a run in the store, linked to its source.
What signals were raised inside is raised again at the end, even if the agent swallowed it.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, Self

from opentelemetry import context as otel_context

from spanreel.exceptions import ApprovalPending, DecisionNeeded, Divergence, Signal, SpanreelError
from spanreel.instrument import activate, invocation, process, recorder, responder, runs
from spanreel.instrument.tracing import RUN_KEY
from spanreel.location import announced_collector, resolve_store
from spanreel.replay import reaching, scope
from spanreel.replay.backoff import no_backoff
from spanreel.replay.executor import Executor
from spanreel.replay.network import denied_network
from spanreel.replay.policy import Policy, policy_of
from spanreel.replay.recording import ModelEffect, Recording
from spanreel.replay.stored import stored
from spanreel.replay.verdict import Verdict, judge
from spanreel.wire import attributes as names
from spanreel.wire.redaction import Redactor

if TYPE_CHECKING:
    from types import TracebackType

    from spanreel.instrument.responder import Decision
    from spanreel.replay.timeline import Replay

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "openai": ("OPENAI_API_KEY",),
    "azure.ai.openai": ("AZURE_OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY",),
    "gcp.gemini": ("GOOGLE_API_KEY", "GEMINI_API_KEY"),
    "groq": ("GROQ_API_KEY",),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "mistral_ai": ("MISTRAL_API_KEY",),
    "openrouter": ("OPENROUTER_API_KEY",),
    "together": ("TOGETHER_API_KEY",),
    "x_ai": ("XAI_API_KEY",),
}
"""Where SDKs look for the key of a provider, in any of these; their constructors refuse to go on without one."""

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
    """Run what is in the block against a recorded run; as it stands, no model, no tool and no network is reached.

    ``with spanreel.replaying("last") as execution: agent(...)``, or ``async with``; then `execution.verdict`.

    Args:
        run: its name in the store, the path of a recording file, a `Replay`, or a `Recording`.
        models: who answers model calls: recorded, live, stub or deny.
        tools: who answers tool calls: recorded, live, stub or deny. Live or not, a tool that is not `read` runs only
            where `allow_tools` names it.
        match: strict, structural, scrubbed or explore: how far a call may be from the recorded one that answers it.
        at: fork: recorded before this step, then live.
        overrides: what to send instead: request parameters by name; under a step's number, those of that step;
            under ``"responses"`` and ``"requests"``, by step, what is answered or sent; under ``"messages"``, a function
            of the GenAI messages. Models go live then: from the first step, or where only steps are named, from there.
        allow_tools: names of tools that may run live.
        budget: ``{"max_cost": USD, "max_calls": n, "max_seconds": s}``: where to stop going live.
        on_miss: what becomes of a call that nothing recorded answers: raise, live or stub.
        store: where the run is, and where the execution is recorded; default: the project's.

    Raises:
        SpanreelError: for a setting that makes no sense, or a run that cannot be replayed.
        Divergence: at the end of the block at the latest, when the agent did not do what was recorded.
        EffectDenied: likewise, when something in it tried to do what is not let through; `BudgetSpent` is one.
        ApprovalPending, DecisionNeeded: the agent came to a gate, or to an effect in doubt.
    """
    policy = policy_of(models, tools, match, at, overrides, allow_tools, budget, on_miss)
    return Execution(_recording(run, store), policy, store=store)


class Execution:
    """An execution, before, while and after it runs. One use.

    Args:
        recording: what may be served.
        policy: who answers what; default: everything is recorded.
        store: where the execution is recorded if nothing is instrumented yet.
        own_run: the block is a run of its own; not where the agent inside opens its run itself.
        decisions: about the gates of the run, by approval id, in order.
        segment: of a resumed run, which segment of it this is.

    Attributes:
        result: for whoever runs the agent to keep what it gave; None else.
    """

    def __init__(
        self,
        recording: Recording,
        policy: Policy | None = None,
        *,
        store: str | os.PathLike[str] | None = None,
        own_run: bool = True,
        decisions: Mapping[str, Sequence[Decision]] | None = None,
        segment: int | None = None,
    ) -> None:
        self.recording = recording
        self.policy = policy or Policy()
        self.result: Any = None
        reaching.check(recording, self.policy)
        self._store = resolve_store(store)
        self._own_run = own_run
        self._executor = Executor(recording, self.policy, _redact, decisions=decisions, segment=segment)
        self._books = self._executor.books
        self._run: runs.Run | None = None
        self._open: ExitStack | None = None
        self._used = False
        self._error: BaseException | None = None

    @property
    def verdict(self) -> Verdict:
        """What became of it; within the block, what has become of it so far."""
        running = self._open is not None
        left = () if running else self._executor.matcher.unused(self._executor.consumed)
        notes = () if running else self._executor.unused_responses()
        return judge(
            self.recording,
            self.policy,
            self._books,
            run_id=self.run_id,
            left=left,
            error=self._error,
            notes=notes,
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
        if self._used:
            raise SpanreelError("an execution runs once", "make another: spanreel.replaying(...)")
        with stack:
            stack.enter_context(scope.in_charge(fresh=self._own_run))
            self._used = True
            if not self.policy.goes_live or self.policy.overrides.crosses:
                stack.enter_context(_placeholder_keys(self.recording))
            if recorder.current() is None:
                stack.callback(activate.instrument(store=self._store).uninstrument)
            if recorder.current() is None:
                raise SpanreelError("a replay needs recording, which OTEL_SDK_DISABLED keeps off", "unset it")
            before = responder.install(self._executor)
            stack.callback(responder.install, before)
            if not self.policy.faithful:
                stack.enter_context(no_backoff())
            if self.policy.network == "deny" and not self.policy.resume:  # that goes on as the agent it is
                stack.enter_context(denied_network(self._executor.on_denied, _collector_ports(self._store)))
            if self._own_run:
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
        signal = self._books.signal or self._swallowed(error) or self._unfinished(None if finished else error)
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

    def _swallowed(self, error: BaseException | None) -> Signal | None:
        """A gate that the agent ran past, although nobody has decided."""
        if not self._books.pending or isinstance(error, Signal):
            return None
        return ApprovalPending(f"the run waits for a decision about {self._books.pending[0]}")

    def _unfinished(self, error: BaseException | None) -> Divergence | None:
        """Recorded calls that an agent left out although nothing stopped it."""
        if self.policy.on_miss != "raise":
            return None
        first = self.verdict.first_divergence
        return Divergence(first.text(), first.as_dict()) if first and error is None else None

    def _find_run(self) -> None:
        """Of an agent that made no call: the run it began, else the process's own, which is opened to be seen."""
        if self._books.run_id is None:
            root = invocation.latest_root
            own = otel_context.set_value(RUN_KEY, root.run_id, root.context) if root is not None else None
            self._books.context = own or process.process_context()

    def _tell(self) -> None:
        """Say in the run that it diverged, or is in doubt, for its root may have ended, or may end as if nothing had been."""
        recording, context = recorder.current(), self._books.context
        if recording is None or context is None:
            return
        in_doubt = isinstance(self._books.signal, DecisionNeeded)
        if in_doubt or self.verdict.verdict == "diverged":
            name, status = ("decision needed", "paused") if in_doubt else ("divergence", "diverged")
            said = {f"{names.OUTCOME}status": status}
            recording.end(recording.start(name, names.KIND_INTERNAL, said, context=context, outward=False))


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
    wanted = [KEYS.get(provider or "", ()) for provider in providers]
    added = [name for names in wanted for name in names if not any(one in os.environ for one in names)]
    os.environ.update(dict.fromkeys(added, PLACEHOLDER))
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
