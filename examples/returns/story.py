"""From three recorded runs to a playbook that is trusted, stopped, repaired and trusted again: every step a command.

python story.py           # in a folder of its own, ./returns-story, which is made anew
python story.py --short   # tells only the main steps
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
    """One command.

    Attributes:
        told: before it.
        code: the exit code that it has to end with.
        changed: after the shop's supplier changed its answers.
        main: whether a short telling has it.
    """

    command: str
    told: str = ""
    code: int = 0
    changed: bool = False
    main: bool = True


STORY = (
    Step('python -c "import shop; shop.opened()"', "A shop opens.", main=False),
    Step("python agent.py W1001 lamp", "An agent returns three items. It is recorded."),
    Step("python agent.py W1002 chair"),
    Step("python agent.py W1003 lamp"),
    Step(
        "spanreel playbook compile last~2 last~1 last --name return-item",
        "What the three runs have in common is a playbook: a candidate, which nothing uses yet.",
    ),
    Step(
        "spanreel playbook promote return-item", "It has shown nothing, so it is refused.", code=5, main=False
    ),
    Step("python agent.py W1004 kettle", "The agent works on.", main=False),
    Step("python agent.py W1005 chair", main=False),
    Step("python agent.py W1006 chair", main=False),
    Step(
        "spanreel playbook shadow return-item --over agent=support",
        "The agent has returned three more. What would the playbook have done?",
    ),
    Step("spanreel playbook promote return-item", "The same, three times. That is enough."),
    Step("python desk.py W1007 lamp", "The next task needs no model."),
    Step("spanreel show last", main=False),
    Step(
        "python desk.py W1008 chair",
        "The world changes: what was payment_id is called refund_to.\n"
        "A guard stops the playbook before it writes anything, and the agent does the task.",
        changed=True,
    ),
    Step(
        "spanreel playbook repair return-item --like last --tools shop",
        "That run shows the new way. A repair waits for a review; the active version stays what it is.",
        changed=True,
    ),
    Step("spanreel playbook list", main=False),
    Step(
        'spanreel playbook review return-item@2 --approve --reason "the supplier renamed it"',
        "Somebody looks at it. Before that it is walked over what is recorded.",
    ),
    Step(
        "python desk.py W1009 lamp",
        "Approved is not trusted: it is walked beside the agent, until it has shown enough.",
        changed=True,
        main=False,
    ),
    Step("python desk.py W1010 kettle", changed=True, main=False),
    Step(
        "spanreel playbook list",
        "The first version, stopped twice in a row, is not asked any more.",
        main=False,
    ),
    Step("spanreel playbook promote return-item@2", main=False),
    Step(
        "python desk.py W1011 chair",
        "Walked beside the agent it has shown enough, and was promoted. No model is needed again.",
        changed=True,
    ),
    Step("spanreel playbook why return-item", "And where all of it comes from.", main=False),
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


def shown(done: Told) -> str:
    """A step as a terminal shows it; in colours where they are wanted."""
    bold, dim, plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if os.environ.get("FORCE_COLOR") else ("", "", "")
    lines = [f"{dim}# {line}{plain}\n" for line in done.step.told.splitlines()]
    before = "SHOP_API=2 " if done.step.changed else ""
    return "".join(
        [*(["\n"] if lines else []), *lines, f"{bold}$ {before}{done.step.command}{plain}\n", done.output]
    )


def main() -> int:
    """Tell it; 1: a step did not end as it should."""
    folder = Path("returns-story")
    shutil.rmtree(folder, ignore_errors=True)
    server = serving()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    environ = os.environ | {"OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url}
    for name in ("SPANREEL_STORE", "SHOP", "SHOP_API"):
        environ.pop(name, None)
    for done in told(prepared(folder), environ):
        wrong = done.code != done.step.code
        if wrong or done.step.main or "--short" not in sys.argv:
            print(shown(done), end="", flush=True)
        if wrong:
            print(f"that ended with {done.code}, not with {done.step.code}")
            return 1
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
