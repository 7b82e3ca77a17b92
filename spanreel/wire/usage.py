"""Token counts of a model call, with one meaning whoever reported them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call, or of many added up. None: not reported.

    `input` includes cache reads and writes, `output` includes reasoning (GenAI conventions).
    """

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None

    def __add__(self, other: Usage) -> Usage:
        if not other:
            return self
        return Usage(
            _sum(self.input, other.input),
            _sum(self.output, other.output),
            _sum(self.cache_read, other.cache_read),
            _sum(self.cache_write, other.cache_write),
            _sum(self.reasoning, other.reasoning),
        )

    def __bool__(self) -> bool:
        return (
            self.input is not None
            or self.output is not None
            or self.cache_read is not None
            or self.cache_write is not None
            or self.reasoning is not None
        )


def _sum(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else one + other
