"""The agent: a loop around a model that calls the shop's tools. OPENAI_BASE_URL and OPENAI_API_KEY say which model.

python agent.py W1001 lamp
"""

from __future__ import annotations

import sys
from typing import Any

import shop
from openai import OpenAI

import spanreel

TOOLS = [shop.find_order, shop.return_item]


@spanreel.agent
def support(order_id: str, item: str) -> str:
    """Return an item of an order."""
    client = OpenAI(max_retries=0)
    asked = f"A customer wants to return the {item} of order {order_id}. Please see to it."
    messages: list[Any] = [
        {"role": "system", "content": "You look after the orders of a shop."},
        {"role": "user", "content": asked},
    ]
    while True:
        reply = client.chat.completions.create(
            model="gpt-4.1-mini", messages=messages, tools=spanreel.tool_schemas(tools=TOOLS)
        )
        message = reply.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            spanreel.outcome(success=True)
            return message.content or ""
        messages += spanreel.apply_tool_calls(reply, tools=TOOLS)


if __name__ == "__main__":
    spanreel.instrument()
    print(support(sys.argv[1], sys.argv[2]))
