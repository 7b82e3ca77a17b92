"""A request and a response as matchers and filters of tests see them: the same values for every SDK. Values only."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from spanreel.replay.answer import body_bytes
from spanreel.wire import attributes as names
from spanreel.wire import recognise
from spanreel.wire.lenient import parse

if TYPE_CHECKING:
    from spanreel.instrument.responder import ModelRequest
    from spanreel.wire.spans import Span

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A model call as it leaves an SDK. headers: names as sent; of a recorded one only those that are kept."""

    dialect: str
    method: str
    uri: str
    headers: Pairs
    body: bytes

    @property
    def scheme(self) -> str:
        """Http or https."""
        return urlsplit(self.uri).scheme

    @property
    def host(self) -> str:
        """Name or address."""
        return urlsplit(self.uri).hostname or ""

    @property
    def port(self) -> int | None:
        """As the URL says it, else the scheme's."""
        parts = urlsplit(self.uri)
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)

    @property
    def path(self) -> str:
        """Of the URL."""
        return urlsplit(self.uri).path

    @property
    def query(self) -> list[tuple[str, str]]:
        """Parameters, sorted."""
        return sorted(parse_qsl(urlsplit(self.uri).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none."""
        return parse(self.body)

    @property
    def model(self) -> str | None:
        """The model that is asked."""
        return recognise.request_model(self.body, self.uri)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. status 0: nothing did."""

    status: int
    headers: Pairs
    body: bytes


def asked(request: ModelRequest) -> Request:
    """The request that an SDK makes now."""
    return Request(request.dialect, request.method.upper(), request.url, tuple(request.headers), request.body)


def recorded(span: Span) -> Request:
    """The request on an exchange span."""
    said = span.attributes
    return Request(
        str(said.get(names.WIRE_ASKED_DIALECT, said.get(names.WIRE_DIALECT, ""))),
        str(said.get(names.HTTP_METHOD, "POST")).upper(),
        str(said.get(names.WIRE_ASKED_URL, said.get(names.URL_FULL, ""))),
        pairs(said.get(names.WIRE_REQUEST_HEADERS)),
        body_bytes(said.get(names.WIRE_ASKED_BODY, said.get(names.HTTP_REQUEST_BODY))) or b"",
    )


def response(span: Span) -> Response:
    """The response on an exchange span."""
    said = span.attributes
    status = said.get(names.HTTP_STATUS, 0)
    return Response(
        status if isinstance(status, int) else 0,
        pairs(said.get(names.WIRE_RESPONSE_HEADERS)),
        body_bytes(said.get(names.HTTP_RESPONSE_BODY)) or b"",
    )


def with_request(span: Span, changed: Request) -> Span:
    """The span as if this had been asked."""
    said = dict(span.attributes)
    said[names.URL_FULL] = changed.uri
    said[names.WIRE_REQUEST_HEADERS] = _text(changed.headers)
    said[names.HTTP_REQUEST_BODY] = _entity(changed.body)
    said[names.HTTP_REQUEST_SIZE] = len(changed.body)
    return replace(span, attributes=said)


def with_response(span: Span, changed: Response) -> Span:
    """The span as if this had come back; another body has no chunks."""
    said = dict(span.attributes)
    if changed.body != body_bytes(said.get(names.HTTP_RESPONSE_BODY)):
        said.pop(names.WIRE_CHUNK_ENDS, None)
        said.pop(names.WIRE_CHUNK_MICROS, None)
        said[names.HTTP_RESPONSE_BODY] = _entity(changed.body)
        said[names.HTTP_RESPONSE_SIZE] = len(changed.body)
    said[names.HTTP_STATUS] = changed.status
    said[names.WIRE_RESPONSE_HEADERS] = _text(changed.headers)
    return replace(span, attributes=said)


def pairs(value: Any) -> Pairs:
    """Header pairs as a span keeps them: a JSON text."""
    found = parse(value) if isinstance(value, str) else value
    if not isinstance(found, (list, tuple)):
        return ()
    return tuple((str(pair[0]), str(pair[1])) for pair in found if len(pair) == 2)


def _text(headers: Pairs) -> str:
    return json.dumps([list(pair) for pair in headers], ensure_ascii=False, separators=(",", ":"))


def _entity(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
