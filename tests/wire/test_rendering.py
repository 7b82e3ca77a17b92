"""What one provider was asked can be asked of another; what it has no words for is refused by name, never dropped."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from asked import CHAT, MODELS, OURS, said, with_history
from recorded_exchanges import Exchange

from spanreel.wire import rendering
from spanreel.wire.rendering import (
    HARMLESS,
    TARGETS,
    NeutralRequest,
    NotExpressible,
    answer,
    neutral_request,
    request,
)

PLACE = {
    "openai.chat": "/v1/chat/completions",
    "openai.responses": "/v1/responses",
    "anthropic.messages": "/v1/messages",
    "gemini": "/v1beta/models/m-1:generateContent",
}


def refused(dialect: str, body: dict[str, Any], target: str) -> str:
    """The name of what the target cannot say; with it dropped, nothing else is in the way, and it is told."""
    neutral = neutral_request(dialect, body)
    with pytest.raises(NotExpressible) as caught:
        request(target, neutral, MODELS.get(target, "m-1"))
    feature = caught.value.feature
    assert caught.value.target == target
    assert feature in str(caught.value)
    assert f"--set {feature}=null" in str(caught.value)
    assert feature in request(target, neutral, MODELS.get(target, "m-1"), drop={feature}).dropped
    return feature


def test_every_recorded_request_is_said_or_refused_by_name(cassettes: list[tuple[str, Exchange]]):
    """Into its own dialect every one is said and asks the same; into others it is said, or refused with a reason."""
    said_of, refused_of = Counter[tuple[str, str]](), Counter[tuple[str, str, str]]()
    for known, exchange in cassettes:
        if known not in OURS:
            continue
        source, streamed = OURS[known], True if known == "gemini_stream" else None
        neutral = neutral_request(source, json.loads(exchange.request), stream=streamed)
        for target in TARGETS:
            try:
                made = request(target, neutral, MODELS.get(target, "m-1"))
            except NotExpressible as problem:
                refused_of[source, target, problem.feature] += 1
                continue
            said_of[source, target] += 1
            again = neutral_request(target, made.body, stream="stream" in made.path or None)
            assert len(again.tools) == len(neutral.tools), exchange.name
            if source == target:
                for field in ("system", "messages", "tools", "parameters", "extra"):
                    assert getattr(again, field) == getattr(neutral, field), f"{exchange.name} {field}"
                assert made.dropped == ()
    assert {source: said_of[source, source] for source in TARGETS} == {
        "openai.chat": 291,
        "openai.responses": 91,
        "anthropic.messages": 57,
        "gemini": 43,
    }
    assert not [refusal for refusal in refused_of if refusal[0] == refusal[1]]
    assert all(feature for _, _, feature in refused_of)
    across = sum(count for (source, target), count in said_of.items() if source != target)
    assert (across, sum(refused_of.values())) == (1351, 95)


@pytest.mark.parametrize("target", TARGETS)
def test_a_tool_loop_is_said(target):
    """Instructions, parallel calls, their ids and results, tools and parameters arrive, and who asks is left out by name."""
    made = request(target, neutral_request("openai.chat", CHAT), MODELS.get(target, "m-1"))
    assert made.path == PLACE[target]
    assert made.dropped == (() if target == "openai.chat" else ("user",))
    again = neutral_request(target, made.body)
    assert again.system == ({"type": "text", "content": "Be brief."},)
    assert [one["role"] for one in again.messages][:2] == ["user", "assistant"]
    ids = [part["id"] for one in again.messages for part in one["parts"] if "id" in part]
    assert ids == ["call_a", "call_b", "call_a", "call_b"]
    results = [
        p["response"] for one in again.messages for p in one["parts"] if p["type"] == "tool_call_response"
    ]
    assert results == ["sunny", '{"sky": "clear"}']
    assert again.tools[0]["parameters"] == CHAT["tools"][0]["function"]["parameters"]
    assert again.parameters["temperature"] == 0.5


def test_anthropic_wants_turns_results_first_and_a_limit():
    """Results of parallel calls are one user turn, before what the user says; the limit is the source's, else ours."""
    more = [*CHAT["messages"], {"role": "user", "content": "And tomorrow?"}]
    body = said("openai.chat", {**CHAT, "messages": more}, "anthropic.messages")
    assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][2]["content"]] == [
        "tool_result",
        "tool_result",
        "text",
    ]
    assert body["max_tokens"] == rendering.anthropic_messages.MAX_TOKENS
    assert said("openai.chat", {**CHAT, "max_tokens": 7}, "anthropic.messages")["max_tokens"] == 7


