"""A damaged recording file is read as it was or refused by one clear line; nothing is played half."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_recording import ROOT, exchange, tool

from spanreel.collector import files
from spanreel.exceptions import BadInput, NotReplayable, SpanreelError
from spanreel.replay.recording import Recording
from spanreel.replay.stored import stored

FORMAT = b'"spanreel.recording.format","value":{"intValue":"1"}'
COUNT = b'"spanreel.recording.spans","value":{"intValue":"5"}'
SPANS = [ROOT, exchange(2), tool(3), exchange(4, 500, HTTP_RESEND=0), exchange(5, HTTP_RESEND=1)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A recording file as it is written."""
    path = tmp_path_factory.mktemp("whole") / "run.otlp.jsonl"
    files.write_jsonl(SPANS, path)
    return path.read_bytes()


def loaded(data: bytes, path: Path) -> Recording:
    """What the file plays."""
    path.write_bytes(data)
    return stored(path).recording


def one_line(error: SpanreelError) -> str:
    """The error as people read it."""
    assert "\n" not in str(error)
    assert error.remedy
    return str(error)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_cut_is_never_played(whole: bytes, tmp_path: Path, data: st.DataObject):
    """Wherever the file is cut off, between two lines as well: all of it, or an error."""
    cut = data.draw(
        st.integers(0, len(whole)) | st.sampled_from([at + 1 for at in range(len(whole)) if whole[at] == 10])
    )
    expected = loaded(whole, tmp_path / "run.otlp.jsonl")
    try:
        found = loaded(whole[:cut], tmp_path / "run.otlp.jsonl")
    except (BadInput, NotReplayable) as error:
        one_line(error)
    else:
        assert found == expected
        assert cut >= len(whole.rstrip())


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_byte_is_a_recording_or_an_error(whole: bytes, tmp_path: Path, data: st.DataObject):
    """Anything but an error of ours would be a traceback; a text may be edited by hand, so another letter in it is no error."""
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    damaged = whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]
    try:
        assert loaded(damaged, tmp_path / "run.otlp.jsonl").effects
    except SpanreelError as error:
        one_line(error)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:3], "the file is cut off: it has 3 of its 5 spans"),
        (lambda lines: [*lines[:3], lines[3][:40]], "the JSON is cut off"),
        (lambda lines: [lines[0].replace(FORMAT, FORMAT.replace(b"1", b"2")), *lines[1:]], "has format 2, and this version reads format 1"),
        (lambda lines: [lines[0].replace(COUNT, COUNT.replace(b"int", b"string")), *lines[1:]], "the head of the recording is damaged"),
        (lambda lines: [b"interactions:", b"- request:"], "give OTLP"),
        (lambda lines: [b'{"interactions": [], "version": 1}'], "this JSON is not OTLP"),
        (lambda lines: [], "the file is empty"),
    ],
)  # fmt: skip
def test_each_damage_has_its_line(whole: bytes, tmp_path: Path, change, said):
    """Where, what, and what mends it."""
    path = tmp_path / "run.otlp.jsonl"
    with pytest.raises(BadInput) as refused:
        loaded(b"\n".join(change(whole.splitlines())), path)
    assert said in one_line(refused.value)
    assert str(path) in one_line(refused.value)


def test_another_programs_spans_cannot_be_played(tmp_path: Path):
    """They can be viewed; the line names what they lack."""
    import dataclasses

    from spanreel.wire.spans import Scope

    foreign = dataclasses.replace(
        exchange(2, WIRE_DIALECT=None, HTTP_REQUEST_BODY=None), scope=Scope("other")
    )
    path = tmp_path / "run.otlp.jsonl"
    files.write_jsonl([ROOT, foreign], path)
    with pytest.raises(NotReplayable, match=r"http\.request\.body\.content"):
        stored(path)


def test_files_put_together_are_counted_each(whole: bytes, tmp_path: Path):
    """Two recordings in one file are fine; one that lacks its end is not, whatever follows."""
    again = whole.splitlines()[0].replace(ROOT.trace_id.encode(), b"2" * 32)
    other = again.replace(COUNT, COUNT.replace(b"5", b"1")) + b"\n"
    path = tmp_path / "both.otlp.jsonl"
    path.write_bytes(whole + other)
    assert sum(len(batch) for batch in files.read(path)) == 6
    path.write_bytes(b"\n".join(whole.splitlines()[:4]) + b"\n" + other)
    with pytest.raises(BadInput, match="it has 4 of its 5 spans"):
        list(files.read(path))
