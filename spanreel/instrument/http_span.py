"""What an exchange says, as attributes of its span. Runs on the exporting thread; parses no body.

Bodies are bytes here: whoever writes them decides what is text.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from spanreel.instrument.exchange import Exchange
from spanreel.wire import attributes as names
from spanreel.wire import redaction

_ZLIB = {"gzip": 47, "x-gzip": 47, "deflate": 47}
_COUNT = re.compile(r"\d{1,6}")
_SAID_ELSEWHERE = ("x-stainless-", "content-length")  # the retry count; the size of the body as it is kept
UNDECODED = "response body kept as it came: "


def attributes(exchange: Exchange) -> dict[str, Any]:
    """Request, response and how it ended."""
    request_headers = exchange.request_headers()
    response_headers = exchange.response_headers() if exchange.status else ()
    known: dict[str, Any] = {
        names.WIRE_DIALECT: exchange.dialect,
        names.WIRE_TRANSPORT: exchange.transport,
        names.WIRE_ROLE: exchange.role,
        names.WIRE_LANE: exchange.lane,
        names.WIRE_OUTCOME: exchange.outcome,
        names.HTTP_METHOD: exchange.method,
        names.HTTP_RESEND: _resend(request_headers),
        names.HTTP_REQUEST_SIZE: len(exchange.request_body),
        names.HTTP_REQUEST_BODY: exchange.request_body,
        names.WIRE_REQUEST_HEADERS: _kept(tuple(request_headers)),
        **_place(exchange.url),
    }
    if exchange.status:
        known[names.HTTP_STATUS] = exchange.status
        known[names.WIRE_RESPONSE_HEADERS] = _pairs(
            redaction.response_headers(
                _telling(response_headers), clean=False
            )  # `privacy` searches the whole span
        )
        known.update(_body(exchange, response_headers))
        if exchange.status >= 400:
            known[names.ERROR_TYPE] = str(exchange.status)
    return {**known, **_changed(exchange)}


def _changed(exchange: Exchange) -> dict[str, Any]:
    """What the SDK itself asked and got, where an execution changed that."""
    known: dict[str, Any] = {}
    if exchange.asked is not None:
        known[names.WIRE_ASKED_DIALECT] = exchange.asked.dialect
        known[names.WIRE_ASKED_URL] = redaction.clean_url(exchange.asked.url)
        known[names.WIRE_ASKED_BODY] = exchange.asked.body
    if exchange.given is not None:
        known[names.WIRE_GIVEN_STATUS] = exchange.given.status
        known[names.WIRE_GIVEN_HEADERS] = _pairs(exchange.given.headers)
        known[names.WIRE_GIVEN_BODY] = b"".join(exchange.given.chunks)
    return known


@lru_cache(maxsize=64)
def _kept(headers: tuple[tuple[str, str], ...]) -> str:
    """Request headers as they are kept; a client sends the same ones again and again."""
    return _pairs(redaction.request_headers(_telling(headers)))


@lru_cache(maxsize=256)
def _place(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    known: dict[str, Any] = {names.URL_FULL: redaction.clean_url(url)}
    if parts.hostname:
        known[names.SERVER_ADDRESS] = parts.hostname
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    if port:
        known[names.SERVER_PORT] = port
    return known


def _body(exchange: Exchange, headers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The entity bytes with their chunk boundaries and times."""
    known: dict[str, Any] = {}
    chunks: Sequence[bytes] = exchange.chunks
    encoding = next((value for name, value in headers if name.lower() == "content-encoding"), "")
    if encoding and exchange.decode is not None and chunks:
        try:
            chunks = _decoded(exchange, encoding.strip().lower())
        except Exception as error:  # noqa: BLE001 - each client has its own decoding errors
            known[names.INCOMPLETE] = f"{UNDECODED}{encoding} ({type(error).__name__})"
    body = b"".join(chunks)
    ends, end = list[str](), 0
    for chunk in chunks:
        end += len(chunk)
        ends.append(str(end))
    known[names.HTTP_RESPONSE_SIZE] = len(body)
    known[names.HTTP_RESPONSE_BODY] = body
    known[names.WIRE_CHUNK_ENDS] = " ".join(ends)
    known[names.WIRE_CHUNK_MICROS] = " ".join(map(str, exchange.offsets_us[: len(ends)]))
    return known


def _decoded(exchange: Exchange, encoding: str) -> Sequence[bytes]:
    """Decoded chunks, one for each that came where the encoding is zlib's."""
    if encoding in _ZLIB:
        try:
            undo = zlib.decompressobj(_ZLIB[encoding])
            chunks = [undo.decompress(chunk) for chunk in exchange.chunks]
            return [*chunks[:-1], chunks[-1] + undo.flush()]
        except zlib.error:  # bare deflate, which clients accept too
            pass
    assert exchange.decode is not None
    return list(exchange.decode(encoding, exchange.chunks))


def _resend(headers: Sequence[tuple[str, str]]) -> int:
    """How many attempts came before this one, as the SDK says."""
    said = next((value for name, value in headers if name.lower() == "x-stainless-retry-count"), "")
    return int(said) if _COUNT.fullmatch(said) else 0


def _telling(headers: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what every request of an SDK repeats about its platform, and what is an attribute of its own."""
    return [(name, value) for name, value in headers if not name.lower().startswith(_SAID_ELSEWHERE)]


def _pairs(pairs: Any) -> str:
    return json.dumps([list(pair) for pair in pairs], ensure_ascii=False, separators=(",", ":"))
