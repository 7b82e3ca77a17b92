"""align(a, b): which step of one run is which step of another. The one comparison; everything else asks it.

Quiet and deterministic. Steps that are equal at both ends are paired first; what lies between is cut at steps that
occur exactly once on both sides where it is long, and the pieces are aligned for the highest sum of similarities
(Needleman-Wunsch, gaps are free, the earlier of equal choices wins). Pairs never cross; a step that was left over
on both sides in different places is then called moved. The two sides are put in a fixed order first, so that
align(b, a) is align(a, b) mirrored.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Literal, TypeAlias

from pydantic import Field, field_serializer
from pydantic.json_schema import SkipJsonSchema

from spanreel.replay.comparable import Comparable, changes, comparables, similarity
from spanreel.replay.timeline import Frozen, ReplayStep

Relation: TypeAlias = Literal["same", "changed", "added", "removed", "moved"]

FULL = (
    250_000  # cells: up to here the whole table is filled, beyond it unique equal steps cut the table first
)
BAND = 1_500_000  # cells: beyond this only a band around the diagonal is filled
EXACT = 2000  # an equal pair outweighs any changed one
KINDRED = 400  # the same kind of call, nothing else in common
_NEVER = -(1 << 40)

Matches: TypeAlias = list[tuple[int, int]]
Change: TypeAlias = tuple[str, Any, Any]


class StepRef(Frozen):
    """Which step a pair means, in JSON."""

    number: int | None
    kind: str
    name: str
    span_id: str | None = None
    tool_call_id: str | None = None


class Pair(Frozen):
    """A step of one run and what became of it in the other.

    Attributes:
        a, b: the steps; `added` has no a, `removed` no b. In JSON a short reference.
        relation: same; changed (the same call, something in it differs); added; removed; moved (elsewhere in order).
        similarity: 0 to 1; 0 for what has no partner.
        paths: JSON paths within the step at which the two differ, what came first in time first.
        repeated: an added or removed tool call that repeats the call before or after it, name and arguments alike.
        changes: path, value in a, value in b, of each of the `paths`; not in JSON.
    """

    a: ReplayStep | None
    b: ReplayStep | None
    relation: Relation
    similarity: float = 0.0
    paths: list[str] = Field(default_factory=list[str])
    repeated: bool = False
    changes: SkipJsonSchema[list[Change]] = Field(default_factory=list["Change"], exclude=True, repr=False)

    @field_serializer("a", "b")
    def _reference(self, step: ReplayStep | None) -> StepRef | None:
        if step is None:
            return None
        call_id = step.tool.tool_call_id if step.tool else None
        return StepRef(
            number=step.number, kind=step.kind, name=step.name, span_id=step.span_id, tool_call_id=call_id
        )

    @property
    def step(self) -> ReplayStep:
        """The step of this pair: that of b where there is one."""
        step = self.b or self.a
        if step is None:
            raise LookupError("a pair of nothing")
        return step


def align(
    a: Sequence[ReplayStep],
    b: Sequence[ReplayStep],
    *,
    left: Sequence[Comparable] | None = None,
    right: Sequence[Comparable] | None = None,
) -> list[Pair]:
    """Pair the steps of two runs; every step is in exactly one pair.

    Args:
        a: the steps of the one run.
        b: those of the other.
        left: what of each step of `a` counts, where that is not all of it.
        right: the same for `b`.

    Returns:
        Pairs in order: what both have in their common order, between them what was removed, then what was added
        or moved here. Equal steps that only changed places with steps running at the same time are the same.
    """
    left, right = left or comparables(a), right or comparables(b)
    if [step.key for step in left] <= [step.key for step in right]:
        kept, moved = _matches(left, right)
    else:
        kept, moved = (_mirrored(matches) for matches in _matches(right, left))
    elsewhere = set(moved) - _at_once(a, b, left, right, kept, moved)
    again = (
        _repeats(left, {at for at, _ in (*kept, *moved)}),
        _repeats(right, {to for _, to in (*kept, *moved)}),
    )
    return [
        _pair(
            a, b, left, right, at, to, moved=(at, to) in elsewhere, repeated=at in again[0] or to in again[1]
        )
        for at, to in _in_order(kept, set(moved), len(a), len(b))
    ]


def _at_once(
    a: Sequence[ReplayStep],
    b: Sequence[ReplayStep],
    left: Sequence[Comparable],
    right: Sequence[Comparable],
    kept: Matches,
    moved: Matches,
) -> set[tuple[int, int]]:
    """Equal steps in another order only among steps that ran at the same time: which began first is chance.

    So it is among calls that one model answer asked for: a framework runs them in threads, however short they are.
    """
    paired = [*kept, *moved] if moved else []
    here, there = (_askers(a), _askers(b)) if moved else ([], [])

    def by_chance(at: int, to: int) -> bool:
        crossed = ((k, m) for k, m in paired if (at < k) != (to < m) and (at, to) != (k, m))
        return all(
            _overlap(a[at], a[k])
            or _overlap(b[to], b[m])
            or (None not in (here[at], there[to]) and (here[at], there[to]) == (here[k], there[m]))
            for k, m in crossed
        )

    return {(at, to) for at, to in moved if left[at].key == right[to].key and by_chance(at, to)}


def _askers(steps: Sequence[ReplayStep]) -> list[int | None]:
    """Of each tool call, the place of the model call that asked for it, by the id that this gave it."""
    asked: dict[object, int] = {}
    found: list[int | None] = []
    for place, step in enumerate(steps):
        found.append(asked.get(step.tool.tool_call_id) if step.tool and step.tool.tool_call_id else None)
        for message in step.output_messages or ():
            parts = (part for part in message.get("parts") or () if isinstance(part, dict))
            asked |= {part.get("id"): place for part in parts if part.get("type") == "tool_call"}
    return found


def _overlap(one: ReplayStep, other: ReplayStep) -> bool:
    if one.offset is None or other.offset is None or one.duration is None or other.duration is None:
        return False
    return one.offset < other.offset + other.duration and other.offset < one.offset + one.duration


def _repeats(steps: Sequence[Comparable], paired: set[int]) -> set[int]:
    """Of tool calls in a row that ask the same, those that the other run lacks; of a row it lacks all but the first."""
    calls = [at for at, step in enumerate(steps) if step.kind[0] == "tool"]
    found: set[int] = set()
    for _, row in groupby(calls, key=lambda at: steps[at].request_key):
        places = list(row)
        alone = [at for at in places if at not in paired]
        found.update(alone if len(alone) < len(places) else alone[1:])
    return found


def _mirrored(matches: Matches) -> Matches:
    return [(to, at) for at, to in matches]


def _matches(left: Sequence[Comparable], right: Sequence[Comparable]) -> tuple[Matches, Matches]:
    kept = list(_aligned(left, right, 0, 0))
    loose = _loose(left, right, kept)
    kept = [pair for pair in kept if pair not in loose]
    return kept, _moved(left, right, kept)


def _loose(left: Sequence[Comparable], right: Sequence[Comparable], kept: Matches) -> set[tuple[int, int]]:
    """Changed pairs of which a step has its equal elsewhere: calls that ran in another order are moved, not changed."""
    changed = [(at, to) for at, to in kept if left[at].key != right[to].key]
    if not changed:
        return set()
    paired, here, there = ({at for at, _ in kept}, {at for at, _ in changed}, {to for _, to in changed})
    reached = {to for _, to in kept}
    over = Counter(step.key for at, step in enumerate(left) if at not in paired)
    under = Counter(step.key for to, step in enumerate(right) if to not in reached)
    ours = over + Counter(left[at].key for at in here)
    theirs = under + Counter(right[to].key for to in there)
    both = ours & theirs
    wanted, sought = both - over, both - under
    loose: set[tuple[int, int]] = set()
    for at, to in changed:
        if wanted[left[at].key] > 0:
            wanted[left[at].key] -= 1
            loose.add((at, to))
        if sought[right[to].key] > 0:
            sought[right[to].key] -= 1
            loose.add((at, to))
    return loose


def _in_order(
    kept: Matches, moved: set[tuple[int, int]], a_length: int, b_length: int
) -> Iterator[tuple[int | None, int | None]]:
    """All steps of both sides, along the pairs that keep their order."""
    sources = {to: at for at, to in moved}
    gone = {at for at, _ in moved}
    at_next = to_next = 0
    for at, to in (*sorted(kept), (a_length, b_length)):
        yield from ((index, None) for index in range(at_next, at) if index not in gone)
        yield from ((sources.get(index), index) for index in range(to_next, to))
        if (at, to) != (a_length, b_length):
            yield at, to
        at_next, to_next = at + 1, to + 1


def _pair(
    a: Sequence[ReplayStep],
    b: Sequence[ReplayStep],
    left: Sequence[Comparable],
    right: Sequence[Comparable],
    at: int | None,
    to: int | None,
    *,
    moved: bool,
    repeated: bool,
) -> Pair:
    if at is None or to is None:
        return Pair.model_construct(
            a=None if at is None else a[at],
            b=None if to is None else b[to],
            relation="removed" if to is None else "added",
            similarity=0.0,
            paths=[],
            repeated=repeated,
            changes=[],
        )
    one, other = left[at], right[to]
    same = one.key == other.key
    found = [] if same else changes(one.document, other.document)
    return Pair.model_construct(
        a=a[at],
        b=b[to],
        relation="moved" if moved else "same" if same else "changed",
        similarity=similarity(one, other),
        paths=[path for path, _, _ in found],
        repeated=False,
        changes=found,
    )


def _moved(left: Sequence[Comparable], right: Sequence[Comparable], kept: Matches) -> Matches:
    """Of the steps left over: those that are equal on both sides, then those that asked the same."""
    sources, targets = {at for at, _ in kept}, {to for _, to in kept}
    found: Matches = []
    for name in ("key", "request_key"):
        waiting: dict[str, deque[int]] = defaultdict(deque)
        for to, step in enumerate(right):
            if to not in targets:
                waiting[getattr(step, name)].append(to)
        for at, step in enumerate(left):
            if at not in sources and (places := waiting.get(getattr(step, name))):
                to = places.popleft()
                found.append((at, to))
                sources.add(at)
                targets.add(to)
    return found


def _aligned(
    left: Sequence[Comparable], right: Sequence[Comparable], at: int, to: int
) -> Iterator[tuple[int, int]]:
    """Pairs of positions, counted from `at` and `to`."""
    shortest = min(len(left), len(right))
    head = 0
    while head < shortest and left[head].key == right[head].key:
        yield at + head, to + head
        head += 1
    tail = 0
    while tail < shortest - head and left[-1 - tail].key == right[-1 - tail].key:
        tail += 1
    yield from _between(left[head : len(left) - tail], right[head : len(right) - tail], at + head, to + head)
    for back in range(tail, 0, -1):
        yield at + len(left) - back, to + len(right) - back


def _between(
    left: Sequence[Comparable], right: Sequence[Comparable], at: int, to: int
) -> Iterator[tuple[int, int]]:
    if not left or not right:
        return
    anchors = _anchors(left, right) if len(left) * len(right) > FULL else []
    if not anchors:
        yield from ((at + i, to + j) for i, j in _best(left, right))
        return
    i = j = 0
    for anchor_at, anchor_to in anchors:
        yield from _aligned(left[i:anchor_at], right[j:anchor_to], at + i, to + j)
        yield at + anchor_at, to + anchor_to
        i, j = anchor_at + 1, anchor_to + 1
    yield from _aligned(left[i:], right[j:], at + i, to + j)


def _anchors(left: Sequence[Comparable], right: Sequence[Comparable]) -> Matches:
    """The longest series, in order on both sides, of equal steps that occur once on each side."""
    once_here = {key for key, count in Counter(step.key for step in left).items() if count == 1}
    counts = Counter(step.key for step in right)
    places = {
        step.key: to for to, step in enumerate(right) if counts[step.key] == 1 and step.key in once_here
    }
    candidates = [(at, places[step.key]) for at, step in enumerate(left) if step.key in places]
    ends: list[int] = []
    chains: list[int] = []
    before: list[int | None] = []
    for index, (_, to) in enumerate(candidates):
        rank = bisect_left(ends, to)
        before.append(chains[rank - 1] if rank else None)
        ends[rank : rank + 1], chains[rank : rank + 1] = [to], [index]
    series: Matches = []
    step = chains[-1] if chains else None
    while step is not None:
        series.append(candidates[step])
        step = before[step]
    return series[::-1]


def _best(left: Sequence[Comparable], right: Sequence[Comparable]) -> Matches:
    """The pairs of the highest total score, by the table of best scores of what follows each cell."""
    height, width = len(left), len(right)
    reach = (
        width
        if height * width <= BAND
        else max(64, BAND // (2 * max(height, width)), 2 * width // height + 2)
    )
    choices: list[bytes] = []
    below = [0] * (width + 1)
    for i in range(height - 1, -1, -1):
        centre = i * width // height
        low, high = max(0, centre - reach), min(width, centre + reach + 1)
        row = [_NEVER] * width + [0]
        choice = bytearray(width)
        scores = _scores(left[i], right, low, high)
        follows = row[high]
        for j in range(high - 1, low - 1, -1):
            best, chosen = below[j + 1] + scores[j - low], 0
            if below[j] > best:
                best, chosen = below[j], 1
            if follows > best:
                best, chosen = follows, 2
            row[j] = follows = best
            choice[j] = chosen
        choices.append(bytes(choice))
        below = row
    choices.reverse()
    found: Matches = []
    i = j = 0
    while i < height and j < width:
        chosen = choices[i][j]
        if chosen == 0:
            found.append((i, j))
        i, j = i + (chosen != 2), j + (chosen != 1)
    return found


def _scores(one: Comparable, others: Sequence[Comparable], low: int, high: int) -> list[int]:
    """What pairing this step with each of the others is worth; inlined arithmetic, a long table asks a million times."""
    key, kind, asked, answered = one.key, one.kind, one.asked, one.answered
    scores: list[int] = []
    for j in range(low, high):
        other = others[j]
        if other.kind != kind:
            scores.append(_NEVER)
        elif other.key == key:
            scores.append(EXACT)
        else:
            both, either = (asked & other.asked).bit_count(), (asked | other.asked).bit_count()
            score = KINDRED + (600 * both // either if either else 600)
            both, either = (answered & other.answered).bit_count(), (answered | other.answered).bit_count()
            scores.append(score + (400 * both // either if either else 400))
    return scores
