"""A model server on loopback for `interleavings`: every answer begins with a nonce of its own, so a swapped one is visible.

OpenAI chat and Anthropic messages, whole and streamed. A prompt that holds ``[fail]`` is answered once by status 500.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

WORDS = ["one", "two", "three", "four"]


class NonceServer:
    def __init__(self) -> None:
        self._count = itertools.count(1)
        self._failed: set[str] = set()
        self._lock = threading.Lock()
        self._http = _Quiet(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def answer(self, path: str, request: dict[str, Any]) -> tuple[int, dict[str, Any] | list[dict[str, Any]]]:
        """Status and body; a list of events for a stream."""
        prompt = request["messages"][-1]["content"]
        with self._lock:
            nonce = f"N{next(self._count)}."
            if "[fail]" in prompt and prompt not in self._failed:
                self._failed.add(prompt)
                return 500, {"error": {"message": nonce, "type": "server_error"}}
        words = [nonce, *WORDS]
        form = _anthropic if path.endswith("/messages") else _openai
        return 200, form(words, bool(request.get("stream")))


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Who asked has hung up, which is what a part of the callers does."""


def _openai(words: list[str], stream: bool) -> dict[str, Any] | list[dict[str, Any]]:
    head = {"id": f"chatcmpl-{words[0]}", "created": 1, "model": "m-1"}
    if not stream:
        message = {"role": "assistant", "content": " ".join(words)}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return {**head, "object": "chat.completion", "choices": [choice]}
    deltas = [*({"content": f"{word} "} for word in words), {}]
    return [
        {**head, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]  # fmt: skip


def _anthropic(words: list[str], stream: bool) -> dict[str, Any] | list[dict[str, Any]]:
    head = {"id": f"msg_{words[0]}", "type": "message", "role": "assistant", "model": "m-1", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    if not stream:
        return {**head, "content": [{"type": "text", "text": " ".join(words)}], "stop_reason": "end_turn"}
    return [
        {"type": "message_start", "message": {**head, "content": [], "stop_reason": None}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"{word} "}} for word in words),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]  # fmt: skip


def _handler(server: NonceServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, body = server.answer(self.path, request)
            if isinstance(body, list):
                self._head(status, "text/event-stream", None)
                try:
                    for data in _events(body):
                        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                        self.wfile.flush()
                    self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    self.close_connection = True  # who asked has heard enough
                return
            data = json.dumps(body).encode()
            self._head(status, "application/json", len(data))
            self.wfile.write(data)

        def _head(self, status: int, kind: str, length: int | None) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("retry-after-ms", "1")
            if length is None:
                self.send_header("transfer-encoding", "chunked")
            else:
                self.send_header("content-length", str(length))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _events(body: list[dict[str, Any]]) -> Iterator[bytes]:
    for event in body:
        name = f"event: {event['type']}\n" if "type" in event else ""
        yield f"{name}data: {json.dumps(event)}\n\n".encode()
    if "type" not in body[-1]:
        yield b"data: [DONE]\n\n"
