"""One HTTP exchange with a model, as events. No I/O happens here, and nothing is parsed or copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from spanreel.instrument.responder import ModelAnswer, ModelRequest

Headers: TypeAlias = "Callable[[], Sequence[tuple[str, str]]]"
"""Gives the pairs when asked: reading them costs more than the call path should pay."""
Decoder: TypeAlias = "Callable[[str, Sequence[bytes]], Iterable[bytes]]"
"""Undoes a content encoding, as the client that received it would: its name and the encoded chunks in, decoded chunks out."""


@dataclass(slots=True)
class Exchange:
    """A request, and whatever came back for it. Held by reference until the exporting thread reads it.

    offsets_us: microseconds from the start at which each chunk came. `decode` undoes gzip and the like later;
    None: the chunks are decoded already.
    asked: what the SDK asked, where an execution sent something else. given: what the SDK got, where that is not what came.
    outcome: complete · closed · dropped · cancelled · error; empty while it is under way.
    """

    dialect: str
    method: str
    url: str
    request_headers: Headers
    request_body: bytes
    transport: str
    lane: str = "0"
    role: str = "call"
    status: int = 0
    response_headers: Headers = tuple[tuple[str, str]]
    chunks: list[bytes] = field(default_factory=list[bytes])
    offsets_us: list[int] = field(default_factory=list[int])
    decode: Decoder | None = None
    outcome: str = ""
    asked: ModelRequest | None = None
    given: ModelAnswer | None = None

    def received(self, chunk: bytes, offset_us: int) -> None:
        """More of the response body passed through on its way to the caller."""
        self.chunks.append(chunk)
        self.offsets_us.append(offset_us)
