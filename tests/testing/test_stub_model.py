"""A model that is made up answers real SDKs in their own types, and lets nothing out."""

from __future__ import annotations

import contextlib

import anthropic
import openai
import pytest

import spanreel
from spanreel.exceptions import EffectDenied
from spanreel.testing import assert_same_behaviour, assert_steps, assert_tool_called, stub_model, tool_call

HI = [{"role": "user", "content": "hi"}]


@spanreel.tool
def add(a: int, b: int) -> int:
    """A sum."""
    return a + b


def loop(client: openai.OpenAI) -> str:
    """A small agent: asks, adds, asks again."""
    said = client.chat.completions.create(model="m", messages=HI).choices[0].message
    for call in said.tool_calls or ():
        add(**__import__("json").loads(call.function.arguments))
    stream = client.chat.completions.create(model="m", messages=HI, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_answers_in_turn_whole_and_streamed() -> None:
    """The SDK's own types come out, tools run, and what ran can be asserted about; no key is needed."""
    with stub_model([tool_call("add", {"a": 1, "b": 2}), "three"]) as stub, openai.OpenAI() as client:
        assert loop(client) == "three"
        assert assert_tool_called(stub, "add", {"a": 1, "b": lambda b: b > 1}, times=1)[0].result == 3
    assert [call.model for call in stub.calls] == ["m", "m"]
    assert_steps(stub, ["llm", "tool:add", "llm"])


def test_a_function_answers_any_sdk() -> None:
    """It sees the request; the answer is said in the dialect of whoever asked."""
    with stub_model(lambda request: f"{request.model} at {request.path}") as stub:
        with anthropic.Anthropic() as client:
            message = client.messages.create(model="c", max_tokens=5, messages=HI)
        with openai.OpenAI() as client:
            response = client.responses.create(model="r", input="hi")
    assert message.content[0].text == "c at /v1/messages"
    assert response.output_text == "r at /v1/responses"
    assert [call.json["model"] for call in stub.calls] == ["c", "r"]


def test_no_answer_left_is_not_swallowed() -> None:
    """One call too many fails the block, also where the agent catches everything."""

    def agent() -> None:
        with stub_model(["one"]), openai.OpenAI() as client:
            client.chat.completions.create(model="m", messages=HI)
            with contextlib.suppress(BaseException):
                client.chat.completions.create(model="m", messages=HI)

    with pytest.raises(EffectDenied, match=r"no answer left for model call 2 \(m\)"):
        agent()


def test_answers_are_added_and_forgotten_within_the_block() -> None:
    """What is enqueued comes after what was given; after `clear` there is none, and no call is remembered."""
    with (
        contextlib.suppress(EffectDenied),
        stub_model(["one"]) as stub,
        openai.OpenAI(max_retries=0) as client,
    ):
        stub.enqueue("two", "three")
        said = [
            client.chat.completions.create(model="m", messages=HI).choices[0].message.content
            for _ in range(2)
        ]
        assert said == ["one", "two"]
        stub.clear()
        assert stub.calls == []
        with pytest.raises(EffectDenied):
            client.chat.completions.create(model="m", messages=HI)


def test_what_the_function_finds_wrong_comes_out() -> None:
    """An assertion inside it is the block's error, not a failed connection that the SDK tries again."""

    def answer(request):
        assert request.model == "another"

    with pytest.raises(AssertionError), stub_model(answer) as stub, openai.OpenAI() as client:
        client.chat.completions.create(model="m", messages=HI)
    assert len(stub.calls) == 1


def test_what_fails_shows_the_steps() -> None:
    """Each assertion names what it wanted, what there was, and the steps."""
    with stub_model([tool_call("add", {"a": 1, "b": 2}), "three"]) as stub, openai.OpenAI() as client:
        loop(client)
    with stub_model([tool_call("add", {"a": 2, "b": 2}), "three"]) as other, openai.OpenAI() as client:
        loop(client)
    with pytest.raises(AssertionError) as wrong:
        assert_tool_called(stub, "add", {"a": 7})
    assert str(wrong.value).splitlines() == [
        'tool add with {"a": 7} was called 0 times, not at least 1; its calls were {"a": 1, "b": 2}',
        "its steps:",
        "  1. llm m",
        '  2. tool add({"a": 1, "b": 2}) -> 3',
        "  3. llm m",
    ]
    with pytest.raises(AssertionError, match=r"the tools that were called: add"):
        assert_tool_called(stub, "subtract")
    assert_tool_called(stub, "subtract", times=0)
    for steps in (
        [...],
        ["llm", ...],
        [..., "llm"],
        ["llm", ..., "llm"],
        ["chat m", "add", "m"],
        [..., "add", ...],
    ):
        assert_steps(stub, steps)
    for steps in ([], ["llm"], [..., "add"], ["llm", "llm", ...], ["llm", "add", "llm", "llm"]):
        with pytest.raises(AssertionError, match="the steps are not"):
            assert_steps(stub, steps)
    assert assert_same_behaviour(stub, stub.replay).identical
    with pytest.raises(AssertionError, match=r"(?s)the runs do not do the same.*steps of a.*steps of b"):
        assert_same_behaviour(stub, other)
    assert_same_behaviour(stub, other, ignore=["add"])
