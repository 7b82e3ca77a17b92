"""Runs and steps out of records."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.wire.grouping import Run, group
from spanreel.wire.records import Record
from spanreel.wire.steps import STEP_KINDS
from spanreel.wire.usage import Usage

TRACE = "ab" * 16


def record(
    span: str, start: int, end: int, kind: str = "llm", parent: str | None = "root", **more: Any
) -> Record:
    """A record of the trace, under the root."""
    return Record(TRACE, span, parent, more.pop("name", span), start, end, kind=kind, **more)


def root(start: int = 0, end: int = 100, **more: Any) -> Record:
    """The outermost agent."""
    more = {"parent": None, "name": "invoke_agent weather", "agent": "weather", **more}
    return record("root", start, end, "agent", **more)


def exchange(span: str, start: int, end: int, parent: str = "root", body: str = "b", **more: Any) -> Record:
    """A captured HTTP attempt."""
    return record(span, start, end, "llm", parent, exchange=True, emitter="spanreel", body_hash=body, **more)


def only(*records: Record) -> Run:
    """The one run of these records."""
    [run] = group(records)
    return run


def shape(run: Run) -> list[tuple[str, ...]]:
    """The members of each step."""
    return [step.members for step in run.steps]


def test_one_outermost_agent_is_the_run_of_its_whole_trace() -> None:
    """Spans above and beside the agent belong to its run, whose id is the trace's."""
    run = only(
        record("server", 0, 200, "span", None),
        root(10, 100, parent="server"),
        record("a", 20, 30),
        record("nested", 40, 60, "agent"),
        record("b", 45, 50, parent="nested"),
        record("after", 150, 160, "llm", "server"),
    )

    assert (run.run_id, run.root.span_id, run.agent_name, run.status) == (
        TRACE,
        "root",
        "weather",
        "completed",
    )
    assert shape(run) == [("a",), ("b",), ("after",)]
    assert (run.started_ns, run.ended_ns, len(run.records)) == (10, 100, 6)


def test_only_a_name_that_somebody_gave_is_an_alias() -> None:
    """Every run of ours carries its own id as well, which is none."""
    assert only(root(run_id="nightly")).alias == "nightly"
    assert only(root(run_id=TRACE)).alias is None
    assert only(root()).alias is None


def test_several_outermost_agents_are_several_runs_and_lose_no_span() -> None:
    """Each agent has its subtree; a span outside goes to the last agent that had started, else to the first."""
    runs = group(
        [
            record("server", 0, 500, "span", None),
            record("one", 10, 100, "agent", "server"),
            record("two", 200, 300, "workflow", "server"),
            record("a", 20, 30, parent="one"),
            record("b", 210, 220, parent="two"),
            record("between", 150, 160, parent="server"),
            record("inner", 205, 208, parent="between"),
        ]
    )

    assert [run.run_id for run in runs] == [f"{TRACE}:one", f"{TRACE}:two"]
    assert [{one.span_id for one in run.records} for run in runs] == [
        {"server", "one", "a", "between", "inner"},
        {"two", "b"},
    ]


def test_a_trace_without_an_agent_is_one_run() -> None:
    """Its root is its first span without a parent here; it is completed when its calls ended."""
    run = only(record("a", 5, 9, parent="elsewhere", session="s"), record("b", 1, 4, parent="elsewhere"))

    assert (run.run_id, run.root.span_id, run.session, run.status) == (TRACE, "b", "s", "completed")
    assert (run.started_ns, run.ended_ns) == (1, 9)


def test_ended_replaces_open_in_any_order_and_nothing_replaces_ended() -> None:
    """A second delivery changes nothing."""
    began = record("a", 1, 0, "tool", open=True, tool_name="refund")
    ended = record("a", 1, 5, "tool", tool_name="refund")
    late = replace(ended, end_ns=9, tool_name="other")

    for order in ([began, ended, late], [ended, began, late], [ended, late, began]):
        assert [step.record for step in only(root(), *order).steps] == [ended]
    assert only(root(), began).steps[0].record.open


def test_an_exchange_under_a_native_model_span_is_the_same_step() -> None:
    """Identity of the native span, bytes and counts of the exchange; counted once, through chains and wrappers."""
    run = only(
        root(),
        record("native", 10, 50, emitter="pydantic-ai", model="m", usage=Usage(1, 1), cost="0.1"),
        record("sdk", 12, 48, parent="native", emitter="anthropic-native", response_id="r"),
        record("wrapper", 13, 47, "span", "sdk"),
        exchange("sent", 14, 46, "wrapper", dialect="anthropic.messages", usage=Usage(104, 20, 64, 10)),
    )
    [step] = run.steps

    assert (step.members, step.attempts) == (("native", "sdk", "sent"), ("sent",))
    assert (step.record.span_id, step.record.start_ns, step.record.end_ns) == ("native", 10, 50)
    assert (step.record.model, step.record.response_id, step.record.dialect) == (
        "m",
        "r",
        "anthropic.messages",
    )
    assert run.usage == step.record.usage == Usage(104, 20, 64, 10)
    assert run.cost == "0.1"


