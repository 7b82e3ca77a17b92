"""A task goes to the active playbook that fits, else to the agent; every no has a reason, and nothing is done twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import shadow_shop as shop

import spanreel
from spanreel.replay.load import load
from spanreel.replay.playbooks.dispatching.choosing import REASONS
from spanreel.replay.playbooks.dispatching.dispatch import adispatch, dispatch, wait_for_shadows
from spanreel.replay.playbooks.governance.library import Library
from spanreel.wire import attributes as names

GOAL = "Exchange the red item of my order for a black one"
INPUTS = {"order": {"id": "W1"}, "new_item": "i-black"}


@pytest.fixture(autouse=True)
def recording() -> Iterator[spanreel.Instrumentation]:
    """Recording is on until the test ends; nothing has fired."""
    shop.fired.clear()
    yield spanreel.instrument()
    wait_for_shadows(10)
    spanreel.uninstrument()


def kept(status: str = "active", report: object = None, **changed: object):
    """A body in the library that somebody promoted."""
    library = Library()
    entry = library.add(shop.body(**changed), report=report)
    if status in ("active", "shadow"):
        forced = (
            [{"gate": "min_runs", "wanted": 1, "found": 0, "passed": False}] if status == "active" else None
        )
        entry = library.decide(
            entry, "promote", to=status, gates=forced, forced=bool(forced), reason="a test", actor="test"
        )
    return entry


def shelf(goal: str, inputs: dict) -> str:
    """The agent."""
    shop.fired.append(("agent", {"goal": goal, "inputs": inputs}))
    return "the agent did it"


def codes(found, place: int = 0) -> set[str]:
    return {reason.code for reason in found.considered[place].reasons_against}


def test_an_active_playbook_that_fits_does_the_task_without_a_model_or_the_agent():
    """Its parameters come from the inputs: by name, and by the path that the parameter says."""
    entry = kept()
    found = dispatch(GOAL, INPUTS, shelf)
    assert (found.by, found.status, found.reason) == ("playbook", "completed", None)
    assert found.playbook is not None
    assert found.playbook.hash == entry.hash
    assert shop.fired == [
        ("shelf_order", {"order_id": "W1"}),
        ("shelf_exchange", {"order_id": "W1", "old": "i-red", "new": "i-black"}),
    ]
    assert found.output == {"order_id": "W1", "status": "exchange requested"}
    assert load(found.run_id).agent_name == "shelf-exchange"


def test_what_was_saved_is_what_the_sources_needed_less_what_was_spent():
    """The figures of the compile report; a run without a model saves them all."""
    kept(report={"savings": {"model_calls": 4.0, "tokens": 1200.0, "cost": 0.0123, "seconds": 3.5}})
    found = dispatch(GOAL, INPUTS, shelf)
    assert found.saved is not None
    assert found.saved.model_dump() == {"model_calls": 4, "tokens": 1200, "cost": "0.0123", "seconds": 3.5}


def test_with_nothing_known_of_the_sources_nothing_is_said_to_be_saved():
    """Unknown is not zero."""
    kept()
    assert dispatch(GOAL, INPUTS, shelf).saved is None


@pytest.mark.parametrize("status", ["candidate", "shadow"])
def test_what_was_not_promoted_is_never_dispatched(status: str):
    """However well it fits; the agent does the task."""
    kept(status)
    found = dispatch(GOAL, INPUTS, shelf)
    assert (found.by, found.output) == ("agent", "the agent did it")
    assert codes(found) == {"not_active", "gate_failed"}
    assert [name for name, _ in shop.fired if name != "agent"] == []


def test_what_waits_for_a_review_was_rejected_or_switched_off_is_never_dispatched():
    """A repair in review, a rejected one, a disabled one."""
    library = Library()
    repair = library.add(shop.body(), parent="sha256:" + "0" * 64)
    assert repair.status == "review"
    assert dispatch(GOAL, INPUTS, shelf).by == "agent"
    library.decide(repair, "review", to="rejected", reason="no", actor="test")
    assert dispatch(GOAL, INPUTS, shelf).by == "agent"
    entry = kept(description="another body")
    library.decide(entry, "disable", reason="off", actor="test")
    found = dispatch(GOAL, INPUTS, shelf)
    assert (found.by, codes(found)) == ("agent", {"disabled"})


def test_a_repair_that_waits_for_its_review_does_not_change_what_is_picked():
    """The active body stays the one that is dispatched, whatever is proposed beside it."""
    entry = kept()
    Library().add(shop.body(description="mended"), parent=entry.hash)
    found = dispatch(GOAL, INPUTS, shelf)
    assert found.playbook is not None
    assert (found.by, found.playbook.hash) == ("playbook", entry.hash)
    assert {one.status for one in found.considered} == {"active", "review"}


def test_a_task_within_a_run_is_a_step_of_it():
    """The agent's run is no run of its own then, and nothing is walked over what goes on."""
    kept("shadow")
    with spanreel.run("outer") as outer:
        found = dispatch(GOAL, INPUTS, shelf)
    assert (found.run_id, found.shadows) == (outer.run_id, [])
    spanreel.instrument().flush()
    assert load(outer.run_id).agent_name == "outer"


