"""Recording never hurts the agent: each fault, brought about by real means, is logged once and marked on the spans."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import openai
import pytest
import recorded
from model_server import ModelServer

import spanreel
from spanreel import location
from spanreel.instrument import guard, recorder
from spanreel.instrument.clients import httpx as tap
from spanreel.wire import attributes as names
from spanreel.wire.dialects import openai_chat

HERE = Path(__file__).parent


def ask(server: ModelServer, text: str = "hi") -> str | None:
    """One call of the real SDK."""
    client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
    return (
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
        .choices[0]
        .message.content
    )


def incomplete(store: Path) -> list[str]:
    """Why spans are incomplete."""
    return [
        str(span.attributes[names.INCOMPLETE])
        for span in recorded.spans(store)
        if names.INCOMPLETE in span.attributes
    ]


def in_a_process(code: str, server: ModelServer, store: Path, **options) -> subprocess.CompletedProcess[str]:
    """Run code beside the recording in a process of its own."""
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)]),
        "SPANREEL_STORE": str(store),
        "SERVER": server.url,
    }
    prelude = "import os, openai, spanreel\nclient = openai.OpenAI(api_key='none', base_url=os.environ['SERVER'] + '/v1')\n"
    prelude += "ask = lambda text: client.chat.completions.create(model='m', messages=[{'role': 'user', 'content': text}])\n"
    return subprocess.run(
        [sys.executable, "-c", prelude + code],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def test_a_fault_at_the_start_of_a_call_leaves_the_call_alone(
    server: ModelServer, store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The call goes on unrecorded; a marker in the run says that something is missing; the log says so once."""
    spanreel.instrument()
    monkeypatch.setattr(tap, "lane", lambda: 1 / 0)
    with spanreel.run("agent"):
        assert [ask(server), ask(server)] == [server.text] * 2
    spanreel.uninstrument()
    assert recorded.exchanges(store) == []
    assert incomplete(store) == ["look at a request: ZeroDivisionError"]
    root = next(span for span in recorded.spans(store) if span.name == "invoke_workflow agent")
    marker = next(span for span in recorded.spans(store) if names.INCOMPLETE in span.attributes)
    assert marker.trace_id == root.trace_id
    assert len([line for line in caplog.messages if "recording failed" in line]) == 1


