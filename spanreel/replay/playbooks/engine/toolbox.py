"""LOUD: the tools that a run of a playbook may call: those that were registered, and those that its caller gives.

A playbook is data: it can call nothing else. Every call goes through `instrument.tool_call`, so that who answers it, the
tool itself or a recording, is decided where it is decided for every agent.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, TypeAlias

from spanreel.exceptions import SpanreelError
from spanreel.instrument import responder
from spanreel.instrument.responder import LIVE
from spanreel.instrument.tool_call import Dispatch, Tool, acall_tool, call_tool
from spanreel.instrument.tools import registered
from spanreel.replay import entry
from spanreel.replay.hooks import live_tool
from spanreel.replay.playbooks.asks import Call, ToolFacts
from spanreel.replay.playbooks.executors import EXECUTOR, PLACE, again, is_named, named

Tools: TypeAlias = "Mapping[str, Callable[..., Any]]"
MODULE: Final = "module"
FILE: Final = "file"
FUNCTION: Final = "function"
NAME: Final = "name"
MAIN: Final = "__main__"
_scripts: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Tools by name: what is registered in this process; `given` comes before it.

    modules: names of those that the caller named. Of no other one a body may call a function.
    """

    given: Tools | None = None
    modules: frozenset[str] = frozenset()

    def find(self, name: str) -> Tool | None:
        """What is known of a tool; None: nothing is registered under that name."""
        function = (self.given or {}).get(name)
        if function is None:
            known = registered().get(name)
            return known if known is not None and known.function is not None else None
        known = getattr(function, "__spanreel__", None)
        return replace(known, name=name) if isinstance(known, Tool) else Tool(name, function=function)

    def facts(self, name: str) -> ToolFacts | None:
        """The same, as a walk wants to know it."""
        found = self.find(name)
        if found is None:
            return None
        return ToolFacts(found.name, found.safety, found.pre, found.post, partial(_takes, found.function))

    def names(self) -> set[str]:
        """Of every tool that may be called."""
        return {*registered(), *(self.given or {})}

    def call(self, asked: Call) -> Any:
        """Make a call; what is awaitable is awaited in a loop of its own."""
        dispatch, function = self._dispatch(asked)
        if _hooked(asked):
            live_tool(asked.tool, dispatch.arguments, asked.safety)
        return call_tool(dispatch, lambda: entry.finished(function(**asked.args)))

    async def acall(self, asked: Call) -> Any:
        """The same, in the running loop."""
        dispatch, function = self._dispatch(asked)
        if _hooked(asked):
            await asyncio.to_thread(live_tool, asked.tool, dispatch.arguments, asked.safety)

        async def body() -> Any:
            return await entry.awaited(function(**asked.args))

        return await acall_tool(dispatch, body)

    def _dispatch(self, asked: Call) -> tuple[Dispatch, Callable[..., Any]]:
        known = self.find(asked.tool)
        if known is None or known.function is None:
            raise SpanreelError(f"no tool {asked.tool} is registered", "name its module: --tools MODULE")
        stricter = replace(known, safety=asked.safety)
        return Dispatch(stricter, dict(asked.args), framework="playbook"), known.function

    def places(self, names: Sequence[str]) -> list[dict[str, Any]] | None:
        """Where tools are found again in another process; None: one of them cannot be.

        Registered ones by the module that registers them, given ones as functions of a module. names: also
        ``module:name`` of functions that a body names, where they were given.
        """
        found: list[dict[str, Any]] = []
        for name in names:
            known = self.find(name)
            if known is None and ":" in name:
                known = Tool(name, function=_allowed(name, self))
            if known is None or known.function is None:
                continue
            made = getattr(known.function, PLACE, None)
            if made is not None:  # of an executor, which registers it from this
                found += [] if made in found else [made]
                continue
            place = place_of(known.function)
            given = name in (self.given or {})
            if place is None or (given and "." in place[FUNCTION]):
                return None
            one = (
                {NAME: name, **place}
                if given
                else {key: place[key] for key in (MODULE, FILE) if key in place}
            )
            if one not in found:
                found.append(one)
        return found


