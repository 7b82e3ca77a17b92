"""What is written for readers is true: every command says what it does and shows how, and the README runs."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import environment

import spanreel as package
from spanreel.cli.app import COMMANDS
from spanreel.cli.playbooks import VERBS
from spanreel.replay.playbooks.governance.library import Library

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
NAMES = [name for name, _, _ in COMMANDS]
SPOKEN = [*NAMES, *(f"playbook {name}" for name, _, _ in VERBS)]
"""What is written after `spanreel`: each command, and each verb of those that have verbs."""


def spanreel(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "spanreel", *words],
        cwd=folder,
        env=environment(folder, COLUMNS="80", PYTEST_ADDOPTS="-p no:asyncio"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", SPOKEN)
def test_every_command_says_what_it_does_with_an_example(name: str, tmp_path: Path) -> None:
    """`--help` has a sentence, an example of this very command, and a word on each option; it fits 80 columns."""
    done = spanreel(tmp_path, *name.split(), "--help")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("Usage: ")
    assert re.match(r"  [A-Z].*\w", lines[2])
    examples = done.stdout.split("  Examples:\n")[1].split("\n\n")[0].splitlines()
    assert examples
    assert all(re.match(rf"      spanreel {name}( |$)", line) for line in examples), examples
    silent = [line for line in lines if re.match(r"  (-\w, )?--[\w-]+( <\w+>|  ?\[\S+\])?$", line)]
    followed = [line for line in silent if not lines[lines.index(line) + 1].startswith("     ")]
    assert followed == []
    assert max(map(len, lines)) <= 80


def test_the_list_of_commands(tmp_path: Path) -> None:
    """`spanreel --help` lists each command with a whole sentence."""
    out = spanreel(tmp_path, "--help").stdout
    listed = re.findall(r"^  (\w+) +([A-Z].*\.)$", out, re.MULTILINE)
    assert [name for name, _ in listed] == [*NAMES, "playbook"]


def test_the_list_of_verbs(tmp_path: Path) -> None:
    """`spanreel playbook --help` lists each verb with a whole sentence."""
    out = spanreel(tmp_path, "playbook", "--help").stdout
    listed = re.findall(r"^  (\w+) +([A-Z].*\.)$", out, re.MULTILINE)
    assert [name for name, _ in listed] == [name for name, _, _ in VERBS]


@pytest.mark.parametrize(
    "name", [name for name in SPOKEN if name not in ("try", "schema", "version", "collect")]
)
def test_examples_are_understood(name: str, tmp_path: Path) -> None:
    """The options in the examples exist: on an empty store no example is a usage error of the command line."""
    (tmp_path / "traces").mkdir()
    shown = spanreel(tmp_path, *name.split(), "--help").stdout.split("  Examples:\n")[1].split("\n\n")[0]
    for line in shown.splitlines():
        words = shlex.split(line.partition("|")[0].partition(">")[0])[1:]
        if name == "tail":
            words += ["--timeout", "0"]
        done = spanreel(tmp_path, *words)
        assert "Usage:" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr


@dataclass(frozen=True)
class Block:
    """A fenced block of the README."""

    language: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page."""
    return [Block(*found) for found in re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)]


BLOCKS = blocks(README)
MADE = [
    line.split("#")[0].split()[1]
    for block in BLOCKS
    for line in block.text.splitlines()
    if line.startswith("make ")
]


def test_the_readme_runs(tmp_path: Path) -> None:
    """Its snippets and its commands, from top to bottom, in one folder, as a reader would: each ends with 0."""
    (tmp_path / ".spanreel").mkdir()
    ran = run_blocks(tmp_path, BLOCKS)
    assert ran.count("python") >= 2
    assert any("spanreel replay" in line for line in ran)


def test_the_page_about_replays_runs(tmp_path: Path) -> None:
    """The same, with a model behind its agent; money was paid twice: when it was recorded, and where that is named."""
    (tmp_path / ".spanreel").mkdir()
    with support_model() as model:
        key = {"OPENAI_BASE_URL": f"{model.url}/v1", "OPENAI_API_KEY": "k"}
        page = (ROOT / "docs" / "replay.md").read_text("utf-8")
        ran = run_blocks(tmp_path, blocks(page), **key)
    assert (ran.count("python"), len(ran)) == (3, 11)
    assert (tmp_path / "refunds.txt").read_text() == "1042: 64.5\n" * 2


def test_the_page_about_approvals_runs(tmp_path: Path) -> None:
    """Its agent pauses, is approved and goes on."""
    (tmp_path / ".spanreel").mkdir()
    page = (ROOT / "docs" / "approvals.md").read_text("utf-8")
    assert len(run_blocks(tmp_path, blocks(page))) == 6


@pytest.mark.timeout(300)  # four dozen processes, one after the other
def test_the_page_about_playbooks_runs(tmp_path: Path) -> None:
    """In a folder with the example's files, with its model behind its agent; who is asked is what the page says."""
    example = ROOT / "examples" / "returns"
    (tmp_path / ".spanreel").mkdir()
    for name in ("shop.py", "agent.py", "desk.py"):
        shutil.copy(example / name, tmp_path / name)
    page = (ROOT / "docs" / "playbooks.md").read_text("utf-8")
    with returns_model(example) as url:
        ran = run_blocks(tmp_path, blocks(page), OPENAI_BASE_URL=f"{url}/v1", OPENAI_API_KEY="k")
    assert (ran.count("python"), len(ran)) == (2, 41)
    store = tmp_path / ".spanreel" / "spans.db"
    assert [(one.version, one.status) for one in Library(store).entries("return-item")] == [
        (1, "retired"),
        (2, "active"),
    ]


