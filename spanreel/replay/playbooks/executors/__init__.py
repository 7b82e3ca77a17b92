"""LOUD: tools that are not Python functions of the project: those of MCP servers, and programs on a list.

Each is registered like any tool, and its calls go the same way: recorded, served in a replay. A replay registers them
from what the recording says of them: it starts no server and runs no program.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import BadInput, SpanreelError
from spanreel.instrument.tools import registered

if TYPE_CHECKING:
    from spanreel.replay.playbooks.executors.mcp_servers import McpServer

MCP: Final = "mcp:"
PROGRAMS: Final = "programs"
EXECUTOR: Final = "executor"
"""The key of a tool's place that says which of these it is."""
PLACE: Final = "__spanreel_place__"
"""Where a tool's function says how it is registered again in another process."""


class ToolFailed(Exception):
    """A tool of elsewhere said that it failed; the text is its own."""


def again(place: Mapping[str, Any]) -> list[str]:
    """Register tools from what a recording says of them; nothing is started.

    Raises:
        SpanreelError: another version of spanreel recorded it.
    """
    from spanreel.replay.playbooks.executors import mcp_servers, programs

    known = {"mcp": mcp_servers.again, "program": programs.again}
    kind = place.get(EXECUTOR)
    if kind not in known:
        raise SpanreelError(
            f"nobody knows tools of {kind!r} here", "another version of spanreel recorded them"
        )
    return known[str(kind)](place)


def is_named(place: Any) -> bool:
    """Whether a place of tools, such as one of `--tools`, is an MCP server or the project's programs, and no module."""
    return isinstance(place, str) and (place == PROGRAMS or place.startswith(MCP))


def named(place: str) -> list[str]:
    """Register what a person names: ``mcp:NAME`` of pyproject.toml, ``mcp:NAME=COMMAND ARGS…``, ``mcp:NAME=URL``, ``programs``.

    Returns:
        Names of the tools.

    Raises:
        BadInput: there is no such server in pyproject.toml, or it is not as it should be.
        SpanreelError: a server cannot be reached, or the mcp package is missing.
    """
    from spanreel.replay.playbooks.executors import mcp_servers, programs
    from spanreel.replay.project import settings

    if place == PROGRAMS:
        return programs.from_settings(settings("commands"))
    text = place.removeprefix(MCP)
    if "=" in text:
        return mcp_servers.from_option(text).register()
    servers = settings("mcp")
    if text not in servers:
        known = ", ".join(servers) or "none"
        raise BadInput(
            f"there is no MCP server {text} in pyproject.toml; there are: {known}",
            f"[tool.spanreel.mcp.{text}]",
        )
    return _server(text, servers[text]).register()


def prepare(names: Collection[str]) -> list[str]:
    """Register the project's programs and the tools of its MCP servers, as far as tools are missing.

    Args:
        names: tools that are needed; a server is asked only while one of them is not registered.

    Returns:
        Names of what was registered.

    Raises:
        BadInput: `[tool.spanreel.mcp]` or `[tool.spanreel.commands]` of pyproject.toml is not as it should be.
        SpanreelError: a server cannot be reached, or the mcp package is missing.
    """
    from spanreel.replay.project import settings

    def missing() -> bool:
        return bool(set(names) - registered().keys())

    found = named(PROGRAMS) if missing() else []
    for name, said in settings("mcp").items() if missing() else ():
        if missing():
            found += _server(name, said).register()
    return found


def _server(name: str, said: Any) -> McpServer:
    from spanreel.replay.playbooks.executors import mcp_servers

    if not isinstance(said, Mapping):
        raise BadInput(
            f"[tool.spanreel.mcp.{name}] in pyproject.toml is no table", "give it a command or a url"
        )
    return mcp_servers.from_settings(name, said)
