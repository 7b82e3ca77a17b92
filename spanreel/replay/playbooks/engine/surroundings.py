"""LOUD: conditions of the surroundings: is there a file, a program, a port; what does a function, or a model, say?

What reads them is recorded as a call of the read tool `spanreel.check`, through the same seam as every tool: a replay and
a resumed run are told what was found then, for what a run has done itself changes what would be found now. A condition
that cannot be found out does not hold.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.instrument import codec
from spanreel.instrument.tool_call import READ, Dispatch, Tool, acall_tool, call_tool
from spanreel.replay import entry
from spanreel.replay.playbooks.asks import Ask, Probe, RunPython
from spanreel.replay.playbooks.conditions import PROBES, Judgement
from spanreel.replay.playbooks.engine.context import Context, called

CHECK: Final = Tool("spanreel.check", READ)
HTTP_S: Final = 5.0
GIT_S: Final = 10.0
VERDICT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"holds": {"type": "boolean"}, "why": {"type": "string"}},
    "required": ["holds"],
}


def kind(condition: Mapping[str, Any]) -> str:
    """Which of the conditions it is."""
    return next(name for name in PROBES if name in condition)


def probe(asked: Probe, function: Callable[..., Any] | None = None) -> Judgement:
    """Find out whether a condition holds.

    Args:
        asked: a condition that has no model and no tools to ask.
        function: of a `python` condition.
    """
    return _judgement(call_tool(_dispatch(asked), lambda: entry.finished(_found(asked, function))))


async def aprobe(asked: Probe, function: Callable[..., Any] | None = None) -> Judgement:
    """`probe`, in a running loop."""

    async def body() -> Any:
        return await entry.awaited(_found(asked, function))

    return _judgement(await acall_tool(_dispatch(asked), body))


def of_tool(asked: RunPython) -> Callable[[], Any]:
    """The call of a condition that a tool's author gave: `pre` with the arguments of the call, `post` with its result."""

    def call() -> Any:
        if asked.of == "pre" and isinstance(asked.result, Mapping) and _takes(asked.function, asked.result):
            return asked.function(**asked.result)
        return asked.function(asked.result)

    return call


def of_tool_dispatch(asked: RunPython) -> Dispatch:
    """The same as a call that is recorded."""
    name = getattr(asked.function, "__qualname__", "condition")
    return Dispatch(CHECK, {asked.of: name, "about": codec.plain(asked.result)}, framework="playbook")


def question(asked: Probe) -> Ask:
    """What a model is asked for a `judge` condition. Its answer is not deterministic."""
    said = asked.condition["judge"]
    text = said if isinstance(said, str) else str(dict(said).get("question", said))
    about = codec.plain_text(asked.result if asked.result is not None else dict(asked.variables))
    named = asked.condition.get("model")
    return Ask(asked.state, f"Does this hold? {text}\n\nOf:\n{about}", None, VERDICT, named, {})


def _takes(function: Any, args: Mapping[str, Any]) -> bool:
    """Whether a function takes arguments by these names, rather than all of them as one."""
    import inspect

    try:
        inspect.signature(function).bind(**args)
    except (TypeError, ValueError):
        return False
    return True


def _dispatch(asked: Probe) -> Dispatch:
    return Dispatch(CHECK, codec.plain(dict(asked.condition)), framework="playbook")


def _judgement(found: Any) -> Judgement:
    """As it is now, or as it was recorded."""
    holds, why = found["holds"], found["why"]
    return Judgement(holds if isinstance(holds, bool) else None, str(why))


def _said(holds: bool | None, why: str) -> dict[str, Any]:
    return {"holds": holds, "why": why}


def _found(asked: Probe, function: Callable[..., Any] | None) -> Any:
    which = kind(asked.condition)
    wanted = asked.condition[which]
    if which == "python":
        return _of_function(asked, function)
    try:
        return _said(*_FOUND[which](wanted))
    except (OSError, ValueError, TypeError, KeyError, subprocess.SubprocessError) as error:
        return _said(None, f"{which}: {type(error).__name__}: {error}")


def _of_function(asked: Probe, function: Callable[..., Any] | None) -> Any:
    named = asked.condition["python"]
    if function is None:
        raise SpanreelError(f"there is no function {named}", "mend the playbook, or the module")
    context = Context(asked.state, asked.variables, writable=False)
    found = called(function, context, asked.result)

    def said(value: Any) -> dict[str, Any]:
        return _said(bool(value), f"{named} says {'yes' if value else 'no'}")

    async def awaited() -> dict[str, Any]:
        return said(await found)

    return awaited() if entry.inspect.isawaitable(found) else said(found)


def _path(value: Any) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is no path")
    return Path(value).expanduser()


def _file_exists(value: Any) -> tuple[bool, str]:
    there = _path(value).exists()
    return there, f"{value} is {'there' if there else 'not there'}"


def _path_not_exists(value: Any) -> tuple[bool, str]:
    there, why = _file_exists(value)
    return not there, why


def _command_available(value: Any) -> tuple[bool, str]:
    found = shutil.which(str(value))
    return found is not None, f"{value} is {found or 'no command here'}"


def _env_exists(value: Any) -> tuple[bool, str]:
    return str(value) in os.environ, f"{value} is {'set' if str(value) in os.environ else 'not set'}"


def _env_equals(value: Any) -> tuple[bool, str]:
    wanted = {value["name"]: value["value"]} if set(value) == {"name", "value"} else dict(value)
    other = next((name for name, text in wanted.items() if os.environ.get(name) != str(text)), None)
    return (
        other is None,
        f"{other} is another one" if other else "it is as wanted",
    )  # its value may be a secret


def _port_free(value: Any) -> tuple[bool, str]:
    port = int(value)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError as error:
            return False, f"port {port} is taken ({error.strerror})"
    return True, f"port {port} is free"


def _cwd_contains(value: Any) -> tuple[bool, str]:
    here = str(Path.cwd())
    return str(value) in here, f"the working directory is {here}"


def _git_clean(value: Any) -> tuple[bool | None, str]:
    folder = _path(value) if isinstance(value, str) else Path.cwd()
    # a repository may name a program that git would run to look for changes: a condition runs none
    line = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "status", "--porcelain"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=GIT_S, check=False)
    if done.returncode:
        return None, f"git cannot tell: {done.stderr.strip()}"
    clean = not done.stdout.strip()
    return clean == (
        value is not False
    ), "nothing is changed" if clean else "there are changes that are not committed"


def _http_ok(value: Any) -> tuple[bool, str]:
    import requests

    try:
        with requests.get(str(value), timeout=HTTP_S, stream=True) as response:
            return response.ok, f"{value} answers {response.status_code}"
    except requests.RequestException as error:
        return False, f"{value} does not answer: {type(error).__name__}"


_FOUND: Final[dict[str, Callable[[Any], tuple[bool | None, str]]]] = {
    "file_exists": _file_exists,
    "path_not_exists": _path_not_exists,
    "command_available": _command_available,
    "env_exists": _env_exists,
    "env_equals": _env_equals,
    "port_free": _port_free,
    "cwd_contains": _cwd_contains,
    "git_clean": _git_clean,
    "http_ok": _http_ok,
}
