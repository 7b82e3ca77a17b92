"""spanreel: one line records an agent as OpenTelemetry spans; from the spans alone it is shown, compared and run again."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("spanreel")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0"
