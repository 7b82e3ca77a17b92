"""A recorded answer beside the one that the same call is given now: what differs, as values.

Nothing is asked here and nothing is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from pydantic import Field

from spanreel.replay import pricing
from spanreel.replay.calls import RecordedCall, said
from spanreel.replay.moments import milliseconds
from spanreel.replay.spread import Said, calls_apart
from spanreel.replay.timeline import Frozen, GradeWord, ReplayTokens
from spanreel.replay.wording import marked, word_diff
from spanreel.wire.differences import differences

if TYPE_CHECKING:
    from spanreel.replay.asked import Asked
    from spanreel.replay.asking import Given

Word: TypeAlias = Literal["same", "reworded", "different tool calls", "answered", "error"]
VERDICTS: Final[tuple[Word, ...]] = ("same", "reworded", "different tool calls", "answered", "error")


class Spent(Frozen):
    """What live model calls used. Tokens as providers count them; cost in USD as a decimal string, None if unknown."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: str | None = None


class AskedTool(Frozen):
    """A tool that an answer asks for."""

    name: str
    arguments: Any = None


class AnswerFacts(Frozen):
    """An answer of a model; duration in milliseconds, cost in USD as a decimal string."""

    model: str | None = None
    dialect: str | None = None
    text: str = ""
    tool_calls: list[AskedTool] = Field(default_factory=list[AskedTool])
    finish_reasons: list[str] = Field(default_factory=list[str])
    tokens: ReplayTokens = Field(default_factory=ReplayTokens)
    cost: str | None = None
    duration: float | None = None
    error: str | None = None


class ToolChange(Frozen):
    """A tool call that only one of the answers has, or that has other arguments; paths: where those differ."""

    relation: Literal["added", "removed", "changed"]
    name: str
    recorded: Any = None
    given: Any = None
    paths: list[str] = Field(default_factory=list[str])


class ResentCall(Frozen):
    """A recorded model call, and what the same request, or the changed one, is answered now.

    Attributes:
        verdict: same; reworded: other words or another end; different tool calls; answered: the recorded call had
            failed, this one did not; error: this one failed.
        text_diff: the words, `[-recorded-]{+given+}`; None where they are equal.
        grade: exact where the recorded bytes were sent, semantic where the request was rebuilt.
        span_id: of the new call, source_span_id: of the recorded one.
    """

    step: int
    verdict: Word
    grade: GradeWord
    source_span_id: str
    span_id: str | None = None
    recorded: AnswerFacts
    given: AnswerFacts
    text_diff: str | None = None
    tool_changes: list[ToolChange] = Field(default_factory=list[ToolChange])
    notes: list[str] = Field(default_factory=list[str])


class NotSent(Frozen):
    """A recorded model call that was not asked again."""

    step: int
    why: str


class Resent(Frozen):
    """What became of a call-level replay.

    Attributes:
        run_id: the run that the new calls are recorded as.
        grade: which replay the source run allows.
        verdicts: how many calls there are of each.
        stopped: which budget was spent.
        spent: what the calls used; None if there were none.
    """

    schema_: Literal["spanreel.resent.v1"] = Field(default="spanreel.resent.v1", alias="schema")
    run_id: str | None
    source_run_id: str
    grade: GradeWord
    calls: list[ResentCall] = Field(default_factory=list[ResentCall])
    not_sent: list[NotSent] = Field(default_factory=list[NotSent])
    verdicts: dict[str, int] = Field(default_factory=dict[str, int])
    stopped: str | None = None
    spent: Spent | None = None

    @property
    def first_difference(self) -> ResentCall | None:
        """The first call that is not answered as it was."""
        return next((one for one in self.calls if one.verdict != "same"), None)

    @property
    def exit_code(self) -> int:
        """0 where every call was answered; 1 for one that failed, and for a spent budget."""
        return 1 if self.stopped or self.verdicts.get("error") else 0


def compared(one: Asked, given: Given) -> ResentCall:
    """A recorded answer beside the new one."""
    before, after = one.call.said, said_of(given)
    recorded, now = recorded_facts(one.call), given_facts(given)
    return ResentCall(
        step=one.call.number,
        verdict=_verdict(before, after, recorded, now),
        grade=one.grade,
        source_span_id=one.call.record.span_id,
        span_id=given.span_id,
        recorded=recorded,
        given=now,
        text_diff=marked(word_diff(before.text, after.text)) if before.text != after.text else None,
        tool_changes=list(tool_changes(before.calls, after.calls)),
        notes=list(one.notes),
    )


def said_of(given: Given) -> Said:
    """The new answer, as far as answers are compared."""
    return Said(error=given.error) if given.error is not None else said(given.call.content.output)


def _verdict(before: Said, after: Said, recorded: AnswerFacts, given: AnswerFacts) -> Word:
    if after.error is not None:
        return "error"
    if before.error is not None:
        return "answered"
    if (before.calls or after.calls) and calls_apart(before.calls, after.calls):
        return "different tool calls"
    ended_alike = not recorded.finish_reasons or recorded.finish_reasons == given.finish_reasons
    return "same" if before.text.strip() == after.text.strip() and ended_alike else "reworded"


def recorded_facts(call: RecordedCall) -> AnswerFacts:
    """What the recording says of an answer."""
    record, spoken = call.record, call.said
    return AnswerFacts(
        model=record.model or record.response_model,
        dialect=record.dialect,
        text=spoken.text,
        tool_calls=[AskedTool(name=name, arguments=arguments) for name, arguments in spoken.calls],
        finish_reasons=list(record.finish_reasons),
        tokens=ReplayTokens.of(record.usage),
        cost=pricing.reported(record.cost) or pricing.price(record),
        duration=milliseconds(record.start_ns, record.end_ns),
        error=(record.error_message or spoken.error) if spoken.error else None,
    )


def given_facts(given: Given) -> AnswerFacts:
    """What the provider said now."""
    spoken = said_of(given)
    reasons = [
        str(one["finish_reason"]) for one in given.call.content.output or () if one.get("finish_reason")
    ]
    return AnswerFacts(
        model=given.model,
        dialect=given.dialect,
        text=spoken.text,
        tool_calls=[AskedTool(name=name, arguments=arguments) for name, arguments in spoken.calls],
        finish_reasons=["tool_call"] if spoken.calls and reasons in ([], ["stop"]) else reasons,
        tokens=ReplayTokens.of(given.call.usage),
        cost=given.cost,
        duration=round(given.seconds * 1000, 3),
        error=given.error,
    )


def tool_changes(before: Sequence[tuple[str, Any]], after: Sequence[tuple[str, Any]]) -> Iterator[ToolChange]:
    """Calls that only one side makes; of one tool, those left over are paired in order."""
    left, right = list(before), list(after)
    for one in before:
        if one in right:
            right.remove(one)
            left.remove(one)
    for name, arguments in left:
        other = next((place for place, (named, _) in enumerate(right) if named == name), None)
        if other is None:
            yield ToolChange(relation="removed", name=name, recorded=arguments)
        else:
            _, now = right.pop(other)
            paths = [path for path, _, _ in differences(arguments, now)]
            yield ToolChange(relation="changed", name=name, recorded=arguments, given=now, paths=paths)
    for name, arguments in right:
        yield ToolChange(relation="added", name=name, given=arguments)
