"""What may be kept: no planted secret anywhere, content as the capture level says, equality by keyed hashes."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import httpx2
import openai
import pytest
import recorded
from model_server import ModelServer
from otlp_sink import OtlpSink

import spanreel
from spanreel import location
from spanreel.instrument import recorder
from spanreel.wire import attributes as names

CANARY = "the quick brown canary"
CORPUS = Path(__file__).parent.parent / "recordings" / "secrets.json"


def planted() -> list[str]:
    """The secrets of the corpus."""
    return ["".join(entry["parts"]) for entry in json.loads(CORPUS.read_text("utf-8"))]


def as_said() -> str:
    """A text in which each secret of the corpus stands as such secrets do."""
    entries = json.loads(CORPUS.read_text("utf-8"))
    return "\n".join(
        f"{entry.get('before', '')}{''.join(entry['parts'])}{entry.get('after', '')}\n" for entry in entries
    )


def drive(server: ModelServer, text: str) -> None:
    """Everything that carries content: messages both ways, arguments, results, errors, inputs, notes, URL, headers."""

    @spanreel.tool
    def look_up(query: str) -> dict:
        if query.startswith("fail"):
            raise ValueError(f"no such thing: {text}")
        return {"found": [text], "for": query}

    server.text = text
    line = " ".join(text.split())
    client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1", default_query={"trace": line})
    with spanreel.run("privacy", input={"question": text}, metadata={"about": text}) as run:
        for stream in (False, True):
            answer = client.chat.completions.create(
                model="gpt-4.1-mini", messages=[{"role": "user", "content": text}], stream=stream, user=text,
                extra_headers={"Authorization": f"Bearer {line}", "X-Title": line},
            )  # fmt: skip
            _ = list(answer) if stream else None
        look_up(text)
        with pytest.raises(ValueError, match="no such thing"):
            look_up("fail " + text)
        run.note("observation", summary=text, data={"seen": text})
        run.outcome(success=False, summary=text)
        run.set_output({"answer": text})
        with httpx2.Client() as http, pytest.raises(httpx2.ConnectError):
            http.post(
                "http://127.0.0.1:9/v1/chat/completions",
                params={"q": line},
                json={"model": "m", "messages": []},
            )


@pytest.mark.parametrize("level", ["full", "hashes", "metadata", "none"])
def test_no_planted_secret_reaches_a_file_or_an_endpoint(
    level: str, server: ModelServer, tmp_path: Path
) -> None:
    """Whatever the level, every secret of the corpus is blanked in each place that carries content, outward content included."""
    secrets = planted()
    with OtlpSink() as sink:
        spanreel.instrument(capture=level, endpoint=sink.url, endpoint_content=True)
        drive(server, as_said())
        spanreel.uninstrument()
        everything = recorded.everything_on_disk(tmp_path) + b"".join(sink.payloads)
    assert sink.spans()
    leaked = [
        secret
        for secret in secrets
        if secret.encode() in everything or json.dumps(secret)[1:-1].encode() in everything
    ]
    assert leaked == []


@pytest.mark.parametrize("level", ["hashes", "metadata", "none"])
def test_below_full_no_content_is_kept_or_sent(level: str, server: ModelServer, tmp_path: Path) -> None:
    """An ordinary sentence in any place that carries content is nowhere, on disk or on the wire."""
    with OtlpSink() as sink:
        spanreel.instrument(capture=level, endpoint=sink.url, endpoint_content=True)
        drive(server, CANARY)
        spanreel.uninstrument()
        everything = recorded.everything_on_disk(tmp_path) + b"".join(sink.payloads)
    for word in CANARY.split()[1:]:
        assert word.encode() not in everything


def exchanges(server: ModelServer, store: Path, level: str, *texts: str) -> list[dict]:
    """The attributes of the calls that say these texts, recorded at a level."""
    spanreel.instrument(capture=level)
    client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
    for text in texts:
        client.chat.completions.create(model="gpt-4.1-mini", messages=[{"role": "user", "content": text}])
    spanreel.uninstrument()
    return [dict(span.attributes) for span in recorded.exchanges(store)] or [
        dict(s.attributes) for s in recorded.spans(store)
    ]


def test_hashes_keep_structure_equality_and_the_facts_of_a_call(server: ModelServer, store: Path) -> None:
    """At `hashes` equal texts have equal hashes, roles stay readable, usage and models are attributes, bodies are gone."""
    first, same, other = exchanges(server, store, "hashes", CANARY, CANARY, "something else")
    assert first[names.INPUT_MESSAGES] == same[names.INPUT_MESSAGES] != other[names.INPUT_MESSAGES]
    (message,) = json.loads(first[names.INPUT_MESSAGES])
    assert message["role"] == "user"
    assert message["parts"][0]["type"] == "text"
    assert message["parts"][0]["content"].startswith("k1:")
    assert first[names.REQUEST_HASH] == same[names.REQUEST_HASH] != other[names.REQUEST_HASH]
    assert (first[names.USAGE_INPUT], first[names.USAGE_OUTPUT]) == (11, 7)
    assert first[names.RESPONSE_FINISH_REASONS] == ["stop"]
    assert names.HTTP_REQUEST_BODY not in first
    assert names.HTTP_RESPONSE_BODY not in first
    assert first[names.CAPTURE_LEVEL] == "hashes"


def test_metadata_keeps_names_sizes_usage_and_one_keyed_hash(server: ModelServer, store: Path) -> None:
    """At `metadata` a call is its names, sizes, usage and one keyed hash."""
    first, other = exchanges(server, store, "metadata", CANARY, "something else")
    assert first[names.REQUEST_MODEL] == "gpt-4.1-mini"
    assert first[names.USAGE_OUTPUT] == 7
    assert first[names.HTTP_REQUEST_SIZE] > 0
    assert first[names.REQUEST_HASH] != other[names.REQUEST_HASH]
    assert not [key for key in first if key in (*names.CONTENT, names.HTTP_REQUEST_BODY, names.URL_FULL)]


def test_none_keeps_name_time_and_status(server: ModelServer, store: Path) -> None:
    """At `none` a span has a name, times, a status, and what makes it part of its run."""
    exchanges(server, store, "none", CANARY)
    spans = [span for span in recorded.spans(store) if span.name.startswith("chat")]
    assert [set(span.attributes) for span in spans] == [{names.RUN_ID, names.CAPTURE_LEVEL, names.OPERATION}]
    assert all(span.end_ns > span.start_ns for span in spans)


def test_the_key_is_the_stores_own_and_made_once(server: ModelServer, store: Path, tmp_path: Path) -> None:
    """Two recordings into one store hash alike; into another they do not; the key file is private."""
    (first,) = exchanges(server, store, "hashes", CANARY)
    key = location.key_file(store)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    again = exchanges(server, store, "hashes", CANARY)
    assert {call[names.REQUEST_HASH] for call in again} == {first[names.REQUEST_HASH]}
    os.environ["SPANREEL_STORE"] = str(tmp_path / "other" / "spans.db")
    (other,) = exchanges(server, tmp_path / "other" / "spans.db", "hashes", CANARY)
    assert other[names.REQUEST_HASH] != first[names.REQUEST_HASH]


def test_a_redactor_of_the_user_is_applied_to_every_text(server: ModelServer, tmp_path: Path) -> None:
    """A function, or keys, paths and patterns, blank what only the user knows to be secret."""
    spanreel.instrument(redact=lambda text: text.replace("canary", "bird"))
    drive(server, CANARY)
    spanreel.uninstrument()
    everything = recorded.everything_on_disk(tmp_path)
    assert b"canary" not in everything
    assert b"bird" in everything


def test_rules_of_the_user_are_added_to_the_built_in_ones(
    server: ModelServer, store: Path, tmp_path: Path
) -> None:
    """`redact={"keys": …, "patterns": …}` blanks those too, and keeps the rest."""
    spanreel.instrument(redact={"keys": ["user"], "patterns": ["canar[a-z]"]})
    drive(server, CANARY + " " + planted()[0])
    spanreel.uninstrument()
    everything = recorded.everything_on_disk(tmp_path)
    assert b"canary" not in everything
    assert planted()[0].encode() not in everything
    assert b"quick" in everything
    assert b'"user":"[redacted:key]"' in recorded.exchanges(store)[0].attributes[names.HTTP_REQUEST_BODY]


def test_a_redactor_that_raises_costs_the_text_and_never_the_agent(
    server: ModelServer, store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What could not be cleaned is not kept; the span says that it is incomplete, the log says so once."""

    def broken(text: str) -> str:
        raise RuntimeError("my redactor is broken")

    spanreel.instrument(redact=broken)
    drive(server, CANARY)
    spanreel.uninstrument()
    assert b"canary" not in recorded.everything_on_disk(tmp_path)
    assert all("redaction" in str(span.attributes[names.INCOMPLETE]) for span in recorded.exchanges(store))
    assert len([line for line in caplog.messages if "redaction failed" in line]) == 1


