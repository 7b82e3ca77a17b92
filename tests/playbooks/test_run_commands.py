"""`spanreel playbook run` and `spanreel run TARGET`: exit codes, what they print, and runs that can be gone through again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from spanreel.cli.running import is_target
from spanreel.replay.load import load

ROOT = Path(__file__).resolve().parents[2]
TOOLS = """
import spanreel
@spanreel.tool(safety="read", name="cli_look")
def look(order):
    return {"order": order, "open": order != "W0"}
@spanreel.tool(name="cli_pay")
def pay(order):
    open("ledger", "a").write(order + "\\n")
    return {"paid": order}
"""
BOOK = """
spanreel: playbook/v1
name: cli-book
params: {order: {type: string}}
initial: look
states:
  look: {tool: cli_look, args: {order: "{{ params.order }}"}, save_as: seen, next: pay}
  pay: {tool: cli_pay, args: {order: "{{ seen.order }}"}, pre: [{json: seen.open, equals: true}], next: end}
"""
AGENTS = """
import openai, os, time
import spanreel, cli_tools

@spanreel.agent(name="payer")
def payer(order, times=1):
    for _ in range(times):
        cli_tools.pay(order["id"])
    return f"paid {order['id']}"

async def plain(word: str = "x"):
    if word == "no":
        raise ValueError("not that word")
    return word * 2

def slow():
    time.sleep(60)

def gated():
    return spanreel.await_approval("gate").approved
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("cli_tools.py").write_text(TOOLS)
    Path("book.yaml").write_text(BOOK)
    Path("agents.py").write_text(AGENTS.replace("import openai, os, time", "import time"))
    return tmp_path


def spanreel(*words: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "spanreel", *words]
    done = subprocess.run(
        line,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def ledger() -> list[str]:
    return Path("ledger").read_text().splitlines() if Path("ledger").exists() else []


def test_a_playbook_runs_from_its_file_and_replays() -> None:
    """The output on stdout, the next command on stderr; the run is one like any other."""
    done = spanreel("playbook", "run", "book.yaml", "--param", "order=W1", "--tools", "cli_tools")
    assert (done.returncode, json.loads(done.stdout), ledger()) == (0, {"paid": "W1"}, ["W1"])
    assert "spanreel show" in done.stderr
    assert spanreel("replay", "last").returncode == 0
    assert ledger() == ["W1"]


def test_a_guard_that_stops_it_is_one_line_and_exit_code_1() -> None:
    """The state and the guard; --json has them apart."""
    done = spanreel("playbook", "run", "book.yaml", "--param", "order=W0", "--tools", "cli_tools")
    assert (done.returncode, done.stdout, ledger()) == (1, "", [])
    assert done.stderr.splitlines()[0].startswith(
        "cli-book: failed: state pay: precondition: seen.open is false"
    )
    told = json.loads(
        spanreel(
            "playbook", "run", "book.yaml", "--params", '{"order": "W0"}', "--tools", "cli_tools", "--json"
        ).stdout
    )
    assert (told["schema"], told["status"]) == ("spanreel.playbook_run.v1", "failed")
    assert (told["failure"]["guard"], told["failure"]["state"], told["visited"]) == (
        "precondition",
        "pay",
        ["look", "pay"],
    )


def test_a_budget_on_the_command_line_only_narrows() -> None:
    """The playbook's own stays."""
    words = ("playbook", "run", "book.yaml", "--param", "order=W1", "--tools", "cli_tools")
    assert "budget" in spanreel(*words, "--max-tool-calls", "1").stderr
    Path("book.yaml").write_text(BOOK + "budget: {max_tool_calls: 1}\n")
    assert "budget" in spanreel(*words, "--max-tool-calls", "9").stderr
    assert ledger() == []


def test_the_projects_tools_are_imported_by_themselves() -> None:
    """[tool.spanreel.playbooks] tools; a module that is not there is one line."""
    Path("pyproject.toml").write_text('[tool.spanreel.playbooks]\ntools = ["cli_tools"]\n')
    assert spanreel("playbook", "run", "book.yaml", "--param", "order=W1").returncode == 0
    done = spanreel("playbook", "run", "book.yaml", "--param", "order=W1", "--tools", "no_such_tools")
    assert (done.returncode, "no_such_tools" in done.stderr) == (1, True)


def test_what_is_wrong_with_the_call_is_one_line() -> None:
    """Nothing runs."""
    for words in (("--param", "order"), ("--params", "[1]"), ("--params", "@gone.json")):
        done = spanreel("playbook", "run", "book.yaml", *words)
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 2), done.stderr
    assert spanreel("playbook", "run", "nobody").returncode == 2


