"""The verbs about the library of playbooks: what they print, what their JSON is, what they exit with."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commands import Done, run_spans
from kept_playbooks import body, execution, put

from spanreel.cli.app import main
from spanreel.cli.schemas import json_schema
from spanreel.replay.playbooks.governance.library import Library

Verb = Callable[..., Done]


@pytest.fixture
def verb(tmp_path: Path, store: Path) -> Verb:
    """`verb("list", "--json")` runs `spanreel playbook list --json`, on the test's store."""

    def call(*words: str | Path, group: str = "playbook") -> Done:
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr(sys, "argv", ["spanreel", *group.split(), *map(str, words)])
            patch.setenv("COLUMNS", "80")
            patch.setenv("HOME", str(tmp_path))
            with contextlib.chdir(tmp_path), pytest.raises(SystemExit) as ended:
                main()
        return Done(int(ended.value.code or 0), out.getvalue(), err.getvalue())

    return call


def checked(done: Done) -> Any:
    """Its JSON, which fits the schema that it names."""
    found = done.json
    name = found["schema"].removeprefix("spanreel.").removesuffix(".v1")
    jsonschema.validate(found, json_schema(name))
    return found


def test_an_empty_library(verb: Verb) -> None:
    """It says so and what to do; a name that is not there is a usage error."""
    done = verb("list")
    assert (done.code, done.out.split(" in ")[0]) == (0, "no playbook")
    assert "spanreel playbook compile" in done.err
    assert checked(verb("list", "--json"))["playbooks"] == []
    for words in (("show", "exchange"), ("why", "exchange"), ("promote", "exchange"), ("export", "exchange")):
        done = verb(*words)
        assert (done.code, done.out) == (2, "")
        assert "holds no playbook" in done.err


def test_a_life(verb: Verb, store: Path, tmp_path: Path) -> None:
    """From a candidate over the gates to active, failing, disabled and retired; each step seen in text and in JSON."""
    put(store, run_spans(1))
    kept = Library(store).add(
        body(goal="exchange an item", derived_from=[run_spans(1)[0].trace_id]), actor="ann"
    )
    assert verb("candidate", "exchange").code == 5
    done = verb("promote", "exchange")
    assert done.code == 5
    assert "min_runs asks for at least 3; found 0, 3 too few" in done.err
    refused = verb("promote", "exchange", "--json")
    assert (refused.code, checked(refused)["changed"]) == (5, False)
    assert "min_runs" in checked(refused)["refused"]
    assert checked(verb("promote", "exchange", "--to", "shadow", "--json"))["status"] == "shadow"
    shadows = [execution(n, kept.body, mode="shadow", score=1.0, source=f"{n:032x}") for n in (1, 2, 3)]
    put(store, *shadows, execution(4, kept.body))
    done = verb("promote", "exchange", "--actor", "ann", "--reason", "a week in shadow")
    assert (done.code, done.out) == (0, f"exchange@1 ({kept.short}) is active, was shadow\n")
    assert "passed  min_runs asks for at least 3; found 4" in done.err
    assert verb("promote", "exchange").out == f"exchange@1 ({kept.short}) is active already\n"
    assert verb("candidate", "exchange").code == 0
    assert checked(verb("candidate", "exchange", "--json"))["next_action"] == "skip_primary_inference"
    put(store, execution(5, kept.body, ok=False), execution(6, kept.body, ok=False))
    told = checked(verb("candidate", "exchange", "--json"))
    assert (told["usable"], told["next_action"]) == (False, "repair")
    assert told["reasons"][0]["code"] == "status_needs_repair"
    assert "expect at first" in verb("list").out
    [line] = checked(verb("list", "--json", "--status", "needs_repair"))["playbooks"]
    assert (line["ok"], line["failed"], line["shadows"], line["distinct_inputs"]) == (4, 2, 3, 4)
    why = checked(verb("why", "exchange", "--json"))
    assert [one["kind"] for one in why["decisions"]] == ["added", "promote", "promote"]
    assert why["decisions"][2]["gates"][0]["gate"] == "min_runs"
    text = verb("why", "exchange").out
    assert "promote shadow → active by ann" in text
    assert "a week in shadow" in text
    assert "run 000000010000" in text
    assert checked(verb("disable", "exchange", "--reason", "down", "--json"))["before"] == "needs_repair"
    assert verb("enable", "exchange").out.endswith("is candidate, was disabled\n")
    assert verb("retire", "exchange").out.endswith("is retired, was candidate\n")
    done = verb("enable", "exchange")
    assert (done.code, "what can: promote" in done.err) == (2, True)
    assert [one["agent_name"] for one in verb("--json", group="runs").json["runs"]].count("support") == 1
    assert max(map(len, text.splitlines())) <= 80