@pytest.mark.parametrize(
    ("model", "samples"),
    [
        ("claude-3-5-haiku-latest", True),
        ("claude-sonnet-4-20250514", True),
        ("anthropic/claude-opus-4-6", True),
        ("kimi-k3", True),
        ("claude-opus-4-7", False),
        ("claude-sonnet-5", False),
        ("claude-fable-5-1", False),
    ],
)
def test_claudes_that_take_no_temperature(model, samples):
    """Those after 4.6 refuse it, as the current API version does: it is refused by name, and the version says which form."""
    neutral = neutral_request("openai.chat", CHAT)
    if samples:
        made = request("anthropic.messages", neutral, model)
        assert (made.body["temperature"], made.headers) == (0.5, (("anthropic-version", "2023-06-01"),))
        return
    with pytest.raises(NotExpressible, match=f"temperature .{model} takes none"):
        request("anthropic.messages", neutral, model)
    made = request("anthropic.messages", neutral, model, drop=["temperature"])
    assert made.headers == (("anthropic-version", "2026-10-21"),)


def test_gemini_wants_names_and_objects():
    """A result there has its tool's name and is an object; the model is in the path, and so is the stream."""
    body = said("openai.chat", CHAT, "gemini")
    first, second = (part["functionResponse"] for part in body["contents"][-1]["parts"])
    assert first == {"id": "call_a", "name": "weather", "response": {"result": "sunny"}}
    assert second["response"] == {"result": '{"sky": "clear"}'}
    neutral = neutral_request("openai.chat", {**CHAT, "stream": True})
    made = request("gemini", neutral, "models/x y")
    assert made.path == "/v1beta/models/models%2Fx%20y:streamGenerateContent?alt=sse"


