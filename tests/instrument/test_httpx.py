"""The tap on httpx and httpx2, under real SDKs and a real server: every byte, every ending, nothing delayed or changed."""

from __future__ import annotations

import asyncio
import gc
import importlib
import socket
import time
from itertools import pairwise
from pathlib import Path

import anthropic
import httpx
import httpx2
import openai
import pytest
import recorded
from model_server import ModelServer, Served
from opentelemetry import context

import spanreel
from spanreel.instrument import responder
from spanreel.instrument.clients.attempt import model_in
from spanreel.instrument.responder import ModelAnswer, ModelRequest
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span

MESSAGES = [{"role": "user", "content": "Grüß Gott " * 60}]


def openai_client(server: ModelServer, **options) -> openai.OpenAI:
    """The SDK, pointed at the server."""
    return openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", **options)


def async_client(server: ModelServer, **options) -> openai.AsyncOpenAI:
    """The async SDK, pointed at the server."""
    return openai.AsyncOpenAI(api_key="none", base_url=f"{server.url}/v1", **options)


def chat(client, **options):
    """A chat completion."""
    return client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES, **options)


def claude(client, **options):
    """A message."""
    return client.messages.create(model="claude-sonnet-5-5", max_tokens=9, messages=MESSAGES, **options)


def the_exchanges(store: Path) -> list[Span]:
    """What was recorded until now."""
    spanreel.instrument().flush()
    return recorded.exchanges(store)


def assert_same_bytes(spans: list[Span], served: list[Served]) -> None:
    """Recorded and served exchanges are equal, chunk boundaries included."""
    assert len(spans) == len(served)
    for span, exchange in zip(spans, served, strict=True):
        assert span.attributes[names.HTTP_REQUEST_BODY] == exchange.request
        assert span.attributes[names.HTTP_STATUS] == exchange.status
        if exchange.status == 429 and span.attributes[names.WIRE_OUTCOME] == "closed":
            continue  # the SDK retried without reading why
        assert span.attributes[names.HTTP_RESPONSE_BODY] == exchange.body
        ends = [int(end) for end in span.attributes[names.WIRE_CHUNK_ENDS].split()]
        assert ends[-1] == len(exchange.body)
        assert ends == sorted(ends)
        assert len(ends) == len(span.attributes[names.WIRE_CHUNK_MICROS].split())


def text_of(stream) -> str:
    """The text of a stream."""
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


SYNC_CALLS = {
    "chat": lambda server: chat(openai_client(server)).choices[0].message.content,
    "chat raw": lambda server: (
        openai_client(server)
        .chat.completions.with_raw_response.create(model="m", messages=MESSAGES)
        .parse()
        .choices[0]
        .message.content
    ),
    "chat stream": lambda server: text_of(chat(openai_client(server), stream=True)),
    "responses": lambda server: openai_client(server).responses.create(model="m", input="hi").output_text,
    "responses stream": lambda server: (
        list(openai_client(server).responses.create(model="m", input="hi", stream=True))[
            -1
        ].response.output_text
    ),
    "embeddings": lambda server: (
        openai_client(server).embeddings.create(model="m", input="hi").data[0].embedding
    ),
    "messages": lambda server: claude(anthropic.Anthropic(api_key="k", base_url=server.url)).content[0].text,
    "messages stream": lambda server: "".join(
        event.delta.text
        for event in claude(anthropic.Anthropic(api_key="k", base_url=server.url), stream=True)
        if event.type == "content_block_delta"
    ),
}


@pytest.mark.parametrize("behaviour", ["ok", "gzip", "429"])
@pytest.mark.parametrize("call", SYNC_CALLS)
def test_every_byte_of_a_call_is_recorded_and_the_caller_gets_the_same_result(
    call: str, behaviour: str, server: ModelServer, store: Path
) -> None:
    """Whatever the SDK method, the recorded exchange equals what the server saw and sent, failed attempts included."""
    alone = SYNC_CALLS[call](server)
    server.served.clear()
    spanreel.instrument()
    server.script.append(behaviour)
    assert SYNC_CALLS[call](server) == alone
    spans = the_exchanges(store)
    assert_same_bytes(spans, server.served)
    assert [span.attributes[names.HTTP_RESEND] for span in spans] == list(range(len(spans)))
    assert len({span.trace_id for span in spans}) == 1


