"""Spans of a run -> Replay. Quiet: what a span means is `wire.conventions`', what a step is `wire.grouping`'s.

Step numbers are taken from the grouping and never made here, so that every command prints the same ones.
Tool calls that only the model's messages tell of are listed without a number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from spanreel.replay import conversation
from spanreel.replay.facts import run_facts
from spanreel.replay.gates import Gate, gates
from spanreel.replay.moments import milliseconds, timestamp
from spanreel.replay.pricing import reported, total
from spanreel.replay.procedure import procedure
from spanreel.replay.timeline import (
    KnowledgeRetrieval,
    MemoryRecall,
    Message,
    Replay,
    ReplayApproval,
    ReplaySegment,
    ReplayStep,
    ReplayTokens,
    Source,
    Status,
    ToolCallRecord,
)
from spanreel.wire import conventions
from spanreel.wire.conventions.history import History
from spanreel.wire.records import Content, Record
from spanreel.wire.steps import MODEL_KINDS, failed
from spanreel.wire.usage import Usage

if TYPE_CHECKING:
    from spanreel.wire.grouping import Run, Step
    from spanreel.wire.segments import Segment
    from spanreel.wire.spans import Span

_NO_TOKENS = ReplayTokens.of(Usage())
SOURCES = ("recorded", "live", "stub", "deny")

Price = Callable[[Record], "str | None"]
"""What a model call costs, in US dollars as a decimal string; None when that is not known."""


def build(run: Run, spans: Sequence[Span], price: Price | None = None) -> Replay:
    """The typed view of a run.

    Args:
        run: the run, as `grouping.group` found it.
        spans: the spans of its trace; those of other runs in the trace are passed over.
        price: prices calls whose emitter reported no cost; None leaves them without.
    """
    return _Builder(run, spans, price).replay()


@dataclass(slots=True)
class _Draft:
    """A step under way: its record, its content, and where it stands in the tree."""

    step: Step
    content: Content
    agents: list[str]
    parent_step: int | None
    addition: conversation.Addition | None = None
    tap: conversation.Tapped | None = None


class _Builder:
    def __init__(self, run: Run, spans: Sequence[Span], price: Price | None) -> None:
        self.run, self.price = run, price
        self.history = History(raw=False)
        self.spans = {span.span_id: span for span in spans if span.trace_id == run.trace_id}
        self.records = {record.span_id: record for record in run.records}
        self.step_of = {
            span_id: step.number for step in run.steps for span_id in (*step.members, *step.attempts)
        }
        self.drafts = [self._draft(step) for step in sorted(run.steps, key=lambda step: step.number)]
        self.models = [draft for draft in self.drafts if draft.step.record.kind == "llm"]
        contents = [draft.content for draft in self.models]
        added = list(conversation.additions(contents))
        for draft, addition in zip(self.models, added, strict=True):
            draft.addition = addition
        taps = [self._tap(draft) for draft in self.drafts if draft.step.record.kind == "tool"]
        self.traffic = conversation.tool_traffic(contents, added, taps)

    def replay(self) -> Replay:
        run = self.run
        steps = [self._step(draft) for draft in self.drafts]
        main = self._main()
        facts = run_facts(run, self.spans, self._read)
        answer = conversation.text(main.content.output) if main else None
        return Replay(
            run_id=run.run_id,
            session_id=run.session,
            trace_id=run.trace_id,
            alias=run.alias,
            agent_name=run.agent_name,
            model=run.model,
            status=cast("Status", run.status),
            error=run.error,
            started_at=timestamp(run.started_ns),
            ended_at=None if run.open else timestamp(run.ended_ns),
            duration=None if run.open else milliseconds(run.started_ns, run.ended_ns),
            input=facts.input if facts.input is not None else self._first_words(),
            content=facts.words if facts.words is not None else answer if answer is not None else facts.text,
            tokens=ReplayTokens.of(run.usage),
            cost=total([step.cost for step in steps]) or reported(run.cost),
            spent_tokens=_spent(run),
            spent_cost=total([step.cost for step in steps if step.source in (None, "live")]),
            steps=steps,
            tool_calls=self._tool_calls(steps),
            messages=_transcript(main.content) if main else facts.messages,
            knowledge_retrievals=[
                self._retrieval(record) for record in run.records if record.kind == "retrieval"
            ],
            memory_recalls=[self._recall(record) for record in run.records if record.kind == "memory"],
            notes=facts.notes,
            approvals=self._approvals(),
            segments=[_segment(one) for one in run.segments],
            outcome=facts.outcome,
            tags=facts.tags,
            metadata=facts.metadata,
            experiment=facts.experiment,
            source_run_id=facts.source_run_id,
            fork_step=facts.fork_step,
            user_id=run.user,
            playbook=procedure(run, self.spans),
            warnings=self._warnings(steps),
        )

    # -- one step ---------------------------------------------------------------

    def _draft(self, step: Step) -> _Draft:
        agents: list[str] = []
        parent_step: int | None = None
        for record in self._ancestors(step.record):
            if record.kind in ("agent", "workflow"):
                name = record.agent or record.name
                agents += [] if agents and agents[-1] == name else [name]
            number = self.step_of.get(record.span_id)
            if parent_step is None and number is not None and number != step.number:
                parent_step = number
        return _Draft(step, self._content(step), agents[::-1], parent_step)

    def _ancestors(self, record: Record) -> list[Record]:
        found: list[Record] = []
        seen = {record.span_id}
        while (parent := self.records.get(record.parent_span_id or "")) and parent.span_id not in seen:
            seen.add(parent.span_id)
            found.append(parent)
            record = parent
        return found

    def _content(self, step: Step) -> Content:
        """What the step's spans say together; the bytes of the last attempt before what an SDK made of them."""
        order = [
            *reversed(step.attempts),
            *(member for member in step.members if member not in step.attempts),
        ]
        told: list[Content] = []
        for span_id in order:
            if span := self.spans.get(span_id):
                told.append(self._read(span, self.records.get(span_id)))
                if told[-1].input is not None and told[-1].output is not None:
                    break
        return told[0] if len(told) == 1 else conventions.union(told)

    def _tap(self, draft: _Draft) -> conversation.Tapped:
        record = draft.step.record
        draft.tap = conversation.Tapped(record.tool_call_id, record.tool_name or record.name)
        return draft.tap

    def _step(self, draft: _Draft) -> ReplayStep:
        step, record, content, addition = draft.step, draft.step.record, draft.content, draft.addition
        base = self.models[addition.base] if addition and addition.base is not None else None
        failure = _failure(record)
        started_at = timestamp(record.start_ns)
        duration = milliseconds(record.start_ns, record.end_ns)
        return ReplayStep.made(
            number=step.number,
            kind=record.kind,
            name=record.tool_name or record.name,
            span_id=record.span_id,
            parent_span_id=record.parent_span_id,
            parent_step=draft.parent_step,
            agents=draft.agents,
            started_at=started_at,
            ended_at=timestamp(record.end_ns),
            offset=milliseconds(self.run.started_ns, record.start_ns),
            duration=duration,
            model=record.model or record.response_model,
            response_model=record.response_model,
            provider=record.provider,
            system=_changed(content.system, base.content.system if base else None),
            input_from=base.step.number if base else None,
            input_shared=addition.shared if addition else 0,
            input_messages=addition.messages if addition else content.input,
            output_messages=content.output,
            tools=_changed(content.tools, base.content.tools if base else None),
            parameters=content.parameters,
            tool=_tool(draft, started_at, duration, failure) if record.kind == "tool" else None,
            tokens=ReplayTokens.of(record.usage) if record.usage else _NO_TOKENS,
            cost=self._cost(record),
            status="open" if record.open else "error" if failure else "ok",
            error=failure,
            attempts=max(1, len(step.attempts)),
            finish_reasons=list(record.finish_reasons),
            source=_source(record),
            span_ids=list(dict.fromkeys((*step.members, *step.attempts))),
        )

    def _cost(self, record: Record) -> str | None:
        """What the emitter reported, else what the price list says; only model calls are priced."""
        told = reported(record.cost)
        if told is not None or self.price is None or record.kind not in MODEL_KINDS:
            return told
        return self.price(record) if record.usage else None

    # -- the whole run ----------------------------------------------------------

    def _tool_calls(self, steps: Sequence[ReplayStep]) -> list[ToolCallRecord]:
        """In the order of the steps; a call without a span follows the model call that asked for it."""
        numbers = {draft.step.number: position for position, draft in enumerate(self.models)}
        untapped: defaultdict[int, list[ToolCallRecord]] = defaultdict(list)
        for request in self.traffic.untapped:
            untapped[request.position].append(_untapped(request))
        calls: list[ToolCallRecord] = []
        for step in steps:
            if step.tool:
                calls.append(step.tool)
            elif step.number in numbers:
                calls += untapped.get(numbers[step.number], ())
        return calls

    def _main(self) -> _Draft | None:
        """The last model call of the outermost agent: it saw the conversation of the run."""
        spoken = [draft for draft in self.models if draft.content.input or draft.content.output]
        depth = min((len(draft.agents) for draft in spoken), default=0)
        return next((draft for draft in reversed(spoken) if len(draft.agents) == depth), None)

    def _first_words(self) -> Any:
        """What the first model call was asked; for runs whose root does not tell what they were given."""
        told = (conversation.asked(draft.content.input) for draft in self.models)
        return next((words for words in told if words is not None), None)

    def _retrieval(self, record: Record) -> KnowledgeRetrieval:
        content = self._of(record)
        documents = conversation.decoded(content.result)
        return KnowledgeRetrieval.model_construct(
            name=record.name,
            query=content.arguments if content.arguments is not None else conversation.text(content.input),
            documents=documents,
            documents_found=len(documents) if isinstance(documents, list) else None,
            duration_ms=milliseconds(record.start_ns, record.end_ns),
            started_at=timestamp(record.start_ns),
            span_id=record.span_id,
        )

    def _recall(self, record: Record) -> MemoryRecall:
        content = self._of(record)
        return MemoryRecall.model_construct(
            name=record.name,
            query=content.arguments if content.arguments is not None else conversation.text(content.input),
            result=conversation.decoded(content.result),
            duration_ms=milliseconds(record.start_ns, record.end_ns),
            started_at=timestamp(record.start_ns),
            span_id=record.span_id,
        )

    def _approvals(self) -> list[ReplayApproval]:
        own = [span for record in self.run.records if (span := self.spans.get(record.span_id))]
        return [_approval(gate) for gate in gates([own])]

    def _of(self, record: Record) -> Content:
        span = self.spans.get(record.span_id)
        return self._read(span, record) if span else Content()

    def _read(self, span: Span, record: Record | None) -> Content:
        return conventions.content(span, record, self.history)

    def _warnings(self, steps: Sequence[ReplayStep]) -> list[str]:
        found = [f"capture incomplete: {reason}" for reason in self.run.incomplete]
        if untapped := len(self.traffic.untapped):
            calls = (
                "1 tool call has no span and is"
                if untapped == 1
                else f"{untapped} tool calls have no span and are"
            )
            found.append(f"{calls} known from the messages only")
        costed = [step for step in steps if step.tokens.total_tokens]
        unknown = sorted({step.model or "unknown model" for step in costed if step.cost is None})
        if unknown and any(step.cost is not None for step in costed):
            found.append(f"cost leaves out calls to {', '.join(unknown)}: no price is known")
        return found


