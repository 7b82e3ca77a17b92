"""`spanreel playbook shadow|dispatch|suggest|prime` as people and programs call them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import shadow_shop as shop
from jsonschema import Draft202012Validator
from test_dispatch import GOAL, kept

import spanreel
from spanreel.cli.schemas import json_schema
from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.shadows.over import parse, runs_over

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def recording() -> Iterator[spanreel.Instrumentation]:
    """Recording is on until the test ends; nothing has fired."""
    shop.fired.clear()
    yield spanreel.instrument()
    spanreel.uninstrument()


def run(*args: str) -> tuple[int, str, str]:
    """The command in a process of its own; exit code, stdout, stderr."""
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent)])
    done = subprocess.run(
        [sys.executable, "-m", "spanreel", "playbook", *args],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": path},
    )
    return done.returncode, done.stdout, done.stderr


def printed(schema: str, text: str) -> dict:
    """What `--json` printed, which fits its schema."""
    found = json.loads(text)
    Draft202012Validator(json_schema(schema)).validate(found)
    assert found["schema"] == f"spanreel.{schema}.v1"
    return found


INPUTS = {"order": {"id": "W1"}, "new_item": "i-black"}


def test_shadow_over_a_filter_prints_a_table_and_says_its_exit_code():
    """0 the same as every run, 4 parted from one, 3 not answered; one line that sums it up."""
    first = shop.recorded(shop.exchanging(), **INPUTS)
    shop.recorded(shop.exchanging(), name="another", **INPUTS)
    kept("shadow")
    code, out, _ = run("shadow", "shelf-exchange", "--over", "agent=shelf since=1h status=completed")
    assert code == 0
    assert "1 the same; score 1.00" in out
    assert first[:8] in out
    second = shop.recorded(shop.exchanging(new="i-white"), **INPUTS)
    code, out, _ = run("shadow", "shelf-exchange", first, second, "--json")
    found = printed("shadow", out)
    assert (code, found["same"], found["diverged"]) == (4, 1, 1)
    assert found["runs"][1]["first_divergence"]["paths"] == ["$.new"]
    code, out, _ = run(
        "shadow", "shelf-exchange", first, "--param", "order_id=W2", "--param", "new_item=i-black"
    )
    assert code == 3
    assert "not answered" in out


@pytest.mark.parametrize("text", ["agent", "colour=red", "since=yesterday", "goal~=(", "limit=x", "agent='x"])
def test_a_filter_that_says_nothing_is_one_clear_line(text: str):
    """Naming the part, and how it is written."""
    with pytest.raises(BadInput, match="--over"):
        runs_over(text)


def test_a_filter_takes_agents_words_tags_and_a_limit():
    """All parts have to fit; executions of playbooks are no runs of an agent."""
    runs = [shop.recorded(shop.exchanging(), **{**INPUTS, "note": word}) for word in ("refund", "swap")]
    kept()
    spanreel.dispatch(GOAL, INPUTS, agent="shelf")
    spanreel.instrument().flush()
    assert parse("agent=shelf goal~=swap") == [("agent", "=", "shelf"), ("goal", "~=", "swap")]
    assert runs_over("agent=shelf goal~=SWAP") == [runs[1]]
    assert runs_over("status=completed") == runs[::-1]
    assert runs_over("agent~=^sh limit=1") == [runs[1]]
    assert runs_over("until=1d") == []
    assert runs_over("tag.goal=x") == []


def test_dispatch_runs_the_playbook_with_the_tools_of_a_module(tmp_path: Path):
    """The inputs by option or file; the tools are found by their module."""
    kept()
    task = tmp_path / "task.json"
    task.write_text(json.dumps(INPUTS))
    code, out, err = run(
        "dispatch", GOAL, "--inputs", f"@{task}", "--tools", "shadow_shop", "--agent", "shelf", "--json"
    )
    assert code == 0, err
    found = printed("dispatch", out)
    assert (found["by"], found["status"], found["playbook"]["name"]) == (
        "playbook",
        "completed",
        "shelf-exchange",
    )
    code, out, _ = run(
        "dispatch",
        GOAL,
        "--input",
        "order_id=W1",
        "--input",
        "new_item=i-2",
        "--tools",
        "shadow_shop",
        "--dry",
    )
    assert (code, out.strip()) == (0, "would be done by playbook shelf-exchange@1")


def test_dispatch_without_anybody_exits_with_5_and_says_why():
    """The code of the reason, and what to do about it."""
    kept()
    code, _, err = run("dispatch", GOAL, "--input", "order_id=W1", "--input", "new_item=i-2")
    assert code == 5
    assert "tool_missing" in err
    assert "--tools MODULE" in err


def test_dispatch_calls_the_agent_by_its_name():
    """``module:function``; a name that is none is a usage error."""
    code, out, err = run("dispatch", "water the plants", "--fallback", "shadow_shop:watering")
    assert code == 0, err
    assert "completed: the agent" in out
    assert "watered" in out
    code, _, err = run("dispatch", "water the plants", "--fallback", "shadow_shop:gone")
    assert code == 2
    assert "module:function" in err


def test_suggest_and_prime():
    """Text for people, JSON that fits its schema."""
    kept()
    code, out, _ = run("suggest", GOAL, "--tools", "shadow_shop")
    assert code == 0
    assert "shelf-exchange@1  active" in out
    assert "params_missing" in out or "needs_extract_model" in out
    printed("suggestions", run("suggest", GOAL, "--json")[1])
    code, out, _ = run("prime", GOAL)
    assert out.startswith("## What has worked for tasks like this: shelf-exchange")
    printed("priming", run("prime", GOAL, "--json")[1])
    assert "no active playbook" in run("prime", "water the plants")[2]


def test_a_filter_that_names_no_status_leaves_out_what_failed():
    """A run that ended in an error, or that says it did not succeed, is no example; `status=` asks for it."""
    good = shop.recorded(shop.exchanging(), **INPUTS)

    @spanreel.agent(name="shelf")
    def broken() -> None:
        raise RuntimeError("no such order")

    @spanreel.agent(name="shelf")
    def unlucky() -> None:
        spanreel.outcome(success=False)

    with pytest.raises(RuntimeError):
        broken()
    unlucky()
    spanreel.instrument().flush()
    assert runs_over("agent=shelf") == [good]
    assert len(runs_over("agent=shelf status=completed")) == 2
    assert len(runs_over("agent=shelf status=error")) == 1
