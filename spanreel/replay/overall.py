"""What differs between two runs as wholes: cost by model, notes, input, status, outcome. Quiet; differences are b − a."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias, get_args

from pydantic import Field

from spanreel.replay.cause import Differs, FirstDivergence
from spanreel.replay.comparable import canonical
from spanreel.replay.timeline import Frozen, Note, Replay, ReplayStep, ReplayTokens

Fact: TypeAlias = Literal["input", "status", "error", "outcome"]
FACTS: Final[tuple[Fact, ...]] = get_args(Fact)
Used: TypeAlias = tuple[int, str | None, ReplayTokens]
"""How many calls, what they cost, their tokens."""


class ModelDiff(Frozen):
    """What one model was used for in each run.

    Attributes:
        a_calls, b_calls: how many calls.
        a_cost, b_cost: US dollars as decimal strings, None where the cost of a call is not known; "0" without calls.
        cost_diff: b − a, None where either is not known.
        token_diff: by class, b − a.
    """

    model: str
    a_calls: int
    b_calls: int
    a_cost: str | None = None
    b_cost: str | None = None
    cost_diff: str | None = None
    token_diff: ReplayTokens = Field(default_factory=ReplayTokens)


class NotesDiff(Frozen):
    """What the agents wrote down on the way (`spanreel.note`); when they did is not compared."""

    added: list[Note] = Field(default_factory=list[Note])
    removed: list[Note] = Field(default_factory=list[Note])
    common: int = 0


class FactDiff(Frozen):
    """Something that is said of a run as a whole and differs: its input, status, error or outcome."""

    name: Fact
    a: Any = None
    b: Any = None


def minus(a: str | None, b: str | None) -> str | None:
    """B − a, US dollars as a decimal string; None where either is not known."""
    return None if a is None or b is None else format(Decimal(b) - Decimal(a), "f")


def of_the_run(
    a: Replay, b: Replay, content_diff: str, notes: NotesDiff, facts: Sequence[FactDiff]
) -> FirstDivergence | None:
    """What differs although every step is the same, None when nothing does. Other input and other errors do not count."""
    differing = {fact.name: fact for fact in facts}
    found: list[tuple[Differs, str, Any, Any]] = []
    if notes.added or notes.removed:
        found.append(("notes", "the notes", [note.summary or note.kind for note in notes.removed], [note.summary or note.kind for note in notes.added]))  # fmt: skip
    if fact := differing.get("outcome"):
        found.append(("outcome", "the outcome of the run", fact.a, fact.b))
    if fact := differing.get("status"):
        found.append(("status", "the status of the run", fact.a, fact.b))
    if content_diff:
        found.append(("content", "the answer of the run", a.content, b.content))
    if not found:
        return None
    differs, what, one, other = found[0]
    return FirstDivergence(
        a_step=None,
        b_step=None,
        kind="run",
        name=b.agent_name or b.run_id,
        relation="changed",
        cause=f"every step is the same, but not {what}",
        differs=differs,
        what=what,
        a=one,
        b=other,
    )


def facts_diff(a: Replay, b: Replay) -> list[FactDiff]:
    """What is said of the runs as wholes and differs; nothing, an empty text and an empty object are the same."""
    told = [FactDiff(name=name, a=getattr(a, name) or None, b=getattr(b, name) or None) for name in FACTS]
    return [fact for fact in told if canonical(fact.a) != canonical(fact.b)]


def notes_diff(a: Sequence[Note], b: Sequence[Note]) -> NotesDiff:
    """The notes that only one of the runs has."""

    def of(note: Note) -> str:
        return canonical([note.kind, note.summary, note.data])

    before, after = Counter(map(of, a)), Counter(map(of, b))
    return NotesDiff(
        added=list(_beyond(b, of, before)),
        removed=list(_beyond(a, of, after)),
        common=(before & after).total(),
    )


def _beyond(notes: Sequence[Note], of: Callable[[Note], str], known: Counter[str]) -> Iterator[Note]:
    left = Counter(known)
    for note in notes:
        left[of(note)] -= 1
        if left[of(note)] < 0:
            yield note


def by_model(a: Replay, b: Replay) -> Iterator[ModelDiff]:
    """The models of both runs and what each cost."""
    here, there = _used(a), _used(b)
    for model in dict.fromkeys((*here, *there)):
        calls, cost, tokens = here.get(model) or _unused(there[model])
        calls_b, cost_b, tokens_b = there.get(model) or _unused(here[model])
        yield ModelDiff(
            model=model,
            a_calls=calls,
            b_calls=calls_b,
            a_cost=cost,
            b_cost=cost_b,
            cost_diff=minus(cost, cost_b),
            token_diff=tokens_b.minus(tokens),
        )


def _unused(other: Used) -> Used:
    counts = other[2].model_dump()
    return 0, "0", ReplayTokens(**{name: None if count is None else 0 for name, count in counts.items()})


def _used(run: Replay) -> dict[str, Used]:
    calls: dict[str, list[ReplayStep]] = {}
    for step in run.steps:
        if step.model and not step.tool:
            calls.setdefault(step.model, []).append(step)
    return {model: _use(steps) for model, steps in calls.items()}


def _use(steps: Sequence[ReplayStep]) -> Used:
    costs = [step.cost for step in steps]
    known = [Decimal(cost) for cost in costs if cost is not None]
    cost = format(sum(known, Decimal(0)), "f") if len(known) == len(costs) else None
    return len(steps), cost, _tokens(steps)


def _tokens(steps: Sequence[ReplayStep]) -> ReplayTokens:
    counted = [step.tokens.model_dump() for step in steps]
    return ReplayTokens(
        **{
            name: sum(known)
            if (known := [each[name] for each in counted if each[name] is not None])
            else None
            for name in ReplayTokens.model_fields
        }
    )
