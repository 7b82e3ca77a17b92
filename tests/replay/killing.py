"""Runs that are killed anywhere and resumed until they are done, with payments that can be counted.

The agent asks a model, pays, asks again; every firing of `pay` is a line in a ledger that outlives the process. It kills
itself with SIGKILL at a moment, or at a call, that the seed picks.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from spanreel.exceptions import SpanreelError
from spanreel.replay.load import load
from spanreel.replay.policy import Policy
from spanreel.replay.recording import ToolEffect
from spanreel.replay.resume import resume_run
from spanreel.replay.stored import stored

ROOT = Path(__file__).resolve().parents[2]
ORDERS = ("W0", "W1", "W2")
AGENT = '''
import json, os, signal, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
import openai
import spanreel

VARIANT = sys.argv[1]
spanreel.instrument()
client = openai.OpenAI(base_url=os.environ["MODEL_SERVER"] + "/v1", api_key="k", max_retries=0)

arming = threading.Lock()
firings = 0
DIE_IN, DIE_WHEN = (os.environ["KILL"].split(":") + ["", ""])[1:3] if os.environ.get("KILL", "").startswith("fire") else ("", "")

def fired(tool, order):
    """On file before it returns, if this process comes to it."""
    global firings
    firings += 1
    last = str(firings) == DIE_IN
    if last and DIE_WHEN == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(ledger, f"{tool} {order}\\n".encode())
    os.fsync(ledger)
    os.close(ledger)
    if last:
        os.kill(os.getpid(), signal.SIGKILL)

@spanreel.tool(safety="read")
def look(order):
    return {"order": order, "due": 5}

@spanreel.tool(safety="irreversible")
def pay(order, due):
    fired("pay", order)
    return {"paid": order, "due": due}

@spanreel.tool(safety="irreversible", idempotency_key="order")
def refund(order, due):
    fired("refund", order)
    return {"refunded": order}

TOOLS = {"look": look, "pay": pay, "refund": refund}

def talk(order, tool):
    said = [{"role": "user", "content": f'tool look {{"order": "{order}"}}'}]
    for ask in (f'tool {tool} {{"order": "{order}", "due": 5}}', "done"):
        message = client.chat.completions.create(model="m-1", messages=said).choices[0].message
        arm()
        said.append({"role": "assistant", "tool_calls": [call.model_dump() for call in message.tool_calls]})
        for call in message.tool_calls:
            result = TOOLS[call.function.name](**json.loads(call.function.arguments))
            said.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
        said.append({"role": "user", "content": ask})
    return client.chat.completions.create(model="m-1", messages=said).choices[0].message.content

@spanreel.agent(name="till")
def till(orders):
    tool = "refund" if VARIANT == "idempotent" else "pay"
    if VARIANT == "threads":
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(lambda order: talk(order, tool), orders))
    return [talk(order, tool) for order in orders]

def arm():
    """From the first answer on, when everything is loaded: one call, or one moment, is the last."""
    with arming:
        how, _, when = os.environ.pop("KILL", "").partition(":")
    if how == "after":
        threading.Thread(target=lambda: (time.sleep(float(when)), os.kill(os.getpid(), signal.SIGKILL)), daemon=True).start()
    if how in ("call", "count"):
        calls = 0
        last = int(when)
        def count(frame, event, argument):
            nonlocal calls
            calls += 1
            if calls == last:
                os.kill(os.getpid(), signal.SIGKILL)
        threading.setprofile(count)
        sys.setprofile(count)
        if how == "count":
            import atexit
            atexit.register(lambda: (sys.setprofile(None), open(os.environ["LEDGER"] + ".calls", "w").write(str(calls))))

if __name__ == "__main__":
    print(till(["W0", "W1", "W2"]))
'''


@dataclass
class Story:
    """What became of one run: how often each payment fired, which calls were in doubt, and how it ended.

    kills: how many processes died of it. doubts: what the resumes that stopped said. errors: what should not be.
    """

    seed: int
    variant: str
    kill: str
    kills: int = 0
    resumes: int = 0
    doubts: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    fired: dict[str, int] = field(default_factory=dict)
    status: str = ""


def calls_of(folder: Path, variant: str, server: str) -> int:
    """How many Python calls a run makes that nobody kills."""
    ledger = _prepared(folder, server)
    assert _run(folder, variant, "count:0") == 0
    return int(Path(f"{ledger}.calls").read_text())


def story(folder: Path, seed: int, variant: str, calls: int, server: str, seconds: float = 0.12) -> Story:
    """Run, kill, resume, perhaps kill again, until the run has completed; somebody who looks decides what is in doubt."""
    chance = random.Random(seed)
    kill = _kill(chance, calls, seconds)
    again = _kill(chance, calls, seconds) if chance.random() < 0.4 else ""
    return told(folder, kill, variant, server, again, seed)


def told(folder: Path, kill: str, variant: str, server: str, again: str = "", seed: int = 0) -> Story:
    """The story of a run that is killed as `kill` says, and its first resume as `again` says."""
    found = Story(seed, variant, kill)
    ledger = _prepared(folder, server)
    code = _run(folder, variant, kill)
    found.kills += code == -signal.SIGKILL
    if code not in (0, -signal.SIGKILL):
        found.errors.append(f"the run ended with {code}")
    answer = Policy(resume=True, match="scrubbed")
    while code and found.resumes < 8 and not found.errors:
        code, answer = _resumed(found, ledger, again, answer)
        again = ""
    found.fired = dict(Counter(ledger.read_text().splitlines()) if ledger.exists() else {})
    found.status = load("last").status if _is_there() else "nothing recorded"
    twice = [what for what, times in found.fired.items() if times > 1 and what.startswith("pay ")]
    found.errors += [f"fired twice: {what}" for what in twice]
    if (
        variant == "sequential"
        and found.status == "completed"
        and found.fired != dict.fromkeys((f"pay {one}" for one in ORDERS), 1)
    ):
        found.errors.append("somebody looked, and yet a payment is missing")
    return found


def _resumed(found: Story, ledger: Path, kill: str, policy: Policy) -> tuple[int, Policy]:
    """One resume; and what to say at the next one."""
    if not _is_there():  # killed before anything was on file: nothing has happened, and it is begun anew
        if ledger.exists():
            found.errors.append("something fired, and there is no run")
        return 0, policy
    if load("last").status == "completed":  # killed after its end
        return 0, policy
    os.environ["KILL"] = kill
    found.resumes += 1
    try:
        outcome = resume_run(None, "last", policy=policy, echo="capture", timeout=120)
    except SpanreelError as error:
        found.errors.append(str(error))
        return 1, policy
    finally:
        os.environ["KILL"] = ""
    ask = Policy(resume=True, match="scrubbed")
    if outcome.verdict is None:
        found.kills += bool(kill)
        if not kill:
            found.errors.append(f"{outcome.problem}: {outcome.stderr}")
        return 1, ask
    if outcome.exit_code == 3:
        doubt = outcome.verdict.stopped or ""
        found.doubts.append(doubt)
        if "tool pay" not in doubt:
            found.errors.append(f"it does not name the call: {doubt}")
        return 3, Policy(resume=True, match="scrubbed", in_doubt=_looked_up(ledger))
    if outcome.exit_code:
        found.errors.append(f"exit code {outcome.exit_code}: {outcome.verdict.model_dump_json()}")
    return outcome.exit_code, ask


def _looked_up(ledger: Path) -> str:
    """What somebody says who looks at the till: of the open calls, has any been paid? Then none is made again."""
    paid = set(ledger.read_text().split()) if ledger.exists() else set()
    effects = stored("last", resume=True).recording.effects
    doubtful = {one.arguments["order"] for one in effects if isinstance(one, ToolEffect) and one.open}
    return "skip" if paid & (doubtful or set(ORDERS)) else "retry"


def _kill(chance: random.Random, calls: int, seconds: float) -> str:
    kind = chance.random()
    if kind < 0.3:
        return f"after:{chance.uniform(0.0, seconds):.4f}"
    if kind < 0.5:
        return f"fire:{chance.randrange(1, 4)}:{chance.choice(('before', 'after'))}"
    return f"call:{chance.randrange(1, calls)}"


def _prepared(folder: Path, server: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "till.py").write_text(AGENT)
    ledger = folder / "ledger"
    os.environ |= {
        "SPANREEL_STORE": str(folder / "spans.db"),
        "LEDGER": str(ledger),
        "MODEL_SERVER": server,
        "KILL": "",
        "PYTHONPATH": str(ROOT),
    }
    return ledger


def _run(folder: Path, variant: str, kill: str) -> int:
    line = [sys.executable, "till.py", variant]
    done = subprocess.run(
        line, cwd=folder, env=os.environ | {"KILL": kill}, capture_output=True, timeout=120, check=False
    )
    if done.returncode not in (0, -signal.SIGKILL):
        sys.stderr.write(done.stderr.decode())
    return done.returncode


def _is_there() -> bool:
    from spanreel.collector.store import open_reader

    store = Path(os.environ["SPANREEL_STORE"])
    try:
        with open_reader(store) as reader:
            return bool(reader.runs())
    except SpanreelError:
        return False


def as_json(found: Story) -> dict[str, object]:
    """For a report."""
    return json.loads(json.dumps(found.__dict__))
