"""Runs that go on: after a decision, a crash, a timeout; what had ended does not happen again, and it stays one run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from programs import ROOT

from spanreel.collector.files import write_jsonl
from spanreel.collector.store import open_reader
from spanreel.exceptions import ContractChanged, NotReplayable, Refused, SpanreelError, Undecided
from spanreel.replay.approvals import decide
from spanreel.replay.child import Outcome, replay_run
from spanreel.replay.load import from_file, load, summaries
from spanreel.replay.policy import Policy
from spanreel.replay.resume import resume_run

SHOP = """
import os, sys, time
import spanreel
spanreel.instrument()

def fired(what):
    with open("ledger", "a") as ledger:
        ledger.write(what + "\\n")

@spanreel.tool(safety="irreversible")
def pay(order):
    fired("pay " + order)
    return {"paid": order}

@spanreel.tool(safety="irreversible")
def ship(order):
    fired("ship begins")
    decision = spanreel.await_approval("ship", "Ship " + order + "?")
    fired("ship " + str(decision.approved))
    return "shipped" if decision else f"kept: {decision.reason}"

"""
GATED = """
@spanreel.agent
def shop(order):
    pay(order)
    decision = spanreel.await_approval("refund", "Refund?", {"order": order})
    return pay("back to " + order) if decision else f"no, says {decision.actor}: {decision.reason}"

if __name__ == "__main__":
    print(shop("W1"))
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Children find this source tree; everybody works in one folder."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)


