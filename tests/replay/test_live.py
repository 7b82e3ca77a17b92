"""Executions that go live: with overrides, from a step on, within a budget; tools only where somebody named them."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

import spanreel
from spanreel.exceptions import BudgetSpent, Divergence, EffectDenied
from spanreel.replay.load import load
from spanreel.replay.stored import stored

pytestmark = pytest.mark.usefixtures("recording")
fired: list[str] = []


@spanreel.tool(safety="irreversible")
def payments(order: str) -> str:
    """Pays for an order."""
    fired.append(order)
    return f"paid {order} as {len(fired)}"


@spanreel.tool(safety="read")
def look_up(order: str) -> str:
    """Looks an order up."""
    fired.append(f"read {order}")
    return f"{order} is open ({len(fired)})"


@pytest.fixture(autouse=True)
def nothing_fired():
    """Firings are counted anew."""
    fired.clear()


def ask(client, text, model="m-1", **options):
    """One chat call; what was said."""
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": text}]
    return (
        client.chat.completions.create(model=model, messages=messages, **options).choices[0].message.content
    )


def agent(client):
    """Three model calls that build on each other, a read and a payment between them."""
    first = ask(client, "one")
    seen = look_up(order="W1")
    second = ask(client, f"two after {first} and {seen}")
    paid = payments(order="W1")
    return ask(client, f"three after {second} and {paid}")


def recorded(function, *args):
    """Run it as a run of its own; its result and the run's id."""
    with spanreel.run("agent") as run:
        result = function(*args)
    spanreel.instrument().flush()
    fired.clear()
    return result, run.run_id


def sent(server, key="model"):
    """What the server was asked, by one field."""
    return [request.get(key) for request in server.requests]


def test_a_rerun_with_another_model_sends_the_whole_history_and_runs_no_tool(client, server):
    """The body differs in what was overridden only; results of tools come from the recording."""

    def two():
        ask(client, "one", temperature=1)
        return payments(order="W1")

    result, run = recorded(two)
    before = server.requests[-1]
    with spanreel.replaying(run, overrides={"model": "m-2", "temperature": 0, "top_p": 0.5}) as execution:
        assert two() == result
    assert server.requests[-1] == {**before, "model": "m-2", "temperature": 0, "top_p": 0.5}
    assert fired == []
    verdict = execution.verdict
    assert verdict.effects.model_dump() == {"recorded": 1, "live": 1, "stub": 0, "denied": 0}
    assert verdict.verdict == "exact"
    assert (verdict.spent_tokens.input_tokens, verdict.spent_tokens.output_tokens) == (3, 2)


def test_a_fork_serves_what_lies_before_it_and_goes_live_from_there(client, server):
    """Step 3 and what follows is asked anew; the payment after it, unnamed, is not made."""
    _, run = recorded(agent, client)
    asked = len(server.requests)

    def other():
        ask(client, "one")
        seen = look_up(order="W1")
        ask(client, f"two after answer 1 to one and {seen}")
        payments(order="W2")

    with (
        pytest.raises(EffectDenied, match="--allow-tool payments"),
        spanreel.replaying(run, at=3) as execution,
    ):
        other()
    assert len(server.requests) == asked + 1
    assert fired == []
    assert execution.verdict.effects.model_dump() == {"recorded": 2, "live": 1, "stub": 0, "denied": 1}


def test_a_tool_that_writes_runs_live_only_where_it_is_named(client):
    """After the fork; and a call equal to the recorded one is served, not made again."""
    _, run = recorded(agent, client)
    with spanreel.replaying(run, at=3) as execution:
        agent(client)
    assert fired == []
    assert execution.verdict.effects.recorded == 3
    with spanreel.replaying(run, at=3, allow_tools=["payments"]):
        agent(client)
    assert fired == ["W1"]


def test_a_read_tool_goes_live_after_a_fork_and_only_then(client):
    """A read changes nothing."""
    _, run = recorded(agent, client)
    with spanreel.replaying(run, at=2) as execution:
        agent(client)
    assert fired == ["read W1"]
    assert execution.verdict.effects.live == 3
    fired.clear()
    with spanreel.replaying(run, models="live"):
        agent(client)
    assert fired == []


def test_a_fork_that_does_not_do_what_was_recorded_before_it_diverges(client, server):
    """Its beginning has to be the recorded one."""
    _, run = recorded(agent, client)
    asked = len(server.requests)
    with pytest.raises(Divergence), spanreel.replaying(run, at=5):
        ask(client, "something else")
    assert len(server.requests) == asked


def test_a_step_can_be_answered_by_what_the_user_says(client, server):
    """The model's answer at that step; what follows is live."""
    _, run = recorded(agent, client)
    asked = len(server.requests)
    with spanreel.replaying(run, overrides={"responses": {3: "buy nothing"}}) as execution:
        result = agent(client)
    assert "three after buy nothing" in result
    assert len(server.requests) == asked + 1
    assert execution.verdict.effects.model_dump() == {"recorded": 3, "live": 1, "stub": 1, "denied": 0}


def test_a_tools_result_can_be_what_the_user_says(client):
    """Without running it."""
    _, run = recorded(agent, client)
    with spanreel.replaying(run, overrides={"responses": {4: "declined"}}):
        assert "and declined" in agent(client)
    assert fired == []


