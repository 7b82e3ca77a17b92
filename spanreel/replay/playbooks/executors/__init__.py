"""LOUD: tools that are not Python functions of the project: those of MCP servers, and programs on a list.

Each is registered like any tool, and its calls go the same way: recorded, served in a replay. A replay registers them
from what the recording says of them: it starts no server and runs no program.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from spanreel.exceptions import BadInput, SpanreelError
from spanreel.instrument.tools import registered

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


def prepare(names: Collection[str] = (), mcp: Sequence[str] = ()) -> list[str]:
    """Register the tools of the project's MCP servers and programs, and of those named on the command line.

    Args:
        names: tools that are needed; a server of the project is asked only while one of them is not registered.
        mcp: servers, each ``NAME=COMMAND ARGS…`` or ``NAME=URL``.

    Returns:
        Names of what was registered.

    Raises:
        BadInput: `[tool.spanreel.mcp]` or `[tool.spanreel.commands]` of pyproject.toml is not as it should be.
        SpanreelError: a server cannot be reached, or the mcp package is missing.
    """
    from spanreel.replay.playbooks.executors import mcp_servers, programs
    from spanreel.replay.project import settings

    found = [name for text in mcp for name in mcp_servers.from_option(text).register()]
    found += programs.from_settings(settings("commands"))
    for name, said in settings("mcp").items():
        if not isinstance(said, Mapping):
            raise BadInput(
                f"[tool.spanreel.mcp.{name}] in pyproject.toml is no table", "give it a command or a url"
            )
        if not names or set(names) - registered().keys():
            found += mcp_servers.from_settings(name, said).register()
    return found
