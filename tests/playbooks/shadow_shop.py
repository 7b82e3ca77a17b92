"""A small shop whose agent is recorded: orders are looked at and exchanged, and every effect is counted."""

from __future__ import annotations

import json

import spanreel
from spanreel.replay.playbooks.body import Body

fired: list[tuple[str, dict]] = []
ORDERS = {
    "W1": {"id": "W1", "status": "delivered", "user": "ann", "item": "i-red"},
    "W2": {"id": "W2", "status": "delivered", "user": "bob", "item": "i-blue"},
    "W3": {"id": "W3", "status": "pending", "user": "ann", "item": "i-green"},
}


@spanreel.tool(name="shelf_order", safety="read")
def order(order_id: str) -> str:
    """An order, as JSON text."""
    fired.append(("shelf_order", {"order_id": order_id}))
    return json.dumps(ORDERS[order_id])


@spanreel.tool(name="shelf_user", safety="read")
def user(name: str) -> dict:
    """A user."""
    fired.append(("shelf_user", {"name": name}))
    return {"name": name, "pays_with": f"card-{name}"}


@spanreel.tool(name="shelf_exchange", safety="write")
def exchange(order_id: str, old: str, new: str) -> dict:
    """Exchanges an item."""
    fired.append(("shelf_exchange", {"order_id": order_id, "old": old, "new": new}))
    return {"order_id": order_id, "status": "exchange requested"}


DOCUMENT = {
    "name": "shelf-exchange",
    "goal": "exchange a delivered item for another one",
    "matchers": {"agent": "shelf", "goal": ["exchange", "swap"]},
    "params": {
        "order_id": {"type": "string", "pattern": "W[0-9]+", "input": "order.id"},
        "new_item": {"type": "string"},
    },
    "initial": "order",
    "states": {
        "order": {
            "tool": "shelf_order",
            "args": {"order_id": "{{ params.order_id }}"},
            "save_as": "order",
            "expect": {"json": {"status": "delivered"}},
            "safety": "read",
            "next": "exchange",
        },
        "exchange": {
            "tool": "shelf_exchange",
            "args": {
                "order_id": "{{ params.order_id }}",
                "old": "{{ order.item }}",
                "new": "{{ params.new_item }}",
            },
            "post": [{"json": "status", "equals": "exchange requested"}],
            "safety": "write",
            "next": "end",
        },
    },
}


def body(**changed: object) -> Body:
    """The playbook, with parts of it changed; ``exchange={...}`` changes a state."""
    states = {name: dict(state) for name, state in DOCUMENT["states"].items()}
    for name in list(changed):
        if name in states:
            states[name] |= changed.pop(name)
    return Body.model_validate({**DOCUMENT, "states": states, **changed})


def recorded(agent, name: str = "shelf", **inputs: object) -> str:
    """Run an agent, recorded; the id of its run. What fired is forgotten."""
    with spanreel.run(name, input=inputs) as run:
        run.set_output(agent())
    spanreel.instrument().flush()
    fired.clear()
    return run.run_id


def exchanging(order_id: str = "W1", old: str = "i-red", new: str = "i-black"):
    """An agent that reads more than it needs, and exchanges."""

    def agent() -> str:
        order(order_id=order_id)
        user(name="ann")
        exchange(order_id=order_id, old=old, new=new)
        return "exchanged"

    return agent


def watering(goal: str) -> str:
    """An agent without tools."""
    return f"watered: {goal}"


def refusing(event: dict) -> None:
    """A hook of a project that lets no playbook run."""
    raise ValueError("not on a Sunday")
