"""The real SDK against a real server, recorded; then the same code with nobody to ask but the recording."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest

import spanreel
from spanreel.exceptions import NotReplayable, SpanreelError
from spanreel.replay.load import load
from spanreel.replay.stored import stored

pytestmark = pytest.mark.usefixtures("recording")


def ask(client, text, **options):
    """One chat call."""
    return client.chat.completions.create(
        model="m-1", messages=[{"role": "user", "content": text}], **options
    )


def recorded(agent, *args):
    """Run an agent as a run of its own; its result and the run's id."""
    with spanreel.run("agent") as run:
        result = agent(*args)
    spanreel.instrument().flush()
    return result, run.run_id


def test_a_replay_gives_equal_objects_and_asks_nobody(client, server):
    """Plain, streamed and raw: what the SDK makes of the recording equals what it made of the server's answers."""

    def agent():
        plain = ask(client, "one")
        streamed = list(ask(client, "two", stream=True))
        raw = client.chat.completions.with_raw_response.create(
            model="m-1", messages=[{"role": "user", "content": "three"}]
        )
        return plain, streamed, raw.parse(), raw.headers["content-type"], raw.status_code

    first, run = recorded(agent)
    with spanreel.replaying(run) as execution:
        second = agent()
    assert second == first
    assert len(server.requests) == 3
    verdict = execution.verdict
    assert (verdict.verdict, verdict.status, verdict.exit_code) == ("exact", "completed", 0)
    assert verdict.effects.model_dump() == {"recorded": 3, "live": 0, "stub": 0, "denied": 0}
    assert (verdict.source_run_id, verdict.unconsumed, verdict.drift) == (run, [], [])


def test_a_replay_is_a_run_linked_to_its_source(client):
    """It is in the store, its calls say who answered them, and it can be replayed itself."""
    _, run = recorded(ask, client, "one")
    with spanreel.replaying(run) as execution:
        ask(client, "one")
    spanreel.instrument().flush()
    assert execution.run_id is not None
    replay = load(execution.run_id)
    assert replay.run_id != run
    assert [step.source for step in replay.steps] == ["recorded"]
    with spanreel.replaying(execution.run_id) as again:
        ask(client, "one")
    assert again.verdict.verdict == "exact"


def test_a_changed_prompt_diverges_with_step_message_and_line(client):
    """The report names what changed, and where in the agent's code it was asked."""

    def agent(text):
        ask(client, "one")
        ask(client, text)

    _, run = recorded(agent, "pay the red bill")
    with pytest.raises(spanreel.Divergence) as raised, spanreel.replaying(run) as execution:
        agent("pay the blue bill")
    report = raised.value.report
    assert (report["step"], report["kind"]) == (2, "unmatched")
    assert report["nearest"]["words"] == "pay the [-red-]{+blue+} bill"
    assert report["code_line"] == f"{__file__}:{ask.__code__.co_firstlineno + 2}"
    verdict = execution.verdict
    assert (verdict.verdict, verdict.exit_code, verdict.effects.recorded) == ("diverged", 4, 1)
    assert [one.step for one in verdict.unconsumed] == [2]


def test_a_swallowed_divergence_is_raised_again_with_its_consequences(client):
    """An agent that catches everything cannot hide the first cause; later misses are its consequences."""

    def swallowing(client):
        for text in ("two", "three"):
            with contextlib.suppress(BaseException):
                ask(client, text)

    _, run = recorded(ask, client, "one")
    with pytest.raises(spanreel.Divergence, match="m-1"), spanreel.replaying(run) as execution:
        swallowing(client)
    assert execution.verdict.first_divergence.kind == "unmatched"
    assert len(execution.verdict.consequences) == 1


def test_calls_that_were_not_made_are_a_divergence(client):
    """An agent that stops early is not the recorded one."""

    def agent(texts):
        for text in texts:
            ask(client, text)

    _, run = recorded(agent, ["one", "two"])
    with pytest.raises(spanreel.Divergence, match="step 2"), spanreel.replaying(run) as execution:
        agent(["one"])
    assert execution.verdict.first_divergence.kind == "unconsumed"
    assert [one.step for one in execution.verdict.unconsumed] == [2]


def test_a_recorded_failure_raises_as_it_did_without_waiting(client, server, monkeypatch):
    """Each attempt is answered as it was, and the back-off of 20 s that the server asked for is not slept through."""

    def agent():
        with pytest.raises(openai.InternalServerError) as raised:
            ask(client.with_options(max_retries=2), "status 503")
        return raised.value.body, raised.value.status_code

    from spanreel.replay.backoff import no_backoff

    with no_backoff():  # recording need not wait either
        first, run = recorded(agent)
    assert len(server.requests) == 3
    here, sleep, slept = threading.get_ident(), time.sleep, []

    def watched(seconds):
        if threading.get_ident() == here:
            slept.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", watched)
    with spanreel.replaying(run) as execution:
        second = agent()
    assert second == first
    assert slept == [0.0, 0.0]
    assert execution.verdict.effects.recorded == 3