def test_the_page_about_playbook_files_runs(tmp_path: Path) -> None:
    """Its files are what it says of them, down to the lines of what is wrong."""
    page = blocks((ROOT / "docs" / "playbook-file.md").read_text("utf-8"))
    files = {block: block.text.split()[1] for block in page if re.match(r"# [\w-]+\.\w+\n", block.text)}
    for block, name in files.items():
        (tmp_path / name).write_text(block.text, "utf-8")
    assert len(run_blocks(tmp_path, [block for block in page if block not in files])) == 8
    shown = spanreel(tmp_path, "validate", "wrong.yaml")
    assert shown.stdout + shown.stderr in [block.text for block in page]


def test_the_pages_about_calls_and_differences_run(tmp_path: Path) -> None:
    """Each command, on a recorded run of the agent of the page about replays and a changed one of it."""
    (tmp_path / ".spanreel").mkdir()
    agent = next(
        one for one in blocks((ROOT / "docs" / "replay.md").read_text("utf-8")) if "instrument()" in one.text
    )
    (tmp_path / "agent.py").write_text(agent.text, "utf-8")
    with support_model() as model, beside("provider_server").ProviderServer() as other:
        reached = {
            "OPENAI_BASE_URL": f"{model.url}/v1",
            "OPENAI_API_KEY": "k",
            "ANTHROPIC_BASE_URL": other.url,
            "ANTHROPIC_API_KEY": "k",
        }
        _run(tmp_path, "python agent.py", **reached)
        run = package.load("last", store=tmp_path / ".spanreel" / "spans.db").run_id
        calls = (ROOT / "docs" / "calls.md").read_text("utf-8").replace("RUN ", f"{run} ")
        assert len(run_blocks(tmp_path, blocks(calls), **reached)) == 5
        diff = (ROOT / "docs" / "diff.md").read_text("utf-8").replace(" A B", f" {run} last")
        assert len(run_blocks(tmp_path, blocks(diff), **reached)) == 5


def run_blocks(folder: Path, page: list[Block], **more: str) -> list[str]:
    """Run the snippets and commands of a page; what was run. A snippet that instruments is the agent, unless it is called something else."""
    ran: list[str] = []
    for number, block in enumerate(page):
        if block.language == "python":
            named = re.match(r"# (\w+\.py)\n", block.text)
            agent = "spanreel.instrument()" in block.text and (named is None or named[1] == "agent.py")
            file = folder / ("agent.py" if agent else named[1] if named else f"snippet_{number}.py")
            file.write_text(block.text, "utf-8")
            if not (agent and "python agent.py" in page[number + 1].text):
                _run(folder, f"python {file.name}", **more)
            ran.append(block.language)
        elif block.language == "console":
            for line in block.text.splitlines():
                if line.startswith("$ "):
                    _run(folder, line[2:], **more)
                    ran.append(line)
    return ran


def support_model() -> Any:
    """A server that looks an order up, refunds it, and thanks."""
    scripted_server = beside("scripted_server")

    class SupportModel(scripted_server.ScriptedServer):
        def answer(self, request: Any) -> Any:
            results = [one for one in request["messages"] if one["role"] == "tool"]
            asked = ["get_order", "refund"][len(results) :][:1]
            arguments = {"order_id": "1042"} | ({"amount": 64.5} if asked == ["refund"] else {})
            function = {"name": "".join(asked), "arguments": json.dumps(arguments)}
            calls = [{"id": f"call_{asked[0]}", "type": "function", "function": function}] if asked else []
            text = "Thanks, bye." if request["model"] == "gpt-5-mini" else "Thank you."
            return 200, scripted_server._whole(len(results) + 1, None if calls else text, calls)

    return SupportModel()


@contextlib.contextmanager
def returns_model(example: Path) -> Iterator[str]:
    """The stand-in for the model of the returns example."""
    server = module_at(example / "model.py").serving()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def module_at(file: Path) -> Any:
    """A program of the examples."""
    found = importlib.util.spec_from_file_location(f"example_{file.stem}", file)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def beside(name: str) -> Any:
    """A server of the tests of replays."""
    sys.path.insert(0, str(ROOT / "tests" / "replay"))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(ROOT / "tests" / "replay"))


def _run(folder: Path, line: str, **more: str) -> None:
    own = {"spanreel": [sys.executable, "-m", "spanreel"], "python": [sys.executable]}
    words = shlex.split(line, comments=True)
    environ = environment(folder, COLUMNS="80") | more
    environ.pop("SPANREEL_STORE", None)
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environ[name] = value
    done = subprocess.run(
        [*own[words[0]], *words[1:]],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    expected = re.search(r"# exits with (\d)", line)
    code = int(expected[1]) if expected else 4 if done.returncode == 4 and "--samples" in line else 0
    assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"
    assert done.stdout.strip() or code or "--html" in line or "spanreel resume" in line, line


def test_what_the_readme_makes_is_in_the_makefile() -> None:
    """Its make targets exist, and continuous integration runs the one that tests."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert {"try", "test"} <= set(MADE)
    for target in MADE:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert "spanreel try" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_what_the_readme_names_exists() -> None:
    """Every command, every attribute of the package and every file it names is there."""
    named = set(re.findall(r"`spanreel ([a-z]+)", README)) | set(
        re.findall(r"^\$ spanreel ([a-z]+)", README, re.MULTILINE)
    )
    assert named <= {*NAMES, "playbook"}
    assert set(re.findall(r"\bspanreel\.([a-z_]+)\(", README)) <= set(package.__all__)
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []
