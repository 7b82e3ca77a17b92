"""Hands spans to the collector that serves the store, if one announced itself. Runs on the exporting thread only."""

from __future__ import annotations

import http.client
import time
from collections.abc import Sequence
from pathlib import Path

from spanreel import location
from spanreel.instrument.guard import log_once
from spanreel.wire.spans import Span

LOOK_S = 2.0  # between two looks for a collector
TIMEOUT_S = 5.0


class Collecting:
    """One kept connection to the announced collector."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._announced: location.Announcement | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._look_at = 0.0

    def there(self) -> bool:
        """Whether a collector serves the store; looks now and then."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_S
            announced = location.announced_collector(self._store)
            if announced != self._announced:
                self.close()
                self._announced = announced
        return self._announced is not None

    def post(self, spans: Sequence[Span]) -> bool:
        """True: the collector has them, durably. False: it is not there, refused them, or failed."""
        if not self.there():
            return False
        from spanreel.instrument import encode

        payload = encode.request_bytes([encode.with_text(span) for span in spans])
        try:
            return self._accepted(payload)
        except (OSError, http.client.HTTPException) as error:
            log_once(
                "collector",
                "the collector does not answer (%s): recording to the spool",
                type(error).__name__,
            )
            self.close()
            self._announced = None  # until the next look
            return False

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def forked(self) -> None:
        """In the child: look again, over a connection of its own."""
        self.close()
        self._announced, self._look_at = None, 0.0

    def _accepted(self, payload: bytes) -> bool:
        announced = self._announced
        assert announced is not None
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                announced.host, announced.http_port, timeout=TIMEOUT_S
            )
        headers = {"Content-Type": "application/x-protobuf"}
        if announced.token:
            headers["Authorization"] = f"Bearer {announced.token}"
        self._connection.request("POST", "/v1/traces", payload, headers)
        response = self._connection.getresponse()
        answer = response.read()
        if response.status != 200:
            log_once("collector status", "the collector answered %d: recording to the spool", response.status)
            return False
        return not _rejected(answer)


def _rejected(answer: bytes) -> int:
    """How many spans the collector did not take."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
