"""LOUD: call-level replay, for runs whose agent is not here: recorded model calls asked again, and the answers compared.

No agent runs and no tool does: each call is asked with the history that it had when it was recorded, so that a
difference in one answer is not followed by differences of its own making. What is asked is recorded as a run.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import BudgetSpent, NotReplayable, SpanreelError
from spanreel.location import resolve_store
from spanreel.replay import crossing, files
from spanreel.replay.asked import Asked, asked
from spanreel.replay.asking import Asking
from spanreel.replay.calls import RecordedCall, calls_of
from spanreel.replay.grade import grade
from spanreel.replay.policy import Budget, Overrides
from spanreel.replay.resent import VERDICTS, NotSent, Resent, ResentCall, Spent, compared
from spanreel.replay.timeline import Replay
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.replay.grade import Grade
    from spanreel.wire.grouping import Run
    from spanreel.wire.spans import Span


CALLS: Final = "calls"
"""What starts the run that is made: no agent does, so there is none to run again."""


@dataclass(frozen=True, slots=True)
class Source:
    """A run with its spans, its calls and its grade."""

    run: Run
    spans: tuple[Span, ...]
    calls: tuple[RecordedCall, ...]
    grade: Grade

    def model_calls(self, step: int | None) -> list[RecordedCall]:
        """The calls of language models, or the one of a step.

        Raises:
            NotReplayable: there is none.
        """
        found = [call for call in self.calls if call.record.kind == "llm" and step in (None, call.number)]
        if found:
            return found
        if step is None:
            raise NotReplayable(
                f"run {self.run.run_id} has no call of a language model", f"spanreel show {self.run.run_id}"
            )
        here = ", ".join(str(call.number) for call in self.calls if call.record.kind == "llm")
        raise NotReplayable(
            f"step {step} of run {self.run.run_id} is no call of a language model",
            f"those are: {here or 'none'}",
        )


def resend(
    run: str | os.PathLike[str] | Replay,
    *,
    step: int | None = None,
    overrides: Overrides | None = None,
    target_dialect: str | None = None,
    store: str | os.PathLike[str] | None = None,
    budget: Budget | None = None,
    on_call: Callable[[ResentCall], None] | None = None,
) -> Resent:
    """Ask the recorded model calls of a run again, and compare the answers.

    Nothing is sent unless every call can be: keys, places and what a dialect cannot express are looked at first.

    Args:
        run: its name in the store, the path of a file of spans (or `file#run`), or a `Replay`.
        step: only this one.
        overrides: what is different; a model named with its provider (`anthropic/…`) is asked there.
        target_dialect: the dialect to ask in; the model is named by the overrides.
        store: where the run is, and where the calls are recorded; default: the project's.
        budget: where it stops.
        on_call: told of each call as it is answered.

    Raises:
        UnknownRun, AmbiguousRun, StoreError, BadInput: there is no such run, store or file.
        NotReplayable: nothing can be asked again; names what the recording lacks.
        SpanreelError: no key, no place, or something that the target cannot express, by name.
    """
    if overrides is not None and overrides.responses:
        raise SpanreelError(
            "a step that is given its answer asks nobody",
            "leave --respond out, or run the agent again: spanreel fork",
        )
    overrides, budget = _targeted(overrides or Overrides(), target_dialect), budget or Budget()
    source = source_of(run, store)
    ready, not_sent = prepared(source, step, overrides)
    check(source, overrides, ready)
    stopped: str | None = None
    calls: list[ResentCall] = []
    with asking(source, overrides, budget, store) as under_way:
        router = under_way.router(overrides)
        for one in ready:
            try:
                given = under_way.ask(one, router)
            except BudgetSpent as spent:
                stopped = str(spent)
                break
            calls.append(compared(one, given))
            if on_call is not None:
                on_call(calls[-1])
    left = [NotSent(step=one.call.number, why=stopped or "") for one in ready[len(calls) :]]
    counted = Counter(one.verdict for one in calls)
    return Resent(
        run_id=under_way.run_id,
        source_run_id=source.run.run_id,
        grade=source.grade.grade,
        calls=calls,
        not_sent=sorted([*not_sent, *left], key=lambda one: one.step),
        verdicts={word: counted[word] for word in VERDICTS if counted[word]},
        stopped=stopped,
        spent=spent_in(under_way),
    )


def source_of(run: str | os.PathLike[str] | Replay, store: str | os.PathLike[str] | None) -> Source:
    """A run out of a store or a file.

    Raises:
        UnknownRun, AmbiguousRun, StoreError, BadInput: there is no such run, store or file.
    """
    found, spans = _found(run.run_id if isinstance(run, Replay) else run, store)
    return Source(found, tuple(spans), tuple(calls_of(found, spans)), grade(found, spans))


def _found(run: str | os.PathLike[str], store: str | os.PathLike[str] | None) -> tuple[Run, Sequence[Span]]:
    path, name = files.file_of(run)
    if path is not None:
        spans = files.read(path)
        return files.pick(files.runs_of(spans), name, str(path)), spans
    from spanreel.collector.store import open_reader

    with open_reader(resolve_store(store)) as reader:
        found = reader.resolve(str(run))
        return found, reader.spans(found.trace_id)


def prepared(source: Source, step: int | None, overrides: Overrides) -> tuple[list[Asked], list[NotSent]]:
    """The calls as requests, and those that cannot be asked again.

    Raises:
        NotReplayable: none can be, or not the one of `step`.
        SpanreelError: no key, or no place.
    """
    ready: list[Asked] = []
    not_sent = [] if step is not None else list(_others(source))
    first: NotReplayable | None = None
    for call in source.model_calls(step):
        try:
            ready.append(asked(call, overrides.at(call.number)))
        except NotReplayable as error:
            first = first or error
            not_sent.append(NotSent(step=call.number, why=str(error)))
    if not ready and first is not None:
        raise first
    return ready, not_sent


def _others(source: Source) -> Iterator[NotSent]:
    for call in source.calls:
        if call.of_model and call.record.kind != "llm":
            yield NotSent(step=call.number, why=f"a call of kind {call.record.kind} gives no answer in words")


def asking(
    source: Source, overrides: Overrides, budget: Budget, store: str | os.PathLike[str] | None, **facts: Any
) -> Asking:
    """A run in which the calls of a source are asked again."""
    told = {
        "every": dict(overrides.every),
        "steps": {str(step): dict(said) for step, said in overrides.steps.items()},
    }
    changed = {name: value for name, value in told.items() if value}
    if changed:
        facts[names.REPLAY_OVERRIDES] = json.dumps(changed, default=str)
    facts[names.RUN_ENTRY] = CALLS
    link = (source.run.trace_id, source.run.root.span_id)
    return Asking(source.run.run_id, link, source.run.agent_name or "resend", facts, budget, store)


def check(source: Source, overrides: Overrides, ready: Sequence[Asked]) -> None:
    """Make every request once without sending it, so that what cannot be made is said before anything is sent.

    Raises:
        SpanreelError: an override cannot be applied, there is no key, or the target cannot express a request.
    """
    router = asking(source, overrides, Budget(), None).router(overrides)
    for one in ready:
        router.out(one.request, one.call.number)


def spent_in(under_way: Asking) -> Spent | None:
    """What was used so far."""
    books = under_way.books
    if not books.live_models:
        return None
    cost = None if books.cost is None else format(books.cost, "f")
    return Spent(input_tokens=books.usage.input, output_tokens=books.usage.output, cost=cost)


def _targeted(overrides: Overrides, dialect: str | None) -> Overrides:
    """The overrides with the provider of a dialect before each model.

    Raises:
        SpanreelError: the dialect is not known, or no model is named.
    """
    if dialect is None:
        return overrides
    word = next((word for word, one in crossing.TARGETS.items() if dialect in (word, one.dialect)), None)
    if word is None:
        known = ", ".join(one.dialect for one in crossing.TARGETS.values())
        raise SpanreelError(f"calls cannot be sent in the dialect {dialect}", f"use one of {known}")
    if "model" not in overrides.every and not any("model" in said for said in overrides.steps.values()):
        raise SpanreelError(f"which model of {dialect} to ask is not said", "name it: --set model=…")

    def named(said: Mapping[str, Any]) -> dict[str, Any]:
        model = said.get("model")
        plain = isinstance(model, str) and model.partition("/")[0] not in crossing.TARGETS
        return {**said, "model": f"{word}/{model}"} if plain else dict(said)

    steps = {step: named(said) for step, said in overrides.steps.items()}
    return replace(overrides, every=named(overrides.every), steps=steps)