def _tool(
    draft: _Draft, started_at: str | None, duration: float | None, failure: str | None
) -> ToolCallRecord:
    """The tool call of a step; what its span does not say is taken from the model's messages."""
    record, content = draft.step.record, draft.content
    request = draft.tap.request if draft.tap else None
    arguments = conversation.decoded(content.arguments)
    if request and isinstance(request.arguments, dict) and not isinstance(arguments, dict):
        arguments = request.arguments
    return ToolCallRecord.made(
        tool_name=record.tool_name or record.name,
        tool_args=arguments,
        result=request.response
        if content.result is None and request and request.answered
        else content.result,
        error=failure,
        duration_ms=duration,
        tool_call_id=record.tool_call_id or (request.call_id if request else None),
        span_id=record.span_id,
        step=draft.step.number,
        started_at=started_at,
        safety=record.safety,
        source=_source(record),
    )


def _approval(gate: Gate) -> ReplayApproval:
    decision = gate.decision
    return ReplayApproval(
        id=gate.id,
        occurrence=gate.occurrence,
        status=cast("Any", gate.status),
        summary=gate.summary,
        details=gate.details,
        actor=decision.actor if decision is not None else None,
        reason=decision.reason if decision is not None else None,
        requested_at=timestamp(gate.span.start_ns),
        decided_at=timestamp(gate.decided_ns) if decision is not None else None,
        span_id=gate.span.span_id,
    )