def test_the_agents_run_is_recorded_with_the_goal_and_the_decision():
    """Tomorrow's evidence: the inputs under their names, the goal as a tag, the decision as a span below the root."""
    found = dispatch(GOAL, INPUTS, shelf)
    assert found.reason is not None
    assert (found.by, found.reason.code) == ("agent", "nothing_fits")
    run = load(found.run_id)
    assert (run.agent_name, run.tags) == ("shelf", {"goal": GOAL})
    assert run.input == {"goal": GOAL, "inputs": INPUTS}
    decision = decision_of(found.run_id)
    assert decision[names.DECISION_TO] == "agent"
    assert decision[names.DECISION_REASON].startswith("nothing_fits")


def decision_of(run_id: str) -> dict:
    from spanreel.collector.store import open_reader
    from spanreel.location import resolve_store

    spanreel.instrument().flush()
    with open_reader(resolve_store(None)) as reader:
        spans = reader.spans(reader.resolve(run_id).trace_id)
    (found,) = [dict(span.attributes) for span in spans if span.attributes.get(names.DECISION) == "dispatch"]
    return found


def test_a_dispatch_to_a_playbook_leaves_its_decision_below_the_execution():
    """With every playbook that was considered, and why not."""
    entry = kept()
    found = dispatch(GOAL, INPUTS, shelf)
    decision = decision_of(found.run_id)
    assert (decision[names.DECISION_TO], decision[names.PLAYBOOK_HASH]) == ("playbook", entry.hash)
    assert json.loads(decision[names.DECISION_GATES])[0]["fits"] is True


@pytest.mark.parametrize(
    ("changed", "goal", "inputs", "code"),
    [
        ({"matchers": {"agent": "airline"}}, GOAL, INPUTS, "agent_mismatch"),
        ({"matchers": {"goal": ["cancel"]}}, GOAL, INPUTS, "goal_mismatch"),
        ({"matchers": {}}, "Cancel my subscription to the newspaper", INPUTS, "goal_mismatch"),
        ({"matchers": {}}, "Return a delivered item of order W1 for another one", INPUTS, "goal_mismatch"),
        ({"matchers": {"input": {"region": {"in": ["eu"]}}}, "goal": GOAL}, GOAL, {**INPUTS, "region": "us"}, "input_mismatch"),
        ({"order": {"tool": "shelf_gone"}}, GOAL, INPUTS, "tool_missing"),
        ({}, GOAL, {"order": {"id": "W1"}}, "params_missing"),
        ({}, GOAL, {"order": {"id": "nonsense"}, "new_item": "i-black"}, "param_invalid"),
        ({}, GOAL, "order W1, and give me i-black", "needs_extract_model"),
    ],
)  # fmt: skip
def test_every_no_has_a_reason_code(changed: dict, goal: str, inputs: object, code: str):
    """One thing does not fit, and that is what is said; the agent does the task."""
    kept(**changed)
    found = dispatch(goal, inputs, shelf)
    assert found.by == "agent"
    assert codes(found) == {code}
    assert code in REASONS


def test_a_playbook_that_stops_before_it_wrote_leaves_the_task_to_the_agent():
    """The stopped execution is told, and stays as evidence against the body."""
    kept()
    found = dispatch(GOAL, {"order": {"id": "W3"}, "new_item": "i-black"}, shelf)
    assert found.reason is not None
    assert (found.by, found.status, found.reason.code) == ("agent", "completed", "stopped_before_write")
    assert "expect at order" in found.reason.text
    assert found.result is not None
    assert [name for name, _ in shop.fired] == ["shelf_order", "agent"]
    assert load(found.result.run_id).outcome["success"] is False


def test_a_precondition_that_does_not_hold_has_its_own_code():
    """It is checked before anything is called."""
    kept(order={"pre": [{"json": "params.new_item", "equals": "i-white"}]})
    found = dispatch(GOAL, INPUTS, shelf)
    assert found.reason is not None
    assert (found.by, found.reason.code) == ("agent", "precondition_failed")


def test_after_a_write_the_agent_is_not_run_over_it():
    """What was done is told; nobody does it a second time."""
    kept(exchange={"post": [{"json": "status", "equals": "done"}]})
    found = dispatch(GOAL, INPUTS, shelf)
    assert found.reason is not None
    assert (found.by, found.status, found.reason.code) == ("playbook", "failed", "stopped_after_write")
    assert [name for name, _ in shop.fired] == ["shelf_order", "shelf_exchange"]
    assert found.exit_code == 1


