"""Playbooks that are run for real: recorded, looked at, replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

import spanreel
from spanreel.replay.load import load
from spanreel.replay.playbooks.playbook import Playbook

BODY = {
    "spanreel": "playbook/v1",
    "name": "pay-order",
    "initial": "get",
    "params": {"order_id": {}},
    "states": {
        "get": {
            "tool": "runs_get",
            "args": {"order_id": "{{ params.order_id }}"},
            "save_as": "order",
            "expect": {"json": {"status": "delivered"}},
            "next": "pay",
        },
        "pay": {"tool": "runs_pay", "args": {"order_id": "{{ order.order }}", "amount": 5}},
    },
}
paid: list[str] = []


@spanreel.tool(safety="read")
def runs_get(order_id: str) -> dict:
    return {"order": order_id, "status": "delivered" if order_id != "W0" else "pending"}


@spanreel.tool
def runs_pay(order_id: str, amount: int) -> dict:
    paid.append(order_id)
    return {"paid": amount}


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPANREEL_STORE", str(tmp_path / "spans.db"))
    paid.clear()
    on = spanreel.instrument()
    yield on
    on.uninstrument()


def test_a_run_of_a_playbook_is_a_recorded_run(recorded: spanreel.Instrumentation) -> None:
    """It is in the store, with its tool calls as steps."""
    result = Playbook.load(BODY).run(order_id="W1")
    recorded.flush()
    assert (result.status, result.output) == ("completed", {"paid": 5})
    run = load(result.run_id)
    assert [step.name for step in run.steps] == ["runs_get", "runs_pay"]
    assert run.status == "completed"


def test_a_guard_that_says_no_stops_the_run_before_what_follows(recorded: spanreel.Instrumentation) -> None:
    """The result names the state and the guard; nothing after it was done."""
    result = Playbook.load(BODY).run(order_id="W0")
    assert (result.status, result.failure.guard, result.failure.state) == ("failed", "expect", "get")
    assert paid == []


def test_a_playbook_runs_where_nothing_is_recorded() -> None:
    """Recording is no condition for running."""
    paid.clear()
    result = Playbook.load(BODY).run(order_id="W2")
    assert (result.status, result.run_id, paid) == ("completed", None, ["W2"])