def test_a_retry_that_helped_is_folded_into_its_success(client, server):
    """The agent saw one answer, and gets one."""
    from spanreel.replay.backoff import no_backoff

    with no_backoff():
        first, run = recorded(ask, client, "status 500 once")
    assert len(server.requests) == 2
    with spanreel.replaying(run) as execution:
        assert ask(client, "status 500 once") == first
    assert execution.verdict.effects.recorded == 1
    assert len(stored(run).recording.effects) == 1


def test_an_agents_own_retry_is_not_folded(client):
    """It saw the failure, so it sees it again."""

    def agent():
        try:
            return ask(client.with_options(max_retries=0), "status 500 once")
        except openai.InternalServerError as error:
            return error.status_code, ask(client, "status 500 once")

    first, run = recorded(agent)
    assert first[0] == 500
    with spanreel.replaying(run):
        assert agent() == first


def test_an_early_break_replays_its_prefix(client):
    """What was read is there again; asking for more is a divergence, never an end that nobody saw."""
    words = "a b c d e f g h " * 200

    def agent(count):
        seen = []
        with ask(client, words, stream=True) as stream:
            for chunk in stream:
                seen.append(chunk)
                if len(seen) == count:
                    break
        return seen

    first, run = recorded(agent, 3)
    with spanreel.replaying(run) as execution:
        assert agent(3) == first
    assert execution.verdict.verdict == "exact"
    with pytest.raises(spanreel.Divergence, match="read further"), spanreel.replaying(run):
        agent(10**6)


def test_identical_requests_in_threads_keep_their_answers(client):
    """Eight threads ask the same and go on with what they got: each transcript is whole again."""

    def conversation(_):
        first = ask(client, "same").choices[0].message.content
        return first, ask(client, f"and then {first}").choices[0].message.content

    def agent():
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(conversation, range(8)))

    first, run = recorded(agent)
    for _ in range(3):
        with spanreel.replaying(run) as execution:
            assert agent() == first
        assert execution.verdict.verdict == "exact"


def test_identical_requests_in_tasks_keep_their_answers(server):
    """The same with asyncio, as `async with`."""

    async def agent():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k") as client:
            answers = await asyncio.gather(*(ask(client, "same") for _ in range(8)))
            return [one.choices[0].message.content for one in answers]

    async def record():
        async with spanreel.run("agent") as run:
            return await agent(), run.run_id

    first, run = asyncio.run(record())
    spanreel.instrument().flush()

    async def replay():
        async with spanreel.replaying(run) as execution:
            return await agent(), execution

    second, execution = asyncio.run(replay())
    assert sorted(second) == sorted(first)
    assert execution.verdict.verdict == "exact"


def test_tools_do_not_run(client):
    """A tool of the recording gives what it gave, its exceptions included; its body is never entered."""
    fired = []

    @spanreel.tool(safety="irreversible")
    def pay(amount: int) -> dict:
        fired.append(amount)
        if amount > 100:
            raise ValueError("too much")
        return {"paid": amount, "number": len(fired)}

    def agent():
        results = [pay(1), pay(1), pay(amount=2)]
        with pytest.raises(ValueError, match="too much"):
            pay(101)
        return results

    first, run = recorded(agent)
    fired.clear()
    with spanreel.replaying(run) as execution:
        assert agent() == first
    assert fired == []
    assert (execution.verdict.verdict, execution.verdict.effects.recorded) == ("exact", 4)
    with pytest.raises(spanreel.Divergence, match="tool pay"), spanreel.replaying(run):
        pay(3)
    assert fired == []


def test_calls_within_a_tool_are_not_asked_for_again(client):
    """A tool that is itself an agent is served whole."""

    @spanreel.tool
    def research(topic: str) -> str:
        return ask(client, topic).choices[0].message.content

    first, run = recorded(research, "birds")
    with spanreel.replaying(run) as execution:
        assert research("birds") == first
    assert (execution.verdict.verdict, execution.verdict.effects.recorded) == ("exact", 1)


def test_other_connections_are_denied_and_counted(client, server):
    """A call that no tap answers does not go out, whatever the agent makes of it."""
    import httpx

    def agent():
        ask(client, "one")
        with contextlib.suppress(BaseException):
            httpx.get(f"{server.url}/weather")

    _, run = recorded(agent)
    with pytest.raises(spanreel.EffectDenied) as raised, spanreel.replaying(run) as execution:
        agent()
    assert raised.value.code_line.startswith(__file__)
    assert (execution.verdict.effects.denied, execution.verdict.exit_code) == (1, 1)


