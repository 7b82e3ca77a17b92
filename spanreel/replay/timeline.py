"""The typed, read-only view of one run.

Values only: frozen pydantic models that know their JSON form. They are filled by `build`; nothing here
reads a span, opens a file or knows a clock. Durations are milliseconds, times RFC 3339 UTC, costs US
dollars as decimal strings, messages GenAI messages (`role`, `parts`). None means: not recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from pydantic import Field, PrivateAttr

from spanreel.replay.again import Again
from spanreel.replay.frozen import Frozen
from spanreel.replay.procedure import ReplayPlaybook

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spanreel.replay.compare import ReplayComparison
    from spanreel.wire.usage import Usage

Message: TypeAlias = dict[str, Any]
"""A GenAI message: {"role": …, "parts": [{"type": "text", "content": …}, …], "finish_reason"?: …}"""
Status: TypeAlias = Literal["completed", "error", "cancelled", "paused", "incomplete", "diverged"]
Source: TypeAlias = Literal["recorded", "live", "stub", "deny", "wire"]
GradeWord: TypeAlias = Literal["exact", "semantic", "view-only"]


class PathLike(Protocol):
    """A path; `os` stays outside of quiet modules."""

    def __fspath__(self) -> str: ...


class ReplayTokens(Frozen):
    """Token counts. `input_tokens` includes cache reads and writes, `output_tokens` includes reasoning."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None

    @classmethod
    def of(cls, usage: Usage) -> ReplayTokens:
        """The counts of a call, or of many added up."""
        known = [count for count in (usage.input, usage.output) if count is not None]
        return cls.made(
            input_tokens=usage.input,
            output_tokens=usage.output,
            total_tokens=sum(known) if known else None,
            reasoning_tokens=usage.reasoning,
            cache_read_tokens=usage.cache_read,
            cache_write_tokens=usage.cache_write,
        )

    def minus(self, other: ReplayTokens) -> ReplayTokens:
        """Class by class, self − other; None where either side did not report the class."""
        mine, theirs = self.model_dump(), other.model_dump()
        return ReplayTokens(
            **{
                name: None if count is None or theirs[name] is None else count - theirs[name]
                for name, count in mine.items()
            }
        )


class ToolCallRecord(Frozen):
    """One tool call.

    Attributes:
        tool_args: the arguments, normally an object; text where the model wrote something that is not JSON.
        result: what the tool gave back, as JSON; for `source="wire"` as the model saw it.
        error: the message of a call that failed, from its span's status.
        duration_ms: None for calls that no span timed.
        step: the step number, None for a call that is known only from the messages of the model.
        source: how a span of an execution was answered; `wire` for a call rebuilt from the messages.
    """

    tool_name: str
    tool_args: Any = None
    result: Any = None
    error: str | None = None
    duration_ms: float | None = None
    tool_call_id: str | None = None
    span_id: str | None = None
    step: int | None = None
    started_at: str | None = None
    safety: str | None = None
    source: Source | None = None


class ReplayStep(Frozen):
    """One model or tool call, its retries included.

    Attributes:
        number: from 1, by start time, the same in every command; None only for a call without a span.
        kind: llm, tool, embedding, retrieval, …
        system: the system instructions, where they differ from those of step `input_from`.
        input_messages: what this request added to that of step `input_from`: the first `input_shared`
            messages of that request came before. `Replay.input_of` puts the whole list together.
        tools: the tool definitions, where they differ from those of step `input_from`.
        attempts: how many HTTP attempts the call took, at least 1.
        agents: the names of the agents around it, outermost first.
        parent_step: the step that this one happened inside of, such as the tool that ran a sub-agent.
    """

    number: int | None
    kind: str
    name: str
    span_id: str | None = None
    parent_span_id: str | None = None
    parent_step: int | None = None
    agents: list[str] = Field(default_factory=list[str])
    started_at: str | None = None
    ended_at: str | None = None
    offset: float | None = None
    duration: float | None = None
    model: str | None = None
    response_model: str | None = None
    provider: str | None = None
    system: list[dict[str, Any]] | None = None
    input_from: int | None = None
    input_shared: int = 0
    input_messages: list[Message] | None = None
    output_messages: list[Message] | None = None
    tools: list[dict[str, Any]] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict[str, Any])
    tool: ToolCallRecord | None = None
    tokens: ReplayTokens = Field(default_factory=ReplayTokens)
    cost: str | None = None
    status: Literal["ok", "error", "open"] = "ok"
    error: str | None = None
    attempts: int = 1
    finish_reasons: list[str] = Field(default_factory=list[str])
    source: Source | None = None
    span_ids: list[str] = Field(default_factory=list[str])


