"""An MCP server of a shop; as a program it speaks over stdio, and notes in the file $SHOP_LOG that it was started."""

from __future__ import annotations

import os
from pathlib import Path

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("shop", log_level="ERROR")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def get_order(order_id: str) -> dict[str, str]:
    """Look an order up.

    Args:
        order_id: such as W1.
    """
    if order_id == "W0":
        raise ToolError("no such order")
    return {"order_id": order_id, "status": "delivered", "for": os.environ.get("SHOP_USER", "")}


@server.tool()
def add_note(order_id: str, note: str) -> str:
    """Write a note."""
    return f"{order_id}: {note}"


@server.tool(annotations=ToolAnnotations(destructive_hint=True))
def cancel(order_id: str) -> dict[str, str]:
    """Cancel an order."""
    if log := os.environ.get("SHOP_LOG"):
        with Path(log).open("a") as file:
            file.write(f"cancelled {order_id}\n")
    return {"order_id": order_id, "status": "cancelled"}


if __name__ == "__main__":
    if log := os.environ.get("SHOP_LOG"):
        with Path(log).open("a") as file:
            file.write("started\n")
    server.run("stdio")
