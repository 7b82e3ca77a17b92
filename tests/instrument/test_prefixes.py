"""Shared beginnings: always a true prefix, cut where a character begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spanreel.instrument import prefixes
from spanreel.instrument.prefixes import Bodies, common


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_common_is_the_longest_common_beginning(start: bytes, one: bytes, other: bytes) -> None:
    """As a byte-by-byte comparison finds it."""
    left, right = start + one, start + other
    length = common(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


@given(st.lists(st.text(max_size=400), min_size=1, max_size=8))
def test_a_body_is_rebuilt_from_its_base_and_both_parts_are_text(texts: list[str]) -> None:
    """For any growing history, whatever its characters."""
    bodies, written = Bodies(), {}
    for turn in range(len(texts)):
        body = ("ä" * 300 + "".join(texts[: turn + 1])).encode("utf-8", "replace")
        shared = bodies.shared("k", body)
        if shared is not None:
            body[: shared.length].decode()
            body[shared.length :].decode()
            assert written[shared.base][: shared.length] + body[shared.length :] == body
        bodies.written("k", str(turn), body)
        written[str(turn)] = body


def test_memory_is_bounded() -> None:
    """Neither many bodies nor large ones pile up."""
    bodies = Bodies()
    for number in range(100):
        bodies.written("k", str(number), b"x" * 1_000_000)
    assert bodies._size <= prefixes.LIMIT
    assert len(bodies._recent) <= prefixes.RECENT
    bodies.forget()
    assert bodies.shared("k", b"x" * 1_000_000) is None