def run(code: str, *arguments: str, exits: int = 3) -> str:
    """Run a shop; the id of its run."""
    Path("shop.py").write_text(SHOP + code)
    done = subprocess.run(
        [sys.executable, "shop.py", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == exits, done.stderr
    return load("last").run_id


def resume(name: str = "last", **options: object) -> Outcome:
    """Go on with it; there must be a verdict."""
    given = {
        key: options.pop(key)
        for key in ("in_doubt", "in_doubt_result", "allow_drift", "allow_tools")
        if key in options
    }
    policy = Policy(resume=True, match="scrubbed", **given)  # type: ignore[arg-type]
    outcome = resume_run(None, name, policy=policy, echo="capture", **options)  # type: ignore[arg-type]
    assert outcome.verdict is not None, (outcome.problem, outcome.stderr)
    return outcome


def ledger() -> list[str]:
    """What has happened to the world."""
    return Path("ledger").read_text().splitlines() if Path("ledger").exists() else []


def test_an_approved_run_goes_on_and_repeats_nothing():
    """What was before the gate is served; what follows is live, once."""
    run_id = run(GATED)
    assert ledger() == ["pay W1"]
    decide(None, run_id, approved=True)
    outcome = resume(run_id)
    assert outcome.verdict is not None
    assert (outcome.exit_code, outcome.verdict.status, outcome.verdict.run_id) == (0, "completed", run_id)
    assert (outcome.verdict.effects.recorded, outcome.verdict.effects.live) == (1, 1)
    assert ledger() == ["pay W1", "pay back to W1"]
    assert outcome.stdout == "{'paid': 'back to W1'}\n"


def test_a_rejected_run_is_told_so():
    """With the reason and who it was."""
    decide(None, run(GATED), approved=False, reason="too much", actor="ann")
    assert resume().stdout == "no, says ann: too much\n"
    assert ledger() == ["pay W1"]


def test_its_segments_are_one_run(store: Path):
    """In the list, by every name, with what was served counted once; the steps are those of the whole run."""
    run_id = run(GATED)
    before = load(run_id)
    decide(None, run_id, approved=True)
    resume()
    (listed,) = summaries()
    found = load(run_id)
    assert (listed.run_id, listed.status, listed.steps, listed.source_run_id) == (
        run_id,
        "completed",
        2,
        None,
    )
    assert (found.status, found.started_at, found.source_run_id) == ("completed", before.started_at, None)
    assert [(step.number, step.name, step.source) for step in found.steps] == [
        (1, "pay", "recorded"),
        (2, "pay", "live"),
    ]
    assert [(one.number, one.status) for one in found.segments] == [(1, "paused"), (2, "completed")]
    assert found.segments[0].trace_id == run_id != found.segments[1].trace_id == found.trace_id
    assert load(found.trace_id[:12]) == found == load("last")
    with open_reader(store) as reader:
        (root,) = [one for one in reader.spans(found.trace_id) if "spanreel.run.segment" in one.attributes]
    assert (root.attributes["spanreel.run.id"], root.attributes["spanreel.run.segment"]) == (run_id, 2)
    assert root.links[0].trace_id == run_id


def test_a_resumed_run_is_replayed_exactly_from_store_and_file(store: Path, tmp_path: Path):
    """The gate is passed as it was decided; a file carries all segments."""
    run_id = run(GATED)
    decide(None, run_id, approved=True)
    resume()
    with open_reader(store) as reader:
        traces = [one.trace_id for one in load(run_id).segments]
        write_jsonl([span for trace in traces for span in reader.spans(trace)], tmp_path / "run.otlp.jsonl")
    found = from_file("run.otlp.jsonl")
    assert (found.run_id, found.status, len(found.segments), found.warnings) == (run_id, "completed", 2, [])
    for name in (run_id, "run.otlp.jsonl"):
        outcome = replay_run(None, name, echo="capture", timeout=60)
        assert outcome.verdict is not None, outcome.stderr
        assert (outcome.verdict.verdict, outcome.verdict.effects.recorded, outcome.exit_code) == (
            "exact",
            2,
            0,
        )
    assert ledger() == ["pay W1", "pay back to W1"]


def test_a_tool_with_the_gate_inside_begins_anew():
    """Nothing after the gate has happened, so it is not in doubt; calls before it inside the tool are served."""
    run_id = run(
        """
@spanreel.tool(safety="irreversible")
def send(order):
    pay(order)
    return ship(order)

@spanreel.agent
def shop(order):
    return send(order)

if __name__ == "__main__":
    print(shop("W1"))
"""
    )
    assert ledger() == ["pay W1", "ship begins"]
    decide(None, run_id, approved=True)
    assert resume().stdout == "shipped\n"
    assert ledger() == ["pay W1", "ship begins", "ship begins", "ship True"]
    outcome = replay_run(None, run_id, echo="capture", timeout=60)
    assert outcome.verdict is not None
    assert (outcome.verdict.verdict, outcome.stdout) == ("exact", "shipped\n")


def test_gates_in_a_loop_are_passed_one_by_one():
    """Each resume goes as far as somebody has decided; earlier payments are never made again."""
    run_id = run(
        """
@spanreel.agent
def shop(count):
    for number in range(count):
        if not spanreel.await_approval("next", str(number)):
            return "enough"
        pay(str(number))
    return "all"

if __name__ == "__main__":
    print(shop(3))
"""
    )
    for _ in range(2):
        decide(None, run_id, approved=True)
        assert resume().exit_code == 3
    decide(None, run_id, approved=False)
    assert resume().stdout == "enough\n"
    assert ledger() == ["pay 0", "pay 1"]
    found = load(run_id)
    assert (found.status, len(found.segments)) == ("completed", 4)
    assert [one.status for one in found.approvals] == ["approved", "approved", "rejected"]


def test_every_run_of_a_process_goes_on_as_the_run_it_was():
    """Starting the program again makes them all anew: each root is a segment of its own run."""
    run(
        """
for name in ("one", "two"):
    with spanreel.run(name, run_id="the-" + name):
        pay(name)
        if name == "two":
            spanreel.await_approval("more")
            pay("more")
"""
    )
    decide(None, "the-two", approved=True)
    assert resume("the-two").exit_code == 0
    assert ledger() == ["pay one", "pay two", "pay more"]
    listed = {one.agent_name: one for one in summaries()}
    assert {name: (one.status, one.steps, one.alias) for name, one in listed.items()} == {
        "one": ("completed", 1, "the-one"),
        "two": ("completed", 2, "the-two"),
    }
    assert [len(load(one.run_id).segments) for one in listed.values()] == [2, 2]


def test_what_cannot_go_on_is_refused_by_name():
    """Nobody has decided; it has completed; it is a file."""
    run_id = run(GATED)
    with pytest.raises(
        Undecided, match=rf"waits for approval refund.*spanreel approve {run_id[:12]} refund"
    ) as caught:
        resume(run_id)
    assert caught.value.exit_code == 3
    decide(None, run_id, approved=False)
    resume(run_id)
    with pytest.raises(NotReplayable, match="has completed"):
        resume(run_id)
    with pytest.raises(SpanreelError, match="resumed in a store"):
        resume("run.otlp.jsonl")
    assert ledger() == ["pay W1"]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ('return pay("back to " + order)', "return None", "its source changed"),
        ("def shop(order):", "def shop(order, more=1):", "its parameters changed"),
    ],
)
def test_changed_code_of_the_agent_is_refused_before_anything_runs(old: str, new: str, what: str):
    """With what changed; --allow-drift passes it."""
    decide(None, run(GATED), approved=True)
    Path("shop.py").write_text((SHOP + GATED).replace(old, new))
    with pytest.raises(
        ContractChanged, match=f"the agent __main__:shop is not what was recorded: .*{what}"
    ) as caught:
        resume()
    assert caught.value.exit_code == 3
    assert len(load("last").segments) == 0
    assert resume(allow_drift=True).exit_code == 0


