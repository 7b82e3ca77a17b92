"""The bundled model server: both wires, whole and streamed, and strict about what it was not asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.cli.tryout.answers import NotRecorded, load, read_anthropic, read_openai
from spanreel.cli.tryout.server import ModelServer, serving
from spanreel.exceptions import BadInput, SpanreelError

TURNS = json.loads(files("spanreel.cli.tryout").joinpath("answers.json").read_text())["conversations"][0][
    "turns"
]
SYSTEM, QUESTION = TURNS[0]["content"], TURNS[1]["content"]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    """A server with the bundled answers."""
    with serving(load(), port=0) as server:
        yield server


@pytest.fixture
def client(server: ModelServer) -> Iterator[openai.OpenAI]:
    """The real SDK, pointed at it."""
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


def opening(**changes: Any) -> Any:
    """The first request of the recorded conversation."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    return {"model": "gpt-5-mini", "messages": messages} | changes


def conversation() -> list[Any]:
    """The whole recorded conversation but its last answer, as an OpenAI client sends it."""
    messages: list[Any] = []
    for turn in TURNS[:-1]:
        message = {"role": turn["role"]}
        if turn["role"] == "tool":
            message |= {"tool_call_id": turn["id"], "content": json.dumps(turn["content"], indent=1)}
        elif turn.get("tool_calls"):
            message["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
                }
                for call in turn["tool_calls"]
            ]
        else:
            message["content"] = turn["content"]
        messages.append(message)
    return messages


def test_openai_whole(client: openai.OpenAI) -> None:
    """The first recorded answer asks for two tools."""
    reply = client.chat.completions.create(**opening())
    calls: Any = reply.choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ["get_order", "get_policy"]
    assert reply.usage is not None
    assert reply.usage.total_tokens == 260


def test_openai_answer_after_tools(client: openai.OpenAI) -> None:
    """Tool results are compared by value, so the spacing of their JSON does not matter."""
    reply = client.chat.completions.create(**opening(messages=conversation()))
    assert reply.choices[0].message.content == TURNS[-1]["content"]


def test_openai_stream_equals_whole(client: openai.OpenAI) -> None:
    """A streamed answer adds up to the whole one."""
    for messages in (opening()["messages"], conversation()):
        whole = client.chat.completions.create(**opening(messages=messages))
        with client.chat.completions.stream(**opening(messages=messages)) as stream:
            streamed = stream.get_final_completion()
        one, other = streamed.choices[0], whole.choices[0]
        assert (one.message.content or None, one.finish_reason) == (
            other.message.content,
            other.finish_reason,
        )
        assert [(call.id, call.function.arguments) for call in one.message.tool_calls or ()] == [
            (call.id, call.function.arguments)  # type: ignore[union-attr] - no custom tools here
            for call in other.message.tool_calls or ()
        ]
        assert streamed.usage == whole.usage


def test_same_request_same_bytes(client: openai.OpenAI) -> None:
    """Nothing in an answer depends on the clock."""
    first = client.chat.completions.with_raw_response.create(**opening())
    second = client.chat.completions.with_raw_response.create(**opening())
    assert first.content == second.content


@pytest.mark.parametrize("stream", [False, True])
def test_anthropic(server: ModelServer, stream: bool) -> None:
    """The same conversation over Anthropic's wire, to its end."""
    url = server.url.removesuffix("/v1")
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    results = {turn["id"]: json.dumps(turn["content"]) for turn in TURNS if turn["role"] == "tool"}
    with anthropic.Anthropic(base_url=url, api_key="none", max_retries=0) as client:
        for _ in range(3):
            arguments: Any = {
                "model": "gpt-5-mini",
                "max_tokens": 512,
                "system": SYSTEM,
                "messages": messages,
            }
            if stream:
                with client.messages.stream(**arguments) as events:
                    reply = events.get_final_message()
            else:
                reply = client.messages.create(**arguments)
            uses = [block for block in reply.content if block.type == "tool_use"]
            messages.append({"role": "assistant", "content": [block.model_dump() for block in reply.content]})
            blocks = [
                {"type": "tool_result", "tool_use_id": use.id, "content": results[use.id]} for use in uses
            ]
            messages.append({"role": "user", "content": blocks})
    assert reply.stop_reason == "end_turn"
    assert [block.text for block in reply.content if block.type == "text"] == [TURNS[-1]["content"]]
    assert reply.usage.output_tokens == 45


def test_changed_message_is_refused(client: openai.OpenAI) -> None:
    """An unrecorded request is a 400 that names the message, what came and what was recorded."""
    messages = conversation()
    messages[3]["content"] = '{"order_id": "1042", "item": "sofa"}'
    with pytest.raises(openai.BadRequestError, match=r"message 4 is not the recorded one.*sofa.*desk lamp"):
        client.chat.completions.create(**opening(messages=messages))


def test_other_model_is_refused(client: openai.OpenAI) -> None:
    """The answers belong to one model."""
    with pytest.raises(openai.BadRequestError, match="of model gpt-5-mini, not of gpt-9"):
        client.chat.completions.create(**opening(model="gpt-9"))


def test_other_path_is_refused(client: openai.OpenAI) -> None:
    """An unknown route says which ones there are."""
    with pytest.raises(openai.NotFoundError, match="/v1/chat/completions"):
        client.embeddings.create(model="gpt-5-mini", input="x")


def test_port_in_use(server: ModelServer) -> None:
    """A taken port is one line with the way out."""
    with pytest.raises(SpanreelError, match=r"cannot listen.*; spanreel try --serve --port 0"):
        ModelServer(load(), server.server_address[1])


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"model": "m", "conversations": [{"name": "n"}]}', '{"model": 1}']
)
def test_broken_answers_file(text: str) -> None:
    """A file that holds no answers is one clear error."""
    with pytest.raises(BadInput, match="the answers file cannot be read"):
        load(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["model", "messages", "role", "content"]), inner)
    ),
)


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes(body: bytes) -> None:
    """Whatever else is sent is refused in words, never by a crash."""
    for read in (read_openai, read_anthropic):
        with pytest.raises(NotRecorded, match=r"."):
            load().find(read(body))
