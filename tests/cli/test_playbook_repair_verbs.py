"""`spanreel playbook lint | simulate | diff | repair | review`, as a user has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Cli, environment
from jsonschema import Draft202012Validator

from spanreel.cli.schemas import json_schema

TOOLS = """
import spanreel

DEPOT = {"D-1": {"state": "full", "crates": [{"crate": "CR-501"}]}}

@spanreel.tool(safety="read")
def read_depot(depot: str) -> dict:
    return DEPOT[depot]

@spanreel.tool
def move_crate(crate: str) -> dict:
    return {"moved": crate}
"""
AGENT = """
import sys
import spanreel
import depot_tools as tools

spanreel.instrument("depot")
with spanreel.run("mover", input={"depot": "D-1"}):
    found = tools.read_depot(depot="D-1")
    moved = tools.move_crate(**{sys.argv[1]: found["crates"][0]["crate"]})
    spanreel.outcome(success=True)
"""
PLAYBOOK = """
spanreel: playbook/v1
name: move-crate
goal: move a crate
params: {depot: {type: string, pattern: "D-[0-9]+"}}
matchers: {goal: [crate]}
initial: look
states:
  look:
    tool: read_depot
    args: {depot: "{{ params.depot }}"}
    save_as: found
    expect: {json: {state: full}}
    next: move
  move:
    tool: move_crate
    args: {crate: "{{ found.crates[0].crate }}"}
    post: [{json: moved, exists: true}]
    next: end
"""
EXECUTE = """
import spanreel
import depot_tools
from spanreel.replay.playbooks.entry import Wanted, run_body
from spanreel.replay.playbooks.governance.library import Library

