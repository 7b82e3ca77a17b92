"""The model calls of a run as they were asked and answered, from whatever spans tell of them. Quiet.

Of one call all spans are read: what one emitter left out, another may have kept. Tool definitions that only the agent
above carries are its calls' too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from spanreel.replay import conversation
from spanreel.replay.spread import Said
from spanreel.wire import attributes as names
from spanreel.wire import conventions
from spanreel.wire.conventions.history import History
from spanreel.wire.records import Content, Record
from spanreel.wire.steps import MODEL_KINDS, ROOT_KINDS, failed

if TYPE_CHECKING:
    from spanreel.wire.grouping import Run, Step
    from spanreel.wire.records import Message
    from spanreel.wire.spans import Span


@dataclass(frozen=True)
class RecordedCall:
    """One step of a run, and everything its spans say.

    spans: of the step, the outermost first. attempts: those that are our exchanges, in order; the last is the answer.
    read: gives the content, which costs as much as the conversation is long.
    """

    step: Step
    spans: tuple[Span, ...]
    attempts: tuple[Span, ...]
    read: Callable[[], Content]

    @cached_property
    def content(self) -> Content:
        """What its spans say together; read when somebody looks."""
        return self.read()

    @property
    def number(self) -> int:
        """The step number."""
        return self.step.number

    @property
    def record(self) -> Record:
        """The facts of the call."""
        return self.step.record

    @property
    def of_model(self) -> bool:
        """Whether a model was called, and not a tool."""
        return self.record.kind in MODEL_KINDS

    @property
    def failed(self) -> bool:
        """Whether its answer was a failure."""
        return failed(self.record)

    @property
    def said(self) -> Said:
        """The recorded answer, as far as answers are compared."""
        if self.failed and not self.content.output:
            return Said(error=self.record.error_type or self.record.error_message or "error")
        return said(self.content.output)


def said(messages: Sequence[Message] | None) -> Said:
    """An answer, as far as answers are compared, from its GenAI messages."""
    asked = conversation.parts(messages, "tool_call")
    calls = tuple(
        (str(part.get("name") or ""), conversation.decoded(part.get("arguments"))) for part in asked
    )
    return Said(conversation.text(messages) or "", calls)


def calls_of(run: Run, spans: Sequence[Span]) -> list[RecordedCall]:
    """The steps of a run, each with its content.

    Args:
        run: the run, as `grouping.group` found it.
        spans: those of its trace; others do no harm.
    """
    return list(_Reading(run, spans).calls())


class _Reading:
    def __init__(self, run: Run, spans: Sequence[Span]) -> None:
        self.run = run
        self.spans: dict[str, Span] = {}
        for span in spans:
            if span.trace_id == run.trace_id and _wanted(self.spans.get(span.span_id), span):
                self.spans[span.span_id] = span
        self.records = {record.span_id: record for record in run.records}
        self.history = History()

    def calls(self) -> Iterator[RecordedCall]:
        for step in self.run.steps:
            attempts = self._those(step.attempts)
            members = self._those(tuple(dict.fromkeys((*step.members, *step.attempts))))
            yield RecordedCall(
                step, members, attempts, partial(self._content, step.record, attempts, members)
            )

    def _those(self, span_ids: Sequence[str]) -> tuple[Span, ...]:
        return tuple(self.spans[span_id] for span_id in span_ids if span_id in self.spans)

    def _content(self, record: Record, attempts: Sequence[Span], members: Sequence[Span]) -> Content:
        """The bytes of the last attempt before what anybody made of them."""
        best = [*reversed(attempts), *(span for span in members if span not in attempts)]
        content = conventions.union(
            conventions.content(span, self.records.get(span.span_id), self.history) for span in best
        )
        if content.tools or record.kind not in MODEL_KINDS:
            return content
        return replace(content, tools=self._tools_above(record))

    def _tools_above(self, record: Record) -> list[dict[str, Any]] | None:
        seen = {record.span_id}
        while (above := self.records.get(record.parent_span_id or "")) and above.span_id not in seen:
            seen.add(above.span_id)
            if above.kind in ROOT_KINDS and (span := self.spans.get(above.span_id)):
                return conventions.content(span, above).tools
            record = above
        return None


def _wanted(known: Span | None, span: Span) -> bool:
    """Of two spans of one id the ended one."""
    return known is None or bool(known.attributes.get(names.OPEN) and not span.attributes.get(names.OPEN))
