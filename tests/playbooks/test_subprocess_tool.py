"""A tool that runs programs runs those on its list and no other, for so long, and says what it left out."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import environment

import spanreel
from spanreel.exceptions import BadInput
from spanreel.instrument import tools
from spanreel.replay.playbooks import executors
from spanreel.replay.playbooks.executors import ToolFailed
from spanreel.replay.playbooks.executors.programs import NotListed, from_settings, subprocess_tool
from spanreel.replay.playbooks.playbook import Playbook

PYTHON = os.path.basename(sys.executable)


@pytest.fixture(autouse=True)
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In a folder of its own, with this interpreter on the path; no test leaves a tool behind."""
    before = dict(tools._declared)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    yield
    tools._declared.clear()
    tools._declared.update(before)


def script(tmp_path: Path, text: str) -> str:
    (tmp_path / "script.py").write_text(text)
    return "script.py"


def test_what_is_listed_runs(tmp_path: Path) -> None:
    """With its exit code and what it wrote; it reads what it is given; the folder is the one that is named."""
    run = subprocess_tool("programs_all", ["echo", f"{PYTHON} script.py"], cwd=str(tmp_path))
    assert run(["echo", "a b", "$HOME;ls"]) == {
        "exit_code": 0, "stdout": "a b $HOME;ls\n", "stderr": "", "truncated": False,
    }  # fmt: skip
    script(tmp_path, "import sys; print(sys.stdin.read().upper(), sys.argv[1:]); sys.exit('no')")
    found = run([PYTHON, "script.py", "-x"], stdin="hi")
    assert found == {"exit_code": 1, "stdout": "HI ['-x']\n", "stderr": "no\n", "truncated": False}


@pytest.mark.parametrize(
    "argv",
    [
        ["ls"],
        ["git", "push"],
        ["git", "-C", "/", "status"],
        ["git"],
        ["/usr/bin/git", "status"],
        ["./git", "status"],
        ["git status"],
        ["bash", "-c", "ls"],
        ["bash", "-lc", "ls"],
        ["bash", "-e", "-c", "ls"],
        ["env", "-S", "ls"],
        [PYTHON, "-c", "1"],
        [],
        "git status",
        ["git", 3],
        None,
    ],
)
def test_what_is_not_listed_is_refused_by_name(argv: Any) -> None:
    """Other programs, other first words, another path, code for a shell that is listed without it, and what is no list."""
    run = subprocess_tool("programs_git", ["git status", "bash", PYTHON])
    with pytest.raises(NotListed, match=r"may not run|is no command"):
        run(argv)


def test_code_is_run_only_where_it_is_listed() -> None:
    """`bash -c` itself has to be on the list; a script for bash does not need that."""
    run = subprocess_tool("programs_bash", ["bash -c"])
    assert run(["bash", "-c", "echo $((1+1))"])["stdout"] == "2\n"
    listed = subprocess_tool("programs_scripts", ["bash"])
    Path("s.sh").write_text("echo ok\n")
    assert listed(["bash", "s.sh"])["stdout"] == "ok\n"


def test_the_environment_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables of this process are not handed on, but for a few and those that are named."""
    monkeypatch.setenv("SECRET_KEY", "s3cret")
    monkeypatch.setenv("WANTED", "yes")
    run = subprocess_tool("programs_env", ["env"], env=["WANTED"])
    said = dict(line.split("=", 1) for line in run(["env"])["stdout"].splitlines())
    assert said["WANTED"] == "yes"
    assert set(said) <= {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "WANTED"}


def test_a_long_output_is_cut_and_says_so(tmp_path: Path) -> None:
    """The beginning is kept; the program is not held up by what is not."""
    name = script(tmp_path, "print('x' * 3_000_000)\nimport sys\nprint('e' * 10, file=sys.stderr)")
    found = subprocess_tool("programs_long", [f"{PYTHON} {name}"], output=1000)([PYTHON, name])
    assert (found["exit_code"], found["stdout"], found["stderr"], found["truncated"]) == (
        0,
        "x" * 1000,
        "e" * 10 + "\n",
        True,
    )


def test_a_program_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Its children too, which would go on for ever."""
    Path("s.sh").write_text("(sleep 300; touch late) & echo $! > child; sleep 300\n")
    run = subprocess_tool("programs_slow", ["bash s.sh"], timeout=0.7)
    with pytest.raises(ToolFailed, match=r"bash s.sh took longer than 0.7 s"):
        run(["bash", "s.sh"])
    state = Path(f"/proc/{Path('child').read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_background_program_does_not_hold_the_call(tmp_path: Path) -> None:
    """What it leaves behind is ended when it ends."""
    Path("s.sh").write_text("sleep 300 & echo started\n")
    assert subprocess_tool("programs_left", ["bash s.sh"])(["bash", "s.sh"])["stdout"] == "started\n"


def test_safety_is_the_strictest_of_the_list() -> None:
    """Default write; a tool of what only reads is read."""
    subprocess_tool(
        "programs_r", [{"run": "git status", "safety": "read"}, {"run": "git log", "safety": "read"}]
    )
    subprocess_tool("programs_w", ["git add"])
    subprocess_tool("programs_i", ["git add", {"run": "git push", "safety": "irreversible"}])
    known = tools.registered()
    assert [known[f"programs_{one}"].safety for one in "rwi"] == ["read", "write", "irreversible"]


def test_settings_make_tools() -> None:
    """`allow` for one tool, a table for each of several; what is wrong is one line that names the place."""
    assert from_settings({}) == []
    assert from_settings({"allow": ["echo"]}) == ["run_command"]
    Path("pyproject.toml").write_text(
        '[tool.spanreel.commands.look_at_git]\nallow = ["git status"]\nsafety = "read"\n'
    )
    assert executors.prepare(["look_at_git"]) == ["look_at_git"]
    assert executors.named("programs") == ["look_at_git"]
    assert tools.registered()["look_at_git"].safety == "read"
    for wrong, words in (
        ({"allow": []}, "allows nothing"),
        ({"allow": [""]}, "is no command"),
        ({"allow": ["x"], "shell": True}, r"\[tool.spanreel.commands\].* has no shell"),
        ({"allow": ["x"], "safety": "wild"}, "no safety class 'wild'"),
        ({"look": 3}, r"commands.look\].* is no table"),
    ):
        with pytest.raises(BadInput, match=words):
            from_settings(wrong)


def test_a_playbook_runs_programs_and_its_replay_does_not(tmp_path: Path) -> None:
    """The execution is replayed in another process: the tool is there, and the program is not run again."""
    script(tmp_path, "open('ran', 'a').write('x'); print('done')")
    subprocess_tool("programs_played", [f"{PYTHON} script.py"])
    body = {
        "name": "programmed",
        "initial": "run",
        "states": {
            "run": {
                "tool": "programs_played",
                "args": {"argv": [PYTHON, "script.py"]},
                "post": [{"exit_code": 0}, {"stdout_contains": "done"}],
            }
        },
    }
    spanreel.instrument()
    result = Playbook.load(body).run()
    spanreel.uninstrument()
    assert result.status == "completed", result.failure
    done = subprocess.run(
        [sys.executable, "-m", "spanreel", "replay", str(result.run_id)], env=environment(tmp_path),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert Path("ran").read_text() == "x"
