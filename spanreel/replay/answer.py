"""One recorded answer of a model, from its exchange span: what to hand back, cut where it was read. Values only."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from spanreel.wire import attributes as names
from spanreel.wire import recognise
from spanreel.wire.dialect import Reply
from spanreel.wire.lenient import parse
from spanreel.wire.spans import Attributes, Span, Value

REDACTED = b"[redacted:"
_ENCODING_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one HTTP attempt.

    status: 0 where no response came; then `error_type` says why.
    chunks: the decoded body, cut where it was read. micros: when each came, microseconds from the request.
    whole: the body reached the end that its dialect knows; if not, nobody knows what would have followed.
    redacted: a secret in it was blanked before it was stored.
    """

    span_id: str
    status: int
    headers: tuple[tuple[str, str], ...] = ()
    chunks: tuple[bytes, ...] = ()
    micros: tuple[int, ...] = ()
    error_type: str | None = None
    error_message: str = ""
    outcome: str = "complete"
    whole: bool = True
    redacted: bool = False


def lacks_body(span: Span) -> bool:
    """Whether a response came whole, and its body was not kept."""
    said = span.attributes
    if names.WIRE_GIVEN_STATUS in said:
        return False
    came = said.get(names.HTTP_STATUS) and said.get(names.WIRE_OUTCOME, "complete") == "complete"
    return bool(came) and names.HTTP_RESPONSE_BODY not in said and said.get(names.HTTP_RESPONSE_SIZE) != 0


def of_span(dialect: str, request: bytes, span: Span) -> Answer:
    """The answer on an exchange span to a request of these bytes: what the agent was given, if that was another."""
    said = _as_given(span.attributes)
    status = said.get(names.HTTP_STATUS, 0)
    status = status if isinstance(status, int) else 0
    outcome = str(said.get(names.WIRE_OUTCOME, "complete"))
    body = body_bytes(said.get(names.HTTP_RESPONSE_BODY)) or b""
    chunks, micros = _chunks(body, said)
    error = said.get(names.ERROR_TYPE)
    return Answer(
        span_id=span.span_id,
        status=status,
        headers=_headers(said.get(names.WIRE_RESPONSE_HEADERS)),
        chunks=chunks,
        micros=micros,
        error_type=str(error) if error is not None and outcome in ("error", "cancelled") else None,
        error_message=str(said.get(names.WIRE_ERROR) or ""),
        outcome=outcome,
        whole=outcome in ("complete", "error") or _finished(dialect, request, status, body),
        redacted=REDACTED in body,
    )


_GIVEN = {
    names.HTTP_STATUS: names.WIRE_GIVEN_STATUS,
    names.WIRE_RESPONSE_HEADERS: names.WIRE_GIVEN_HEADERS,
    names.HTTP_RESPONSE_BODY: names.WIRE_GIVEN_BODY,
}


def _as_given(said: Attributes) -> Attributes:
    """Where an answer was rendered for the agent's SDK, that one, in one piece: the marks are of the one that came."""
    if names.WIRE_GIVEN_STATUS not in said:
        return said
    kept = {key: value for key, value in said.items() if key != names.WIRE_CHUNK_ENDS and key not in _GIVEN}
    return kept | {name: said[given] for name, given in _GIVEN.items() if given in said}


def _finished(dialect: str, request: bytes, status: int, body: bytes) -> bool:
    """Whether a body that the caller stopped reading had said all it had to say."""
    known = recognise.by_name(dialect)
    asked = parse(request)
    if known is None or not isinstance(asked, dict):
        return False
    return known.read(asked, Reply(status, body)).finished


def _chunks(body: bytes, said: Attributes) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    """The body cut where it was read; in one piece where the marks do not fit it (a secret was blanked)."""
    ends = _integers(said.get(names.WIRE_CHUNK_ENDS))
    micros = _integers(said.get(names.WIRE_CHUNK_MICROS))
    fits = bool(ends) and ends[-1] == len(body) and all(a <= b for a, b in itertools.pairwise(ends))
    if not fits:
        return ((body,) if body else ()), tuple(micros[-1:] if body else ())
    starts = (0, *ends[:-1])
    chunks = tuple(body[start:end] for start, end in zip(starts, ends, strict=True))
    return chunks, tuple(micros) if len(micros) == len(chunks) else ()


def _integers(value: Value) -> list[int]:
    if not isinstance(value, str):
        return []
    parts = value.split()
    return [int(part) for part in parts] if all(part.isascii() and part.isdigit() for part in parts) else []


def _headers(value: Value) -> tuple[tuple[str, str], ...]:
    """Those that were stored, but for what described a transfer that is over: the stored body is decoded."""
    pairs = parse(value) if isinstance(value, str) else value
    if not isinstance(pairs, (list, tuple)):
        return ()
    kept = [pair for pair in pairs if isinstance(pair, (list, tuple)) and len(pair) == 2]
    return tuple((str(a), str(b)) for a, b in kept if str(a).lower() not in _ENCODING_HEADERS)


def body_bytes(value: Value) -> bytes | None:
    """A body as it was sent: text is kept as text on a span."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return value if isinstance(value, bytes) else None
