"""OTLP over gRPC: `TraceService/Export`, the message handed on as the bytes it came in.

It must not decode or store. Codes are those of the OTLP specification: UNAVAILABLE and RESOURCE_EXHAUSTED with a delay
may be retried, INVALID_ARGUMENT may not. Other signals answer UNIMPLEMENTED, which exporters report.
"""

from __future__ import annotations

import hmac
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from spanreel.collector import decode
from spanreel.collector.pipeline import Pipeline, QueueFull, Stopped
from spanreel.collector.settings import CollectorSettings
from spanreel.exceptions import BadInput, SpanreelError, StoreError

_SERVICE: Final = "opentelemetry.proto.collector.trace.v1.TraceService"
_THREADS: Final = 16


def bind(pipeline: Pipeline, settings: CollectorSettings) -> tuple[grpc.Server, int]:
    """A gRPC server, not started yet, and the port it has.

    Raises:
        SpanreelError: the port is in use.
    """
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="spanreel-grpc")
    server = grpc.server(
        threads,
        options=[
            ("grpc.max_receive_message_length", settings.request_bytes),
            ("grpc.so_reuseport", 0),
        ],
    )
    export = grpc.unary_unary_rpc_method_handler(_Export(pipeline, settings))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {"Export": export}),))
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    try:
        port = server.add_insecure_port(f"{host}:{settings.grpc_port}")
    except RuntimeError:
        port = 0
    if not port:
        threads.shutdown()
        raise SpanreelError(
            f"port {settings.grpc_port} of {settings.host} is in use", "choose another with --grpc-port"
        )
    return server, port


class _Export:
    def __init__(self, pipeline: Pipeline, settings: CollectorSettings) -> None:
        self._pipeline = pipeline
        self._token = settings.token

    def __call__(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        if self._token and not self._authorised(context):
            context.abort(
                grpc.StatusCode.UNAUTHENTICATED, "send the collector's token as authorization: Bearer …"
            )
        try:
            decoded = self._pipeline.submit(body, decode.decode).result()
        except BadInput as fault:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(fault))
        except QueueFull:
            _abort_with_delay(
                context, grpc.StatusCode.RESOURCE_EXHAUSTED, "the store cannot keep up; come back later"
            )
        except (StoreError, Stopped) as fault:
            _abort_with_delay(
                context, grpc.StatusCode.UNAVAILABLE, str(fault) or "the collector is shutting down"
            )
        answer = trace_service_pb2.ExportTraceServiceResponse()
        if decoded.rejected:
            answer.partial_success.rejected_spans = len(decoded.rejected)
            answer.partial_success.error_message = "; ".join(decoded.rejected[:3])
        return answer.SerializeToString()

    def _authorised(self, context: grpc.ServicerContext) -> bool:
        given = dict(context.invocation_metadata()).get("authorization", "")
        text = given if isinstance(given, bytes) else given.encode()
        return hmac.compare_digest(text, f"Bearer {self._token}".encode())


def _abort_with_delay(context: grpc.ServicerContext, code: grpc.StatusCode, message: str) -> NoReturn:
    """End with a status that says when to come back: without that, clients do not retry RESOURCE_EXHAUSTED."""
    delay = AnyMessage()
    delay.Pack(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1)))
    status = status_pb2.Status(code=code.value[0], message=message, details=[delay])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)
    raise AssertionError
