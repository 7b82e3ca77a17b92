"""A real OTLP/HTTP endpoint on loopback that keeps what it is sent."""

from __future__ import annotations

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import recorded

from spanreel.wire.spans import Span


class OtlpSink:
    """`payloads`: the bodies, decompressed; `status`: what it answers; `token`: what it wants."""

    def __init__(self, status: int = 200, token: str = "") -> None:
        self.payloads: list[bytes] = []
        self.status = status
        self.token = token
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Span]:
        return [span for payload in self.payloads for span in recorded.decoded(payload)]

    def __enter__(self) -> OtlpSink:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


def _handler(sink: OtlpSink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status = sink.status
            if sink.token and self.headers.get("authorization") != f"Bearer {sink.token}":
                status = 401
            if status == 200:
                sink.payloads.append(
                    gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
                )
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

    return Handler
