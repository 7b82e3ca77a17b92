"""A playbook is data: whatever its file says, nothing runs that its caller did not name."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import spanreel
from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.formats.file import body_of

CHECKS = """
import os
from pathlib import Path
import spanreel

def mark(ctx):
    Path(ctx.params.mark).touch()
    return "marked"

@spanreel.tool(name="data_pay")
def pay(mark):
    Path(mark).touch()
"""


@pytest.fixture(autouse=True)
def recording() -> Iterator[None]:
    on = spanreel.instrument()
    yield
    on.uninstrument()


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is there once code has run; the module `data_checks` makes it."""
    (tmp_path / "data_checks.py").write_text(CHECKS)
    (tmp_path / "data_loud.py").write_text("import os; open(os.environ['DATA_MARK'], 'w')\n")
    monkeypatch.setenv("DATA_MARK", str(tmp_path / "mark"))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    for name in ("data_checks", "data_loud"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path / "mark"


def book(state: str, more: str = "") -> Body:
    return body_of(
        f"spanreel: playbook/v1\nname: data\nparams: {{mark: {{}}}}\ninitial: a\n{more}states:\n  a: {state}\n"
    )


def run(body: Body, mark: Path, **given: Any) -> Any:
    return spanreel.Playbook.of(body).run({"mark": str(mark)}, **given)


@pytest.mark.parametrize(
    "state",
    [
        "{python: 'os:system'}",
        "{python: 'data_loud:anything'}",
        "{python: 'data_checks:mark'}",
        "{pre: [{python: 'data_checks:mark'}]}",
        "{pre: [{any: [{python: 'data_loud:anything'}, {always: false}]}]}",
        "{assert: [{not: {python: 'os:getenv'}}]}",
        "{branch: {cases: [{when: [{python: 'data_loud:anything'}], next: end}]}}",
    ],
)
def test_code_of_a_module_that_nobody_named_is_not_even_imported(state: str, mark: Path) -> None:
    """Neither for a state nor for a condition; it stops the run, and says what would allow it."""
    found = run(book(state), mark)
    assert (found.status, mark.exists()) == ("failed", False)
    assert "nobody named that module" in found.failure.reason


def test_a_module_that_the_caller_names_is_allowed_and_found_again_in_a_replay(mark: Path) -> None:
    """With `modules`; what the recording says of it is enough for the replay."""
    body = book("{python: 'data_checks:mark', pre: [{python: 'data_checks:mark'}]}")
    found = run(body, mark, modules=["data_checks"])
    assert (found.output, mark.exists()) == ("marked", True)
    spanreel.instrument().flush()
    from spanreel.replay.child import replay_run

    again = replay_run(os.environ["SPANREEL_STORE"], found.run_id)
    assert again.verdict is not None
    assert (again.verdict.verdict, again.verdict.status) == ("exact", "completed")


@pytest.mark.parametrize("function", ["data_checks:os.system", "data_checks:Path", "data_checks:os"])
def test_what_an_allowed_module_imported_is_not_allowed_by_it(function: str, mark: Path) -> None:
    """Only what it defines."""
    with pytest.raises(SpanreelError, match=r"and not of data_checks|no function os"):
        run(book(f"{{python: '{function}'}}"), mark, modules=["data_checks"])


def test_a_tool_is_not_called_past_its_guards_as_a_function(mark: Path) -> None:
    """A state of a tool asks for its safety class, its approval and its budget; one in Python does not."""
    with pytest.raises(SpanreelError, match="is a tool"):
        run(book("{python: 'data_checks:pay'}", "risk: high\n"), mark, modules=["data_checks"])
    assert not mark.exists()


def test_a_body_that_pins_code_imports_nothing_to_look_at_it(mark: Path) -> None:
    """The contract of the code is compared only where the code may be called."""
    with pytest.raises(SpanreelError, match="nobody named that module"):
        run(book("{python: 'data_loud:anything', code: 'state:x'}"), mark)
    assert not mark.exists()


def test_a_condition_on_a_repository_runs_nothing_that_the_repository_names(mark: Path) -> None:
    """Git would ask a program of its config for changes."""
    folder = mark.parent / "repository"
    spy = mark.parent / "spy"
    spy.write_text(f"#!/bin/sh\ntouch '{mark}'\n")
    spy.chmod(0o700)
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    subprocess.run(["git", "-C", str(folder), "config", "core.fsmonitor", str(spy)], check=True)
    (folder / "file").touch()
    subprocess.run(["git", "-C", str(folder), "-c", "core.fsmonitor=false", "add", "file"], check=True)
    run(book(f"{{pre: [{{git_clean: '{folder}'}}]}}"), mark)
    assert not mark.exists()
