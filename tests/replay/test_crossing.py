"""An agent on one SDK, forked onto another provider's protocol: it is not told, and nothing is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import anthropic
import openai
import pytest
from google import genai
from google.genai import types
from provider_server import ProviderServer

import spanreel
from spanreel.exceptions import EffectDenied

pytestmark = pytest.mark.usefixtures("recording")
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DIALECTS = ["chat", "responses", "anthropic", "gemini"]
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "anthropic": "/v1/messages", "gemini": "/v1beta/models/other-1:generateContent"}  # fmt: skip
KEYS = {
    "chat": ("authorization", "Bearer other"),
    "responses": ("authorization", "Bearer other"),
    "anthropic": ("x-api-key", "other"),
    "gemini": ("x-goog-api-key", "other"),
}


@pytest.fixture
def server(monkeypatch) -> Iterator[ProviderServer]:
    """All four providers, and where the environment says they are."""
    with ProviderServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", server.url)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
            monkeypatch.setenv(name, "other")
        yield server


@spanreel.tool(safety="read")
def get_weather(city: str) -> str:
    """The weather."""
    return f"sunny in {city}"


def on_chat(url: str) -> str:
    """The loop of an agent on OpenAI chat."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="own", max_retries=0) as client:
        tools = [
            {
                "type": "function",
                "function": {"name": "get_weather", "description": "w", "parameters": SCHEMA},
            }
        ]
        messages: list = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "Paris?"}]
        asked = client.chat.completions.create(model="own-1", messages=messages, tools=tools, temperature=0.5)
        call = asked.choices[0].message.tool_calls[0]
        assert asked.choices[0].finish_reason == "tool_calls"
        result = get_weather(**json.loads(call.function.arguments))
        messages += [asked.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": result}]
        return (
            client.chat.completions.create(model="own-1", messages=messages, tools=tools)
            .choices[0]
            .message.content
        )


def on_chat_streamed(url: str) -> str:
    """The same, in pieces."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="own", max_retries=0) as client:
        tools = [
            {
                "type": "function",
                "function": {"name": "get_weather", "description": "w", "parameters": SCHEMA},
            }
        ]
        messages: list = [{"role": "user", "content": "Paris?"}]
        with client.chat.completions.stream(model="own-1", messages=messages, tools=tools) as stream:
            asked = stream.get_final_completion().choices[0].message
        call = asked.tool_calls[0]
        result = get_weather(**json.loads(call.function.arguments))
        messages += [asked.model_dump(exclude_none=True, include={"role", "content", "tool_calls"}) | {"tool_calls": [{"id": call.id, "type": "function", "function": {"name": call.function.name, "arguments": call.function.arguments}}]}]  # fmt: skip
        messages += [{"role": "tool", "tool_call_id": call.id, "content": result}]
        with client.chat.completions.stream(model="own-1", messages=messages, tools=tools) as stream:
            return stream.get_final_completion().choices[0].message.content


def on_responses(url: str) -> str:
    """The loop of an agent on OpenAI responses."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="own", max_retries=0) as client:
        tools = [
            {
                "type": "function",
                "name": "get_weather",
                "description": "w",
                "parameters": SCHEMA,
                "strict": False,
            }
        ]
        items: list = [{"role": "user", "content": "Paris?"}]
        asked = client.responses.create(model="own-1", instructions="be brief", input=items, tools=tools)
        call = next(one for one in asked.output if one.type == "function_call")
        result = get_weather(**json.loads(call.arguments))
        items += [
            call.model_dump(exclude_none=True),
            {"type": "function_call_output", "call_id": call.call_id, "output": result},
        ]
        return client.responses.create(
            model="own-1", instructions="be brief", input=items, tools=tools
        ).output_text


def on_anthropic(url: str) -> str:
    """The loop of an agent on Anthropic messages."""
    with anthropic.Anthropic(base_url=url, api_key="own", max_retries=0) as client:
        settings = {"model": "own-1", "max_tokens": 50, "system": "be brief", "tools": [{"name": "get_weather", "description": "w", "input_schema": SCHEMA}]}  # fmt: skip
        messages: list = [{"role": "user", "content": "Paris?"}]
        asked = client.messages.create(messages=messages, **settings)
        assert asked.stop_reason == "tool_use"
        call = next(one for one in asked.content if one.type == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": get_weather(**call.input)}
        messages += [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
        return client.messages.create(messages=messages, **settings).content[0].text


def on_anthropic_streamed(url: str) -> str:
    """The same, in pieces."""
    with anthropic.Anthropic(base_url=url, api_key="own", max_retries=0) as client:
        settings = {"model": "own-1", "max_tokens": 50, "tools": [{"name": "get_weather", "description": "w", "input_schema": SCHEMA}]}  # fmt: skip
        messages: list = [{"role": "user", "content": "Paris?"}]
        with client.messages.stream(messages=messages, **settings) as stream:
            asked = stream.get_final_message()
        call = next(one for one in asked.content if one.type == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": get_weather(**call.input)}
        said = {"type": "tool_use", "id": call.id, "name": call.name, "input": call.input}
        messages += [{"role": "assistant", "content": [said]}, {"role": "user", "content": [result]}]
        with client.messages.stream(messages=messages, **settings) as stream:
            return stream.get_final_text()


def on_gemini(url: str) -> str:
    """The loop of an agent on Gemini."""
    client = genai.Client(api_key="own", http_options={"base_url": url})
    tool = types.Tool(
        function_declarations=[{"name": "get_weather", "description": "w", "parameters_json_schema": SCHEMA}]
    )
    config = types.GenerateContentConfig(
        system_instruction="be brief", tools=[tool],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
    )  # fmt: skip
    contents: list = [types.Content(role="user", parts=[types.Part(text="Paris?")])]
    asked = client.models.generate_content(model="own-1", contents=contents, config=config)
    call = asked.function_calls[0]
    part = types.Part.from_function_response(name=call.name, response={"result": get_weather(**call.args)})
    contents += [asked.candidates[0].content, types.Content(role="user", parts=[part])]
    return client.models.generate_content(model="own-1", contents=contents, config=config).text


AGENTS: dict[str, tuple[str, Callable[[str], str]]] = {
    "chat": ("chat", on_chat),
    "chat streamed": ("chat", on_chat_streamed),
    "responses": ("responses", on_responses),
    "anthropic": ("anthropic", on_anthropic),
    "anthropic streamed": ("anthropic", on_anthropic_streamed),
    "gemini": ("gemini", on_gemini),
}


def recorded(agent, url, server):
    """The agent on its own provider; streams are made by the tap, since the server has none: so forked from the start."""
    with spanreel.run("agent") as run:
        agent(url)
    spanreel.instrument().flush()
    server.asked.clear()
    return run.run_id


@pytest.mark.parametrize("target", DIALECTS)
@pytest.mark.parametrize("name", [name for name in AGENTS if "streamed" not in name])
def test_an_agent_goes_on_through_another_protocol(server, name, target):
    """It finishes as ever; the other provider is asked in its own words, with its own key and the whole history."""
    home, agent = AGENTS[name]
    run = recorded(agent, server.url, server)
    model = f"{target}/other-1" if target != home else "other-1"
    with spanreel.replaying(run, overrides={"model": model}) as execution:
        assert agent(server.url) == "It is sunny in Paris."
    assert execution.verdict.effects.model_dump() == {"recorded": 1, "live": 2, "stub": 0, "denied": 0}
    assert (execution.verdict.spent_tokens.input_tokens, execution.verdict.spent_tokens.output_tokens) == (
        24,
        10,
    )
    for path, headers, body in server.asked:
        assert target == home or path == PATHS[target]
        assert body.get("model", "other-1") == "other-1"
        if target != home:
            assert headers[KEYS[target][0]] == KEYS[target][1]
            assert "own" not in headers.values()
    assert "be brief" in json.dumps(server.asked[0][2])
    assert "sunny in Paris" in json.dumps(server.asked[1][2])
    assert "get_weather" in json.dumps(server.asked[0][2])


@pytest.mark.parametrize("name", [name for name in AGENTS if "streamed" in name])
@pytest.mark.parametrize("target", ["responses", "gemini"])
def test_a_streaming_agent_gets_a_stream(server, name, target):
    """Of its own dialect's events, made from the other provider's whole answer."""
    run = recorded(AGENTS["chat"][1], server.url, server)
    with spanreel.replaying(run, overrides={"model": f"{target}/other-1"}):
        assert AGENTS[name][1](server.url) == "It is sunny in Paris."


def test_a_run_made_through_another_protocol_is_replayed_as_the_agent_saw_it(server):
    """Offline, exactly: by what it asked, with what it was given."""
    run = recorded(on_chat, server.url, server)
    with spanreel.replaying(run, overrides={"model": "anthropic/other-1"}) as execution:
        result = on_chat(server.url)
    spanreel.instrument().flush()
    server.asked.clear()
    with spanreel.replaying(execution.run_id) as again:
        assert on_chat(server.url) == result
    assert again.verdict.verdict == "exact"
    assert server.asked == []


def test_an_error_of_the_other_provider_is_raised_by_the_agents_own_sdk(server):
    """With the status it has."""
    run = recorded(on_chat, server.url, server)
    server.status = 429
    with (
        spanreel.replaying(run, overrides={"model": "anthropic/other-1"}),
        pytest.raises(openai.RateLimitError, match="slow down"),
    ):
        on_chat(server.url)


def test_what_the_other_dialect_cannot_say_is_refused_by_name(server):
    """Nothing is sent; the override that leaves it out is named."""

    def seeded(url):
        with openai.OpenAI(base_url=f"{url}/v1", api_key="own", max_retries=0) as client:
            client.chat.completions.create(
                model="own-1", messages=[{"role": "user", "content": "Paris?"}], logprobs=True, top_logprobs=2
            )

    run = recorded(seeded, server.url, server)
    with (
        pytest.raises(EffectDenied, match="logprobs"),
        spanreel.replaying(run, overrides={"model": "anthropic/other-1"}),
    ):
        seeded(server.url)
    assert server.asked == []
    with spanreel.replaying(
        run, overrides={"model": "anthropic/other-1", "logprobs": None, "top_logprobs": None}
    ):
        seeded(server.url)
    assert len(server.asked) == 1


def test_a_missing_key_is_named_before_anything_is_sent(server, monkeypatch):
    """By the variable it is looked for in."""
    run = recorded(on_chat, server.url, server)
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with (
        pytest.raises(EffectDenied, match="ANTHROPIC_API_KEY"),
        spanreel.replaying(run, overrides={"model": "anthropic/other-1"}),
    ):
        on_chat(server.url)
    assert server.asked == []