def test_a_secret_in_repeated_history_is_blanked_each_time(server: ModelServer, store: Path) -> None:
    """A history that grows keeps its secret blanked, and bodies rebuilt from their bases are what was cleaned."""
    secret = planted()[0]
    history = [{"role": "user", "content": "x" * 500}, {"role": "user", "content": f"it is {secret}"}]
    spanreel.instrument()
    client = openai.OpenAI(api_key="none", base_url=f"{server.url}/v1")
    for turn in range(6):
        client.chat.completions.create(model="m", messages=history)
        history.append({"role": "user", "content": f"turn {turn} " + "y" * 20_000})
    spanreel.uninstrument()
    for span, served in zip(recorded.exchanges(store), server.served, strict=True):
        assert span.attributes[names.HTTP_REQUEST_BODY] == served.request.replace(
            secret.encode(), b"[redacted:api-key]"
        )
        assert span.attributes[names.REDACTED] >= 1


def test_the_redactor_sees_what_the_recorder_itself_adds(store: Path) -> None:
    """Names and attributes given to the recorder are cleaned like everything else."""
    spanreel.instrument()
    recording = recorder.current()
    assert recording is not None
    secret = planted()[0]
    span = recording.start(
        f"invoke_agent {secret}",
        names.KIND_INTERNAL,
        {"custom": [secret], "password": "hunter2hunter2"},
        root=True,
    )
    span.events.append(("said", 1, {"what": secret}))
    recording.end(span, durable=True)
    (found,) = recorded.spans(store)
    assert secret not in repr(found)
    assert "hunter2" not in repr(found)