def test_an_agent_function_is_run_with_its_inputs_and_labels() -> None:
    """Marked as an agent or not; replayed like any run."""
    done = spanreel("run", "agents:payer", "--input", "order.id=W7", "--input", "times=2", "--run-id", "mine", "--tag", "team=shop",
                    "--metadata-json", '{"n": 1}', "--experiment-json", '{"prompt": "b"}')  # fmt: skip
    assert (done.returncode, done.stdout.strip(), ledger()) == (0, "paid W7", ["W7", "W7"])
    run = load("mine")
    assert (run.agent_name, run.status, run.input) == (
        "payer",
        "completed",
        {"order": {"id": "W7"}, "times": 2},
    )
    assert spanreel("replay", "mine").returncode == 0
    assert ledger() == ["W7", "W7"]
    done = spanreel("run", "agents.py:plain", "--inputs-json", '{"word": "ab"}', "--json")
    assert json.loads(done.stdout)["output"] == "abab"


def test_a_function_that_fails_or_waits_says_so_by_its_exit_code() -> None:
    """1, 3; and an argument too many is told before anything runs."""
    done = spanreel("run", "agents:plain", "--input", "word=no")
    assert (done.returncode, "ValueError: not that word" in done.stderr) == (1, True)
    assert load("last").status == "error"
    assert spanreel("run", "agents:gated").returncode == 3
    assert spanreel("approve", "last").returncode == 0
    assert spanreel("resume", "last").returncode == 0
    assert "cannot be called" in spanreel("run", "agents:plain", "--input", "other=1").stderr


def test_a_run_that_takes_too_long_is_ended_and_says_so() -> None:
    """It does not look as if it still ran."""
    done = spanreel("run", "agents:slow", "--timeout", "3")
    assert (done.returncode, "ended after 3 s" in done.stderr) == (1, True)
    assert load("last").status == "error"


def test_a_dry_run_writes_nothing_and_a_dry_check_runs_nothing() -> None:
    """Placeholders for what writes; problems for what is missing."""
    assert spanreel("run", "agents:payer", "--input", "order.id=W1", "--dry-run").returncode == 0
    assert ledger() == []
    before = spanreel("runs", "--json").stdout
    assert (
        spanreel("run", "book.yaml", "--input", "order=W1", "--tools", "cli_tools", "--dry-check").returncode
        == 0
    )
    done = spanreel("run", "book.yaml", "--dry-check", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"], len(told["problems"])) == (1, False, 3)
    assert spanreel("runs", "--json").stdout == before


def test_a_program_after_the_dashes_is_run_as_it_always_was() -> None:
    """Its options are its own; options for a TARGET are refused."""
    Path("prog.py").write_text("import sys; print(sys.argv[1:]); sys.exit(7)")
    done = spanreel("run", "--", sys.executable, "prog.py", "--input", "x")
    assert (done.returncode, done.stdout.strip()) == (7, "['--input', 'x']")
    done = spanreel("run", "prog.py", "--flag")
    assert (done.returncode, done.stdout.strip()) == (7, "['--flag']")
    assert spanreel("run", "--dry-run", "prog.py").returncode == 2


def test_what_is_a_target(tmp_path: Path) -> None:
    """Files of playbooks, names with a colon; a script only if it makes a playbook."""
    assert all(
        map(is_target, ["a.yaml", "x/b.YML", "c.json", "mod:name", "playbook:p@3", "a.py:f", "/tmp/a.py:f"])
    )
    assert not any(map(is_target, ["python", "agent.py", "pytest", "./run", "http://x/y", "-m"]))
    Path("made.py").write_text("import spanreel\np = spanreel.Playbook('p')\n")
    assert is_target("made.py")


def test_every_verb_knows_the_projects_tools() -> None:
    """What runs one, plans, lints, validates, suggests, dispatches or pins it asks the same setting."""
    Path("pyproject.toml").write_text('[tool.spanreel.playbooks]\ntools = ["cli_tools"]\n')
    for words in (
        ("playbook", "simulate", "book.yaml", "--param", "order=W1"),
        ("playbook", "lint", "book.yaml"),
        ("validate", "book.yaml", "--strict"),
        ("contract", "book.yaml"),
    ):
        done = spanreel(*words)
        assert "registered" not in done.stdout + done.stderr, done.stdout + done.stderr
    assert spanreel("playbook", "import", "book.yaml").returncode == 0
    said = ("--force", "--reason", "a trial")
    assert spanreel("playbook", "promote", "cli-book", "--to", "shadow", *said).returncode == 0
    assert spanreel("playbook", "promote", "cli-book", *said).returncode == 0
    found = json.loads(spanreel("playbook", "suggest", "x", "--all", "--input", "order=W1", "--json").stdout)
    assert "tools" in [one["code"] for one in found["suggestions"][0]["reasons_for"]]
    done = spanreel("playbook", "dispatch", "cli book", "--input", "order=W1", "--dry", "--json")
    assert "tool_missing" not in done.stdout
