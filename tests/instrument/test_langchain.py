"""LangChain tools and LangGraph graphs, real ones, recorded and answered from the recording."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from agent_server import AgentServer
from langchain_core.messages import AnyMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, ToolException, tool
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, tools_condition
from langgraph.types import Command, interrupt
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


@tool
@spanreel.tool(safety="read")
def get_order(order_id: str, state: Annotated[dict, InjectedState]) -> dict:
    """Look an order up."""
    return ran({"order_id": order_id, "nonce": uuid.uuid4().hex, "seen": len(state["messages"])})


@tool
async def arefund(order_id: str, amount: int) -> str:
    """Pay back."""
    await asyncio.sleep(0)
    return ran(f"refunded {amount} for {order_id}")


@tool
def refund(order_id: str, amount: int) -> str:
    """Pay back."""
    return ran(f"refunded {amount} for {order_id}")


@tool
def book(note: str, tool_call_id: Annotated[str, InjectedToolCallId]) -> Command:
    """Changes the state of the graph."""
    return ran(Command(update={"messages": [ToolMessage(f"booked {note}", tool_call_id=tool_call_id)]}))


@tool
def fail(why: str) -> str:
    """Always fails."""
    ran(None)
    raise ToolException(why)


fail.handle_tool_error = True


@tool
def ask(question: str) -> str:
    """Asks a person."""
    return interrupt({"question": question})


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentServer]:
    """A planned model, which the SDK finds through the environment."""
    with AgentServer() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        yield server
    responder.install(responder.LIVE)


def agent(*tools: Any, asynchronous: bool = False, **compiled: Any) -> Any:
    """A graph: model and tools in a loop."""
    model = ChatOpenAI(model="gpt-4.1-mini", max_retries=0).bind_tools(tools)

    def call(state: MessagesState) -> dict[str, list[AnyMessage]]:
        return {"messages": [model.invoke(state["messages"])]}

    async def acall(state: MessagesState) -> dict[str, list[AnyMessage]]:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("model", acall if asynchronous else call)
    graph.add_node("tools", ToolNode(list(tools)))
    graph.add_edge(START, "model").add_conditional_edges("model", tools_condition).add_edge("tools", "model")
    return graph.compile(name="refunds", **compiled)


QUESTION = {"messages": [("user", "refund 17")]}


def said(state: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
    """Messages, modulo the ids that the framework mints."""
    return [(m.type, m.content, m.name, getattr(m, "status", None)) for m in state["messages"]]


def ended(store: Path) -> list[Span]:
    """Every ended span, by start."""
    spanreel.uninstrument()
    return sorted((span for span in spans(store) if span.end_ns), key=lambda span: span.start_ns)


def tools_of(found: list[Span]) -> list[Span]:
    """The tool calls among them."""
    return [span for span in found if names.TOOL_NAME in span.attributes]


def run(graph: Any, loop: asyncio.Runner | None) -> dict[str, Any]:
    """One loop for all runs of a test: langchain caches its async client, with and without us."""
    return loop.run(graph.ainvoke(QUESTION)) if loop else graph.invoke(QUESTION)


@pytest.fixture
def loop(asynchronous: bool) -> Iterator[asyncio.Runner | None]:
    """The event loop of a test that wants one."""
    with asyncio.Runner() as runner:
        yield runner if asynchronous else None


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_graph_is_recorded_and_its_tools_are_answered(
    planned: AgentServer,
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    asynchronous: bool,
    loop: asyncio.Runner | None,
) -> None:
    """Ids, names, arguments and results; then the same messages with bodies that raise."""
    planned.plans = {
        "": [[("get_order", {"order_id": "17"}), ("get_order", {"order_id": "18"})], [("book", {"note": "x"})],
             [("arefund" if asynchronous else "refund", {"order_id": "17", "amount": 42})], [("fail", {"why": "closed"})], "done"]
    }  # fmt: skip
    tools = (get_order, arefund if asynchronous else refund, book, fail)
    spanreel.instrument()
    first = run(agent(*tools, asynchronous=asynchronous), loop)
    found = ended(store)
    root = next(span for span in found if span.parent_span_id is None)
    assert (root.name, root.attributes[names.OPERATION]) == ("invoke_agent refunds", "invoke_agent")
    assert codec.decode(str(root.attributes[names.RUN_INPUT])) == QUESTION
    assert said(codec.decode(str(root.attributes[names.RUN_OUTPUT]))) == said(first)
    assert {span.trace_id for span in found} == {root.trace_id}
    orders = {
        json.loads(str(span.attributes[names.TOOL_CALL_ARGUMENTS]))["order_id"]: span
        for span in tools_of(found)[:2]
    }
    assert {key: span.attributes[names.TOOL_CALL_ID] for key, span in orders.items()} == {
        "17": "call_1_0",
        "18": "call_1_1",
    }
    assert all(
        json.loads(str(span.attributes[names.TOOL_CALL_ARGUMENTS])).keys() == {"order_id"}
        for span in orders.values()
    )
    assert [(s.attributes[names.TOOL_NAME], s.attributes[names.TOOL_SAFETY], s.status, s.attributes[names.TOOL_FIDELITY]) for s in tools_of(found)] == [
        ("get_order", "read", 0, "exact"), ("get_order", "read", 0, "exact"), ("book", "write", 0, "exact"),
        ("arefund" if asynchronous else "refund", "write", 0, "exact"), ("fail", "write", 2, "exact"),
    ]  # fmt: skip
    assert json.loads(str(tools_of(found)[3].attributes[names.TOOL_CALL_RESULT])) == "refunded 42 for 17"
    assert len([span for span in found if names.WIRE_DIALECT in span.attributes]) == 5

    monkeypatch.setitem(BODIES, "run", False)
    answering = RecordedTools(found, by_id=False)
    responder.install(answering)
    monkeypatch.setenv("SPANREEL_STORE", str(store.with_name("again.db")))
    spanreel.instrument()
    again = run(agent(*tools, asynchronous=asynchronous), loop)
    assert said(again) == said(first)
    assert answering.left == []
    assert all(m.tool_call_id for m in again["messages"] if m.type == "tool")
    assert {m.tool_call_id for m in again["messages"] if m.type == "tool"}.isdisjoint(
        m.tool_call_id for m in first["messages"] if m.type == "tool"
    )


def test_identical_questions_in_a_batch_have_lanes_of_their_own(planned: AgentServer, store: Path) -> None:
    """The thread pool may race; what was submitted first is lane 0.0 each time."""
    spanreel.instrument()
    with spanreel.run("batch"):
        agent(get_order, refund).batch([QUESTION] * 4)
    found = ended(store)
    lanes = {span.attributes[names.WIRE_LANE] for span in found if names.WIRE_DIALECT in span.attributes}
    assert {str(lane).split(".")[1] for lane in lanes} == {"0", "1", "2", "3"}
    assert len(tools_of(found)) == 12
    roots = [span for span in found if span.parent_span_id is None]
    assert [span.name for span in roots] == ["invoke_workflow batch"]
    assert len([span for span in found if span.name == "invoke_agent refunds"]) == 4


def test_a_stream_leaves_no_context_with_its_consumer(planned: AgentServer, store: Path) -> None:
    """What the consumer does between two chunks is not the graph's; leaving early closes the run."""
    from opentelemetry import context as otel_context

    spanreel.instrument()
    before = otel_context.get_current()
    stream = agent(get_order, refund).stream(QUESTION, stream_mode=["updates", "values"])
    kinds = []
    for mode, _ in stream:
        kinds.append(mode)
        assert otel_context.get_current() == before
        if len(kinds) == 3:
            break
    stream.close()
    (root,) = [span for span in ended(store) if span.parent_span_id is None]
    assert root.attributes[names.WIRE_OUTCOME] == "closed"
    assert len(codec.decode(str(root.attributes[names.RUN_OUTPUT]))["messages"]) == 2


