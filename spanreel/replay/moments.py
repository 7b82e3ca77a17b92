"""Nanoseconds since the epoch as people and JSON read them. Quiet: it formats times, it never asks for one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = EPOCH.replace(tzinfo=None)  # adding to it and writing it costs half


def timestamp(ns: int | None) -> str | None:
    """RFC 3339 UTC with microseconds, or None for a time that is not known."""
    if not ns or ns < 0:
        return None
    try:
        moment = _EPOCH + timedelta(0, 0, ns // 1000)
    except OverflowError:
        return None
    return moment.isoformat("T", "microseconds") + "Z"


def milliseconds(start_ns: int | None, end_ns: int | None) -> float | None:
    """How long it took, None while either end is not known."""
    return round((end_ns - start_ns) / 1e6, 6) if start_ns and end_ns else None
