"""The one line: at any time, once, by argument or environment; and off again."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import openai
import pytest
import recorded
from model_server import ModelServer

import spanreel
from spanreel import location
from spanreel.instrument import activate, entrypoint, guard, recorder
from spanreel.wire import attributes as names

HEAVY = {
    "sqlite3",
    "pydantic",
    "grpc",
    "requests",
    "starlette",
    "typer",
    "rich",
    "httpx",
    "httpx2",
    "google.protobuf",
}


def ask(server: ModelServer) -> None:
    """One call of the real SDK."""
    client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
    client.chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": "hi"}])


def test_calling_it_again_changes_nothing(store: Path) -> None:
    """The same recording, whatever the second call asks for."""
    first = spanreel.instrument()
    assert spanreel.instrument(capture="none", store=store.parent / "other.db") is first


def test_it_can_be_switched_off_and_on_again(server: ModelServer, store: Path) -> None:
    """Each time records what happens while it is on."""
    for expected in (1, 2):
        spanreel.instrument()
        ask(server)
        spanreel.uninstrument()
        ask(server)
        assert len(recorded.exchanges(store)) == expected
    assert recorder.current() is None
    spanreel.uninstrument()


def test_what_cannot_be_is_refused_with_what_can() -> None:
    """A level that does not exist, a vault that is not there yet, a rule that is none."""
    with pytest.raises(spanreel.SpanreelError, match="use one of full, hashes, metadata, none"):
        spanreel.instrument(capture="everything")
    with pytest.raises(spanreel.SpanreelError, match="vault"):
        spanreel.instrument(vault=True)
    with pytest.raises(spanreel.SpanreelError, match="use keys, paths or patterns"):
        spanreel.instrument(redact={"words": ["x"]})
    assert recorder.current() is None


def test_a_disabled_sdk_records_nothing(
    server: ModelServer, store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """OTEL_SDK_DISABLED=true: one log line, no file, and the handle still works."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "TRUE")
    monkeypatch.setattr(guard, "_logged", set())
    handle = spanreel.instrument()
    ask(server)
    assert handle.flush()
    handle.uninstrument()
    assert not location.spool_folder(store).exists()
    assert caplog.messages == ["spanreel: OTEL_SDK_DISABLED is set: nothing is recorded"]


def test_the_one_line_is_light(tmp_path: Path) -> None:
    """It loads nothing heavy, no HTTP client, and not even protobuf: that comes with the first span."""
    code = "import spanreel, sys, json; spanreel.instrument(store='s.db'); print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(spanreel.__file__).parents[1])},
        check=True,
    )
    assert not HEAVY & set(json.loads(done.stdout))


def test_the_process_is_named_in_every_span(
    server: ModelServer, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """service.name by argument, else by OpenTelemetry's variables; an instance id and the pid besides."""
    spanreel.instrument("shop")
    ask(server)
    spanreel.uninstrument()
    resources = recorded.resources(store)
    assert {resource[names.SERVICE_NAME] for resource in resources} == {"shop"}
    assert len({resource[names.SERVICE_INSTANCE] for resource in resources}) == 1
    assert all(resource["telemetry.sdk.language"] == "python" for resource in resources)


def test_the_console_shows_one_line_for_each_call(
    server: ModelServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Model, duration, tokens; a failure is named."""

    @spanreel.tool
    def broken() -> None:
        raise ValueError("no")

    spanreel.instrument(console=True)
    ask(server)
    with pytest.raises(ValueError, match="no"):
        broken()
    spanreel.uninstrument()
    lines = capsys.readouterr().err.splitlines()
    assert any(
        line.startswith("spanreel: chat gpt-4.1-mini · ") and line.endswith("11 in, 7 out") for line in lines
    )
    assert any("execute_tool broken" in line and line.endswith("failed: ValueError") for line in lines)


def test_the_entry_point_of_opentelemetry_instrument(server: ModelServer, store: Path) -> None:
    """With opentelemetry-instrumentation its instrumentor switches recording on; without, using it says what to install."""
    try:
        import opentelemetry.instrumentation  # noqa: F401
    except ImportError:
        with pytest.raises(spanreel.SpanreelError, match="pip install opentelemetry-instrumentation"):
            _ = entrypoint.SpanreelInstrumentor
        return
    entrypoint.SpanreelInstrumentor().instrument()
    ask(server)
    entrypoint.SpanreelInstrumentor().uninstrument()
    assert len(recorded.exchanges(store)) == 1


def test_what_ends_after_recording_is_said_and_dropped(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A span that outlives the recording is no error."""
    spanreel.instrument()
    recording = recorder.current()
    assert recording is not None
    span = recording.start("late", names.KIND_INTERNAL, {}, root=True)
    spanreel.uninstrument()
    with caplog.at_level(logging.WARNING):
        recording.end(span)
        recording.end(span)
    assert len(caplog.messages) == 1
    assert recording.flush()
    assert activate._active is None
