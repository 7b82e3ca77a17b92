"""Taps on agent frameworks, one file each: their one tool dispatch method and their run method.

Every name of a framework that is patched is in `TAPS`; a test on the real framework watches each. A name that is gone
costs one line in the log and shows in `taps()`; the agent is not affected. Nothing is imported here before the agent
itself imports it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import wrapt

from spanreel.instrument.guard import guard, log_once

Wrapper = Callable[[Callable[..., Any], Any, tuple[Any, ...], dict[str, Any]], Any]
"""wrapt's: (what was there, the object it is bound to, arguments, keywords)."""


@dataclass(frozen=True, slots=True)
class Tap:
    """One patched name. wrapper: ``module:function`` of ours, imported when the framework is."""

    framework: str
    module: str
    name: str
    wrapper: str


@dataclass(frozen=True, slots=True)
class TapState:
    """How a tap is doing: waiting (the framework is not imported) · active · missing (the name is gone) · off."""

    framework: str
    target: str
    state: str


_HERE = "spanreel.instrument.frameworks"
_LANGCHAIN = f"{_HERE}.langchain"
_AGENTS = f"{_HERE}.openai_agents"

TAPS = (
    Tap("langchain", "langchain_core.tools.base", "BaseTool.run", f"{_LANGCHAIN}:run_tool"),
    Tap("langchain", "langchain_core.tools.base", "BaseTool.arun", f"{_LANGCHAIN}:arun_tool"),
    Tap("langgraph", "langgraph.pregel.main", "Pregel.stream", f"{_LANGCHAIN}:stream_graph"),
    Tap("langgraph", "langgraph.pregel.main", "Pregel.astream", f"{_LANGCHAIN}:astream_graph"),
    Tap("openai-agents", "agents.tool", "_invoke_function_tool_with_metadata", f"{_AGENTS}:invoke_tool"),
    Tap(
        "openai-agents",
        "agents.run_internal.tool_execution",
        "_invoke_function_tool_with_metadata",
        f"{_AGENTS}:invoke_tool",
    ),
    Tap("openai-agents", "agents.run", "AgentRunner.run", f"{_AGENTS}:run_agent"),
    Tap("openai-agents", "agents.run", "AgentRunner.run_streamed", f"{_AGENTS}:run_agent_streamed"),
)
"""`AgentRunner.run_sync` goes through `run`; graphs' `invoke`, `ainvoke` and `batch` through `stream` and `astream`."""

_on = False
_hooked = False
_patched: dict[Tap, tuple[Any, str, Any, Any]] = {}
_missing: set[Tap] = set()


def install() -> None:
    """Tap what is imported already, and what will be. Calling it again changes nothing."""
    global _on, _hooked
    _on = True
    for module in {tap.module for tap in TAPS}:
        if module in sys.modules:
            _tap_module(sys.modules[module])
        elif not _hooked:
            wrapt.register_post_import_hook(_tap_module, module)
    _hooked = True


def uninstall() -> None:
    """Put back what was there, unless somebody patched it after us: then ours only passes through."""
    global _on
    _on = False
    _missing.clear()
    for owner, name, original, ours in _patched.values():
        if vars(owner).get(name) is ours:
            setattr(owner, name, original)
    _patched.clear()


def taps() -> tuple[TapState, ...]:
    """Every patched name and how it is doing."""
    return tuple(TapState(tap.framework, f"{tap.module}:{tap.name}", _state(tap)) for tap in TAPS)


def _state(tap: Tap) -> str:
    if tap in _patched:
        return "active"
    if tap in _missing:
        return "missing"
    return "waiting" if _on else "off"


def _tap_module(module: Any) -> None:
    if not _on:
        return
    for tap in TAPS:
        if tap.module == module.__name__ and tap not in _patched:
            with guard(f"tapping {tap.module}"):
                _patch(module, tap)


def place(module: Any, tap: Tap) -> tuple[Any, str, Any] | None:
    """Where the tap's name is: what it is an attribute of, its last part, what it is; None where it is gone."""
    *path, name = tap.name.split(".")
    owner = module
    for part in path:
        owner = getattr(owner, part, None)
    original = vars(owner).get(name) if owner is not None else None
    return None if original is None else (owner, name, original)


def _patch(module: Any, tap: Tap) -> None:
    found = place(module, tap)
    if found is None:
        _missing.add(tap)
        log_once(tap.name, "%s has no %s any more: its %s calls are not recorded; see `spanreel doctor`", tap.module, tap.name, tap.framework)  # fmt: skip
        return
    owner, name, original = found
    home, _, function = tap.wrapper.partition(":")
    ours = wrapt.FunctionWrapper(original, _while_on(getattr(importlib.import_module(home), function)))
    setattr(owner, name, ours)
    _patched[tap] = (owner, name, original, ours)


def _while_on(wrapper: Wrapper) -> Wrapper:
    def passing(
        wrapped: Callable[..., Any], instance: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        return wrapper(wrapped, instance, args, kwargs) if _on else wrapped(*args, **kwargs)

    return passing
