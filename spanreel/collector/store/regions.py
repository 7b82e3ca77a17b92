"""The message lists seen last, so that of a history that grew only the new end is read.

A cache only: nothing depends on what it still knows. Pure; its bytes are bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from spanreel.collector.store.lists import Region

_REGION_BYTES: Final = 64 << 20
_REGIONS_PER_LIST: Final = 3


class Regions:
    """The lists seen last, per conversation, attribute and member; the bytes they may take are bounded."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, str], list[Region]] = OrderedDict()
        self._size = 0

    def find(self, key: tuple[str, str, str], text: str, first: int) -> Region | None:
        """The region that shares the longest prefix with the text, if one shares any."""
        best, most = None, 0
        for region in self._kept.get(key, ()):
            shared = region.shared(text, first)
            if shared and region.ends[shared - 1] > most:
                best, most = region, region.ends[shared - 1]
        return best

    def keep(self, key: tuple[str, str, str], region: Region, replaces: Region | None) -> None:
        """Keep a region, in the place of the one it continues."""
        listed = self._kept.setdefault(key, [])
        self._kept.move_to_end(key)
        for index, other in enumerate(listed):
            if other is replaces:
                self._size -= len(other.text)
                del listed[index]
                break
        listed.insert(0, region)
        self._size += len(region.text)
        if len(listed) > _REGIONS_PER_LIST:
            self._size -= len(listed.pop().text)
        while self._size > _REGION_BYTES and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._size -= sum(len(other.text) for other in dropped)