async def _async_results(server: ModelServer) -> list[object]:
    async with (
        async_client(server) as client,
        anthropic.AsyncAnthropic(api_key="k", base_url=server.url) as claude_client,
    ):
        stream = await chat(client, stream=True)
        return [
            (await chat(client)).choices[0].message.content,
            "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]),
            (await claude(claude_client)).content[0].text,
            [event.type async for event in await claude(claude_client, stream=True)],
        ]


def test_async_calls_and_streams_are_recorded_to_the_byte(server: ModelServer, store: Path) -> None:
    """The async clients of both SDKs, streaming and not."""
    alone = asyncio.run(_async_results(server))
    server.served.clear()
    spanreel.instrument()
    assert asyncio.run(_async_results(server)) == alone
    assert_same_bytes(the_exchanges(store), server.served)


@pytest.mark.parametrize("module", ["httpx", "httpx2"])
def test_both_modules_are_tapped_in_one_process(module: str, server: ModelServer, store: Path) -> None:
    """A client of either module, made before instrument(), is recorded; other requests are not."""
    http = importlib.import_module(module)
    with http.Client() as client:
        spanreel.instrument()
        for path in ("/v1/embeddings", "/v1/embeddings"):
            assert client.post(server.url + path, json={"model": "m", "input": "x"}).status_code == 200
        with pytest.raises(http.TransportError):
            client.post(server.url + "/other", json={})
    spans = the_exchanges(store)
    assert [span.attributes[names.WIRE_TRANSPORT] for span in spans] == [module, module]
    assert_same_bytes(spans, server.served[:2])


def test_chunks_are_not_delayed(server: ModelServer, store: Path) -> None:
    """Each chunk of a paced stream reaches the caller when the server sent it, and its time is recorded."""
    spanreel.instrument()
    server.script.append("slow")
    started, seen = time.perf_counter(), []
    seen.extend(time.perf_counter() - started for _ in chat(openai_client(server), stream=True))
    (span,) = the_exchanges(store)
    micros = [int(value) for value in span.attributes[names.WIRE_CHUNK_MICROS].split()]
    assert seen[0] < 0.2
    assert seen[-1] - seen[0] > 0.03 * (len(seen) - 2)
    assert micros[-1] - micros[0] > 30_000 * (len(seen) - 2)


def test_an_early_break_ends_the_exchange_with_what_was_read(server: ModelServer, store: Path) -> None:
    """A stream left early is closed, not complete; the recorded bytes are a beginning of what was served."""
    spanreel.instrument()
    server.script.append("slow")
    with chat(openai_client(server), stream=True) as stream:
        next(iter(stream))
    (span,) = the_exchanges(store)
    assert span.attributes[names.WIRE_OUTCOME] == "closed"
    body = span.attributes[names.HTTP_RESPONSE_BODY]
    assert body
    assert server.served[0].body.startswith(body)


def test_a_stream_that_is_forgotten_ends_when_it_is_collected(server: ModelServer, store: Path) -> None:
    """A response never read nor closed is dropped, once the garbage collector has it."""
    spanreel.instrument()
    with httpx2.Client() as client:
        request = client.build_request(
            "POST", f"{server.url}/v1/chat/completions", json={"model": "m", "messages": [], "stream": True}
        )
        response = client.send(request, stream=True)
        del response
        gc.collect()
    (span,) = the_exchanges(store)
    assert span.attributes[names.WIRE_OUTCOME] == "dropped"


def test_cancellation_ends_the_exchange(server: ModelServer, store: Path) -> None:
    """A task cancelled while the model answers leaves a cancelled exchange, and the cancellation goes on."""
    spanreel.instrument()
    server.script.append("hang")

    async def cancelled() -> None:
        async with async_client(server) as client:
            task = asyncio.ensure_future(chat(client))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    (span,) = the_exchanges(store)
    assert (span.attributes[names.WIRE_OUTCOME], span.status) == ("cancelled", names.STATUS_ERROR)
    assert span.attributes[names.ERROR_TYPE] == "asyncio.exceptions.CancelledError"