def test_an_interrupt_inside_a_tool_is_no_failure(planned: AgentServer, store: Path) -> None:
    """The graph pauses and goes on as it would without recording; the thread is the conversation."""
    planned.plans = {"": [[("ask", {"question": "sure?"})], "done"]}
    spanreel.instrument()
    graph = agent(ask, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "t1"}}
    assert graph.invoke(QUESTION, config)["__interrupt__"][0].value == {"question": "sure?"}
    assert graph.invoke(Command(resume="yes"), config)["messages"][-1].content == "done"
    found = ended(store)
    assert [span.status for span in tools_of(found)] == [0, 0]
    assert [span.attributes[names.CONVERSATION_ID] for span in found if span.parent_span_id is None] == [
        "t1",
        "t1",
    ]


def test_a_graph_within_a_graph_is_a_step(planned: AgentServer, store: Path) -> None:
    """One run, whose inner graph repeats no input."""
    inner = agent(get_order, refund)
    outer = StateGraph(MessagesState)
    outer.add_node("inner", inner)
    outer.add_edge(START, "inner")
    spanreel.instrument()
    outer.compile(name="outer").invoke(QUESTION)
    graphs = [
        span
        for span in ended(store)
        if names.OPERATION in span.attributes and span.name.startswith("invoke_")
    ]
    assert [span.name for span in graphs] == ["invoke_workflow outer", "invoke_agent refunds"]
    assert graphs[1].parent_span_id == graphs[0].span_id
    assert names.RUN_INPUT not in graphs[1].attributes


