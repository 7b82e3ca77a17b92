"""A model server on loopback that speaks OpenAI's chat protocol; a test says what it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ShopModel:
    """`says` makes of a request the answer: a text, or a list of (tool, arguments). Every word is a token."""

    def __init__(self, says: Callable[[dict], str | list]) -> None:
        self.says = says
        self.asked: list[dict] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> ShopModel:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def answer(self, request: dict) -> dict:
        """The body of the response."""
        self.asked.append(request)
        made = self.says(request)
        calls = [
            {
                "id": f"call_{len(self.asked)}_{place}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(given)},
            }
            for place, (name, given) in enumerate(made if isinstance(made, list) else [])
        ]
        message: dict[str, Any] = {"role": "assistant", "content": None if calls else made}
        if calls:
            message["tool_calls"] = calls
        sent = len(json.dumps(request["messages"]).split())
        said = len(json.dumps(message).split())
        return {
            "id": f"chatcmpl-{len(self.asked)}",
            "object": "chat.completion",
            "created": 1,
            "model": request["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
            "usage": {"prompt_tokens": sent, "completion_tokens": said, "total_tokens": sent + said},
        }


def _handler(server: ShopModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            sent = json.dumps(server.answer(body)).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
