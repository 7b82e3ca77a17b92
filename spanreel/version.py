"""The version of spanreel that is installed."""

from __future__ import annotations

from functools import cache
from importlib import metadata


@cache
def installed() -> str:
    """Such as ``0.1.0``; ``0.0.0`` for a source tree that was never installed."""
    try:
        return metadata.version("spanreel")
    except metadata.PackageNotFoundError:
        return "0.0.0"
