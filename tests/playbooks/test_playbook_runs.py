"""Playbooks that are run for real: recorded, looked at, replayed."""

from __future__ import annotations

from pathlib import Path

import pytest

import spanreel
from spanreel.cli.render.tree import header
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


def test_a_recorded_run_says_where_it_went(recorded: spanreel.Instrumentation) -> None:
    """Which playbook, its parameters, each state with what it set and where it led, and what stopped it."""
    result = Playbook.load(BODY).run(order_id="W1")
    failed = Playbook.load(BODY).run(order_id="W0")
    recorded.flush()
    went = load(result.run_id).playbook
    assert went is not None
    assert (went.name, went.hash, went.mode) == ("pay-order", result.hash, "strict")
    assert went.params == {"order_id": "W1"}
    assert [(one.state, one.visit, one.next) for one in went.states] == [("get", 1, "pay"), ("pay", 1, None)]
    assert went.states[0].saved == {"order": {"order": "W1", "status": "delivered"}}
    stopped = load(failed.run_id).playbook
    assert stopped is not None
    assert (stopped.guard, stopped.stopped_at) == ("expect", "get")
    assert [(one.state, one.guard) for one in stopped.states] == [("get", "expect")]
    told = "\n".join(line.plain for line in header(load(failed.run_id), 80))
    assert "get ✗ expect" in told
    assert '"order_id": "W0"' in told
    assert '{"body"' not in told


def test_states_of_a_playbook_inside_say_so(recorded: spanreel.Instrumentation) -> None:
    """By the name of the playbook that they are states of."""
    inner = Playbook.load(BODY)
    inner.keep()
    outer = {
        "name": "outer-order",
        "initial": "all",
        "states": {
            "all": {"playbook": {"name": "pay-order", "hash": inner.hash, "params": {"order_id": "W1"}}}
        },
    }
    result = Playbook.load(outer).run()
    recorded.flush()
    went = load(result.run_id).playbook
    assert went is not None
    assert [(one.inside, one.state) for one in went.states] == [
        ([], "all"),
        (["pay-order"], "get"),
        (["pay-order"], "pay"),
    ]


@pytest.mark.parametrize(("ends", "status"), [(KeyboardInterrupt, "cancelled"), (SystemExit, "error")])
def test_a_run_that_is_broken_off_has_a_status(
    recorded: spanreel.Instrumentation, ends: type[BaseException], status: str
) -> None:
    """It is neither open nor paused, for nobody can decide about it."""

    @spanreel.tool(name=f"runs_{ends.__name__}")
    def broken() -> None:
        raise ends(4)

    body = {"name": "broken", "initial": "a", "states": {"a": {"tool": f"runs_{ends.__name__}"}}}
    with pytest.raises(ends):
        Playbook.load(body).run()
    recorded.flush()
    assert load("last").status == status


def test_a_result_is_a_table_in_a_notebook(recorded: spanreel.Instrumentation) -> None:
    """What stopped it included; what it says is escaped."""
    result = Playbook.load({**BODY, "output": "<b>{{ order.order }}</b>"}).run(order_id="W1")
    assert "get → pay" in result._repr_html_()
    assert "&lt;b&gt;W1" in result._repr_html_()
    assert "failed: expect" in Playbook.load(BODY).run(order_id="W0")._repr_html_()