class KnowledgeRetrieval(Frozen):
    """A search in a knowledge source; `documents` as the emitter recorded them."""

    name: str
    query: Any = None
    documents: Any = None
    documents_found: int | None = None
    duration_ms: float | None = None
    started_at: str | None = None
    span_id: str | None = None


class MemoryRecall(Frozen):
    """A read of the agent's memory."""

    name: str
    query: Any = None
    result: Any = None
    duration_ms: float | None = None
    started_at: str | None = None
    span_id: str | None = None


class Note(Frozen):
    """Something the agent wrote down on the way (`spanreel.note`)."""

    kind: str
    summary: str | None = None
    data: Any = None
    at: str | None = None
    span_id: str | None = None


class ReplayApproval(Frozen):
    """A gate that the run came to (`spanreel.await_approval`); `occurrence` counts those of one id, from 1."""

    id: str
    occurrence: int = 1
    status: Literal["pending", "approved", "rejected"]
    summary: str | None = None
    details: Any = None
    actor: Any = None
    reason: str | None = None
    requested_at: str | None = None
    decided_at: str | None = None
    span_id: str | None = None


class ReplaySegment(Frozen):
    """One execution of a run that was resumed; the run shows the steps of the last one, which holds them all."""

    number: int
    trace_id: str
    status: Status
    started_at: str | None = None
    ended_at: str | None = None


