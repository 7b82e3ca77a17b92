"""The desk: each task goes to the playbook that fits it, else to the agent, whose run is recorded.

python desk.py W1007 lamp
"""

from __future__ import annotations

import sys

from agent import support

import spanreel


def returned(order_id: str, item: str) -> None:
    """Have an item returned, and say who did it."""
    done = spanreel.dispatch("return an item", {"order_id": order_id, "item": item}, fallback=support)
    if done.by == "playbook" and done.playbook:
        print(f"done by {done.playbook.name}@{done.playbook.version}: {done.output['refund']} is paid")
    else:
        print(f"done by {done.by}: {done.output}")
    if done.reason:
        print(f"{done.reason.code}: {done.reason.text}\n  → {done.reason.next}")
    if done.saved:
        print(f"saved: {done.saved.model_calls} model calls, {done.saved.tokens} tokens, ${done.saved.cost}")


if __name__ == "__main__":
    spanreel.instrument()
    returned(sys.argv[1], sys.argv[2])
