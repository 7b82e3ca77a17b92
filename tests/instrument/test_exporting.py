"""Standard spans outward: to an endpoint and to the application's own provider; the recording does not depend on either."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import openai
import pytest
import recorded
from grpc_sink import GrpcSink
from model_server import ModelServer
from otlp_sink import OtlpSink

import spanreel
from spanreel.instrument import exporting
from spanreel.wire import attributes as names

HERE = Path(__file__).parent


def ask(server: ModelServer, **options) -> None:
    """One call of the real SDK, streamed if asked."""
    client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
    answer = client.chat.completions.create(
        model="gpt-4.1-mini",
        messages=[{"role": "user", "content": "what is sent?"}],
        temperature=0.5,
        **options,
    )
    if options.get("stream"):
        list(answer)


def test_an_endpoint_gets_standard_spans_without_content_or_bodies(server: ModelServer, store: Path) -> None:
    """gen_ai.* facts computed from the bytes; no message, no body; the recording has both."""
    with OtlpSink() as sink:
        spanreel.instrument(endpoint=sink.url)
        with spanreel.run("outward", input="what is asked?"):
            ask(server)
            ask(server, stream=True)
        spanreel.uninstrument()
    (whole, streamed) = [span for span in sink.spans() if span.name == "chat gpt-4.1-mini"]
    for span in (whole, streamed):
        assert span.kind == names.KIND_CLIENT
        assert span.attributes[names.OPERATION] == "chat"
        assert span.attributes[names.PROVIDER] == "openai"
        assert span.attributes[names.RESPONSE_MODEL] == "gpt-4.1-mini-2025-04-14"
        assert span.attributes[names.RESPONSE_FINISH_REASONS] == ["stop"]
        assert (span.attributes[names.USAGE_INPUT], span.attributes[names.USAGE_OUTPUT]) == (11, 7)
        assert span.attributes[names.REQUEST_TEMPERATURE] == 0.5
    assert 0 < streamed.attributes[names.RESPONSE_FIRST_CHUNK] < 5
    assert b"what is" not in b"".join(sink.payloads)
    assert b"Hello" not in b"".join(sink.payloads)
    recorded_ids = {(span.trace_id, span.span_id) for span in recorded.spans(store)}
    assert {(span.trace_id, span.span_id) for span in sink.spans()} <= recorded_ids
    assert len(recorded.exchanges(store)) == 2


@pytest.mark.parametrize("variable", ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"])
@pytest.mark.parametrize("how", ["argument", "environment"])
def test_an_endpoint_that_speaks_grpc(
    how: str, variable: str, server: ModelServer, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenTelemetry's own variables choose the protocol; what is sent is the same, and no content either."""
    monkeypatch.setenv(variable, "grpc")
    with GrpcSink() as sink:
        if how == "environment":
            monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
        spanreel.instrument(endpoint=sink.url if how == "argument" else None)
        with spanreel.run("outward", input="what is asked?"):
            ask(server)
        spanreel.uninstrument()
    (chat,) = [span for span in sink.spans() if span.name == "chat gpt-4.1-mini"]
    assert (chat.attributes[names.USAGE_INPUT], chat.attributes[names.USAGE_OUTPUT]) == (11, 7)
    assert b"what is" not in b"".join(sink.payloads)
    recorded_ids = {(span.trace_id, span.span_id) for span in recorded.spans(store)}
    sent = {(span.trace_id, span.span_id) for span in sink.spans()}
    assert len(sent) == 2
    assert sent <= recorded_ids


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_content_goes_outward_when_it_is_asked_for(
    how: str, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`endpoint_content=True`, or OpenTelemetry's own variable, sends messages; bodies never go."""
    if how == "environment":
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    with OtlpSink() as sink:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", sink.url)
        spanreel.instrument(endpoint_content=True if how == "argument" else None)
        ask(server)
        spanreel.uninstrument()
    (span,) = [span for span in sink.spans() if span.name.startswith("chat")]
    assert json.loads(span.attributes[names.INPUT_MESSAGES])[0]["parts"][0]["content"] == "what is sent?"
    assert json.loads(span.attributes[names.OUTPUT_MESSAGES])[0]["finish_reason"] == "stop"
    assert names.HTTP_REQUEST_BODY not in span.attributes


def test_a_dead_endpoint_costs_the_recording_nothing(server: ModelServer, store: Path) -> None:
    """Nobody listens at the endpoint: the call returns, the recording is whole."""
    spanreel.instrument(endpoint="http://127.0.0.1:9")
    ask(server)
    assert spanreel.instrument()._recorder.flush()
    assert len(recorded.exchanges(store)) == 1


def test_batches_are_bounded_in_bytes(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large spans are sent in several requests, none far above the limit, none left out."""
    monkeypatch.setattr(exporting, "BYTES", 50_000)
    with OtlpSink() as sink:
        spanreel.instrument(endpoint=sink.url, endpoint_content=True)
        server.text = "y" * 30_000
        for _ in range(6):
            ask(server)
        spanreel.uninstrument()
    assert len([span for span in sink.spans() if span.name.startswith("chat")]) == 6
    assert max(len(payload) for payload in sink.payloads) < 120_000


JOINED = """
import os, sys, json
import anthropic, openai, spanreel
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
out = InMemorySpanExporter()
own = TracerProvider(sampler=ALWAYS_OFF if "off" in sys.argv else ALWAYS_ON)
own.add_span_processor(SimpleSpanProcessor(out))
trace.set_tracer_provider(own)
spanreel.instrument()
tracer = trace.get_tracer("theirs")
with tracer.start_as_current_span("GET /chat"):
    with tracer.start_as_current_span("invoke_agent theirs", attributes={"gen_ai.operation.name": "invoke_agent"}):
        with tracer.start_as_current_span("SELECT"):
            pass
        openai.OpenAI(api_key="k", base_url=os.environ["SERVER"] + "/v1").chat.completions.create(model="m", messages=[])
        anthropic.Anthropic(api_key="k", base_url=os.environ["SERVER"]).messages.create(model="claude-sonnet-5-5", max_tokens=5, messages=[])
spanreel.uninstrument()
assert trace.get_tracer_provider() is own
print(json.dumps([[span.name, span.instrumentation_scope.name, dict(span.attributes)] for span in out.get_finished_spans()], default=str))
"""


def joined(server: ModelServer, store: Path, *args: str) -> list:
    """Run an application that configured its own provider; gives what its exporter saw."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)]),
        "SPANREEL_STORE": str(store),
        "SERVER": server.url,
    }
    done = subprocess.run(
        [sys.executable, "-c", JOINED, *args],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_applications_provider_is_joined_and_its_genai_spans_are_recorded(
    server: ModelServer, store: Path
) -> None:
    """Ours appear there once; its agent span and what that hangs under are in the recording; its other spans are not."""
    seen = {name: attributes for name, _, attributes in joined(server, store)}
    assert {"GET /chat", "invoke_agent theirs", "SELECT", "chat m", "POST"} <= set(seen)
    assert seen["chat m"][names.USAGE_INPUT] == 11
    assert not [key for key in seen["POST"] if key.startswith("gen_ai.")]
    assert not [key for attributes in seen.values() for key in attributes if key.endswith("body.content")]
    spans = {span.name: span for span in recorded.spans(store)}
    assert "SELECT" not in spans
    assert spans["chat m"].parent_span_id == spans["invoke_agent theirs"].span_id
    assert spans["invoke_agent theirs"].parent_span_id == spans["GET /chat"].span_id
    assert len({span.trace_id for span in spans.values()}) == 1


def test_the_recording_does_not_depend_on_the_applications_sampler(server: ModelServer, store: Path) -> None:
    """ALWAYS_OFF silences the application's exporters, not the recording."""
    assert joined(server, store, "off") == []
    assert len(recorded.exchanges(store)) == 2


def test_traces_url() -> None:
    """A base gets the path of traces; a full address stays."""
    assert exporting.traces_url("http://host:4318") == "http://host:4318/v1/traces"
    assert exporting.traces_url("http://host:4318/") == "http://host:4318/v1/traces"
    assert exporting.traces_url("http://host/otlp/v1/traces") == "http://host/otlp/v1/traces"


def test_nothing_of_a_replay_is_sent(server: ModelServer, store: Path, tmp_path: Path) -> None:
    """Neither its calls nor its runs happened again; those of the recorded process were sent."""
    code = f"import openai, spanreel\nask = spanreel.agent(name='asker')(lambda: openai.OpenAI(api_key='k', base_url='{server.url}/v1').chat.completions.create(model='m', messages=[]))\nask()\n"
    (tmp_path / "agent.py").write_text(code)
    with OtlpSink() as sink:
        environ = os.environ | {
            "PYTHONPATH": str(HERE.parent.parent),
            "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        }

        def run(*words: str) -> None:
            subprocess.run(
                [sys.executable, "-m", "spanreel", *words], env=environ, cwd=tmp_path, check=True, timeout=60
            )

        run("run", "--", sys.executable, "agent.py")
        sent = [span.name for span in sink.spans()]
        assert "invoke_agent asker" in sent
        run("replay", "last")
        assert [span.name for span in sink.spans()] == sent
