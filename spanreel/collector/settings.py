"""How a collector is set up."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_REQUEST_BYTES: Final = 64 << 20
MAX_UNPACKED_BYTES: Final = 128 << 20
MAX_QUEUE_BYTES: Final = 256 << 20


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Settings of a collector.

    Attributes:
        store: path of the store that it writes.
        host: address to listen on; one that is not loopback needs a token.
        http_port: of OTLP over HTTP; 0 takes a free one.
        grpc_port: of OTLP over gRPC; 0 takes a free one.
        token: what clients must send as `Authorization: Bearer …`; empty for none.
        request_bytes: largest request as it comes over the network.
        unpacked_bytes: largest request after decompression.
        queue_bytes: how much may wait for the store before clients are asked to come back later.
    """

    store: Path
    host: str = "127.0.0.1"
    http_port: int = 4318
    grpc_port: int = 4317
    token: str = ""
    request_bytes: int = MAX_REQUEST_BYTES
    unpacked_bytes: int = MAX_UNPACKED_BYTES
    queue_bytes: int = MAX_QUEUE_BYTES

    @property
    def loopback(self) -> bool:
        """Whether only processes of this machine can reach it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
