"""run and replay on real programs: exit codes, what is recorded, what a failing agent leaves."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from commands import Cli

LOOKING = """
import sys
import spanreel

@spanreel.tool(safety="read")
def look(place):
    with open("looked.txt", "a") as book:
        book.write(place)
    if place == "the cellar":
        raise LookupError("it is dark")
    return f"nothing in {place}"

print(look("the box"))
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program with one tool, which leaves a trace outside of the store each time its body runs."""
    file = tmp_path / "agent.py"
    file.write_text(LOOKING)
    return file


def test_run_passes_output_and_exit_code_through(cli: Cli, script: Path) -> None:
    """The program's output is its own; so is its exit code."""
    script.write_text(LOOKING + "print('to stderr', file=sys.stderr)\nsys.exit(7)\n")
    done = cli("run", "--", "python", "agent.py")
    assert (done.code, done.out, done.err) == (7, "nothing in the box\n", "to stderr\n")


def test_run_needs_no_dashes_and_leaves_options_alone(cli: Cli, script: Path) -> None:
    """Options after the program's name are the program's."""
    script.write_text(LOOKING + "print(sys.argv[1:])\n")
    assert (
        "['--json', '--store', 'x', '-h']"
        in cli("run", "python", "agent.py", "--json", "--store", "x", "-h").out
    )


def test_what_was_run_is_recorded(cli: Cli, script: Path) -> None:
    """A plain script is one run, with its tool calls, although its code says nothing of recording."""
    cli("run", "--", "python", "agent.py")
    (run,) = cli("runs", "--json").json["runs"]
    assert (run["status"], run["tool_calls"]) == ("completed", 1)
    assert 'look(place="the box")' in cli("show", "last").out


def test_an_agent_that_fails_half_way(cli: Cli, script: Path) -> None:
    """Its exit code and traceback are its own; the run is there, failed, with what was done until then."""
    script.write_text(LOOKING + "look('the cellar')\n")
    done = cli("run", "--", "python", "agent.py")
    assert done.code == 1
    assert "LookupError: it is dark" in done.err
    found = cli("show", "last:failed", "--json").json
    assert found["status"] == "error"
    assert [call["error"] is None for call in found["tool_calls"]] == [True, False]


def test_an_agent_that_is_killed(cli: Cli, script: Path) -> None:
    """A run that was never ended is listed as incomplete, and nothing before the kill is lost."""
    script.write_text(LOOKING + "import os, time\ntime.sleep(1)\nos.kill(os.getpid(), 9)\n")
    assert cli("run", "--", "python", "agent.py").code == 128 + 9
    (run,) = cli("runs", "--json").json["runs"]
    assert (run["status"], run["tool_calls"]) == ("incomplete", 1)


def test_replay_serves_tools_from_the_recording(cli: Cli, script: Path, tmp_path: Path) -> None:
    """The tool's body does not run; the output is the same; the verdict fits its schema."""
    cli("run", "--", "python", "agent.py")
    (tmp_path / "looked.txt").unlink()
    done = cli("replay", "last")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("nothing in the box\nexact: ")
    assert not (tmp_path / "looked.txt").exists()
    found = cli("replay", "last~1", "--json")
    assert found.err == "nothing in the box\n"
    jsonschema.validate(found.json, cli("schema", "verdict").json)


def test_replay_of_a_failed_run_is_no_failure(cli: Cli, script: Path) -> None:
    """An error that is in the recording is served again, and the verdict is exact."""
    script.write_text(LOOKING + "look('the cellar')\n")
    cli("run", "--", "python", "agent.py")
    done = cli("replay", "last", "--json")
    assert done.code == 0
    assert (done.json["verdict"], done.json["status"], done.json["error"]["recorded"]) == (
        "exact",
        "error",
        True,
    )


def test_a_new_error_of_the_agent_is_1(cli: Cli, script: Path) -> None:
    """An error that the recording does not have is the agent's: exit code 1."""
    cli("run", "--", "python", "agent.py")
    script.write_text(LOOKING + "raise RuntimeError('new')\n")
    done = cli("replay", "last")
    assert done.code == 1
    assert "RuntimeError, which is not in the recording: new" in done.out


def test_a_changed_tool_call_is_4(cli: Cli, script: Path) -> None:
    """A tool call that was not recorded is a divergence, and its body does not run either."""
    cli("run", "--", "python", "agent.py")
    script.write_text(LOOKING.replace('look("the box")', 'look("the attic")'))
    done = cli("replay", "last")
    assert done.code == 4
    assert done.out.startswith("diverged: ")
    assert "[-box-]{+attic+}" in done.out


def test_another_command_can_be_named(cli: Cli, script: Path, tmp_path: Path) -> None:
    """`-- CMD` runs something else against the recording."""
    cli("run", "--", "python", "agent.py")
    (tmp_path / "second.py").write_text(LOOKING)
    script.unlink()
    assert cli("replay", "last", "--", "python", "second.py").out.startswith("nothing in the box\nexact: ")


def test_the_network_is_denied(cli: Cli, script: Path) -> None:
    """A connection that nothing recorded answers is stopped, named, and exit code 1."""
    cli("run", "--", "python", "agent.py")
    script.write_text(LOOKING + "import socket\nsocket.create_connection(('127.0.0.1', 9))\n")
    done = cli("replay", "last")
    assert done.code == 1
    assert "denied: " in done.out
