"""The gates of a run and what was decided about them. Quiet: it reads spans, and writes nothing.

A gate is an approval id and which time it is asked for: a loop may come to one id several times. Every segment of a
resumed run begins anew, so the n-th time of an id is the same gate in each of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from spanreel.instrument.responder import Decision
from spanreel.wire import attributes as names
from spanreel.wire.scrubbing import Scrubber
from spanreel.wire.spans import Span, Value

PENDING: Final = "pending"
APPROVED: Final[Literal["approved"]] = "approved"
REJECTED: Final[Literal["rejected"]] = "rejected"


@dataclass(frozen=True, slots=True)
class Recorded(Decision):
    """A decision out of a recording. about: what was asked, see `asked`; None where that was not kept."""

    about: str | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """A gate. occurrence: from 1. span: as the newest segment that came to it has it.

    decision: None while nobody has decided. decided_ns: when, Unix nanoseconds.
    """

    id: str
    occurrence: int
    span: Span
    decision: Decision | None = None
    decided_ns: int = 0

    @property
    def status(self) -> str:
        """pending, approved or rejected."""
        return PENDING if self.decision is None else APPROVED if self.decision else REJECTED

    @property
    def title(self) -> str:
        """As people name it."""
        return self.id if self.occurrence == 1 else f"{self.id} (time {self.occurrence})"

    @property
    def summary(self) -> str | None:
        """What is to be decided, in a line."""
        found = self.span.attributes.get(names.APPROVAL_SUMMARY)
        return None if found is None else str(found)

    @property
    def details(self) -> Any:
        """What it is about."""
        return _value(self.span.attributes.get(names.APPROVAL_DETAILS))


def gates(segments: Iterable[Sequence[Span]]) -> list[Gate]:
    """The gates of a run, in the order in which the newest segment came to them.

    Args:
        segments: the spans of each segment, oldest first.
    """
    found: dict[tuple[str, int], Gate] = {}
    for spans in segments:
        approvals = {span.span_id: span for span in _ended(spans) if names.APPROVAL_ID in span.attributes}
        decided = {
            span.parent_span_id: span
            for span in approvals.values()
            if span.parent_span_id in approvals and span.attributes.get(names.APPROVAL_STATUS) != PENDING
        }
        asked = [span for span in approvals.values() if span.parent_span_id not in approvals]
        times: Counter[str] = Counter()
        for span in sorted(asked, key=lambda span: (span.start_ns, span.span_id)):
            name = str(span.attributes[names.APPROVAL_ID])
            times[name] += 1
            key = (name, times[name])
            before = found.pop(key, None)
            found[key] = _gate(key, span, decided.get(span.span_id), before)
    return list(found.values())


def decided(runs: Iterable[Sequence[Gate]]) -> dict[str, tuple[Decision, ...]]:
    """What was decided about the gates of some runs, by approval id, in order, up to the first that is open."""
    known: dict[str, tuple[Decision, ...]] = {}
    stopped: set[str] = set()
    for found in runs:
        for gate in sorted(found, key=lambda gate: gate.occurrence):
            if gate.decision is None:
                stopped.add(gate.id)
            elif gate.id not in stopped:
                known[gate.id] = (*known.get(gate.id, ()), gate.decision)
    return known


def asked(summary: object, details: object) -> str:
    """What is to be decided, as it is compared: details as JSON text; ids and times that each run makes anew are left out."""
    return Scrubber().text(f"{summary or ''}\n{details or ''}")


def _of_attributes(said: Mapping[str, Value], gate: Span, span_id: str, source_run_id: str) -> Decision:
    """The decision that a span tells, about a gate."""
    reason, question = said.get(names.APPROVAL_REASON), gate.attributes
    kept = question.get(names.CAPTURE_LEVEL, "full") == "full" and not question.get(names.REDACTED)
    about = asked(question.get(names.APPROVAL_SUMMARY), question.get(names.APPROVAL_DETAILS))
    return Recorded(
        approved=said.get(names.APPROVAL_STATUS) == APPROVED,
        actor=_value(said.get(names.APPROVAL_ACTOR)),
        reason=None if reason is None else str(reason),
        source_run_id=source_run_id,
        source_span_id=span_id,
        about=about if kept else None,
    )


def _gate(key: tuple[str, int], span: Span, decision: Span | None, before: Gate | None) -> Gate:
    if decision is not None:
        told = _of_attributes(decision.attributes, span, decision.span_id, _run_id(decision))
        return Gate(*key, span, told, decision.end_ns)
    if before is not None and before.decision is not None:
        return Gate(*key, span, before.decision, before.decided_ns)
    if span.attributes.get(names.APPROVAL_STATUS) == PENDING:
        return Gate(*key, span)
    return Gate(*key, span, _of_attributes(span.attributes, span, span.span_id, _run_id(span)), span.end_ns)


def _run_id(span: Span) -> str:
    return str(span.attributes.get(names.SOURCE_RUN_ID) or span.attributes.get(names.RUN_ID) or span.trace_id)


def _ended(spans: Iterable[Span]) -> list[Span]:
    """Each span once: ended replaces open."""
    kept: dict[str, Span] = {}
    for span in spans:
        if span.span_id not in kept or span.end_ns:
            kept[span.span_id] = span
    return list(kept.values())


def _value(text: Value) -> Any:
    """An object that was written as JSON; any other text as it is."""
    if not isinstance(text, str) or text[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
