"""What `spanreel.instrument(...)` was asked for, from its arguments and the environment. Opens nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from spanreel import location
from spanreel.exceptions import SpanreelError
from spanreel.wire.redaction import DEFAULT_PATTERNS, Redactor

LEVELS = ("full", "hashes", "metadata", "none")
Redact: TypeAlias = "Callable[[str], str] | Mapping[str, Iterable[str]] | Redactor | None"
"""A function of one text, rules to add (`keys`, `paths`, `patterns`), or a redactor that replaces ours."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this process records.

    capture: full | hashes | metadata | none.
    endpoint: where standard spans go besides the recording, as the argument named it; None: as the environment says.
    by_pattern: the redactor has the built-in patterns and nothing else.
    outward: whether there is such an endpoint at all.
    endpoint_content: whether messages, arguments and results go there and to the application's provider.
    """

    store: Path
    service_name: str | None = None
    endpoint: str | None = None
    outward: bool = False
    protocol: str = "http/protobuf"
    endpoint_content: bool = False
    capture: str = "full"
    redactor: Redactor = field(default_factory=Redactor)
    by_pattern: bool = True
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
        endpoint=endpoint,
        outward=bool(endpoint) or _endpoint_in_environment(),
        protocol=_protocol(),
        endpoint_content=_content_outward() if endpoint_content is None else endpoint_content,
        capture=capture,
        redactor=_redactor(redact),
        by_pattern=redact is None,
        console=console,
    )


def sdk_disabled() -> bool:
    """Whether OTEL_SDK_DISABLED asks for no telemetry at all."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _redactor(redact: Redact) -> Redactor:
    if isinstance(redact, Redactor):
        return redact
    if redact is None or callable(redact):
        return Redactor(custom=redact)
    unknown = set(redact) - {"keys", "paths", "patterns"}
    if unknown:
        raise SpanreelError(f"redact={{{min(unknown)!r}: ...}} is no rule", "use keys, paths or patterns")
    patterns = (*DEFAULT_PATTERNS, *redact.get("patterns", ()))
    return Redactor(keys=redact.get("keys", ()), paths=redact.get("paths", ()), patterns=patterns)


def _endpoint_in_environment() -> bool:
    if os.environ.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() == "none":
        return False
    return bool(
        os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
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
