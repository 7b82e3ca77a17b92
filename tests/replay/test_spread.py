"""Regression or noise: the distance of two answers, and the test over the distances."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanreel.replay import spread as module
from spanreel.replay.spread import Said, answers_needed, distance, least_p, spread

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
CALLS = st.lists(st.tuples(st.sampled_from(["look", "pay"]), JSON), max_size=3).map(tuple)
SAID = st.builds(
    Said,
    st.text(st.sampled_from("ab c.é"), max_size=20),
    CALLS,
    st.sampled_from([None, None, "TimeoutError"]),
)
WORDS = ["the", "rain", "in", "Paris", "is", "light", "today", "and", "warm", "tomorrow", "with", "sun"]


def drawn(random: Random, words: list[str], length: int = 12) -> Said:
    """An answer of random words."""
    return Said(" ".join(random.choice(words) for _ in range(length)))


@given(SAID, SAID)
def test_distance_is_symmetric_and_bounded(one: Said, other: Said) -> None:
    """From 0 to 1, the same in both directions, and 0 to itself."""
    apart = distance(one, other)
    assert 0 <= apart <= 1
    assert distance(other, one) == apart
    assert distance(one, one) == 0


@given(SAID, SAID)
def test_answers_that_differ_are_apart(one: Said, other: Said) -> None:
    """Only answers of the same words and the same calls have no distance."""
    if one.error is None and other.error is None and one.text != other.text:
        assert distance(one, other) > 0


def test_tool_calls_weigh_more_than_words() -> None:
    """Another argument is further than another word; calls in another order are the same calls; arguments do not change places."""
    ask = Said("I will look.", (("look", {"city": "Paris", "days": 2}),))
    reworded = Said("I shall look.", ask.calls)
    other = Said("I will look.", (("look", {"city": "Rome", "days": 2}),))
    assert 0 < distance(ask, reworded) < distance(ask, other) < distance(ask, Said("I will look.")) <= 1
    two = Said("", (("look", {"a": 1, "b": 2}), ("look", {"a": 3, "b": 4})))
    assert distance(two, Said("", two.calls[::-1])) == 0
    assert distance(two, Said("", (("look", {"a": 1, "b": 4}), ("look", {"a": 3, "b": 2})))) > 0


def test_a_failure_is_as_far_as_can_be() -> None:
    """From every answer; from a failure of the same kind it is no distance."""
    failed = Said(error="429")
    assert distance(failed, Said("yes")) == 1
    assert distance(failed, Said(error="429")) == 0


@pytest.mark.parametrize("size", [4, 5])
def test_one_distribution_is_outside_at_most_as_often_as_promised(size: int) -> None:
    """Answers of one setting are called a change in at most about 5 % of seeds (binomial bound at 300 seeds)."""
    outside = 0
    for seed in range(300):
        random = Random(seed)
        old, new = ([drawn(random, WORDS) for _ in range(size)] for _ in range(2))
        found = spread(old, new)
        outside += found.verdict == "outside the spread"
    assert 0 < outside <= 26  # 15 expected at most; 26 is beyond three standard deviations


def test_another_distribution_is_seen() -> None:
    """A setting that uses other words, or another tool half of the time, is outside in most of the seeds."""
    words = calls = 0
    for seed in range(60):
        random = Random(seed)
        old = [drawn(random, WORDS[:8]) for _ in range(5)]
        new = [drawn(random, WORDS[5:]) for _ in range(5)]
        words += spread(old, new).verdict == "outside the spread"
        asked = [Said("", ((random.choice(["look", "look", "pay"]), {}),)) for _ in range(8)]
        paid = [Said("", (("pay", {}),)) for _ in range(8)]
        calls += spread(asked, paid).verdict == "outside the spread"
    assert words >= 57
    assert calls >= 30


@settings(max_examples=40)
@given(st.lists(SAID, min_size=2, max_size=5), st.lists(SAID, min_size=2, max_size=5))
def test_it_does_not_matter_which_is_the_new_one(old: list[Said], new: list[Said]) -> None:
    """Verdict, p and effect are the same both ways round; p is never 0 and never below the least one."""
    one, other = spread(old, new), spread(new, old)
    assert one.verdict == other.verdict
    assert one.p == pytest.approx(other.p)
    assert one.effect == pytest.approx(other.effect)
    assert one.p is not None
    assert 0 < one.least_p <= one.p + 1e-12 <= 1 + 1e-12


def test_too_few_answers_say_so() -> None:
    """Three of each can never reach 0.05: that is said, with the number that can; one of each is not tested at all."""
    old, new = [Said("yes")] * 3, [Said("no")] * 3
    found = spread(old, new)
    assert (found.verdict, found.p, found.least_p) == ("cannot tell", 0.1, 0.1)
    assert "ask for 4" in found.why
    assert spread(old[:1], new[:1]).p is None
    assert spread([Said("yes")] * 4, [Said("no")] * 4).verdict == "outside the spread"
    assert answers_needed() == 4
    assert answers_needed(0.001) == 7


def test_equal_answers_are_within() -> None:
    """Where nothing differs at all, p is 1."""
    found = spread([Said("yes")] * 4, [Said("yes")] * 4)
    assert (found.verdict, found.p, found.effect) == ("within the spread", 1.0, 0.0)


def test_many_answers_are_dealt_at_random_by_a_fixed_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where not all ways are looked at, the same answers give the same p, close to that of all of them, and never 0."""
    random = Random(7)
    old, new = ([drawn(random, WORDS[begin:], 6) for _ in range(6)] for begin in (0, 1))
    exact = spread(old, new)
    monkeypatch.setattr(module, "EVERY_SPLIT", 10)
    monkeypatch.setattr(module, "RANDOM_SPLITS", 999)
    some: list[Any] = [spread(old, new) for _ in range(2)]
    assert some[0] == some[1]
    assert (exact.exact, some[0].exact, some[0].splits) == (True, False, 1000)
    assert some[0].p == pytest.approx(exact.p, abs=0.06)
    assert spread([Said("a")] * 9, [Said("b")] * 9).p >= 1 / 1000
    assert least_p(12, 12) == 1 / 1000
