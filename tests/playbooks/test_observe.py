"""What the compiler sees of a run: recorded for real, with a model that was asked, tools, a failure and a verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import spanreel
from spanreel.replay.playbooks.compiling import observe
from spanreel.replay.playbooks.compiling.cleaning import cleaned
from spanreel.replay.timeline import Replay, ReplayStep, ToolCallRecord

FAILS = [True]


@spanreel.tool(name="observed_look", safety="read")
def look(order_id: str) -> str:
    """An order, as JSON text."""
    return json.dumps({"order_id": order_id, "status": "open"})


@spanreel.tool(name="observed_close", safety="write")
def close(order_id: str) -> dict[str, str]:
    """The first time it fails."""
    if FAILS.pop() if FAILS else False:
        raise ConnectionError("503")
    return {"order_id": order_id, "status": "closed"}


@spanreel.agent(name="closing")
def agent(order: dict[str, str], *, succeeds: bool = True) -> str:
    """Looks twice, closes once, at the second try."""
    look(order["id"])
    look(order["id"])
    try:
        close(order["id"])
    except ConnectionError:
        close(order["id"])
    spanreel.outcome(success=succeeds)
    return "closed"


@pytest.fixture
def recorded() -> Iterator[None]:
    """Recording is on until the test ends."""
    spanreel.instrument()
    yield
    spanreel.uninstrument()


def test_a_recorded_run_is_seen_with_its_input_its_calls_and_their_safety(recorded: None) -> None:
    """Results are JSON values; each call knows its span, its moment and what was declared of it."""
    FAILS[:] = [True]
    agent({"id": "#W10001"})
    spanreel.uninstrument()
    seen = observe(spanreel.load("last"))
    assert seen.ok
    assert seen.input == {"order": {"id": "#W10001"}}
    assert [(call.tool, call.safety) for call in seen.calls] == [
        ("observed_look", "read"),
        ("observed_look", "read"),
        ("observed_close", "write"),
        ("observed_close", "write"),
    ]
    assert seen.calls[0].result == {"order_id": "#W10001", "status": "open"}
    assert seen.calls[2].error == "503"
    assert [call.at for call in seen.calls] == sorted(call.at for call in seen.calls)
    assert all(len(call.span.partition(":")[2]) == 16 for call in seen.calls)


def test_what_failed_and_was_retried_and_what_was_asked_twice_is_left_out(recorded: None) -> None:
    """Each call that does not count is listed with why."""
    FAILS[:] = [True]
    agent({"id": "#W10002"})
    spanreel.uninstrument()
    clean = cleaned(observe(spanreel.load("last")), 0)
    assert [call.tool for call in clean.calls] == ["observed_look", "observed_close"]
    assert [(out.call.tool, out.why) for out in clean.left_out] == [
        ("observed_look", "was asked before, with the same result"),
        ("observed_close", "failed (503), and was tried again"),
    ]


def test_a_run_whose_outcome_is_no_success_does_not_count(recorded: None) -> None:
    """Status alone does not make a success; allow_partial lifts that."""
    FAILS.clear()
    agent({"id": "#W10003"}, succeeds=False)
    spanreel.uninstrument()
    replay = spanreel.load("last")
    assert not observe(replay).ok
    assert "outcome" in observe(replay).why
    assert observe(replay, allow_partial=True).ok


def _step(number: int, **fields: object) -> ReplayStep:
    return ReplayStep.model_validate({"number": number, "kind": "llm", "name": "chat", **fields})


def test_texts_of_the_user_have_their_moment_and_errors_told_as_text_are_failures() -> None:
    """What a message adds was there before the model answered it; `Error: …` is no result."""
    user = {"role": "user", "parts": [{"type": "text", "content": "close #W1"}]}
    more = {"role": "user", "parts": [{"type": "text", "content": "yes"}]}
    calls = [
        ToolCallRecord(tool_name="look", tool_args={"id": 1}, result="Error: 503", step=2, safety="read"),
        ToolCallRecord(tool_name="look", tool_args={"id": 1}, result='{"a": 1}', step=3, safety="read"),
    ]
    replay = Replay(
        run_id="a" * 32,
        trace_id="a" * 32,
        steps=[
            _step(1, input_messages=[user]),
            _step(2, kind="tool", name="look", tool=calls[0]),
            _step(3, kind="tool", name="look", tool=calls[1]),
            _step(4, input_messages=[more], input_from=1, input_shared=1, provider="openai", model="m"),
        ],
        tool_calls=calls,
    )
    seen = observe(replay)
    assert [(one.text, one.role) for one in seen.said] == [("close #W1", "user"), ("yes", "user")]
    assert seen.said[0].at < seen.calls[0].at < seen.said[1].at
    assert seen.thoughts[1].model == "openai/m"
    clean = cleaned(seen, 0)
    assert [call.result for call in clean.calls] == [{"a": 1}]
    assert "tried again" in clean.left_out[0].why


def test_a_caller_s_word_on_a_tool_is_the_last() -> None:
    """What is declared when compiling overrides what the run says."""
    calls = [ToolCallRecord(tool_name="look", tool_args={}, result="x", safety="write")]
    replay = Replay(run_id="b" * 32, trace_id="b" * 32, tool_calls=calls)
    assert observe(replay, reads=["look"]).calls[0].safety == "read"
    assert observe(replay).calls[0].safety == "write"
