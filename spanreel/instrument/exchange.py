"""One HTTP exchange with a model, as events. No I/O happens here, and nothing is parsed or copied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

Decoder = Callable[[Sequence[bytes]], Iterable[bytes]]
"""Undoes a content encoding: encoded chunks in, decoded chunks out."""


@dataclass(slots=True)
class Exchange:
    """A request, and whatever came back for it. Held by reference until the exporting thread reads it.

    offsets_us: microseconds from the start at which each chunk came. `decode` undoes gzip and the like later.
    outcome: complete · closed · dropped · cancelled · error; empty while it is under way.
    """

    dialect: str
    method: str
    url: str
    request_headers: Sequence[tuple[str, str]]
    request_body: bytes
    transport: str
    lane: str = "0"
    role: str = "call"
    resend: int = 0
    status: int = 0
    response_headers: Sequence[tuple[str, str]] = ()
    chunks: list[bytes] = field(default_factory=list[bytes])
    offsets_us: list[int] = field(default_factory=list[int])
    decode: Decoder | None = None
    outcome: str = ""
    error: BaseException | None = None

    def received(self, chunk: bytes, offset_us: int) -> None:
        """More of the response body passed through on its way to the caller."""
        self.chunks.append(chunk)
        self.offsets_us.append(offset_us)
