"""Playbooks that pause, are killed, and go on: in processes of their own, with payments that can be counted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from spanreel.exceptions import SpanreelError
from spanreel.replay.child import replay_run
from spanreel.replay.load import diff, load
from spanreel.replay.policy import Policy
from spanreel.replay.resume import resume_run

ROOT = Path(__file__).resolve().parents[2]
SHOP = '''
import os, signal
import spanreel

def fired(what):
    """On file before it returns; the process dies after the firing, or before it, that KILL names."""
    die, when = (os.environ.get("KILL") or "0:").split(":")
    lines = open("ledger").read().splitlines() if os.path.exists("ledger") else []
    last = str(len(lines) + 1) == die
    if last and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    with open("ledger", "a") as ledger:
        ledger.write(what + "\\n")
        ledger.flush()
        os.fsync(ledger.fileno())
    if last:
        os.kill(os.getpid(), signal.SIGKILL)

@spanreel.tool(safety="read", name="till_look")
def look(order):
    return {"order": order, "due": 5}

@spanreel.tool(name="till_pay")
def pay(order, due):
    fired(f"pay {order}")
    if os.environ.get("KILL") == "quiet":
        os.kill(os.getpid(), signal.SIGKILL)
    return {"paid": order}

@spanreel.tool(name="till_mail")
async def mail(order):
    fired(f"mail {order}")
    return "sent"
'''
BOOK = """
spanreel: playbook/v1
name: till
params: {order: {type: string}}
initial: look
states:
  look: {tool: till_look, args: {order: "{{ params.order }}"}, save_as: seen, next: fresh}
  fresh: {assert: [{path_not_exists: ledger}], next: pay}
  pay: {tool: till_pay, args: {order: "{{ seen.order }}", due: "{{ seen.due }}"}, next: ask}
  ask: {approval: {id: mail, summary: "Mail {{ params.order }}?"}, next: mail}
  mail: {tool: till_mail, args: {order: "{{ params.order }}"}, next: end}
"""
WRITTEN = """
import spanreel, shop

playbook = spanreel.Playbook("written-till", params={"order": str})

@playbook.state
def look(ctx):
    ctx["seen"] = shop.look(ctx.params.order)
    return "pay"

@playbook.state(next="ask")
def pay(seen):
    shop.pay(seen["order"], seen["due"])

playbook.add("ask", approval={"id": "mail"}, next="mail")

@playbook.state
async def mail(order):
    await shop.mail(order)

if __name__ == "__main__":
    spanreel.instrument()
    print(playbook.run(order="W1").status)
"""


@pytest.fixture(autouse=True)
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tools, a playbook file, and the same written in Python."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    Path("shop.py").write_text(SHOP)
    Path("till.yaml").write_text(BOOK)
    Path("written.py").write_text(WRITTEN)
    return tmp_path


RUN = ("-m", "spanreel", "playbook", "run", "till.yaml", "--param", "order=W1", "--tools", "shop")


def python(*words: str, kill: str = "") -> int:
    line = [sys.executable, *words]
    done = subprocess.run(
        line, env=os.environ | {"KILL": kill}, capture_output=True, text=True, timeout=100, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def approve() -> None:
    assert python("-m", "spanreel", "approve", "last", "mail", "--reason", "fine") == 0


def resume(monkeypatch: pytest.MonkeyPatch, kill: str = "", **policy: object) -> int:
    monkeypatch.setenv("KILL", kill)
    wanted = Policy(match="scrubbed", network="allow", resume=True, **policy)
    outcome = resume_run(None, "last", policy=wanted, echo="capture", timeout=100)
    return -signal.SIGKILL if outcome.verdict is None else outcome.exit_code


def fired() -> dict[str, int]:
    ledger = Path("ledger")
    return dict(Counter(ledger.read_text().splitlines())) if ledger.exists() else {}


@pytest.mark.parametrize("program", [RUN, ("written.py",)], ids=["file", "python"])
def test_a_run_that_waits_goes_on_after_the_approval(
    program: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 3, then every tool fired once, and the run replays exactly."""
    assert python(*program) == 3
    assert load("last").status == "paused"
    approve()
    assert resume(monkeypatch) == 0
    assert fired() == {"pay W1": 1, "mail W1": 1}
    assert load("last").status == "completed"
    replayed = replay_run(None, "last", echo="capture", timeout=100).verdict
    assert replayed is not None
    assert (replayed.verdict, replayed.effects.live) == ("exact", 0)
    assert fired() == {"pay W1": 1, "mail W1": 1}
    assert diff("last~1", "last").first_divergence is None


