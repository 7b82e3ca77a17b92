"""text/event-stream comes out the same however it was cut into chunks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire.framing.sse import Decoder, ServerEvent, events


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"data: a\n\n", [ServerEvent("", "a")]),
        (b"event: x\r\ndata: a\r\ndata:b\r\n\r\n", [ServerEvent("x", "a\nb")]),
        (b"\xef\xbb\xbfdata: a\r\rdata: b\r\r", [ServerEvent("", "a"), ServerEvent("", "b")]),
        (b": comment\nid: 7\ndata\n\ndata: x\n\n", [ServerEvent("", "", "7"), ServerEvent("", "x", "7")]),
        (b"event: lonely\n\ndata: a\n\n", [ServerEvent("", "a")]),
        (b"data: cut off", [ServerEvent("", "cut off")]),
        (b"event: no data", []),
        (b"data: \xff\n\n", [ServerEvent("", "\ufffd")]),
        (b"", []),
    ],
)
def test_events(body, found):
    """Fields, line ends, comments and byte order mark as the HTML standard has them; a cut event is given."""
    assert events(body) == found


BYTES = st.lists(
    st.sampled_from(
        [b"data: a", b"event: e", b"id: 1", b"\n", b"\r", b"\r\n", b"\n\n", b"\xc3", b"\xa9", b":"]
    )
).map(b"".join)


@given(BYTES | st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_chunks_do_not_matter(body, cuts):
    """Fed in any pieces, cut inside line ends and characters too, the events are those of the whole."""
    places = sorted({0, *(cut for cut in cuts if cut < len(body)), len(body)})
    decoder = Decoder()
    found = [event for start, end in itertools.pairwise(places) for event in decoder.feed(body[start:end])]
    assert found + decoder.finish() == events(body)
