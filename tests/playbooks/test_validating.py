"""`spanreel validate`: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
from commands import environment

from spanreel.cli.schemas import json_schema

EXAMPLE = (Path(__file__).parent / "exchange-item.yaml").read_text("utf-8")
TOOLS = """\
import spanreel

for name in ("get_order_details", "get_product_details", "exchange_delivered_order_items"):
    spanreel.tool(name=name)(lambda **given: None)
"""


@pytest.fixture(name="folder")
def prepared(tmp_path: Path) -> Path:
    """A folder with a playbook, and one with two errors and a warning."""
    (tmp_path / "item.yaml").write_text(EXAMPLE)
    (tmp_path / "shop_tools.py").write_text(TOOLS)
    wrong = EXAMPLE.replace("next: product", "next: prodct").replace("{{ params.payment }}", "{{ payment }}")
    (tmp_path / "wrong.yaml").write_text(wrong)
    (tmp_path / "broken.yaml").write_text("a: [1\n")
    return tmp_path


def validate(folder: Path, *words: str) -> tuple[int, str, str]:
    """The exit code and what was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "spanreel", "validate", *words],
        cwd=folder,
        env=environment(folder, COLUMNS="80"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_valid_one(folder: Path) -> None:
    """0, and one line."""
    code, out, err = validate(folder, "item.yaml")
    assert (code, err) == (0, "")
    assert out.startswith("exchange-item is valid: 4 states, sha256:")


def test_what_is_wrong_by_line(folder: Path) -> None:
    """1, and all of it in the order of the file, each with what mends it."""
    code, out, err = validate(folder, "wrong.yaml")
    assert code == 1
    assert out.splitlines()[:4] == [
        "error: wrong.yaml:22: there is no state `prodct`",
        "  → did you mean `product`?",
        "warning: wrong.yaml:24: nothing leads to state `product`",
        "  → lead to it, or take it out",
    ]
    assert "wrong.yaml:39: {{ payment }} is bound to nothing" in out
    assert err == "wrong.yaml is not valid: 2 errors, 3 warnings\n"


def test_strict_wants_registered_tools(folder: Path) -> None:
    """Nobody registered them: 1; with the module that does: 0, by name and by file."""
    code, out, _ = validate(folder, "item.yaml", "--strict")
    assert code == 1
    assert "item.yaml:18: no tool `get_order_details` is registered" in out
    assert validate(folder, "item.yaml", "--strict", "--tools", "shop_tools")[0] == 0
    assert validate(folder, "item.yaml", "--tools", "shop_tools.py")[0] == 0


def test_strict_counts_warnings(folder: Path) -> None:
    """What is of no use is passed without, and not with."""
    (folder / "spare.yaml").write_text(
        "spanreel: playbook/v1\nname: spare\ninitial: a\nstates:\n  a: {set: {x: 1}}\n  b: {set: {y: 2}}\n"
    )
    code, out, _ = validate(folder, "spare.yaml")
    assert code == 0
    assert out.splitlines()[-1].endswith("(1 warning)")
    assert validate(folder, "spare.yaml", "--strict")[0] == 1


def test_as_json(folder: Path) -> None:
    """The object fits its published schema, also for a file that cannot be read at all."""
    schema = json_schema("validation")
    for name, code, lines in (
        ("item.yaml", 0, []),
        ("wrong.yaml", 1, [22, 24, 29, 33, 39]),
        ("broken.yaml", 1, [2]),
    ):
        found, out, _ = validate(folder, name, "--json")
        said = json.loads(out)
        jsonschema.validate(said, schema)
        assert (found, said["valid"], said["target"]) == (code, code == 0, name)
        assert [one["line"] for one in said["problems"]] == lines
    assert validate(folder, "broken.yaml")[2].startswith("spanreel: broken.yaml:2: that is no YAML")


def test_what_a_run_needs(folder: Path) -> None:
    """Its parameters as JSON to fill in, and the command that runs it."""
    _, out, _ = validate(folder, "item.yaml", "--print-inputs-template")
    assert json.loads(out) == {
        "order_id": "<string>", "item": "<the name of the item>", "new_item": "<string>", "payment": "<string>"
    }  # fmt: skip
    _, out, _ = validate(folder, "item.yaml", "--print-run-one-liner")
    assert out == (
        "spanreel playbook run item.yaml --param order_id='<string>' --param item='<the name of the item>'"
        " --param new_item='<string>' --param payment='<string>'\n"
    )
    _, out, _ = validate(folder, "item.yaml", "--print-ci-one-liner")
    assert out == (
        "spanreel validate item.yaml --strict && spanreel run item.yaml --input order_id='<string>'"
        " --input item='<the name of the item>' --input new_item='<string>' --input payment='<string>' --dry-run\n"
    )


def test_what_is_no_playbook(folder: Path) -> None:
    """1, one line and the forms of a TARGET."""
    code, out, err = validate(folder, "json:loads")
    assert (code, out) == (1, "")
    assert err.startswith("spanreel: json:loads is a function, and no playbook\n  → a TARGET is file.yaml")


def test_ways_that_were_taken_and_not_declared_are_warned_of(folder: Path) -> None:
    """What functions returned in runs of this very body, against its edges; asked with --strict."""
    text = """
from spanreel import Playbook
book = Playbook("observed-ways"{edges})

@book.state
def one():
    return "two"

@book.state
def two():
    return None
"""
    (folder / "bare.py").write_text(text.replace("{edges}", ""))
    edges = ', edges=[{"from": "one", "to": "two"}]'
    (folder / "full.py").write_text(text.replace("{edges}", edges))
    assert validate(folder, "bare:book", "--strict")[0] == 0
    for name in ("bare", "full"):
        done = subprocess.run(
            [sys.executable, "-m", "spanreel", "run", f"{name}:book"],
            cwd=folder, env=environment(folder), check=True, capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0
    code, out, _ = validate(folder, "bare:book", "--strict")
    assert (code, "runs of it went on to two (1×), and no edge says so" in out) == (1, True)
    assert validate(folder, "bare:book")[0] == 0
    assert validate(folder, "full:book", "--strict")[0] == 0
