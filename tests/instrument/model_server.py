"""A real model server on loopback: it speaks OpenAI and Anthropic, streams, compresses, fails and breaks off on demand."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@dataclass
class Served:
    """One exchange as the server saw it: `body` is the decoded entity it sent, as far as it got."""

    path: str
    headers: dict[str, str]
    request: bytes
    status: int = 0
    chunks: list[bytes] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients hang up on purpose here."""


class ModelServer:
    """`script`: what to do with the next requests: ok, gzip, slow, drop, hang, or an HTTP status. Default: ok."""

    def __init__(self) -> None:
        self.script: deque[str] = deque()
        self.served: list[Served] = []
        self.text = "Hello wörld"
        self.released = threading.Event()
        self._http = _Http(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> ModelServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


def answer(path: str, request: dict, text: str) -> list[bytes]:
    """The reply's chunks: one for a plain reply, one an event for a stream."""
    if path.endswith("/embeddings"):
        data = [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}]
        return [
            _json(
                {
                    "object": "list",
                    "model": "text-embedding-3-small",
                    "data": data,
                    "usage": {"prompt_tokens": 3, "total_tokens": 3},
                }
            )
        ]
    made = {"/chat/completions": _chat, "/responses": _responses, "/messages": _anthropic}
    name = next(end for end in made if path.endswith(end))
    whole, events = made[name](request, text)
    return events if request.get("stream") else [_json(whole)]


def _chat(request: dict, text: str) -> tuple[dict, list[bytes]]:
    head = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4.1-mini-2025-04-14"}
    whole = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    chunk = {**head, "object": "chat.completion.chunk"}
    deltas = [{"role": "assistant", "content": ""}, *({"content": letter} for letter in text), {}]
    events = [
        {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    return whole, [
        *(
            b"data: " + _json(event) + b"\n\n"
            for event in [*events, {**chunk, "choices": [], "usage": USAGE}]
        ),
        b"data: [DONE]\n\n",
    ]


def _responses(request: dict, text: str) -> tuple[dict, list[bytes]]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}
    usage = {
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    whole = {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "gpt-4.1-mini",
        "output": [item], "usage": usage, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True,
    }  # fmt: skip
    events = [
        {
            "type": "response.created",
            "sequence_number": 0,
            "response": {**whole, "status": "in_progress", "output": [], "usage": None},
        },
        {
            "type": "response.output_text.delta",
            "sequence_number": 1,
            "item_id": "msg_1",
            "output_index": 0,
            "content_index": 0,
            "delta": text,
            "logprobs": [],
        },
        {"type": "response.completed", "sequence_number": 2, "response": whole},
    ]
    return whole, [
        b"event: " + event["type"].encode() + b"\ndata: " + _json(event) + b"\n\n" for event in events
    ]


def _anthropic(request: dict, text: str) -> tuple[dict, list[bytes]]:
    usage = {"input_tokens": 11, "output_tokens": 7}
    head = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "stop_sequence": None,
    }
    whole = {**head, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": usage}
    start = {**head, "content": [], "stop_reason": None, "usage": {"input_tokens": 11, "output_tokens": 1}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": letter}}
            for letter in text
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
    return whole, [
        b"event: " + event["type"].encode() + b"\ndata: " + _json(event) + b"\n\n" for event in events
    ]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _handler(server: ModelServer) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one class, as the library wants it
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["content-length"]))
            what = server.script.popleft() if server.script else "ok"
            served = Served(self.path, {name.lower(): value for name, value in self.headers.items()}, request)
            server.served.append(served)
            if what == "hang":
                server.released.wait(10)
                self.close_connection = True
                return
            if what.isdigit():
                self._whole(
                    served, int(what), _json({"error": {"message": f"status {what}", "type": "scripted"}})
                )
                return
            chunks = answer(self.path.partition("?")[0], json.loads(request), server.text)
            if len(chunks) == 1:
                self._whole(served, 200, chunks[0], compress=what == "gzip")
            else:
                self._stream(served, chunks, what)

        def _head(self, status: int, *headers: tuple[str, str]) -> None:
            self.send_response(status)
            for name, value in (*headers, ("x-request-id", "req_1"), ("set-cookie", "session=cookie-secret")):
                self.send_header(name, value)
            self.end_headers()

        def _whole(self, served: Served, status: int, body: bytes, *, compress: bool = False) -> None:
            served.status = status
            served.chunks.append(body)
            sent = gzip.compress(body) if compress else body
            extra = [("content-encoding", "gzip")] if compress else []
            self._head(
                status,
                ("content-type", "application/json"),
                ("content-length", str(len(sent))),
                ("retry-after-ms", "1"),
                *extra,
            )
            self.wfile.write(sent)

        def _stream(self, served: Served, chunks: list[bytes], what: str) -> None:
            served.status = 200
            extra = [("content-encoding", "gzip")] if what == "gzip" else []
            self._head(200, ("content-type", "text/event-stream"), ("transfer-encoding", "chunked"), *extra)
            packer = _Packer() if what == "gzip" else None
            try:
                for number, chunk in enumerate(chunks):
                    if what == "drop" and number == 3:
                        self.close_connection = True
                        return
                    served.chunks.append(chunk)
                    self._chunk(packer.add(chunk) if packer else chunk)
                    if what == "slow":
                        time.sleep(0.03)
                if packer:
                    self._chunk(packer.end())
                self.wfile.write(b"0\r\n\r\n")
            except OSError:
                self.close_connection = True

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()

    return Handler


class _Packer:
    """gzip, flushed after every chunk as streaming servers do."""

    def __init__(self) -> None:
        import zlib

        self._flush = zlib.Z_SYNC_FLUSH
        self._pack = zlib.compressobj(wbits=31)

    def add(self, chunk: bytes) -> bytes:
        return self._pack.compress(chunk) + self._pack.flush(self._flush)

    def end(self) -> bytes:
        return self._pack.flush()
