"""align: which step of one run is which step of another."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from compared_steps import chat, numbered, tool
from hypothesis import given
from hypothesis import strategies as st

from spanreel.replay.align import BAND, Pair, align
from spanreel.replay.timeline import ReplayStep

STEPS = st.lists(
    st.one_of(
        st.builds(tool, st.sampled_from(["get", "put"]), st.integers(0, 2), key=st.integers(0, 3)),
        st.builds(chat, st.sampled_from(["a b", "a c", "d"]), st.sampled_from(["x", "y z"])),
    ),
    max_size=14,
).map(lambda steps: numbered(*steps))


def relations(a: list[ReplayStep], b: list[ReplayStep]) -> list[str]:
    """The pairs as words."""
    return [f"{pair.relation} {pair.step.name}" for pair in align(a, b)]


def mirrored(pair: Pair) -> tuple[Any, ...]:
    """A pair as the comparison the other way round should tell it."""
    relation = {"added": "removed", "removed": "added"}.get(pair.relation, pair.relation)
    return (pair.b and pair.b.number, pair.a and pair.a.number, relation, pair.similarity)


def plain(pair: Pair) -> tuple[Any, ...]:
    """A pair as plain values."""
    return (pair.a and pair.a.number, pair.b and pair.b.number, pair.relation, pair.similarity)


@given(STEPS)
def test_a_run_is_the_same_as_itself(steps: list[ReplayStep]) -> None:
    """Every step of a run is paired with itself and called the same."""
    pairs = align(steps, steps)
    assert [(pair.a and pair.a.number, pair.b and pair.b.number) for pair in pairs] == [
        (step.number, step.number) for step in steps
    ]
    assert all(pair.relation == "same" and pair.similarity == 1.0 and not pair.paths for pair in pairs)


@given(STEPS, STEPS)
def test_every_step_is_in_exactly_one_pair(a: list[ReplayStep], b: list[ReplayStep]) -> None:
    """No step is lost and none is told twice."""
    pairs = align(a, b)
    assert sorted(pair.a.number or 0 for pair in pairs if pair.a) == [step.number for step in a]
    assert sorted(pair.b.number or 0 for pair in pairs if pair.b) == [step.number for step in b]
    for pair in pairs:
        assert (pair.a is None) == (pair.relation == "added")
        assert (pair.b is None) == (pair.relation == "removed")
        assert bool(pair.paths) == (
            pair.relation == "changed" or (pair.relation == "moved" and pair.similarity < 1)
        )


@given(STEPS, STEPS)
def test_comparing_the_other_way_round_mirrors(a: list[ReplayStep], b: list[ReplayStep]) -> None:
    """align(b, a) makes the same pairs as align(a, b)."""
    assert Counter(map(plain, align(a, b))) == Counter(map(mirrored, align(b, a)))


@given(STEPS, STEPS)
def test_pairs_that_are_not_moved_keep_their_order(a: list[ReplayStep], b: list[ReplayStep]) -> None:
    """Same and changed pairs never cross."""
    kept = [pair for pair in align(a, b) if pair.relation in ("same", "changed")]
    assert [pair.a and pair.a.number for pair in kept] == sorted(
        pair.a.number or 0 for pair in kept if pair.a
    )
    assert [pair.b and pair.b.number for pair in kept] == sorted(
        pair.b.number or 0 for pair in kept if pair.b
    )


def test_an_inserted_call_is_added_and_the_rest_stays_the_same() -> None:
    """One call more at the front does not shift everything behind it."""
    b = numbered(tool("look"), tool("get", id=1), tool("put", id=2))
    a = numbered(tool("get", id=1), tool("put", id=2))
    assert relations(a, b) == ["added look", "same get", "same put"]


def test_a_repeated_call_is_added_after_the_first() -> None:
    """Of equal calls the earlier ones are paired."""
    once, twice = (
        numbered(tool("get", id=1), chat("q", "a")),
        numbered(tool("get", id=1), tool("get", id=1), chat("q", "a")),
    )
    assert [plain(pair)[:3] for pair in align(once, twice)] == [
        (1, 1, "same"),
        (None, 2, "added"),
        (2, 3, "same"),
    ]


def test_changed_arguments_are_named_by_path() -> None:
    """The same tool with another argument is changed, not removed and added."""
    (pair,) = align(
        numbered(tool("get", order={"id": "#1"}, full=True)),
        numbered(tool("get", order={"id": "#2"}, full=True)),
    )
    assert (pair.relation, pair.paths) == ("changed", ["$.tool.tool_args.order.id"])
    assert 0 < pair.similarity < 1


def test_a_moved_call_is_told_from_a_removed_one() -> None:
    """A call made later is moved: one pair, not one removed and one added."""
    a = numbered(tool("user", id=1), tool("order", id=2), tool("product", id=3))
    b = numbered(tool("order", id=2), tool("product", id=3), tool("user", id=1))
    assert relations(a, b) == ["same order", "same product", "moved user"]


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (0, False), (None, ""), ("1", 1)])
def test_values_that_python_takes_for_equal_differ(one: Any, other: Any) -> None:
    """What is different JSON is different."""
    (pair,) = align(numbered(tool("get", key=one)), numbered(tool("get", key=other)))
    assert pair.paths == ["$.tool.tool_args.key"]


def test_minted_ids_are_no_difference() -> None:
    """Tool call ids of another run, also where a result or an answer repeats them, do not count."""

    def run(call_id: str, message_id: str) -> list[ReplayStep]:
        asks = [
            {
                "role": "assistant",
                "id": message_id,
                "parts": [{"type": "tool_call", "id": call_id, "name": "get", "arguments": {"n": 1}}],
            }
        ]
        heard = [{"role": "tool", "parts": [{"type": "tool_call_response", "id": call_id, "response": "5"}]}]
        first = chat("q", "").model_copy(update={"output_messages": asks})
        last = chat("", "done").model_copy(update={"input_messages": heard})
        return numbered(first, tool("get", {"content": "5", "tool_call_id": call_id}, call_id, n=1), last)

    assert [pair.relation for pair in align(run("call_a", "m1"), run("call_b", "m2"))] == ["same"] * 3


def test_swapped_answers_of_parallel_calls_are_a_difference() -> None:
    """A result is tied to its call by what was called: two results swapped are seen."""

    def run(first: str, second: str) -> list[ReplayStep]:
        calls = [
            {"type": "tool_call", "id": name, "name": "get", "arguments": {"n": n}}
            for n, name in enumerate("ab")
        ]
        heard = [
            {"type": "tool_call_response", "id": "a", "response": first},
            {"type": "tool_call_response", "id": "b", "response": second},
        ]
        ask = chat("q", "").model_copy(update={"output_messages": [{"role": "assistant", "parts": calls}]})
        return numbered(
            ask, chat("", "x").model_copy(update={"input_messages": [{"role": "tool", "parts": heard}]})
        )

    assert [pair.relation for pair in align(run("1", "2"), run("2", "1"))] == ["same", "changed"]


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.97])
def test_what_long_runs_share_is_found(shared: float) -> None:
    """Hundreds of steps, alike or not, the first of them moved to the end: what kept its order is paired with itself."""
    rolled = random.Random(7)
    a = [tool(f"t{n % 3}", n, key=f"value {rolled.random()}") for n in range(600)]
    b = [
        step if rolled.random() < shared else tool(step.name, "other", key=f"{rolled.random()}") for step in a
    ]
    alike = {n for n, (one, other) in enumerate(zip(a, b, strict=True), 1) if one is other}
    pairs = align(numbered(*a), numbered(*b[50:], *b[:50]))
    assert sum(pair.a is not None for pair in pairs) == sum(pair.b is not None for pair in pairs) == 600
    found = {pair.a.number: pair.relation for pair in pairs if pair.a and pair.similarity == 1.0}
    assert {n: relation for n, relation in found.items() if n > 50} == {n: "same" for n in alike if n > 50}
    assert set(found) <= alike


def test_runs_too_long_for_the_whole_table_stay_in_order() -> None:
    """Beyond the full table a band is searched; nothing is lost and equal steps still find each other."""
    a = numbered(*(tool("get", n, key=n % 7, pad=f"{n} {n * 3}") for n in range(1260)))
    b = numbered(*(tool("get", n + 1, key=n % 7, pad=f"{n} {n * 3}") for n in range(1240)))
    assert len(a) * len(b) > BAND
    pairs = align(a, b)
    assert sum(pair.relation == "changed" for pair in pairs) == 1240
    assert sum(pair.relation == "removed" for pair in pairs) == 20


def test_calls_that_ran_in_another_order_are_moved_not_changed() -> None:
    """Parallel calls of one kind: each is paired with its equal, wherever that is."""
    a = numbered(*(tool("slow", n * 10, n=n) for n in (1, 2, 3, 0)))
    b = numbered(*(tool("slow", n * 10, n=n) for n in (2, 0, 1, 3)))
    assert Counter(pair.relation for pair in align(a, b)) == {"same": 2, "moved": 2}


@given(STEPS, st.randoms(use_true_random=False))
def test_the_same_steps_in_any_order_are_the_same_steps(
    steps: list[ReplayStep], chance: random.Random
) -> None:
    """A permutation adds nothing, removes nothing and changes nothing."""
    assert {pair.relation for pair in align(steps, chance.sample(steps, len(steps)))} <= {"same", "moved"}


DISTINCT = st.lists(st.integers(0, 99), min_size=1, max_size=20, unique=True)


def calls(numbers: list[int]) -> list[ReplayStep]:
    """Tool calls that are told apart by one argument, and by other words in their results."""
    return numbered(*(tool("get", f"result {n}", order={"id": n}, full=True) for n in numbers))


def counted(a: list[ReplayStep], b: list[ReplayStep]) -> Counter[str]:
    """How many pairs of each relation there are, those that are the same left out."""
    return Counter(pair.relation for pair in align(a, b) if pair.relation != "same")


@given(DISTINCT, st.lists(st.integers(0, 20), max_size=5))
def test_inserted_calls_are_exactly_those_added(numbers: list[int], places: list[int]) -> None:
    """K calls more, anywhere: k added, and nothing else."""
    more = list(numbers)
    for n, place in enumerate(places):
        more.insert(place, 100 + n)
    assert counted(calls(numbers), calls(more)) == ({"added": len(places)} if places else {})
    assert counted(calls(more), calls(numbers)) == ({"removed": len(places)} if places else {})


@given(DISTINCT.filter(lambda numbers: len(numbers) > 1), st.data())
def test_two_swapped_calls_are_moved(numbers: list[int], data: st.DataObject) -> None:
    """Nothing is added, removed or changed; at most the two of them moved, and at least one did."""
    one, other = sorted(
        data.draw(st.lists(st.integers(0, len(numbers) - 1), min_size=2, max_size=2, unique=True))
    )
    swapped = list(numbers)
    swapped[one], swapped[other] = swapped[other], swapped[one]
    found = counted(calls(numbers), calls(swapped))
    assert set(found) == {"moved"}
    assert found["moved"] <= 2


@given(DISTINCT, st.data())
def test_one_changed_argument_is_one_changed_call_with_its_path(
    numbers: list[int], data: st.DataObject
) -> None:
    """The path is that of the argument, whatever stands around it."""
    a = calls(numbers)
    place = data.draw(st.integers(0, len(numbers) - 1))
    b = numbered(
        *a[:place], tool("get", f"result {numbers[place]}", order={"id": 100}, full=True), *a[place + 1 :]
    )
    (pair,) = (pair for pair in align(a, b) if pair.relation != "same")
    assert (pair.relation, pair.paths) == ("changed", ["$.tool.tool_args.order.id"])
    assert pair.changes == [("$.tool.tool_args.order.id", numbers[place], 100)]


@given(DISTINCT, st.data(), st.integers(1, 4))
def test_a_call_tried_again_is_repeated(numbers: list[int], data: st.DataObject, times: int) -> None:
    """Failed attempts of the same call are added and repeated; other inserted calls are not repeated."""
    place = data.draw(st.integers(0, len(numbers) - 1))
    failed = [tool("get", "503", order={"id": numbers[place]}, full=True)] * times
    a = calls(numbers)
    b = numbered(*a[:place], *failed, *a[place:], tool("other"))
    found = [(pair.relation, pair.repeated) for pair in align(a, b) if pair.relation != "same"]
    assert sorted(found) == [("added", False), *[("added", True)] * times]


def at(step: ReplayStep, offset: float, duration: float) -> ReplayStep:
    """The step, placed in time."""
    return step.model_copy(update={"offset": offset, "duration": duration})


def test_which_of_parallel_calls_began_first_is_no_difference() -> None:
    """Calls that ran at the same time in either run may change places; with one between them that did not, they moved."""
    one, two, three = tool("get", n=1), tool("get", n=2), tool("put", n=3)
    together = numbered(at(one, 0, 9), at(two, 1, 9), at(three, 20, 1))
    swapped = numbered(at(two, 0, 0.1), at(one, 1, 0.1), at(three, 20, 1))
    assert [pair.relation for pair in align(together, swapped)] == ["same"] * 3
    assert [pair.relation for pair in align(swapped, together)] == ["same"] * 3
    assert sum((pair.a.number, pair.b.number) in [(1, 2), (2, 1)] for pair in align(together, swapped) if pair.a and pair.b) == 2  # fmt: skip
    late = numbered(at(two, 0, 0.1), at(three, 1, 0.1), at(one, 2, 0.1))
    assert Counter(pair.relation for pair in align(together, late)) == {"same": 2, "moved": 1}
