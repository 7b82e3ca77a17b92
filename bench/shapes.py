"""Random programs of concurrent callers for `interleavings.py`: what each asks, how, and what it goes on with."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

SDKS = ("openai", "anthropic", "httpx")
MODES = ("whole", "whole", "stream", "part", "cancel", "retry")
FILLER = [
    "amber",
    "birch",
    "cedar",
    "delta",
    "ember",
    "fjord",
    "grove",
    "heron",
    "inlet",
    "jetty",
    "knoll",
    "larch",
    "maple",
    "north",
    "otter",
]


@dataclass(frozen=True)
class Op:
    kind: str  # ask | tool | agent
    text: str
    sdk: str = "openai"
    mode: str = "whole"


@dataclass(frozen=True)
class Shape:
    """callers: what each does. twins: places of those that do the same."""

    threads: bool
    clock: bool
    callers: tuple[tuple[Op, ...], ...]
    twins: frozenset[int]

    @classmethod
    def random(cls, rng: random.Random) -> Shape:
        def op(caller: str, place: int, *, asks: bool) -> Op:
            kind = "ask" if asks else rng.choice(["ask", "ask", "ask", "tool", "agent"])
            words = " ".join(rng.sample(FILLER, 6))
            mode = rng.choice(MODES)
            sdk = rng.choice(SDKS[:2] if mode == "retry" else SDKS)
            mark = " [fail]" if mode == "retry" and kind == "ask" else ""
            return Op(kind, f"{caller} question {place}: {words}{mark} {rng.randrange(10**9)}", sdk, mode)

        callers = [
            tuple(op(f"caller {number}", place, asks=place == 0) for place in range(rng.randint(2, 4)))
            for number in range(rng.randint(2, 4))
        ]
        twins: frozenset[int] = frozenset()
        if rng.random() < 0.6:
            same = tuple(
                Op(
                    "ask",
                    f"twins ask {place} {rng.randrange(10**9)}",
                    rng.choice(SDKS),
                    rng.choice(MODES[:5]),
                )
                for place in range(rng.randint(1, 2))
            )
            count = rng.randint(2, 3)
            twins = frozenset(range(len(callers), len(callers) + count))
            callers += [same] * count
        return cls(rng.random() < 0.4, rng.random() < 0.25, tuple(callers), twins)


def conversation(ops: tuple[Op, ...], clock: bool) -> Generator[tuple[Op, Any], str, list[str]]:
    """What a caller does, as operations and what they are given; returns what it got."""
    messages: list[dict[str, str]] = []
    got: list[str] = []
    for op in ops:
        if op.kind == "ask":
            now = f" It is {datetime.now().isoformat()}." if clock else ""
            messages = [*messages, {"role": "user", "content": op.text + now}]
            said = yield op, messages
            messages = [*messages, {"role": "assistant", "content": said}]
        else:
            said = yield op, op.text
        got.append(said)
    return got


class Pauses:
    """Random pauses, by caller, so that an interleaving is another one each time."""

    def __init__(self, seed: str) -> None:
        self._rng = random.Random(seed)

    def sync(self) -> None:
        pause = self._rng.choice((0, 0, 0, 0.0002, 0.001))
        time.sleep(pause)

    async def async_(self) -> None:
        for _ in range(self._rng.choice((0, 0, 1, 2, 5, 9))):
            await asyncio.sleep(0)