def test_a_connection_that_breaks_in_the_stream_is_an_error_with_the_bytes_so_far(
    server: ModelServer, store: Path
) -> None:
    """The client's own exception reaches the caller; the exchange keeps it and what had come."""
    spanreel.instrument()
    server.script.append("drop")
    with pytest.raises(openai.APIConnectionError) as caught:
        text_of(chat(openai_client(server), stream=True))
    assert isinstance(caught.value.__cause__, httpx2.RemoteProtocolError)
    (span,) = the_exchanges(store)
    assert span.attributes[names.WIRE_OUTCOME] == "error"
    assert span.attributes[names.ERROR_TYPE] == "httpx2.RemoteProtocolError"
    assert span.attributes[names.WIRE_ERROR]
    assert span.attributes[names.HTTP_RESPONSE_BODY] == server.served[0].body


def test_a_refused_connection_is_recorded_attempt_by_attempt(store: Path) -> None:
    """No server: the SDK's own error, and one exchange for each attempt, without status."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    spanreel.instrument()
    client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{port}/v1", max_retries=1)
    with pytest.raises(openai.APIConnectionError):
        chat(client)
    spans = the_exchanges(store)
    assert [span.attributes[names.WIRE_OUTCOME] for span in spans] == ["error", "error"]
    assert all(names.HTTP_STATUS not in span.attributes for span in spans)


def test_concurrent_calls_share_no_exchange(server: ModelServer, store: Path) -> None:
    """Calls gathered on one client are recorded one by one, each with its own bytes."""
    spanreel.instrument()

    async def many() -> None:
        async with async_client(server) as client:
            await asyncio.gather(
                *(
                    client.chat.completions.create(model="m", messages=[{"role": "user", "content": str(n)}])
                    for n in range(20)
                )
            )

    asyncio.run(many())
    found = {span.attributes[names.HTTP_REQUEST_BODY] for span in the_exchanges(store)}
    assert found == {exchange.request for exchange in server.served}


def test_a_native_model_span_is_the_parent_even_where_it_is_only_named_in_a_header(
    server: ModelServer, store: Path
) -> None:
    """Anthropic keeps its span out of the context: the exchange hangs under it by its traceparent, as its exchange."""
    spanreel.instrument()
    claude(anthropic.Anthropic(api_key="k", base_url=server.url))
    (exchange,) = the_exchanges(store)
    native = next(span for span in recorded.spans(store) if span.span_id == exchange.parent_span_id)
    assert native.name.startswith("anthropic") or "claude" in native.name
    assert exchange.attributes[names.WIRE_ROLE] == "exchange"
    assert names.OPERATION not in exchange.attributes


def test_a_request_body_that_streams_is_a_miss_that_is_said(
    server: ModelServer, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A body that cannot be read again goes through untouched; the log and a marker span say that it was missed."""
    spanreel.instrument()
    body = b'{"model": "m", "input": "x"}'
    for _ in range(2):
        answer = httpx.post(
            f"{server.url}/v1/embeddings", content=iter([body]), headers={"content-length": str(len(body))}
        )
        assert answer.status_code == 200
    assert the_exchanges(store) == []
    assert [
        span for span in recorded.spans(store) if "not captured" in str(span.attributes.get(names.INCOMPLETE))
    ]
    assert len([line for line in caplog.messages if "not recorded" in line]) == 1


def test_suppressed_instrumentation_is_respected(server: ModelServer, store: Path) -> None:
    """Inside OpenTelemetry's suppression nothing is recorded."""
    spanreel.instrument()
    token = context.attach(context.set_value(context._SUPPRESS_INSTRUMENTATION_KEY, True))
    try:
        chat(openai_client(server))
    finally:
        context.detach(token)
    assert the_exchanges(store) == []
    assert len(server.served) == 1


class Serving:
    """A responder with one answer."""

    def __init__(self, answer: ModelAnswer) -> None:
        self.answer = answer
        self.asked: list[ModelRequest] = []

    def model(self, request: ModelRequest) -> ModelAnswer:
        self.asked.append(request)
        return self.answer

    def tool(self, request: object) -> None:
        return None


@pytest.fixture
def serve():
    """Installs a responder for the test."""
    before = responder.current()

    def install(answer: ModelAnswer) -> Serving:
        serving = Serving(answer)
        responder.install(serving)
        return serving

    yield install
    responder.install(before)