def test_an_override_of_one_step_leaves_the_others(client, server):
    """Recorded before it, live from it on."""
    _, run = recorded(agent, client)
    asked = len(server.requests)
    with spanreel.replaying(run, overrides={3: {"model": "m-2"}}):
        agent(client)
    assert sent(server)[asked:] == ["m-2", "m-1"]


def test_the_whole_request_of_a_step_can_be_given(client, server):
    """As it was edited."""
    _, run = recorded(agent, client)
    body = {"model": "m-1", "messages": [{"role": "user", "content": "edited"}]}
    with spanreel.replaying(run, overrides={"requests": {5: body}}):
        assert agent(client).endswith("to edited")
    assert server.requests[-1] == body


@pytest.mark.parametrize(("limit", "words"), [("max_calls", "1 live model call"), ("max_seconds", "0 s")])
def test_a_budget_stops_the_execution_before_the_call_that_would_go_beyond_it(client, server, limit, words):
    """Even where the agent swallows it."""
    _, run = recorded(agent, client)
    asked = len(server.requests)
    budget = {limit: 1 if limit == "max_calls" else 0}

    def stubborn():
        try:
            agent(client)
        except BaseException:
            return

    with (
        pytest.raises(BudgetSpent, match=words),
        spanreel.replaying(run, models="live", budget=budget) as execution,
    ):
        stubborn()
    assert len(server.requests) == asked + (limit == "max_calls")
    assert (execution.verdict.status, execution.verdict.exit_code) == ("cancelled", 1)
    assert words in execution.verdict.stopped


def test_a_cost_budget_that_cannot_be_reckoned_stops_after_the_first_call(client, server):
    """A model without a price is not free."""
    _, run = recorded(agent, client)
    asked = len(server.requests)
    with (
        pytest.raises(BudgetSpent, match="no known price"),
        spanreel.replaying(run, models="live", budget={"max_cost": 1}),
    ):
        agent(client)
    assert len(server.requests) == asked + 1


def test_the_network_is_closed_to_all_but_what_goes_live(client, server):
    """An agent's own request stays inside; so does one that a live execution did not let out."""
    _, run = recorded(ask, client, "one")

    def other():
        ask(client, "one")
        httpx.get(server.url)

    with pytest.raises(EffectDenied, match="connect"), spanreel.replaying(run, models="live"):
        other()


def test_streams_go_live_as_they_come(client, server):
    """The SDK's own stream, from the server, with the override."""

    def streamed():
        return "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(
                model="m-1", messages=[{"role": "user", "content": "one"}], stream=True
            )
        )

    _, run = recorded(streamed)
    with spanreel.replaying(run, overrides={"model": "m-2"}):
        assert streamed() == "answer 2 to one "
    assert sent(server) == ["m-1", "m-2"]


def test_async_agents_and_threads_go_live_too(server):
    """Each call within the network's one opening for it."""
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k") as client:

        def threads():
            with ThreadPoolExecutor(4) as pool:
                return sorted(pool.map(lambda text: ask(client, text), ["a", "b", "c", "d"]))

        async def tasks():
            async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k") as client:
                calls = [
                    client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": text}])
                    for text in "ab"
                ]
                return [one.choices[0].message.content for one in await asyncio.gather(*calls)]

        for function in (threads, lambda: asyncio.run(tasks())):
            first, run = recorded(function)
            with spanreel.replaying(run) as offline:
                assert function() == first
            with spanreel.replaying(run, models="live") as execution:
                assert len(function()) == len(first)
            assert offline.verdict.effects.live == 0
            assert execution.verdict.effects.live == len(first)


def test_an_execution_is_a_run_linked_to_its_source_and_step(client):
    """And can be replayed itself, by what the agent asked, whatever was sent."""
    _, run = recorded(agent, client)
    with spanreel.replaying(run, at=3, overrides={"model": "m-2"}) as execution:
        result = agent(client)
    spanreel.instrument().flush()
    root = stored(execution.run_id).root
    assert root.attributes["spanreel.source.run_id"] == run
    assert root.attributes["spanreel.fork.step"] == 3
    assert json.loads(root.attributes["spanreel.replay.overrides"]) == {"every": {"model": "m-2"}}
    assert [link.trace_id for link in root.links] == [run, run]
    assert [step.source for step in load(execution.run_id).steps] == [
        "recorded",
        "recorded",
        "live",
        "recorded",
        "live",
    ]
    with spanreel.replaying(execution.run_id) as again:
        assert agent(client) == result
    assert again.verdict.verdict == "exact"


def test_a_miss_can_go_live_and_is_still_a_divergence(client, server):
    """The user chose it; the verdict says it."""
    _, run = recorded(agent, client)
    asked = len(server.requests)
    with spanreel.replaying(run, on_miss="live") as execution:
        ask(client, "something else")
    assert len(server.requests) == asked + 1
    assert execution.verdict.verdict == "diverged"
    assert execution.verdict.first_divergence.kind == "unmatched"


def test_deny_lets_no_model_call_through(client, server):
    """Nor does it serve one."""
    _, run = recorded(agent, client)
    asked = len(server.requests)
    with pytest.raises(EffectDenied), spanreel.replaying(run, models="deny"):
        agent(client)
    assert len(server.requests) == asked


def test_an_override_for_a_step_that_is_not_reached_is_told(client):
    """It did nothing."""
    _, run = recorded(agent, client)
    with spanreel.replaying(run, at=6, overrides={"responses": {9: "x"}}) as execution:
        agent(client)
    assert execution.verdict.warnings == ["step 9 was not reached, so its override was not used"]
