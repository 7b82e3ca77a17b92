"""docs/testing.md runs: its files and its commands, from top to bottom, in one project."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment

from spanreel.replay.testing.options import MATCH_ON, MODES, Options

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "testing.md").read_text("utf-8")


@pytest.mark.timeout(300)
def test_what_is_shown_runs(tmp_path: Path, server) -> None:
    """Every Python block is a file of the project, every command ends with 0; the second run asks no model."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text("", "utf-8")
    (project / "pytest.ini").write_text(
        "[pytest]\naddopts = -p spanreel.replay.testing.plugin -W error\n", "utf-8"
    )
    environ = environment(
        tmp_path, OPENAI_BASE_URL=f"{server.url}/v1", OPENAI_API_KEY="k", PYTEST_DISABLE_PLUGIN_AUTOLOAD="1"
    )
    environ.pop("SPANREEL_STORE", None)
    ran: list[tuple[str, int]] = []
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        if language == "python":
            (project / text.partition("\n")[0].removeprefix("# ")).write_text(text, "utf-8")
            continue
        for line in text.splitlines():
            words = shlex.split(line.removeprefix("$ "))
            done = subprocess.run([sys.executable, "-m", *words], cwd=project, env=environ, capture_output=True, text=True, timeout=110, check=False)  # fmt: skip
            assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
            ran.append((line, len(server.served)))
    assert [served for _, served in ran] == [1, 1, 2, 2, 2]
    assert (project / "recordings/test_agent/test_answer.otlp.jsonl").is_file()
    assert "<testsuites" in (project / "junit.xml").read_text("utf-8")


def test_every_option_and_mode_is_described() -> None:
    """What can be said about a test is in the page, and what the page says can be said."""
    import dataclasses

    for field in dataclasses.fields(Options):
        assert f"`{field.name}`" in TEXT or f"`{field.name}=" in TEXT or f'`{field.name}="' in TEXT, (
            field.name
        )
    for name in (*MODES, *MATCH_ON):
        assert f"`{name}`" in TEXT, name
