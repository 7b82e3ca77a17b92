"""OpenAI chat and responses, Anthropic messages and Gemini on one loopback port, each in its own words.

A question is answered by a call of `get_weather` with the city that it names, its result by a sentence that repeats it.
`asked` keeps the requests: path, headers, body. Bodies are as the providers' references show them.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CITY = {"city": "Paris"}


class ProviderServer:
    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict]] = []
        self.status = 200
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> ProviderServer:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


def chat(body: dict, model: str) -> dict:
    last = body["messages"][-1]
    said: dict = {"role": "assistant", "content": f"It is {last['content']}."}
    if last["role"] != "tool":
        function = {"name": "get_weather", "arguments": json.dumps(CITY)}
        said = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
    choice = {
        "index": 0,
        "message": said,
        "finish_reason": "stop" if last["role"] == "tool" else "tool_calls",
    }
    usage = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [choice],
        "usage": usage,
    }


def responses(body: dict, model: str) -> dict:
    last = body["input"][-1]
    if last.get("type") == "function_call_output":
        text = {"type": "output_text", "text": f"It is {last['output']}.", "annotations": []}
        output = {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [text],
        }
    else:
        output = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "get_weather", "arguments": json.dumps(CITY), "status": "completed"}  # fmt: skip
    usage = {"input_tokens": 12, "output_tokens": 5, "total_tokens": 17, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
    return {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": model, "output": [output], "usage": usage,
        "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
    }  # fmt: skip


def anthropic(body: dict, model: str) -> dict:
    last = body["messages"][-1]["content"]
    results = [one for one in last if one["type"] == "tool_result"] if isinstance(last, list) else []
    if results:
        told = results[0]["content"]
        content = [{"type": "text", "text": f"It is {told if isinstance(told, str) else told[0]['text']}."}]
    else:
        content = [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": CITY}]
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": model, "content": content,
        "stop_reason": "end_turn" if results else "tool_use", "stop_sequence": None, "usage": {"input_tokens": 12, "output_tokens": 5},
    }  # fmt: skip


def gemini(body: dict, model: str) -> dict:
    last = body["contents"][-1]["parts"]
    results = [one["functionResponse"] for one in last if "functionResponse" in one]
    part = {"functionCall": {"name": "get_weather", "args": CITY}}
    if results:
        told = results[0]["response"]
        part = {"text": f"It is {next(iter(told.values()))}."}
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    usage = {"promptTokenCount": 12, "candidatesTokenCount": 5, "totalTokenCount": 17}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "r1"}


_SPEAKERS = (
    ("/chat/completions", chat),
    ("/responses", responses),
    ("/messages", anthropic),
    (":generateContent", gemini),
)


def _handler(server: ProviderServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.asked.append(
                (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            )
            speak = next(one for ending, one in _SPEAKERS if self.path.endswith(ending))
            model = body.get("model") or self.path.rpartition("/")[2].partition(":")[0]
            found = speak(body, model) if server.status == 200 else _failure(speak)
            data = json.dumps(found).encode()
            self.send_response(server.status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    return Handler


def _failure(speak: object) -> dict:
    if speak is anthropic:
        return {"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}
    if speak is gemini:
        return {"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED"}}
    return {"error": {"type": "rate_limit_error", "message": "slow down", "code": None, "param": None}}
