"""One way to tell how two texts differ."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spanreel.replay.wording import Change, common_start, marked, similarity, word_diff


@given(st.text(), st.text())
def test_a_word_diff_holds_both_texts(one: str, other: str) -> None:
    """Joined up, each side of the changes is its text; no change is nothing to nothing."""
    changes = word_diff(one, other)
    assert "".join(change.one for change in changes) == one
    assert "".join(change.other for change in changes) == other
    assert all(change.one or change.other for change in changes)
    assert 0 <= similarity(one, other) <= 1


def test_a_replaced_phrase_is_one_change() -> None:
    """Spaces between replaced words belong to them."""
    assert word_diff("Be very brief.", "Be quite long.") == [
        Change("Be ", "Be "), Change("very brief", "quite long"), Change(".", "."),
    ]  # fmt: skip


def test_long_equal_stretches_are_shortened() -> None:
    """Only what stands around a change is shown."""
    text = " ".join(f"w{n}" for n in range(200))
    shown = marked(word_diff(text, text.replace("w100", "changed")))
    assert "[-w100-]{+changed+}" in shown
    assert len(shown) < 120


def test_changes_far_apart_in_a_long_text_are_told_apart() -> None:
    """Thousands of words between two changes do not make one change of them."""
    text = " ".join(f"w{n}" for n in range(4000))
    changed = text.replace("w7 ", "first ").replace("w3990 ", "last ")
    assert [change for change in word_diff(text, changed) if not change.equal] == [
        Change("w7", "first"), Change("w3990", "last"),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_start(one: list[int], other: list[int]) -> None:
    """All items before it are equal, the next ones are not."""
    shared = common_start(one, other)
    assert one[:shared] == other[:shared]
    assert shared in (len(one), len(other)) or one[shared] != other[shared]