def test_force_needs_a_reason(verb: Verb, store: Path) -> None:
    """Without one it is refused; with one it is recorded, with the gates that said no."""
    Library(store).add(body())
    done = verb("promote", "exchange", "--force")
    assert (done.code, "needs a reason" in done.err) == (5, True)
    said = checked(verb("promote", "exchange", "--force", "--reason", "the demo", "--json"))
    assert (said["forced"], said["status"]) == (True, "active")
    assert "forced" in verb("why", "exchange").out


def test_gates_on_the_command_line(verb: Verb, store: Path) -> None:
    """They may ask for more than the others; what is no gate is named."""
    kept = Library(store).add(body(promotion={"profile": "aggressive"}))
    put(store, execution(1, kept.body))
    done = verb("promote", "exchange", "--gate", "min_rums=1")
    assert (done.code, "did you mean min_runs?" in done.err) == (1, True)
    assert verb("promote", "exchange", "--gate", "min_runs").code == 2
    assert verb("promote", "exchange", "--gate", "min_runs=0").code == 5
    words = ("promote", "exchange", "--gate", "min_runs=1", "--json")
    assert checked(verb(*words))["resolution"]["gates"]["min_runs"] == {"value": 1, "from": "caller"}
    assert verb("promote", "exchange", "--to", "retired").code == 2
    assert verb("list", "--status", "done").code == 2


def test_files(verb: Verb, store: Path, tmp_path: Path) -> None:
    """A playbook goes out as YAML or JSON and comes in as a candidate; `show --yaml` is the plain body."""
    kept = Library(store).add(body())
    verb("promote", "exchange", "--force", "--reason", "demo")
    for name in ("one.yaml", "one.json"):
        assert verb("export", "exchange", "-o", tmp_path / name).code == 0
        there = tmp_path / f"{name}.db"
        done = verb("import", tmp_path / name, "--store", there, "--json")
        [line] = checked(done)["playbooks"]
        assert (line["hash"], line["status"], line["origin"]) == (kept.hash, "candidate", "imported")
        assert "was there" in verb("import", tmp_path / name, "--store", there).out
    assert verb("export", "exchange").out == (tmp_path / "one.yaml").read_text("utf-8")
    assert verb("export", "exchange", "-o", tmp_path / "no" / "one.yaml").code == 1
    (tmp_path / "plain.yaml").write_text(verb("show", "exchange", "--yaml").out)
    assert "provenance" not in (tmp_path / "plain.yaml").read_text()
    assert "was there" in verb("import", tmp_path / "plain.yaml").out


def test_show(verb: Verb, store: Path) -> None:
    """Its states and its evidence, in 80 columns; in JSON the body whole. Control sequences do nothing."""
    evil = "\x1b[2J\x1b]0;owned\x07"
    kept = Library(store).add(body(goal=f"exchange {evil}", notes=[evil]))
    put(store, execution(1, kept.body), execution(2, kept.body, ok=False))
    out = verb("show", "exchange").out
    assert "▸ first  look(id={{ params.order_id }})  → end" in out
    assert "1 of 2 ok, 1 failed" in out
    for words in (("show", "exchange"), ("why", "exchange"), ("list",), ("candidate", "exchange")):
        done = verb(*words)
        assert "\x1b" not in done.out + done.err
        assert max(map(len, done.out.splitlines())) <= 80 or words[0] == "candidate"
    found = checked(verb("show", "exchange", "--json"))
    assert found["body"]["states"]["first"]["tool"] == "look"
    assert [one["ok"] for one in found["evidence"]] == [True, False]


def test_other_commands_do_not_see_a_library(verb: Verb, store: Path) -> None:
    """A store with nothing but playbooks has no run for `runs` and `show`; `tail` and `doctor` know what its spans are."""
    Library(store).add(body())
    assert verb("--json", group="runs").json["runs"] == []
    assert verb(group="show").code == 2
    lines = verb("--all", "--timeout", "0", "--json", group="tail").out.splitlines()
    assert [json.loads(one)["kind"] for one in lines] == ["playbook"]
    checks = verb("--json", group="doctor").json["checks"]
    assert next(one for one in checks if one["name"] == "store")["state"] == "ok"
    assert os.environ["SPANREEL_STORE"] == str(store)
