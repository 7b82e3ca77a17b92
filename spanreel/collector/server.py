"""The collector: both receivers, the pipeline, the spool, and the announcement that tells agents it is there.

It must not decode or write spans itself.
"""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from spanreel.collector.pipeline import Pipeline
from spanreel.collector.settings import CollectorSettings
from spanreel.collector.store import Writer, drain_spool
from spanreel.exceptions import SpanreelError, StoreError
from spanreel.location import announced_collector, announcement_file

if TYPE_CHECKING:
    import grpc
    import uvicorn

_START_SECONDS: Final = 20.0
_log = logging.getLogger("spanreel.collector")


class Collector:
    """A collector that can be started and stopped; `serve` runs one until a signal comes."""

    def __init__(self, settings: CollectorSettings) -> None:
        self.settings = settings
        self.http_port = 0
        self.grpc_port = 0
        self._pipeline: Pipeline | None = None
        self._writer: Writer | None = None
        self._http: uvicorn.Server | None = None
        self._http_thread: threading.Thread | None = None
        self._grpc: grpc.Server | None = None

    def start(self) -> Collector:
        """Listen on both ports. When this returns, spans are accepted and agents can find the collector.

        Raises:
            SpanreelError: a port is in use, a token is missing, or another collector serves the store.
            StoreError: the store cannot be written.
        """
        if not self.settings.loopback and not self.settings.token:
            raise SpanreelError(
                f"listening on {self.settings.host} needs a token",
                "name one with --token, or listen on 127.0.0.1",
            )
        other = announced_collector(self.settings.store)
        if other is not None:
            raise SpanreelError(
                f"process {other.pid} collects into {self.settings.store} already (HTTP port {other.http_port})",
                "use that one, or name another --store",
            )
        try:
            self._listen()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Take no more requests, write what was received, and let go of the ports and the store."""
        self._withdraw()
        if self._http is not None and self._http_thread is not None:
            self._http.should_exit = True
            self._http_thread.join()
        if self._grpc is not None:
            self._grpc.stop(grace=5).wait()
        if self._pipeline is not None:
            self._pipeline.stop()
        if self._writer is not None:
            self._writer.close()
        self._http = self._grpc = self._pipeline = self._writer = None

    def __enter__(self) -> Collector:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def stored(self) -> int:
        """Spans written since the start."""
        return self._pipeline.stored if self._pipeline is not None else 0

    def _listen(self) -> None:
        from spanreel.collector.receivers import otlp_grpc

        listening = _bound(self.settings)
        self.http_port = int(listening.getsockname()[1])
        try:
            writer = self._writer = Writer(self.settings.store)
            self._drain(writer)
            pipeline = Pipeline(writer, self.settings.queue_bytes, lambda: self._drain(writer))
            self._grpc, self.grpc_port = otlp_grpc.bind(pipeline, self.settings)
            pipeline.start()
            self._pipeline = pipeline
            self._grpc.start()
            self._start_http(listening, pipeline)
        except BaseException:
            listening.close()
            raise
        self._announce()

    def _drain(self, writer: Writer) -> None:
        try:
            drain_spool(writer)
        except StoreError as error:  # somebody else drains: tried again in a second
            _log.info("%s", error)

    def _start_http(self, listening: socket.socket, pipeline: Pipeline) -> None:
        import uvicorn

        from spanreel.collector.receivers.otlp_http import application

        config = uvicorn.Config(
            application(pipeline, self.settings),
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=5,
            ws="none",
        )
        server = self._http = uvicorn.Server(config)
        # in a thread of its own uvicorn installs no signal handlers
        self._http_thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listening])), name="spanreel-http", daemon=True
        )
        self._http_thread.start()
        limit = time.monotonic() + _START_SECONDS
        while not server.started:
            if not self._http_thread.is_alive() or time.monotonic() > limit:
                raise SpanreelError("the HTTP server did not start", "run again with --debug")
            time.sleep(0.005)

    def _announce(self) -> None:
        """Say where the collector is, in a file that only its owner can read: it holds the token."""
        path = announcement_file(self.settings.store)
        found = {
            "pid": os.getpid(), "host": self.settings.host, "http_port": self.http_port, "grpc_port": self.grpc_port,
            "token": self.settings.token,
        }  # fmt: skip
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(found, file)
        Path(temporary).replace(path)

    def _withdraw(self) -> None:
        path = announcement_file(self.settings.store)
        other = announced_collector(self.settings.store)
        if other is not None and (other.pid, other.http_port) == (os.getpid(), self.http_port):
            path.unlink(missing_ok=True)


def serve(settings: CollectorSettings, started: Callable[[Collector], object] | None = None) -> None:
    """Collect until SIGINT or SIGTERM.

    Args:
        settings: what to serve and where.
        started: called once both ports listen.

    Raises:
        SpanreelError: it cannot start.
    """
    ended = threading.Event()
    with _signals(ended), Collector(settings) as collector:
        if started is not None:
            started(collector)
        ended.wait()


@contextmanager
def _signals(ended: threading.Event) -> Generator[None]:
    def end(_: int, __: FrameType | None) -> None:
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bound(settings: CollectorSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.http_port))
        listening.listen(256)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise SpanreelError(
                f"{settings.host} is no address of this machine", "choose another with --host"
            ) from None
        taken = error.errno == errno.EADDRINUSE
        reason = "is in use" if taken else f"cannot be used ({error.strerror})"
        raise SpanreelError(
            f"port {settings.http_port} of {settings.host} {reason}", "choose another with --http-port"
        ) from None
    return listening
