"""From three recorded runs to a playbook that is trusted, stopped, repaired and trusted again: every step a command.

python story.py              # in a folder of its own, ./returns-story, which is made anew
python story.py --keep DIR   # in that folder
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from model import serving

HERE = Path(__file__).resolve().parent
FILES = ("shop.py", "agent.py", "desk.py")
AFTER = {"SHOP_API": "2"}
"""The shop after its supplier changed what it answers."""


@dataclass(frozen=True)
class Step:
    """One command: what is told before it, and the exit code that it has to end with."""

    command: str
    told: str = ""
    code: int = 0
    changed: bool = False


STORY = (
    Step(
        'python -c "import shop; shop.opened()"',
        "A shop opens. An agent returns three items; it is recorded.",
    ),
    Step("python agent.py W1001 lamp"),
    Step("python agent.py W1002 chair"),
    Step("python agent.py W1003 lamp"),
    Step(
        'spanreel playbook compile last~2 last~1 last --name return-item --goal "return an item of an order"',
        "What the three runs have in common is a playbook: a candidate, which nothing uses yet.",
    ),
    Step("spanreel playbook promote return-item", "It has shown nothing, so it is refused.", code=5),
    Step("python agent.py W1004 kettle", "The agent works on. What would the playbook have done?"),
    Step("python agent.py W1005 chair"),
    Step("python agent.py W1006 chair"),
    Step("spanreel playbook shadow return-item --over agent=support"),
    Step("spanreel playbook promote return-item", "The same, three times. That is enough."),
    Step("python desk.py W1007 lamp", "The next task needs no model."),
    Step("spanreel show last"),
    Step(
        "python desk.py W1008 chair",
        "The world changes: what was payment_id is called refund_to. A guard stops the playbook before it writes anything,\n"
        "and the agent does the task.",
        changed=True,
    ),
    Step(
        "spanreel playbook repair return-item --like last --tools shop",
        "That run shows the new way. A repair waits for a review; the active version stays what it is.",
        changed=True,
    ),
    Step("spanreel playbook list"),
    Step(
        'spanreel playbook review return-item@2 --approve --reason "the supplier renamed it"',
        "Somebody looks at it. Before that it is walked over what is recorded.",
    ),
    Step(
        "python desk.py W1009 lamp",
        "Approved is not trusted: it is walked beside the agent, until it has shown enough.",
        changed=True,
    ),
    Step("python desk.py W1010 kettle", changed=True),
    Step("python desk.py W1011 chair", changed=True),
    Step("spanreel playbook list", "The first version, stopped twice in a row, is not asked any more."),
    Step("spanreel playbook promote return-item@2"),
    Step("python desk.py W1012 chair", "No model again.", changed=True),
    Step("spanreel playbook list"),
    Step("spanreel playbook why return-item", "And where all of it comes from."),
)


@dataclass(frozen=True)
class Told:
    """A step that was done."""

    step: Step
    code: int
    output: str


def told(folder: Path, environ: dict[str, str]) -> Iterator[Told]:
    """Do each step in a folder; what it printed, its notes included."""
    for step in STORY:
        words = shlex.split(step.command)
        own = {"python": [sys.executable], "spanreel": [sys.executable, "-m", "spanreel"]}
        done = subprocess.run(
            [*own[words[0]], *words[1:]],
            cwd=folder,
            env=environ | (AFTER if step.changed else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )
        yield Told(step, done.returncode, done.stdout)


def prepared(folder: Path) -> Path:
    """The folder with the example's files, and a store of its own."""
    (folder / ".spanreel").mkdir(parents=True)
    for name in FILES:
        shutil.copy(HERE / name, folder / name)
    return folder


def main() -> int:
    """Tell it; 1: a step did not end as it should."""
    folder = Path(sys.argv[2]) if sys.argv[1:2] == ["--keep"] else Path("returns-story")
    if folder.name == "returns-story":
        shutil.rmtree(folder, ignore_errors=True)
    server = serving()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = os.environ | {
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"http://127.0.0.1:{server.server_port}/v1",
        "PYTHONUNBUFFERED": "1",
    }
    environ.pop("SPANREEL_STORE", None)
    environ.pop("SHOP_API", None)
    for done in told(prepared(folder), environ):
        if done.step.told:
            print(f"\n# {done.step.told}".replace("\n", "\n# ").removeprefix("\n# "), flush=True)
        before = "SHOP_API=2 " if done.step.changed else ""
        print(f"$ {before}{done.step.command}\n{done.output}", end="", flush=True)
        if done.code != done.step.code:
            print(f"that ended with {done.code}, not with {done.step.code}")
            return 1
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