def test_a_hook_that_refuses_leaves_the_task_to_the_agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The project's own say before a playbook is run; nothing of it was."""
    (tmp_path / "pyproject.toml").write_text('[tool.spanreel.hooks]\nbefore_run = "shadow_shop:refusing"\n')
    monkeypatch.chdir(tmp_path)
    kept()
    found = dispatch(GOAL, INPUTS, shelf)
    assert found.reason is not None
    assert (found.by, found.reason.code) == ("agent", "hook_refused")
    assert "not on a Sunday" in found.reason.text
    assert [name for name, _ in shop.fired] == ["agent"]


def test_a_dry_dispatch_only_decides():
    """Nothing is run, whoever would do it."""
    kept()
    found = dispatch(GOAL, INPUTS, shelf, dry=True)
    assert (found.by, found.status, found.run_id) == ("playbook", None, None)
    assert dispatch("water the plants", {}, shelf, dry=True).by == "agent"
    assert dispatch("water the plants", {}, dry=True).by == "nobody"
    assert shop.fired == []


def test_without_an_agent_a_task_that_no_playbook_fits_is_done_by_nobody():
    """Exit code 5."""
    found = dispatch("water the plants", {})
    assert (found.by, found.status, found.exit_code) == ("nobody", None, 5)


def test_two_playbooks_that_fit_equally_well_leave_the_task_to_the_agent():
    """Which of them was meant is not guessed."""
    kept()
    kept(name="shelf-exchange-too", matchers={"agent": "shelf", "goal": ["exchange"]})
    found = dispatch(GOAL, INPUTS, shelf)
    assert found.reason is not None
    assert (found.by, found.reason.code) == ("agent", "ambiguous")


def test_a_gate_pauses_the_task():
    """Nobody has decided: the playbook's run waits, and the agent is not called."""
    kept(risk="high")
    found = dispatch(GOAL, INPUTS, shelf)
    assert (found.by, found.status, found.exit_code) == ("playbook", "paused", 3)
    assert found.result is not None
    assert found.result.waits_for == "shelf-exchange.exchange"
    assert [name for name, _ in shop.fired] == ["shelf_order"]


def test_a_playbook_in_shadow_is_walked_over_what_the_agent_did():
    """In the same process, after the run, with no tool called; the agent's result is not waited for."""
    entry = kept("shadow")

    def agent(goal: str, inputs: dict) -> str:
        return shop.exchanging()()

    found = dispatch(GOAL, INPUTS, agent, agent="shelf")
    assert found.shadows == ["shelf-exchange"]
    assert wait_for_shadows(10) == 1
    assert [name for name, _ in shop.fired] == ["shelf_order", "shelf_user", "shelf_exchange"]
    (shadow,) = Library().evidence(entry.hash).shadows
    assert (shadow.ok, shadow.score, shadow.source) == (True, 1.0, found.run_id)


def test_an_agents_exception_is_the_callers():
    """As it was raised; its run is recorded."""

    def failing(goal: str) -> None:
        raise LookupError(goal)

    with pytest.raises(LookupError, match="Exchange"):
        dispatch(GOAL, INPUTS, failing)
    spanreel.instrument().flush()
    assert load("last").status == "error"


def test_async_agents_and_playbooks():
    """`adispatch` awaits the agent; `dispatch` of a coroutine function ends it."""

    async def agent(goal: str, inputs: dict) -> str:
        await asyncio.sleep(0)
        return f"did {inputs['new_item']}"

    async def both() -> tuple:
        first = await adispatch(GOAL, INPUTS, agent, agent="shelf")
        kept()
        return first, await adispatch(GOAL, INPUTS, agent, agent="shelf")

    first, second = asyncio.run(both())
    assert (first.by, first.output) == ("agent", "did i-black")
    assert load(first.run_id).tags == {"goal": GOAL}
    assert (second.by, second.status) == ("playbook", "completed")
    third = dispatch("water the plants", INPUTS, agent)
    assert (third.by, third.output) == ("agent", "did i-black")
    assert load(third.run_id).agent_name == "agent"


def test_an_agent_is_called_with_what_its_parameters_name():
    """`goal`, `inputs`, the inputs' own names; a decorated agent is one run of its own name."""

    @spanreel.agent(name="by-names")
    def by_names(new_item: str, order: dict) -> str:
        return f"{order['id']} {new_item}"

    found = dispatch("water the plants", INPUTS, by_names)
    assert found.output == "W1 i-black"
    assert load(found.run_id).agent_name == "by-names"
    assert dispatch("water the plants", None, lambda task: task.upper()).output == "WATER THE PLANTS"
    with pytest.raises(spanreel.SpanreelError, match="cannot be called"):
        dispatch("water the plants", INPUTS, lambda one, two: None)


def test_without_recording_on_dispatch_records_by_itself(store: Path):
    """The run is in the store, and recording is off again."""
    spanreel.uninstrument()
    found = dispatch("water the plants", {}, lambda: "done", store=store)
    assert load(found.run_id, store).status == "completed"
