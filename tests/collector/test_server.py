"""The collector over real sockets, with the exporters that everybody uses."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import status_pb2
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from spanreel.collector.server import Collector
from spanreel.collector.settings import CollectorSettings
from spanreel.collector.store import open_reader
from spanreel.exceptions import SpanreelError
from spanreel.location import announced_collector, announcement_file, spool_folder
from spanreel.wire import otlp
from spanreel.wire.spans import Span
from spanreel.wire.spool import HEADER, frame
from tests.collector.traffic import TRACE, request, span

PROTOBUF = "application/x-protobuf"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where the collector under test keeps its spans."""
    return tmp_path / "spans.db"


@pytest.fixture
def collector(store: Path) -> Iterator[Collector]:
    """A collector on free ports."""
    with Collector(CollectorSettings(store, http_port=0, grpc_port=0)) as running:
        yield running


def post(
    port: int, body: bytes, kind: str = PROTOBUF, path: str = "/v1/traces", **headers: str
) -> tuple[int, bytes, Any]:
    """POST over a real socket; errors come back like answers."""
    sent = {"Content-Type": kind} | {name.replace("_", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, sent)
    try:
        with urllib.request.urlopen(asked, timeout=20) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as answer:
        with answer:
            return answer.code, answer.read(), answer.headers


def stored(store: Path, trace_id: str = TRACE) -> list[Span]:
    """What a reader in another connection sees at once."""
    with open_reader(store) as reader:
        return reader.spans(trace_id)


def test_real_exporters_over_http_and_grpc(collector: Collector, store: Path) -> None:
    """What the SDK's exporters send, plain and gzipped, is in the store when they return."""
    from opentelemetry.exporter.otlp.proto.http import Compression

    exporters = [
        HttpExporter(f"http://127.0.0.1:{collector.http_port}/v1/traces"),
        HttpExporter(f"http://127.0.0.1:{collector.http_port}/v1/traces", compression=Compression.Gzip),
        GrpcExporter(f"127.0.0.1:{collector.grpc_port}", insecure=True),
        GrpcExporter(f"127.0.0.1:{collector.grpc_port}", insecure=True, compression=grpc.Compression.Gzip),
    ]
    for exporter in exporters:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        with provider.get_tracer("tests").start_as_current_span(
            "chat m", attributes={"gen_ai.operation.name": "chat"}
        ) as current:
            trace_id = f"{current.get_span_context().trace_id:032x}"
        [found] = stored(store, trace_id)
        assert (found.name, found.attributes["gen_ai.operation.name"]) == ("chat m", "chat")
        provider.shutdown()


def test_json_and_every_encoding_are_accepted(collector: Collector, store: Path) -> None:
    """Protobuf and JSON; identity, gzip and both kinds of deflate."""
    raw = zlib.compressobj(wbits=-15)
    bodies = [
        (request([span(1)]), PROTOBUF, {}),
        (json.dumps(otlp.encode([span(2)])).encode(), "application/json; charset=utf-8", {}),
        (gzip.compress(request([span(3)])), PROTOBUF, {"Content_Encoding": "gzip"}),
        (zlib.compress(request([span(4)])), PROTOBUF, {"Content_Encoding": "deflate"}),
        (raw.compress(request([span(5)])) + raw.flush(), PROTOBUF, {"Content_Encoding": "deflate"}),
    ]
    for body, kind, headers in bodies:
        status, answer, got = post(collector.http_port, body, kind, **headers)
        assert (status, answer) == (200, b"{}" if "json" in kind else b"")
        assert got["Content-Type"].startswith(kind.partition(";")[0])
    assert stored(store) == [span(number) for number in range(1, 6)]


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status"),
    [
        (b"\xff" * 50, PROTOBUF, {}, 400),
        (b"GET / HTTP/1.1", PROTOBUF, {}, 400),
        (b"{", "application/json", {}, 400),
        (b"[" * 100_000, "application/json", {}, 400),
        (b'{"a": 1}', "application/json", {}, 400),
        (b"", "text/plain", {}, 415),
        (b"x", PROTOBUF, {"Content_Encoding": "br"}, 415),
        (b"x", PROTOBUF, {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(b"x" * 1000, mtime=0)[:-9], PROTOBUF, {"Content_Encoding": "gzip"}, 400),
        (b"", PROTOBUF, {"Host": "evil.example"}, 403),
        (b"", PROTOBUF, {"Origin": "http://evil.example"}, 403),
    ],
)
def test_what_cannot_be_taken_is_refused_with_a_status(
    collector: Collector, body: bytes, kind: str, headers: dict[str, str], status: int
) -> None:
    """Garbage, unknown encodings and foreign sites get a google.rpc.Status in the request's content type; nothing breaks."""
    code, answer, got = post(collector.http_port, body, kind, **headers)
    assert code == status
    if kind == PROTOBUF:
        assert got["Content-Type"] == PROTOBUF
        assert status_pb2.Status.FromString(answer).message
    else:
        assert json.loads(answer)["message"]
    assert post(collector.http_port, request([span()]))[0] == 200


def test_bad_spans_are_a_partial_success(collector: Collector, store: Path) -> None:
    """One span without an id: it is counted as rejected, with a reason, and the rest is stored."""
    body = bytearray(request([span(1), span(2)]))
    at = bytes(body).index(bytes.fromhex(span(2).span_id))
    body[at : at + 8] = bytes(8)
    _, answer, _ = post(collector.http_port, bytes(body))
    partial = trace_service_pb2.ExportTraceServiceResponse.FromString(answer).partial_success
    assert partial.rejected_spans == 1
    assert "all zero" in partial.error_message
    assert stored(store) == [span(1)]


def test_limits_of_size(store: Path) -> None:
    """Too large, packed or unpacked, is 413 over HTTP and RESOURCE_EXHAUSTED over gRPC; the collector lives on."""
    with Collector(
        CollectorSettings(store, http_port=0, grpc_port=0, request_bytes=10_000, unpacked_bytes=20_000)
    ) as collector:
        assert post(collector.http_port, b"x" * 10_001)[0] == 413
        assert post(collector.http_port, gzip.compress(b"x" * 1_000_000), Content_Encoding="gzip")[0] == 413
        with grpc.insecure_channel(f"127.0.0.1:{collector.grpc_port}") as channel:
            export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
            with pytest.raises(grpc.RpcError) as refused:
                export(b"x" * 10_001)
            assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED  # type: ignore[attr-defined]
            export(request([span()]))
    assert stored(store) == [span()]


def test_grpc_garbage_is_invalid_and_other_signals_unimplemented(collector: Collector) -> None:
    """Bytes that are no request: INVALID_ARGUMENT; metrics: UNIMPLEMENTED, which exporters report."""
    with grpc.insecure_channel(f"127.0.0.1:{collector.grpc_port}") as channel:
        for method, expected in (
            ("trace.v1.TraceService", "INVALID_ARGUMENT"),
            ("metrics.v1.MetricsService", "UNIMPLEMENTED"),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary(f"/opentelemetry.proto.collector.{method}/Export")(b"\xff\xff\xff")
            assert refused.value.code().name == expected  # type: ignore[attr-defined]


def test_other_signals_over_http_are_refused_clearly(collector: Collector) -> None:
    """Logs and metrics are not swallowed: 404 says so."""
    for signal_name in ("logs", "metrics"):
        status, answer, _ = post(collector.http_port, b"", "application/json", f"/v1/{signal_name}")
        assert status == 404
        assert f"keeps traces, not {signal_name}" in json.loads(answer)["message"]


def test_a_token_is_asked_for_on_both_ports(store: Path) -> None:
    """With a token, requests without it are refused on HTTP and gRPC; the right one passes; health needs none."""
    with Collector(CollectorSettings(store, http_port=0, grpc_port=0, token="s3cret")) as collector:
        assert post(collector.http_port, request([span()]))[0] == 401
        assert post(collector.http_port, request([span()]), Authorization="Bearer s3cret")[0] == 200
        with grpc.insecure_channel(f"127.0.0.1:{collector.grpc_port}") as channel:
            export = channel.unary_unary("/opentelemetry.proto.collector.trace.v1.TraceService/Export")
            with pytest.raises(grpc.RpcError) as refused:
                export(request([span()]))
            assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
            export(request([span()]), metadata=(("authorization", "Bearer s3cret"),))
        with urllib.request.urlopen(f"http://127.0.0.1:{collector.http_port}/healthz") as answer:
            assert json.load(answer)["status"] == "ok"


def test_listening_for_others_needs_a_token(store: Path) -> None:
    """Beyond loopback there is no collector without a token."""
    with pytest.raises(SpanreelError, match="needs a token"):
        Collector(CollectorSettings(store, host="0.0.0.0", http_port=0, grpc_port=0)).start()


@pytest.mark.parametrize("which", ["http_port", "grpc_port"])
def test_a_port_in_use_is_one_clear_line(store: Path, which: str) -> None:
    """The message names the port and the option; nothing is left running."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = CollectorSettings(store, **({"http_port": 0, "grpc_port": 0} | {which: port}))
        with pytest.raises(
            SpanreelError,
            match=f"port {port} of 127.0.0.1 is in use; choose another with --{which.replace('_', '-')}",
        ):
            Collector(settings).start()
    assert not announcement_file(store).exists()


def test_the_announcement_is_private_and_goes_away(store: Path) -> None:
    """Agents find the collector through a file only the owner can read; it is gone after the end."""
    with Collector(CollectorSettings(store, http_port=0, grpc_port=0)) as collector:
        found = announced_collector(store)
        assert found is not None
        assert (found.http_port, found.grpc_port, found.pid) == (
            collector.http_port,
            collector.grpc_port,
            os.getpid(),
        )
        assert announcement_file(store).stat().st_mode & 0o777 == 0o600
        assert store.stat().st_mode & 0o777 == 0o600
        with pytest.raises(SpanreelError, match="collects into"):
            Collector(CollectorSettings(store, http_port=0, grpc_port=0)).start()
    assert not announcement_file(store).exists()


def test_the_spool_is_drained_at_start_and_while_serving(store: Path) -> None:
    """What processes left before, and what they leave meanwhile, gets into the store."""
    spool_folder(store).mkdir()
    (spool_folder(store) / "1-a").write_bytes(HEADER + frame(request([span(1)])))
    with Collector(CollectorSettings(store, http_port=0, grpc_port=0)):
        with open_reader(store, drain=False) as reader:
            assert reader.spans(TRACE) == [span(1)]
        (spool_folder(store) / "2-b").write_bytes(HEADER + frame(request([span(2)])))
        limit = time.monotonic() + 10
        while time.monotonic() < limit:
            with open_reader(store, drain=False) as reader:
                if len(reader.spans(TRACE)) == 2:
                    break
            time.sleep(0.1)
        else:
            pytest.fail("the spool was not drained while serving")


def test_many_clients_at_once_lose_nothing(collector: Collector, store: Path) -> None:
    """Eight clients, each span sent twice: every span is stored, once."""
    bodies = [request([span(10 * number + index) for index in range(1, 6)]) for number in range(40)] * 2
    with ThreadPoolExecutor(8) as clients:
        assert {
            answer[0] for answer in clients.map(lambda body: post(collector.http_port, body), bodies)
        } == {200}
    assert len(stored(store)) == 200


def test_a_full_queue_asks_to_come_back(store: Path) -> None:
    """While the store is kept busy by someone else, what exceeds the queue gets 429 with Retry-After, and nothing acknowledged is lost."""
    import sqlite3

    with Collector(CollectorSettings(store, http_port=0, grpc_port=0, queue_bytes=200)) as collector:
        blocker = sqlite3.connect(store, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        answers: list[tuple[int, bytes, Any]] = []
        threads = [
            threading.Thread(target=lambda n=n: answers.append(post(collector.http_port, request([span(n)]))))
            for n in range(1, 9)
        ]
        for thread in threads:
            thread.start()
        limit = time.monotonic() + 8
        while not answers and time.monotonic() < limit:
            time.sleep(0.02)
        blocker.execute("ROLLBACK")
        blocker.close()
        for thread in threads:
            thread.join()
    refused = [headers["Retry-After"] for status, _, headers in answers if status == 429]
    accepted = [status for status, _, _ in answers if status == 200]
    assert refused
    assert set(refused) == {"1"}
    assert len(refused) + len(accepted) == 8
    assert len(stored(store)) == len(accepted)


SERVE = """
import sys
from pathlib import Path
from spanreel.collector.server import serve
from spanreel.collector.settings import CollectorSettings
serve(CollectorSettings(Path(sys.argv[1]), http_port=0, grpc_port=0), lambda running: print(running.http_port, flush=True))
"""


def serving(store: Path) -> tuple[subprocess.Popen[str], int]:
    """A collector in a process of its own, and its HTTP port."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(store)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_what_was_acknowledged_survives_a_kill(store: Path) -> None:
    """After kill -9 in the middle of traffic every acknowledged span is in the store afterwards."""
    process, port = serving(store)
    acknowledged: list[int] = []
    with process:
        killer = threading.Timer(0.7, process.kill)
        killer.start()
        for number in range(1, 100_000):
            try:
                if post(port, request([span(number)]))[0] == 200:
                    acknowledged.append(number)
            except OSError:
                break
        killer.join()
    assert acknowledged
    assert {f"{number:016x}" for number in acknowledged} <= {found.span_id for found in stored(store)}
    assert announced_collector(store) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(store: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT: exit code 0, announcement withdrawn, spans there."""
    process, port = serving(store)
    with process:
        assert post(port, request([span()]))[0] == 200
        process.send_signal(number)
        assert process.wait(20) == 0
    assert not announcement_file(store).exists()
    assert stored(store) == [span()]
