"""Recorded spans of real emitters, decoded."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spanreel.wire import otlp
from spanreel.wire.spans import Span

RECORDINGS = Path(__file__).resolve().parents[2] / "recordings" / "emitters"


def decoded(path: Path) -> list[Span]:
    """The spans of an OTLP file: protobuf, JSON, or JSON lines, packed or not."""
    if path.suffix == ".pb":
        request = ExportTraceServiceRequest.FromString(path.read_bytes())
        return otlp.decode(MessageToDict(request))
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    lines = raw.splitlines() if ".jsonl" in path.suffixes else [raw]
    return [span for line in lines if line.strip() for span in otlp.decode(json.loads(line))]


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], list[Span]]:
    """The spans of one of our recordings of emitters, by the start of its name."""

    def find(name: str) -> list[Span]:
        return decoded(next(path for path in sorted(RECORDINGS.glob("*.json")) if path.name.startswith(name)))

    return find


@pytest.fixture(scope="session")
def decode() -> Callable[[Path], list[Span]]:
    """Decodes any OTLP file."""
    return decoded
