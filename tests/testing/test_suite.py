"""`spanreel ci`: recordings against the code as it is, from wherever they have been copied to."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from commands import environment
from jsonschema import Draft202012Validator
from test_plugin import ONE

from spanreel.cli.schemas import json_schema

pytest_plugins = ["pytester"]

SCRIPT = """
import spanreel
from agent import ask, lookup

spanreel.instrument()

@spanreel.agent
def helper(text):
    said = ask(text)
    lookup("W1")
    return said

if __name__ == "__main__":
    helper("where is it?")
"""


def spanreel(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command line, in a folder."""
    environ = environment(folder.parent, COLUMNS="100", **more)
    for name in ("GITHUB_STEP_SUMMARY", "CI", "GITHUB_ACTIONS", "SPANREEL_STORE"):
        environ.pop(name, None)
    environ.update(more)
    return subprocess.run(
        [sys.executable, "-W", "default", "-m", "spanreel", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=110, check=False
    )  # fmt: skip


@pytest.mark.timeout(300)
def test_a_copy_of_a_project_is_replayed_and_a_changed_prompt_found(project, tmp_path_factory) -> None:
    """Recordings of tests and of programs replay in another folder; what has changed is reported in every form."""
    project.test(ONE)
    project.run().assert_outcomes(passed=1)
    project.test(SCRIPT, "src/main.py")
    shutil.copy(project.path / "agent.py", project.path / "src" / "agent.py")
    store = str(project.path / "s.db")
    ran = subprocess.run([sys.executable, "main.py"], cwd=project.path / "src", env=environment(project.path, SPANREEL_STORE=store), check=False, capture_output=True, text=True)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    file = "recordings/main.otlp.jsonl"
    assert spanreel(project.path, "export", "last", "-o", file, "--store", store).returncode == 0
    served, fired = len(project.server.served), project.fired
    copy = tmp_path_factory.mktemp("other") / "checkout"
    shutil.copytree(project.path, copy)
    shutil.rmtree(project.path / "src")  # as on another machine, where the recorded folder is not

    done = spanreel(copy, "ci", "--jobs", "2", "--summary", "out/ci.json", GITHUB_STEP_SUMMARY="g.md", CI="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 passed" in done.stdout
    found = json.loads((copy / "out/ci.json").read_text("utf-8"))
    Draft202012Validator(json_schema("ci")).validate(found)
    assert found["counts"] == {"total": 2, "passed": 2, "diverged": 0, "errors": 0}
    assert [one["verdict"] for one in found["recordings"]] == ["exact", "exact"]
    assert found["ci"] == {"service": "unknown"}
    assert "2 of 2 passed" in (copy / "g.md").read_text("utf-8")
    assert (len(project.server.served), project.fired) == (served, fired)

    test = copy / "test_agent.py"
    test.write_text(test.read_text("utf-8").replace("where is it?", "where was it?"), "utf-8")
    (copy / "src" / "main.py").write_text("raise SystemExit('no')\n", "utf-8")
    done = spanreel(copy, "ci", "recordings", "--junit", "j.xml", "--github-summary", "g.md", "--json")
    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert (
        found["counts"] == {"total": 2, "passed": 0, "diverged": 2, "errors": 0}
        or found["counts"]["errors"] == 1
    )
    first = next(one for one in found["recordings"] if "test_order" in one["name"])
    assert first["step"] == 1
    assert "where [-is-]{+was+} it?" in first["first_divergence"]
    suite = ET.parse(copy / "j.xml").getroot()[0]
    assert suite.get("tests") == "2"
    case = next(case for case in suite if "test_order" in case.get("name", ""))
    assert "where [-is-]{+was+} it?" in (case.find("failure").text or "")
    markdown = (copy / "g.md").read_text("utf-8")
    assert "<details><summary>recordings/test_agent/test_order.otlp.jsonl: step 1: openai.chat" in markdown
    assert (len(project.server.served), project.fired) == (served, fired)


def test_nothing_to_replay(tmp_path: Path) -> None:
    """An empty folder and one that is not there are wrong usage; a broken file is an error, in one line."""
    (tmp_path / "empty").mkdir()
    for target in ("empty", "gone"):
        done = spanreel(tmp_path, "ci", target)
        assert done.returncode == 2
        assert "spanreel: there is no" in done.stderr
    (tmp_path / "a.otlp.jsonl").write_text('{"resourceSpans": [', "utf-8")
    done = spanreel(tmp_path, "ci", ".", "--json")
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)["recordings"]
    assert found["result"] == "error"
    assert "a.otlp.jsonl:1: the JSON is cut off" in found["problem"]
    assert "Traceback" not in done.stderr
