"""Spool framing: whole frames come back, torn and damaged ones never hide a good one."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire import spool
from spanreel.wire.dictionary import DICTIONARY, LIMIT, pack, unpack
from spanreel.wire.spool import HEADER, MARK, PACKED, Frames, frame, frames

SPAN = b'spanreel.wire.request.headers [["accept","application/json"]] http.response.body.content ' * 3
payload = (
    st.binary(max_size=64)
    | st.just(MARK * 3)
    | st.just(PACKED * 3)
    | st.binary(max_size=64).map(SPAN.__add__)
)
payloads = st.lists(payload, max_size=6)


@given(payloads)
def test_what_was_framed_comes_back(sent: list[bytes]) -> None:
    """Every payload is read back, in order, and nothing is called torn."""
    buffer = HEADER + b"".join(map(frame, sent))
    assert frames(buffer, 0) == Frames(sent, len(buffer), 0)


def test_what_is_shorter_packed_is_packed_and_plain_frames_are_read_too() -> None:
    """A record takes a fraction of its bytes; noise is kept as it is; both kinds stand in one file."""
    noise = bytes(range(256))
    assert frame(SPAN)[:4] == PACKED
    assert len(frame(SPAN)) < len(SPAN) / 3
    assert frame(noise)[:4] == MARK
    plain = struct.pack("<4sII", MARK, len(SPAN), zlib.crc32(SPAN, len(SPAN))) + SPAN
    assert frames(HEADER + plain + frame(SPAN) + frame(noise)).payloads == [SPAN, SPAN, noise]


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
    st.lists(payload.filter(bool), min_size=3, max_size=3),
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


@given(st.lists(payload.filter(bool), min_size=3, max_size=3), st.binary(max_size=200))
def test_whatever_stands_between_frames_hides_none(sent: list[bytes], junk: bytes) -> None:
    """Bytes of any kind in the place of a frame: the frames before and after them are read."""
    buffer = HEADER + frame(sent[0]) + junk + frame(sent[1]) + frame(sent[2])
    assert [one for one in frames(buffer).payloads if one in sent] == sent


def test_a_full_disk_in_the_middle_does_not_hide_what_came_after() -> None:
    """A partly written frame followed by whole ones: the whole ones are read."""
    buffer = HEADER + frame(b"one") + frame(bytes(range(256)) * 4)[:200] + frame(b"two")
    assert frames(buffer, 0).payloads == [b"one", b"two"]


@given(st.binary(max_size=200), st.integers(0, 250))
def test_any_bytes_are_survived(buffer: bytes, offset: int) -> None:
    """No bytes make the reader raise, loop, or go backwards."""
    found = frames(buffer, offset)
    assert found.next_offset >= min(offset, len(buffer))


def _packed(body: bytes, size: int) -> bytes:
    kept = struct.pack("<I", size) + body
    return struct.pack("<4sII", PACKED, len(kept), zlib.crc32(kept, len(kept))) + kept


def _by_another_dictionary(data: bytes) -> bytes:
    packer = zlib.compressobj(zdict=SPAN)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    "hostile",
    [
        _packed(pack(bytes(10_000_000), 9), 100),
        _packed(pack(b"short", 3), LIMIT),
        _packed(pack(b"short", 3), LIMIT + 1),
        _packed(pack(b"short", 3) + b"more", 5),
        _packed(b"no zlib", 7),
        _packed(_by_another_dictionary(SPAN), len(SPAN)),
        struct.pack("<4sII", PACKED, 2, zlib.crc32(b"ab", 2)) + b"ab",
    ],
)
def test_a_frame_that_lies_about_its_payload_is_skipped(hostile: bytes) -> None:
    """A bomb, a wrong size, another dictionary: no frame, counted, and the next one is read."""
    found = frames(HEADER + hostile + frame(SPAN))
    assert found == Frames([SPAN], len(HEADER + hostile + frame(SPAN)), len(hostile))


def test_a_buffer_of_bombs_is_read_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames that unpack to much are handed over in portions; in all of them nothing is lost or counted as torn."""
    monkeypatch.setattr(spool, "_AT_ONCE", 5_000_000)
    large = bytes(2_000_000)
    buffer = HEADER + b"".join([frame(large)] * 8)
    counts, torn, found = [], 0, frames(buffer)
    while found.more:
        counts.append(len(found.payloads))
        torn += found.torn_bytes
        found = frames(buffer, found.next_offset)
    assert [*counts, len(found.payloads)] == [3, 3, 2]
    assert torn + found.torn_bytes == 0


@given(st.binary(max_size=300), st.integers(0, 400))
def test_unpacking_any_bytes_is_survived(packed: bytes, size: int) -> None:
    """It gives the size that was asked for, or nothing."""
    found = unpack(packed, size)
    assert found is None or len(found) == size


def test_the_dictionary_is_what_it_was() -> None:
    """Recordings made with it can be read with no other: a change needs a new mark."""
    assert zlib.adler32(DICTIONARY) == 0xCF6BE508
