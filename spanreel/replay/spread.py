"""Is a change outside the provider's own spread? Distances between answers, and a permutation test over them. Quiet.

Values in, values out: who asked, and how often, is not known here. The random numbers of the test are those of a fixed
seed, so that the same answers always give the same word.

Distance of two answers, 0 (the same) to 1 (nothing in common): where neither asks for a tool, one minus the share of
equal words; else three quarters the share of tool calls and their arguments that differ, and one quarter the words.

The statistic is the mean distance between the groups less the mean of the mean distances within them. Its null
distribution is that of all ways to deal the same answers into two groups of these sizes: each is looked at where they
are few, else a fixed number of random ones. No shape of any distribution is assumed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb
from random import Random
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.timeline import Frozen
from spanreel.replay.wording import similarity

Word: TypeAlias = Literal["outside the spread", "within the spread", "cannot tell"]

CALLS_WEIGH: Final = 0.75
EVERY_SPLIT: Final = 20_000  # ways to deal; up to here all of them are looked at
RANDOM_SPLITS: Final = 9_999
SEED: Final = 20_140_814
ALPHA: Final = 0.05
_SLACK: Final = 1e-12  # sums of the same distances in another order

STATISTIC: Final = (
    "mean distance between old and new answers, less the mean of the mean distances within each; "
    "p is the share of ways to deal the same answers into two such groups that come out at least as far apart"
)
ASSUMPTIONS: Final = (
    "answers are independent of each other, and exchangeable if the change has no effect",
    "both settings were asked in turns, so that the provider did not drift between them",
    "both were asked with the temperature and the other parameters that their requests name",
    "it is one test of one step: of many steps or many changes tested so, one in twenty is outside by chance",
    "within the spread means that no difference was found with so few answers, not that there is none",
)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, as far as it is compared.

    text: its words. calls: the tools it asks for, each name and arguments (a JSON value). error: why there is no answer.
    """

    text: str = ""
    calls: tuple[tuple[str, Any], ...] = ()
    error: str | None = None


class Spread(Frozen):
    """Whether two groups of answers differ by more than each differs in itself.

    Attributes:
        verdict: outside the spread, within the spread, or cannot tell.
        old, new: how many answers there are of each.
        between, within_old, within_new: mean distances, 0 to 1; None where there is no pair.
        statistic: see `statistic_text`. effect: its share of `between`: 0 no effect, 1 no spread at all.
        p: None where nothing was tested. least_p: the smallest p that groups of these sizes can have.
        splits: how many ways to deal were looked at; exact: they are all there are.
        enough: how many answers of each are needed for `alpha` to be within reach.
    """

    verdict: Word
    why: str = ""
    old: int
    new: int
    between: float | None = None
    within_old: float | None = None
    within_new: float | None = None
    statistic: float | None = None
    effect: float | None = None
    p: float | None = None
    least_p: float
    alpha: float = ALPHA
    splits: int = 0
    exact: bool = True
    enough: int
    statistic_text: str = STATISTIC
    assumptions: list[str] = Field(default_factory=lambda: list(ASSUMPTIONS))


def distance(one: Said, other: Said) -> float:
    """How far two answers are from each other, 0 to 1; the same in both directions.

    Failures are as far as can be from any answer, and no distance from a failure of the same kind.
    """
    if one.error is not None or other.error is not None:
        return 0.0 if one.error == other.error else 1.0
    words = 1 - similarity(*sorted((one.text, other.text)))
    if not one.calls and not other.calls:
        return words
    return CALLS_WEIGH * calls_apart(one.calls, other.calls) + (1 - CALLS_WEIGH) * words


