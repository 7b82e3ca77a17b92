"""A model server on loopback whose every answer carries a number of its own, so that a swapped answer is visible.

What it does is written in the last user message: ``status 429`` answers so (once, if ``once`` follows), ``tool NAME
{json}`` asks for a tool (several, separated by ``|``), ``hang`` is not answered, anything else is answered by ``answer <number> to <message>``.
"""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ScriptedServer:
    def __init__(self) -> None:
        self.requests: list[dict] = []
        self.failed: set[str] = set()
        self.released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> ScriptedServer:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def answer(self, request: dict) -> tuple[int, dict | list]:
        """Status and body; a list of events for a stream."""
        self.requests.append(request)
        number = len(self.requests)
        last = request["messages"][-1]
        said = last["content"] if isinstance(last["content"], str) else json.dumps(last["content"])
        if last["role"] == "user" and said.startswith("status ") and said not in self.failed:
            if said.endswith(" once"):
                self.failed.add(said)
            return int(said.split()[1]), {"error": {"message": f"failure {number}", "type": "server_error"}}
        calls = []
        if last["role"] == "user" and said.startswith("tool "):
            for place, one in enumerate(said.removeprefix("tool ").split("|")):
                name, _, arguments = one.strip().partition(" ")
                function = {"name": name, "arguments": arguments}
                calls.append({"id": f"call_{number}_{place}", "type": "function", "function": function})
        text = None if calls else f"answer {number} to {said}"
        return 200, (_stream if request.get("stream") else _whole)(number, text, calls)


def _whole(number: int, text: str | None, calls: list[dict]) -> dict:
    message = {"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})
    return {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": number, "model": "m-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }  # fmt: skip


def _stream(number: int, text: str | None, calls: list[dict]) -> list[dict]:
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": number, "model": "m-1"}
    deltas = [
        {"role": "assistant", "content": ""},
        *({"content": word + " "} for word in (text or "").split()),
    ]
    return [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ] + [{**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if request["messages"][-1]["content"] == "hang":
                server.released.wait(20)
            status, body = server.answer(request)
            with contextlib.suppress(OSError):  # whoever asked may be gone
                self.reply(status, body)

        def reply(self, status: int, body: dict | list) -> None:
            self.send_response(status)
            if isinstance(body, list):
                self.send_header("content-type", "text/event-stream")
                self.send_header("transfer-encoding", "chunked")
                self.end_headers()
                for event in [*(json.dumps(one) for one in body), "[DONE]"]:
                    data = f"data: {event}\n\n".encode()
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                    self.wfile.flush()
                self.wfile.write(b"0\r\n\r\n")
                return
            data = json.dumps(body).encode()
            self.send_header("content-type", "application/json")
            self.send_header("retry-after", "20")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    return Handler
