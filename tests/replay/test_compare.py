"""compare: what changed from one run to another."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import Any

import jsonschema
import pytest
from compared_steps import chat, numbered, tool
from hypothesis import given
from hypothesis import strategies as st

from spanreel.cli.schemas import json_schema
from spanreel.replay.compare import NotesDiff, ReplayComparison, ToolCallsDiff, compare, unified
from spanreel.replay.timeline import Note, Replay, ReplayStep, ReplayTokens, ToolCallRecord


def run(run_id: str, *steps: ReplayStep, **more: Any) -> Replay:
    """A run of these steps, numbered."""
    counted = numbered(*steps)
    calls = [step.tool for step in counted if step.tool] + more.pop("untapped", [])
    return Replay(run_id=run_id, trace_id=run_id, steps=counted, tool_calls=calls, **more)


def as_json(comparison: ReplayComparison) -> dict[str, Any]:
    """The printed form, held against its published schema."""
    printed = json.loads(comparison.to_json())
    jsonschema.validate(printed, json_schema("diff"))
    return printed


def test_runs_that_differ_in_ids_and_times_are_identical() -> None:
    """Another id, another duration, another call id: no difference."""
    one = run("a", tool("get", "5", "call_1", n=1), chat("q", "5"), content="5", duration=10.0)
    other = run("b", tool("get", "5", "call_2", n=1), chat("q", "5"), content="5", duration=30.5)
    found = compare(one, other)
    assert found.identical
    assert found.first_divergence is None
    assert (found.content_diff, found.duration_diff, found.tool_calls_diff.common) == ("", 20.5, 1)


def test_every_tool_call_is_counted_once() -> None:
    """Added, removed, changed, common and reordered calls are told apart."""
    one = run("a", tool("move", n=0), tool("keep", n=1), tool("edit", n=1), tool("drop", n=1), tool("last"))
    other = run("b", tool("keep", n=1), tool("edit", n=2), tool("new", n=1), tool("last"), tool("move", n=0))
    calls = compare(one, other).tool_calls_diff
    assert [call.tool_name for call in calls.added] == ["new"]
    assert [call.tool_name for call in calls.removed] == ["drop"]
    assert [(call.a.tool_args, call.b.tool_args, call.paths) for call in calls.changed] == [
        ({"n": 1}, {"n": 2}, ["$.tool_args.n"])
    ]
    assert [call.a.tool_name for call in calls.reordered] == ["move"]
    assert calls.common == 2


def test_first_divergence_names_the_first_cause() -> None:
    """The altered result comes first; the answer that follows from it does not count as the cause."""
    one = run("a", chat("q", "…"), tool("get", {"price": 5}, n=1), chat("5", "it is 5"), content="it is 5")
    other = run("b", chat("q", "…"), tool("get", {"price": 6}, n=1), chat("6", "it is 6"), content="it is 6")
    first = as_json(compare(one, other))["first_divergence"]
    assert first == {
        "a_step": 2, "b_step": 2, "kind": "tool", "name": "get", "relation": "changed", "differs": "result",
        "cause": "step 2: tool get returned another result for the same arguments: $.price 5 → 6",
        "what": "the tool's result", "path": "$.tool.result.price", "a": 5, "b": 6,
    }  # fmt: skip


def test_a_call_that_one_run_lacks_is_named() -> None:
    """An added call has no step on the other side."""
    first = compare(run("a", chat("q", "a")), run("b", tool("look"), chat("q", "a"))).first_divergence
    assert first is not None
    assert (first.a_step, first.b_step, first.what) == (None, 1, "a tool call that only the second run made")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"model": "gpt-5"}, "the model asked"),
        ({"system": [{"type": "text", "content": "Be brief."}]}, "the instructions"),
        ({"parameters": {"temperature": 1}}, "the request parameters"),
        ({"tools": [{"type": "function", "name": "get"}]}, "the tool definitions"),
        ({"error": "overloaded"}, "the error"),
    ],
)
def test_what_changed_in_a_request_is_said_in_words(change: dict[str, Any], what: str) -> None:
    """The cause is named as people name it, also where the answer changed with it."""
    ask = chat("q", "a")
    changed = (
        chat("q", "b").model_copy(update=change) if "error" not in change else ask.model_copy(update=change)
    )
    first = compare(run("a", ask), run("b", changed)).first_divergence
    assert first is not None
    assert first.what == what


def test_differences_are_b_minus_a() -> None:
    """Tokens by class, cost as an exact decimal; what one side does not know has no difference."""
    one = run("a", cost="0.10", tokens=ReplayTokens(input_tokens=10, output_tokens=5, total_tokens=15))
    other = run(
        "b",
        cost="0.3",
        tokens=ReplayTokens(input_tokens=4, output_tokens=6, total_tokens=10, reasoning_tokens=2),
    )
    found = as_json(compare(one, other))
    assert found["cost_diff"] == "0.20"
    assert found["duration_diff"] is None
    assert found["token_diff"] == {
        "input_tokens": -6, "output_tokens": 1, "total_tokens": -5,
        "reasoning_tokens": None, "cache_read_tokens": None, "cache_write_tokens": None,
    }  # fmt: skip


def test_in_json_both_runs_are_their_ids() -> None:
    """`original` and `replayed` are objects in Python and run ids in JSON; the schema is named."""
    comparison = compare(run("a", chat("q", "a")), run("b", chat("q", "a")))
    printed = as_json(comparison)
    assert (printed["schema"], printed["original"], printed["replayed"]) == ("spanreel.diff.v1", "a", "b")
    assert isinstance(comparison.original, Replay)
    assert printed["steps"][0]["a"] == {
        "number": 1,
        "kind": "llm",
        "name": "chat gpt-4o",
        "span_id": None,
        "tool_call_id": None,
    }


def test_calls_known_from_the_messages_are_compared_too() -> None:
    """A tool that nobody tapped takes its place behind the model call that asked for it."""

    def untapped(result: str, call_id: str) -> Replay:
        asks = [
            {
                "role": "assistant",
                "parts": [{"type": "tool_call", "id": call_id, "name": "get", "arguments": {}}],
            }
        ]
        call = ToolCallRecord(
            tool_name="get", tool_args={}, result=result, tool_call_id=call_id, source="wire"
        )
        return run(
            call_id,
            chat("q", "").model_copy(update={"output_messages": asks}),
            chat("", "done"),
            untapped=[call],
        )

    found = compare(untapped("5", "x"), untapped("6", "y"))
    assert [pair.relation for pair in found.steps] == ["same", "changed", "same"]
    assert [change.paths for change in found.tool_calls_diff.changed] == [["$.result"]]


def test_unified_diff_has_whole_lines() -> None:
    """Texts without a line end do not glue together; equal texts differ in nothing; line ends alone are told."""
    assert unified("one\ntwo", "one\n2").splitlines()[-3:] == [" one", "-two", "+2"]
    assert unified("same", "same") == ""
    assert unified("a\n", "a") != ""
    assert unified(None, "a").splitlines()[-1] == "+a"


def test_a_null_is_not_the_same_as_nothing() -> None:
    """An argument that one call gives as null and the other leaves out is what differs."""
    found = compare(run("a", tool("get", n=None)), run("b", tool("get")))
    first = found.first_divergence
    assert first is not None
    assert (first.what, first.path, first.a, first.b) == ("the arguments", "$.tool.tool_args.n", None, None)
    assert [change.paths for change in found.tool_calls_diff.changed] == [["$.tool_args.n"]]


COSTS = st.none() | st.decimals(0, 9, places=3).map(str)
STEPS = st.lists(
    st.one_of(
        st.builds(tool, st.sampled_from(["get", "put"]), st.integers(0, 2), key=st.integers(0, 3)),
        st.builds(chat, st.sampled_from(["a b", "c"]), st.sampled_from(["x", "y"]), st.sampled_from(["m", "n"]), cost=COSTS),
    ),
    max_size=8,
)  # fmt: skip
RUNS = st.builds(
    lambda steps, **more: run("r", *steps, **more),
    STEPS,
    cost=COSTS,
    duration=st.none() | st.integers(0, 99).map(float),
    content=st.none() | st.text(max_size=3),
    tokens=st.builds(ReplayTokens, input_tokens=st.none() | st.integers(0, 9)),
    notes=st.lists(st.builds(Note, kind=st.sampled_from("kl")), max_size=3),
)


@given(RUNS)
def test_a_run_differs_from_itself_in_nothing(one: Replay) -> None:
    """No cause, no call, no note, no text; what is known of cost, tokens and duration differs by nothing."""
    found = compare(one, one)
    calls = found.tool_calls_diff
    assert found.identical
    assert (found.first_divergence, found.content_diff, found.facts_diff) == (None, "", [])
    assert calls == ToolCallsDiff(common=calls.common)
    assert found.notes_diff == NotesDiff(common=len(one.notes))
    assert float(found.cost_diff or 0) == (found.duration_diff or 0) == 0


@given(RUNS, RUNS)
def test_the_other_way_round_everything_is_negated(one: Replay, other: Replay) -> None:
    """Added is removed, a → b is b → a, and every figure has the other sign."""
    there, back = compare(one, other), compare(other, one)
    assert there.identical == back.identical
    assert there.notes_diff.added == back.notes_diff.removed
    a, b = there.tool_calls_diff, back.tool_calls_diff

    def told(calls: list[ToolCallRecord]) -> Counter[str]:
        return Counter(call.to_json() for call in calls)

    assert (told(a.added), told(a.removed), told(a.repeated)) == (
        told(b.removed),
        told(b.added),
        told(b.repeated),
    )
    assert (a.common, len(a.changed), len(a.reordered)) == (b.common, len(b.changed), len(b.reordered))
    assert negated(there.cost_diff) == negated(back.cost_diff, -1)
    assert negated(there.duration_diff) == negated(back.duration_diff, -1)
    assert negated(there.token_diff.input_tokens) == negated(back.token_diff.input_tokens, -1)
    by_model = [{each.model: negated(each.cost_diff, sign) for each in found.cost_by_model} for found, sign in ((there, 1), (back, -1))]  # fmt: skip
    assert by_model[0] == by_model[1]
    assert (there.first_divergence is None) == (back.first_divergence is None)


def negated(figure: str | float | None, sign: int = 1) -> Decimal | None:
    """A figure times a sign."""
    return None if figure is None else sign * Decimal(str(figure))


def test_cost_is_told_by_model() -> None:
    """A model that only one run used cost nothing in the other; a call of unknown cost makes its model's unknown."""
    one = run("a", chat("q", "x", "big", cost="1.5"), chat("q", "x", "odd"))
    other = run(
        "b",
        chat("q", "x", "small", cost="0.1"),
        chat("q", "y", "small", cost="0.2"),
        chat("q", "x", "odd", cost="1"),
    )
    found = as_json(compare(one, other))["cost_by_model"]
    assert [
        (m["model"], m["a_calls"], m["b_calls"], m["a_cost"], m["b_cost"], m["cost_diff"]) for m in found
    ] == [
        ("big", 1, 0, "1.5", "0", "-1.5"),
        ("odd", 1, 1, None, "1", None),
        ("small", 0, 2, "0", "0.3", "0.3"),
    ]
