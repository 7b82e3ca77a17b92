"""LOUD: a tool that runs programs, of which each stands on a list; without a shell, with a small environment, for a time.

A command is allowed when a pattern is the beginning of its words: ``git status`` allows ``git status --short``, but not
``git -C / status``. A program that takes code as an argument (``bash -c``) has to be listed with that very option.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Any, Final

from spanreel.exceptions import BadInput
from spanreel.instrument import tools
from spanreel.instrument.tool_call import Tool
from spanreel.replay.playbooks.executors import EXECUTOR, PLACE, ToolFailed

NAME: Final = "run_command"
SECONDS: Final = 60.0
OUTPUT: Final = 64 * 1024
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")
_TAKES_CODE: Final = re.compile(
    r"(ba|z|da|k|a|fi)?sh|python[\d.]*|perl|ruby|node|php|awk|env|xargs|sudo|nohup|timeout"
)
_CODE: Final = re.compile(r"-[a-zA-Z]*[ceE]|--?(eval|exec|command|e|r|p|print)(=.*)?")
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "argv": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "description": "Program and arguments.",
        },
        "stdin": {"type": "string", "description": "What it reads."},
    },
    "required": ["argv"],
    "additionalProperties": False,
}


class NotListed(ToolFailed):
    """A command that the tool's list does not have; nothing was run."""


