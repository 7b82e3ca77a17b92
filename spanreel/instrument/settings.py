"""What `spanreel.instrument(...)` was asked for, from its arguments and the environment. Opens nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from spanreel import location
from spanreel.exceptions import SpanreelError

LEVELS = ("full", "hashes", "metadata", "none")
Redact: TypeAlias = "Callable[[str], str] | None"


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process records.

    capture: full | hashes | metadata | none.
    endpoint: where standard spans go besides the recording; None: nowhere.
    endpoint_content: whether messages, arguments and results go there and to the application's provider.
    redact: the user's own redaction of one text, after the built-in patterns.
    """

    store: Path
    service_name: str | None = None
    endpoint: str | None = None
    protocol: str = "http/protobuf"
    endpoint_content: bool = False
    capture: str = "full"
    redact: Redact = None
    console: bool = False


def from_arguments(
    service_name: str | None,
    store: str | os.PathLike[str] | None,
    endpoint: str | None,
    endpoint_content: bool | None,
    capture: str,
    redact: Redact,
    console: bool,
) -> Settings:
    """Arguments win over the environment.

    Raises:
        SpanreelError: for a capture level that does not exist.
    """
    if capture not in LEVELS:
        raise SpanreelError(f"there is no capture level {capture!r}", f"use one of {', '.join(LEVELS)}")
    return Settings(
        store=location.resolve_store(store),
        service_name=service_name,
        endpoint=endpoint or _endpoint(),
        protocol=_protocol(),
        endpoint_content=_content_outward() if endpoint_content is None else endpoint_content,
        capture=capture,
        redact=redact,
        console=console,
    )


def sdk_disabled() -> bool:
    """Whether OTEL_SDK_DISABLED asks for no telemetry at all."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _endpoint() -> str | None:
    return (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or None
    )


def _protocol() -> str:
    return (
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
        or os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL")
        or "http/protobuf"
    )


def _content_outward() -> bool:
    asked = os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "").strip().upper()
    return asked in ("SPAN_ONLY", "SPAN_AND_EVENT", "TRUE")
