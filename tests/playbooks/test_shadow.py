"""Playbooks in the shadow of recorded runs: what they would have done, and that nothing is done."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import shadow_shop as shelf

import spanreel
from spanreel.replay.load import load
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.shadows.beside import beside
from spanreel.replay.playbooks.shadows.shadow import Given, shadow, shadow_over, source_of, walked
from spanreel.wire import attributes as names


@pytest.fixture(autouse=True)
def recording() -> Iterator[spanreel.Instrumentation]:
    """Recording is on until the test ends; nothing has fired."""
    shelf.fired.clear()
    yield spanreel.instrument()
    spanreel.uninstrument()


GIVEN = {"order": {"id": "W1"}, "new_item": "i-black"}


def root_of(run_id: str) -> dict:
    """The attributes of a run's root."""
    from spanreel.collector.store import open_reader

    spanreel.instrument().flush()
    with open_reader(Path(os.environ["SPANREEL_STORE"])) as reader:
        run = reader.resolve(run_id)
        span = next(one for one in reader.spans(run.trace_id) if one.span_id == run.root.span_id)
        return dict(span.attributes)


def test_a_playbook_that_does_what_the_agent_did_scores_one_and_fires_nothing():
    """Tools are answered from the run; reads that the playbook does without do not count against it."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    found = shadow(shelf.body(), run)
    assert (found.verdict, found.score, found.first_divergence) == ("same", 1.0, None)
    assert shelf.fired == []
    assert found.params == {"order_id": "W1", "new_item": "i-black"}
    assert (found.writes.same, found.reads.same, found.reads.missing) == (1, 1, 1)


def test_a_shadow_is_a_run_linked_to_its_source_that_says_its_score():
    """Its root has the mode, the parameters, the score and the source; its tool calls are served."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    found = shadow(shelf.body(), run)
    said = root_of(found.run_id)
    assert said[names.PLAYBOOK_MODE] == "shadow"
    assert said[names.PLAYBOOK_HASH] == shelf.body().hash
    assert said[names.SOURCE_RUN_ID] == run
    assert said[names.PLAYBOOK_SCORE] == 1.0
    assert said[f"{names.OUTCOME}success"] is True
    replay = load(found.run_id)
    assert [(step.name, step.source) for step in replay.steps] == [
        ("shelf_order", "recorded"),
        ("shelf_exchange", "recorded"),
    ]
    assert replay.source_run_id == run
    assert replay.status == "completed"


def test_a_write_with_other_arguments_is_the_first_divergence_with_its_paths():
    """The state, the proposed call, what the agent did and where they differ; the walk ends there."""
    run = shelf.recorded(shelf.exchanging(new="i-white"), **GIVEN)
    found = shadow(shelf.body(), run)
    assert (found.verdict, found.score) == ("diverged", 0.0)
    first = found.first_divergence
    assert first is not None
    assert (first.kind, first.state, first.paths) == ("changed", "exchange", ["$.new"])
    assert first.proposed is not None
    assert first.did is not None
    assert (first.proposed.args["new"], first.did.args["new"], first.did.step) == ("i-black", "i-white", 3)
    assert root_of(found.run_id)[names.PLAYBOOK_DIVERGENCE]
    assert shelf.fired == []


def test_a_read_that_the_run_did_not_make_is_not_answered_and_no_pass():
    """Nothing is guessed, and no tool is asked instead."""

    def agent():
        shelf.exchange(order_id="W1", old="i-red", new="i-black")

    run = shelf.recorded(agent, **GIVEN)
    found = shadow(shelf.body(), run)
    assert (found.verdict, found.ok) == ("not_answered", False)
    assert found.unanswered is not None
    assert found.unanswered.state == "order"
    assert shelf.fired == []
    entry = Library().add(shelf.body())
    assert (entry.evidence.count("unknown"), entry.evidence.runs) == (1, 0)