@dataclass(frozen=True)
class Programs:
    """What a tool may run.

    Attributes:
        name: of the tool.
        allow: patterns, each the first words of a command.
        safety: of the tool: that of the strictest command in it.
        timeout: seconds, after which the program and all that it started are ended.
        output: bytes of each of stdout and stderr that are kept.
        env: names of variables that it gets besides `PATH`, `HOME`, and those of language and time zone.
        cwd: where it runs; default: the working directory.
    """

    name: str
    allow: tuple[tuple[str, ...], ...]
    safety: str = "write"
    timeout: float = SECONDS
    output: int = OUTPUT
    env: tuple[str, ...] = field(default=())
    cwd: str | None = None

    def register(self) -> Callable[..., Any]:
        """Register the tool; gives its function."""

        def run(argv: list[str], stdin: str | None = None) -> dict[str, Any]:
            return self.run(argv, stdin)

        run.__name__ = self.name
        run.__qualname__ = f"<programs>.{self.name}"
        setattr(run, PLACE, {EXECUTOR: "program", "tool": self._said()})
        listed = ", ".join(shlex.join(one) for one in self.allow)
        described = f"Run a program, without a shell. Allowed are commands that begin with: {listed}."
        return tools.register(
            Tool(self.name, self.safety, function=run, description=described, schema=_SCHEMA)
        )

    def run(self, argv: Sequence[str], stdin: str | None = None) -> dict[str, Any]:
        """Run a command; `exit_code`, `stdout`, `stderr`, and `truncated`: whether more was written than is kept.

        Raises:
            NotListed: nobody put it on the list.
            ToolFailed: there is no such program, or it took too long.
        """
        words = self._allowed(argv)
        program = shutil.which(words[0])
        if program is None:
            raise ToolFailed(f"there is no program {words[0]}")
        environment = {key: os.environ[key] for key in (*_KEPT, *self.env) if key in os.environ}
        try:
            child = subprocess.Popen(
                words, executable=program, cwd=self.cwd, env=environment, start_new_session=True,
                stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise ToolFailed(f"{words[0]} cannot be started ({error})") from error
        pipes = [_Pipe(child.stdout, self.output), _Pipe(child.stderr, self.output)]
        feeding = _Feed(child.stdin, stdin) if stdin is not None else None
        try:
            code = child.wait(self.timeout)
        except subprocess.TimeoutExpired:
            raise ToolFailed(f"{shlex.join(words)} took longer than {self.timeout:g} s") from None
        finally:
            _end(child)
            for one in (*pipes, *([feeding] if feeding else [])):
                one.join(5)
        return {
            "exit_code": code,
            "stdout": pipes[0].text,
            "stderr": pipes[1].text,
            "truncated": any(one.more for one in pipes),
        }

    def _allowed(self, argv: Any) -> list[str]:
        if not isinstance(argv, (list, tuple)) or not argv or not all(isinstance(one, str) for one in argv):
            raise NotListed(f'{argv!r} is no command; give its words: ["git", "status"]')
        words = [str(one) for one in argv]
        code = _code_at(words)
        for pattern in self.allow:
            if tuple(words[: len(pattern)]) == pattern and (code is None or code < len(pattern)):
                return words
        listed = ", ".join(shlex.join(one) for one in self.allow) or "nothing"
        raise NotListed(f"tool {self.name} may not run {shlex.join(words)}; on its list is: {listed}")

    def _said(self) -> dict[str, Any]:
        return {
            "name": self.name, "allow": [list(one) for one in self.allow], "safety": self.safety, "timeout": self.timeout,
            "output": self.output, "env": list(self.env), "cwd": self.cwd,
        }  # fmt: skip


def subprocess_tool(
    name: str = NAME, allow: Sequence[Any] = (), *, safety: str | None = None, timeout: float = SECONDS,
    output: int = OUTPUT, env: Sequence[str] = (), cwd: str | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """Register a tool that runs the programs of a list, and no other.

    Args:
        name: of the tool.
        allow: the first words of each command: a text, a list, or ``{"run": …, "safety": "read"}``.
        safety: of every command that says none of its own; default: write. The tool's is the strictest in it, so keep
            what only reads in a tool of its own.
        timeout: seconds.
        output: bytes of each of stdout and stderr that are kept.
        env: names of further variables that the programs get.
        cwd: where they run.

    Raises:
        BadInput: a pattern is empty, or there is no such safety class.
    """
    return _programs(
        {
            "name": name, "allow": list(allow), "safety": safety, "timeout": timeout, "output": output,
            "env": list(env), "cwd": cwd,
        },
        f"subprocess_tool({name!r})",
    ).register()  # fmt: skip


def from_settings(said: Mapping[str, Any]) -> list[str]:
    """Register what `[tool.spanreel.commands]` says: `allow` for one tool, or a table for each tool by name.

    Raises:
        BadInput: it is not as it should be.
    """
    made: Mapping[str, Any] = {NAME: said} if "allow" in said else said
    for name, one in made.items():
        where = f"[tool.spanreel.commands{'' if one is said else f'.{name}'}] in pyproject.toml"
        if not isinstance(one, Mapping):
            raise BadInput(f"{where} is no table", 'such as allow = ["git status"]')
        _programs({"name": name, **one}, where).register()
    return list(made)


def again(place: Mapping[str, Any]) -> list[str]:
    """Register a tool as a recording says it was."""
    return [_programs(place["tool"], "the recording").register().__name__]


def _programs(said: Mapping[str, Any], where: str) -> Programs:
    known = Programs.__dataclass_fields__
    unknown = sorted(said.keys() - known.keys())
    if unknown:
        raise BadInput(f"{where} has no {unknown[0]}", f"it has {', '.join(known)}")
    listed = said.get("allow")
    default = said.get("safety") or "write"
    if not isinstance(listed, list) or not listed:
        raise BadInput(f"{where} allows nothing", 'such as allow = ["git status"]')
    patterns: list[tuple[str, ...]] = []
    safeties: list[str] = []
    for one in listed:
        run: Any = one.get("run") if isinstance(one, Mapping) else one
        words = shlex.split(run) if isinstance(run, str) else run
        if (
            not isinstance(words, list)
            or not words
            or not all(isinstance(word, str) and word for word in words)
        ):
            raise BadInput(f"{one!r} in {where} is no command", 'give its first words: "git status"')
        patterns.append(tuple(words))
        safeties.append(one.get("safety") or default if isinstance(one, Mapping) else default)
    wrong = next((one for one in safeties if one not in tools.SAFETY), None)
    if wrong is not None:
        raise BadInput(
            f"{where}: there is no safety class {wrong!r}", f"use one of {', '.join(tools.SAFETY)}"
        )
    rest = {key: said[key] for key in ("timeout", "output", "cwd") if said.get(key) is not None}
    strictest = max(safeties, key=tools.SAFETY.index)
    return Programs(str(said["name"]), tuple(patterns), strictest, env=tuple(said.get("env") or ()), **rest)


def _code_at(words: Sequence[str]) -> int | None:
    """Where a command hands code, or another program, to what would run it; None: nowhere."""
    if not _TAKES_CODE.fullmatch(os.path.basename(words[0])):
        return None
    return next((at for at, word in enumerate(words) if at and _CODE.fullmatch(word)), None)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the program and whatever it started and left behind, which would hold the pipes open."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # nothing is left of it
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


class _Pipe(threading.Thread):
    """Reads a pipe to its end and keeps its beginning."""

    def __init__(self, pipe: IO[bytes] | None, limit: int) -> None:
        super().__init__(daemon=True, name="spanreel-program")
        assert pipe is not None
        self._pipe = pipe
        self._limit = limit
        self._kept = bytearray()
        self.more = False
        self.start()

    def run(self) -> None:
        with self._pipe:
            while piece := self._pipe.read1(65536):  # type: ignore[attr-defined]
                room = self._limit - len(self._kept)
                self.more = self.more or len(piece) > room
                self._kept += piece[: max(0, room)]

    @property
    def text(self) -> str:
        return bytes(self._kept).decode("utf-8", "replace")


class _Feed(threading.Thread):
    """Writes what a program reads; one that does not want it ends that."""

    def __init__(self, pipe: IO[bytes] | None, text: str) -> None:
        super().__init__(daemon=True, name="spanreel-program")
        assert pipe is not None
        self._pipe = pipe
        self._text = text
        self.start()

    def run(self) -> None:
        try:
            with self._pipe:
                self._pipe.write(self._text.encode("utf-8", "replace"))
        except (BrokenPipeError, ConnectionResetError):
            return
