"""The cause that a comparison names: the earliest thing that differs."""

from __future__ import annotations

from typing import Any

import pytest
from compared_steps import chat, numbered, tool

from spanreel.replay.compare import compare
from spanreel.replay.timeline import Note, Replay, ReplayStep, ToolCallRecord


def run(run_id: str, *steps: ReplayStep, **more: Any) -> Replay:
    """A run of these steps."""
    return Replay(run_id=run_id, trace_id=run_id, steps=numbered(*steps), **more)


def calling(name: str | None, said: str = "", **arguments: Any) -> ReplayStep:
    """A model call that is answered with a tool call, or in words."""
    part: dict[str, Any] = {"type": "text", "content": said}
    if name:
        part = {"type": "tool_call", "id": "c", "name": name, "arguments": arguments}
    return chat("q", "").model_copy(
        update={"output_messages": [{"role": "assistant", "parts": [part]}], "response_model": "m-2"}
    )


def failing(name: str, error: str | None, **arguments: Any) -> ReplayStep:
    """A tool call that failed."""
    record = ToolCallRecord(tool_name=name, tool_args=arguments, error=error)
    return ReplayStep(number=0, kind="tool", name=name, tool=record)


def asked(**more: Any) -> ReplayStep:
    """The same model call, put in another way."""
    return chat("q", "a").model_copy(update=more)


SAME = "though it was asked the same"


@pytest.mark.parametrize(
    ("one", "other", "differs", "cause"),
    [
        (calling("get_order"), calling("get_user"), "answer",
         f"step 1: the model answered with another tool call (get_order → get_user) {SAME}"),
        (calling("get", id=1), calling("get", id=2), "answer",
         f"step 1: the model called get with other arguments ($.id 1 → 2) {SAME}"),
        (calling("get"), calling(None, "no"), "answer",
         f"step 1: the model answered in words where it had called get, {SAME}"),
        (calling(None, "no"), calling("get"), "answer",
         f"step 1: the model called get where it had answered in words, {SAME}"),
        (calling(None, "no"), calling(None, "yes").model_copy(update={"response_model": "m-3"}), "answer",
         f"step 1: the model answered in other words {SAME}; m-3 answered, not m-2"),
        (asked(), asked(model="mini"), "model", "step 1: model gpt-4o → mini"),
        (asked(), asked(parameters={"temperature": 1}), "parameters",
         "step 1: request parameter temperature none → 1"),
        (asked(), asked(system=[{"type": "text", "content": "Be brief."}]), "system",
         "step 1: the system prompt differs"),
        (asked(tools=[{"name": "x"}]), asked(tools=[{"name": "y"}]), "tools",
         "step 1: the tool definitions differ (+y, −x)"),
        (asked(input_shared=2), asked(input_shared=2, input_messages=[{"role": "user", "parts": []}]), "history",
         "step 1: the prompt differs at messages[2] (user)"),
        (asked(), asked(error="overloaded"), "error",
         f"step 1: the model call failed (overloaded) where it had succeeded, {SAME}"),
        (tool("refund", {"paid": 1}), tool("refund", {"paid": 2}), "result",
         "step 1: tool refund returned another result for the same arguments: $.paid 1 → 2"),
        (tool("refund", n={"a": 1}), tool("refund", n={"a": 2}), "arguments",
         "step 1: tool refund was called with other arguments: $.n.a 1 → 2"),
        (failing("get", None), failing("get", "503"), "error",
         "step 1: tool get failed (503) where it had succeeded, for the same arguments"),
        (failing("get", "503"), failing("get", None), "error",
         "step 1: tool get succeeded where it had failed (503), for the same arguments"),
    ],
)  # fmt: skip
def test_the_cause_is_a_sentence(one: ReplayStep, other: ReplayStep, differs: str, cause: str) -> None:
    """What differs first is said with its values, and that what came before it was the same."""
    first = compare(run("a", one), run("b", other)).first_divergence
    assert first is not None
    assert (first.differs, first.cause) == (differs, cause)


def test_what_was_asked_comes_before_what_was_answered() -> None:
    """Everything about a step differs: the model is what it starts with."""
    other = chat("p", "b", "mini", parameters={"temperature": 1}, system=[{"type": "text", "content": "x"}])
    first = compare(run("a", chat("q", "a")), run("b", other)).first_divergence
    assert first is not None
    assert first.differs == "model"


def test_a_failure_that_was_tried_again_is_the_cause() -> None:
    """The second answer is that of the other run; what came first is that the first one failed."""
    got = [tool("get", "5", id=1), chat("5", "done")]
    found = compare(
        run("a", chat("q", ""), *got),
        run("b", chat("q", ""), failing("get", "503", id=1), chat("503", ""), *got),
    )
    assert found.first_divergence is not None
    assert (found.first_divergence.differs, found.first_divergence.a_step) == ("error", 2)
    assert [call.error for call in found.tool_calls_diff.repeated] == ["503"]
    assert [call.error for call in found.tool_calls_diff.added] == ["503"]


