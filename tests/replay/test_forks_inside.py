"""A fork at a step of a nested agent, which is a tool of the one that calls it."""

from __future__ import annotations

import pytest

import spanreel
from spanreel.exceptions import SpanreelError

pytestmark = pytest.mark.usefixtures("recording")


@pytest.fixture
def run(client):
    """An agent that asks, has a helper that asks and looks twice, and asks; its run; and what the helper's body did."""
    entered = []

    def ask(text):
        said = client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": text}])
        return said.choices[0].message.content

    @spanreel.tool
    def look(word):
        entered.append(f"look {word}")
        return f"seen {word}"

    @spanreel.tool
    def helper(word):
        entered.append("helper")
        return ask(f"inside {word}"), look(word), ask(f"inside again {word}")

    def agent():
        return ask("before"), helper("x"), ask("after")

    with spanreel.run("agent") as recorded:
        first = agent()
    spanreel.instrument().flush()
    entered.clear()
    return agent, recorded.run_id, first, entered


def flat(result):
    """Before, inside, looked, inside again, after."""
    return [result[0], *result[1], result[2]]


def test_it_is_refused_where_the_tool_around_it_does_not_run(run):
    """Else the helper's recorded result would be served, and the step that was to be different never come."""
    _, run_id, _, _ = run
    for changed in ({"at": 3}, {"at": 5}, {"overrides": {"responses": {3: "mine"}}}):
        with pytest.raises(SpanreelError, match=r"inside tool helper \(step 2\)") as refused:
            spanreel.replaying(run_id, **changed)
        assert "--allow-tool helper" in refused.value.remedy


def test_it_forks_inside_a_tool_that_is_named(run, server):
    """What the helper did before the step is served, the rest is live; its own write tool is not run."""
    agent, run_id, first, entered = run
    asked = len(server.requests)
    with spanreel.replaying(run_id, at=5, allow_tools=["helper"]) as execution:
        second = flat(agent())
    assert second[:3] == flat(first)[:3]
    assert second[3] != flat(first)[3]
    assert entered == ["helper"]
    assert len(server.requests) - asked == 2
    assert execution.verdict.effects.model_dump() == {"recorded": 3, "live": 3, "stub": 0, "denied": 0}


def test_a_response_is_given_inside_a_tool_that_is_named(run):
    """Of the step, and no other."""
    agent, run_id, first, _ = run
    with spanreel.replaying(run_id, overrides={"responses": {3: "mine"}}, allow_tools=["helper"]):
        second = flat(agent())
    assert second[:2] == [flat(first)[0], "mine"]


def test_a_named_tool_in_a_replay_asks_the_recording(run, server):
    """Its body runs; what it asks is served."""
    agent, run_id, first, entered = run
    asked = len(server.requests)
    with spanreel.replaying(run_id, allow_tools=["helper"]) as execution:
        assert flat(agent()) == flat(first)
    assert (entered, len(server.requests)) == (["helper"], asked)
    assert execution.verdict.verdict == "exact"


@pytest.mark.parametrize("at", ["2", True, 2.0])
def test_a_step_is_a_number(run, at):
    """Anything else is refused in words."""
    with pytest.raises(SpanreelError, match="is no step"):
        spanreel.replaying(run[1], at=at)
