"""The shop that the agent works for: a file of orders, a tool that reads it and one that changes it.

SHOP_API=2 is the shop after its supplier changed the answers: what was `payment_id` is called `refund_to` then.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import spanreel

SHOP = Path(os.environ.get("SHOP", "shop.json"))


def opened() -> None:
    """Open the shop with some orders in it."""
    items = [("lamp", "SKU-1180", 64.5), ("kettle", "SKU-2047", 39.0), ("chair", "SKU-3391", 119.0)]
    orders = {
        f"W{1001 + number}": {
            "status": "delivered",
            "items": [
                {"name": name, "sku": f"{sku}-{number}", "price": price}
                for name, sku, price in (items[number % 3 :] + items[: number % 3])[:2]
            ],
            "payment_id": f"card_{4100 + 37 * number}",
        }
        for number in range(16)
    }
    SHOP.write_text(json.dumps(orders, indent=2), "utf-8")


@spanreel.tool(safety="read")
def find_order(order_id: str) -> dict[str, Any]:
    """Look an order up.

    Args:
        order_id: such as W1001.
    """
    order = dict(json.loads(SHOP.read_text("utf-8"))[order_id])
    if os.environ.get("SHOP_API") == "2":
        order["refund_to"] = order.pop("payment_id")
    return {"order_id": order_id, **order}


@spanreel.tool(safety="write")
def return_item(order_id: str, sku: str, refund_to: str) -> dict[str, Any]:
    """Take an item back, and pay for it.

    Args:
        order_id: such as W1001.
        sku: which item of it.
        refund_to: the payment method that gets the money.
    """
    orders = json.loads(SHOP.read_text("utf-8"))
    order = orders[order_id]
    if refund_to != order["payment_id"]:
        raise ValueError(f"order {order_id} was not paid with {refund_to}")
    order["status"] = "return requested"
    SHOP.write_text(json.dumps(orders, indent=2), "utf-8")
    price = next(item["price"] for item in order["items"] if item["sku"] == sku)
    return {"order_id": order_id, "status": order["status"], "sku": sku, "refund": price}
