"""Time and uuid4 of a replay are those of its recording."""

from __future__ import annotations

import datetime as dt
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from uuid import uuid4

import openai
import pytest

import spanreel
from spanreel.exceptions import SpanreelError
from spanreel.replay.clock import recorded_clock, seeded_uuids
from spanreel.replay.recording import Recording

pytest_plugins = ["pytester"]


def test_time_stands_at_the_recorded_moments(server) -> None:
    """It is the run's start, then the end of each effect as it is served; the replay itself is recorded in real time."""
    store = Path(os.environ["SPANREEL_STORE"])
    recording = spanreel.instrument(store=store)
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="k")
    messages = [{"role": "user", "content": "hi"}]
    with spanreel.run("clock") as run:
        client.chat.completions.create(model="m", messages=messages)
    recording.flush()
    try:
        known = spanreel.load(run.run_id)
        with spanreel.replaying(run.run_id) as execution, recorded_clock(execution.recording):
            began = (time.time(), dt.datetime.now(dt.UTC), dt.date.today())
            monotonic = time.monotonic()
            assert time.time() == began[0]
            client.chat.completions.create(model="m", messages=messages)
            ended = dt.datetime.now(dt.UTC)
            assert time.monotonic() > monotonic
        said = dt.datetime.fromisoformat(known.started_at)
        assert abs(began[1] - said) < dt.timedelta(milliseconds=1)
        assert began[2] == dt.datetime.fromtimestamp(began[0]).date()
        assert abs(ended - dt.datetime.fromisoformat(known.steps[0].ended_at)) < dt.timedelta(milliseconds=1)
        assert spanreel.load(execution.run_id).started_at > known.started_at
        assert dt.datetime.now(dt.UTC) > ended
    finally:
        spanreel.uninstrument()


def test_uuids_are_drawn_by_lane() -> None:
    """The same seed gives the same sequence, however uuid4 was imported; afterwards it is random again."""
    with seeded_uuids("s"):
        first = [uuid.uuid4(), uuid4(), uuid4()]
    with seeded_uuids("s"):
        assert [uuid4(), uuid.uuid4(), uuid4()] == first
    with seeded_uuids("t"):
        assert uuid4() != first[0]
    assert uuid4() not in first
    assert all(one.version == 4 for one in first)
    assert len(set(first)) == 3


def test_threads_have_sequences_of_their_own() -> None:
    """Two threads that draw at once do not race for values."""
    spanreel.instrument()
    try:
        runs = []
        for order in ((0, 1), (1, 0)):
            drawn: dict[int, list[uuid.UUID]] = {0: [], 1: []}
            gates = [threading.Event(), threading.Event()]

            def draw(number: int, drawn: dict = drawn, gates: list = gates) -> None:
                gates[number].wait(5)
                drawn[number] = [uuid4(), uuid4()]

            with spanreel.run("lanes"), seeded_uuids("s"):
                threads = [threading.Thread(target=draw, args=(number,)) for number in (0, 1)]
                for thread in threads:
                    thread.start()
                for number in order:
                    gates[number].set()
                    threads[number].join(5)
            runs.append(drawn)
        assert runs[0] == runs[1]
        assert runs[0][0] != runs[0][1]
    finally:
        spanreel.uninstrument()


def test_a_recording_without_times() -> None:
    """It is refused in one line."""
    with pytest.raises(SpanreelError, match="does not say when"), recorded_clock(Recording("r", ())):
        pass


def test_without_time_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package that is missing is named, with what installs it."""
    monkeypatch.setitem(sys.modules, "time_machine", None)
    with pytest.raises(SpanreelError) as wrong, recorded_clock(Recording("r", (), started_ns=1)):
        pass
    assert wrong.value.remedy == "pip install 'spanreel[clock]'"


CLOCKED = """
import datetime as dt, time, uuid
import pytest
from agent import ask, lookup

@pytest.mark.spanreel(clock="recorded", match="strict")
def test_clock():
    ask(f"it is {dt.datetime.now().isoformat()}, {time.time_ns()}, {uuid.uuid4()}")
    lookup(str(uuid.uuid4()))
    ask(f"it is {dt.datetime.now().isoformat()}, {time.time_ns()}, {uuid.uuid4()}")
"""


def test_a_test_that_says_what_time_it_is(project) -> None:
    """With the recorded clock, requests made of the time and of random ids are byte for byte the recorded ones."""
    project.test(CLOCKED)
    project.run().assert_outcomes(passed=1)
    project.run("--spanreel-record=none").assert_outcomes(passed=1)
    assert len(project.server.served) == 2
    project.run("--spanreel-record=none", "--spanreel-clock=now").assert_outcomes(failed=1)
