"""A conversation that is read from where it goes on is the same as one that is read whole."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire.bodies import BodyReader, whole
from spanreel.wire.differences import ABSENT
from spanreel.wire.identity import TIERS

ID = st.sampled_from(["call_1", "call_2", "call_3", "toolu_01AbCdEfGhIjKlMn"])
TEXT = st.sampled_from(
    ["hi", "", "é\ud800", "at 2026-11-22", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", '"messages": [', "]}"]
)
MESSAGES = st.one_of(
    st.builds(lambda text: {"role": "user", "content": text}, TEXT),
    st.builds(lambda one, text: {"role": "tool", "tool_call_id": one, "content": text}, ID, TEXT),
    st.builds(lambda one, text: {"role": "user", "content": [{"type": "tool_result", "tool_use_id": one, "content": text}]}, ID, TEXT),
    st.builds(
        lambda ids: {"role": "assistant", "content": None, "tool_calls": [{"id": one, "function": {"name": "f", "arguments": "{}"}} for one in ids]},
        st.lists(ID, max_size=3),
    ),
    TEXT,
    st.integers(),
)  # fmt: skip
CONVERSATIONS = st.lists(MESSAGES, max_size=8).flatmap(
    lambda messages: st.tuples(
        st.just(messages),
        st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=6),
        st.sampled_from([(",", ":"), (", ", ": ")]),
        st.sampled_from(["messages", "input", "contents"]),
    )
)


def spelled(messages: list, key: str, separators: tuple[str, str], first: bool) -> bytes:
    """A request; its other fields before or after the messages."""
    rest = {"model": "m", "tools": [{"input": [1]}, {"name": "f"}]}
    body = {key: messages, **rest} if first else {**rest, key: messages}
    return json.dumps(body, separators=separators).encode()


@given(CONVERSATIONS)
def test_reading_on_changes_nothing(conversation):
    """Whatever was read before, a body has the value, the identities and what they leave out that it has by itself."""
    messages, cuts, separators, key = conversation
    reader = BodyReader()
    for cut, first in cuts:
        raw = spelled(messages[:cut], key, separators, first)
        read, alone = reader.read(raw), whole(raw)
        assert (read.fields, read.key, read.messages) == (alone.fields, alone.key, alone.messages)
        for tier in TIERS:
            assert tier.key("d", "/p", read) == tier.key("d", "/p", alone)
            assert tier.taken(read) == tier.taken(alone) == tier.form(alone).taken


PIECES = st.lists(
    st.sampled_from(['{"messages":[', '"messages":[]', '{"a":1}', "1", ",", "]", "}", '"x":2', ' "input" : [', "\ud800", " ", "2"]),
    max_size=10,
).map(lambda pieces: "".join(pieces).encode("utf-8", "surrogatepass"))  # fmt: skip


@given(st.lists(PIECES, max_size=5))
def test_what_is_json_is_decided_as_by_the_parser(raws):
    """No torn, doubled or trailing piece is taken for a request, and none that is one is refused."""
    reader = BodyReader()
    for raw in raws:
        read, alone = reader.read(raw), whole(raw)
        assert (read.fields, read.key, read.messages) == (alone.fields, alone.key, alone.messages)
        assert [tier.key("d", "/p", read) for tier in TIERS] == [tier.key("d", "/p", alone) for tier in TIERS]


@pytest.mark.parametrize(
    "raw",
    [
        b'{"messages":[{"a":1},]}',
        b'{"messages":[{"a":1}],}',
        b'{"messages":[,]}',
        b'{"messages":[{"a":1}]} x',
    ],
)
def test_nearly_json_is_none(raw):
    """Also where the beginning is known."""
    reader = BodyReader()
    reader.read(b'{"messages":[{"a":1}]}')
    assert reader.read(raw).fields is ABSENT


def test_only_what_is_new_is_gone_over():
    """The walk over what both begin with is kept, and nobody changes it."""
    reader = BodyReader()
    said = [{"role": "user", "content": str(place)} for place in range(50)]
    first = reader.read(spelled(said[:40], "messages", (",", ":"), True))
    keys = [tier.key("d", "/p", first) for tier in TIERS]
    second = reader.read(spelled(said, "messages", (",", ":"), True))
    assert [second.walks[tier.name].count for tier in TIERS] == [40] * len(TIERS)
    assert second.messages[0] is first.messages[0]
    assert [tier.key("d", "/p", second) for tier in TIERS] != keys
    assert [tier.key("d", "/p", first) for tier in TIERS] == keys
