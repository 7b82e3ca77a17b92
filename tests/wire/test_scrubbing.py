"""What a run mints anew is taken out of texts; what is the user's stays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire.bodies import whole
from spanreel.wire.identity import SCRUBBED, identities, scrubbed_arguments
from spanreel.wire.scrubbing import Scrubber


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now 2026-11-22T04:12:19.123456+00:00 ok", "now <time> ok"),
        ("Today is Sunday, November 22, 2026.", "Today is <time>."),
        ("Sun, 22 Nov 2026 04:12:19 GMT", "<time>"),
        ("Sun Nov 22 04:12:19 UTC 2026", "<time>"),
        ("11/22/2026, 4:12 PM", "<time>"),
        ("Saturday 22nd of November 2026 at 10:15 am", "<time>"),
        ("at 04:12:19", "at <time>"),
        ("ts 1795320739.25 1795320739250 1795320739250000", "ts <time> <time> <time>"),
        ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "<uuid:1>"),
        ("<obj at 0x7f3a2b3c4d50>", "<obj at <address>>"),
        ("sha d41d8cd98f00b204e9800998ecf8427e", "sha <hex:1>"),
        ("/tmp/tmpab12cd34/report.txt and /tmp/tmpab12cd34", "<path:1>/report.txt and <path:1>"),
        ("/var/folders/a1/b2/T/tmpab12cd34.json", "<path:1>.json"),
        (r"C:\Users\x\AppData\Local\Temp\tmpabc123\f.txt", r"<path:1>\f.txt"),
    ],
)
def test_what_is_minted_becomes_a_placeholder(text, expected):
    """Each kind in its usual spellings."""
    assert Scrubber().text(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "card 4111111111111111, order #W1234567, item 1656367028",
        "meet 10:30 tomorrow in May 2026",
        "v1.2.3 on 10.0.0.1, phone 15551234567",
        "/home/me/tmp/a.txt",
        "deadbeef, decade, effaced",
        "a1b2-c3d4",
    ],
)
def test_what_is_the_users_stays(text):
    """Cards, orders, versions, paths of one's own: what they say is what was asked."""
    assert Scrubber().text(text) == text


def test_which_are_equal_stays_visible():
    """The same uuid has one name, another another; whether two times are equal is chance."""
    a, b = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6ba7b810-9dad-11d1-80b4-00c04fd430c9"
    scrubber = Scrubber()
    assert (
        scrubber.text(f"{a} {b} {a.upper()} 2026-01-01 2026-01-02")
        == "<uuid:1> <uuid:2> <uuid:1> <time> <time>"
    )
    assert scrubber.taken == [a, b, "2026-01-01", "2026-01-02"]


def test_numbers_that_are_times():
    """A clock's number in a JSON value is a time like one in a text; other numbers are content."""
    assert Scrubber().value({"at": 1795320739.5, "n": 3, "ok": True}) == {"at": "<time>", "n": 3, "ok": True}


def test_a_request_is_scrubbed_after_its_ids():
    """Ids keep their structural names, and what was taken out is told place by place."""

    def body(call: str, when: str) -> bytes:
        said = [
            {"role": "user", "content": f"now {when}"},
            {"role": "tool", "tool_call_id": call, "content": "ok"},
        ]
        return json.dumps({"model": "m", "messages": said, "user": "u"}).encode()

    one, other = body("call_1", "2026-11-22 10:00:00"), body("call_2", "2026-11-23 11:00:00")
    keys = [identities("openai.chat", "/p", each) for each in (one, other)]
    assert [a == b for a, b in zip(*keys, strict=True)] == [False, False, True]
    assert keys[0][2].startswith("c")
    left, right = (SCRUBBED.taken(whole(each)) for each in (one, other))
    assert [pair for pair in zip(left, right, strict=True) if len(set(pair)) == 2] == [
        ("call_1", "call_2"),
        ("2026-11-22 10:00:00", "2026-11-23 11:00:00"),
    ]


def test_arguments_hold_no_protocol():
    """An `id` among a tool's arguments is the user's; a uuid in them is minted."""
    one = scrubbed_arguments({"id": "W1", "trace": "6ba7b810-9dad-11d1-80b4-00c04fd430c8"})
    assert one.value == {"id": "W1", "trace": "<uuid:1>"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.datetimes().map(str) | st.uuids().map(str),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_value_can_be_scrubbed(value):
    """The result is a JSON value, the same every time, and holds nothing more to take out but what was no JSON number."""
    one, other = Scrubber(), Scrubber()
    first = one.value(value)
    assert json.dumps(first) == json.dumps(other.value(value))
    assert one.taken == other.taken
    again = Scrubber()
    again.value(first)
    assert again.taken == []
