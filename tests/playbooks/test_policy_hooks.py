"""The project's hooks are asked before what they are for, may refuse it, and what they said is on file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import environment, run_spans

import spanreel
from spanreel.collector.store import open_reader, open_writer
from spanreel.exceptions import EffectDenied, Refused
from spanreel.replay.load import load
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import promote
from spanreel.replay.playbooks.playbook import Playbook
from spanreel.wire.spans import Span

BODY: dict[str, Any] = {
    "name": "hooked",
    "initial": "look",
    "params": {"order": {}},
    "states": {
        "look": {"tool": "hooks_look", "args": {"order": "{{ params.order }}"}, "next": "pay"},
        "pay": {"tool": "hooks_pay", "args": {"order": "{{ params.order }}"}, "retry": {"max_attempts": 3}},
    },
}
CHECK = """import json, os, sys
said = json.load(sys.stdin)
with open("asked.jsonl", "a") as file:
    file.write(json.dumps(said) + "\\n")
if os.path.exists("closed"):
    sys.exit("the shop is closed")
"""
paid: list[str] = []


@spanreel.tool(name="hooks_look", safety="read")
def look(order: str) -> dict[str, str]:
    return {"order": order}


@spanreel.tool(name="hooks_pay")
def pay(order: str) -> str:
    paid.append(order)
    return "paid"


@spanreel.agent
def hooked_agent(order: str) -> str:
    return pay(look(order)["order"])


Asked = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Asked]]:
    """`project(event)`: a folder whose hook of that event keeps what it is asked, and refuses while `closed` exists."""
    monkeypatch.chdir(tmp_path)
    paid.clear()
    (tmp_path / "check.py").write_text(CHECK)

    def made(*events: str, closed: bool = False) -> Asked:
        hook = json.dumps([sys.executable, "check.py"])
        (tmp_path / "pyproject.toml").write_text(
            "[tool.spanreel.hooks]\n" + "".join(f"{event} = {hook}\n" for event in events)
        )
        if closed:
            (tmp_path / "closed").touch()

        def asked() -> list[dict[str, Any]]:
            file = tmp_path / "asked.jsonl"
            return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

        return asked

    spanreel.instrument()
    yield made
    spanreel.uninstrument()


def said(event: str, run_id: str | None = None) -> list[Span]:
    """The spans of a hook, of one run or of all."""
    spanreel.uninstrument()
    with open_reader(Path(os.environ["SPANREEL_STORE"])) as reader:
        traces = [run_id] if run_id else [run.trace_id for run in reader.runs()]
        return [span for trace in traces for span in reader.spans(trace) if span.name == f"hook {event}"]


def test_a_write_of_a_playbook_is_asked_about_once(project: Callable[..., Asked]) -> None:
    """Not its reads; the hook is given the call, and its answer is a decision in the run."""
    asked = project("before_live_tool")
    result = Playbook.load(BODY).run(order="W1")
    assert (result.status, paid) == ("completed", ["W1"])
    assert [(one["tool"], one["arguments"], one["safety"], one["run_id"]) for one in asked()] == [
        ("hooks_pay", {"order": "W1"}, "write", result.run_id)
    ]
    (span,) = said("before_live_tool", result.run_id)
    assert span.attributes["spanreel.decision.kind"] == "hook"
    assert span.attributes["spanreel.decision.to"] == "allowed"


def test_a_refused_write_stops_the_playbook_at_its_approval(project: Callable[..., Asked]) -> None:
    """Nothing is called, nothing is tried again, and the reason is the hook's."""
    asked = project("before_live_tool", closed=True)
    result = Playbook.load(BODY).run(order="W1")
    assert (result.status, paid, len(asked())) == ("failed", [], 1)
    assert result.failure is not None
    assert (result.failure.guard, result.failure.state) == ("approval", "pay")
    assert "the shop is closed" in result.failure.reason
    assert [span.attributes["spanreel.decision.to"] for span in said("before_live_tool", result.run_id)] == [
        "refused"
    ]


def test_an_execution_asks_only_of_what_it_lets_out(project: Callable[..., Asked]) -> None:
    """An ordinary run and a served call ask nothing; a tool that a replay runs for real is asked about, and may be refused."""
    asked = project("before_live_tool")
    hooked_agent("W1")
    spanreel.uninstrument()
    run_id = load().run_id
    with spanreel.replaying(run_id):
        hooked_agent("W1")
    assert (asked(), paid) == ([], ["W1"])
    with spanreel.replaying(run_id, allow_tools=["hooks_pay"]):
        hooked_agent("W1")
    assert ([one["tool"] for one in asked()], paid) == (["hooks_pay"], ["W1", "W1"])
    Path("closed").touch()
    with (
        pytest.raises(EffectDenied, match="the shop is closed"),
        spanreel.replaying(run_id, allow_tools=["hooks_pay"]),
    ):
        hooked_agent("W1")
    assert (len(asked()), paid) == (2, ["W1", "W1"])


