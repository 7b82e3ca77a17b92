"""The framing of a spool file: what an agent's process appends while no collector serves its store.

A file is `HEADER`, then frames: a mark, the length of what follows the head, a CRC-32 over that length and what
follows, and the payload (an `ExportTraceServiceRequest` in protobuf): as it is after one mark; after the other its
length, then it packed with the preset dictionary. Every frame stands by itself, so that a damaged one hides no good
one. It must not touch a file: bytes in, bytes out.

A process can die in the middle of a write and a disk can fill up, so a reader meets frames that are not whole. The
mark lets it find the next good one; the tail that may still be growing is left for later.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

from spanreel.wire.dictionary import LIMIT, pack, unpack

HEADER: Final = b"spanreel spool 1\n"
MARK: Final = b"\xf7SPR"
PACKED: Final = b"\xf7SPZ"
_COMMON: Final = MARK[:3]  # what both marks begin with
_LEVEL: Final = (
    3  # the exporting thread pays: about 30 microseconds for a kilobyte; higher levels save a few per cent
)
_AT_ONCE: Final = 32 << 20  # bytes of payloads
_HEAD: Final = struct.Struct("<4sII")  # mark, bytes after the head, crc
_SIZE: Final = struct.Struct("<I")  # of the payload, before it when it is packed


class Frames(NamedTuple):
    """What a buffer held.

    payloads: of every whole frame, in order.
    next_offset: where to go on reading once the file has grown, or at once where `more` is set.
    torn_bytes: bytes that belong to no whole frame: skipped ones, and the tail from `next_offset` on.
    more: the payloads are many bytes already; whole frames may follow at `next_offset`, and nothing of them is counted.
    """

    payloads: list[bytes]
    next_offset: int
    torn_bytes: int
    more: bool = False


class _Frame(NamedTuple):
    payload: bytes
    size: int  # of the whole frame


def frame(payload: bytes) -> bytes:
    """The bytes to append for one payload; written in one call, so that a reader sees all of it or a torn tail."""
    if len(payload) <= LIMIT:
        packed = _SIZE.pack(len(payload)) + pack(payload, _LEVEL)
        if len(packed) < len(payload):
            return _HEAD.pack(PACKED, len(packed), _checksum(packed)) + packed
    return _HEAD.pack(MARK, len(payload), _checksum(payload)) + payload


def frames(buffer: bytes, offset: int = 0) -> Frames:
    """Every whole frame from `offset` on, or as many as give some 32 MiB. `offset` 0 stands before the header.

    Never raises: bytes that are no frame are skipped up to the next good one and counted.
    """
    position = len(HEADER) if offset == 0 and buffer.startswith(HEADER) else offset
    payloads: list[bytes] = []
    skipped = unpacked = 0
    while position < len(buffer):
        if unpacked >= _AT_ONCE:
            return Frames(payloads, position, skipped, more=True)
        whole = _frame_at(buffer, position)
        if whole is not None:
            payloads.append(whole.payload)
            position += whole.size
            unpacked += len(whole.payload)
            continue
        found = _next_frame(buffer, position + 1)
        if found is None:
            if not _may_grow(buffer, position):
                skipped += len(buffer) - position
                position = len(buffer)
            break
        skipped += found - position
        position = found
    return Frames(payloads, position, skipped + max(0, len(buffer) - position))


def _checksum(payload: bytes) -> int:
    return zlib.crc32(payload, len(payload) & 0xFFFFFFFF)


def _frame_at(buffer: bytes, position: int) -> _Frame | None:
    """A whole and undamaged frame that starts here."""
    if len(buffer) - position < _HEAD.size:
        return None
    mark, size, crc = _HEAD.unpack_from(buffer, position)
    start = position + _HEAD.size
    if mark not in (MARK, PACKED) or start + size > len(buffer):
        return None
    kept = buffer[start : start + size]
    if _checksum(kept) != crc:
        return None
    payload = kept if mark == MARK else _unpacked(kept)
    return None if payload is None else _Frame(payload, _HEAD.size + size)


def _unpacked(kept: bytes) -> bytes | None:
    if len(kept) < _SIZE.size:
        return None
    return unpack(kept[_SIZE.size :], _SIZE.unpack_from(kept)[0])


def _next_frame(buffer: bytes, start: int) -> int | None:
    position = buffer.find(_COMMON, start)
    while position >= 0:
        if _frame_at(buffer, position) is not None:
            return position
        position = buffer.find(_COMMON, position + 1)
    return None


def _may_grow(buffer: bytes, position: int) -> bool:
    """Whether the bytes from here to the end can be the beginning of a frame, or of the header."""
    rest = buffer[position : position + _HEAD.size]
    if position == 0 and HEADER.startswith(buffer):
        return True
    if len(rest) < _HEAD.size:
        return any(rest.startswith(mark) or mark.startswith(rest) for mark in (MARK, PACKED))
    mark, size, _ = _HEAD.unpack(rest)
    return mark in (MARK, PACKED) and position + _HEAD.size + size > len(buffer)
