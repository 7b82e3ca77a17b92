"""Two calls are the same when what reaches the model is; what a run mints anew makes no difference."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire.content import canonical_json
from spanreel.wire.differences import first_difference
from spanreel.wire.identity import (
    ABSENT,
    TIERS,
    canonical,
    exact,
    history,
    identities,
    structural,
)

if TYPE_CHECKING:
    from recorded_exchanges import Exchange

PATH = "/v1/chat/completions"


def keys(value: Any, path: str = PATH, dialect: str = "openai.chat") -> tuple[str, ...]:
    """The identity of a JSON body in every tier."""
    return identities(dialect, path, json.dumps(value).encode())


def conversation(identity: str, order: str = "W1", **more: Any) -> dict[str, Any]:
    """A request whose history holds one tool call."""
    call = {
        "id": identity,
        "type": "function",
        "function": {"name": "get", "arguments": json.dumps({"order_id": order})},
    }
    said = [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": identity, "content": "ok"},
    ]
    return {"model": "m", "messages": said, **more}


def test_key_order_and_spacing_are_not_identity():
    """The exact identity is of the JSON value: neither spaces nor the order of keys count, everything else does."""
    one = exact("d", "/p", b'{"a": 1, "b": [1, 2]}')
    assert one == exact("d", "/p", b'{"b":[1,2],"a":1}')
    assert one.startswith("e2:")
    others = [
        ("e", "/p", b'{"a":1,"b":[1,2]}'),
        ("d", "/q", b'{"a":1,"b":[1,2]}'),
        ("d", "/p", b'{"a":1.0,"b":[1,2]}'),
        ("d", "/p", b'{"a":1,"b":[2,1]}'),
    ]
    assert one not in {exact(*other) for other in others}


def test_minted_ids_are_renamed():
    """Ids that a run mints anew leave the structural identity as it is, and the exact one not."""
    one, other = keys(conversation("call_aaaaaaaaaaaaaaa1")), keys(conversation("call_bbbbbbbbbbbbbbb2"))
    assert one[0] != other[0]
    assert one[1] == other[1]
    assert one[1].startswith("s2:")


def test_which_ids_are_equal_still_counts():
    """A result tied to another call is another conversation."""
    swapped = conversation("call_1")
    swapped["messages"][1]["tool_call_id"] = "call_2"
    assert keys(conversation("call_1"))[1] != keys(swapped)[1]


def test_ids_of_the_user_are_content():
    """An order's id in a tool's arguments is what was asked for: as text, and as an object under a call's input."""
    assert keys(conversation("c", "W1"))[1] != keys(conversation("c", "W2"))[1]
    block = [
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"id": "W1"}}],
        }
    ]
    other = json.loads(json.dumps(block).replace("W1", "W2"))
    assert keys({"messages": block})[1] != keys({"messages": other})[1]


def test_ids_in_text_are_renamed_like_their_keys():
    """A minted id that a prompt quotes follows the id it quotes; words that look a little like one stay."""
    quoted = [
        conversation(i, user=i) | {"system": f"answer {i}"}
        for i in ("toolu_01AbCdEfGhIjKlMn", "toolu_01ZzZzZzZzZzZzZz")
    ]
    assert keys(quoted[0])[1] == keys(quoted[1])[1]
    assert (
        keys({"messages": "see call_center_support"})[1] != keys({"messages": "see call_center_service"})[1]
    )


def test_fields_that_never_reach_the_model():
    """Who asks, and where to cache, is no part of the structural identity; the stream flag is."""
    assert (
        keys(conversation("c"))[1]
        == keys(conversation("c", user="u7", metadata={"user_id": "s"}, prompt_cache_key="k"))[1]
    )
    assert keys(conversation("c"))[1] != keys(conversation("c", stream=True))[1]


def test_order_of_tools():
    """The order in which tools are listed does not matter, what they are does."""
    tools = [{"type": "function", "function": {"name": name}} for name in "abc"]
    assert keys({"tools": tools})[1] == keys({"tools": tools[::-1]})[1]
    assert keys({"tools": tools})[1] != keys({"tools": tools[:2]})[1]
    nested = [{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}]
    assert (
        keys({"tools": nested})[1]
        == keys({"tools": [{"functionDeclarations": [{"name": "b"}, {"name": "a"}]}]})[1]
    )


def test_a_proxy_changes_nothing_but_a_deployment_does():
    """Of the path the structural identity keeps only what names the model."""
    assert keys({}, "/proxy/v1/chat/completions")[1] == keys({})[1]
    assert (
        keys({}, "/openai/deployments/a/chat/completions")[1]
        != keys({}, "/openai/deployments/b/chat/completions")[1]
    )


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff\x00", b"[" * 100_000, b'"\\ud800"'])
def test_any_body_has_an_identity(body):
    """A body that is not JSON is known by its bytes."""
    assert exact("d", "/p", body) == exact("d", "/p", body)
    assert exact("d", "/p", body) != exact("d", "/p", body + b"x")
    assert structural("d", "/p", body).startswith("s2:")


def test_recorded_calls_are_told_apart(cassettes: list[tuple[str, Exchange]]):
    """Over all recorded requests, those of equal bytes have equal identities, and no tier joins unequal messages."""
    by_structure: dict[str, list[str]] = {}
    for known, exchange in cassettes:
        if known in ("openai_chat", "anthropic_messages"):
            assert len(identities(known, "/p", exchange.request)) == len(TIERS)
            value = json.loads(exchange.request)
            text = " ".join(str(said.get("content")) for said in history(value))
            by_structure.setdefault(structural(known, "/p", exchange.request), []).append(text)
    assert len(by_structure) > 100
    assert all(len(set(texts)) == 1 for texts in by_structure.values())


@pytest.mark.parametrize(
    ("a", "b", "difference"),
    [
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]}, ("$.a[1].b", 2, 3)),
        ({"a": [1]}, {"a": [1, 2]}, ("$.a[1]", ABSENT, 2)),
        ({"x": 1}, {}, ("$.x", 1, ABSENT)),
        ({"odd key": 1}, {"odd key": 1.0}, ('$["odd key"]', 1, 1.0)),
        ([True], [1], ("$[0]", True, 1)),
        ("a", ["a"], ("$", "a", ["a"])),
        ({"a": {"b": [None]}}, {"a": {"b": [None]}}, None),
    ],
)
def test_first_difference(a, b, difference):
    """The first place where two values differ, in the order of keys and items, with both sides."""
    assert first_difference(a, b) == difference


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "call_id", "messages", "input", "tools", "x"]), inner)
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_equal_text_and_no_difference_are_the_same(a, b):
    """No difference is found exactly where the canonical texts are equal; forms are stable and never grow ids."""
    assert (first_difference(a, b) is None) == (canonical_json(a) == canonical_json(b))
    assert canonical_json(canonical(a)) == canonical_json(canonical(json.loads(json.dumps(a))))


def test_canonical_text():
    """It keeps characters, tells numbers apart, and refuses what is no value."""
    assert canonical_json({"b": 1.0, "a": "é", "c": b"\0"}) == '{"a":"é","b":1.0,"c":{"base64":"AA=="}}'
    with pytest.raises(TypeError):
        canonical_json({"a": object()})