def test_a_replayed_playbook_asks_nothing(project: Callable[..., Asked]) -> None:
    """Neither before the run nor before its tools: nothing happens again."""
    asked = project("before_run", "before_live_tool")
    result = Playbook.load(BODY).run(order="W1")
    spanreel.uninstrument()
    assert [one["event"] for one in asked()] == ["before_run", "before_live_tool"]
    assert (asked()[0]["playbook"], asked()[0]["params"]) == ("hooked", {"order": "W1"})
    assert len(said("before_run", result.run_id)) == 1
    with spanreel.replaying(result.run_id):
        assert Playbook.load(BODY).run(order="W1").output == "paid"
    assert (len(asked()), paid) == (2, ["W1"])


def test_a_playbook_that_may_not_begin_is_no_evidence(project: Callable[..., Asked]) -> None:
    """The refusal is raised (exit code 5), is a failed run, and no execution of that body."""
    project("before_run", closed=True)
    with pytest.raises(Refused, match="the shop is closed") as caught:
        Playbook.load(BODY).run(order="W1")
    assert (caught.value.exit_code, paid) == (5, [])
    spanreel.uninstrument()
    run = load()
    assert (run.agent_name, run.status, run.steps) == ("hooked", "error", [])
    assert len(said("before_run", run.run_id)) == 1
    assert not Library().evidence(Body.model_validate(BODY).hash).executions


def spanreel_does(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "spanreel", *words], cwd=folder, env=environment(folder), capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


def test_a_command_is_asked_about_before_it_runs(project: Callable[..., Asked], tmp_path: Path) -> None:
    """Allowed: a decision in each run that it makes. Refused: it does not start, exit code 5, a failed run says so."""
    asked = project("before_run")
    (tmp_path / "agent.py").write_text(
        "import spanreel\n@spanreel.agent\ndef one():\n    open('ran', 'a').write('x')\none()\n"
    )
    command = ("run", "--", sys.executable, "agent.py")
    assert spanreel_does(tmp_path, *command).returncode == 0
    assert asked()[0]["command"] == [sys.executable, "agent.py"]
    assert [span.attributes["spanreel.decision.to"] for span in said("before_run")] == ["allowed"]
    (tmp_path / "closed").touch()
    done = spanreel_does(tmp_path, *command)
    assert (done.returncode, (tmp_path / "ran").read_text()) == (5, "x")
    assert "the shop is closed" in done.stderr
    assert load().status == "error"
    assert sorted(str(span.attributes["spanreel.decision.to"]) for span in said("before_run")) == [
        "allowed",
        "refused",
    ]


def test_a_command_that_records_nothing_keeps_its_exit_code(
    project: Callable[..., Asked], tmp_path: Path
) -> None:
    """There is no run to keep the answer in, and no store."""
    asked = project("before_run")
    spanreel.uninstrument()
    done = spanreel_does(
        tmp_path, "run", "--store", "new/spans.db", "--", sys.executable, "-c", "raise SystemExit(7)"
    )
    assert (done.returncode, done.stderr, len(asked())) == (7, "", 1)


def test_an_export_is_asked_about(project: Callable[..., Asked], tmp_path: Path) -> None:
    """Refused: no file, exit code 5; what was said is in the run, and the hook knows run and file."""
    asked = project("before_export", closed=True)
    with open_writer(Path(os.environ["SPANREEL_STORE"])) as writer:
        writer.add(run_spans(1))
    done = spanreel_does(tmp_path, "export", "last", "-o", "run.otlp.jsonl")
    assert (done.returncode, (tmp_path / "run.otlp.jsonl").exists()) == (5, False)
    assert (asked()[0]["agent_name"], asked()[0]["output"]) == ("support", "run.otlp.jsonl")
    (tmp_path / "closed").unlink()
    assert spanreel_does(tmp_path, "export", "last", "-o", "run.otlp.jsonl").returncode == 0
    assert [span.attributes["spanreel.decision.to"] for span in said("before_export")] == [
        "refused",
        "allowed",
    ]


def test_a_promotion_is_asked_about(project: Callable[..., Asked]) -> None:
    """Refused: the status stays; what was said is kept beside the body, with the gates' figures before it."""
    asked = project("before_promote", closed=True)
    library = Library()
    entry = library.add(Body.model_validate(BODY))
    with pytest.raises(Refused, match="the shop is closed"):
        promote(entry.ref, "shadow", actor="ann", store=library)
    entry = library.get("hooked")
    assert (entry.status, [one.kind for one in entry.decisions][-1]) == ("candidate", "hook")
    assert "refused" in str(entry.decisions[-1].reason)
    Path("closed").unlink()
    promoted = promote(entry.ref, "shadow", actor="ann", store=library).entry
    assert promoted.status == "shadow"
    assert [one.kind for one in promoted.decisions][-3:] == ["hook", "hook", "promote"]
    assert [(one["playbook"], one["from"], one["to"], one["actor"]) for one in asked()] == [
        ("hooked", "candidate", "shadow", "ann")
    ] * 2
