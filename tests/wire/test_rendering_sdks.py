"""The real SDKs send what is rendered, and parse rendered answers, whole and streamed, into their own equal objects."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic
import openai
import pydantic
import pytest
from anthropic.types.message_create_params import (
    MessageCreateParamsNonStreaming,
    MessageCreateParamsStreaming,
)
from asked import CHAT, MODELS, OURS
from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from recorded_exchanges import Exchange

from spanreel.wire.rendering import (
    TARGETS,
    NotExpressible,
    answer,
    answer_stream,
    error,
    neutral_request,
    request,
)
from spanreel.wire.usage import Usage

genai = pytest.importorskip("google.genai", reason="google-genai is not installed")
types = genai.types
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:google", "ignore:Pydantic serializer warnings"
)

SHAPES = {
    "openai.chat": (CompletionCreateParamsNonStreaming, CompletionCreateParamsStreaming),
    "openai.responses": (ResponseCreateParamsNonStreaming, ResponseCreateParamsStreaming),
    "anthropic.messages": (MessageCreateParamsNonStreaming, MessageCreateParamsStreaming),
}
SAMPLING = {
    "temperature",
    "top_p",
    "top_k",
}  # of the API's earlier version, which Anthropic's types no longer have


@functools.cache
def adapter(shape: Any) -> pydantic.TypeAdapter[Any]:
    """What checks values of a type; slow to make."""
    return pydantic.TypeAdapter(shape)


def drain(value: Any) -> None:
    """Look at all of it: what the types call an iterable is checked when it is iterated."""
    inner = value.values() if isinstance(value, dict) else value
    if not isinstance(value, str) and isinstance(inner, Iterable):
        for one in inner:
            drain(one)


def check_shape(target: str, body: dict[str, Any]) -> None:
    """Raise where the SDK's own types do not take the body."""
    if target != "gemini":
        shape = SHAPES[target][bool(body.get("stream"))]
        known = {key for one in (shape, *shape.__orig_bases__) for key in getattr(one, "__annotations__", {})}
        assert set(body) <= known | SAMPLING
        drain(adapter(shape).validate_python(body))
        return
    assert set(body) <= {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig"}
    for content in [*body["contents"], *([body["systemInstruction"]] if "systemInstruction" in body else [])]:
        types.Content.model_validate(content)
    types.GenerationConfig.model_validate(body.get("generationConfig", {}))
    types.ToolConfig.model_validate(body.get("toolConfig", {}))
    for tool in body.get("tools", []):
        types.Tool.model_validate(tool)


def test_rendered_requests_are_what_the_sdks_types_say(cassettes: list[tuple[str, Exchange]]):
    """Every recorded request, in every other dialect that can say it."""
    checked = 0
    for known, exchange in cassettes:
        if known not in OURS:
            continue
        neutral = neutral_request(OURS[known], json.loads(exchange.request))
        for target in TARGETS:
            if target == OURS[known]:
                continue
            try:
                body = request(target, neutral, MODELS.get(target, "m-1")).body
            except NotExpressible:
                continue
            check_shape(target, body)
            checked += 1
    assert checked > 1300


class Scripted:
    """A server that answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.status, self.kind, self.body = 200, "application/json", b""
        script = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                script.asked.append((self.path, json.loads(data)))
                self.send_response(script.status)
                self.send_header("content-type", script.kind)
                self.send_header("content-length", str(len(script.body)))
                self.end_headers()
                self.wfile.write(script.body)

            def log_message(self, *_: object) -> None:
                """Nothing to say."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def whole(self, body: dict[str, Any], status: int = 200) -> None:
        """Answer with a JSON body."""
        self.status, self.kind, self.body = status, "application/json", json.dumps(body).encode()

    def stream(self, events: tuple[bytes, ...]) -> None:
        """Answer with events."""
        self.status, self.kind, self.body = 200, "text/event-stream", b"".join(events)


@pytest.fixture
def server() -> Iterator[Scripted]:
    """A scripted server."""
    scripted = Scripted()
    thread = threading.Thread(target=scripted.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield scripted
    scripted.http.shutdown()
    scripted.http.server_close()
    thread.join(5)


def call(target: str, url: str, body: dict[str, Any], *, stream: bool = False) -> Any:
    """Ask with the dialect's SDK; the typed answer, of a stream the one that the SDK put together."""
    fields = {key: value for key, value in body.items() if key != "stream"}
    if target == "gemini":
        return call_gemini(url, fields, stream=stream)
    if target == "anthropic.messages":
        fields["extra_body"] = {key: fields.pop(key) for key in SAMPLING & set(fields)}
        with anthropic.Anthropic(api_key="k", base_url=url, max_retries=0) as client:
            if not stream:
                return client.messages.create(**fields)
            with client.messages.stream(**fields) as events:
                return events.get_final_message()
    with openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0) as client:
        if target == "openai.responses":
            if not stream:
                return client.responses.create(**fields)
            with client.responses.stream(**fields) as events:
                return events.get_final_response()
        if not stream:
            return client.chat.completions.create(**fields)
        with client.chat.completions.stream(**fields, stream_options={"include_usage": True}) as events:
            return events.get_final_completion()


def call_gemini(url: str, fields: dict[str, Any], *, stream: bool) -> Any:
    """Ask with Google's SDK; what a stream brings is joined as its own chat does."""
    config = {"automatic_function_calling": {"disable": True}, "http_options": {"extra_body": {k: v for k, v in fields.items() if k != "contents"}}}  # fmt: skip
    with genai.Client(api_key="k", http_options={"base_url": url}) as client:
        asked = {"model": "m-1", "contents": fields["contents"], "config": config}
        if not stream:
            return client.models.generate_content(**asked)
        return list(client.models.generate_content_stream(**asked))


MESSAGE = {
    "role": "assistant",
    "parts": [
        {"type": "reasoning", "content": "They want both."},
        {"type": "text", "content": "Looking — größer…"},
        {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": {"city": "Paris"}},
        {"type": "tool_call", "id": "call_2", "name": "weather", "arguments": {"city": "Rome"}},
    ],
}
USAGE = Usage(input=120, output=20, cache_read=64, reasoning=8)
CALLS = [("call_1", "weather", {"city": "Paris"}), ("call_2", "weather", {"city": "Rome"})]


def seen_chat(found: Any) -> tuple[Any, ...]:
    choice, usage = found.choices[0], found.usage
    calls = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in choice.message.tool_calls]
    counts = (usage.prompt_tokens, usage.completion_tokens, usage.prompt_tokens_details.cached_tokens)
    return choice.message.content, choice.message.reasoning_content, calls, choice.finish_reason, counts


def seen_responses(found: Any) -> tuple[Any, ...]:
    calls = [(i.call_id, i.name, json.loads(i.arguments)) for i in found.output if i.type == "function_call"]
    counts = (
        found.usage.input_tokens,
        found.usage.output_tokens,
        found.usage.input_tokens_details.cached_tokens,
    )
    return found.output_text, found.output[0].summary[0].text, calls, found.status, counts


def seen_anthropic(found: Any) -> tuple[Any, ...]:
    thought, said, *uses = found.content
    calls = [(use.id, use.name, use.input) for use in uses]
    counts = (found.usage.input_tokens + found.usage.cache_read_input_tokens, found.usage.output_tokens, 64)
    return said.text, thought.thinking, calls, found.stop_reason, counts


def seen_gemini(found: Any) -> tuple[Any, ...]:
    chunks = found if isinstance(found, list) else [found]
    parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
    calls = [
        (p.function_call.id, p.function_call.name, p.function_call.args) for p in parts if p.function_call
    ]
    usage, reason = chunks[-1].usage_metadata, chunks[-1].candidates[0].finish_reason.value
    counts = (
        usage.prompt_token_count,
        usage.total_token_count - usage.prompt_token_count,
        usage.cached_content_token_count,
    )
    said = "".join(part.text for part in parts if part.text and not part.thought)
    return said, "".join(part.text for part in parts if part.thought), calls, reason, counts


SEEN = {
    "openai.chat": (seen_chat, "tool_calls"),
    "openai.responses": (seen_responses, "completed"),
    "anthropic.messages": (seen_anthropic, "tool_use"),
    "gemini": (seen_gemini, "STOP"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_an_sdk_sends_and_parses_what_is_rendered(server: Scripted, target: str):
    """The request goes out as it was rendered; the answer comes back typed and equal, whole or streamed."""
    made = request(target, neutral_request("openai.chat", CHAT), MODELS.get(target, "m-1"))
    check_shape(target, made.body)
    body = answer(target, MESSAGE, model="m-1", response_id="resp_1", usage=USAGE, created=1700000000)
    server.whole(body)
    whole = call(target, server.url, made.body)
    path, sent = server.asked[-1]
    assert path.partition("?")[0].removeprefix("/v1/") == made.path.removeprefix("/v1beta/").removeprefix(
        "/v1/"
    )
    if target == "gemini":
        types_of = [types.Content.model_validate(one) for one in made.body["contents"]]
        assert [types.Content.model_validate(one) for one in sent["contents"]] == types_of
        assert {key: sent[key] for key in made.body if key != "contents"} == {
            key: value for key, value in made.body.items() if key != "contents"
        }
    else:
        assert sent == made.body
    see, reason = SEEN[target]
    expected = ("Looking — größer…", "They want both.", CALLS, reason, (120, 20, 64))
    assert see(whole) == expected
    server.stream(answer_stream(target, body, include_usage=True))
    assert see(call(target, server.url, made.body, stream=True)) == expected


@pytest.mark.parametrize("target", ["openai.responses", "anthropic.messages"])
def test_a_stream_makes_the_same_object(server: Scripted, target: str):
    """What the SDK puts together of the events equals what it parses of the whole reply."""
    asked = request(target, neutral_request("openai.chat", CHAT), MODELS.get(target, "m-1")).body
    body = answer(target, MESSAGE, model="m-1", response_id="resp_1", usage=USAGE)
    server.whole(body)
    whole = call(target, server.url, asked).model_dump(exclude_none=True)
    server.stream(answer_stream(target, body))
    streamed = call(target, server.url, asked, stream=True).model_dump(exclude_none=True)
    for part in (*streamed.get("content", ()), *streamed.get("output", ())):
        part.pop("parsed_arguments", None)  # the SDK's own addition
    assert streamed == whole


def test_counts_come_only_to_who_asks():
    """Many an agent reads `choices[0]` of every chunk."""
    body = answer("openai.chat", MESSAGE, model="m", response_id="r", usage=USAGE)
    assert all(json.loads(event[6:])["choices"] for event in answer_stream("openai.chat", body)[:-1])


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
@pytest.mark.parametrize("target", TARGETS)
def test_why_it_stopped_is_kept(server: Scripted, target: str, finish: str):
    """Each reason in the SDK's own words; a cut answer keeps its words."""
    asked = request(target, neutral_request("openai.chat", CHAT), MODELS.get(target, "m-1")).body
    message = {"role": "assistant", "parts": [{"type": "text", "content": "Hello"}]}
    body = answer(target, message, model="m-1", response_id="resp_1", finish_reason=finish, usage=USAGE)
    server.whole(body)
    found = call(target, server.url, asked)
    read = {
        "openai.chat": lambda: found.choices[0].finish_reason,
        "openai.responses": lambda: (
            found.incomplete_details.reason if found.incomplete_details else found.status
        ),
        "anthropic.messages": lambda: found.stop_reason,
        "gemini": lambda: found.candidates[0].finish_reason.value,
    }
    words = {
        "openai.chat": ("stop", "length", "content_filter"),
        "openai.responses": ("completed", "max_output_tokens", "content_filter"),
        "anthropic.messages": ("end_turn", "max_tokens", "refusal"),
        "gemini": ("STOP", "MAX_TOKENS", "SAFETY"),
    }
    assert read[target]() == words[target][("stop", "length", "content_filter").index(finish)]


@pytest.mark.parametrize(
    ("target", "status", "raised"),
    [
        ("openai.chat", 429, openai.RateLimitError),
        ("openai.responses", 400, openai.BadRequestError),
        ("anthropic.messages", 529, anthropic.APIStatusError),
        ("anthropic.messages", 404, anthropic.NotFoundError),
        ("gemini", 503, genai.errors.ServerError),
        ("gemini", 429, genai.errors.ClientError),
    ],
)
def test_a_providers_error_is_the_sdks_own(
    server: Scripted, target: str, status: int, raised: type[Exception]
):
    """Its status makes the exception, and its words are in it."""
    asked = request(target, neutral_request("openai.chat", CHAT), MODELS.get(target, "m-1")).body
    server.whole(error(target, status, "overloaded", "come back later"), status)
    with pytest.raises(raised, match="come back later"):
        call(target, server.url, asked)