def test_a_playbook_that_writes_nothing_of_what_the_agent_wrote_is_told_what_is_missing():
    """A guard that stops it leaves the agent's write without its like."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    found = shadow(shelf.body(order={"expect": {"json": {"status": "pending"}}}), run)
    assert (found.verdict, found.score) == ("stopped", 0.0)
    assert found.stopped is not None
    assert (found.stopped.guard, found.stopped.state) == ("expect", "order")
    assert found.first_divergence is not None
    assert (found.first_divergence.kind, found.first_divergence.did.tool) == ("missing", "shelf_exchange")


def test_a_second_write_of_the_agent_halves_the_score():
    """The share of the writes that are the same on both sides."""

    def agent():
        shelf.order(order_id="W1")
        shelf.exchange(order_id="W1", old="i-red", new="i-black")
        shelf.exchange(order_id="W1", old="i-red", new="i-white")

    found = shadow(shelf.body(), shelf.recorded(agent, **GIVEN))
    assert (found.verdict, found.score) == ("diverged", 0.5)
    assert found.first_divergence is not None
    assert found.first_divergence.kind == "missing"


def test_a_call_that_failed_and_then_went_through_is_answered_by_what_it_came_to():
    """The agent's retry is not the playbook's divergence."""
    failures = iter([RuntimeError("503")])

    @spanreel.tool(name="shelf_flaky", safety="write")
    def flaky(order_id: str) -> dict:
        for error in failures:
            raise error
        return {"status": "exchange requested"}

    def agent():
        shelf.order(order_id="W1")
        with pytest.raises(RuntimeError):
            flaky(order_id="W1")
        flaky(order_id="W1")

    run = shelf.recorded(agent, **GIVEN)
    changed = shelf.body(exchange={"tool": "shelf_flaky", "args": {"order_id": "{{ params.order_id }}"}})
    found = shadow(changed, run)
    assert (found.verdict, found.score, found.failed) == ("same", 1.0, 1)


def test_a_call_that_failed_for_the_agent_fails_for_the_playbook():
    """Whether it raised or said so: neither side wrote anything by it."""

    @spanreel.tool(name="shelf_declined", safety="write")
    def declined(order_id: str) -> str:
        if order_id == "W2":
            raise RuntimeError("declined")
        return "Error: declined"

    def agent(order_id: str):
        shelf.order(order_id=order_id)
        declined(order_id=order_id)

    state = {"tool": "shelf_declined", "args": {"order_id": "{{ params.order_id }}"}, "post": []}
    said = shadow(shelf.body(exchange=state), shelf.recorded(lambda: agent("W1"), **GIVEN))
    assert (said.verdict, said.writes.total, said.failed) == ("same", 0, 1)

    def raising():
        with pytest.raises(RuntimeError):
            agent("W2")

    run = shelf.recorded(raising, **{**GIVEN, "order": {"id": "W2"}})
    raised = shadow(shelf.body(exchange=state), run)
    assert raised.stopped is not None
    assert (raised.verdict, raised.stopped.guard, raised.writes.total) == ("stopped", "call", 0)


def test_a_gate_is_assumed_approved_and_said_so():
    """Unless the run has a decision about it, nobody is asked."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    found = shadow(shelf.body(risk="high"), run)
    assert found.verdict == "same"
    assert found.assumed == ["shelf-exchange.exchange"]
    (gate,) = load(found.run_id).approvals
    assert (gate.status, gate.actor) == ("approved", "shadow")


def test_a_read_may_be_repeated_until_something_was_written():
    """After a write, what was read before it is not the answer any more."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    state = {"tool": "shelf_order", "args": {"order_id": "{{ params.order_id }}"}, "safety": "read"}
    states = dict(shelf.DOCUMENT["states"])
    twice = {**states, "order": {**states["order"], "next": "again"}, "again": {**state, "next": "exchange"}}
    assert shadow(shelf.body(states=twice), run).verdict == "same"
    after = {**states, "exchange": {**states["exchange"], "next": "again"}, "again": state}
    assert shadow(shelf.body(states=after), run).verdict == "not_answered"


def test_a_run_that_the_body_was_compiled_from_is_marked_and_no_evidence():
    """It is walked and shown; only where it is asked for does its root say that it is an execution."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    compiled = shelf.body(derived_from=[run])
    found = shadow(compiled, run)
    assert (found.verdict, found.source, found.counted) == ("same", True, False)
    assert Library().add(compiled).evidence.shadows == ()
    assert names.PLAYBOOK_MODE not in root_of(found.run_id)
    included = shadow(compiled, run, include_sources=True)
    assert (included.source, included.counted) == (True, True)
    assert root_of(included.run_id)[names.PLAYBOOK_MODE] == "shadow"