class Replay(Again, Frozen):
    """One run, rebuilt from its spans.

    Attributes:
        input: what the run was started with; for spans without it, the text of the first user message.
        content: the run's answer: its recorded output if that is text, else the last answer of the model.
        messages: the conversation as the last model call of the outermost agent saw it, and its answer.
        duration: milliseconds, None while the run is open.
        steps: model calls, tool calls and retrievals that have a span, in order of their numbers.
        tool_calls: those of the steps, and those that only the model's messages tell of, in order.
        tokens, cost: of the answers. spent_tokens, spent_cost: of those that were not served from a recording.
        source_run_id: the run that this one replays or forks. fork_step: the step of that run from which a fork went live.
        warnings: what is missing or doubtful in this view.
        playbook: which one it is an execution of, and the states that it went through.
        grade: which replay its spans allow, where that was asked for; grade_missing: the attributes that a better
            one needs, each once.
    """

    schema_: Literal["spanreel.replay.v1"] = Field(default="spanreel.replay.v1", alias="schema")
    run_id: str
    session_id: str | None = None
    trace_id: str
    alias: str | None = None
    agent_name: str | None = None
    model: str | None = None
    status: Status = "completed"
    error: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration: float | None = None
    input: Any = None
    content: str | None = None
    tokens: ReplayTokens = Field(default_factory=ReplayTokens)
    cost: str | None = None
    spent_tokens: ReplayTokens = Field(default_factory=ReplayTokens)
    spent_cost: str | None = None
    steps: list[ReplayStep] = Field(default_factory=list[ReplayStep])
    tool_calls: list[ToolCallRecord] = Field(default_factory=list[ToolCallRecord])
    messages: list[Message] = Field(default_factory=list[Message])
    knowledge_retrievals: list[KnowledgeRetrieval] = Field(default_factory=list[KnowledgeRetrieval])
    memory_recalls: list[MemoryRecall] = Field(default_factory=list[MemoryRecall])
    notes: list[Note] = Field(default_factory=list[Note])
    approvals: list[ReplayApproval] = Field(default_factory=list[ReplayApproval])
    segments: list[ReplaySegment] = Field(default_factory=list[ReplaySegment])
    outcome: dict[str, Any] = Field(default_factory=dict[str, Any])
    tags: dict[str, Any] = Field(default_factory=dict[str, Any])
    metadata: dict[str, Any] = Field(default_factory=dict[str, Any])
    experiment: dict[str, Any] = Field(default_factory=dict[str, Any])
    source_run_id: str | None = None
    fork_step: int | None = None
    user_id: str | None = None
    playbook: ReplayPlaybook | None = None
    warnings: list[str] = Field(default_factory=list[str])
    grade: GradeWord | None = None
    grade_missing: list[str] = Field(default_factory=list[str])
    _latest_input: tuple[int | None, list[Message]] = PrivateAttr(default=(None, []))

    @classmethod
    def from_spans(cls, spans: Iterable[Any], run_id: str | None = None) -> Replay:
        """The run that these spans hold.

        Args:
            spans: wire spans, OpenTelemetry SDK `ReadableSpan`s, or OTLP/JSON objects (spans or whole requests).
            run_id: which run; without it the last one, and a warning if there are others.

        Raises:
            UnknownRun: there is no such run among the spans.
            BadInput: something in the list is not a span.
        """
        from spanreel.replay.load import from_spans

        return from_spans(spans, run_id)

    @classmethod
    def from_file(cls, path: str | PathLike, run_id: str | None = None) -> Replay:
        """The run that an OTLP file holds.

        Raises:
            UnknownRun: there is no such run in the file.
            BadInput: the file cannot be read as OTLP; names the line.
        """
        from spanreel.replay.load import from_file

        return from_file(path, run_id)

    def compare(self, other: Replay) -> ReplayComparison:
        """What changed from this run to the other one; differences are other − self."""
        from spanreel.replay.compare import compare

        return compare(self, other)

    def step(self, number: int) -> ReplayStep:
        """The step of that number.

        Raises:
            LookupError: the run has no such step.
        """
        if 0 < number <= len(self.steps) and self.steps[number - 1].number == number:  # as runs are numbered
            return self.steps[number - 1]
        for step in self.steps:
            if step.number == number:
                return step
        raise LookupError(f"run {self.run_id} has no step {number}")

    def input_of(self, number: int) -> list[Message]:
        """The whole message list that the request of this step carried, system instructions left out."""
        step = self.step(number)
        found = list(step.input_messages or ())
        shared = step.input_shared
        known, told = self._latest_input  # most often the request that this one goes on from
        tails = [found]
        while step.input_from is not None and shared:
            if step.input_from == known:
                tails.append(told[:shared])
                break
            step = self.step(step.input_from)
            own = step.input_messages or []
            tails.append(own[: max(0, shared - step.input_shared)])
            shared = min(shared, step.input_shared)
        if len(tails) > 1:
            found = tails.pop()
            for tail in reversed(tails):
                found += tail
        self._latest_input = (number, found)
        return found.copy()

    def _repr_html_(self) -> str:
        from spanreel.replay.report.html import replay_html

        return replay_html(self)


class RunSummary(Frozen):
    """One line of the run list. `steps`, `model_calls` and `tool_calls` count calls that have a span."""

    run_id: str
    trace_id: str
    alias: str | None = None
    session_id: str | None = None
    agent_name: str | None = None
    status: Status = "completed"
    model: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    duration: float | None = None
    tokens: ReplayTokens = Field(default_factory=ReplayTokens)
    cost: str | None = None
    steps: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    error: str | None = None
    source_run_id: str | None = None
    warnings: list[str] = Field(default_factory=list[str])


class RunList(Frozen):
    """The runs of a store, newest first."""

    schema_: Literal["spanreel.runs.v1"] = Field(default="spanreel.runs.v1", alias="schema")
    runs: list[RunSummary] = Field(default_factory=list[RunSummary])
