"""Where the recording goes: the collector that announced itself, else the spool; nothing lost in between."""

from __future__ import annotations

import json
import os
import stat
import time
from pathlib import Path

import openai
import pytest
import recorded
from model_server import ModelServer
from otlp_sink import OtlpSink

import spanreel
from spanreel import location
from spanreel.instrument import channel, collecting, recorder
from spanreel.instrument.channel import Channel
from spanreel.wire import attributes as names
from spanreel.wire import spool
from spanreel.wire.spans import Span


def announce(store: Path, sink: OtlpSink) -> None:
    """As the collector does."""
    store.parent.mkdir(parents=True, exist_ok=True)
    said = {
        "pid": os.getpid(),
        "host": "127.0.0.1",
        "http_port": sink.port,
        "grpc_port": 0,
        "token": sink.token,
    }
    location.announcement_file(store).write_text(json.dumps(said))


def span(number: int, body: bytes = b"", **attributes: object) -> Span:
    """A span of an exchange."""
    bodies = {names.WIRE_DIALECT: "openai.chat", names.HTTP_REQUEST_BODY: body} if body else {}
    return Span("a" * 32, f"{number:016x}", "chat", end_ns=1, attributes={**bodies, **attributes})


def test_the_spool_file_is_private_named_after_the_process_and_locked(store: Path) -> None:
    """`<store>.spool/<pid>-<nonce>`, 0600 in a folder of 0700, flock held by its writer."""
    import fcntl

    kept = Channel(store)
    assert kept.append([span(1)])
    (file,) = location.spool_folder(store).iterdir()
    assert file.name.startswith(f"{os.getpid()}-")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    with file.open("rb") as other:
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kept.close()
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_long_conversation_costs_what_is_new(store: Path) -> None:
    """200 turns that repeat all history: the spool grows with the new messages, and every body is rebuilt to the byte."""
    kept = Channel(store)
    messages: list[str] = []
    bodies: list[bytes] = []
    for turn in range(200):
        messages.append(f"turn {turn}: grüß " + "x" * 500)
        bodies.append(json.dumps({"messages": messages, "model": "m"}, ensure_ascii=False).encode())
        kept.send([span(turn + 1, bodies[-1])])
    kept.close()
    (file,) = location.spool_folder(store).iterdir()
    assert file.stat().st_size < sum(len(message) for message in messages) + 200 * 600
    assert [found.attributes[names.HTTP_REQUEST_BODY] for found in recorded.spans(store)] == bodies


def test_parallel_conversations_share_each_their_own_beginning(store: Path) -> None:
    """Interleaved histories find their own last body among the recent ones."""
    kept = Channel(store)
    sent: dict[str, bytes] = {}
    for turn in range(20):
        for who in range(6):
            body = (
                f'{{"messages":["agent {who} ' + "".join(f"turn {n} " + "z" * 300 for n in range(turn + 1))
            ).encode()
            sent[f"{turn * 10 + who + 1:016x}"] = body
            kept.send([span(turn * 10 + who + 1, body)])
    kept.close()
    assert {
        found.span_id: found.attributes[names.HTTP_REQUEST_BODY] for found in recorded.spans(store)
    } == sent
    (file,) = location.spool_folder(store).iterdir()
    assert file.stat().st_size < 120 * 1000


def test_bytes_that_are_no_text_stay_bytes(store: Path) -> None:
    """A body that is not UTF-8 is kept as bytes, one that is as text."""
    kept = Channel(store)
    kept.append([span(1, b"\xff\x00raw"), span(2, "größe".encode())])
    kept.close()
    (file,) = location.spool_folder(store).iterdir()
    first, second = recorded.decoded(spool.frames(file.read_bytes()).payloads[0])
    assert first.attributes[names.HTTP_REQUEST_BODY] == b"\xff\x00raw"
    assert second.attributes[names.HTTP_REQUEST_BODY] == "größe"


def test_an_announced_collector_gets_the_recording(server: ModelServer, store: Path) -> None:
    """Whole bodies by OTLP with its token; the spool holds only what had to be on file at once."""
    with OtlpSink(token="t0ken") as sink:
        announce(store, sink)
        spanreel.instrument()
        client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
        with spanreel.run("collected"):
            client.chat.completions.create(model="m", messages=[])
        spanreel.uninstrument()
    got = {found.name: found for found in sink.spans()}
    assert got["chat m"].attributes[names.HTTP_REQUEST_BODY] == server.served[0].request.decode()
    assert got["invoke_workflow collected"].end_ns
    assert [found.end_ns for found in recorded.spans(store)] == [0]


@pytest.mark.parametrize("failure", ["gone", "refuses", "wants another token"])
def test_a_collector_that_fails_costs_nothing(failure: str, server: ModelServer, store: Path) -> None:
    """What it does not take is in the spool, every body whole."""
    sink = OtlpSink(status=503 if failure == "refuses" else 200, token="right")
    announce(store, sink)
    sink.token = "other" if failure == "wants another token" else "right"
    with sink:
        if failure == "gone":
            location.announcement_file(store).write_text(
                location.announcement_file(store).read_text().replace(str(sink.port), "9")
            )
        spanreel.instrument()
        client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
        for text in ("a", "b"):
            client.chat.completions.create(model="m", messages=[{"role": "user", "content": text * 1000}])
            spanreel.instrument().flush()
        spanreel.uninstrument()
    bodies = [found.attributes[names.HTTP_REQUEST_BODY] for found in recorded.exchanges(store)]
    assert bodies == [exchange.request for exchange in server.served]


def test_a_collector_that_comes_later_is_found(
    server: ModelServer, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The announcement is looked for now and then."""
    monkeypatch.setattr(collecting, "LOOK_S", 0.05)
    spanreel.instrument()
    client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
    client.chat.completions.create(model="m", messages=[])
    spanreel.instrument().flush()
    with OtlpSink() as sink:
        announce(store, sink)
        time.sleep(0.1)
        client.chat.completions.create(model="m", messages=[])
        spanreel.uninstrument()
    assert len(recorded.exchanges(store)) == 1
    assert "chat m" in [found.name for found in sink.spans()]


def test_memory_is_bounded_while_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits loses its content first and then goes; when the disk is back, the loss is said."""
    monkeypatch.setattr(channel, "WAITING", 100_000)
    monkeypatch.setattr(channel, "RETRY_S", 0.0)
    (tmp_path / "no").write_text("")
    store = tmp_path / "no" / "spans.db"
    kept = Channel(store)
    for number in range(400):
        assert not kept.append([span(number + 1, b"x" * 5000)])
        assert kept._waiting_size <= 100_000
    (tmp_path / "no").unlink()
    kept.close()
    found = recorded.spans(store)
    why = [str(found.attributes.get(names.INCOMPLETE, "")) for found in found]
    assert any("spans" in reason for reason in why)
    assert any(reason == channel.LOST for reason in why)


def test_everything_that_ended_is_on_file_within_200_ms(store: Path) -> None:
    """Without a flush, in a process that does nothing else."""
    spanreel.instrument()
    recording = recorder.current()
    assert recording is not None
    recording.end(recording.start("warm", names.KIND_INTERNAL, {}, root=True))
    recording.flush()
    for _ in range(5):
        recording.end(recording.start("one", names.KIND_INTERNAL, {}, root=True))
        time.sleep(0.2)
        assert not recording._queue.qsize()
    assert len([found for found in recorded.spans(store) if found.name == "one"]) == 5