def test_several_runs_are_summed_up():
    """Verdicts are counted, the score is the mean."""
    runs = [
        shelf.recorded(shelf.exchanging(), **GIVEN),
        shelf.recorded(shelf.exchanging(new="i-white"), **GIVEN),
    ]
    seen: list[str] = []
    report = shadow_over(shelf.body(), runs, told=lambda one: seen.append(one.verdict))
    assert (report.same, report.diverged, report.score, report.exit_code) == (1, 1, 0.5, 4)
    assert seen == ["same", "diverged"]
    assert report.model_dump(by_alias=True)["schema"] == "spanreel.shadow.v1"


def test_the_run_of_a_block_is_walked_after_it_and_the_agents_exception_is_its_own():
    """`beside` begins when the run has ended; a playbook that cannot be walked is told, and raised at nobody."""
    unknown = shelf.body(params={**shelf.DOCUMENT["params"], "colour": {"type": "string"}})
    with beside(shelf.body(), unknown) as shadows:
        run = shelf.recorded(shelf.exchanging(), **GIVEN)
    first, second = shadows.wait(10)
    assert (first.verdict, first.source_run_id) == ("same", run)
    assert (second.verdict, second.run_id) == ("not_answered", None)
    assert shadows.problems == []
    with pytest.raises(LookupError), beside(shelf.body()) as shadows, spanreel.run("shelf", input=GIVEN):
        raise LookupError
    assert [one.verdict for one in shadows.wait(10)] == ["not_answered"]
    assert shelf.fired == []


def test_parameters_that_are_given_go_over_those_of_the_run():
    """The others are still the run's; one that the playbook does not have stops it."""
    run = shelf.recorded(shelf.exchanging(new="i-white"), **GIVEN)
    found = shadow(shelf.body(), run, {"new_item": "i-white"})
    assert (found.verdict, found.params) == ("same", {"order_id": "W1", "new_item": "i-white"})
    stopped = shadow(shelf.body(), run, {"colour": "white"}).stopped
    assert stopped is not None
    assert stopped.guard == "params"


def test_where_recording_is_kept_off_a_shadow_is_walked_all_the_same(monkeypatch: pytest.MonkeyPatch):
    """It is told, and not kept."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    spanreel.uninstrument()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    found = shadow(shelf.body(), run)
    assert (found.verdict, found.run_id) == ("same", None)
    assert shelf.fired == []


def test_a_playbook_in_python_is_walked_with_its_tools_answered():
    """Its code runs, the tools that it calls do not: they are answered by the run like any other."""
    written = spanreel.Playbook(
        "shelf-in-python", params={"order_id": {"type": "string", "input": "order.id"}}
    )

    @written.state
    def look(ctx):
        ctx["order"] = shelf.order(order_id=ctx["params"]["order_id"])
        return "end"

    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    (found,) = written.shadow(run).runs
    assert shelf.fired == []
    assert (found.verdict, found.visited) == ("diverged", ["look"])
    assert found.first_divergence is not None
    assert found.first_divergence.kind == "missing"


def test_a_condition_of_the_surroundings_is_not_answered():
    """How they were when the agent worked, the run does not tell."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    found = shadow(shelf.body(order={"pre": [{"env_exists": "PATH"}]}), run)
    assert found.verdict == "not_answered"
    assert found.unanswered is not None
    assert "env_exists" in found.unanswered.reason


def test_what_a_model_would_say_is_not_answered():
    """No model is asked in a shadow."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    states = {**shelf.DOCUMENT["states"], "word": {"llm": {"prompt": "Say it."}, "next": "order"}}
    found = shadow(shelf.body(states=states, initial="word"), run)
    assert (found.verdict, found.unanswered.state) == ("not_answered", "word")


def test_while_a_shadow_is_walked_the_agents_own_tools_go_on_firing():
    """What answers the shadow answers nobody else in the process, whatever thread it is in."""
    run = shelf.recorded(shelf.exchanging(), **GIVEN)
    answered: list[str] = []
    over = threading.Event()

    @spanreel.tool(name="shelf_spied", safety="write")
    def spied() -> str:
        return "live"

    def agent() -> None:
        while not over.is_set():
            answered.append(spied())

    thread = threading.Thread(target=agent)
    thread.start()
    try:
        found = [walked(shelf.body(), source_of(run), Given(beside=True)) for _ in range(5)]
    finally:
        over.set()
        thread.join()
    assert {one.verdict for one in found} == {"same"}
    assert len(answered) > 5
    assert set(answered) == {"live"}
    assert shelf.fired == []
