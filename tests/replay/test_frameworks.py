"""Agents of two frameworks, recorded, then replayed twice in fresh processes with tool bodies that raise."""

from __future__ import annotations

import sys

import pytest
from programs import NO_SERVER, ROOT, record, replay, verdict, write

BODIES = """
import itertools, os, sys, time, uuid
import spanreel
spanreel.instrument()
fired = itertools.count()
def body(name, value):
    if "MUST_NOT_RUN" in os.environ:
        raise SystemExit(f"{name} ran in a replay")
    return {"value": value, "number": next(fired), "uuid": uuid.uuid4().hex}
PROMPT = 'tool pay {"amount": 1} | pay {"amount": 1} | look {"amount": 2}'
"""
LANGGRAPH = """
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
@tool
def pay(amount: int) -> dict:
    "Pays."
    return body("pay", amount)
@tool
@spanreel.tool(safety="read")
def look(amount: int) -> dict:
    "Looks."
    return body("look", amount)
model = ChatOpenAI(model="m-1", max_retries=0, base_url=os.environ["MODEL_SERVER"] + "/v1").bind_tools([pay, look])
graph = StateGraph(MessagesState)
graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
graph.add_node("tools", ToolNode([pay, look]))
graph.add_edge(START, "model").add_conditional_edges("model", tools_condition).add_edge("tools", "model")
agent = graph.compile(name="payer")
for message in agent.invoke({"messages": [("user", PROMPT)]})["messages"]:
    print(message.type, message.content)
"""
OPENAI_AGENTS = """
import openai
from agents import Agent, Runner, function_tool, set_default_openai_api, set_default_openai_client, set_tracing_disabled
set_tracing_disabled(disabled=True)
set_default_openai_api("chat_completions")
set_default_openai_client(openai.AsyncOpenAI(base_url=os.environ["MODEL_SERVER"] + "/v1", max_retries=0), use_for_tracing=False)
@function_tool
def pay(amount: int) -> dict:
    "Pays."
    return body("pay", amount)
@function_tool
@spanreel.tool(safety="read")
def look(amount: int) -> dict:
    "Looks."
    return body("look", amount)
agent = Agent(name="payer", instructions="Pay.", model="m-1", tools=[pay, look])
for item in Runner.run_sync(agent, PROMPT).to_input_list():
    print(item)
"""


@pytest.mark.parametrize("code", [LANGGRAPH, OPENAI_AGENTS], ids=["langgraph", "openai-agents"])
def test_an_agent_is_replayed_without_its_tools(code, tmp_path, monkeypatch):
    """Parallel calls of equal arguments included: results go by the id that the model gave."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("MODEL_SERVER", NO_SERVER)
    monkeypatch.chdir(tmp_path)
    write("agent.py", code, BODIES)
    first = record(sys.executable, "agent.py")
    assert first.count("uuid") >= 3
    monkeypatch.setenv("MUST_NOT_RUN", "1")
    run = "last"
    for _ in range(2):
        outcome = replay(run)
        found = verdict(outcome)
        assert (outcome.stdout, found.verdict, found.unconsumed) == (first, "exact", []), outcome.stderr
        assert found.effects.recorded == 5
        run = found.source_run_id
