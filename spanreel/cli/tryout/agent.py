"""A support agent: a loop over a model and four tools. Two lines of it are spanreel's.

python agent.py             look the order up, read the policy, make the refund
python agent.py --careful   the same agent with one more sentence in its prompt
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from openai import OpenAI

import spanreel

spanreel.instrument()  # one line: every model call from here on is recorded

PROMPT = (
    "You are the support agent of a small shop. Look things up before you answer. "
    "If the policy allows a refund, make it"
)
CAREFUL = "; above its approval limit open a ticket for a person instead"
QUESTION = "My lamp from order 1042 arrived broken. I want my money back."
ORDERS = {"1042": {"order_id": "1042", "item": "desk lamp", "price": 64.5, "delivered": "2026-11-17"}}
POLICIES = {"refunds": {"topic": "refunds", "days": 30, "approval_above": 50}}

# `spanreel try --serve` answers here. Without base_url and api_key this agent talks to OpenAI.
client = OpenAI(
    base_url=os.environ.get("MODEL_URL", "http://127.0.0.1:4320/v1"), api_key="none", max_retries=0
)


@spanreel.tool(safety="read")
def get_order(order_id: str) -> dict[str, Any]:
    """An order of the shop."""
    return ORDERS[order_id]


@spanreel.tool(safety="read")
def get_policy(topic: str) -> dict[str, Any]:
    """What the shop has decided about a topic."""
    return POLICIES[topic]


@spanreel.tool(safety="write")
def refund(order_id: str, amount: float) -> dict[str, Any]:
    """Pay money back. A side effect: a line in refunds.txt, which a replay must not write again."""
    with Path("refunds.txt").open("a", encoding="utf-8") as book:
        book.write(f"order {order_id}: {amount:.2f} paid back\n")
    return {"refund_id": f"R-{order_id}", "amount": amount}


@spanreel.tool(safety="write")
def open_ticket(order_id: str, summary: str) -> dict[str, Any]:
    """Ask a person. A side effect: a line in tickets.txt."""
    with Path("tickets.txt").open("a", encoding="utf-8") as tickets:
        tickets.write(f"order {order_id}: {summary}\n")
    return {"ticket": f"T-{order_id}", "answer_within": "1 day"}


TOOLS = {"get_order": get_order, "get_policy": get_policy, "refund": refund, "open_ticket": open_ticket}
KINDS = {"amount": "number"}


def definition(name: str, *parameters: str) -> Any:
    """The tool as the model is told of it."""
    properties = {parameter: {"type": KINDS.get(parameter, "string")} for parameter in parameters}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {
        "type": "function",
        "function": {"name": name, "description": TOOLS[name].__doc__, "parameters": schema},
    }


DEFINITIONS = [
    definition("get_order", "order_id"),
    definition("get_policy", "topic"),
    definition("refund", "order_id", "amount"),
    definition("open_ticket", "order_id", "summary"),
]


@spanreel.agent(name="support")
def support(question: str, careful: bool = False) -> str:
    """Let the model call tools until it answers."""
    messages: list[Any] = [
        {"role": "system", "content": PROMPT + (CAREFUL if careful else "") + "."},
        {"role": "user", "content": question},
    ]
    while True:
        reply = client.chat.completions.create(model="gpt-5-mini", messages=messages, tools=DEFINITIONS)
        message: Any = reply.choices[0].message
        messages.append(message.model_dump(include={"role", "content", "tool_calls"}, exclude_none=True))
        if not message.tool_calls:
            return message.content
        for call in message.tool_calls:
            result = TOOLS[call.function.name](**json.loads(call.function.arguments))
            messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})


if __name__ == "__main__":
    print(support(QUESTION, careful="--careful" in sys.argv))
