"""What the root of a run says about the run as a whole: input, output, notes, outcome, tags. Quiet."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spanreel.replay import conversation
from spanreel.replay.moments import timestamp
from spanreel.replay.timeline import Message, Note
from spanreel.wire import attributes as names
from spanreel.wire.conventions.values import count, parsed_fully

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from spanreel.wire.grouping import Run
    from spanreel.wire.records import Content, Record
    from spanreel.wire.spans import Event, Span


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of a run.

    Attributes:
        words: the recorded output where it is text.
        text: the recorded output as text, whatever it is.
    """

    source_run_id: str | None = None
    fork_step: int | None = None
    input: Any = None
    words: str | None = None
    text: str | None = None
    messages: list[Message] = field(default_factory=list[Message])
    notes: list[Note] = field(default_factory=list[Note])
    outcome: dict[str, Any] = field(default_factory=dict[str, Any])
    tags: dict[str, Any] = field(default_factory=dict[str, Any])
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    experiment: dict[str, Any] = field(default_factory=dict[str, Any])


def run_facts(run: Run, spans: Mapping[str, Span], content: Callable[[Span, Record], Content]) -> Facts:
    """The facts that the root span and the events of all spans of a run tell."""
    root = run.root
    span = spans.get(root.span_id)
    notes = [note for record in run.records if (at := spans.get(record.span_id)) for note in _notes(at)]
    notes.sort(key=lambda pair: pair[0])
    ordered = [note for _, note in notes]
    if span is None:
        return Facts(notes=ordered)
    said = content(span, root)
    returned = said.result
    words = (
        returned if isinstance(returned, str) else conversation.text(conversation.last_answer(said.output))
    )
    return Facts(
        source_run_id=run.source_run_id,
        fork_step=count(span.attributes.get(names.FORK_STEP)) if run.source_run_id else None,
        input=_input(span, said),
        words=words,
        text=words
        if words is not None or returned is None
        else json.dumps(returned, ensure_ascii=False, default=str),
        messages=(said.input or []) + (said.output or []),
        notes=ordered,
        outcome=_under(span, names.OUTCOME),
        tags=_under(span, names.TAG),
        metadata=_under(span, names.METADATA),
        experiment=_under(span, names.EXPERIMENT),
    )


def _input(span: Span, said: Content) -> Any:
    """What the run was given: recorded by us, or said to it, or noted by another emitter."""
    given = said.arguments
    if names.RUN_INPUT in span.attributes and given is not None:
        return given
    asked = conversation.asked(said.input)
    return given if asked is None else asked


def _notes(span: Span) -> list[tuple[int, Note]]:
    return [(event.time_ns, _note(event, span.span_id)) for event in span.events if event.name == names.NOTE]


def _note(event: Event, span_id: str) -> Note:
    told = event.attributes
    summary = told.get(f"{names.NOTE}.summary")
    return Note(
        kind=str(told.get(f"{names.NOTE}.kind", "note")),
        summary=None if summary is None else str(summary),
        data=parsed_fully(told.get(f"{names.NOTE}.data")),
        at=timestamp(event.time_ns),
        span_id=span_id,
    )


def _under(span: Span, prefix: str) -> dict[str, Any]:
    found = sorted(name for name in span.attributes if name.startswith(prefix))
    return {name.removeprefix(prefix): conversation.decoded(span.attributes[name]) for name in found}
