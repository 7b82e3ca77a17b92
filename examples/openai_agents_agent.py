"""An agent on the openai-agents SDK with a tool that reads and one that writes, recorded by one line.

OPENAI_BASE_URL and OPENAI_API_KEY say which model answers. Afterwards: `spanreel replay last`.
"""

from __future__ import annotations

import sys

from agents import Agent, Runner, function_tool, set_tracing_disabled

import spanreel

spanreel.instrument()
set_tracing_disabled(disabled=True)  # the SDK's own tracing would send the run to its vendor


@function_tool
@spanreel.tool(safety="read")
def get_order(order_id: str) -> dict:
    """Look an order up."""
    return {"order_id": order_id, "status": "delivered", "total": 42}


@function_tool
def refund(order_id: str, amount: int) -> str:
    """Pay an amount back. It writes, for nobody said otherwise: a replay never runs it."""
    return f"refunded {amount} for {order_id}"


agent = Agent(name="refunds", instructions="Help.", model="gpt-4.1-mini", tools=[get_order, refund])
question = sys.argv[1] if len(sys.argv) > 1 else "Refund order 17, please."
print(Runner.run_sync(agent, question).final_output)
