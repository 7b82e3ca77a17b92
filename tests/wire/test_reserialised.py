"""What the model said is the same message as received and as an SDK sends it back."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire import lenient
from spanreel.wire.identity import EXACT, STRUCTURAL, identities

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from recorded_exchanges import Exchange


def same(one: Any, other: Any, *before: Any, key: str = "messages") -> list[bool]:
    """Whether two forms of an answer make the same request: exactly, and structurally."""
    bodies = [
        json.dumps({"model": "m", key: [*before, said, {"role": "user", "content": "go on"}]})
        for said in (one, other)
    ]
    keys = [identities("d", "/p", body.encode(), (EXACT, STRUCTURAL)) for body in bodies]
    return [a == b for a, b in zip(*keys, strict=True)]


def chat_pairs(exchanges: list[Exchange]) -> Iterator[tuple[Any, Any]]:
    """Each answer of a chat, and what a later request of the same recording repeats of it."""
    for place, exchange in enumerate(exchanges):
        answer = lenient.mapping(lenient.parse(exchange.reply.body))
        for choice in lenient.objects(answer.get("choices"))[:1]:
            said = lenient.mapping(choice.get("message"))
            yield from ((said, sent) for sent in sent_back(said, exchanges[place + 1 :]))


def sent_back(said: dict[str, Any], later: list[Exchange]) -> Iterator[Any]:
    """The first later message that has the calls of this one, or its text."""

    def known_by(message: dict[str, Any]) -> Any:
        calls = [call.get("id") for call in lenient.objects(message.get("tool_calls"))]
        return calls or message.get("content")

    if known_by(said):
        for exchange in later:
            for sent in lenient.objects(lenient.mapping(lenient.parse(exchange.request)).get("messages")):
                if sent.get("role") == "assistant" and known_by(sent) == known_by(said):
                    yield sent
                    return


def response_pairs(exchanges: list[Exchange]) -> Iterator[tuple[Any, Any]]:
    """Each item of a response, and what a later request repeats of it."""
    for place, exchange in enumerate(exchanges):
        for item in lenient.objects(lenient.mapping(lenient.parse(exchange.reply.body)).get("output")):
            for later in exchanges[place + 1 :]:
                sent = lenient.objects(lenient.mapping(lenient.parse(later.request)).get("input"))
                yield from ((item, one) for one in sent if item.get("call_id") and one.get("call_id") == item["call_id"] and one.get("type") == item["type"])  # fmt: skip


def test_real_answers_sent_back_are_the_same(cassettes: list[tuple[str, Exchange]]):
    """Every recorded pair is structurally equal, though few are equal JSON."""
    files: dict[str, list[Exchange]] = defaultdict(list)
    for dialect, exchange in cassettes:
        if dialect in ("openai_chat", "openai_responses"):
            files[exchange.name.rpartition("#")[0]].append(exchange)
    chats = [same(*pair) for exchanges in files.values() for pair in chat_pairs(exchanges)]
    items = [same(*pair, key="input") for exchanges in files.values() for pair in response_pairs(exchanges)]
    assert len(chats) >= 24
    assert len(items) >= 6
    assert all(structural for _, structural in chats + items)
    assert sum(exact for exact, _ in chats) / len(chats) < 0.5


def test_real_histories_in_their_leanest_form_are_the_same(shared: Path):
    """The retail episodes, their answers written as other SDKs do: no nulls, arguments with spaces, contents empty."""
    path = shared / "data" / "trajectories" / "tau_retail" / "gpt4o_tool_calling_100ep.json"
    for episode in json.loads(path.read_text("utf-8")):
        lean = [other_form(message) for message in episode["traj"]]
        bodies = [json.dumps({"messages": said}).encode() for said in (episode["traj"], lean)]
        one, other = (identities("openai.chat", "/p", body, (EXACT, STRUCTURAL)) for body in bodies)
        assert one[0] != other[0]
        assert one[1] == other[1]


def other_form(message: dict[str, Any]) -> dict[str, Any]:
    if message["role"] != "assistant":
        return message
    said = {key: value for key, value in message.items() if value not in (None, [])}
    for call in lenient.objects(said.get("tool_calls")):
        spaced = json.dumps(json.loads(call["function"]["arguments"]), indent=1)
        said["tool_calls"] = [
            {"type": "function", "function": {**call["function"], "arguments": spaced}, "id": call["id"]}
        ]
        said.setdefault("content", "")
    return said


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"role": "assistant", "content": "x"}, {"role": "assistant", "content": [{"type": "text", "text": "x"}]}),
        ({"role": "assistant", "content": "x"},
         {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "x", "annotations": []}]}),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": ""}}]},
         {"role": "assistant", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}),
        ({"role": "assistant", "content": [{"type": "text", "text": "x", "citations": None}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
         {"role": "assistant", "content": [{"type": "text", "text": "x"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}]}),
    ],
)  # fmt: skip
def test_two_ways_to_write_an_answer(one, other):
    """One meaning, two spellings."""
    assert same(one, other) == [False, True]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"role": "user", "content": ""}, {"role": "user"}),
        ({"role": "assistant", "content": "x", "refusal": None}, {"role": "assistant", "content": "x", "refusal": "no"}),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a":1}'}}]},
         {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a":1.0}'}}]}),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": '{"a": ""}'}}]},
         {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}),
        ({"role": "assistant", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}, {"role": "assistant", "content": "x"}),
    ],
)  # fmt: skip
def test_what_means_something_else_is_told_apart(one, other):
    """What the user said, a refusal, an argument, a cache mark."""
    assert same(one, other) == [False, False]


@pytest.mark.parametrize(
    ("calls", "results", "key"),
    [
        ([{"role": "assistant", "tool_calls": [{"id": "a"}, {"id": "b"}]}],
         [{"role": "tool", "tool_call_id": "a", "content": "1"}, {"role": "tool", "tool_call_id": "b", "content": "2"}], "messages"),
        ([{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}, {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"}],
         [{"type": "function_call_output", "call_id": "a", "output": "1"}, {"type": "function_call_output", "call_id": "b", "output": "2"}], "input"),
    ],
)  # fmt: skip
def test_results_of_parallel_calls_may_come_in_any_order(calls, results, key):
    """Each names its call; which result is whose counts all the same."""

    def structural(*messages: Any) -> str:
        return identities("d", "/p", json.dumps({key: messages}).encode(), (STRUCTURAL,))[0]

    told = structural(*calls, *results)
    assert told == structural(*calls, *results[::-1])
    field = "content" if key == "messages" else "output"
    crossed = [{**results[0], field: "2"}, {**results[1], field: "1"}]
    assert told != structural(*calls, *crossed)


def test_result_blocks_may_come_in_any_order():
    """The same within one message of blocks."""
    call = {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": name, "name": "f", "input": {}} for name in "ab"],
    }
    blocks = [{"type": "tool_result", "tool_use_id": name, "content": name} for name in "ab"]
    assert same({"role": "user", "content": blocks}, {"role": "user", "content": blocks[::-1]}, call) == [
        False,
        True,
    ]


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "assistant", "tool", "c", "{}", "[]", "message", "function_call", "tool_result"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["role", "type", "content", "tool_calls", "function", "arguments", "id", "call_id", "tool_call_id", "input", "text", "index"]),
        inner, max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(ODD, max_size=4), st.sampled_from(["messages", "input", "contents"]))
def test_any_history_has_an_identity(messages, key):
    """Values of any type in any place: never an error, and a body read twice is the same."""
    body = json.dumps({key: messages}).encode()
    assert identities("d", "/p", body) == identities(
        "d", "/p", json.dumps(json.loads(body), indent=1).encode()
    )
