"""A stand-in for the model, on this machine: it does what a model would do here, by rules, over OpenAI's protocol.

python model.py     # prints the environment that the agent needs
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def turn(messages: list[dict[str, Any]]) -> tuple[str, dict[str, Any]] | str:
    """What the model says next: a tool and its arguments, or words."""
    told = [json.loads(one["content"]) for one in messages if one["role"] == "tool"]
    asked = next(one["content"] for one in messages if one["role"] == "user")
    item, order_id = re.search(r"the (\w+) of order (W\d+)", asked).groups()  # type: ignore[union-attr]
    if not told:
        return "find_order", {"order_id": order_id}
    if len(told) > 1:
        return f"The {item} may come back; {told[1]['refund']} is paid."
    sku = next(one["sku"] for one in told[0]["items"] if one["name"] == item)
    paid = told[0].get("payment_id") or told[0]["refund_to"]
    return "return_item", {"order_id": order_id, "sku": sku, "refund_to": paid}


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a chat completion."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = turn(asked["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": said if isinstance(said, str) else None}
        if not isinstance(said, str):
            call = {"name": said[0], "arguments": json.dumps(said[1])}
            message["tool_calls"] = [
                {"id": f"call_{len(asked['messages'])}", "type": "function", "function": call}
            ]
        reason = "stop" if isinstance(said, str) else "tool_calls"
        sent, made = len(json.dumps(asked)) // 4, len(json.dumps(message)) // 4
        reply = {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": asked["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": reason}],
            "usage": {"prompt_tokens": sent, "completion_tokens": made, "total_tokens": sent + made},
        }
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def serving(port: int = 0) -> ThreadingHTTPServer:
    """The server, listening; `serve_forever` answers."""
    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    server = serving()
    print(f"export OPENAI_API_KEY=none OPENAI_BASE_URL=http://127.0.0.1:{server.server_port}/v1", flush=True)
    server.serve_forever()
