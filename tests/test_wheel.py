"""What people install: the wheel, in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.timeout(400)
def test_the_wheel_installs_alone_and_its_command_works(tmp_path: Path) -> None:
    """The wheel holds all that a plain `pip install spanreel` needs: the library, its data and every command's help."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", tmp_path, ROOT],
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = tmp_path.glob("spanreel-*.whl")
    venv.create(tmp_path / "env", with_pip=True)
    scripts = tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin")
    subprocess.run(
        [scripts / "python", "-m", "pip", "install", "--quiet", wheel],
        check=True,
        capture_output=True,
        timeout=300,
    )

    def run(*command: str | Path) -> str:
        return subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=tmp_path, timeout=60
        ).stdout

    assert run(scripts / "spanreel", "version").startswith("spanreel 0.")
    assert "collect" in run(scripts / "spanreel", "--help")
    store = tmp_path / "new.db"
    agent = f"import spanreel; spanreel.instrument(store={str(store)!r})\nwith spanreel.run('first'): pass"
    run(scripts / "python", "-c", agent)
    (listed,) = json.loads(run(scripts / "spanreel", "runs", "--json", "--store", store))["runs"]
    assert (listed["agent_name"], listed["status"]) == ("first", "completed")
