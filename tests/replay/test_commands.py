"""Which program a command line starts."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.exceptions import SpanreelError
from spanreel.replay.commands import of_interpreter, program


@pytest.mark.parametrize(
    ("arguments", "options", "rest"),
    [
        (["a.py", "-m", "x"], (), ("a.py", "-m", "x")),
        (
            ["-u", "-X", "dev", "-W", "error", "-m", "pkg", "-v"],
            ("-u", "-X", "dev", "-W", "error"),
            ("-m", "pkg", "-v"),
        ),
        (["-mpkg"], (), ("-m", "pkg")),
        (["-c", "print(1)", "y"], (), ("-c", "print(1)", "y")),
        (["-Werror", "--", "-odd.py"], ("-Werror",), ("-odd.py",)),
    ],
)
def test_options_of_the_interpreter_are_kept_apart(arguments, options, rest):
    """They go to the interpreter again; what follows is the program's."""
    found = of_interpreter(arguments)
    assert (found.options, found.arguments, found.interpreter) == (options, rest, sys.executable)


@given(st.lists(st.sampled_from(["-m", "-c", "-", "--", "-X", "-u", "a.py", "", "-cx"]), max_size=5))
def test_any_arguments_are_a_program_or_refused(arguments):
    """Never anything else."""
    try:
        found = of_interpreter(arguments)
    except SpanreelError:
        return
    assert found.arguments
    assert found.arguments[0] != "-"


@pytest.mark.parametrize(
    ("head", "python"),
    [
        (f"#!{sys.executable}\n", True),
        ("#!/usr/bin/env python3\n", True),
        (f"#!/bin/sh\n'''exec' \"{sys.executable}\" \"$0\" \"$@\"\n' '''\n", True),
        ("#!/bin/sh\necho\n", False),
        ("\x7fELF", False),
    ],
)
def test_console_scripts_are_told_by_their_first_lines(head, python, tmp_path, monkeypatch):
    """The interpreter that they name runs them; another program is refused."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{sys.executable.rpartition('/')[0]}")
    script = tmp_path / "tool"
    script.write_text(head)
    script.chmod(0o755)
    if python:
        found = program(["tool", "x"])
        assert found.arguments == (str(script), "x")
    else:
        with pytest.raises(SpanreelError, match="not a Python program"):
            program(["tool", "x"])
