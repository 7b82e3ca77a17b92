"""LOUD: which Python program does a command line start? Options of the interpreter apart from the program's own.

A program is what a launcher can run in its own process: a script, ``-m module``, ``-c code``. What is no Python program
is refused, with what to do instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from spanreel.exceptions import SpanreelError

_PYTHON = re.compile(r"(?:python|pypy)[\d.]*(?:\.exe)?")
_SHEBANG = re.compile(rb"#!\s*(\S+)(?:\s+(\S+))?")
_SH_EXEC = re.compile(rb"""^'''exec'\s+"?([^"\s]+)"?\s""", re.MULTILINE)
_WITH_VALUE = frozenset({"-W", "-X", "--check-hash-based-pycs"})


@dataclass(frozen=True, slots=True)
class Program:
    """A Python program. options: of the interpreter; arguments: a script, -m or -c, and what follows."""

    interpreter: str
    options: tuple[str, ...]
    arguments: tuple[str, ...]


def is_our_own(program: Program) -> bool:
    """Whether the program is the `spanreel` command."""
    first, *rest = program.arguments
    return rest[:1] == ["spanreel"] if first == "-m" else Path(first).name in ("spanreel", "spanreel.exe")


def program(command: Sequence[str]) -> Program:
    """The Python program that a command line starts.

    Args:
        command: as after ``--``: ``python agent.py``, ``agent.py``, ``pytest -x``, the name of a console script.

    Raises:
        SpanreelError: there is no such program, or it is none of Python's.
    """
    if not command:
        raise SpanreelError("there is no command to run", "name one after `--`, such as `-- python agent.py`")
    name = command[0]
    if _PYTHON.fullmatch(Path(name).name):
        interpreter = shutil.which(name)
        if interpreter is None:
            raise SpanreelError(f"there is no program {name!r}", f"use {sys.executable}")
        return of_interpreter(command[1:], _with_spanreel(interpreter))
    if name.endswith(".py"):
        return Program(sys.executable, (), tuple(command))
    path = shutil.which(name)
    if path is None:
        raise SpanreelError(
            f"there is no program {name!r}", "name one that is there, such as `python agent.py`"
        )
    interpreter = _script_interpreter(path)
    if interpreter is None:
        raise SpanreelError(
            f"{name} is not a Python program, and only those can be run with capture on",
            "run its Python entry point: `-- python …` or `-- python -m …`",
        )
    return Program(_with_spanreel(interpreter), (), (path, *command[1:]))


def of_interpreter(arguments: Sequence[str], interpreter: str = "") -> Program:
    """The program that ``python ARGUMENTS`` starts.

    Args:
        arguments: what follows the interpreter.
        interpreter: its path; default: the one that runs now.

    Raises:
        SpanreelError: they name no program: an interactive session, or a script on standard input.
    """
    options: list[str] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        if rest[0][:2] in ("-m", "-c") and len(rest[0]) > 2:
            rest[:1] = [rest[0][:2], rest[0][2:]]
        if rest[0] in ("-m", "-c") or rest[0] == "--":
            break
        taken = 2 if rest[0] in _WITH_VALUE else 1
        options += rest[:taken]
        rest = rest[taken:]
    if rest[:1] == ["--"]:
        rest = rest[1:]
    complete = bool(rest) and rest[0] != "-" and (rest[0] not in ("-m", "-c") or len(rest) > 1)
    if not complete:
        raise SpanreelError(
            "a Python session without a script cannot be run again",
            "name a script, or -m MODULE, after `--`",
        )
    return Program(interpreter or sys.executable, tuple(options), tuple(rest))


def _script_interpreter(path: str) -> str | None:
    """The Python that a script's first lines name; None for anything else."""
    with open(path, "rb") as file:
        head = file.read(1024)
    found = _SHEBANG.match(head)
    if found is None:
        return None
    named = os.fsdecode(found[1])
    if Path(named).name == "env" and found[2]:
        named = shutil.which(os.fsdecode(found[2])) or ""
    through_sh = _SH_EXEC.search(head)
    if through_sh:
        named = os.fsdecode(through_sh[1])
    return named if _PYTHON.fullmatch(Path(named).name) else None


def _with_spanreel(interpreter: str) -> str:
    """The interpreter, if it can import spanreel."""
    if Path(interpreter).absolute().parent == Path(sys.executable).absolute().parent:
        return interpreter
    asked = subprocess.run(
        [interpreter, "-c", "import spanreel.instrument.activate"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if asked.returncode:
        raise SpanreelError(
            f"spanreel is not installed for {interpreter}", f"install it there, or use {sys.executable}"
        )
    return interpreter