def test_an_error_of_the_agent_passes_through(client):
    """It is no divergence; the verdict says whether the recorded run ended the same way."""

    def agent():
        ask(client, "one")
        raise KeyError("lost")

    def fail_anew():
        ask(client, "one")
        raise OSError("new")

    with contextlib.suppress(KeyError), spanreel.run("agent") as run:
        agent()
    spanreel.instrument().flush()
    with pytest.raises(KeyError), spanreel.replaying(run.run_id) as execution:
        agent()
    verdict = execution.verdict
    assert (verdict.verdict, verdict.status, verdict.error.recorded, verdict.exit_code) == (
        "exact",
        "error",
        True,
        0,
    )
    with pytest.raises(OSError, match="new"), spanreel.replaying(run.run_id) as execution:
        fail_anew()
    assert (execution.verdict.error.recorded, execution.verdict.exit_code) == (False, 1)


def test_secrets_of_the_recording_do_not_hide_a_match(client):
    """A request with a secret matches its blanked recording; the answer that echoes it is served blanked, and said."""
    secret = "sk-proj-" + "a1B2" * 12
    _, run = recorded(ask, client, f"my key is {secret}")
    with spanreel.replaying(run) as execution:
        said = ask(client, f"my key is {secret}").choices[0].message.content
    assert secret not in said
    assert execution.verdict.verdict == "equivalent"
    assert "blanked" in execution.verdict.drift[0].note


def test_placeholder_keys_only_where_none_is_set(client, monkeypatch):
    """SDK constructors want a key; the environment is as it was afterwards."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "mine")
    _, run = recorded(ask, client, "one")
    with spanreel.replaying(run):
        openai.OpenAI(base_url=str(client.base_url)).chat.completions.create(
            model="m-1", messages=[{"role": "user", "content": "one"}]
        )
        assert os.environ["ANTHROPIC_API_KEY"] == "mine"
    assert "OPENAI_API_KEY" not in os.environ


@pytest.mark.parametrize(
    "option",
    [
        {"at": 9},
        {"overrides": 3},
        {"overrides": {"responses": {"four": "x"}}},
        {"overrides": {4: "x"}},
        {"overrides": {"messages": "x"}},
        {"budget": 1},
        {"budget": {"max_calls": "many"}},
        {"budget": {"max_money": 1}},
        {"budget": {"max_cost": -1}},
        {"on_miss": "guess"},
        {"models": "some"},
        {"tools": "some"},
        {"match": "nearly"},
    ],
)
def test_settings_that_make_no_sense_are_refused(client, option):
    """In one line, before anything runs."""
    _, run = recorded(ask, client, "one")
    with pytest.raises(SpanreelError):
        spanreel.replaying(run, **option)


def test_a_run_without_calls_is_refused():
    """There is nothing that could be served."""
    _, run = recorded(lambda: None)
    with pytest.raises(NotReplayable, match="no model or tool call"):
        spanreel.replaying(run)


@pytest.mark.parametrize("level", ["hashes", "metadata", "none"])
def test_a_run_recorded_below_full_is_refused(client, level):
    """Its content was not kept."""
    spanreel.uninstrument()
    spanreel.instrument(capture=level)
    _, run = recorded(ask, client, "one")
    with pytest.raises(NotReplayable, match=f"capture='{level}'"):
        spanreel.replaying(run)


def test_a_cancelled_call_waits_to_be_cancelled_again(server):
    """A call that lost a race when it was recorded loses it again, and is no divergence."""

    async def agent():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0) as client:
            try:
                async with asyncio.timeout(0.3):
                    return await ask(client, "hang")
            except TimeoutError:
                return (await ask(client, "instead")).choices[0].message.content

    async def record():
        async with spanreel.run("agent") as run:
            return await agent(), run.run_id

    first, run = asyncio.run(record())
    spanreel.instrument().flush()
    with spanreel.replaying(run) as execution:
        assert asyncio.run(agent()) == first
    assert first.endswith("to instead")
    assert (execution.verdict.verdict, execution.verdict.effects.recorded) == ("exact", 2)


def test_a_replay_within_a_run_is_a_run_of_its_own(client):
    """It has its own trace, and the run around it goes on afterwards."""
    _, source = recorded(ask, client, "one")
    with spanreel.run("around") as around:
        with spanreel.replaying(source) as execution:
            ask(client, "one")
        ask(client, "two")
    spanreel.instrument().flush()
    assert execution.run_id not in (around.run_id, source)
    assert load(execution.run_id).agent_name == "agent"
    assert len(load(around.run_id).steps) == 1


def test_without_recording_there_is_no_replay(client, monkeypatch):
    """Nothing would answer; that is said before the agent runs."""
    _, source = recorded(ask, client, "one")
    spanreel.uninstrument()
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    with pytest.raises(SpanreelError, match="OTEL_SDK_DISABLED"), spanreel.replaying(source):
        pass
