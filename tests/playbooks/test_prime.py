"""`prime`: what active playbooks know of a task, as a block for a prompt and as steps."""

from __future__ import annotations

import shadow_shop as shop
from kept_playbooks import execution, put
from test_dispatch import kept

from spanreel.replay.playbooks.dispatching.prime import prime
from spanreel.replay.playbooks.governance.library import Library

GOAL = "exchange an item of my order"


def test_an_active_playbook_becomes_a_block_with_tools_steps_and_guards(store):
    """Preferred tools, what is needed, the steps in order with what to expect of each."""
    kept()
    found = prime(GOAL)
    assert [step.tool for step in found.steps] == ["shelf_order", "shelf_exchange"]
    (told,) = found.playbooks
    assert (told.name, told.tools) == ("shelf-exchange", ["shelf_order", "shelf_exchange"])
    assert told.params["order_id"] == "string, matches W[0-9]+"
    for part in (
        "shelf_order",
        "order_id={{ params.order_id }}",
        '"status": "delivered"',
        "Needed: ",
        "order_id (string, matches W[0-9]+)",
    ):
        assert part in found.prompt


def test_what_was_not_promoted_or_has_another_goal_is_not_told():
    """Then the block is empty."""
    kept("shadow")
    assert prime(GOAL).prompt == ""
    kept(description="promoted")
    assert prime(GOAL).prompt
    found = prime("water the plants")
    assert (found.prompt, found.steps, found.playbooks) == ("", [], [])


def test_what_stopped_it_before_is_told_as_a_pitfall(store):
    """And what people kept with it as a counterexample."""
    entry = kept()
    put(store, execution(1, entry.body, ok=False))
    Library().decide(
        Library().get(entry.name),
        "counterexample",
        reason="a pending order is cancelled, not exchanged",
        actor="test",
    )
    found = prime(GOAL)
    assert "expect at first: the status is cancelled" in found.prompt
    assert "a pending order is cancelled" in found.prompt


def test_tools_need_not_be_registered_and_no_value_be_known():
    """The agent has its own; the block is for whoever begins."""
    kept(order={"tool": "shelf_elsewhere"})
    assert "shelf_elsewhere" in prime(GOAL).prompt


def test_matchers_of_another_agent_keep_a_playbook_out():
    """Where the agent is known."""
    kept()
    assert prime(GOAL, agent="airline").prompt == ""
    assert prime(GOAL, agent="shelf").prompt


def test_every_state_along_the_way_is_told_once():
    """Branches by their ways, approvals by their names; a cycle ends."""
    states = {
        "order": {**shop.DOCUMENT["states"]["order"], "next": "which"},
        "which": {"branch": {"on": "{{ order.status }}", "cases": {"delivered": "ask"}, "default": "order"}},
        "ask": {"approval": {"id": "sure", "summary": "Sure?"}, "on_approve": "exchange", "on_reject": "end"},
        "exchange": shop.DOCUMENT["states"]["exchange"],
    }
    kept(states=states)
    found = prime(GOAL)
    assert [step.state for step in found.steps][:2] == ["order", "which"]
    assert len({step.state for step in found.steps}) == len(found.steps)