def _segment(one: Segment) -> ReplaySegment:
    return ReplaySegment(
        number=one.number,
        trace_id=one.trace_id,
        status=cast("Status", one.status),
        started_at=timestamp(one.started_ns),
        ended_at=None if one.open else timestamp(one.ended_ns),
    )


def _source(record: Record) -> Source | None:
    return cast("Source", record.source) if record.source in SOURCES else None


def _failure(record: Record) -> str | None:
    """Why the call failed: the message, else the type, else that it did; None when it did not."""
    if not failed(record):
        return None
    status = f"HTTP {record.http_status}" if record.http_status else "error"
    return record.error_message or record.error_type or status


def _untapped(request: conversation.Request) -> ToolCallRecord:
    return ToolCallRecord.made(
        tool_name=request.name,
        tool_args=request.arguments,
        result=request.response,
        tool_call_id=request.call_id,
        source="wire",
        error=None,
        duration_ms=None,
        span_id=None,
        step=None,
        started_at=None,
        safety=None,
    )


def _transcript(content: Content) -> list[Message]:
    system: list[Message] = [{"role": "system", "parts": content.system}] if content.system else []
    return system + (content.input or []) + (content.output or [])


def _changed(
    value: list[dict[str, Any]] | None, base: list[dict[str, Any]] | None
) -> list[dict[str, Any]] | None:
    """The value where it differs from the base; an empty list where the base had one and this request has none."""
    if value == base:
        return None
    return [] if value is None else value


def _spent(run: Run) -> ReplayTokens:
    """What its model calls used that really happened: none of what was served."""
    happened = (step.record for step in run.steps if step.record.source in (None, "live"))
    return ReplayTokens.of(sum((one.usage for one in happened if one.kind in MODEL_KINDS), Usage()))
