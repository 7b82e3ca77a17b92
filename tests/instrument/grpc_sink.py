"""A real OTLP/gRPC endpoint on loopback that keeps what it is sent."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import recorded
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from spanreel.wire.spans import Span


class GrpcSink(trace_service_pb2_grpc.TraceServiceServicer):
    """`payloads`: the requests, as bytes; `url`: where it listens, without encryption."""

    def __init__(self) -> None:
        self.payloads: list[bytes] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def Export(self, request: Any, context: Any) -> Any:
        self.payloads.append(request.SerializeToString())
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[Span]:
        return [span for payload in self.payloads for span in recorded.decoded(payload)]

    def __enter__(self) -> GrpcSink:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(1).wait(5)