@pytest.mark.parametrize("native", [True, False])
def test_attempts_are_one_step_that_ends_as_the_last_one(native: bool) -> None:
    """Same parent and body, one after the other, the earlier failed: one call, whose answer is the last."""
    parent = "native" if native else "root"
    above = [record("native", 5, 60)] if native else []
    run = only(
        root(),
        *above,
        exchange("first", 10, 20, parent, http_status=429, error_type="rate_limit"),
        exchange("second", 25, 30, parent, outcome="error", status=2),
        exchange("third", 40, 50, parent, resend=2, http_status=200, usage=Usage(7, 3), response_id="r"),
    )
    [step] = run.steps

    assert step.attempts == ("first", "second", "third")
    assert (step.record.http_status, step.record.error_type, step.record.response_id) == (200, None, "r")
    assert (step.record.status, run.usage) == (0, Usage(7, 3))


def test_equal_calls_that_succeeded_or_overlap_are_not_attempts() -> None:
    """Asking the same twice, or twice at once, is two calls."""
    run = only(
        root(),
        exchange("a", 10, 20),
        exchange("b", 30, 40),
        exchange("c", 31, 42, status=2),
        exchange("d", 35, 44),
        exchange("e", 50, 60, body="other"),
    )

    assert shape(run) == [("a",), ("b",), ("c",), ("d",), ("e",)]


def test_a_model_span_over_several_calls_is_an_aggregate() -> None:
    """A span that loops over calls and tools joins the first call; its counts are not added to theirs."""
    run = only(
        root(),
        record("loop", 10, 90, usage=Usage(30, 3)),
        exchange("one", 12, 20, "loop", "x", usage=Usage(10, 1)),
        record("tool", 30, 40, "tool", "loop", tool_name="t"),
        exchange("two", 50, 60, "loop", "y", usage=Usage(20, 2)),
    )

    assert shape(run) == [("one", "loop"), ("tool",), ("two",)]
    assert run.usage == Usage(30, 3)


def test_a_model_call_inside_a_tool_is_its_own_step() -> None:
    """An agent used as a tool does not disappear in the model span that frames its call; nor does an embedding."""
    run = only(
        root(),
        record("framework", 10, 90),
        record("tool", 20, 80, "tool", "framework", tool_name="ask_expert"),
        record("inner", 30, 40, parent="tool"),
        record("vector", 85, 86, "embedding", "framework"),
    )

    assert shape(run) == [("framework",), ("tool",), ("inner",), ("vector",)]


def test_one_response_id_seen_by_two_emitters_is_one_call() -> None:
    """Only where emitters differ and times overlap: mocks repeat their ids."""
    run = only(
        root(),
        record("a", 10, 20, emitter="one", response_id="r"),
        record("b", 11, 19, emitter="two", response_id="r"),
        record("c", 30, 40, emitter="one", response_id="r"),
        record("d", 31, 39, emitter="one", response_id="r"),
    )

    assert shape(run) == [("a", "b"), ("c",), ("d",)]


def test_tool_spans_of_one_call_are_one_step() -> None:
    """Our span and the framework's, either way up, and the MCP client's below; a retry stays a call of its own."""
    run = only(
        root(),
        record("ours", 10, 50, "tool", tool_name="add", tool_call_id="c1", emitter="spanreel", safety="read"),
        record("theirs", 12, 48, "tool", "ours", tool_name="add", tool_call_id="c1", emitter="strands"),
        record("mcp", 14, 46, "tool", "theirs", tool_name="add", emitter="mcp"),
        record("again", 60, 70, "tool", tool_name="add", tool_call_id="c1", emitter="spanreel"),
        record("recursion", 62, 68, "tool", "again", tool_name="add", tool_call_id="c2", emitter="spanreel"),
    )

    assert shape(run) == [("ours", "theirs", "mcp"), ("again",), ("recursion",)]
    assert run.steps[0].record.safety == "read"


def test_tool_spans_side_by_side_are_one_step() -> None:
    """A framework's span without the call's id joins ours of the same name and time; each joins only one."""
    ours = {"tool_name": "add", "emitter": "spanreel"}
    theirs = {"tool_name": "add", "emitter": "openinference"}
    run = only(
        root(),
        record("a", 10, 20, "tool", tool_call_id="c1", **ours),
        record("b", 10, 21, "tool", tool_call_id="c2", **ours),
        record("x", 11, 19, "tool", **theirs),
        record("y", 12, 19, "tool", **theirs),
        record("z", 30, 40, "tool", **theirs),
    )

    assert sorted(len(members) for members in shape(run)) == [1, 2, 2]
    assert run.steps[-1].members == ("z",)


def test_steps_are_numbered_by_start_then_span_id() -> None:
    """The numbers do not depend on the order of arrival, and agents and embeddings fall in line."""
    records = [
        root(),
        record("b", 10, 20, "tool", tool_name="t"),
        record("a", 10, 20, "embedding"),
        record("c", 5, 6),
        record("r", 7, 8, "retrieval"),
    ]
    for _ in range(5):
        random.shuffle(records)
        assert [(step.number, step.record.span_id) for step in only(*records).steps] == [
            (1, "c"),
            (2, "a"),
            (3, "b"),
        ]


