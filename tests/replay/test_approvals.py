"""A gate in agent code: what it leaves behind, how the process ends, and who decides."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from programs import ROOT

import spanreel
from spanreel.collector.store import open_reader
from spanreel.exceptions import NotDecidable
from spanreel.replay.approvals import decide, pending
from spanreel.replay.load import load

SCRIPT = """
import asyncio, sys, threading
import spanreel
spanreel.instrument()

async def inner():
    spanreel.await_approval("pay")

@spanreel.agent
async def grouped():
    async with asyncio.TaskGroup() as group:
        group.create_task(inner())

@spanreel.agent
def swallowing():
    try:
        spanreel.await_approval("pay")
    except BaseException:
        return "went on"

@spanreel.agent
def threaded():
    thread = threading.Thread(target=lambda: spanreel.await_approval("pay"))
    thread.start()
    thread.join()

class Block:
    def __call__(self):
        with spanreel.run("block"):
            spanreel.await_approval("pay")

def host():
    try:
        swallowing()
    except spanreel.ApprovalPending as pending:
        print("the host knows of", pending.approval_id, pending.run_id)

{
    "grouped": lambda: asyncio.run(grouped()),
    "swallowing": swallowing,
    "threaded": threaded,
    "block": Block(),
    "host": host,
    "plain": lambda: spanreel.await_approval("pay"),
}[sys.argv[1]]()
"""


@spanreel.tool(safety="irreversible")
def repay(order: str) -> str:
    """A tool with a gate inside."""
    return f"refunded {order}" if spanreel.await_approval("refund", "Refund it?", {"order": order}) else "no"


@spanreel.agent
def clerk(order: str) -> str:
    """An agent that asks before it pays."""
    return repay(order)


@spanreel.agent
def asking(*ids: str) -> None:
    """An agent that swallows what it is told, and comes to several gates."""
    for one in ids:
        try:
            spanreel.await_approval(one, summary=f"about {one}")
        except spanreel.ApprovalPending:
            continue


def paused(*ids: str) -> str:
    """A run that waits at these gates; its id."""
    instrumentation = spanreel.instrument()
    try:
        with pytest.raises(spanreel.ApprovalPending) as caught:
            asking(*ids)
        assert caught.value.run_id
        return caught.value.run_id
    finally:
        instrumentation.uninstrument()


def test_a_gate_pauses_the_run_and_fails_nobody(recording: spanreel.Instrumentation, store: Path):
    """It is on file before control returns; the tool and the agent around it have not failed."""
    with pytest.raises(spanreel.ApprovalPending) as caught:
        clerk("W1")
    found = load("last")
    assert (found.status, found.error) == ("paused", None)
    assert (caught.value.approval_id, caught.value.run_id, caught.value.summary) == (
        "refund",
        found.run_id,
        "Refund it?",
    )
    assert [(step.name, step.status) for step in found.steps] == [("repay", "ok")]
    (gate,) = found.approvals
    assert (gate.id, gate.status, gate.summary, gate.details) == (
        "refund",
        "pending",
        "Refund it?",
        {"order": "W1"},
    )


@pytest.mark.parametrize("how", ["grouped", "swallowing", "threaded", "block", "plain"])
def test_a_script_that_comes_to_a_gate_exits_with_3_and_one_line(tmp_path: Path, how: str):
    """No traceback; the line is the command that goes on; also where the agent swallowed it, or in a thread of it."""
    code, out, err = _script(tmp_path, how)
    run_id = load("last").run_id
    assert (code, out) == (3, "")
    assert (
        err == f'spanreel: paused: approval "pay" of run {run_id[:12]}: spanreel approve {run_id[:12]} pay\n'
    )
    assert load("last").status == "paused"


def test_a_host_that_catches_it_goes_on(tmp_path: Path):
    """It is raised once more when the run ends, and to nobody afterwards."""
    code, out, err = _script(tmp_path, "host")
    assert (code, out, err) == (0, f"the host knows of pay {load('last').run_id}\n", "")


def test_a_program_run_under_spanreel_exits_with_3_for_a_thread_that_paused(tmp_path: Path):
    """Although its main thread came to its end."""
    code = "import spanreel, threading; t = threading.Thread(target=spanreel.await_approval, args=('pay',)); t.start(); t.join()"
    done = subprocess.run(
        [sys.executable, "-m", "spanreel", "run", "--", sys.executable, "-c", code],
        capture_output=True, text=True, cwd=tmp_path, env=_environment(), check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, load("last").status) == (3, "paused"), done.stderr


def test_without_recording_the_gate_stays_shut():
    """Nobody could decide, so nobody passes."""
    with pytest.raises(spanreel.ApprovalPending, match="nothing is recorded"):
        spanreel.await_approval("pay")


@pytest.mark.parametrize("name", ["", " x", "x\n", "x" * 201])
def test_an_id_that_cannot_be_typed_is_refused(name: str):
    """Whoever decides has to name it."""
    with pytest.raises(spanreel.SpanreelError, match="cannot name an approval"):
        spanreel.await_approval(name)


def test_a_decision_is_a_span_of_the_run_linked_to_its_gate(store: Path):
    """It tells who and why; the run waits until it is resumed, and says so."""
    run_id = paused("pay")
    made = decide(None, run_id, approved=True, reason="fine", actor={"name": "ann", "role": "lead"})
    assert (made.decision.approved, made.decision.reason) == (True, "fine")
    with open_reader(store) as reader:
        spans = reader.spans(run_id)
    span = next(one for one in spans if one.name == "approval decision pay")
    gate = next(one for one in spans if one.name == "approval pay")
    assert (span.parent_span_id, span.links[0].span_id, span.trace_id) == (gate.span_id, gate.span_id, run_id)
    found = load(run_id)
    assert found.status == "paused"
    assert (found.approvals[0].status, found.approvals[0].actor) == (
        "approved",
        {"name": "ann", "role": "lead"},
    )


def test_a_second_decision_is_refused():
    """By name of whoever was first, whatever it says."""
    run_id = paused("pay")
    decide(None, run_id, "pay", approved=False, actor="ann")
    with pytest.raises(NotDecidable, match=r"approval pay .* was rejected by ann before") as caught:
        decide(None, run_id, "pay", approved=True)
    assert caught.value.exit_code == 2
    assert load(run_id).approvals[0].status == "rejected"


def test_of_decisions_at_the_same_moment_one_counts():
    """The others are refused, and the store holds the first."""
    run_id = paused("pay")
    assert pending(run_id)
    together = threading.Barrier(6)

    def one(place: int) -> int | None:
        together.wait()
        try:
            decide(None, run_id, approved=bool(place % 2), actor=str(place))
        except NotDecidable:
            return None
        return place

    with ThreadPoolExecutor(6) as pool:
        made = [place for place in pool.map(one, range(6)) if place is not None]
    assert [str(place) for place in made] == [load(run_id).approvals[0].actor]


def test_what_does_not_wait_is_refused_with_what_does():
    """No such gate; several and none named; none at all."""
    run_id = paused("pay", "ship")
    with pytest.raises(NotDecidable, match="does not wait for refund; it waits for pay, ship"):
        decide(None, run_id, "refund", approved=True)
    with pytest.raises(NotDecidable, match="waits for pay, ship; name one"):
        decide(None, run_id, approved=True)
    for name in ("pay", "ship"):
        decide(None, run_id, name, approved=True)
    assert pending(run_id) == []
    instrumentation = spanreel.instrument()
    asking()
    instrumentation.uninstrument()
    with pytest.raises(NotDecidable, match="waits for no approval"):
        decide(None, "last", approved=True)


def test_an_id_that_is_asked_for_again_is_decided_in_order():
    """The first decision is about the first time."""
    run_id = paused("pay", "pay")
    first = decide(None, run_id, "pay", approved=True).gate
    second = decide(None, run_id, "pay", approved=False).gate
    assert [(one.occurrence, one.status) for one in (first, second)] == [(1, "approved"), (2, "rejected")]


def test_a_project_asks_more_of_a_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Keys of the actor and a reason, in pyproject.toml; what is missing is named."""
    run_id = paused("pay")
    settings = '[tool.spanreel.approvals]\nrequired_actor_keys = ["name", "role"]\nrequire_reason = true\n'
    (tmp_path / "pyproject.toml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotDecidable, match="needs a reason"):
        decide(None, run_id, approved=True, actor={"name": "ann", "role": "lead"})
    with pytest.raises(NotDecidable, match="the actor of a decision needs role"):
        decide(None, run_id, approved=True, reason="fine", actor="ann")
    with pytest.raises(NotDecidable, match="needs team"):
        decide(
            None,
            run_id,
            approved=True,
            reason="x",
            actor={"name": "a", "role": "b"},
            required_actor_keys=["team"],
        )
    assert decide(None, run_id, approved=True, reason="fine", actor={"name": "ann", "role": "lead"}).decision
    (tmp_path / "pyproject.toml").write_text("[tool.spanreel.approvals]\nrequired_actor_keys = 3\n")
    with pytest.raises(spanreel.SpanreelError, match=r"\[tool.spanreel.approvals\]"):
        decide(None, run_id, approved=True)


@pytest.mark.parametrize("level", ["hashes", "metadata", "none"])
def test_below_full_nothing_of_a_gate_is_kept_but_that_it_is_there(level: str, store: Path):
    """Neither what it was about nor why it was decided so."""
    instrumentation = spanreel.instrument(capture=level)
    with pytest.raises(spanreel.ApprovalPending):
        clerk("order of Jane Doe")
    instrumentation.uninstrument()
    decide(None, "last", approved=True, reason="Jane is known", actor="ann@example.com")
    assert (load("last").status, load("last").approvals[0].status) == ("paused", "approved")
    with open_reader(store) as reader:
        kept = repr(reader.spans(load("last").trace_id))
    assert not any(text in kept for text in ("Jane", "Refund it?", "ann@"))


def test_secrets_in_a_gate_and_in_a_decision_are_blanked(recording: spanreel.Instrumentation, store: Path):
    """Before anything is written."""
    secret = "sk-proj-" + "Ab1" * 16
    with pytest.raises(spanreel.ApprovalPending), spanreel.run("shop"):
        spanreel.await_approval("pay", f"use {secret}?", {"api_key": "hunter2", "note": secret})
    decide(None, "last", approved=True, reason=f"yes, {secret}")
    with open_reader(store) as reader:
        kept = repr(reader.spans(load("last").trace_id))
    assert "hunter2" not in kept
    assert secret not in kept
    assert "[redacted" in kept


def test_the_store_alone_is_enough_to_decide(store: Path, tmp_path: Path):
    """On another machine, with a copy of the file."""
    run_id = paused("pay")
    assert pending(run_id)
    copy = tmp_path / "elsewhere" / "spans.db"
    copy.parent.mkdir()
    shutil.copy(store, copy)
    decide(copy, run_id, approved=True, actor="ann")
    assert load(run_id, copy).approvals[0].status == "approved"
    assert load(run_id).approvals[0].status == "pending"


def test_the_commands_say_what_was_decided(tmp_path: Path):
    """As text and as JSON; an error is one line and what to do."""
    run_id = paused("pay", "ship")
    code, out, err = _command("approve", run_id[:8], "pay", "--reason", "fine", "--actor", "ann")
    assert (code, out, err) == (
        0,
        f"approved pay of run {run_id[:12]} by ann\n",
        f"next: spanreel resume {run_id[:12]}\n",
    )
    code, out, err = _command("reject", "last", "ship", "--json", "--actor", '{"name": "bo", "role": "lead"}')
    said = json.loads(out)
    assert (code, said["schema"], said["status"], said["actor"]["role"]) == (
        0,
        "spanreel.decision.v1",
        "rejected",
        "lead",
    )
    code, out, err = _command("approve", "last", "ship")
    assert (code, out) == (2, "")
    assert "was rejected by bo before; a decision is final" in err.replace("\n", " ")


def _script(folder: Path, *arguments: str) -> tuple[int, str, str]:
    (folder / "gate.py").write_text(SCRIPT)
    return _done([sys.executable, "gate.py", *arguments], folder)


def _command(*words: str) -> tuple[int, str, str]:
    return _done([sys.executable, "-m", "spanreel", *words], Path.cwd())


def _done(line: list[str], folder: Path) -> tuple[int, str, str]:
    done = subprocess.run(
        line, capture_output=True, text=True, cwd=folder, env=_environment(), check=False, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def _environment() -> dict[str, str]:
    import os

    return os.environ | {"PYTHONPATH": str(ROOT)}