def test_a_changed_tool_is_refused_at_its_first_call():
    """Also where its call would only be served."""
    decide(None, run(GATED), approved=True)
    Path("shop.py").write_text(
        (SHOP + GATED).replace('return {"paid": order}', 'return {"paid": order.upper()}')
    )
    outcome = resume()
    assert outcome.verdict is not None
    assert outcome.exit_code == 3
    assert "the tool pay is not what was recorded: its source changed" in str(outcome.verdict.stopped)
    assert ledger() == ["pay W1"]
    assert resume(allow_drift=True).exit_code == 0


def test_a_changed_script_is_refused():
    """Where the program itself is the entry point, its file is compared."""
    code = 'pay("W1")\nspanreel.await_approval("more")\npay("W2")\n'
    run_id = run(code)
    decide(None, run_id, approved=True)
    Path("shop.py").write_text(SHOP + code + "\n# changed\n")
    with pytest.raises(ContractChanged, match="the program is not what was recorded"):
        resume()
    Path("shop.py").write_text(SHOP + code)
    assert resume().exit_code == 0
    assert ledger() == ["pay W1", "pay W2"]


def test_a_secret_that_was_blanked_is_not_handed_to_a_live_agent():
    """Unless somebody says that it does not matter."""
    code = GATED.replace("    pay(order)\n", '    pay(login()["token"])\n')
    tool = '@spanreel.tool(safety="read")\ndef login():\n    return {"token": "sk-proj-" + "Ab1" * 16}\n'
    decide(None, run(tool + code), approved=True)
    with pytest.raises(ContractChanged, match=r"step 1 \(tool login\) was stored with a secret blanked"):
        resume()


@pytest.mark.parametrize("kind", ["program", "function"])
def test_a_hook_may_refuse_a_resume(kind: str):
    """It is given what is about to happen; what it said is a span of the run; nothing has run."""
    run_id = run(GATED)
    decide(None, run_id, approved=True, actor="ann")
    Path("check.py").write_text(
        "import json, os, sys\n"
        "def look(event):\n"
        "    assert event['approvals'][0]['actor'] == 'ann', event\n"
        "    if os.path.exists('closed'):\n        raise ValueError('the shop is closed')\n"
        "if __name__ == '__main__':\n"
        "    try:\n        look(json.load(sys.stdin))\n"
        "    except ValueError as error:\n        sys.exit(str(error))\n"
    )
    Path("closed").touch()
    hook = "check:look" if kind == "function" else f"{sys.executable} check.py"
    with pytest.raises(Refused, match="the shop is closed") as caught:
        resume(hook=[hook])
    assert (caught.value.exit_code, ledger()) == (5, ["pay W1"])
    Path("closed").unlink()
    Path("pyproject.toml").write_text(f"[tool.spanreel.hooks]\nbefore_resume = {json.dumps(hook)}\n")
    assert resume().exit_code == 0
    with open_reader(Path(os.environ["SPANREEL_STORE"])) as reader:
        said = [
            one.attributes["spanreel.outcome.success"]
            for one in reader.spans(run_id)
            if one.name == "hook before_resume"
        ]
    assert said == [False, True]
    sys.modules.pop("check", None)


def test_a_resume_that_takes_too_long_has_an_end_and_can_go_on():
    """Its run has failed by then; what it had done is served the next time."""
    run_id = run(
        """
@spanreel.agent
def shop(order):
    spanreel.await_approval("go")
    pay(order)
    time.sleep(0 if os.path.exists("awake") else 60)
    return pay("again")

if __name__ == "__main__":
    print(shop("W1"))
"""
    )
    decide(None, run_id, approved=True)
    policy = Policy(resume=True, match="scrubbed")
    outcome = resume_run(None, run_id, policy=policy, timeout=8, echo="capture")
    assert outcome.verdict is None
    assert "took longer than 8 s" in str(outcome.problem)
    found = load(run_id)
    assert (found.status, found.ended_at is not None) == ("error", True)
    assert "took too long" in str(found.error)
    Path("awake").touch()
    assert resume().exit_code == 0
    assert ledger() == ["pay W1", "pay again"]
    assert (load(run_id).status, len(load(run_id).segments)) == ("completed", 3)


def test_a_run_that_failed_goes_on_where_it_failed():
    """A crash is no reason to pay twice."""
    run_id = run(
        """
@spanreel.agent
def shop(order):
    pay(order)
    if not os.path.exists("mended"):
        raise RuntimeError("the shelf broke")
    return pay("then")

if __name__ == "__main__":
    print(shop("W1"))
""",
        exits=1,
    )
    again = resume_run(None, run_id, echo="capture")
    assert again.verdict is not None
    assert again.verdict.error is not None
    Path("mended").touch()
    assert resume().exit_code == 0
    assert ledger() == ["pay W1", "pay then"]