def spread(old: Sequence[Said], new: Sequence[Said], alpha: float = ALPHA, seed: int = SEED) -> Spread:
    """Whether the new answers are outside the spread of the old ones.

    Args:
        old: answers that came; failures do not belong here.
        new: likewise, of the new setting.
        alpha: how often chance alone may be called a change.
        seed: of the random ways to deal, where there are too many for all.
    """
    sizes = len(old), len(new)
    least, enough = least_p(*sizes), answers_needed(alpha)
    known: dict[str, Any] = {
        "old": sizes[0],
        "new": sizes[1],
        "least_p": least,
        "alpha": alpha,
        "enough": enough,
    }
    if min(sizes) < 2:
        why = f"there must be at least two answers of each setting; ask for {enough}"
        return Spread(verdict="cannot tell", why=why, **known)
    pooled = [*old, *new]
    apart = _Apart([[distance(a, b) for b in pooled] for a in pooled], sizes[0])
    observed = apart.statistic(range(sizes[0]))
    exact = comb(sum(sizes), sizes[0]) <= EVERY_SPLIT
    p, splits = _every(apart, observed) if exact else _some(apart, observed, Random(seed))  # noqa: S311 - no secret
    between, within_old, within_new = apart.means(range(sizes[0]))
    known |= {
        "between": between,
        "within_old": within_old,
        "within_new": within_new,
        "statistic": observed,
        "effect": max(0.0, observed / between) if between else 0.0,
        "p": p,
        "splits": splits,
        "exact": exact,
    }
    if p <= alpha:
        return Spread(verdict="outside the spread", **known)
    if least > alpha:
        why = f"with {sizes[0]} and {sizes[1]} answers p cannot be below {least:.3g}; ask for {enough}"
        return Spread(verdict="cannot tell", why=why, **known)
    return Spread(verdict="within the spread", **known)


def least_p(old: int, new: int) -> float:
    """The smallest p that groups of these sizes can have; groups of equal size may change places."""
    ways = comb(old + new, old)
    if min(old, new) < 1:
        return 1.0
    if ways > EVERY_SPLIT:
        return 1 / (1 + RANDOM_SPLITS)
    return min(1.0, (2 if old == new else 1) / ways)


def answers_needed(alpha: float = ALPHA) -> int:
    """How many answers of each setting are needed for p to be able to reach `alpha`."""
    return next(size for size in range(2, 100) if least_p(size, size) <= alpha)


class _Apart:
    """The distances of pooled answers, and the statistic of any way to deal them into two groups."""

    def __init__(self, distances: list[list[float]], first: int) -> None:
        self._distances = distances
        self.size = len(distances)
        self.first = first
        self._total = sum(sum(row[:place]) for place, row in enumerate(distances))
        self._rows = [sum(row) for row in distances]

    def means(self, chosen: Sequence[int]) -> tuple[float, float, float]:
        """Between the groups, within the chosen one, within the other."""
        rest = self.size - self.first
        inside = sum(self._distances[a][b] for a, b in combinations(chosen, 2))
        between = sum(self._rows[place] for place in chosen) - 2 * inside
        outside = self._total - inside - between
        return (
            max(0.0, between / (self.first * rest)),
            inside / comb(self.first, 2),
            max(0.0, outside / comb(rest, 2)),
        )

    def statistic(self, chosen: Sequence[int]) -> float:
        """How much further apart the groups are than their members."""
        between, one, other = self.means(chosen)
        return between - (one + other) / 2


def _every(apart: _Apart, observed: float) -> tuple[float, int]:
    """The p over all ways to deal, the one that happened among them: so p is never 0."""
    splits = list(combinations(range(apart.size), apart.first))
    return _share(apart, splits, observed, 0), len(splits)


def _some(apart: _Apart, observed: float, random: Random) -> tuple[float, int]:
    """The p over random ways to deal and the one that happened, which is counted in: so p is never 0."""
    places = range(apart.size)
    splits = [random.sample(places, apart.first) for _ in range(RANDOM_SPLITS)]
    return _share(apart, splits, observed, 1), len(splits) + 1


def _share(apart: _Apart, splits: Sequence[Sequence[int]], observed: float, known: int) -> float:
    as_far = sum(apart.statistic(chosen) >= observed - _SLACK for chosen in splits)
    return (as_far + known) / (len(splits) + known)


def calls_apart(one: Sequence[tuple[str, Any]], other: Sequence[tuple[str, Any]]) -> float:
    """The share of what the calls say that is not said on both sides: names, each argument, each call as a whole."""
    mine, theirs = Counter(_sayings(one)), Counter(_sayings(other))
    return 1 - 2 * (mine & theirs).total() / (mine.total() + theirs.total())


def _sayings(calls: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, ...]]:
    for name, arguments in calls:
        yield name, "", _canonical(arguments)
        yield (name,)
        for path, value in _leaves(arguments, ""):
            yield name, path, _canonical(value)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The values at the ends of a JSON tree; from some depth on a branch is one value."""
    if isinstance(value, Mapping) and value and path.count("/") < 20:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}/{key}")
    elif isinstance(value, list) and value and path.count("/") < 20:
        for place, inner in enumerate(value):
            yield from _leaves(inner, f"{path}/{place}")
    else:
        yield path, value


def _canonical(value: Any) -> str:
    try:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return repr(value)