spanreel.instrument("depot")
run_body(Library().get("move-crate").body, Wanted({"depot": "D-1"}, modules=["depot_tools"]))
"""


@pytest.fixture
def depot(tmp_path: Path, cli: Cli) -> Path:
    """A folder with tools, an agent, a run of it, and a playbook that is active."""
    for name, text in {
        "depot_tools.py": TOOLS,
        "agent.py": AGENT,
        "execute.py": EXECUTE,
        "move.yaml": PLAYBOOK,
    }.items():
        (tmp_path / name).write_text(text)
    script(tmp_path, "agent.py", "crate")
    assert cli("playbook", "import", "move.yaml").code == 0
    assert cli("playbook", "promote", "move-crate", "--force", "--reason", "a test").code == 0
    return tmp_path


def script(folder: Path, *words: str) -> None:
    env = environment(folder)
    env["PYTHONPATH"] += f":{folder}"
    subprocess.run([sys.executable, *words], cwd=folder, env=env, check=True, timeout=60, capture_output=True)


def with_tools(cli: Cli, folder: Path, *words: str) -> tuple[int, str, str]:
    env = environment(folder)
    done = cli(
        *words, "--tools", "depot_tools", env={"PYTHONPATH": f"{env['PYTHONPATH']}:{folder}"}, process=True
    )
    return done.code, done.out, done.err


def valid(text: str, schema: str) -> dict[str, object]:
    found = json.loads(text)
    Draft202012Validator(json_schema(schema)).validate(found)
    assert found["schema"] == f"spanreel.{schema}.v1"
    return found


def test_the_world_changes_and_the_command_line_follows(depot: Path, cli: Cli) -> None:
    """Renamed argument: executions fail, repair proposes, review approves once; what is picked never changes meanwhile."""
    before = json.loads(cli("playbook", "why", "move-crate", "--json").out)["hash"]
    (depot / "depot_tools.py").write_text(
        TOOLS.replace("def move_crate(crate: str)", "def move_crate(crate_id: str)").replace(
            '"moved": crate}', '"moved": crate_id}'
        )
    )
    script(depot, "execute.py")
    code, _, err = with_tools(cli, depot, "playbook", "repair", "move-crate", "--dry-run")
    assert (code, "look at this: no run shows" in err) == (0, True)
    script(depot, "agent.py", "crate_id")
    code, out, _ = with_tools(cli, depot, "playbook", "repair", "move-crate", "--like", "last", "--json")
    assert code == 0
    repair = valid(out, "playbook_repair")
    assert (repair["clean"], repair["parent"]) == (True, before)
    assert cli("playbook", "review", "move-crate", "--approve").code == 2
    done = cli(
        "playbook",
        "review",
        "move-crate",
        "--approve",
        "--reason",
        "new argument",
        "--actor",
        "ann",
        "--json",
    )
    assert done.code == 0, done.err
    review = valid(done.out, "playbook_review")
    assert (review["status"], review["active"], review["actor"]) == ("shadow", before, "ann")
    again = cli("playbook", "review", "move-crate@2", "--reject", "--reason", "no")
    assert (again.code, "reviewed before" in again.err) == (2, True)
    told = cli("playbook", "diff", "move-crate@1", "move-crate@2").out
    assert "- states.move.args.crate: {{ found.crates[0].crate }}" in told
    assert "+ states.move.args.crate_id: {{ found.crates[0].crate }}" in told
    valid(cli("playbook", "diff", "move-crate@1", "move-crate@2", "--json").out, "playbook_diff")
    assert json.loads(cli("playbook", "why", "move-crate", "--json").out)["hash"] == before


def test_what_cannot_be_repaired_is_one_line_and_keeps_nothing(depot: Path, cli: Cli) -> None:
    """Without a failure there is nothing to repair; the message says what to do."""
    done = cli("playbook", "repair", "move-crate")
    assert (done.code, done.err.count("\n")) == (2, 2)
    assert "--like RUN" in done.err
    (depot / "fix.json").write_text("[{]")
    assert "is no JSON" in cli("playbook", "repair", "move-crate", "--patch", "fix.json").err
    assert cli("playbook", "repair", "move-crate", "--patch", "nowhere.json").code == 1
    assert len(json.loads(cli("playbook", "list", "--json").out)["playbooks"]) == 1


def test_a_patch_in_step_form_is_kept_in_review(depot: Path, cli: Cli) -> None:
    """A patch file makes a body in review, flagged where it changes a guard; a review needs exactly one verdict."""
    (depot / "fix.json").write_text(json.dumps({"step_patches": [{"step_index": 2, "set": {"post": []}}]}))
    done = cli("playbook", "repair", "move-crate", "--patch", "fix.json", "--reason", "less")
    assert done.code == 0, done.err
    assert "is in review" in done.out
    assert "a guard asks for something else" in done.err
    assert cli("playbook", "review", "move-crate", "--reason", "x").code == 2
    assert cli("playbook", "review", "move-crate", "--reject", "--reason", "keep the guard").code == 0
    assert (
        cli(
            "playbook", "repair", "move-crate", "--counterexample", "last", "--reason", "the wrong depot"
        ).code
        == 0
    )


def test_lint_fails_on_errors_and_with_strict_on_warnings(depot: Path, cli: Cli) -> None:
    """0 without an error; with --strict 1 for a warning; every finding says what mends it."""
    code, out, _ = with_tools(cli, depot, "playbook", "lint", "move-crate")
    assert code == 0
    assert "warning no-success  success:" in out
    lines = out.splitlines()
    found = [at for at, line in enumerate(lines) if line.startswith(("warning ", "note "))]
    assert all(lines[at + 1].startswith("  → ") for at in found)
    assert cli("playbook", "lint", "move-crate", "--strict").code == 1
    told = valid(cli("playbook", "lint", "move.yaml", "--json").out, "playbook_lint")
    assert 0 < float(str(told["score"])) < 1


def test_simulate_is_ready_only_when_everything_is_known(depot: Path, cli: Cli) -> None:
    """1 and unknown without a recorded run, 0 and ready with one, 1 and blocked where no tool is registered."""
    code, out, err = with_tools(cli, depot, "playbook", "simulate", "move-crate", "--param", "depot=D-1")
    assert (code, "move-crate" in out, "unknown" in out) == (1, True, True)
    assert "result of look" in err
    code, out, _ = with_tools(cli, depot, "playbook", "simulate", "move-crate", "--from", "last", "--json")
    assert code == 0
    assert valid(out, "simulation")["readiness"] == "ready"
    done = cli("playbook", "simulate", "move-crate", "--param", "depot=D-1", "--json", process=True)
    assert done.code == 1
    assert valid(done.out, "simulation")["missing_tools"] == ["read_depot", "move_crate"]
