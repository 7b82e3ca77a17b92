"""What counts as evidence for a body, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kept_playbooks import LATER, SECOND, body, execution, put

from spanreel.replay.playbooks.governance.evidence import Evidence
from spanreel.replay.playbooks.governance.library import Library
from spanreel.wire import attributes as names
from spanreel.wire.spans import Scope, Span


def became(store: Path, *runs: list[Span]) -> list[str]:
    """What the executions of the body came to, as evidence."""
    put(store, *runs)
    return [one.became for one in Library(store).evidence(body().hash).executions]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["ok"]),
        ({"ok": False}, ["failed"]),
        ({"ok": False, "guard": "approval"}, ["blocked"]),
        ({"ok": False, "guard": "params"}, ["blocked"]),
        ({"ok": False, "guard": "budget"}, ["blocked"]),
        ({"ok": False, "guard": "precondition"}, ["failed"]),
        ({"open": True}, ["unknown"]),
        ({"status": "paused"}, []),
        ({"status": "cancelled"}, []),
        ({"status": "diverged"}, ["failed"]),
        ({"source": "ab" * 16}, []),
        ({"mode": "shadow", "source": "ab" * 16, "score": 1.0}, ["ok"]),
        ({"mode": "shadow", "source": "ab" * 16, "score": 0.5, "divergence": '{"step": 2}'}, ["failed"]),
        ({"mode": "guided"}, ["ok"]),
        ({"mode": "nonsense"}, []),
    ],
)
def test_what_an_execution_says(store: Path, more: dict[str, Any], expected: list[str]) -> None:
    """By its outcome, its guard and its mode; a replay (it has a source run) shows nothing new, a shadow's source is what
    it was held against.
    """
    assert became(store, execution(1, body(), **more)) == expected


def test_a_shadow_counts_once_for_each_run(store: Path) -> None:
    """The newest shadow of a run counts; one of an execution of the same body is none."""
    own = execution(1, body())
    said = [
        execution(2, body(), mode="shadow", source="ab" * 16, score=0.2, divergence="{}"),
        execution(3, body(), mode="shadow", source="cd" * 16, score=1.0),
        execution(4, body(), mode="shadow", source="ab" * 16, score=0.8),
        execution(5, body(), mode="shadow", source=own[0].trace_id, score=1.0),
    ]
    put(store, own, *said)
    found = Library(store).evidence(body().hash)
    assert [one.source for one in found.shadows] == ["cd" * 16, "ab" * 16]
    assert found.divergence == pytest.approx(0.1)
    assert found.runs == 3


def test_figures_of_an_execution(store: Path) -> None:
    """Inputs, calls, tokens, cost and time are read off the root and the run; without a model call it cost nothing."""
    put(
        store,
        execution(1, body(), model_calls=1, tokens=700, cost=0.25, order_id="#W1"),
        execution(2, body()),
    )
    one, two = Library(store).evidence(body().hash).executions
    assert (one.inputs, one.model_calls, one.tokens, one.cost, one.seconds) == (
        '{"order_id": "#W1"}',
        1,
        700,
        "0.25",
        1.0,
    )
    assert (two.model_calls, two.tokens, two.cost) == (0, 0, "0")
    put(store, execution(3, body(), model_calls=1, tokens=10))
    assert Library(store).evidence(body().hash).executions[-1].cost is None


def test_a_resumed_execution_is_one(store: Path) -> None:
    """A paused execution counts once it has been resumed and ended; its newest segment speaks."""
    first = execution(1, body(), status="paused")
    second = execution(2, body(), source=first[0].trace_id, ok=False)
    again = {names.RUN_ID: first[0].trace_id, names.RUN_SEGMENT: 2}
    assert (
        became(
            store,
            [replace(one, attributes={**one.attributes, names.RUN_ID: first[0].trace_id}) for one in first],
        )
        == []
    )
    assert became(store, [replace(one, attributes={**one.attributes, **again}) for one in second]) == [
        "failed"
    ]


def test_an_execution_inside_another_run_counts(store: Path) -> None:
    """An agent that runs a playbook: the playbook's span is evidence, the agent's failure is not its own."""
    spans = execution(1, body())
    agent = Span(
        spans[0].trace_id, "aa" * 8, "invoke_agent retail", None, 1, LATER, LATER + 9 * SECOND, 2, "the agent failed",
        {names.OPERATION: "invoke_agent", names.AGENT_NAME: "retail"}, scope=Scope("spanreel"),
    )  # fmt: skip
    inner = [replace(spans[0], parent_span_id="aa" * 8), *spans[1:]]
    assert became(store, [agent, *inner]) == ["ok"]
    replayed = replace(agent, attributes={**agent.attributes, names.SOURCE_RUN_ID: "cd" * 16})
    assert became(store.with_name("b.db"), []) == []
    put(store.with_name("c.db"), [replayed, *inner])
    assert Library(store.with_name("c.db")).evidence(body().hash).executions == ()


def test_figures_over_all() -> None:
    """Without evidence there is no ratio; an unknown end is no success."""
    assert (Evidence().success_ratio, Evidence().divergence, Evidence().runs) == (None, None, 0)


def test_of_two_stores_only_this_one_counts(store: Path, tmp_path: Path) -> None:
    """A body has the evidence of the store that it is in."""
    put(store, execution(1, body()))
    there = Library(tmp_path / "other.db")
    assert there.add(body()).evidence == Evidence()
    assert there.evidence("sha256:nothing") == Evidence()
    assert Library(tmp_path / "none.db").evidence(body().hash) == Evidence()