@pytest.mark.parametrize("kill", ["1:before", "1:after"])
def test_a_run_that_was_killed_in_a_write_asks_before_it_goes_on(
    kill: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows whether it happened; what somebody says is done, and nothing fires twice."""
    assert python(*RUN, kill=kill) == -signal.SIGKILL
    assert resume(monkeypatch) == 3
    happened = fired() == {"pay W1": 1}
    assert happened is (kill == "1:after")
    assert resume(monkeypatch, in_doubt="skip" if happened else "retry") == 3  # at the gate
    approve()
    assert resume(monkeypatch) == 0
    assert fired() == {"pay W1": 1, "mail W1": 1}


def test_what_was_found_in_the_surroundings_is_what_a_resumed_run_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The precondition that no ledger exists held, and holds no more: the run that made it goes on all the same."""
    assert python(*RUN) == 3
    assert Path("ledger").exists()
    approve()
    assert resume(monkeypatch) == 0
    assert python(*RUN) == 1


def test_a_resume_that_is_killed_is_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the first segment and the second did is served to the third."""
    assert python(*RUN) == 3
    approve()
    assert resume(monkeypatch, kill="2:before") == -signal.SIGKILL
    assert resume(monkeypatch) == 3
    assert resume(monkeypatch, in_doubt="retry") == 0
    assert fired() == {"pay W1": 1, "mail W1": 1}


def test_a_playbook_in_python_is_not_resumed_under_changed_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says which state changed; --allow-drift goes on with the code as it is."""
    assert python("written.py") == 3
    approve()
    Path("written.py").write_text(WRITTEN.replace("await shop.mail(order)", "await shop.mail(order + '!')"))
    with pytest.raises(
        SpanreelError, match="state mail of written-till is not what it was: its source changed"
    ) as found:
        resume(monkeypatch)
    assert found.value.exit_code == 3
    assert resume(monkeypatch, allow_drift=True) == 0
    assert fired() == {"pay W1": 1, "mail W1!": 1}


def test_a_playbook_file_that_changed_does_not_change_a_run_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The run goes on as the body that it is."""
    assert python(*RUN) == 3
    approve()
    Path("till.yaml").write_text(BOOK.replace("tool: till_mail", "tool: till_pay"))
    assert resume(monkeypatch) == 0
    assert fired() == {"pay W1": 1, "mail W1": 1}


def test_a_tool_that_changed_stops_a_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    """As it does for any agent."""
    assert python(*RUN) == 3
    approve()
    Path("shop.py").write_text(
        SHOP.replace('return {"order": order, "due": 5}', 'return {"order": order, "due": 6}')
    )
    assert resume(monkeypatch) == 3


def test_a_fork_goes_another_way_without_the_writes_that_nobody_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What lies before it is served; a write after it is not run unasked."""
    assert python(*RUN) == 3
    approve()
    assert resume(monkeypatch) == 0
    # steps: look, check, pay, mail
    outcome = replay_run(None, "last", policy=Policy(at=4), echo="capture", timeout=100)
    assert fired() == {"pay W1": 1, "mail W1": 1}
    assert outcome.verdict is not None
    outcome = replay_run(
        None, outcome.verdict.source_run_id, policy=Policy(at=4, allow_tools=frozenset({"till_mail"})), echo="capture", timeout=100
    )  # fmt: skip
    assert outcome.exit_code == 0
    assert fired() == {"pay W1": 1, "mail W1": 2}


def test_a_run_with_tools_that_cannot_be_found_again_is_made_by_its_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Functions made while a program runs: the program is started again."""
    Path("local.py").write_text(
        "import spanreel\n"
        "spanreel.instrument()\n"
        "def main():\n"
        "    body = {'name': 'local', 'initial': 'a', 'states': {'a': {'tool': 'local_do', 'next': 'g'}, 'g': {'approval': {'id': 'mail'}, 'on_approve': 'end'}}}\n"
        "    print(spanreel.Playbook.load(body).run(tools={'local_do': lambda: open('ledger', 'a').write('pay W1\\n')}).status)\n"
        "main()\n"
    )
    assert python("local.py") == 3
    approve()
    assert resume(monkeypatch) == 0
    assert fired() == {"pay W1": 1}
    with pytest.raises(SpanreelError, match="has completed"):
        resume(monkeypatch)


def test_a_rejected_gate_ends_the_run_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard says no when it goes on: exit code 1, no traceback, and nothing after the gate has happened."""
    assert python(*RUN) == 3
    assert python("-m", "spanreel", "reject", "last", "mail", "--reason", "not today") == 0
    assert python("-m", "spanreel", "resume", "last") == 1
    assert fired() == {"pay W1": 1}
    ended = load("last")
    assert (ended.status, ended.error) == ("error", "state ask: approval: mail was rejected: not today")
