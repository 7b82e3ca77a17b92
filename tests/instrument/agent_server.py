"""A model on loopback that follows a plan: which tools it calls, turn by turn, through OpenAI chat and responses."""

from __future__ import annotations

import itertools
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Turn = str | list[tuple[str, dict[str, Any]]]
"""The final text, or tool calls to make in parallel."""

REFUND: list[Turn] = [
    [("get_order", {"order_id": "17"}), ("get_order", {"order_id": "18"})],
    [("refund", {"order_id": "17", "amount": 42})],
    "done",
]


class AgentServer:
    """`plans`: what to do where a word occurs in the first user message; every answer has ids of its own."""

    def __init__(self, plans: dict[str, list[Turn]] | None = None) -> None:
        self.plans = plans or {"": REFUND}
        self.requests: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> AgentServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def turn(self, messages: list[dict[str, Any]]) -> Turn:
        """The plan's next turn: as many are over as the assistant has answered."""
        asked = json.dumps(next(message for message in messages if message.get("role") == "user"))
        plan = next(plan for word, plan in self.plans.items() if word in asked)
        over = sum(
            1
            for before, message in zip([{}, *messages], messages, strict=False)
            if (message.get("role") == "assistant" or message.get("type") == "function_call")
            and before.get("type") != "function_call"
        )
        return plan[min(over, len(plan) - 1)]

    def answer(self, path: str, request: dict[str, Any]) -> tuple[str, bytes]:
        """Content type and body."""
        number = next(self._numbers)
        if path.endswith("/responses"):
            given = request["input"]
            messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
            whole = _responses(number, self.turn(messages))
            if not request.get("stream"):
                return "application/json", json.dumps(whole).encode()
            events = [
                {
                    "type": "response.created",
                    "sequence_number": 0,
                    "response": {**whole, "status": "in_progress", "output": []},
                },
                {"type": "response.completed", "sequence_number": 1, "response": whole},
            ]
            return "text/event-stream", b"".join(
                f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events
            )
        return "application/json", json.dumps(_chat(number, self.turn(request["messages"]))).encode()


def _chat(number: int, turn: Turn) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn if isinstance(turn, str) else None}
    if not isinstance(turn, str):
        message["tool_calls"] = [
            {
                "id": f"call_{number}_{place}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for place, (name, arguments) in enumerate(turn)
        ]
    finish = "stop" if isinstance(turn, str) else "tool_calls"
    return {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": "gpt-4.1-mini",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }  # fmt: skip


def _responses(number: int, turn: Turn) -> dict[str, Any]:
    if isinstance(turn, str):
        part = {"type": "output_text", "text": turn, "annotations": [], "logprobs": []}
        output: list[dict[str, Any]] = [
            {
                "type": "message",
                "id": f"msg_{number}",
                "role": "assistant",
                "status": "completed",
                "content": [part],
            }
        ]
    else:
        output = [
            {"type": "function_call", "id": f"fc_{number}_{place}", "call_id": f"call_{number}_{place}", "name": name,
             "arguments": json.dumps(arguments), "status": "completed"}
            for place, (name, arguments) in enumerate(turn)
        ]  # fmt: skip
    usage = {
        "input_tokens": 11, "output_tokens": 7, "total_tokens": 18,
        "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    return {
        "id": f"resp_{number}", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4.1-mini",
        "output": output, "usage": usage, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True,
    }  # fmt: skip


def _handler(server: AgentServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.requests.append(request)
            kind, body = server.answer(self.path, request)
            self.send_response(200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler
