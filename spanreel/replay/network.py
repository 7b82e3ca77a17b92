"""LOUD: while an execution runs, nothing of this process goes out to the network but what it lets out.

An audit hook of the interpreter sees every connection, look-up and datagram that goes through `socket`, whoever makes
it. A hook cannot be taken off again, so there is one, behind a switch. Not stopped: sockets that C code opens past
Python (grpc), processes that the agent starts, and files: those are the agent's own.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from collections.abc import Callable, Collection, Generator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context

from spanreel.exceptions import EffectDenied
from spanreel.instrument.responder import LIVE_KEY
from spanreel.replay.callsite import called_by, code_line

Denied = Callable[[EffectDenied], None]
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", ""})
_TELEMETRY = ("opentelemetry.exporter", "opentelemetry.sdk")

_hooked = False
_switch = threading.Lock()
_guard: _Guard | None = None
_allowed: Callable[[str], bool] | None = None


class _Guard:
    def __init__(self, ports: Collection[int], on_denied: Denied) -> None:
        self._ports = frozenset(ports)
        self._on_denied = on_denied
        self._own_name = socket.gethostname()

    def connect(self, verb: str, sock: socket.socket, address: Any) -> None:
        """A connection or a datagram; sockets of the file system stay within the machine."""
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return
        host, port = str(address[0]), address[1]
        if verb == "connect" and is_loopback(host) and port in self._ports:
            return
        if _allowed is not None and _allowed(host):
            return
        self._deny(f"{verb} {host}:{port}")

    def look_up(self, host: Any) -> None:
        """The name of a host; this machine's own names tell nobody anything."""
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
        if name is None or is_loopback(str(name)) or name == self._own_name or _is_address(str(name)):
            return
        if _allowed is not None and _allowed(str(name)):
            return
        self._deny(f"look up {name}")

    def _deny(self, effect: str) -> None:
        if otel_context.get_value(LIVE_KEY):
            return  # a model call, or a tool, that the execution lets out
        if called_by(*_TELEMETRY):
            # An exporter of the application's: it may fail, as it does when its backend is down, and the agent goes on.
            raise PermissionError(f"not sent while a replay runs: {effect}")
        where = code_line()
        message = f"a replay does not go out to the network: {effect}"
        denied = EffectDenied(f"{message}, called from {where}" if where else message, effect, where)
        self._on_denied(denied)
        raise denied


@contextmanager
def denied_network(on_denied: Denied, ports: Collection[int] = ()) -> Generator[None]:
    """Deny every outbound connection of this process while the block runs.

    Args:
        on_denied: told of each, before it is raised where it was tried.
        ports: of the collector on this machine, which may be reached.
    """
    global _guard
    _hook()
    with _switch:
        before, _guard = _guard, _Guard(ports, on_denied)
    try:
        yield
    finally:
        with _switch:
            _guard = before


@contextmanager
def allowed_hosts(hosts: Collection[str], *, loopback: bool = False) -> Generator[None]:
    """Let calls to some hosts out while the block runs, whatever is denied.

    Args:
        hosts: names or addresses.
        loopback: this machine too.
    """
    global _allowed
    known = {host.lower() for host in hosts}
    asking = threading.local()

    def allowed(host: str) -> bool:
        if host.lower() in known or (loopback and is_loopback(host)) or getattr(asking, "now", False):
            return True
        asking.now = True  # what follows looks names up itself
        try:
            return _is_address(host) and host in _addresses(known)
        finally:
            asking.now = False

    with _switch:
        before, _allowed = _allowed, allowed
    try:
        yield
    finally:
        with _switch:
            _allowed = before


def _addresses(hosts: Collection[str]) -> set[str]:
    found: set[str] = set()
    for host in hosts:
        try:
            found |= {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
        except OSError:
            continue  # its own call says so
    return found


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.lower() in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _hook() -> None:
    global _hooked
    with _switch:
        if not _hooked:
            sys.addaudithook(_audit)
            _hooked = True


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _guard is None or not event.startswith("socket."):
        return
    if event == "socket.connect":
        _guard.connect("connect", *args)
    elif event in ("socket.sendto", "socket.sendmsg"):
        if args[1] is not None:  # a connected socket was judged when it connected
            _guard.connect("send to", *args)
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        _guard.look_up(args[0])