def test_gemini_3_wants_a_signature_on_a_call():
    """A call that another model made goes with the words that Google takes instead."""
    neutral = neutral_request("openai.chat", CHAT)
    parts = request("gemini", neutral, "gemini-3-pro").body["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["skip_thought_signature_validator", None]
    old = request("gemini", neutral, "gemini-2.5-pro").body["contents"][1]["parts"]
    assert all("thoughtSignature" not in part for part in old)


def test_calls_without_ids_are_given_theirs():
    """Gemini's calls have none: a result belongs to the oldest open call of its name."""
    call = [{"functionCall": {"name": name, "args": {}}} for name in ("f", "g", "f")]
    result = [
        {"functionResponse": {"name": name, "response": {"result": text}}}
        for name, text in (("g", "two"), ("f", "one"), ("f", "three"))
    ]
    contents = [
        {"role": "user", "parts": [{"text": "go"}]},
        {"role": "model", "parts": call},
        {"role": "user", "parts": result},
    ]
    body = said("gemini", {"contents": contents}, "openai.chat")
    assert [one["id"] for one in body["messages"][1]["tool_calls"]] == ["call_1", "call_2", "call_3"]
    results = {one["tool_call_id"]: one["content"] for one in body["messages"][2:]}
    assert results == {"call_1": "one", "call_2": "two", "call_3": "three"}


def test_an_id_that_a_provider_refuses_is_replaced_on_both_sides():
    """Signs and lengths that Anthropic or OpenAI do not take; the call and its result still belong together."""
    wild = json.loads(json.dumps(CHAT).replace("call_a", "functions.weather:0"))
    block = said("openai.chat", wild, "anthropic.messages")["messages"]
    assert block[1]["content"][0]["id"] == block[2]["content"][0]["tool_use_id"] != "functions.weather:0"
    long = json.loads(json.dumps(CHAT).replace("call_a", "x" * 80))
    items = said("openai.chat", long, "openai.responses")["input"]
    named = [item["call_id"] for item in items if "call_id" in item]
    assert named[0] == named[2]
    assert len(named[0]) <= 64


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("body", "target", "feature"),
    [
        (with_history(n=2), "anthropic.messages", "n"),
        (with_history(seed=1), "openai.responses", "seed"),
        (with_history(logprobs=True), "gemini", "logprobs"),
        (with_history(temperature=1.5), "anthropic.messages", "temperature"),
        (with_history(stop=list("abcdef")), "gemini", "stop"),
        (with_history(logit_bias={"1": 2}), "openai.responses", "logit_bias"),
        (with_history(response_format={"type": "json_object"}), "anthropic.messages", "response_format"),
        (with_history(reasoning_effort="minimal"), "anthropic.messages", "reasoning.level"),
        (with_history(audio={"voice": "x"}), "gemini", "audio"),
        (with_history(parallel_tool_calls=False), "gemini", "parallel_tool_calls"),
        (with_history(functions=[{"name": "f"}]), "gemini", "functions"),
        (with_history({"role": "user", "name": "ann", "content": "x"}), "gemini", "history.name"),
        (with_history({"role": "oracle", "content": "x"}), "openai.responses", "history.role"),
        (
            with_history({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}),
            "gemini",
            "history.document",
        ),
        (
            with_history(
                {
                    "role": "user",
                    "content": [{"type": "input_audio", "input_audio": {"data": "A", "format": "wav"}}],
                }
            ),
            "anthropic.messages",
            "history.audio",
        ),
        (
            with_history(
                {
                    "role": "assistant",
                    "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{"}}],
                }
            ),
            "anthropic.messages",
            "history.tool_call.arguments",
        ),
        (
            with_history(tools=[{"type": "custom", "custom": {"name": "f"}}]),
            "anthropic.messages",
            "tools.custom",
        ),
        (
            with_history({"role": "user", "content": "x"}, {"role": "system", "content": "y"}),
            "gemini",
            "history.system",
        ),
        (
            with_history(tools=[{"type": "function", "function": {"name": "a" * 80}}]),
            "gemini",
            f"tools.{'a' * 80}",
        ),
    ],
)
def test_what_chat_asks_and_others_cannot_is_named(body, target, feature):
    """By the name that an override has; dropped, the rest is said."""
    body = {**body, "messages": [{"role": "user", "content": "hi"}, *body["messages"]]}
    assert refused("openai.chat", body, target) == feature


@pytest.mark.parametrize("target", ["openai.chat", "anthropic.messages", "gemini"])
@pytest.mark.parametrize(
    ("more", "feature"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools.web_search"),
        ({"tools": [{"type": "mcp", "server_label": "s"}]}, "tools.mcp"),
        ({"truncation": "auto"}, "truncation"),
    ],
)
def test_what_responses_keep_or_run_themselves_is_named(target, more, feature):
    """State and tools that live at the provider are nowhere else."""
    assert refused("openai.responses", {"model": "m", "input": "hi", **more}, target) == feature


@pytest.mark.parametrize("target", ["openai.chat", "openai.responses", "gemini"])
def test_what_anthropic_runs_itself_is_named(target):
    """Its server tools, in the list and in the history."""
    search = {"type": "web_search_20250305", "name": "web_search"}
    asked = {
        "model": "c",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [search],
    }
    assert refused("anthropic.messages", asked, target) == "tools.web_search_20250305"
    used = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    history = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [used, {"type": "text", "text": "a"}]},
    ]
    feature = refused("anthropic.messages", {"model": "c", "max_tokens": 9, "messages": history}, target)
    assert feature == "history.server_tool_call"


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_foreign_recording_says_is_not_lost(target):
    """A part of an unknown type, which no dialect's block stands behind, is refused by name wherever it is said."""
    unknown = {"type": "video_call", "content": "?"}
    told = (
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
        {"role": "assistant", "parts": [unknown]},
    )
    neutral = NeutralRequest(dialect="", messages=told, tools=({"name": "f"},))
    with pytest.raises(NotExpressible, match=r"history\.video_call"):
        request(target, neutral, "m-1")
    made = request(target, neutral, "m-1", drop=["history.video_call"])
    assert neutral_request(target, made.body).tools[0]["name"] == "f"