def test_a_run_that_still_runs_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """By its process, and by whoever resumes it already."""
    Path("shop.py").write_text(SHOP + '\npay("W1")\nprint("here", flush=True)\ntime.sleep(60)\n')
    with subprocess.Popen([sys.executable, "shop.py"], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            with pytest.raises(NotReplayable, match=f"is still running, as process {process.pid}"):
                resume()
        finally:
            process.kill()
    assert load("last").status == "incomplete"
    holding = (
        "import sys\nfrom pathlib import Path\nfrom spanreel.replay.resume import _alone\n"
        "with _alone(Path(sys.argv[1]), sys.argv[2]):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    line = [sys.executable, "-c", holding, os.environ["SPANREEL_STORE"], load("last").run_id]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(NotReplayable, match="is being resumed by another process"):
            resume()
        other.kill()


def test_the_command_resumes_and_says_how_it_went():
    """Exit codes, one line of words, the verdict as JSON; rm takes all segments."""
    run_id = run(GATED)
    done = _command("resume", "last")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"spanreel approve {run_id[:12]} refund" in done.stderr
    _command("approve", "last")
    done = _command("resume", run_id, "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["status"], said["run_id"], said["effects"]["recorded"]) == (
        0,
        "completed",
        run_id,
        1,
    )
    assert _command("resume", "last", "--in-doubt", "perhaps").returncode == 2
    assert _command("rm", "last", "--yes").returncode == 0
    assert summaries() == []


def _command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "spanreel", *words], capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("agent", [True, False])
def test_an_effect_in_doubt_pauses_the_run_until_somebody_says(agent: bool):
    """Also where the agent swallows it, and where the program itself is the run; the given result is what it gets."""
    body = """
    try:
        first = pay("W1")
    except BaseException:
        first = "swallowed"
    print(first)
    """
    code = f"@spanreel.agent\ndef shop():{body}\nshop()\n" if agent else f"if True:{body}\n"
    killed = SHOP.replace(
        '    return {"paid": order}',
        '    os.path.exists("alive") or os.kill(os.getpid(), 9)\n    return {"paid": order}',
    )
    Path("shop.py").write_text(killed + code)
    done = subprocess.run([sys.executable, "shop.py"], check=False, timeout=60)
    assert (done.returncode, load("last").status) == (-9, "incomplete")
    outcome = resume()
    assert outcome.verdict is not None
    assert (outcome.exit_code, outcome.verdict.status, load("last").status) == (3, "paused", "paused")
    assert "step 1 (tool pay, irreversible) began and did not come to its end" in str(outcome.verdict.stopped)
    assert resume(in_doubt="result", in_doubt_result={"paid": "by hand"}).stdout == "{'paid': 'by hand'}\n"
    assert (load("last").status, ledger()) == ("completed", ["pay W1"])


def test_a_decision_holds_for_what_was_asked_and_nothing_else():
    """The gate asks for more than somebody approved: it stays shut. Ids and times that are made anew do not matter."""
    gate = 'spanreel.await_approval("refund", "Refund?", {"order": order})'
    code = GATED.replace(
        gate, 'spanreel.await_approval("refund", f"{uuid.uuid4()}", {"sum": open("sum").read()})'
    )
    Path("sum").write_text("5")
    decide(None, run("import uuid\n" + code), approved=True)
    Path("sum").write_text("500")
    outcome = resume()
    assert outcome.verdict is not None
    assert (outcome.exit_code, ledger()) == (3, ["pay W1"])
    assert "approval refund was decided about another question" in str(outcome.verdict.stopped)
    Path("sum").write_text("5")
    assert resume().exit_code == 0
    assert ledger() == ["pay W1", "pay back to W1"]


def test_a_resumed_fork_runs_no_tool_that_nobody_named():
    """The fork had no leave to pay, so neither has what goes on with it."""
    source = run(GATED)
    fork = replay_run(None, source, policy=Policy(at=2), echo="capture", timeout=60)
    assert fork.verdict is not None
    assert fork.verdict.status == "paused"
    other = load("last").run_id
    decide(None, other, approved=True)
    outcome = resume(other)
    assert outcome.verdict is not None
    assert (outcome.exit_code, outcome.verdict.effects.denied) == (1, 1)
    assert ledger() == ["pay W1"]
    assert resume(other, allow_tools=frozenset({"pay"})).exit_code == 0
    assert ledger() == ["pay W1", "pay back to W1"]
