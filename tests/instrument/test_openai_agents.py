"""openai-agents, the real one, recorded and answered from the recording."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_server import REFUND, AgentServer
from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI
from recorded import spans
from recorded_tools import RecordedTools

import spanreel
from spanreel.instrument import codec, frameworks, responder
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span

BODIES = {"run": True}


def ran(value: Any) -> Any:
    """A tool's body: in a replay it must never run."""
    assert BODIES["run"], "a tool's body ran"
    return value


@function_tool
@spanreel.tool(safety="read")
def get_order(order_id: str) -> dict:
    """Look an order up."""
    return ran({"order_id": order_id, "nonce": uuid.uuid4().hex})


@function_tool
async def refund(order_id: str, amount: int) -> str:
    """Pay back."""
    await asyncio.sleep(0)
    return ran(f"refunded {amount} for {order_id}")


@function_tool
def fail(why: str) -> str:
    """Always fails."""
    ran(None)
    raise ValueError(why)


TOOLS = [get_order, refund, fail]
PLAN = [*REFUND[:-1], [("fail", {"why": "closed"})], "done"]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentServer]:
    """A planned model; the SDK's own tracing would call its vendor."""
    set_tracing_disabled(disabled=True)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    with AgentServer({"ask the expert": [[("expert", {"input": "refund 17"})], "done"], "": PLAN}) as server:
        yield server
    responder.install(responder.LIVE)


def agent(server: AgentServer, *tools: Any, name: str = "refunds") -> Agent[Any]:
    """On the responses API."""
    from agents import OpenAIResponsesModel

    model = OpenAIResponsesModel("gpt-4.1-mini", AsyncOpenAI(base_url=server.url, max_retries=0))
    return Agent(name=name, instructions="Help.", tools=list(tools or TOOLS), model=model)


def ended(store: Path) -> list[Span]:
    """Every ended span, by start."""
    spanreel.uninstrument()
    return sorted((span for span in spans(store) if span.end_ns), key=lambda span: span.start_ns)


def tools_of(found: list[Span]) -> list[Span]:
    """The tool calls among them."""
    return [span for span in found if names.TOOL_NAME in span.attributes]


def transcript(items: list[Any]) -> list[Any]:
    """What was said and done, without the ids that the model's server minted for each answer."""
    kept = [{key: value for key, value in item.items() if key not in ("id", "call_id")} for item in items]
    return json.loads(json.dumps(kept, default=str))


def run(server: AgentServer, how: str) -> list[Any]:
    """One run, by each of the three ways in; the transcript."""
    if how == "sync":
        return transcript(Runner.run_sync(agent(server), "refund 17").to_input_list())

    async def main() -> list[Any]:
        if how == "async":
            return transcript((await Runner.run(agent(server), "refund 17")).to_input_list())
        streamed = Runner.run_streamed(agent(server), "refund 17")
        async for _ in streamed.stream_events():
            pass
        return transcript(streamed.to_input_list())

    return asyncio.run(main())


