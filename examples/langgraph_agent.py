"""A LangGraph agent with a tool that reads and one that writes, recorded by one line.

OPENAI_BASE_URL and OPENAI_API_KEY say which model answers. Afterwards: `spanreel replay last`.
"""

from __future__ import annotations

import sys

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

import spanreel

spanreel.instrument()


@tool
@spanreel.tool(safety="read")
def get_order(order_id: str) -> dict:
    """Look an order up."""
    return {"order_id": order_id, "status": "delivered", "total": 42}


@tool
def refund(order_id: str, amount: int) -> str:
    """Pay an amount back. It writes, for nobody said otherwise: a replay never runs it."""
    return f"refunded {amount} for {order_id}"


model = ChatOpenAI(model="gpt-4.1-mini", max_retries=0).bind_tools([get_order, refund])
graph = StateGraph(MessagesState)
graph.add_node("model", lambda state: {"messages": [model.invoke(state["messages"])]})
graph.add_node("tools", ToolNode([get_order, refund]))
graph.add_edge(START, "model").add_conditional_edges("model", tools_condition).add_edge("tools", "model")
agent = graph.compile(name="refunds")
question = sys.argv[1] if len(sys.argv) > 1 else "Refund order 17, please."
print(agent.invoke({"messages": [("user", question)]})["messages"][-1].content)
