"""What filters leave of a call, on values: nothing crashes them, and what is filtered once stays so."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.exceptions import SpanreelError
from spanreel.replay.testing.filters import filtered, ignored
from spanreel.replay.testing.options import merged, mode
from spanreel.replay.testing.requests import Request

OPTIONS = merged(
    [
        {"filter_headers": ["X-One", ("x-two", "2")], "filter_query": ["a"]},
        {"filter_body": ["user", ("messages.content", "…"), "a.b"]},
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["user", "messages", "content", "a", "b"]), inner, max_size=3),
    max_leaves=12,
)  # fmt: skip


def request(body: bytes, uri: str = "https://h:1/v1/chat?a=1&b=2&a=3") -> Request:
    """A call with these bytes."""
    return Request("openai.chat", "POST", uri, (("x-one", "1"), ("X-Two", "1"), ("other", "1")), body)


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_can_be_filtered(body: bytes) -> None:
    """Bytes of any kind; a second time changes nothing."""
    found = filtered(request(body), OPTIONS)
    assert found is not None
    assert filtered(found, OPTIONS) == found


def test_what_is_left() -> None:
    """Names are left out or replaced, headers without regard to case; a dot goes into objects and lists."""
    body = {
        "user": "u",
        "messages": [{"content": "c", "role": "r"}, {"content": "d"}],
        "a": {"b": 1, "c": 2},
        "b": 3,
    }
    found = filtered(request(json.dumps(body).encode()), OPTIONS)
    assert found is not None
    assert found.json == {
        "messages": [{"content": "…", "role": "r"}, {"content": "…"}],
        "a": {"c": 2},
        "b": 3,
    }
    assert found.headers == (("X-Two", "2"), ("other", "1"))
    assert found.query == [("b", "2")]
    assert (found.scheme, found.host, found.port, found.path) == ("https", "h", 1, "/v1/chat")


def test_hosts_that_are_ignored() -> None:
    """By name in any case; localhost by every name it has."""
    options = merged([{"ignore_hosts": ["Api.Example"], "ignore_localhost": True}])
    assert all(ignored(host, options) for host in ("api.example", "127.0.0.1", "localhost", "::1"))
    assert not ignored("example", options)


def test_later_sayings_win() -> None:
    """A module's options hold where a test's own mark says nothing; VCR.py's names mean the same."""
    options = merged([{"record_mode": "none", "clock": "now"}, {"record": "new_episodes"}])
    assert (options.record, options.clock) == ("new", "now")
    assert mode("rewrite") == "all"
    for said in ({"match_on": ["colour"]}, {"clock": "slow"}, {"filter_headers": [("a", print)]}):
        with pytest.raises(SpanreelError):
            merged([said])