@pytest.mark.parametrize("stream", [False, True])
def test_a_served_answer_gives_the_same_objects_without_a_connection(
    stream: bool, server: ModelServer, store: Path, serve
) -> None:
    """What was recorded, served again, parses to equal objects, chunk by chunk; the span says where it came from."""
    spanreel.instrument()
    client = openai_client(server)
    first = list(chat(client, stream=True)) if stream else chat(client)
    (span,) = the_exchanges(store)
    body = span.attributes[names.HTTP_RESPONSE_BODY]
    ends = [0, *(int(end) for end in span.attributes[names.WIRE_CHUNK_ENDS].split())]
    chunks = tuple(body[start:end] for start, end in pairwise(ends))
    serving = serve(
        ModelAnswer(
            200,
            (("content-type", "text/event-stream" if stream else "application/json"),),
            chunks,
            source_span_id=span.span_id,
        )
    )
    again = list(chat(client, stream=True)) if stream else chat(client)
    assert again == first
    assert len(server.served) == 1
    assert serving.asked[0].body == server.served[0].request
    served = the_exchanges(store)[1]
    assert (served.kind, served.attributes[names.EFFECT_SOURCE]) == (names.KIND_INTERNAL, "recorded")
    assert served.attributes[names.HTTP_RESPONSE_BODY] == body
    assert served.attributes[names.REPLAY_SOURCE_SPAN] == span.span_id


def test_a_served_answer_runs_the_hooks_of_the_client(serve) -> None:
    """Event hooks see request and response, and a response hook may raise by design."""
    spanreel.instrument()
    serve(ModelAnswer(503, (("content-type", "application/json"),), (b"{}",)))
    seen: list[str] = []
    hooks = {
        "request": [lambda request: seen.append(request.method)],
        "response": [lambda response: response.raise_for_status()],
    }
    with httpx2.Client(event_hooks=hooks) as client, pytest.raises(httpx2.HTTPStatusError):
        client.post("http://nowhere.invalid/v1/embeddings", json={"model": "m", "input": "x"})
    assert seen == ["POST"]


@pytest.mark.parametrize("module", [httpx, httpx2])
def test_a_served_error_is_the_modules_own(module, serve) -> None:
    """A recorded transport error is raised as the class of the module that asks, with its request."""
    spanreel.instrument()
    serve(ModelAnswer(0, error_type="httpx2.ReadTimeout", error_message="too slow", outcome="error"))

    async def call() -> None:
        async with module.AsyncClient() as client:
            await client.post("http://nowhere.invalid/v1/embeddings", json={"model": "m", "input": "x"})

    with pytest.raises(module.ReadTimeout, match="too slow") as caught:
        asyncio.run(call())
    assert caught.value.request.url.host == "nowhere.invalid"


def test_uninstrument_gives_the_classes_their_methods_back(server: ModelServer, store: Path) -> None:
    """After uninstrument() the classes are as they were, and nothing is recorded."""
    own = httpx2.Client.__dict__["_send_handling_auth"], httpx.AsyncClient.__dict__["_send_handling_auth"]
    spanreel.instrument()
    assert httpx2.Client.__dict__["_send_handling_auth"] is not own[0]
    spanreel.uninstrument()
    assert (
        httpx2.Client.__dict__["_send_handling_auth"],
        httpx.AsyncClient.__dict__["_send_handling_auth"],
    ) == own
    chat(openai_client(server))
    assert recorded.spans(store) == []


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"model":"first","messages":[{"content":"x"}],"tools":[{"model":"no"}]}', "first"),
        (b' { "model" : "fir\\"st", "messages":[]}', 'fir\\"st'),
        (b'{"messages":[{"content":"\\"model\\": \\"no\\""}],"model":"last","stream":true}', "last"),
        (b'{"messages":[{"content":"{\\"model\\":\\"no\\"}"}]}', None),
        (b'{"model":5,"messages":[]}', None),
        (b"", None),
    ],
)
def test_the_model_is_read_off_the_bytes(body: bytes, model: str | None) -> None:
    """Wherever SDKs put it: at the start or at the end; never out of a text."""
    assert model_in(body) == model
