"""Executions of one process: one at a time or one within another, and nothing of one goes on after its end."""

from __future__ import annotations

import asyncio
import threading

import pytest

import spanreel
from spanreel.exceptions import EffectDenied, SpanreelError
from spanreel.instrument import responder

pytestmark = pytest.mark.usefixtures("recording")


@pytest.fixture
def fired():
    """What the tool's body was called with."""
    return []


@pytest.fixture
def agent(client, fired):
    """Asks, pays, asks."""

    @spanreel.tool
    def pay(amount):
        fired.append(amount)
        return f"paid {amount}"

    def run(word):
        return ask(client, word), pay(1), ask(client, "two")

    run.pay = pay
    return run


def ask(client, text):
    """What the model answers."""
    said = client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": text}])
    return said.choices[0].message.content


def recorded(agent, word):
    """A run of the agent: what it gave, and its id."""
    with spanreel.run("agent") as run:
        result = agent(word)
    spanreel.instrument().flush()
    return result, run.run_id


def test_a_second_execution_beside_the_first_is_refused(agent, server, fired):
    """Whichever ends first, neither is answered by the other's recording, and nothing goes live."""
    first, run = recorded(agent, "one")
    _, other = recorded(agent, "other")
    inside, over, refused = threading.Event(), threading.Event(), []

    def beside():
        inside.wait(10)
        try:
            with spanreel.replaying(other):
                agent("other")
        except SpanreelError as error:
            refused.append(str(error))
        over.set()

    thread = threading.Thread(target=beside)
    thread.start()
    with spanreel.replaying(run) as execution:
        inside.set()
        over.wait(10)
        assert agent("one") == first
    thread.join()
    assert execution.verdict.verdict == "exact"
    assert "at the same time" in refused[0]
    assert (len(server.requests), fired) == (4, [1, 1])
    assert responder.current() is responder.LIVE


def test_a_second_execution_in_another_task_is_refused(agent):
    """Tasks of one thread are told apart."""
    first, run = recorded(agent, "one")

    async def one():
        async with spanreel.replaying(run):
            await asyncio.sleep(0.05)
            return agent("one")

    async def both():
        return await asyncio.gather(one(), one(), return_exceptions=True)

    assert asyncio.run(both())[0] == first
    assert isinstance(asyncio.run(both())[1], SpanreelError)
    assert responder.current() is responder.LIVE


def test_an_execution_within_another_is_served_from_its_own_recording(agent, client):
    """And the outer one goes on afterwards."""
    first, run = recorded(agent, "one")
    second, other = recorded(agent, "other")
    with spanreel.replaying(run) as outer:
        with spanreel.replaying(other):
            assert agent("other") == second
        assert agent("one") == first
    assert outer.verdict.verdict == "exact"


def test_an_execution_runs_once(agent):
    """Its verdict is about one block."""
    _, run = recorded(agent, "one")
    execution = spanreel.replaying(run)
    with execution:
        agent("one")
    with pytest.raises(SpanreelError, match="runs once"), execution:
        agent("one")


@pytest.mark.parametrize("kind", ["thread", "task"])
def test_what_a_replay_began_does_not_go_live_after_it(kind, agent, client, server, fired):
    """A thread or a task that outlives the block calls no model and fires no tool; others do as ever."""
    _, run = recorded(agent, "one")
    over, found = threading.Event(), []

    def late():
        over.wait(10)
        for call in (lambda: ask(client, "late"), lambda: agent.pay(99)):
            try:
                found.append(call())
            except EffectDenied as denied:
                found.append(type(denied))

    async def late_task():
        await asyncio.to_thread(late)

    async def block():
        async with spanreel.replaying(run):
            agent("one")
            task = asyncio.create_task(late_task())
        over.set()
        await task

    if kind == "task":
        asyncio.run(block())
    else:
        thread = threading.Thread(target=late)
        with spanreel.replaying(run):
            agent("one")
            thread.start()
        over.set()
        thread.join()
    assert found == [EffectDenied, EffectDenied]
    assert (len(server.requests), fired) == (2, [1])
    assert agent.pay(2) == "paid 2"
    assert isinstance(ask(client, "now"), str)
