"""The seam: who answers this call?

Every tap asks the responder once per effect. Nobody (`None`) means the network, or the tool's own body.
Recording and replaying are the same code path with another responder; there is no second mechanism.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A model call about to leave: one HTTP attempt, its bytes as the SDK made them.

    lane: structural path of the thread that makes it (`threads.lane`).
    """

    dialect: str
    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    transport: str
    lane: str = "0"


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What to hand to the SDK instead of going to the network.

    Either a response (`status`, `headers`, body as `chunks`) or, with status 0, a transport error
    (`error_type` is the class's qualified name). `source` is recorded or stub.
    at_cut: of a stream that was not read to its end: called when more is asked for than was recorded, and raises.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[bytes, ...] = ()
    micros: tuple[int, ...] = ()
    error_type: str | None = None
    error_message: str = ""
    outcome: str = "complete"
    source: str = "recorded"
    source_run_id: str | None = None
    source_span_id: str | None = None
    tier: str = "exact"
    at_cut: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool about to run. `arguments` is the JSON value the model gave (or the call's own arguments)."""

    name: str
    arguments: Any
    call_id: str | None = None
    safety: str = "write"
    framework: str = ""
    lane: str = "0"


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What to hand back instead of running the tool: the codec's JSON text of a value, or of an exception to raise."""

    encoded: str
    source: str = "recorded"
    source_run_id: str | None = None
    source_span_id: str | None = None
    tier: str = "exact"


class Responder(Protocol):
    """Answers calls, or lets them through."""

    def model(self, request: ModelRequest) -> ModelAnswer | None:
        """None: the network answers. Raises Divergence or EffectDenied when nothing may."""
        ...

    def tool(self, request: ToolRequest) -> ToolAnswer | None:
        """None: the tool's body runs. Raises Divergence or EffectDenied when it may not."""
        ...


class Live:
    """Everything goes to the network and to the tools themselves."""

    def model(self, request: ModelRequest) -> ModelAnswer | None:
        return None

    def tool(self, request: ToolRequest) -> ToolAnswer | None:
        return None


LIVE = Live()
_current: Responder = LIVE


def current() -> Responder:
    """Who answers in this process."""
    return _current


def install(responder: Responder) -> Responder:
    """Let `responder` answer from now on, in every thread; returns the one that did until now."""
    global _current
    before, _current = _current, responder
    return before
