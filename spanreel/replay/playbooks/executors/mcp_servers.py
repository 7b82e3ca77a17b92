"""LOUD: the tools of an MCP server, over stdio or streamable HTTP, as tools of spanreel (`pip install 'spanreel[mcp]'`).

A server is asked for its tools when they are registered, and kept open by one thread for all calls, sync ones too. What it
says of its tools is kept beside the store: while a recording answers, they are registered from there, and no server is
started. Its hints about safety are believed, for the user named the server; `safety` overrules them.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextvars
import hashlib
import json
import shlex
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from spanreel.exceptions import BadInput, SpanreelError
from spanreel.instrument import responder, tools
from spanreel.instrument.responder import LIVE
from spanreel.instrument.tool_call import Tool
from spanreel.location import resolve_store
from spanreel.replay.playbooks.executors import EXECUTOR, PLACE, ToolFailed

SECONDS: Final = 60.0
_KEYS: Final = ("command", "url", "prefix", "env", "headers", "cwd", "safety", "timeout")


@dataclass(frozen=True)
class McpServer:
    """An MCP server.

    Attributes:
        name: what it is called in messages.
        command: starts it, over stdio; or url: where it is, over streamable HTTP.
        prefix: put before the names of its tools.
        env: variables that it gets besides the few that every one gets. headers: of each request. Neither is recorded.
        cwd: the folder that it is started in.
        safety: by the server's own names of its tools: read, write or irreversible, whatever its hints say.
        timeout: seconds for the start, and for each call.
    """

    name: str
    command: tuple[str, ...] = ()
    url: str | None = None
    prefix: str = ""
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None
    safety: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout: float = SECONDS

    def register(self) -> list[str]:
        """Register its tools; gives their names.

        Raises:
            SpanreelError: it cannot be reached, or the mcp package is missing; or a recording answers here and nobody
                has kept what its tools are.
        """
        if responder.current() is not LIVE:
            return self._registered(self._kept())
        found = _Session.of(self).listed()
        self._keep(found)
        return self._registered(found)

    def close(self) -> None:
        """End its session; the next call begins another one."""
        _Session.close_of(self)

    def _registered(self, described: Sequence[Mapping[str, Any]]) -> list[str]:
        place = {**self._place(), "tools": list(described)}
        for said in described:
            own = str(said["name"])
            function = self._calling(own)
            setattr(function, PLACE, place)
            tools.register(
                Tool(
                    f"{self.prefix}{own}",
                    self.safety.get(own, str(said["safety"])),
                    function=function,
                    description=said.get("description") or None,
                    schema=said.get("schema"),
                )
            )
        return [f"{self.prefix}{said['name']}" for said in described]

    def _calling(self, own: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            return _Session.of(self).called(own, arguments)

        call.__name__ = f"{self.prefix}{own}"
        call.__qualname__ = f"<mcp {self.name}>.{own}"
        return call

    def _place(self) -> dict[str, Any]:
        """What is recorded of it: no credentials."""
        said = {
            "name": self.name, "command": list(self.command), "url": _without_user(self.url), "prefix": self.prefix,
            "cwd": self.cwd, "safety": dict(self.safety), "timeout": self.timeout,
        }  # fmt: skip
        return {EXECUTOR: "mcp", "server": {key: value for key, value in said.items() if value}}

    def _file(self) -> Path:
        said = json.dumps([self.name, self.command, _without_user(self.url)])
        return resolve_store(None).parent / "mcp" / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.json"

    def _keep(self, described: Sequence[Mapping[str, Any]]) -> None:
        file = self._file()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(described), "utf-8")
        except OSError as error:
            raise SpanreelError(
                f"what the tools of {self.name} are cannot be kept in {file} ({error.strerror})",
                "make it writable",
            ) from error

    def _kept(self) -> list[dict[str, Any]]:
        file = self._file()
        try:
            return json.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise SpanreelError(
                f"a recording answers here, so MCP server {self.name} is not started, and {file} does not say what its tools are",
                "register them once where nothing is replayed",
            ) from error


class _Session:
    """One open session, in a loop of its own in a thread of its own."""

    _open: Final[dict[int, _Session]] = {}
    _lock: Final = threading.Lock()

    def __init__(self, server: McpServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._client: Any = None
        here = contextvars.copy_context()  # where a replay lets this call out, it lets the session out
        self._thread = threading.Thread(
            target=here.run, args=(self._run,), name=f"spanreel-mcp-{server.name}", daemon=True
        )

    @classmethod
    def of(cls, server: McpServer) -> _Session:
        """The session of a server; begun if there is none, or if it has ended."""
        with cls._lock:
            found = cls._open.get(id(server))
            if found is None or not found._thread.is_alive():
                found = cls._open[id(server)] = cls(server)
                found._begin()
            return found

    @classmethod
    def close_of(cls, server: McpServer) -> None:
        with cls._lock:
            found = cls._open.pop(id(server), None)
        if found is not None:
            found._close()

    @classmethod
    def close_all(cls) -> None:
        for found in list(cls._open.values()):
            found._close()
        cls._open.clear()

    def listed(self) -> list[dict[str, Any]]:
        """Every tool: name, description, schema, safety."""
        return self._result(self._list(), "list its tools")

    def called(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """What a call gave: its structured content, else its text.

        Raises:
            ToolFailed: the tool says that it failed, or the server does.
        """
        found = self._result(self._client.call_tool(name, dict(arguments)), f"call {name}")
        text = "\n".join(part.text for part in found.content if part.type == "text")
        if found.is_error:
            raise ToolFailed(text or f"tool {name} of MCP server {self._server.name} failed without a word")
        if found.structured_content is not None:
            return found.structured_content
        others = [
            part.model_dump(mode="json", exclude_none=True) for part in found.content if part.type != "text"
        ]
        return [*([{"type": "text", "text": text}] if text else []), *others] if others else text

    def _begin(self) -> None:
        _mcp()
        self._thread.start()
        try:
            self._ready.result(self._server.timeout)
        except Exception as error:
            self._loop.call_soon_threadsafe(self._stop.set) if self._thread.is_alive() else None
            raise self._unreachable(error) from error

    async def _list(self) -> list[dict[str, Any]]:
        found: list[Any] = []
        cursor: str | None = None
        while True:
            page = await self._client.list_tools(cursor=cursor)
            found += page.tools
            cursor = page.next_cursor
            if not cursor:
                return [_described(one) for one in found]

    def _result(self, coroutine: Coroutine[Any, Any, Any], what: str) -> Any:
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(self._server.timeout)
        except TimeoutError:
            future.cancel()
            raise ToolFailed(
                f"MCP server {self._server.name} did not {what} within {self._server.timeout:g} s"
            ) from None
        except Exception as error:
            raise ToolFailed(f"MCP server {self._server.name} did not {what}: {_first(error)}") from error

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the session
            if not self._ready.done():
                self._ready.set_exception(error)
        finally:
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()

    async def _serve(self) -> None:
        server, mcp = self._server, _mcp()
        if server.url is None:
            first, *rest = server.command
            target: Any = mcp.StdioServerParameters(
                command=first, args=rest, env=dict(server.env), cwd=server.cwd
            )
            await self._served(mcp.Client(target))
            return
        if not server.headers:
            await self._served(mcp.Client(server.url))
            return
        import httpx2
        from mcp.client.streamable_http import streamable_http_client

        async with httpx2.AsyncClient(headers=dict(server.headers), timeout=server.timeout) as http:
            await self._served(mcp.Client(streamable_http_client(server.url, http_client=http)))

    async def _served(self, client: Any) -> None:
        async with client as self._client:
            self._ready.set_result(None)
            await self._stop.wait()

    def _close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(10)

    def _unreachable(self, error: BaseException) -> SpanreelError:
        where = self._server.url or shlex.join(self._server.command)
        late = f"no answer within {self._server.timeout:g} s"
        why = late if isinstance(error, TimeoutError) and not str(error) else _first(error)
        return SpanreelError(f"MCP server {self._server.name} cannot be reached: {why}", f"try it: {where}")


atexit.register(_Session.close_all)


def mcp_tools(
    name: str, command: Sequence[str] | None = None, *, url: str | None = None, **more: Any
) -> McpServer:
    """Register the tools of an MCP server, so that playbooks can call them.

    Args:
        name: what the server is called.
        command: starts it, over stdio: the program and its arguments.
        url: where it is, over streamable HTTP.
        more: prefix, env, headers, cwd, safety, timeout: see `McpServer`.

    Raises:
        SpanreelError: it cannot be reached, or the mcp package is missing.
    """
    server = _server(
        name, {"command": list(command) if command else None, "url": url, **more}, f"mcp_tools({name!r})"
    )
    server.register()
    return server


def from_option(text: str) -> McpServer:
    """A server as the command line names it: ``NAME=COMMAND ARGS…`` or ``NAME=URL``.

    Raises:
        BadInput: it is neither.
    """
    name, _, said = text.partition("=")
    words = shlex.split(said)
    if not name.strip() or not words:
        raise BadInput(f"--mcp {text} names no server", "give NAME=COMMAND ARGS, or NAME=http://…")
    where = {"url": words[0]} if words[0].startswith(("http://", "https://")) else {"command": words}
    return _server(name.strip(), where, "--mcp")


def from_settings(name: str, said: Mapping[str, Any]) -> McpServer:
    """A server as `[tool.spanreel.mcp.NAME]` names it.

    Raises:
        BadInput: it is not as it should be.
    """
    return _server(name, said, f"[tool.spanreel.mcp.{name}] in pyproject.toml")


def again(place: Mapping[str, Any]) -> list[str]:
    """Register tools as a recording says they were; the server is started when one of them is called for real."""
    said = dict(place["server"])
    return _server(str(said.pop("name")), said, "the recording")._registered(place["tools"])


def _server(name: str, said: Mapping[str, Any], where: str) -> McpServer:
    given = {key: value for key, value in said.items() if value is not None}
    unknown = sorted(given.keys() - set(_KEYS))
    if unknown:
        raise BadInput(f"{where} has no {unknown[0]}", f"it has {', '.join(_KEYS)}")
    command: Any = given.pop("command", None)
    if isinstance(command, str):
        command = shlex.split(command)
    if (command is None) == ("url" not in given):
        raise BadInput(f"{where} has either a command or a url", 'such as command = ["python", "server.py"]')
    if command is not None and not (isinstance(command, (list, tuple)) and command):
        raise BadInput(f"the command in {where} is no list of words", 'such as ["python", "server.py"]')
    for key in ("env", "headers", "safety"):
        if not isinstance(given.get(key, {}), Mapping):
            raise BadInput(f"{key} in {where} is no table", f'such as {key} = {{NAME = "value"}}')
    wrong = next((word for word in given.get("safety", {}).values() if word not in tools.SAFETY), None)
    if wrong is not None:
        raise BadInput(
            f"{where}: there is no safety class {wrong!r}", f"use one of {', '.join(tools.SAFETY)}"
        )
    return McpServer(name, tuple(map(str, command or ())), **given)


def _described(tool: Any) -> dict[str, Any]:
    hints = tool.annotations
    read = bool(hints and hints.read_only_hint)
    destroys = bool(hints and hints.destructive_hint)
    return {
        "name": tool.name,
        "description": tool.description or "",
        "schema": tool.input_schema,
        "safety": "read" if read else "irreversible" if destroys else "write",
    }


def _mcp() -> Any:
    try:
        import mcp
    except ImportError:
        raise SpanreelError("MCP servers need the mcp package", "pip install 'spanreel[mcp]'") from None
    return mcp


def _without_user(url: str | None) -> str | None:
    if url is None:
        return None
    from spanreel.wire.redaction import clean_url

    return clean_url(url)


def _first(error: BaseException) -> str:
    """The cause, in words: task groups wrap what went wrong in them."""
    while isinstance(error, BaseExceptionGroup) and error.exceptions:
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}".rstrip(": ")
