"""Every verb of playbooks on recorded runs: its JSON fits its schema, its exit code is the documented one, its hints work."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import typer
from commands import Done

import spanreel
from spanreel.cli.app import app, main
from spanreel.cli.playbooks import VERBS
from spanreel.cli.schemas import json_schema

BOOK = """
spanreel: playbook/v1
name: json-gate
params: {order: {type: string}}
initial: ask
states:
  ask: {approval: {id: go, summary: "{{ params.order }}?"}, on_approve: pay}
  pay: {tool: json_pay, args: {order: "{{ params.order }}", due: 1}, next: end}
"""
fields = {"due": "due"}


@spanreel.tool(safety="read", name="json_look")
def look(order: str) -> dict:
    return {"order": order, fields["due"]: 5 + len(order)}


@spanreel.tool(name="json_pay")
def pay(order: str, due: int) -> dict:
    return {"paid": due}


@spanreel.agent(name="payer")
def payer(order: str) -> int:
    seen = look(order)
    paid = pay(order, seen[fields["due"]])
    spanreel.outcome(success=True)
    return paid["paid"]


HINTS: list[str] = []


def run(*words: str) -> Done:
    """`spanreel …` in this process; what it hints at is kept."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["spanreel", *words])
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    done = Done(code, out.getvalue(), err.getvalue())
    HINTS.extend(re.findall(r"(?:→|next:|see:) (spanreel [^\n;,]+)", done.out + done.err))
    if "--json" in words:
        for line in json.dumps(done.json).split('"'):
            HINTS.extend([line] if line.startswith("spanreel ") and " " in line else [])
    return done


def told(code: int, *words: str) -> Any:
    """Once as text and once with --json: the object, which fits its schema."""
    text = run(*words)
    assert text.code == code, (words, text)
    return once(code, *words)


def once(code: int, *words: str) -> Any:
    """With --json only, of what cannot be done twice."""
    done = run(*words, "--json")
    assert done.code == code, (words, done)
    found = done.json
    jsonschema.validate(found, json_schema(found["schema"].removeprefix("spanreel.").removesuffix(".v1")))
    return found


def recorded(*orders: str) -> None:
    """Runs of the agent."""
    recording = spanreel.instrument()
    try:
        for order in orders:
            payer(order)
    finally:
        recording.uninstrument()


def command(line: str) -> typer.main.Any:
    """The command that a line names, and its words."""
    found = typer.main.get_command(app)
    words = shlex.split(line)[1:]
    while words and hasattr(found, "commands"):
        name = words.pop(0)
        assert name in found.commands, f"{line}: there is no {name}"
        found = found.commands[name]
    return found, words


def test_every_verb_prints_what_its_schema_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    """From three runs to a repair that is reviewed; bad input on the way; all verbs are gone through."""
    monkeypatch.chdir(tmp_path)
    Path("gate.yaml").write_text(BOOK)
    recorded("W1", "W22", "W333")
    compiled = told(
        0, "playbook", "compile", "last", "last~1", "last~2", "--name", "pay-it", "--goal", "pay it"
    )
    assert compiled["schema"] == "spanreel.compile_report.v1"
    assert told(2, "playbook", "compile", "zzz", "--name", "x")["code"] == "unknown_run"
    assert told(0, "playbook", "list")["playbooks"][0]["status"] == "candidate"
    told(0, "playbook", "show", "pay-it")
    told(0, "playbook", "why", "pay-it")
    told(5, "playbook", "candidate", "pay-it")
    told(0, "playbook", "lint", "pay-it")
    told(1, "playbook", "simulate", "pay-it", "--param", "order=W9")
    told(5, "playbook", "dispatch", "pay it", "--input", "order=W9")
    told(5, "playbook", "promote", "pay-it")
    assert told(0, "playbook", "shadow", "pay-it", "--over", "agent=payer")["schema"] == "spanreel.shadow.v1"
    told(0, "playbook", "run", "pay-it", "--param", "order=W9")
    told(1, "playbook", "run", "pay-it", "--param", "order=no")
    told(3, "playbook", "run", "gate.yaml", "--param", "order=W9")
    told(3, "run", "gate.yaml", "--input", "order=W9")
    told(0, "run", "gate.yaml", "--input", "order=W9", "--dry-check")
    told(0, "validate", "gate.yaml")
    forced = ("--force", "--reason", "a trial")
    told(0, "playbook", "promote", "pay-it", "--to", "shadow", *forced)
    told(0, "playbook", "promote", "pay-it", *forced)
    told(0, "playbook", "suggest", "pay it", "--input", "order=W9")
    told(0, "playbook", "prime", "pay it")
    told(0, "playbook", "dispatch", "pay it", "--input", "order=W9")
    told(0, "playbook", "dispatch", "pay it", "--input", "order=W9", "--dry")
    monkeypatch.setitem(fields, "due", "amount")
    told(1, "playbook", "run", "pay-it", "--param", "order=W9")
    recorded("W4444")
    repaired = told(0, "playbook", "repair", "pay-it", "--like", "last", "--dry-run")
    assert repaired["schema"] == "spanreel.playbook_repair.v1"
    assert run("playbook", "repair", "pay-it", "--like", "last").code == 0
    told(0, "playbook", "diff", "pay-it@1", "pay-it@2")
    once(0, "playbook", "review", "pay-it@2", "--reject", "--reason", "a trial")
    assert told(2, "playbook", "review", "pay-it@2", "--approve")["code"] == "not_decidable"
    once(0, "playbook", "disable", "pay-it@1", "--reason", "down")
    assert run("playbook", "export", "pay-it@1", "-o", "out.yaml").code == 0
    once(0, "playbook", "enable", "pay-it@1")
    told(0, "playbook", "import", "out.yaml")
    once(0, "playbook", "retire", "pay-it@1")
    told(0, "graph", "gate.yaml")
    told(0, "contract", "gate.yaml")
    for line in sorted(set(HINTS)):
        found, words = command(line)
        options = {name for one in found.params for name in (*one.opts, *one.secondary_opts)}
        unknown = [word for word in words if word.startswith("--") and word.split("=")[0] not in options]
        assert not unknown, f"{line}: no option {unknown}"
    assert len(set(HINTS)) > 8


def test_every_verb_says_what_it_is_for() -> None:
    """An example each, which names the verb and only options that there are."""
    for name, function, _ in VERBS:
        lines = re.findall(r"^\s+(spanreel .+)$", function.__doc__ or "", re.MULTILINE)
        assert lines, name
        for line in lines:
            found, words = command(line.split(" > ")[0])
            options = {opt for one in found.params for opt in one.opts}
            assert not [word for word in words if word.startswith("--") and word not in options], line
