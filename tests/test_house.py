"""Rules of the repository that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_package_registry() -> None:
    """Locks are pinned by hash; where packages come from is the reader's own setting."""
    hosts = re.compile(rb"pypi\.org|pythonhosted\.org|registry\.npmjs\.org|deb\.debian\.org")
    assert [path.name for path in tracked() if hosts.search(path.read_bytes())] == []


def test_the_lock_files_pin_every_package_with_a_hash() -> None:
    """Every requirement of the lock files has a version and at least one sha256."""
    for lock in (ROOT / "requirements" / "try.txt", ROOT / "requirements" / "dev.txt"):
        entries = re.split(r"\n(?=[a-z0-9])", lock.read_text("utf-8").strip())
        assert len(entries) > 20
        assert [
            entry.splitlines()[0]
            for entry in entries
            if "==" not in entry.splitlines()[0] or "--hash=sha256:" not in entry
        ] == []


def test_the_readme_is_short() -> None:
    """The README stays under 600 words of prose."""
    prose = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text("utf-8"), flags=re.DOTALL)
    assert len(re.findall(r"\w[\w'’.-]*", prose)) < 600


def test_every_test_states_its_rule() -> None:
    """Each test function opens with a docstring."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if node.name.startswith("test_") and not ast.get_docstring(node)
    ]
    assert silent == []
