"""LOUD: the project's own say before something happens: a function, or a program that reads JSON.

Events: see `EVENTS`. A hook that raises, or exits with another code than 0, refuses it. What it said becomes a span: of the
run, or beside the playbook's body. It runs with this process's rights and no shell.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import BadInput, Refused
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from pathlib import Path

    from spanreel.wire.spans import Span

BEFORE_RUN: Final = "before_run"
BEFORE_LIVE_TOOL: Final = "before_live_tool"
BEFORE_PROMOTE: Final = "before_promote"
BEFORE_EXPORT: Final = "before_export"
BEFORE_RESUME: Final = "before_resume"
EVENTS: Final = (BEFORE_RUN, BEFORE_LIVE_TOOL, BEFORE_PROMOTE, BEFORE_EXPORT, BEFORE_RESUME)
"""A command or a playbook is run; an execution, or a playbook, lets a tool run that may write; a playbook is promoted; a
run is written to a file; a run goes on."""
SECONDS: Final = 120.0
_FUNCTION: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True, slots=True)
class Hook:
    """``module:function``, called with the event as a mapping; or a program and its arguments, given it on stdin."""

    event: str
    command: tuple[str, ...]

    @property
    def function(self) -> str | None:
        """``module:function``, if it is one."""
        return self.command[0] if len(self.command) == 1 and _FUNCTION.fullmatch(self.command[0]) else None


def hooks(event: str, given: Sequence[str] = ()) -> list[Hook]:
    """The hooks of an event: the project's (`[tool.spanreel.hooks]` of pyproject.toml), then those named on the command line.

    Args:
        event: one of `EVENTS`.
        given: each ``module:function``, or a command line.

    Raises:
        BadInput: the project's are neither a text nor a list of texts.
    """
    import shlex

    from spanreel.replay.project import settings

    said = settings("hooks").get(event, [])
    listed: Any = [said] if isinstance(said, str) or _is_words(said) else said
    found: list[Hook] = []
    for one in listed if isinstance(listed, list) else [None]:
        words: Any = shlex.split(one) if isinstance(one, str) else one
        if not _is_words(words):
            raise BadInput(
                f"{event} in [tool.spanreel.hooks] of pyproject.toml is no hook",
                'write "module:function", or a list such as ["python", "check.py"]',
            )
        found.append(Hook(event, tuple(words)))
    return found + [Hook(event, tuple(shlex.split(one))) for one in given]


def ask(hook: Hook, event: Mapping[str, Any], seconds: float = SECONDS) -> None:
    """Ask one hook.

    Args:
        hook: which.
        event: what is about to happen, as JSON can tell it.
        seconds: after which a program is taken to refuse.

    Raises:
        Refused: with the hook's last line on stderr, or its exception.
    """
    said = {"event": hook.event, **event}
    refusal = _call(hook.function, said) if hook.function else _run(hook.command, said, seconds)
    if refusal is not None:
        raise Refused(f"the hook {' '.join(hook.command)} refused: {refusal}", "")


@dataclass(frozen=True, slots=True)
class Said:
    """What a hook said. refusal: None: it had nothing against it."""

    hook: Hook
    refusal: Refused | None

    def facts(self) -> dict[str, Any]:
        """As attributes of a span."""
        return {
            names.DECISION: "hook",
            names.DECISION_TO: "allowed" if self.refusal is None else "refused",
            names.DECISION_ACTOR: " ".join(self.hook.command),
            f"{names.OUTCOME}success": self.refusal is None,
            f"{names.OUTCOME}summary": None if self.refusal is None else str(self.refusal.args[0]),
        }


def consult(
    event: str,
    about: Mapping[str, Any],
    given: Sequence[str] = (),
    keep: Callable[[Said], object] | None = None,
) -> list[Said]:
    """Ask every hook of an event, in order, up to the first that refuses.

    Args:
        event: one of `EVENTS`.
        about: what is about to happen, as JSON can tell it.
        given: hooks besides the project's.
        keep: told what each of them said, before a refusal is raised.

    Raises:
        Refused: a hook said no.
        BadInput: the project's hooks are not as they should be.
    """
    found: list[Said] = []
    for hook in hooks(event, given):
        refusal = None
        try:
            ask(hook, about)
        except Refused as error:
            refusal = error
        found.append(Said(hook, refusal))
        if keep is not None:
            keep(found[-1])
        if refusal is not None:
            raise refusal
    return found


def within(said: Said) -> None:
    """Keep in the run under way in this process what a hook said; nothing where nobody records."""
    from spanreel.instrument import recorder

    recording = recorder.current()
    if recording is not None:
        facts = {key: value for key, value in said.facts().items() if value is not None}
        span = recording.start(f"hook {said.hook.event}", names.KIND_INTERNAL, facts, outward=False)
        recording.end(span, durable=said.refusal is not None)


def live_tool(name: str, arguments: Any, safety: str, call_id: str | None = None) -> None:
    """Ask before a tool that is not `read` runs for real in an execution or a playbook.

    Raises:
        Refused: a hook said no.
    """
    if safety == "read":
        return
    about = {"tool": name, "arguments": arguments, "safety": safety, "call_id": call_id, "run_id": _run_id()}
    consult(BEFORE_LIVE_TOOL, about, keep=within)


def _run_id() -> str | None:
    from opentelemetry import context

    from spanreel.instrument.tracing import RUN_KEY

    found = context.get_current().get(RUN_KEY)
    return found if isinstance(found, str) else None


def recorded(hook: Hook, root: Span, refusal: Refused | None, store: Path) -> None:
    """Keep in the run what a hook said of it.

    Raises:
        StoreError: the store cannot be written.
    """
    from spanreel.collector.store import open_writer
    from spanreel.replay.approvals import written

    said = {
        **Said(hook, refusal).facts(),
        names.RUN_ID: root.attributes.get(names.RUN_ID),
        names.CAPTURE_LEVEL: root.attributes.get(names.CAPTURE_LEVEL),
    }
    if said[names.CAPTURE_LEVEL] not in (None, "full"):
        said.pop(f"{names.OUTCOME}summary")
    span = written(f"hook {hook.event}", root, secrets.token_hex(8), time.time_ns(), said)
    with open_writer(store) as writer:
        writer.add([span])


def _call(function: str, event: Mapping[str, Any]) -> str | None:
    module, _, name = function.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        found(event)
    except Exception as error:  # noqa: BLE001 - the project's own code; whatever it raises is its refusal
        return f"{type(error).__name__}: {error}".rstrip(": ")
    return None


def _run(command: Sequence[str], event: Mapping[str, Any], seconds: float) -> str | None:
    given = json.dumps(event, ensure_ascii=False, default=str)
    try:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            errors="replace",
        )
    except OSError as error:
        return f"it cannot be started ({error.strerror})"
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:g} s"
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"exit code {done.returncode}"


def _is_words(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and bool(value) and all(isinstance(one, str) for one in value)
