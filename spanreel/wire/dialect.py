"""The protocol that every dialect answers: what a request and its reply say, from their bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from spanreel.wire.records import Content
from spanreel.wire.usage import Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: HTTP status, decoded entity bytes, and the content type the server named."""

    status: int
    body: bytes
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A model call as its dialect reads it. Whatever the bytes do not say is None or empty."""

    model: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    stream: bool = False
    usage: Usage = field(default_factory=Usage)
    finish_reasons: tuple[str, ...] = ()
    content: Content = field(default_factory=Content)
    error_type: str | None = None
    error_message: str | None = None
    finished: bool = False  # the reply reached the dialect's own end marker


class Dialect(Protocol):
    """One wire protocol of model calls."""

    @property
    def name(self) -> str:
        """Such as ``openai.chat``."""
        ...

    @property
    def operation(self) -> str:
        """The `gen_ai.operation.name`."""
        ...

    @property
    def provider(self) -> str:
        """The `gen_ai.provider.name` when the host does not say otherwise."""
        ...

    def recognises(self, path: str, body: bytes) -> bool:
        """Whether a POST of this body to this path speaks the dialect; the body is probed, never parsed."""
        ...

    def read(self, request: Mapping[str, Any], reply: Reply | None) -> Call:
        """What the call says. Never raises on strange bytes: what cannot be read is left out."""
        ...