@pytest.mark.parametrize(
    ("fields", "status", "error"),
    [
        ({}, "completed", None),
        ({"open": True, "end_ns": 0}, "incomplete", None),
        ({"status": 2, "error_message": "boom", "error_type": "ValueError"}, "error", "boom"),
        ({"status": 2, "error_type": "ValueError"}, "error", "ValueError"),
        ({"status": 2, "error_type": "asyncio.exceptions.CancelledError"}, "cancelled", None),
        ({"outcome": "cancelled"}, "cancelled", None),
        ({"open": True, "outcome": "paused"}, "paused", None),
        ({"status": 2, "error_type": "spanreel.exceptions.Divergence"}, "diverged", None),
    ],
)
def test_status_of_a_run(fields: dict[str, Any], status: str, error: str | None) -> None:
    """What the root says of its end; a failed call that the agent survived does not fail the run."""
    survived = record("a", 1, 2, status=2, error_type="RateLimitError")
    run = only(replace(root(), **fields), survived)

    assert (run.status, run.error) == (status, error)


def test_status_without_an_agent_span() -> None:
    """An unfinished call makes it incomplete, a failed last call an error."""
    assert only(record("a", 1, 0, open=True)).status == "incomplete"
    failed = only(record("a", 1, 2), record("b", 3, 4, status=2, error_message="503"))
    assert (failed.status, failed.error) == ("error", "503")
    assert (
        only(record("a", 1, 2, status=2), record("b", 3, 4), record("t", 0, 9, "span", None)).status
        == "completed"
    )


def test_cycles_of_parents_and_parents_that_never_came() -> None:
    """Neither loses a span nor loops."""
    run = only(
        record("a", 1, 2, "agent", "b"),
        record("b", 3, 4, "agent", "a"),
        record("c", 5, 6, "llm", "c"),
        record("d", 7, 8, "tool", "gone"),
        record("e", 9, 10, "llm", "f"),
        record("f", 9, 11, "llm", "e"),
    )

    assert run.root.span_id == "a"
    assert sorted(member for step in run.steps for member in step.members) == ["c", "d", "e", "f"]


def test_what_a_run_lacks_is_said_once() -> None:
    """Reasons of its spans, each once, in order."""
    lost = {"incomplete": "export failed"}
    run = only(
        root(), record("a", 1, 2, **lost), record("b", 3, 4, **lost), record("c", 5, 6, incomplete="cut")
    )

    assert run.incomplete == ("export failed", "cut")


RECORDS = st.builds(
    Record,
    trace_id=st.sampled_from("TU"),
    span_id=st.sampled_from("abcdefgh"),
    parent_span_id=st.none() | st.sampled_from("abcdefghx"),
    name=st.text(max_size=3),
    start_ns=st.integers(0, 20),
    end_ns=st.integers(0, 20),
    kind=st.sampled_from(
        ["llm", "embedding", "tool", "agent", "workflow", "span", "chain", "approval", "ignore"]
    ),
    emitter=st.sampled_from(["spanreel", "one", "two"]),
    open=st.booleans(),
    exchange=st.booleans(),
    usage=st.builds(Usage, st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
    response_id=st.none() | st.sampled_from("rs"),
    tool_name=st.none() | st.sampled_from("tu"),
    tool_call_id=st.none() | st.sampled_from("12"),
    body_hash=st.none() | st.sampled_from("mn"),
    status=st.integers(0, 2),
    resend=st.integers(0, 2),
    outcome=st.none() | st.sampled_from(["complete", "error", "cancelled", "pending"]),
    cost=st.none() | st.sampled_from(["0.1", "NaN", "much", ""]),
)


@given(st.lists(RECORDS, max_size=20))
def test_every_span_is_in_one_run_and_every_call_in_one_step(records: list[Record]) -> None:
    """Whatever the ids, parents and times: nothing is lost, nothing counts twice."""
    runs = group(records)

    kept = [(one.trace_id, one.span_id) for run in runs for one in run.records]
    assert sorted(kept) == sorted({(one.trace_id, one.span_id) for one in records})
    assert len({run.run_id for run in runs}) == len(runs)
    for run in runs:
        members = [member for step in run.steps for member in step.members]
        assert sorted(members) == sorted(one.span_id for one in run.records if one.kind in STEP_KINDS)
        assert [step.number for step in run.steps] == list(range(1, len(run.steps) + 1))


@given(st.lists(RECORDS, max_size=12, unique_by=lambda one: (one.trace_id, one.span_id)), st.randoms())
def test_the_order_of_arrival_does_not_matter(records: list[Record], chance: random.Random) -> None:
    """The same spans make the same runs."""
    shuffled = list(records)
    chance.shuffle(shuffled)

    assert group(shuffled) == group(records)
