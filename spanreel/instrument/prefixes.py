"""Repeated history costs little: a request body is given as an earlier one's beginning and end, and what is between.

An agent sends its whole conversation again with every call, and its tools behind it. Bytes in, bytes out; must not touch a file. Looks for
the longest common beginning with the last few bodies of the same kind, by comparing halves, never byte by byte.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

RECENT = 16  # bodies that are looked at
WORTH = 256  # bytes saved below which a body is written whole
LIMIT = 32 * 1024 * 1024  # bytes of bodies kept in memory


class Shared(NamedTuple):
    """A body that begins, and perhaps ends, as another one does.

    base: span id (hex) of the other one. length, end: bytes in common at the beginning, and behind those at the end.
    """

    base: str
    length: int
    end: int = 0


class Bodies:
    """The request bodies that were written last."""

    def __init__(self) -> None:
        self._recent: deque[tuple[str, str, bytes]] = deque()
        self._size = 0

    def shared(self, kind: str, body: bytes) -> Shared | None:
        """The earlier body of this kind with the longest common beginning, cut where a character begins."""
        best, like = Shared("", WORTH - 1), b""
        for known, span_id, earlier in reversed(self._recent):
            if (
                known != kind
                or len(earlier) <= best.length
                or earlier[: best.length + 1] != body[: best.length + 1]
            ):
                continue
            best, like = Shared(span_id, common(earlier, body)), earlier
            if best.length == len(earlier) or best.length == len(body):
                break
        length = on_character(body, best.length)
        if not best.base or length < WORTH:
            return None
        end = common_end(like[length:], body[length:])
        while end and body[len(body) - end] & 0xC0 == 0x80:  # begins inside a UTF-8 character
            end -= 1
        return Shared(best.base, length, end)

    def written(self, kind: str, span_id: str, body: bytes) -> None:
        """From now on others may refer to this body."""
        if len(body) < WORTH:
            return
        self._recent.append((kind, span_id, body))
        self._size += len(body)
        while len(self._recent) > RECENT or (self._size > LIMIT and len(self._recent) > 1):
            self._size -= len(self._recent.popleft()[2])

    def forget(self) -> None:
        """Nothing can be referred to: what comes next goes elsewhere."""
        self._recent.clear()
        self._size = 0


def common(one: bytes, other: bytes) -> int:
    """How many bytes they have in common from the start."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:  # one[:low] is common, one[:high] is not
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low


def common_end(one: bytes, other: bytes) -> int:
    """How many bytes they have in common at the end."""
    low, high = 0, min(len(one), len(other))
    if one[len(one) - high :] == other[len(other) - high :]:
        return high
    while high - low > 1:  # the last `low` bytes are common, the last `high` are not
        middle = (low + high) // 2
        if one.endswith(other[len(other) - middle :]):
            low = middle
        else:
            high = middle
    return low


def on_character(body: bytes, length: int) -> int:
    """`length`, or the little less at which a UTF-8 character begins."""
    while 0 < length < len(body) and body[length] & 0xC0 == 0x80:
        length -= 1
    return length
