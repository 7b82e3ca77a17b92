"""OTLP over HTTP: POST /v1/traces in protobuf or JSON, and GET /healthz.

It must not decode or store: bytes go to the pipeline, and the answer is given when they are on the disk. Errors are
`google.rpc.Status` in the request's own content type, as the OTLP specification asks.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Final

from google.rpc import status_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spanreel.collector import decode
from spanreel.collector.pipeline import Pipeline, QueueFull, Stopped
from spanreel.collector.receivers.compression import TooLarge, UnknownEncoding, unpack
from spanreel.collector.settings import CollectorSettings, is_loopback
from spanreel.exceptions import BadInput, StoreError

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"
_RPC_CODES: Final = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 11, 415: 3, 429: 8, 500: 13, 503: 14}
_RETRY_SECONDS: Final = 1
Endpoint = Callable[[Request], Awaitable[Response]]


def application(pipeline: Pipeline, settings: CollectorSettings) -> Starlette:
    """The HTTP side of a collector as an ASGI application."""

    async def traces(request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (PROTOBUF, JSON):
            return _error(request, 415, f"content type {kind or 'none'}; send {PROTOBUF} or {JSON}")
        try:
            body = await _body(request, settings)
            answer = pipeline.submit(body, decode.decode_json if kind == JSON else decode.decode)
            decoded = await asyncio.wrap_future(answer)
        except _Refused as refused:
            return _error(request, refused.status, refused.reason)
        except BadInput as fault:
            return _error(request, 400, str(fault))
        except QueueFull:
            return _error(request, 429, "the store cannot keep up; come back later")
        except (StoreError, Stopped) as fault:
            return _error(request, 503, str(fault) or "the collector is shutting down")
        return _accepted(kind, decoded.rejected)

    async def health(_: Request) -> Response:
        return JSONResponse(
            {
                "status": "ok",
                "store": str(settings.store) if settings.loopback else "",
                "spans": pipeline.stored,
            }
        )

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"]
    return Starlette(
        routes=[
            Route("/v1/traces", _guarded(traces, settings), methods=["POST"]),
            Route("/healthz", _guarded(health, settings, token=False), methods=["GET"]),
            Route("/{path:path}", _guarded(_elsewhere, settings), methods=methods),
        ]
    )


async def _elsewhere(request: Request) -> Response:
    if request.url.path in ("/v1/logs", "/v1/metrics"):
        signal = request.url.path.rpartition("/")[2]
        return _error(
            request,
            404,
            f"this collector keeps traces, not {signal}; unset OTEL_{signal.upper()}_EXPORTER",
        )
    if request.url.path == "/v1/traces":
        return _error(request, 405, "POST an OTLP ExportTraceServiceRequest here")
    return _error(request, 404, f"nothing at {request.url.path}; OTLP goes to /v1/traces")


def _guarded(endpoint: Endpoint, settings: CollectorSettings, *, token: bool = True) -> Endpoint:
    async def call(request: Request) -> Response:
        if reason := _foreign(request, settings):
            return _error(request, 403, reason)
        if token and not _authorised(request, settings):
            return _error(request, 401, "send the collector's token as Authorization: Bearer …")
        return await endpoint(request)

    return call


class _Refused(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


async def _body(request: Request, settings: CollectorSettings) -> bytes:
    pieces: list[bytes] = []
    size = 0
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > settings.request_bytes:
        raise _Refused(413, f"{declared} bytes; the limit is {settings.request_bytes}: send smaller batches")
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > settings.request_bytes:
                raise _Refused(413, f"more than {settings.request_bytes} bytes: send smaller batches")
            pieces.append(piece)
    except ClientDisconnect:
        raise _Refused(400, "the client went away in the middle of the request") from None
    body = b"".join(pieces)
    encoding = request.headers.get("content-encoding", "")
    if not encoding:
        return body
    try:
        return await asyncio.to_thread(unpack, body, encoding, settings.unpacked_bytes)
    except TooLarge:
        raise _Refused(
            413, f"unpacks to more than {settings.unpacked_bytes} bytes: send smaller batches"
        ) from None
    except UnknownEncoding:
        raise _Refused(415, f"content encoding {encoding}; send gzip, deflate or none") from None


def _foreign(request: Request, settings: CollectorSettings) -> str | None:
    """Why a request that a web page of another site may have caused is refused."""
    host = _name(request.headers.get("host", ""))
    if settings.loopback and not (is_loopback(host) or host == settings.host):
        return f"host {host!r} is not this machine"
    origin = request.headers.get("origin")
    if origin is not None:
        name = _name(origin.partition("://")[2])
        if not name or not (name == host or (settings.loopback and is_loopback(name))):
            return f"requests from {origin} are not accepted"
    return None


def _name(authority: str) -> str:
    """Host name of `host:port` or `[address]:port`, in lower case."""
    text = authority.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _authorised(request: Request, settings: CollectorSettings) -> bool:
    if not settings.token:
        return True
    given = request.headers.get("authorization", "")
    return hmac.compare_digest(given.encode(), f"Bearer {settings.token}".encode())


def _accepted(kind: str, rejected: list[str]) -> Response:
    message = _summary(rejected)
    if kind == JSON:
        partial = (
            {"partialSuccess": {"rejectedSpans": str(len(rejected)), "errorMessage": message}}
            if rejected
            else {}
        )
        return Response(json.dumps(partial), media_type=JSON)
    answer = trace_service_pb2.ExportTraceServiceResponse()
    if rejected:
        answer.partial_success.rejected_spans = len(rejected)
        answer.partial_success.error_message = message
    return Response(answer.SerializeToString(), media_type=PROTOBUF)


def _summary(rejected: list[str]) -> str:
    more = f" (and {len(rejected) - 3} more)" if len(rejected) > 3 else ""
    return "; ".join(rejected[:3]) + more


def _error(request: Request, status: int, message: str) -> Response:
    headers = {"Retry-After": str(_RETRY_SECONDS)} if status in (429, 503) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    code = _RPC_CODES[status]
    if request.headers.get("content-type", "").startswith(PROTOBUF):
        body = status_pb2.Status(code=code, message=message).SerializeToString()
        return Response(body, status, headers, media_type=PROTOBUF)
    return JSONResponse({"code": code, "message": message}, status, headers)
