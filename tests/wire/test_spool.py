"""Spool framing: whole frames come back, torn and damaged ones never hide a good one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire.spool import HEADER, MARK, frame, frames

payloads = st.lists(st.binary(max_size=64) | st.just(MARK * 3), max_size=6)


@given(payloads)
def test_what_was_framed_comes_back(sent: list[bytes]) -> None:
    """Every payload is read back, in order, and nothing is called torn."""
    buffer = HEADER + b"".join(map(frame, sent))
    assert frames(buffer, 0) == (sent, len(buffer), 0)


@given(payloads, st.data())
def test_a_torn_tail_is_left_for_later(sent: list[bytes], data: st.DataObject) -> None:
    """Reading in two goes, cut anywhere, gives the same payloads as reading at once."""
    buffer = HEADER + b"".join(map(frame, sent))
    cut = data.draw(st.integers(0, len(buffer)))
    first = frames(buffer[:cut], 0)
    assert first.torn_bytes == cut - first.next_offset
    second = frames(buffer, first.next_offset)
    assert first.payloads + second.payloads == sent


@given(
    st.lists(st.binary(min_size=1, max_size=40), min_size=3, max_size=3),
    st.integers(0, 10**6),
    st.integers(1, 255),
)
def test_a_damaged_frame_is_skipped_and_counted(sent: list[bytes], where: int, flip: int) -> None:
    """One damaged byte in the middle frame costs that frame only, and its bytes are counted."""
    parts = [frame(payload) for payload in sent]
    damaged = bytearray(parts[1])
    damaged[where % len(damaged)] ^= flip
    buffer = HEADER + parts[0] + bytes(damaged) + parts[2]
    found = frames(buffer, 0)
    assert found.payloads == [sent[0], sent[2]]
    assert found.next_offset == len(buffer)
    assert found.torn_bytes == len(parts[1])


def test_a_full_disk_in_the_middle_does_not_hide_what_came_after() -> None:
    """A partly written frame followed by whole ones: the whole ones are read."""
    buffer = HEADER + frame(b"one") + frame(b"x" * 1000)[:200] + frame(b"two")
    assert frames(buffer, 0).payloads == [b"one", b"two"]


@given(st.binary(max_size=200), st.integers(0, 250))
def test_any_bytes_are_survived(buffer: bytes, offset: int) -> None:
    """No bytes make the reader raise, loop, or go backwards."""
    found = frames(buffer, offset)
    assert found.next_offset >= min(offset, len(buffer))
