"""Decoding requests: every field of OTLP, and no bytes that make it raise anything undocumented."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spanreel.collector import decode
from spanreel.collector.receivers import compression
from spanreel.exceptions import BadInput
from spanreel.wire.spans import Event, Link, Resource, Scope, Span, Value
from tests.collector.traffic import TRACE, request, span

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | texts | st.binary(max_size=300) | st.just("long " * 60),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
attributes = st.dictionaries(texts | st.just("k" * 200), values, max_size=4)
counts = st.integers(0, 2**32 - 1)
ids = st.binary(min_size=8, max_size=8).filter(any).map(bytes.hex)
sent = st.lists(
    st.builds(
        span, st.integers(1, 10**6), st.just(TRACE), name=texts, parent_span_id=st.none() | ids, kind=st.integers(0, 5), status=st.integers(0, 2),
        status_message=texts, attributes=attributes, trace_state=texts, flags=counts, dropped_attributes=counts, dropped_events=counts,
        dropped_links=counts, events=st.lists(st.builds(Event, texts, st.integers(0, 2**63 - 1), attributes, counts), max_size=2).map(tuple),
        links=st.lists(st.builds(Link, st.just(TRACE), ids, texts, attributes, counts, counts), max_size=2).map(tuple),
        resource=st.builds(Resource, attributes, texts), scope=st.builds(Scope, texts, texts, attributes, texts),
    ),
    max_size=3,
)  # fmt: skip


@given(sent)
def test_every_field_is_decoded(spans: list[Span]) -> None:
    """Protobuf in, the same spans out, nothing rejected."""
    assert decode.decode(request(spans)) == decode.Decoded(spans)


@given(sent, st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=5))
@example([], [])
def test_damaged_requests_are_decoded_or_refused(spans: list[Span], flips: list[tuple[int, int]]) -> None:
    """Any damage gives spans, rejected spans, or BadInput; in protobuf, JSON, and every content encoding."""
    damaged = bytearray(request(spans) or b"\x0a")
    for where, value in flips:
        damaged[where % len(damaged)] = value
    for reader in (decode.decode, decode.decode_json):
        with contextlib.suppress(BadInput):
            reader(bytes(damaged))
    for encoding in ("gzip", "deflate"):
        with contextlib.suppress(BadInput, compression.TooLarge):
            compression.unpack(bytes(damaged), encoding, 1000)


def nested(depth: int) -> Value:
    """Lists within lists."""
    value: Value = "deep"
    for _ in range(depth):
        value = [value]
    return value


def _field(number: int, content: bytes) -> bytes:
    """A length-delimited protobuf field."""
    size, length = len(content), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_limits_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many spans refuse the request; too many attributes or levels reject the span and keep the rest."""
    wide = span(1, attributes={str(number): number for number in range(decode.MAX_ATTRIBUTES + 1)})
    found = decode.decode(request([wide, span(2)]))
    assert found.spans == [span(2)]
    assert "10,001 attributes; the limit is 10,000" in found.rejected[0]
    found = decode.decode(request([span(1, attributes={"a": nested(40)}), span(2)]))
    assert len(found.spans) == 2
    # the protobuf library cannot build deeper ones; as bytes they are easily made
    value = b""
    for _ in range(300):
        value = _field(5, _field(1, value))
    attribute = _field(1, b"a") + _field(2, value)
    head = request([span(2)])
    item = _field(1, bytes.fromhex(TRACE)) + _field(2, bytes(7) + b"\x09") + _field(9, attribute)
    found = decode.decode(head + _field(1, _field(2, _field(2, item))))
    assert (found.spans, len(found.rejected)) == ([span(2)], 1)
    monkeypatch.setattr(decode, "MAX_SPANS", 3)
    with pytest.raises(BadInput, match="4 spans in one request; the limit is 3"):
        decode.decode(request([span(number) for number in range(1, 5)]))
