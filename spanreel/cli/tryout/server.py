"""A model server on loopback that plays recorded answers over the OpenAI and the Anthropic wire.

Strict: a request that was not recorded is refused with status 400 and the message that departs.
It opens no connection of its own and knows no key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spanreel.cli.tryout import replies
from spanreel.cli.tryout.answers import Answer, Answers, NotRecorded, Request, read_anthropic, read_openai
from spanreel.exceptions import SpanreelError

PORT = 4320
MAX_BODY = 8 * 1024 * 1024  # bytes of a request: far more than a recorded conversation has

Read = Callable[[bytes], Request]
Whole = Callable[[Answer], bytes]
Events = Callable[[Answer], Iterable[bytes]]
Refusal = Callable[[str], bytes]

ROUTES: dict[str, tuple[Read, Whole, Events, Refusal]] = {
    "/v1/chat/completions": (read_openai, replies.openai, replies.openai_events, replies.openai_error),
    "/v1/messages": (read_anthropic, replies.anthropic, replies.anthropic_events, replies.anthropic_error),
}


class ModelServer(ThreadingHTTPServer):
    """Listens from the moment it is made; `serve_forever` answers."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers: Answers, port: int = PORT) -> None:
        self.answers = answers
        self.answered = 0  # requests to which a recorded answer was sent
        try:
            super().__init__(("127.0.0.1", port), Handler)
        except OSError as error:
            raise SpanreelError(
                f"the model server cannot listen on 127.0.0.1:{port} ({error.strerror})",
                "spanreel try --serve --port 0",
            ) from error

    @property
    def url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: ModelServer  # pyright: ignore[reportIncompatibleVariableOverride] - it is only ever served by one

    def do_POST(self) -> None:
        body = self._body()
        path = self.path.partition("?")[0]
        if body is None:
            return
        if path not in ROUTES:
            self._whole(
                404, replies.openai_error(f"nothing here answers POST {path}; try {', '.join(ROUTES)}")
            )
            return
        read, whole, events, refusal = ROUTES[path]
        try:
            request = read(body)
            answer = self.server.answers.find(request)
        except NotRecorded as error:
            self._whole(400, refusal(str(error)))
            return
        self.server.answered += 1
        if request.stream:
            self._events(events(answer))
        else:
            self._whole(200, whole(answer))

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self._whole(200, b'{"status":"ok"}')
        else:
            self._whole(
                404,
                replies.openai_error(f"nothing here answers GET {self.path}; try POST {', '.join(ROUTES)}"),
            )

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the signature it overrides
        """Say nothing: the agent's own output is what the reader looks at."""

    def _body(self) -> bytes | None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MAX_BODY:
            self.close_connection = True
            self._whole(
                411, replies.openai_error(f"the request needs a content-length of at most {MAX_BODY}")
            )
            return None
        return self.rfile.read(int(length))

    def _whole(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self, events: Iterable[bytes]) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


@contextmanager
def serving(answers: Answers, port: int = PORT) -> Generator[ModelServer]:
    """A server that answers in a thread until the block ends.

    Raises:
        SpanreelError: the port is in use.
    """
    server = ModelServer(answers, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def wait() -> None:
    """Until the process is interrupted."""
    threading.Event().wait()