def test_a_tool_called_by_hand_is_recorded(store: Path) -> None:
    """Without a graph and without a call id, its plain value is the result."""
    spanreel.instrument()
    assert refund.invoke({"order_id": "1", "amount": 2}) == "refunded 2 for 1"
    responder.install(RecordedTools(tools_of(ended(store))))
    spanreel.instrument()
    try:
        BODIES["run"] = False
        assert refund.invoke({"order_id": "1", "amount": 2}) == "refunded 2 for 1"
    finally:
        BODIES["run"] = True
        responder.install(responder.LIVE)


def test_every_patched_name_is_there_and_is_put_back() -> None:
    """The canary: a release that renames one fails here first."""
    import langgraph.pregel.main  # noqa: F401 — a tap waits until it is imported

    spanreel.instrument()
    states = {
        state.target: state.state
        for state in frameworks.taps()
        if state.framework in ("langchain", "langgraph")
    }
    assert set(states.values()) == {"active"}, states
    spanreel.uninstrument()
    assert {state.state for state in frameworks.taps()} == {"off"}


def test_a_name_that_is_gone_is_reported_and_harmless(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line in the log, and `taps()` says so."""
    gone = frameworks.Tap("langchain", "langchain_core.tools.base", "BaseTool.gone", "nowhere:nothing")
    monkeypatch.setattr(frameworks, "TAPS", (gone,))
    spanreel.instrument()
    assert frameworks.taps() == (
        frameworks.TapState("langchain", "langchain_core.tools.base:BaseTool.gone", "missing"),
    )
    assert caplog.text.count("has no BaseTool.gone any more") == 1


def test_the_example_runs(planned: AgentServer, store: Path) -> None:
    """As a script, from the outside."""
    example = Path(spanreel.__file__).parent.parent / "examples" / "langgraph_agent.py"
    done = subprocess.run(
        [sys.executable, str(example)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=example.parent.parent,
        env=_environ(),
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert [span.attributes[names.TOOL_NAME] for span in tools_of(ended(store))] == [
        "get_order",
        "get_order",
        "refund",
    ]


def _environ() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(Path(spanreel.__file__).parent.parent)}