def test_chat_says_its_own_again():
    """A sound of the assistant's, a message's name, the older limit, blocks that only chat knows."""
    sound = {"role": "assistant", "content": None, "audio": {"id": "audio_1"}}
    block = {"type": "video_url", "video_url": {"url": "https://x/v.mp4"}}
    body = {
        "model": "m-1",
        "messages": [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "name": "ann", "content": [{"type": "text", "text": "See"}, block]},
            {**sound, "content": ""},
        ],
        "max_tokens": 5,
        "logit_bias": {"1": 2},
    }
    assert said("openai.chat", body, "openai.chat") == body


def test_harmless_fields_are_told():
    """Whatever is left out without asking is in the table, and in the list that the caller gets."""
    body = with_history(
        {"role": "user", "content": "hi"}, user="u", store=True, metadata={"a": "b"}, service_tier="flex"
    )
    dropped = request("gemini", neutral_request("openai.chat", body), "m").dropped
    assert set(dropped) == {"user", "store", "metadata", "service_tier"} <= HARMLESS


@pytest.mark.parametrize("target", ["openai.responses", "anthropic.messages", "gemini"])
def test_pictures_and_documents_are_said(target):
    """By value they go everywhere; the words beside them stay in their order."""
    document = {
        "type": "file",
        "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"},
    }
    content = [{"type": "text", "text": "See"}, IMAGE, document]
    body = said("openai.chat", with_history({"role": "user", "content": content}), target)
    parts = neutral_request(target, body).messages[0]["parts"]
    assert [(part["type"], part.get("mime_type"), part["content"]) for part in parts] == [
        ("text", None, "See"),
        ("blob", "image/png", "AAAA"),
        ("blob", "application/pdf", "BBBB"),
    ]


def anthropic_loop(result: Any, **more: Any) -> dict[str, Any]:
    """A request of Anthropic's whose last turn answers a tool."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"x": 1}}
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2VhbA=="}
    return {
        "model": "claude",
        "max_tokens": 100,
        "messages": [
            {"role": "user", "content": "Look."},
            {"role": "assistant", "content": [*([thought] if more.pop("thought", False) else []), use]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": result, **more}],
            },
        ],
    }


def test_a_result_with_a_picture_is_said_where_it_can_be():
    """Responses and Gemini take pictures from tools, chat does not."""
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    asked = anthropic_loop([{"type": "text", "text": "Here"}, {"type": "image", "source": source}])
    output = said("anthropic.messages", asked, "openai.responses")["input"][-1]["output"]
    assert [block["type"] for block in output] == ["input_text", "input_image"]
    answered = said("anthropic.messages", asked, "gemini")["contents"][-1]["parts"][0]["functionResponse"]
    assert answered["response"] == {"result": "Here"}
    assert answered["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]
    assert refused("anthropic.messages", asked, "openai.chat") == "history.tool_call_response.image"


def test_a_failed_tool_stays_failed():
    """Gemini has its word for it; elsewhere the result's words say it, and the mark is told as left out."""
    asked = anthropic_loop("no such file", is_error=True)
    neutral = neutral_request("anthropic.messages", asked)
    part = request("gemini", neutral, "m").body["contents"][-1]["parts"][0]["functionResponse"]
    assert part["response"] == {"error": "no such file"}
    assert (
        neutral_request("gemini", request("gemini", neutral, "m").body).messages[-1]["parts"][0]["is_error"]
        is True
    )
    assert "history.tool_call_response.is_error" in request("openai.chat", neutral, "m").dropped


def test_a_sealed_thought_is_refused_while_its_turn_is_on():
    """Afterwards no provider shows it to a model, and it is left out by name."""
    asked = anthropic_loop("ok", thought=True)
    assert refused("anthropic.messages", asked, "openai.responses") == "history.reasoning"
    assert refused("anthropic.messages", asked, "openai.chat") == "history.reasoning"
    over = {
        **asked,
        "messages": [
            *asked["messages"],
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "Thanks"},
        ],
    }
    made = request("openai.responses", neutral_request("anthropic.messages", over), "m")
    assert "history.reasoning" in made.dropped
    assert all(item.get("type") != "reasoning" for item in made.body["input"])


