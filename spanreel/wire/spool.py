"""The framing of a spool file: what an agent's process appends while no collector serves its store.

A file is `HEADER`, then frames: a mark, the payload's length, a CRC-32 over length and payload, the payload (an
`ExportTraceServiceRequest` in protobuf). It must not touch a file: bytes in, bytes out.

A process can die in the middle of a write and a disk can fill up, so a reader meets frames that are not whole. The
mark lets it find the next good one; the tail that may still be growing is left for later.
"""

from __future__ import annotations

import struct
import zlib
from typing import Final, NamedTuple

HEADER: Final = b"spanreel spool 1\n"
MARK: Final = b"\xf7SPR"
_HEAD: Final = struct.Struct("<4sII")  # mark, payload bytes, crc


class Frames(NamedTuple):
    """What a buffer held.

    payloads: of every whole frame, in order.
    next_offset: where to go on reading once the file has grown.
    torn_bytes: bytes that belong to no whole frame: skipped ones, and the tail from `next_offset` on.
    """

    payloads: list[bytes]
    next_offset: int
    torn_bytes: int


def frame(payload: bytes) -> bytes:
    """The bytes to append for one payload; written in one call, so that a reader sees all of it or a torn tail."""
    return _HEAD.pack(MARK, len(payload), _checksum(payload)) + payload


def frames(buffer: bytes, offset: int = 0) -> Frames:
    """Every whole frame from `offset` on. `offset` 0 stands before the header.

    Never raises: bytes that are no frame are skipped up to the next good one and counted.
    """
    position = len(HEADER) if offset == 0 and buffer.startswith(HEADER) else offset
    payloads: list[bytes] = []
    skipped = 0
    while position < len(buffer):
        payload = _frame_at(buffer, position)
        if payload is not None:
            payloads.append(payload)
            position += _HEAD.size + len(payload)
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


def _frame_at(buffer: bytes, position: int) -> bytes | None:
    """The payload of a whole and undamaged frame that starts here."""
    if len(buffer) - position < _HEAD.size:
        return None
    mark, size, crc = _HEAD.unpack_from(buffer, position)
    start = position + _HEAD.size
    if mark != MARK or start + size > len(buffer):
        return None
    payload = buffer[start : start + size]
    return payload if _checksum(payload) == crc else None


def _next_frame(buffer: bytes, start: int) -> int | None:
    position = buffer.find(MARK, start)
    while position >= 0:
        if _frame_at(buffer, position) is not None:
            return position
        position = buffer.find(MARK, position + 1)
    return None


def _may_grow(buffer: bytes, position: int) -> bool:
    """Whether the bytes from here to the end can be the beginning of a frame, or of the header."""
    rest = buffer[position : position + _HEAD.size]
    if position == 0 and HEADER.startswith(buffer):
        return True
    if len(rest) < _HEAD.size:
        return rest.startswith(MARK) or MARK.startswith(rest)
    mark, size, _ = _HEAD.unpack(rest)
    return mark == MARK and position + _HEAD.size + size > len(buffer)
