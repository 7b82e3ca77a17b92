"""A run's effects in order, ready to be served again. Values only: nothing here opens, waits or guesses.

A model effect is one logical call with the answers it got. A retry is folded away only where the request itself said
that it was one (the SDK's own counter): then the agent never saw the failure, and the success alone is the answer. A
call that failed to the end answers as many retries as it did. Where nobody counted, each attempt is an effect of its
own, in order, since the agent may have seen each.

An effect that happened inside a tool (`within`) is not asked for again when that tool is served.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

from spanreel.exceptions import NotReplayable
from spanreel.replay import answer
from spanreel.replay.answer import REDACTED, Answer, body_bytes
from spanreel.replay.gates import decided, gates
from spanreel.wire import attributes as names
from spanreel.wire import conventions, recognise
from spanreel.wire.grouping import Run, group
from spanreel.wire.spans import Span, Value
from spanreel.wire.steps import MODEL_KINDS, ROOT_KINDS

if TYPE_CHECKING:
    from spanreel.instrument.responder import Decision

_UNUSABLE = ("hashes", "metadata", "none")


@dataclass(frozen=True, slots=True)
class ModelEffect:
    """One model call, as the agent's SDK asked for it and got it, whatever an override sent elsewhere.

    number: its step in its run; index: its place in the recording; within: tool spans around it.
    start_ns, end_ns: from the first attempt to the end of the last, Unix nanoseconds; end_ns 0: it never ended.
    """

    index: int
    number: int
    run_id: str
    span_id: str
    dialect: str
    path: str
    body: bytes
    answers: tuple[Answer, ...]
    model: str | None = None
    provider: str | None = None
    lane: str = "0"
    within: tuple[str, ...] = ()
    start_ns: int = 0
    end_ns: int = 0

    @property
    def title(self) -> str:
        """As people name it."""
        return f"{self.dialect} {self.model}" if self.model else self.dialect


@dataclass(frozen=True, slots=True)
class ToolEffect:
    """One tool call.

    encoded: what the caller got, as the codec's JSON; None where the recording has none.
    fidelity: exact, text or opaque (the value itself could not be kept).
    open: it began and did not come to its end, so nobody knows whether it happened.
    idempotent: it carries a key by which the other side knows a repetition. contract: of the tool's code.
    start_ns, end_ns: Unix nanoseconds; end_ns 0: it never ended.
    """

    index: int
    number: int
    run_id: str
    span_id: str
    name: str
    arguments: Any
    call_id: str | None = None
    encoded: str | None = None
    fidelity: str = "exact"
    safety: str = "write"
    open: bool = False
    redacted: bool = False
    lane: str = "0"
    within: tuple[str, ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    idempotent: bool = False
    contract: str | None = None

    @property
    def title(self) -> str:
        """As people name it."""
        return f"tool {self.name}"


Effect: TypeAlias = "ModelEffect | ToolEffect"


@dataclass(frozen=True, slots=True)
class Recording:
    """The effects of one run, or of all runs of one process.

    run_id: the run that was asked for. redacted: secrets were blanked in it, so what is compared must be blanked too.
    errors: the exceptions that ended its runs, by type, and the process, as ``exit code 3``.
    warnings: what could not be taken in, in words. decisions: about its gates, by approval id, in order.
    started_ns: when the run began, Unix nanoseconds; 0: not known. uuid_seed: of the uuid4 values that it drew, if kept.
    name: what means it in a command; empty: its run_id does. command: what follows the interpreter's name; named: only now.
    """

    run_id: str
    effects: tuple[Effect, ...]
    redacted: bool = False
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    agent_name: str = ""
    trace_id: str = ""
    root_span_id: str = ""
    started_ns: int = 0
    uuid_seed: str | None = None
    decisions: Mapping[str, tuple[Decision, ...]] = field(default_factory=dict[str, "tuple[Decision, ...]"])
    name: str = ""
    command: tuple[str, ...] = ()
    named: bool = False

    @classmethod
    def from_spans(
        cls,
        spans: Iterable[Span],
        run_id: str | None = None,
        *,
        also: Collection[str] = (),
        faithful: bool = False,
        may_be_empty: bool = False,
    ) -> Recording:
        """The recording of a run, from its spans.

        Args:
            spans: those of its trace; others do no harm.
            run_id: the run; default: the only one, or the last.
            also: ids of other runs whose effects belong to it, such as those of the same process.
            faithful: keep failed attempts that the SDK retried by itself.
            may_be_empty: a run that has made no call yet will do.

        Raises:
            NotReplayable: naming what the spans lack.
        """
        by_id = {(span.trace_id, span.span_id): span for span in _latest(spans)}
        runs = group(conventions.read(span) for span in by_id.values())
        run = next((one for one in reversed(runs) if run_id in (None, one.run_id)), None)
        if run is None:
            raise NotReplayable(
                f"there is no run {run_id or ''} in these spans".replace("  ", " "), "see `spanreel runs`"
            )
        chosen = [one for one in runs if one is run or one.run_id in also]
        _check_level(run, by_id[run.trace_id, run.root.span_id])
        found = [effect for one in chosen for effect in _Reading(one, by_id, faithful).effects()]
        warnings = tuple(warning for one in chosen for warning in _lacking(one, by_id))
        if not found and not (may_be_empty and not any(one.steps for one in chosen)):
            raise NotReplayable(
                f"run {run.run_id} cannot be replayed: {_why_nothing(run, by_id)}",
                f"`spanreel show {run.run_id}` says what it allows; its model calls can be asked again by --calls",
            )
        found.sort(key=lambda pair: pair[0])
        effects = tuple(_placed(index, effect) for index, (_, effect) in enumerate(found))
        redacted = any(span.attributes.get(names.REDACTED) for span in by_id.values())
        errors = tuple(error for one in chosen for error in _errors(one, by_id))
        top = by_id[run.trace_id, run.root.span_id].attributes
        seed, command = top.get(names.RECORDING_SEED), top.get(names.PROCESS_ARGS)
        return cls(
            run.run_id, effects, redacted, errors, warnings, run.agent_name, run.trace_id, run.root.span_id,
            started_ns=run.started_ns,
            uuid_seed=str(seed) if seed else None,
            command=tuple(map(str, command)) if isinstance(command, (list, tuple)) else (),
            decisions=decided(
                gates([[by_id[one.trace_id, record.span_id] for record in one.records]]) for one in chosen
            ),
        )  # fmt: skip

    @property
    def overlapped(self) -> bool:
        """Whether two of its effects ran at the same time; what happened inside a tool counts as that tool."""
        latest = 0.0
        for effect in sorted(self.effects, key=lambda one: one.start_ns):
            if effect.within:
                continue
            if effect.start_ns < latest:
                return True
            latest = max(latest, effect.end_ns or math.inf)
        return False

    def inside(self, span_id: str) -> Iterator[int]:
        """Places of the effects that happened inside the tool call of this span."""
        return (effect.index for effect in self.effects if span_id in effect.within)


@dataclass(frozen=True, slots=True)
class _Reading:
    """The effects of one run, each with its time."""

    run: Run
    spans: Mapping[tuple[str, str], Span]
    faithful: bool

    def effects(self) -> Iterator[tuple[tuple[int, str], Effect]]:
        for step in self.run.steps:
            attempts = [self._span(span_id) for span_id in step.attempts]
            for call in _calls([span for span in attempts if names.WIRE_DIALECT in span.attributes]):
                yield (call[0].start_ns, call[0].span_id), self._model(step.number, call)
            for span_id in step.members:
                span = self._span(span_id)
                if _is_our_tool(span):
                    yield (span.start_ns, span.span_id), self._tool(step.number, span)

    def _span(self, span_id: str) -> Span:
        return self.spans[self.run.trace_id, span_id]

    def _model(self, number: int, attempts: Sequence[Span]) -> ModelEffect:
        first = attempts[0]
        _check_level(self.run, first)
        said = first.attributes
        body = body_bytes(said.get(names.WIRE_ASKED_BODY))
        if body is None and names.WIRE_REQUEST_BASE not in said:
            body = body_bytes(said.get(names.HTTP_REQUEST_BODY))
        if body is None:
            raise _missing(self.run, first, names.HTTP_REQUEST_BODY)
        dialect = str(said.get(names.WIRE_ASKED_DIALECT, said[names.WIRE_DIALECT]))
        url = str(said.get(names.WIRE_ASKED_URL, said.get(names.URL_FULL, "")))
        answers = tuple(self._answer(dialect, body, span) for span in attempts)
        if not self.faithful and _succeeded(answers[-1]):
            answers = answers[-1:]
        return ModelEffect(
            index=0,
            number=number,
            run_id=self.run.run_id,
            span_id=first.span_id,
            dialect=dialect,
            path=recognise.path_of(url),
            body=body,
            answers=answers,
            model=recognise.request_model(body, url),
            provider=_provider(dialect, url),
            lane=str(said.get(names.WIRE_LANE, "0")),
            within=tuple(self._tools_around(first)),
            start_ns=first.start_ns,
            end_ns=attempts[-1].end_ns or 0,
        )

    def _answer(self, dialect: str, request: bytes, span: Span) -> Answer:
        if answer.lacks_body(span):
            raise _missing(self.run, span, names.HTTP_RESPONSE_BODY)
        return answer.of_span(dialect, request, span)

    def _tool(self, number: int, span: Span) -> ToolEffect:
        _check_level(self.run, span)
        said = span.attributes
        encoded = said.get(names.TOOL_RESULT)
        opened = bool(said.get(names.OPEN)) and not span.end_ns
        if encoded is None and not opened and said.get(names.TOOL_FIDELITY) != "opaque":
            raise _missing(self.run, span, names.TOOL_RESULT)
        stopped = encoded is None and span.status == names.STATUS_ERROR  # by Ctrl-C, in the middle of it
        text = encoded if isinstance(encoded, str) else None
        call_id, contract = said.get(names.TOOL_CALL_ID), said.get(names.CONTRACT)
        return ToolEffect(
            index=0,
            number=number,
            run_id=self.run.run_id,
            span_id=span.span_id,
            name=str(said.get(names.TOOL_NAME, "")),
            arguments=_json(said.get(names.TOOL_CALL_ARGUMENTS)),
            call_id=call_id if isinstance(call_id, str) and call_id else None,
            encoded=text,
            fidelity=str(said.get(names.TOOL_FIDELITY, "exact")),
            safety=str(said.get(names.TOOL_SAFETY, "write")),
            open=opened or stopped,
            redacted=text is not None and REDACTED.decode() in text,
            lane=str(said.get(names.WIRE_LANE, "0")),
            within=tuple(self._tools_around(span)),
            start_ns=span.start_ns,
            end_ns=span.end_ns or 0,
            idempotent=names.TOOL_IDEMPOTENCY in said,
            contract=contract if isinstance(contract, str) else None,
        )

    def _tools_around(self, span: Span) -> Iterator[str]:
        seen = {span.span_id}
        above = self.spans.get((span.trace_id, span.parent_span_id or ""))
        while above is not None and above.span_id not in seen:
            seen.add(above.span_id)
            if _is_our_tool(above):
                yield above.span_id
            above = self.spans.get((above.trace_id, above.parent_span_id or ""))


def _latest(spans: Iterable[Span]) -> list[Span]:
    """Each span once: ended replaces open."""
    kept: dict[tuple[str, str], Span] = {}
    for span in spans:
        key = (span.trace_id, span.span_id)
        if key not in kept or (kept[key].attributes.get(names.OPEN) and not span.attributes.get(names.OPEN)):
            kept[key] = span
    return list(kept.values())


def _calls(attempts: Sequence[Span]) -> Iterator[list[Span]]:
    """Attempts that are one call: each later one says itself that it is sent again."""
    call: list[Span] = []
    for span in attempts:
        if call and not _resend(span) > _resend(call[-1]):
            yield call
            call = []
        call.append(span)
    if call:
        yield call


def _resend(span: Span) -> int:
    count = span.attributes.get(names.HTTP_RESEND, 0)
    return count if isinstance(count, int) else 0


def _succeeded(last: Answer) -> bool:
    return 200 <= last.status < 400


def _provider(dialect: str, url: str) -> str | None:
    known = recognise.by_name(dialect)
    return recognise.provider_of(known, urlsplit(url).hostname or "") if known else None


def _json(value: Value) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _is_our_tool(span: Span) -> bool:
    """Whether a tap of ours dispatched it, so that it will be asked for again."""
    return span.scope.name == names.SCOPE and names.TOOL_NAME in span.attributes


def _check_level(run: Run, span: Span) -> None:
    level = span.attributes.get(names.CAPTURE_LEVEL)
    if level in _UNUSABLE:
        raise NotReplayable(
            f"run {run.run_id} was recorded with capture={level!r}, which keeps no content to serve",
            "record it again with capture='full'",
        )


def _missing(run: Run, span: Span, name: str) -> NotReplayable:
    why = span.attributes.get(names.INCOMPLETE)
    because = f" (capture incomplete: {why})" if why else ""
    return NotReplayable(
        f"run {run.run_id} cannot be replayed: span {span.span_id} ({span.name}) has no {name}{because}",
        "record it again",
    )


def _errors(run: Run, spans: Mapping[tuple[str, str], Span]) -> Iterator[str]:
    for record in run.records:
        if record.kind in ROOT_KINDS and record.error_type:
            yield record.error_type
    code = spans[run.trace_id, run.root.span_id].attributes.get(names.PROCESS_EXIT)
    if code:
        yield f"exit code {code}"


def _lacking(run: Run, spans: Mapping[tuple[str, str], Span]) -> Iterator[str]:
    """Model calls that somebody reported and no tap of ours captured, and what recording says it lost."""
    for step in run.steps:
        if step.record.kind in MODEL_KINDS and not _captured(run, step.attempts, spans):
            yield f"step {step.number} ({step.record.name}) was captured without its bytes and cannot be served"
    for why in run.incomplete:
        yield f"capture incomplete: {why}"


def _captured(run: Run, attempts: Sequence[str], spans: Mapping[tuple[str, str], Span]) -> bool:
    return any(names.WIRE_DIALECT in spans[run.trace_id, span_id].attributes for span_id in attempts)


def _why_nothing(run: Run, spans: Mapping[tuple[str, str], Span]) -> str:
    foreign = next((step for step in run.steps if not _captured(run, step.attempts, spans)), None)
    if foreign is None:
        return "it has no model or tool call"
    lacks = names.TOOL_RESULT if foreign.record.kind == "tool" else names.HTTP_REQUEST_BODY
    return (
        f"step {foreign.number} ({foreign.record.name}) has no {lacks}, so its agent cannot be run against it"
    )


def _placed(index: int, effect: Effect) -> Effect:
    return replace(effect, index=index)