def test_a_dialect_that_cannot_read_costs_the_facts_only(
    server: ModelServer, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage and models are missing, and the span says why; below `full` no content slips through."""

    def broken(*_: object) -> None:
        raise RuntimeError("cannot read")

    monkeypatch.setattr(openai_chat.OpenAIChat, "read", broken)
    spanreel.instrument(capture="metadata")
    assert ask(server) == server.text
    spanreel.uninstrument()
    (span,) = recorded.exchanges(store)
    assert span.attributes[names.INCOMPLETE] == "reading a model call: RuntimeError"
    assert names.HTTP_REQUEST_BODY not in span.attributes


def test_a_span_that_cannot_be_finished_is_kept_bare(
    server: ModelServer, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Name, ids and times remain, and the reason."""

    def broken(*_: object) -> None:
        raise RuntimeError("cannot freeze")

    spanreel.instrument()
    with spanreel.run("agent"):
        monkeypatch.setattr("spanreel.instrument.http_span.attributes", broken)
        assert ask(server) == server.text
        spanreel.instrument().flush()
    spanreel.uninstrument()
    (span,) = [span for span in recorded.spans(store) if names.INCOMPLETE in span.attributes]
    assert (span.name, span.attributes[names.INCOMPLETE]) == ("chat", "finishing a span: RuntimeError")
    assert span.end_ns > span.start_ns


def test_a_value_that_cannot_be_encoded_costs_one_span_its_content(store: Path) -> None:
    """The others of the batch are whole."""
    spanreel.instrument()
    recording = recorder.current()
    assert recording is not None
    for name, value in (("good", "x"), ("bad", {"deep": None}), ("last", "y")):
        span = recording.start(name, names.KIND_INTERNAL, {"value": value}, root=True)
        if name == "bad":
            nested: list = []
            for _ in range(5000):
                nested = [nested]
            span.attributes["value"] = nested
        recording.end(span)
    spanreel.uninstrument()
    found = {span.name: span.attributes for span in recorded.spans(store)}
    assert (found["good"]["value"], found["last"]["value"]) == ("x", "y")
    assert found["bad"].get(names.INCOMPLETE) or "redacted" in str(found["bad"]["value"])


def test_a_folder_that_cannot_be_made_costs_nothing_but_the_recording(
    server: ModelServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The store's folder is a file: the agent goes on, one line is logged, and the loss is counted at the end."""
    (tmp_path / "taken").write_text("")
    spanreel.instrument(store=tmp_path / "taken" / "spans.db")
    assert [ask(server) for _ in range(3)] == [server.text] * 3
    spanreel.uninstrument()
    assert len([line for line in caplog.messages if "cannot be written" in line]) == 1
    assert any("are lost" in line for line in caplog.messages)


def test_what_waits_for_the_disk_is_written_when_it_takes_it(server: ModelServer, tmp_path: Path) -> None:
    """A folder that becomes writable later has everything, in the end."""
    obstacle = tmp_path / "later"
    obstacle.write_text("")
    store = obstacle / "spans.db"
    spanreel.instrument(store=store)
    ask(server, "first")
    spanreel.instrument().flush()
    obstacle.unlink()
    ask(server, "second")
    spanreel.uninstrument()
    assert [span.attributes[names.HTTP_REQUEST_BODY] for span in recorded.exchanges(store)] == [
        exchange.request for exchange in server.served
    ]


def test_a_full_disk_keeps_what_fits_and_says_what_is_missing(server: ModelServer, store: Path) -> None:
    """Under a real file size limit the agent ends well, the file stays readable, and nothing is half-written."""

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    code = (  # text that does not shrink when it is packed
        "import base64, random\nspanreel.instrument()\nfor n in range(12):\n"
        "    ask(base64.b64encode(random.Random(n).randbytes(2250 * n)).decode())\nprint('well')\n"
    )
    done = in_a_process(code, server, store, preexec_fn=small_files)
    assert (done.returncode, done.stdout) == (0, "well\n")
    assert "cannot be written" in done.stderr
    assert "are lost" in done.stderr
    (file,) = location.spool_folder(store).iterdir()
    assert file.stat().st_size <= 40_000
    sent = {exchange.request for exchange in server.served}
    kept = recorded.exchanges(store)
    assert 0 < len(kept) < 12
    assert {span.attributes[names.HTTP_REQUEST_BODY] for span in kept} <= sent


def test_a_removed_spool_is_begun_anew(server: ModelServer, store: Path) -> None:
    """Somebody clears the folder while the agent runs: what follows is found, and stands on its own."""
    spanreel.instrument()
    ask(server, "x" * 5000)
    spanreel.instrument().flush()
    for file in location.spool_folder(store).iterdir():
        file.unlink()
    ask(server, "x" * 5000)
    spanreel.uninstrument()
    (span,) = recorded.exchanges(store)
    assert span.attributes[names.HTTP_REQUEST_BODY] == server.served[1].request


def test_what_was_written_survives_a_kill(server: ModelServer, store: Path) -> None:
    """Open and durable records, and what ended before them, are on file before a tool that writes runs."""
    code = """
import signal
spanreel.instrument()
@spanreel.tool
def pay(amount):
    if amount == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return amount
with spanreel.run("shop"):
    ask("hello")
    pay(1)
    pay(2)
"""
    done = in_a_process(code, server, store)
    assert done.returncode == -9
    spans = recorded.spans(store)
    assert [span.attributes[names.HTTP_REQUEST_BODY] for span in recorded.exchanges(store)] == [
        server.served[0].request
    ]
    tools = [
        (json.loads(str(span.attributes[names.TOOL_CALL_ARGUMENTS]))["amount"], bool(span.end_ns))
        for span in spans
        if names.TOOL_NAME in span.attributes
    ]
    assert tools == [(1, False), (1, True), (2, False)]
    assert [bool(span.end_ns) for span in spans if span.name == "invoke_workflow shop"] == [False]


def test_a_forked_child_records_into_a_file_of_its_own(server: ModelServer, store: Path) -> None:
    """Parent and child both record; nothing is written twice; the child does not end what the parent began."""
    code = """
spanreel.instrument()
with spanreel.run("family"):
    ask("before")
    child = os.fork()
    client = client.copy(http_client=openai.DefaultHttpxClient())  # two processes cannot share one connection
    ask("child" if child == 0 else "parent")
    if child == 0:
        spanreel.instrument().flush()
        os._exit(0)
    os.waitpid(child, 0)
"""
    done = in_a_process(code, server, store)
    assert done.returncode == 0, done.stderr
    assert len(list(location.spool_folder(store).iterdir())) == 2
    asked = [
        json.loads(span.attributes[names.HTTP_REQUEST_BODY])["messages"][0]["content"]
        for span in recorded.exchanges(store)
    ]
    assert sorted(asked) == ["before", "child", "parent"]
    assert (
        len([span for span in recorded.spans(store) if span.name == "invoke_workflow family" and span.end_ns])
        == 1
    )


def test_a_fork_waits_until_the_exporting_thread_rests(server: ModelServer, store: Path) -> None:
    """In the middle of an import on that thread, the child would find the module locked for ever."""
    code = """
import sys, threading, time
started = threading.Event()
class Slow:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread().name == "spanreel" and not started.is_set():
            started.set()
            time.sleep(0.3)
sys.meta_path.insert(0, Slow())
recording = spanreel.instrument()._recorder
recording.end(recording.start("before", 1, {}, root=True))
assert started.wait(5)
child = os.fork()
recording.end(recording.start("child" if child == 0 else "parent", 1, {}, root=True))
if child == 0:
    os._exit(0 if spanreel.instrument().flush() else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = in_a_process(code, server, store)
    assert done.returncode == 0, done.stderr
    assert sorted(span.name for span in recorded.spans(store)) == ["before", "child", "parent"]


def test_a_stream_still_open_at_exit_is_recorded_as_far_as_it_was_read(
    server: ModelServer, store: Path
) -> None:
    """The process ends in the middle of an answer: its bytes so far are kept, and the log is quiet."""
    code = """
spanreel.instrument()
stream = client.chat.completions.create(model='m', messages=[], stream=True)
next(stream)
"""
    done = in_a_process(code, server, store)
    assert (done.returncode, done.stderr) == (0, "")
    (span,) = recorded.exchanges(store)
    assert span.attributes[names.WIRE_OUTCOME] == "dropped"
    assert server.served[0].body.startswith(span.attributes[names.HTTP_RESPONSE_BODY])
    assert span.attributes[names.HTTP_RESPONSE_BODY]


def test_signals_pass_through_the_guard() -> None:
    """What is meant for the agent reaches it."""
    with pytest.raises(spanreel.Divergence), guard.guard("anywhere"):
        raise spanreel.Divergence("asked for something else")
    with pytest.raises(KeyboardInterrupt), guard.guard("anywhere"):
        raise KeyboardInterrupt
