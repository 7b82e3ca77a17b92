"""`spanreel try`: the story holds, and what it stands on changes verdict and diff when it is changed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from commands import Cli, environment

from spanreel.cli.tryout.answers import load
from spanreel.cli.tryout.server import serving
from spanreel.cli.tryout.story import listening, prepared
from spanreel.collector.files import write_jsonl
from spanreel.collector.store import open_reader
from spanreel.exceptions import SpanreelError

ANSWERS = files("spanreel.cli.tryout").joinpath("answers.json").read_text("utf-8")
AGENT = files("spanreel.cli.tryout").joinpath("agent.py").read_text("utf-8")


def agent(folder: Path, answers: str = ANSWERS, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the example agent in a folder, its model playing these answers."""
    folder.mkdir(exist_ok=True)
    (folder / "agent.py").write_text(AGENT, "utf-8")
    with serving(load(answers), port=0) as server:
        return subprocess.run(
            [sys.executable, "agent.py"],
            cwd=folder,
            env=environment(folder, MODEL_URL=server.url, NO_PROXY="127.0.0.1", **env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@dataclass(frozen=True)
class Told:
    """The story, told once: the folder it was told in, and what was printed."""

    place: Path
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """`spanreel try` in an empty folder, on a terminal of 80 columns."""
    place = tmp_path_factory.mktemp("try")
    environ = environment(place, COLUMNS="80", SPANREEL_STORE=str(place / "own.db"))
    words = [sys.executable, "-m", "spanreel", "try", "--fast", "--port", "0"]
    done = subprocess.run(
        words, cwd=place, env=environ, capture_output=True, text=True, timeout=100, check=False
    )
    return Told(place, done.returncode, done.stdout, done.stderr)


def test_the_story(told: Told) -> None:
    """Every step is as it should be; the reader's own store is not touched; no line is too wide."""
    assert (told.code, told.err) == (0, "")
    assert "All of it was as it should be" in told.out
    assert re.search(r"^ +exact: ", told.out, re.MULTILINE)
    assert "[-I refunded-]" in told.out
    assert [
        line for line in told.out.splitlines() if len(line) > 80 and not line.startswith(" $ export")
    ] == []
    assert not (told.place / "own.db").exists()
    assert (told.place / "spanreel-try" / "refunds.txt").read_text() == "order 1042: 64.50 paid back\n"


def test_each_printed_command_can_be_repeated(told: Told) -> None:
    """A reader who copies the commands into a shell gets what was printed below them."""
    commands = [line[3:] for line in told.out.splitlines() if line.startswith(" $ ")][:-1]
    assert [one.split()[:2] for one in commands if one.startswith(("python", "spanreel"))] == [
        ["spanreel", "try"],
        ["python", "agent.py"],
        ["spanreel", "runs"],
        ["spanreel", "show"],
        ["spanreel", "replay"],
        ["python", "agent.py"],
        ["spanreel", "diff"],
    ]
    programs = told.place / "bin"
    programs.mkdir()
    for name, words in (("python", ""), ("spanreel", " -m spanreel")):
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)}{words} "$@"\n')
        (programs / name).chmod(0o755)
    written = [
        f'export PATH="{programs}:$PATH"' if one.startswith("export PATH") else one for one in commands
    ]
    serve = next(number for number, one in enumerate(written) if "--serve" in one)
    ready = "until python -c \"import os,urllib.request as r; r.urlopen(os.environ['MODEL_URL'][:-2] + 'healthz')\" 2>/dev/null; do sleep 0.1; done"
    script = ["set -e", *written[: serve + 1], "trap 'kill $!' EXIT", ready, *written[serve + 1 :]]
    environ = {**environment(told.place), "SPANREEL_STORE": str(told.place / "own.db")}
    done = subprocess.run(
        ["/bin/sh", "-c", "\n".join(script)],
        cwd=told.place,
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "exact: every call was the recorded one" in done.stdout
    assert "open_ticket" in done.stdout
    assert not (told.place / "own.db").exists()


def test_an_edited_agent_is_kept(tmp_path: Path) -> None:
    """A reader who changed agent.py finds the change after another try; what the tools wrote is gone."""
    (tmp_path / "agent.py").write_text("print('mine')\n")
    (tmp_path / "refunds.txt").write_text("of the last time\n")
    assert prepared(tmp_path) == tmp_path
    assert (tmp_path / "agent.edited.py").read_text() == "print('mine')\n"
    assert (tmp_path / "agent.py").read_text() == AGENT
    assert not (tmp_path / "refunds.txt").exists()


def test_a_folder_that_cannot_be_made_is_stepped_round(tmp_path: Path) -> None:
    """Where the folder's name is taken by a file, the story is told in a temporary folder."""
    (tmp_path / "taken").write_text("")
    folder = prepared(tmp_path / "taken")
    assert folder.name.startswith("spanreel-try-")
    assert (folder / "agent.py").read_text() == AGENT
    shutil.rmtree(folder)


def test_a_port_in_use_is_stepped_round() -> None:
    """Where the usual port is taken, another is used; one that was asked for by number is an error."""
    with ExitStack() as stack:
        taken = stack.enter_context(listening(load(ANSWERS), None))
        other = stack.enter_context(listening(load(ANSWERS), None))
        assert taken.server_address[1] != other.server_address[1]
        with pytest.raises(SpanreelError, match="cannot listen"):
            stack.enter_context(listening(load(ANSWERS), other.server_address[1]))


def test_a_wrong_step_is_told_and_fails(cli: Cli, tmp_path: Path) -> None:
    """Where the changed agent no longer does what the story says, the exit code is 1 and the reason is printed."""
    changed = json.loads(ANSWERS)
    changed["conversations"] = changed["conversations"][:1]
    (tmp_path / "answers.json").write_text(json.dumps(changed))
    done = cli("try", "--fast", "--port", "0", "--answers", tmp_path / "answers.json")
    assert done.code == 1
    assert "not as it should be: the changed agent did not run" in done.out
    assert "All of it" not in done.out


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording file of one run of the example, which was made in the folder `agent` beside it."""
    place = tmp_path_factory.mktemp("recorded")
    done = agent(place / "agent", SPANREEL_STORE=str(place / "spans.db"))
    assert done.returncode == 0, done.stderr
    with open_reader(place / "spans.db") as reader:
        write_jsonl(reader.spans(reader.resolve("last").trace_id), place / "run.otlp.jsonl")
    return place / "run.otlp.jsonl"


@pytest.fixture
def recorded(original: Path, tmp_path: Path) -> Path:
    """That file, in a folder of the test's own."""
    return shutil.copy(original, tmp_path / "run.otlp.jsonl")


def altered(file: Path, before: str, after: str, *, where: str) -> Path:
    """A copy of a recording in which one span that contains `where` says something else."""
    lines = file.read_text("utf-8").splitlines()
    hits = [number for number, line in enumerate(lines) if where in line and before in line]
    assert hits
    lines[hits[0]] = lines[hits[0]].replace(before, after)
    copy = file.with_name("altered.otlp.jsonl")
    copy.write_text("\n".join(lines) + "\n", "utf-8")
    return copy


def test_the_recording_replays_exactly(cli: Cli, original: Path, recorded: Path) -> None:
    """Untouched: exact, six effects from the recording, no other; the body of the write tool does not run again."""
    side_effect = original.parent / "agent" / "refunds.txt"
    side_effect.unlink()
    found = cli("replay", recorded, "--json").json
    assert (found["verdict"], found["status"]) == ("exact", "completed")
    assert found["effects"] == {"recorded": 6, "live": 0, "stub": 0, "denied": 0}
    assert not side_effect.exists()


def test_one_altered_served_byte_diverges(cli: Cli, recorded: Path) -> None:
    """A model that asks for order 1043 instead of 1042: the tool call is not the recorded one."""
    copy = altered(recorded, r"1042\\", r"1043\\", where="call_order")
    done = cli("replay", copy, "--json")
    assert done.code == 4
    assert done.json["verdict"] == "diverged"
    assert done.json["first_divergence"]["asked"]["tool"] == "get_order"
    assert cli("diff", recorded, copy, "--exit-code").code == 4


def test_one_altered_tool_result_diverges(cli: Cli, recorded: Path) -> None:
    """A lamp that cost more: the next request of the model carries it, and is not the recorded one."""
    copy = altered(recorded, "64.5", "99.5", where='"execute_tool get_order"')
    done = cli("replay", copy, "--json")
    assert done.code == 4
    first = done.json["first_divergence"]
    assert first["nearest"]["step"] == 4
    assert "[-64-]{+99+}" in first["nearest"]["words"]
    changed = cli("diff", recorded, copy, "--json").json["tool_calls_diff"]["changed"]
    assert [(one["a"]["tool_name"], one["a"]["result"] != one["b"]["result"]) for one in changed] == [
        ("get_order", True)
    ]


def test_another_answer_of_the_model_is_a_content_diff(cli: Cli, tmp_path: Path, recorded: Path) -> None:
    """One word of the served answer changed: the same steps, another answer."""
    assert agent(tmp_path / "agent", answers=ANSWERS.replace("I am sorry", "We are sorry")).returncode == 0
    found = cli("diff", recorded, "last", "--json").json
    assert "+We are sorry" in found["content_diff"]
    assert found["tool_calls_diff"]["common"] == 3
    assert not found["identical"]


def test_a_changed_agent_diverges_for_people(cli: Cli, tmp_path: Path) -> None:
    """The report names the step, what differs, the line of the agent's code, and what to do next."""
    folder = tmp_path / "agent"
    agent(folder)
    (folder / "agent.py").write_text(AGENT.replace("Look things up", "Always look things up"), "utf-8")
    done = cli("replay", "last")
    assert done.code == 4
    assert done.out.startswith("diverged: ")
    assert "step 1" in done.out
    assert re.search(r"agent\.py:\d+", done.out)
    assert "next: spanreel" in done.out
    assert "Traceback" not in done.out + done.err


def test_the_agent_is_plain(tmp_path: Path) -> None:
    """The example is an agent anybody could have written: spanreel is imported, called once, and named on its parts."""
    lines: list[Any] = [
        line for line in AGENT.splitlines() if "spanreel" in line and not line.startswith(('"""', "#", "A "))
    ]
    assert 3 <= len(lines) <= 8