@pytest.mark.parametrize("how", ["sync", "async", "streamed"])
@pytest.mark.filterwarnings(
    "ignore:asynchronous generator:ResourceWarning"
)  # run_sync on a loop that it used before
def test_a_run_is_recorded_and_its_tools_are_answered(
    planned: AgentServer, store: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Ids, names, arguments and results, errors too; then the same transcript with bodies that raise."""
    spanreel.instrument()
    first = run(planned, how)
    found = ended(store)
    (root,) = [span for span in found if span.parent_span_id is None]
    assert (root.name, root.attributes[names.AGENT_NAME], root.status) == (
        "invoke_agent refunds",
        "refunds",
        0,
    )
    assert codec.decode(str(root.attributes[names.RUN_INPUT])) == "refund 17"
    assert codec.decode(str(root.attributes[names.RUN_OUTPUT])) == "done"
    assert {span.trace_id for span in found} == {root.trace_id}
    assert len([span for span in found if span.name.startswith("invoke_")]) == 1
    assert len([span for span in found if names.WIRE_DIALECT in span.attributes]) == 4
    calls = [
        (
            span.attributes[names.TOOL_NAME], span.attributes[names.TOOL_CALL_ID], json.loads(str(span.attributes[names.TOOL_CALL_ARGUMENTS])),
            span.attributes[names.TOOL_SAFETY], span.attributes[names.TOOL_FIDELITY], span.status,
        )
        for span in tools_of(found)
    ]  # fmt: skip
    assert sorted(calls[:2], key=str) == [
        ("get_order", "call_1_0", {"order_id": "17"}, "read", "exact", 0),
        ("get_order", "call_1_1", {"order_id": "18"}, "read", "exact", 0),
    ]
    assert calls[2:] == [
        ("refund", "call_2_0", {"order_id": "17", "amount": 42}, "write", "exact", 0),
        ("fail", "call_3_0", {"why": "closed"}, "write", "exact", 2),
    ]
    assert json.loads(str(tools_of(found)[2].attributes[names.TOOL_CALL_RESULT])) == "refunded 42 for 17"

    monkeypatch.setitem(BODIES, "run", False)
    answering = RecordedTools(found, by_id=False)
    responder.install(answering)
    monkeypatch.setenv("SPANREEL_STORE", str(store.with_name("again.db")))
    spanreel.instrument()
    assert run(planned, how) == first
    assert answering.left == []


def test_an_agent_used_as_a_tool_is_a_step_of_the_run(planned: AgentServer, store: Path) -> None:
    """Its model and tool calls hang below the tool call that made it work."""
    spanreel.instrument()
    expert = agent(planned, name="expert").as_tool("expert", "knows")
    asyncio.run(Runner.run(agent(planned, expert, name="boss"), "ask the expert"))
    found = {span.name: span for span in ended(store)}
    assert found["invoke_agent boss"].parent_span_id is None
    assert found["execute_tool expert"].parent_span_id == found["invoke_agent boss"].span_id
    assert found["invoke_agent expert"].parent_span_id == found["execute_tool expert"].span_id
    assert found["execute_tool refund"].parent_span_id == found["invoke_agent expert"].span_id


def test_a_handoff_stays_one_run(planned: AgentServer, store: Path) -> None:
    """The other agent's tools are recorded under the run that handed over."""
    planned.plans = {"": [[("transfer_to_refunds", {})], *PLAN]}
    triage = Agent(name="triage", handoffs=[agent(planned)], model=agent(planned).model)
    spanreel.instrument()
    assert asyncio.run(Runner.run(triage, "refund 17")).last_agent.name == "refunds"
    found = ended(store)
    assert [span.name for span in found if span.parent_span_id is None] == ["invoke_agent triage"]
    assert [span.attributes[names.TOOL_NAME] for span in tools_of(found)][-2:] == ["refund", "fail"]


def test_concurrent_runs_do_not_mix(planned: AgentServer, store: Path) -> None:
    """Each has its trace, its session and its tool calls; also on chat completions."""
    chat = agent(planned)
    chat.model = OpenAIChatCompletionsModel("gpt-4.1-mini", AsyncOpenAI(base_url=planned.url, max_retries=0))

    async def main() -> None:
        sessions = [SQLiteSession(f"s{number}") for number in range(4)]
        await asyncio.gather(*(Runner.run(chat, "refund 17", session=session) for session in sessions))
        for session in sessions:
            session.close()

    spanreel.instrument()
    asyncio.run(main())
    found = ended(store)
    roots = {
        span.trace_id: span.attributes[names.CONVERSATION_ID] for span in found if span.parent_span_id is None
    }
    assert sorted(roots.values()) == ["s0", "s1", "s2", "s3"]
    assert {
        trace: len([span for span in tools_of(found) if span.trace_id == trace]) for trace in roots
    } == dict.fromkeys(roots, 4)


def test_a_failed_run_keeps_its_error(planned: AgentServer, store: Path) -> None:
    """The SDK's exception passes untouched."""
    from agents.exceptions import MaxTurnsExceeded

    spanreel.instrument()
    with pytest.raises(MaxTurnsExceeded):
        asyncio.run(Runner.run(agent(planned), "refund 17", max_turns=1))
    (root,) = [span for span in ended(store) if span.parent_span_id is None]
    assert (root.status, root.attributes[names.ERROR_TYPE]) == (2, "agents.exceptions.MaxTurnsExceeded")


def test_every_patched_name_is_there_and_is_put_back() -> None:
    """The canary: a release that renames one fails here first."""
    spanreel.instrument()
    states = {state.target: state.state for state in frameworks.taps() if state.framework == "openai-agents"}
    assert len(states) == 4
    assert set(states.values()) == {"active"}, states
    from agents import tool

    assert tool._FunctionToolInvocationResult("x").is_sdk_generated_error is False
    spanreel.uninstrument()
    assert {state.state for state in frameworks.taps()} == {"off"}


@pytest.mark.parametrize(
    ("example", "tools"),
    [("openai_agents_agent", ["get_order", "get_order", "refund"]), ("one_line", ["weather"])],
)
def test_the_examples_run(planned: AgentServer, store: Path, example: str, tools: list[str]) -> None:
    """As scripts, from the outside; frameworks imported before or after the one line."""
    planned.plans = {"What shall I wear": ["done"], "": REFUND}
    root = Path(spanreel.__file__).parent.parent
    environ = {**os.environ, "OPENAI_BASE_URL": planned.url, "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, str(root / f"examples/{example}.py")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environ,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    found = ended(store)
    assert [span.attributes[names.TOOL_NAME] for span in tools_of(found)] == tools
    assert len([span for span in found if span.parent_span_id is None]) == 1
