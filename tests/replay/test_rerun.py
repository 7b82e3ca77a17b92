"""Runs run again from Python: as they were or with a change, in this process or in one of their own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import socket
import sys
from pathlib import Path

import openai
import pytest
from programs import ROOT, record, write

import spanreel
from spanreel.collector.files import write_jsonl
from spanreel.collector.store import open_reader
from spanreel.exceptions import BudgetSpent, Divergence, EffectDenied, SpanreelError
from spanreel.replay.load import load

pytestmark = pytest.mark.usefixtures("recording")


class Shop:
    """An agent of two model calls with a tool between them, and what its tool has done."""

    def __init__(self, client: openai.OpenAI) -> None:
        self.refunded: list[str] = []

        @spanreel.tool
        def refund(order: str) -> str:
            self.refunded.append(order)
            return f"refunded {order}"

        def run(call) -> str:
            return refund(**json.loads(call.function.arguments))

        @spanreel.agent
        def shop(question: str, calls: int = 2) -> str:
            messages: list = [{"role": "user", "content": question}]
            for _ in range(calls):
                said = client.chat.completions.create(model="m-1", messages=messages, temperature=1)
                message = said.choices[0].message
                messages.append(message.model_dump(exclude_none=True))
                messages += [
                    {"role": "tool", "tool_call_id": call.id, "content": run(call)}
                    for call in message.tool_calls or ()
                ]
                if not message.tool_calls:
                    break
            return message.content or "no answer"

        self.agent = shop


QUESTION = 'tool refund {"order": "7"}'


@pytest.fixture
def shop(client):
    """An agent that is recorded."""
    return Shop(client)


@pytest.fixture
def source(shop):
    """Its recorded run: it refunded once."""
    shop.agent(QUESTION)
    spanreel.instrument().flush()
    return load()


def test_nothing_different_is_a_replay(shop, source, server):
    """Recorded inputs, recorded answers, the same result; nobody is asked, and the comparison is empty."""
    found = source.rerun(shop.agent)
    assert (found.verdict.verdict, found.error) == ("exact", None)
    assert found.result == source.content
    assert (len(server.requests), shop.refunded) == (2, ["7"])
    assert found.replay.source_run_id == source.run_id
    assert found.comparison.first_divergence is None
    assert found.replay.rerun(shop.agent).verdict.verdict == "exact"


def test_a_change_in_every_call_is_live(shop, source, server):
    """Model, instructions, tools and parameters reach the provider with the whole history; tools stay recorded."""
    tools = [{"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}]
    found = source.rerun(
        shop.agent,
        model="m-2",
        instructions="Be short.",
        tools=tools,
        params={"temperature": None, "seed": 7},
    )
    assert found.verdict.effects.live == 2
    first, second = server.requests[2:]
    for request in (first, second):
        assert (request["model"], request["seed"], request["tools"]) == ("m-2", 7, tools)
        assert "temperature" not in request
        assert request["messages"][0] == {"role": "system", "content": "Be short."}
    assert [one["role"] for one in second["messages"]] == ["system", "user", "assistant", "tool"]


def test_a_tool_that_writes_runs_only_if_it_is_named(shop, source):
    """As recorded it is served; otherwise it is refused, or denied after a fork, until somebody names it."""
    again = source.rerun(shop.agent, live=True)
    assert (again.error, again.verdict.effects.recorded) == (None, 1)
    other = 'tool refund {"order": "8"}'
    assert isinstance(source.rerun(shop.agent, prompt=other).error, Divergence)
    assert isinstance(source.rerun(shop.agent, prompt=other, at=1).error, EffectDenied)
    assert shop.refunded == ["7"]
    named = source.rerun(shop.agent, prompt=other, allow_tools=["refund"])
    assert shop.refunded == ["7", "8"]
    assert (named.error, named.verdict.effects.live) == (None, 3)


def test_a_single_step_can_be_different(shop, source, server):
    """What comes before it is recorded; from it on models are live."""
    found = source.rerun(shop.agent, step_overrides={3: {"temperature": 0}})
    assert found.verdict.effects.model_dump() == {"recorded": 2, "live": 1, "stub": 0, "denied": 0}
    assert [one["temperature"] for one in server.requests] == [1, 1, 0]
    assert shop.refunded == ["7"]


def test_a_fork_begins_where_it_says(shop, source, server):
    """Everything before the step is served; the run is linked to its source."""
    found = source.rerun(shop.agent, at=3)
    assert (found.verdict.effects.recorded, found.verdict.effects.live) == (2, 1)
    assert found.replay.source_run_id == source.run_id
    assert len(server.requests) == 3


def test_a_tool_can_be_given_another_result(shop, source, server):
    """The model is asked with it, and the body does not run."""
    source.rerun(shop.agent, responses={2: "no such order"})
    assert server.requests[-1]["messages"][-1]["content"] == "no such order"
    assert shop.refunded == ["7"]


def test_the_messages_can_be_made_anew(shop, source, server):
    """By a function of GenAI messages, in this process only."""

    def only_last(messages):
        return messages[-1:]

    source.rerun(shop.agent, messages=only_last, at=3)
    assert len(server.requests[-1]["messages"]) == 1
    with pytest.raises(SpanreelError, match="cannot go into another process"):
        source.rerun(messages=only_last)


def test_another_prompt(shop, source, server):
    """It takes the place of the only text among the inputs, and models are live."""
    found = source.rerun(shop.agent, prompt="hello")
    assert found.result == "answer 3 to hello"
    assert found.replay.input == {"question": "hello"}
    assert source.rerun(shop.agent, prompt={"question": "bye", "calls": 1}).result == "answer 4 to bye"


def test_a_prompt_that_could_be_several_is_refused(client):
    """By the names of the parameters it could be."""

    @spanreel.agent
    def agent(text, tone):
        return client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": text}])

    agent("hello", "kind")
    spanreel.instrument().flush()
    with pytest.raises(SpanreelError, match="several texts: text, tone") as raised:
        load().rerun(agent, prompt="bye")
    assert "prompt={" in raised.value.remedy


def test_what_ends_it_is_in_the_verdict(shop, source, client):
    """A divergence, an effect that is denied, an error of the agent: none is raised, all can be compared."""

    @spanreel.agent
    def other(question, calls=2):
        client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": "else"}])

    @spanreel.agent
    def broken(question):
        raise LookupError(question)

    found = source.rerun(other)
    assert isinstance(found.error, Divergence)
    assert (found.verdict.verdict, found.replay.status) == ("diverged", "diverged")
    assert found.comparison.replayed.run_id == found.replay.run_id
    failed = source.rerun(broken)
    assert isinstance(failed.error, LookupError)
    assert failed.verdict.error is not None
    assert failed.verdict.error.type == "LookupError"
    denied = source.rerun(lambda question: socket.create_connection(("127.0.0.1", 9)))
    assert isinstance(denied.error, EffectDenied)
    assert denied.verdict.effects.denied == 1


def test_a_budget_stops_it(shop, source, server):
    """Before the call that would go beyond it; the run is there, with what was done until then."""
    found = source.rerun(shop.agent, live=True, allow_tools=["refund"], budget={"max_calls": 1})
    assert isinstance(found.error, BudgetSpent)
    assert (found.verdict.effects.live, len(server.requests)) == (2, 3)
    assert found.verdict.status == "cancelled"


@pytest.fixture
def aclient(server):
    """A client that outlives the loop in which it was used first."""
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k")


@pytest.fixture
def waiting(aclient):
    """An async agent on that client."""

    @spanreel.agent
    async def waiting(text):
        said = await aclient.chat.completions.create(
            model="m-1", messages=[{"role": "user", "content": text}]
        )
        return said.choices[0].message.content

    return waiting


@pytest.mark.parametrize("live", [False, True])
def test_async_agents_after_their_loop_was_closed(waiting, server, live):
    """Their client was made in a loop that is gone: the rerun is in another one, as often as one likes."""
    first = asyncio.run(waiting("hello"))
    spanreel.instrument().flush()
    source = load()
    results = [source.rerun(waiting, live=live).result for _ in range(2)]
    results.append(asyncio.run(source.arerun(waiting, live=live)).result)
    expected = ["answer 2 to hello", "answer 3 to hello", "answer 4 to hello"] if live else [first] * 3
    assert results == expected


@pytest.mark.parametrize("live", [False, True])
def test_async_agents_within_a_running_loop(waiting, shop, source, live):
    """Awaited in this loop, or from plain code beside it; a plain agent does not hold the loop up."""

    async def both():
        await waiting("hello")
        spanreel.instrument().flush()
        recorded = load()
        awaited = await recorded.arerun(waiting, live=live)
        beside = recorded.rerun(waiting, live=live)
        plain = await source.arerun(shop.agent)
        return awaited, beside, plain

    awaited, beside, plain = asyncio.run(both())
    assert [one.error for one in (awaited, beside, plain)] == [None, None, None]
    assert (awaited.verdict.verdict, plain.verdict.verdict) == ("exact", "exact")
    assert awaited.verdict.effects.live == beside.verdict.effects.live == int(live)


def test_agents_that_are_not_marked(client):
    """Any callable: the rerun is a run of its own around it."""
    with spanreel.run("plain", input={"text": "hello"}):
        client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": "hello"}])
    spanreel.instrument().flush()

    def agent(text):
        return client.chat.completions.create(model="m-1", messages=[{"role": "user", "content": text}])

    found = load().rerun(agent)
    assert found.verdict.verdict == "exact"
    with spanreel.run("around"):
        inside = load(found.verdict.source_run_id).rerun(agent)
    assert inside.replay.agent_name == "plain"


def test_without_an_agent_its_entry_point_is_run(monkeypatch, tmp_path):
    """In a process of its own, from plain and from async code, and from a file."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MODEL_SERVER", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    write("agent.py", 'print(said("hello"))')
    record(sys.executable, "agent.py")
    source = load()
    found = source.rerun()
    assert (found.verdict.verdict, found.result, found.replay.content) == ("exact", None, source.content)
    with contextlib.redirect_stderr(io.StringIO()):  # as in a notebook
        assert asyncio.run(source.arerun()).verdict.verdict == "exact"
    with open_reader(Path(tmp_path, "spans.db")) as reader:
        write_jsonl(reader.spans(source.trace_id), tmp_path / "run.otlp.jsonl")
    moved = spanreel.Replay.from_file(tmp_path / "run.otlp.jsonl")
    assert moved.rerun(file=tmp_path / "run.otlp.jsonl").verdict.verdict == "exact"
    with pytest.raises(SpanreelError, match="has no prompt to replace"):
        source.rerun(prompt="bye")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"at": 9}, "no step 9"),
        ({"step_overrides": {0: {"seed": 1}}}, "no step 0"),
        ({"at": 3, "responses": {2: "x"}}, "before step 3"),
        ({"on_miss": "guess"}, "on_miss='guess'"),
        ({"match": "fuzzy"}, "match='fuzzy'"),
        ({"budget": {"max_cost": "free"}}, "is not a budget"),
        ({"params": {"seed": {1}}}, "params=...* is not JSON"),
        ({"responses": {3: "x"}, "step_overrides": {3: {"seed": 1}}}, "either|nobody would be asked"),
    ],
)
def test_what_cannot_be_meant_is_refused(shop, source, server, changes, expected):
    """By name, before anything runs."""
    with pytest.raises(SpanreelError, match=expected):
        source.rerun(shop.agent, **changes)
    assert len(server.requests) == 2
    assert load().run_id == source.run_id
