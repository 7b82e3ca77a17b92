"""The spool into the store: nothing lost, nothing twice, whoever drains and whenever a process died."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spanreel.collector.store import drain as drain_module
from spanreel.collector.store import drain_spool, open_reader, open_writer
from spanreel.exceptions import StoreError
from spanreel.location import lock_file, spool_folder
from spanreel.wire.spool import HEADER, frame
from tests.collector.traffic import TRACE, conversation, request, span


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store that is not there yet, with an empty spool beside it."""
    store = tmp_path / ".spanreel" / "spans.db"
    spool_folder(store).mkdir(parents=True)
    return store


def dead_pid() -> int:
    """The id of a process that has ended."""
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return ended.pid


def left(path: Path, name: str, *payloads: bytes, tail: bytes = b"") -> Path:
    """A spool file that a process left."""
    file = spool_folder(path) / name
    file.write_bytes(HEADER + b"".join(map(frame, payloads)) + tail)
    return file


def test_a_missing_store_with_a_spool_is_made(path: Path) -> None:
    """The first reader makes the store; the dead process's file is gone, its torn tail is counted."""
    file = left(path, f"{dead_pid()}-a", request([span(1)]), tail=b"\xf7SPR\x05")
    with open_reader(path) as reader:
        assert reader.spans(TRACE) == [span(1)]
        assert reader.counts().torn_bytes == 5
    assert not file.exists()


def test_a_live_process_keeps_its_file(path: Path) -> None:
    """While its writer holds the lock a file is read as far as it goes, and read on from there later."""
    file = left(path, f"{os.getpid()}-a", request([span(1)]), tail=frame(request([span(2)]))[:-3])
    with file.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with open_reader(path) as reader:
            assert reader.spans(TRACE) == [span(1)]
            assert reader.counts().torn_bytes == 0
        held.seek(0, os.SEEK_END)
        held.write(frame(request([span(2)]))[-3:])
        held.flush()
        with open_reader(path) as reader:
            assert reader.spans(TRACE) == [span(1), span(2)]
        assert file.exists()


def test_damage_in_the_middle_costs_one_frame(path: Path) -> None:
    """A frame that is damaged, and one whose payload is no OTLP, are skipped and counted; the rest is stored."""
    bad = bytearray(frame(request([span(2)])))
    bad[20] ^= 0xFF
    file = left(path, f"{dead_pid()}-a", request([span(1)]))
    with file.open("ab") as more:
        more.write(bytes(bad) + frame(b"\xff\xff\xff") + frame(request([span(3)])))
    with open_reader(path) as reader:
        assert reader.spans(TRACE) == [span(1), span(3)]
        assert reader.counts().torn_bytes == len(bad) + 3


def test_frames_larger_than_a_chunk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read in small chunks, frames of any size come through, bases across files too."""
    monkeypatch.setattr(drain_module, "CHUNK_BYTES", 64)
    sent = conversation(5)
    for number, item in enumerate(sent):
        os.utime(left(path, f"{dead_pid()}-{number}", request([item])), (number, number))
    with open_reader(path) as reader:
        assert reader.spans(TRACE) == sent


def test_many_drainers_at_once_store_each_span_once(path: Path) -> None:
    """Threads with writers of their own, and a file that grows meanwhile."""
    for number in range(20):
        left(
            path,
            f"{dead_pid() if number == 0 else 999_999_999 + number}-{number}",
            *[request([span(10 * number + i)]) for i in range(1, 6)],
        )
    start = threading.Barrier(4)

    def drainer(_: int) -> None:
        start.wait()
        with open_writer(path) as writer:
            drain_spool(writer)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(drainer, range(4)))
    with open_reader(path) as reader:
        assert len(reader.spans(TRACE)) == 100
    assert not list(spool_folder(path).iterdir())


def test_a_locked_store_is_read_as_an_overlay(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody else holds the drainer's lock, a reader sees store and spool together, and writes nothing."""
    monkeypatch.setattr(drain_module, "LOCK_SECONDS", 0.1)
    with open_writer(path) as writer:
        writer.add([span(1)])
    file = left(path, f"{dead_pid()}-a", request([span(2)]))
    with lock_file(path).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with open_reader(path) as reader:
            assert reader.overlay
            assert reader.spans(TRACE) == [span(1), span(2)]
            assert len(reader.runs()) == 1
            assert len(reader.runs()[0].records) == 2
    assert file.exists()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM span").fetchone() == (1,)
    connection.close()


def test_neither_store_nor_spool_is_an_error(path: Path) -> None:
    """An empty spool makes no store."""
    with pytest.raises(StoreError, match="there is no store"):
        open_reader(path)
    assert not path.exists()


def test_readers_that_come_while_the_store_is_being_made_wait_for_it(path: Path) -> None:
    """Each finds what was spooled, whoever of them makes the store."""
    left(path, f"{dead_pid()}-a", request([span(1)]))
    read = f"from pathlib import Path; from spanreel.collector.store import open_reader; print(len(open_reader(Path({str(path)!r})).runs()))"
    readers = [
        subprocess.Popen([sys.executable, "-c", read], stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert [reader.communicate()[0].strip() for reader in readers] == ["1"] * 4
