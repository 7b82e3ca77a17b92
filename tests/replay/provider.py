"""A provider on loopback that speaks OpenAI's, Anthropic's and Google's protocols, and answers as a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

import spanreel

KEY = "sk-live-" + "z9Y8" * 10
PATHS = {"/v1/chat/completions": "chat", "/v1/responses": "responses", "/v1/messages": "anthropic"}


class Provider:
    """Speaks OpenAI's, Anthropic's and Google's protocols; `says` makes the answer: text, a list of (tool, arguments), or a status."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.says: Callable[[int, dict], str | list | int] = lambda number, body: (
            f"answer of {body.get('model')}"
        )
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Provider:
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def answer(self, path: str, body: dict) -> tuple[int, dict]:
        self.asked.append(body)
        made = self.says(len(self.asked), body)
        if isinstance(made, int):
            return made, {"error": {"message": f"scripted {made}", "type": "scripted"}}
        calls = made if isinstance(made, list) else []
        text = None if calls else made
        if path.endswith(":generateContent"):
            return 200, self._gemini(text, calls)
        return 200, getattr(self, f"_{PATHS[path]}")(len(self.asked), body.get("model"), text, calls)

    def _chat(self, number: int, model: str, text: str | None, calls: list) -> dict:
        asked = [
            {"id": f"call_{number}_{place}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for place, (name, given) in enumerate(calls)
        ]  # fmt: skip
        message = {"role": "assistant", "content": text} | ({"tool_calls": asked} if asked else {})
        return {
            "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if asked else "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        }  # fmt: skip

    def _responses(self, number: int, model: str, text: str | None, calls: list) -> dict:
        output: list[dict] = [
            {"type": "function_call", "id": f"fc_{place}", "call_id": f"call_{number}_{place}", "name": name, "arguments": json.dumps(given)}
            for place, (name, given) in enumerate(calls)
        ]  # fmt: skip
        if text is not None:
            part = {"type": "output_text", "text": text, "annotations": []}
            output.append(
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [part],
                }
            )
        return {
            "id": f"resp_{number}", "object": "response", "created_at": 1, "status": "completed", "model": model,
            "output": output, "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
        }  # fmt: skip

    def _anthropic(self, number: int, model: str, text: str | None, calls: list) -> dict:
        content: list[dict] = [{"type": "text", "text": text}] if text is not None else []
        content += [
            {"type": "tool_use", "id": f"toolu_{number}_{place}", "name": name, "input": given}
            for place, (name, given) in enumerate(calls)
        ]
        return {
            "id": f"msg_{number}", "type": "message", "role": "assistant", "model": model, "content": content,
            "stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 1000, "output_tokens": 100},
        }  # fmt: skip

    def _gemini(self, text: str | None, calls: list) -> dict:
        parts: list[dict] = [{"text": text}] if text is not None else []
        parts += [{"functionCall": {"name": name, "args": given}} for name, given in calls]
        return {
            "candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
            "modelVersion": "gemini-2.5-flash", "responseId": "r-1",
        }  # fmt: skip

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                provider.headers.append({name.lower(): value for name, value in self.headers.items()})
                provider.paths.append(self.path)
                status, made = provider.answer(self.path, body)
                sent = json.dumps(made).encode()
                self.send_response(status)
                for name, value in (
                    ("content-type", "application/json"),
                    ("content-length", str(len(sent))),
                    ("retry-after-ms", "1"),
                ):
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def record(provider: Provider, *questions: str, **asked: object) -> str:
    """A run of ours that asks these questions, streaming the last one; its id."""
    instrumented = spanreel.instrument()
    try:
        with openai.OpenAI(max_retries=0) as client, spanreel.run("asker") as run:
            for question in questions:
                messages = [{"role": "user", "content": question}]
                client.chat.completions.create(
                    model="gpt-4o-mini", messages=messages, temperature=0.5, **asked
                )
        instrumented.flush()
    finally:
        spanreel.uninstrument()
    provider.asked.clear()
    provider.headers.clear()
    return run.run_id
