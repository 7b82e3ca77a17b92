"""LOUD: for a while, async HTTP clients open connections of their own instead of those that they keep.

A connection belongs to the event loop that opened it, and a client that outlives its loop fails on the ones it kept
("Event loop is closed"). An agent that is run again in another loop, with the client it has always had, would. What is
touched is one private list of the pools of httpx's transport; where it is missing, nothing is.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

KEPT = "_connections"
TRANSPORTS = ("httpcore", "httpcore2")


@asynccontextmanager
async def own_connections() -> AsyncGenerator[None]:
    """Within: idle connections are put aside; at the end they are back, and those that were opened are closed."""
    aside = [(pool, _idle(pool)) for pool in _pools()]
    for pool, idle in aside:
        _leave_out(pool, idle)
    busy = {id(one) for pool, _ in aside for one in getattr(pool, KEPT)}
    try:
        yield
    finally:
        for pool, idle in aside:
            opened = [one for one in _idle(pool) if id(one) not in busy]
            _leave_out(pool, opened)
            getattr(pool, KEPT).extend(idle)
            for one in opened:
                await one.aclose()


def _pools() -> list[Any]:
    kinds = tuple(
        sys.modules[name].AsyncConnectionPool
        for name in TRANSPORTS
        if hasattr(sys.modules.get(name), "AsyncConnectionPool")
    )
    found = [one for one in gc.get_objects() if kinds and issubclass(type(one), kinds)]
    return [pool for pool in found if isinstance(getattr(pool, KEPT, None), list)]


def _idle(pool: Any) -> list[Any]:
    return [one for one in getattr(pool, KEPT) if one.is_idle()]


def _leave_out(pool: Any, left: list[Any]) -> None:
    kept = getattr(pool, KEPT)
    kept[:] = [one for one in kept if not any(one is other for other in left)]
