"""Shared beginnings and ends: always a true prefix and suffix, cut where a character begins."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spanreel.instrument import prefixes
from spanreel.instrument.prefixes import Bodies, common, common_end


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_common_is_the_longest_common_beginning(start: bytes, one: bytes, other: bytes) -> None:
    """As a byte-by-byte comparison finds it."""
    left, right = start + one, start + other
    length = common(left, right)
    assert left[:length] == right[:length]
    assert length == min(len(left), len(right)) or left[length] != right[length]


@given(st.binary(max_size=200), st.binary(max_size=200), st.binary(max_size=200))
def test_common_end_is_the_longest_common_end(end: bytes, one: bytes, other: bytes) -> None:
    """As a byte-by-byte comparison from behind finds it."""
    assert common_end(one + end, other + end) == common((one + end)[::-1], (other + end)[::-1])


@given(st.lists(st.text(max_size=400), min_size=1, max_size=8), st.text(max_size=400), st.booleans())
def test_a_body_is_rebuilt_from_its_base_and_every_part_is_text(
    texts: list[str], end: str, grow: bool
) -> None:
    """For any growing history, whatever its characters."""
    bodies, written = Bodies(), {}
    for turn in range(len(texts)):
        said = texts[: turn + 1] if grow else texts[turn:]
        body = ("ä" * 300 + "".join(said) + end).encode("utf-8", "replace")
        shared = bodies.shared("k", body)
        if shared is not None:
            stop = len(body) - shared.end
            for part in (body[: shared.length], body[shared.length : stop], body[stop:]):
                part.decode()
            other = written[shared.base]
            assert (
                other[: shared.length] + body[shared.length : stop] + other[len(other) - shared.end :] == body
            )
            assert shared.length + shared.end <= min(len(body), len(other))
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
