"""No silent miss: connections to model hosts that no tap is behind are reported, once in the log and on the run.

Every name that Python resolves passes `socket.getaddrinfo`; a tapped client marks its context, so what is left is a
client that we do not tap (requests, aiohttp, websockets, ...). Resolvers in C code (grpc, uvloop) are not seen. Not an
audit hook: that would cost every other operation of the application. Never raises.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import wrapt
from opentelemetry import context as otel_context

from spanreel.instrument import recorder, responder
from spanreel.instrument.guard import guard, log_once
from spanreel.wire import recognise

BASE_URLS = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "AZURE_OPENAI_ENDPOINT", "ANTHROPIC_BASE_URL")
"""Where an application says that its models are elsewhere."""
TAPPED_KEY = otel_context.create_key("spanreel-tapped")

_resolve: Any = None
_ours: Any = None
_own_hosts: frozenset[tuple[str, int]] = frozenset()


def install() -> None:
    """Watch from now on. Calling it again changes nothing."""
    global _resolve, _ours, _own_hosts
    _own_hosts = frozenset(_named_hosts())
    if _ours is None:
        _resolve, _ours = socket.getaddrinfo, wrapt.FunctionWrapper(socket.getaddrinfo, _resolving)
        socket.getaddrinfo = _ours


def remove() -> None:
    """Stop watching; put back what was there, unless somebody wrapped it after us: then ours only passes through."""
    global _ours
    if _ours is not None and socket.getaddrinfo is _ours:
        socket.getaddrinfo = _resolve
    _ours = None


@contextmanager
def tapped(host: str, port: int | None) -> Generator[None]:
    """What a tapped client does in this block is seen, whether it is a model call or not."""
    if _ours is None or not _serves_models(host, port):
        yield
        return
    token = otel_context.attach(otel_context.set_value(TAPPED_KEY, True))
    try:
        yield
    finally:
        otel_context.detach(token)


def unspoken(transport: str, method: str, host: str, url: str) -> None:
    """Report a request of a tapped client that looks like a model call and that no dialect speaks."""
    if recognise.looks_like_a_model_call(method, host, url):
        report(transport, recognise.path_of(url), "its protocol is not one that spanreel reads yet")


def report(transport: str, what: str, why: str) -> None:
    """Say once that a model call is not recorded, and mark it on the current run."""
    log_once(f"miss {transport} {what}", "a model call is not recorded (%s, %s): %s", transport, what, why)
    recording = recorder.current()
    if recording is not None:
        recording.fault(f"model call not captured ({transport}): {why}", None)


def _resolving(
    wrapped: Callable[..., Any], _instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    if _ours is not None:
        with guard("watching connections"):
            host = args[0] if args else kwargs.get("host")
            _resolved(host, args[1] if len(args) > 1 else kwargs.get("port"))
    return wrapped(*args, **kwargs)


def _resolved(host: object, port: object) -> None:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    if not isinstance(name, str) or not _serves_models(name, _number(port)):
        return
    if recorder.current() is None or responder.current() is not responder.LIVE:
        return  # a replay lets nothing out, and says so itself
    if not otel_context.get_value(TAPPED_KEY):
        report("an unknown client", name, "it connects past every client that spanreel taps")


def _serves_models(host: str, port: int | None) -> bool:
    return recognise.serves_models(host) or (host, port) in _own_hosts


def _named_hosts() -> Generator[tuple[str, int]]:
    for name in BASE_URLS:
        url = urlsplit(os.environ.get(name, ""))
        try:
            port = url.port or (80 if url.scheme == "http" else 443)
        except ValueError:
            continue
        if url.hostname:
            yield url.hostname, port


def _number(port: object) -> int | None:
    return int(port) if isinstance(port, (int, str)) and str(port).isdigit() else None