@pytest.mark.parametrize("agent", ["anthropic.messages", "openai.responses", "gemini"])
@pytest.mark.parametrize(
    ("target", "thought"),
    [
        ("anthropic.messages", {"type": "reasoning", "content": "Hm.", "signature": "c2VhbA=="}),
        (
            "openai.responses",
            {
                "type": "reasoning",
                "content": "Hm.",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "Hm."}],
                "encrypted_content": "x",
            },
        ),
        ("gemini", {"type": "reasoning", "content": "Hm.", "thoughtSignature": "c2ln"}),
    ],
)
def test_a_thought_finds_its_way_back(agent, target, thought):
    """What a model sealed, an agent of any dialect carries, and it is given back as it came."""
    call = {"type": "tool_call", "id": "c1", "name": "f", "arguments": {}}
    message = {"role": "assistant", "parts": [thought, call]}
    body = answer(agent, message, model="m", response_id="r")
    if agent == "anthropic.messages":
        history = [{"role": "user", "content": "go"}, {"role": "assistant", "content": body["content"]}]
        result = {"type": "tool_result", "tool_use_id": "c1", "content": "ok"}
        asked = {"max_tokens": 9, "messages": [*history, {"role": "user", "content": [result]}]}
    elif agent == "openai.responses":
        asked = {"input": [{"role": "user", "content": "go"}, *body["output"], {"type": "function_call_output", "call_id": "c1", "output": "ok"}]}  # fmt: skip
    else:
        result = {"functionResponse": {"id": "c1", "name": "f", "response": {"result": "ok"}}}
        asked = {"contents": [{"role": "user", "parts": [{"text": "go"}]}, body["candidates"][0]["content"], {"role": "user", "parts": [result]}]}  # fmt: skip
    made = said(agent, asked, target)
    parts = neutral_request(target, made).messages[1]["parts"]
    assert {key: value for key, value in parts[0].items() if key in thought} == thought


def test_a_redacted_thought_finds_its_way_back():
    """Anthropic's thoughts without words too."""
    message = {"role": "assistant", "parts": [{"type": "redacted_thinking", "data": "xyz"}, {"type": "tool_call", "id": "c", "name": "f", "arguments": {}}]}  # fmt: skip
    output = answer("openai.responses", message, model="m", response_id="r")["output"]
    asked = {"input": ["go", *output]}
    body = said("openai.responses", asked, "anthropic.messages")
    assert body["messages"][1]["content"][0] == {"type": "redacted_thinking", "data": "xyz"}


@pytest.mark.parametrize(
    ("target", "level", "wanted"),
    [
        (
            "anthropic.messages",
            "high",
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ("anthropic.messages", "none", {"thinking": {"type": "disabled"}}),
        ("openai.responses", "low", {"reasoning": {"effort": "low"}}),
        ("gemini", "none", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}),
        ("gemini", "medium", {"generationConfig": {"thinkingConfig": {"thinkingBudget": 8192}}}),
    ],
)
def test_how_hard_to_think_is_said(target, level, wanted):
    """An effort is each provider's own word or number."""
    body = said("openai.chat", with_history({"role": "user", "content": "x"}, reasoning_effort=level), target)
    assert {key: body.get(key) for key in wanted} == wanted


def test_googles_schemas_are_json_schema_for_others():
    """Capital types, `nullable` and counts as texts are Google's; others get JSON Schema."""
    schema = {
        "type": "OBJECT",
        "properties": {"type": {"type": "STRING", "nullable": True}, "n": {"type": "ARRAY", "minItems": "2", "items": {"type": "INTEGER"}}},
        "propertyOrdering": ["type", "n"],
    }  # fmt: skip
    declared = {"functionDeclarations": [{"name": "f", "parameters": schema}]}
    body = said("gemini", {"contents": "x", "tools": [declared]}, "openai.chat")
    assert body["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"type": {"type": ["string", "null"]}, "n": {"type": "array", "minItems": 2, "items": {"type": "integer"}}},
    }  # fmt: skip
