"""A span as it was sent: frozen values, nothing interpreted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = "bool | int | float | str | bytes | Sequence[Value] | Mapping[str, Value] | None"
"""An OTLP AnyValue."""
Attributes: TypeAlias = "Mapping[str, Value]"


@dataclass(frozen=True, slots=True)
class Resource:
    """Who sent it."""

    attributes: Attributes = field(default_factory=dict[str, Value])
    schema_url: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which instrumentation made it."""

    name: str = ""
    version: str = ""
    attributes: Attributes = field(default_factory=dict[str, Value])
    schema_url: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span; time in nanoseconds since the epoch."""

    name: str
    time_ns: int = 0
    attributes: Attributes = field(default_factory=dict[str, Value])
    dropped_attributes: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """A pointer to another span; ids in lower-case hex."""

    trace_id: str
    span_id: str
    trace_state: str = ""
    attributes: Attributes = field(default_factory=dict[str, Value])
    dropped_attributes: int = 0
    flags: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """One OpenTelemetry span. Ids in lower-case hex, times in nanoseconds since the epoch.

    kind: 0 unspecified, 1 internal, 2 server, 3 client, 4 producer, 5 consumer.
    status: 0 unset, 1 ok, 2 error. An open span (`spanreel.open`) has end_ns 0.
    """

    trace_id: str
    span_id: str
    name: str
    parent_span_id: str | None = None
    kind: int = 1
    start_ns: int = 0
    end_ns: int = 0
    status: int = 0
    status_message: str = ""
    attributes: Attributes = field(default_factory=dict[str, Value])
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()
    resource: Resource = field(default_factory=Resource)
    scope: Scope = field(default_factory=Scope)
    trace_state: str = ""
    flags: int = 0
    dropped_attributes: int = 0
    dropped_events: int = 0
    dropped_links: int = 0