def _takes(function: Any, args: Mapping[str, Any]) -> bool:
    try:
        inspect.signature(function).bind(**args)
    except TypeError:
        return False
    except ValueError:  # of a builtin nobody knows
        return True
    return True


def _hooked(asked: Call) -> bool:
    """Whether hooks of the project are asked here: an execution asks them itself, of what it lets out."""
    return asked.safety != "read" and responder.current() is LIVE


def place_of(function: Any) -> dict[str, str] | None:
    """Module, file and qualified name of a function; None: it is made while a program runs, or is no function."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not module or not name or "<" in name:
        return None
    if module.endswith(entry.SCRIPT):
        module = MAIN
    code = getattr(inspect.unwrap(function), "__code__", None)
    return {MODULE: module, FUNCTION: name, **({FILE: code.co_filename} if code is not None else {})}


def gathered(places: Sequence[Any], given: Tools | None = None) -> Toolbox:
    """A toolbox with the modules imported that register tools, and the functions found that were given.

    Args:
        places: names of modules, what `executors.named` takes, or what `Toolbox.places` gave.
        given: functions by name, which come before all others.

    Raises:
        SpanreelError: a module cannot be imported, or lacks the function.
    """
    found: dict[str, Callable[..., Any]] = {}
    modules: set[str] = set()
    for place in places:
        if is_named(place):
            named(place)
            continue
        said: Mapping[str, Any] = {MODULE: place} if isinstance(place, str) else place
        if EXECUTOR in said:
            again(said)
            continue
        module = imported(said[MODULE], said.get(FILE))
        if NAME in said:
            found[said[NAME]] = attribute(module, said[FUNCTION])
        else:
            modules |= {said[MODULE], module.__name__}
    return Toolbox({**found, **(given or {})}, frozenset(modules))


def attribute(module: Any, name: str) -> Callable[..., Any]:
    """A function of a module, by its qualified name.

    Raises:
        SpanreelError: there is none.
    """
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        named = getattr(module, "__name__", module)
        raise SpanreelError(f"there is no function {name} in {named}", "mend the playbook, or the module")
    return found


def function_of(named: Any, toolbox: Toolbox) -> Callable[..., Any]:
    """A function that a body names as ``module:name``: as it was given, else one of a module that the caller named.

    Raises:
        SpanreelError: nobody allowed it, or there is none.
    """
    if callable(named):
        return named
    given = (toolbox.given or {}).get(str(named))
    if given is not None:
        return given
    found = _allowed(str(named), toolbox)
    if found is None:
        raise SpanreelError(
            f"{named} may not be called: a playbook is data, and nobody named that module",
            f"if you trust it: --tools {str(named).partition(':')[0]}, or modules=[…]",
        )
    return found


def _allowed(named: str, toolbox: Toolbox) -> Callable[..., Any] | None:
    """A function of a module that the caller named; None: of another one.

    Raises:
        SpanreelError: there is none; it only came there from another module; or it is a tool, whose guards would be
            passed by.
    """
    module, _, name = named.partition(":")
    if module not in toolbox.modules:
        return None
    found = attribute(imported(module), name)
    home = str(getattr(found, "__module__", None))
    if home not in toolbox.modules and not home.startswith(f"{module}."):
        raise SpanreelError(f"{named} is of {home}, and not of {module}", f"name that one: --tools {home}")
    if isinstance(getattr(found, "__spanreel__", None), Tool):
        raise SpanreelError(f"{named} is a tool", "call it as one, with its guards: tool: NAME")
    return found


def imported(module: str, file: str | None = None) -> Any:
    """A module of tools, by its name, or from its file where the name alone does not find it.

    Raises:
        SpanreelError: it cannot be imported.
    """
    try:
        if file is None:
            return importlib.import_module(module)
        if module != MAIN:
            return entry._module(module, file)
        if file not in _scripts:  # once: a script that is loaded twice registers its tools twice
            main = sys.modules.get(MAIN)
            _scripts[file] = main if getattr(main, "__file__", None) == file else entry._module(module, file)
        return _scripts[file]
    except SpanreelError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        raise SpanreelError(
            f"the tools of {module} cannot be imported: {said}",
            "is it on PYTHONPATH, and its packages installed?",
        ) from error