def test_another_prompt_is_told_from_a_call_put_in_front() -> None:
    """A first prompt that resembles a later one of the other run is another prompt; one that the other run makes too is not."""
    first, later = chat("find the order", "which one"), chat("cancel my order now please", "done with it")
    found = compare(run("a", chat("cancel my order please", "done")), run("b", first, later)).first_divergence
    assert found is not None
    assert (found.differs, found.a_step, found.b_step) == ("history", 1, 1)
    found = compare(run("a", later), run("b", first, later)).first_divergence
    assert found is not None
    assert (found.differs, found.a_step, found.b_step) == ("added", None, 1)


@pytest.mark.parametrize(
    ("steps", "differs", "cause"),
    [
        ([tool("new"), tool("get", id=1), tool("put")], "added",
         "step 1 of b: tool call new, which only the second run made"),
        ([tool("get", id=1)], "removed", "step 2 of a: tool call put, which only the first run made"),
        ([tool("get", id=1), tool("get", id=1), tool("put")], "repeated",
         "step 2 of b: tool call get was made again with the same arguments, by the second run only"),
    ],
)  # fmt: skip
def test_calls_of_one_run_only(steps: list[ReplayStep], differs: str, cause: str) -> None:
    """Inserted, left out and repeated calls are told apart."""
    first = compare(run("a", tool("get", id=1), tool("put")), run("b", *steps)).first_divergence
    assert first is not None
    assert (first.differs, first.cause) == (differs, cause)


def test_a_history_cut_short_is_seen() -> None:
    """What a request leaves out of the one before it counts, even when what it adds is the same."""

    def talk(shared: int) -> Replay:
        return run("r", chat("q", "a"), asked(input_from=1, input_shared=shared))

    first = compare(talk(1), talk(0)).first_divergence
    assert first is not None
    assert (first.differs, first.a_step) == ("history", 2)


@pytest.mark.parametrize(
    ("one", "other", "differs"),
    [
        ({}, {"content": "more"}, "content"),
        ({}, {"status": "error"}, "status"),
        ({"outcome": {"success": True}}, {"outcome": {"success": False}}, "outcome"),
        ({}, {"notes": [Note(kind="plan", summary="first look")]}, "notes"),
    ],
)
def test_runs_of_the_same_steps_can_differ(one: dict[str, Any], other: dict[str, Any], differs: str) -> None:
    """The runs are not identical, no step is blamed, and no step is counted as changed."""
    found = compare(run("a", tool("get"), **one), run("b", tool("get"), **other))
    first = found.first_divergence
    assert first is not None
    assert (first.differs, first.kind, first.a_step, found.identical) == (differs, "run", None, False)
    assert [pair.relation for pair in found.steps] == ["same"]


def test_a_note_more_is_that_note_and_nothing_else() -> None:
    """Of notes alike only the one too many is added, whenever it was written."""
    plan, again = (Note(kind="plan", summary="look", at=at) for at in ("1", "2"))
    found = compare(run("a", notes=[plan]), run("b", notes=[again, plan])).notes_diff
    assert ([note.summary for note in found.added], found.removed, found.common) == (["look"], [], 1)


def test_a_tool_that_gave_another_result_points_to_what_was_done_inside_it():
    """A nested agent is the cause of the result of the tool that it is; a difference elsewhere is none."""

    def nested(said: str) -> Replay:
        steps = numbered(
            calling("helper"), tool("helper", said, "c"), asked(), chat("look", said), chat("and", "end")
        )
        inside = [step.model_copy(update={"parent_step": 2}) for step in steps[2:4]]
        return Replay(run_id=said, trace_id=said, steps=[*steps[:2], *inside, steps[4]])

    found = compare(nested("lamp"), nested("desk")).first_divergence
    assert found is not None
    assert (found.a_step, found.b_step, found.differs) == (4, 4, "answer")


@pytest.mark.parametrize(("ids", "relation"), [("cd", "same"), ("xy", "moved")])
def test_calls_that_one_answer_asked_for_may_begin_in_any_order(ids: str, relation: str):
    """Threads run them; calls that nobody asked for together are another order."""
    part = [{"type": "tool_call", "id": one, "name": "look", "arguments": {}} for one in "cd"]
    asks = chat("q", "").model_copy(update={"output_messages": [{"role": "assistant", "parts": part}]})
    looks = [tool("look", one, one_id, order=one) for one, one_id in zip("ab", ids, strict=True)]
    found = compare(run("a", asks, *looks), run("b", asks, *reversed(looks)))
    assert (found.first_divergence is None) == (relation == "same")
