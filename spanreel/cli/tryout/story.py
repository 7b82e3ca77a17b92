"""The story that `spanreel try` tells: each step is a command that the reader can repeat, run for real, and checked.

It touches its own folder only: the example agent, what the agent's tools write, and a store. No step reaches
beyond this machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp

from rich.padding import Padding
from rich.text import Text

from spanreel.cli.terminal import console
from spanreel.cli.tryout.answers import Answers
from spanreel.cli.tryout.server import PORT, ModelServer, serving
from spanreel.cli.words import short_ids
from spanreel.exceptions import SpanreelError
from spanreel.replay.load import summaries
from spanreel.replay.timeline import RunSummary

PAUSE = 1.0  # seconds to read a step, where somebody is looking
PATIENCE = 60  # seconds that one command may take
WRITTEN = ("refunds.txt", "tickets.txt")  # by the example's tools


def tell(folder: Path, answers: Answers, port: int | None, *, pause: bool) -> int:
    """Go through the whole story; the exit code is 0 when every step was as it should be.

    Raises:
        SpanreelError: the openai package is missing, or the port that was asked for is in use.
    """
    if find_spec("openai") is None:
        raise SpanreelError("the example agent needs the openai package", "pip install 'spanreel[try]'")
    begun = time.monotonic()
    folder = prepared(folder)
    with listening(answers, port) as server:
        story = Story(folder, server, pause and sys.stdout.isatty())
        story.introduce()
        story.tell()
    return story.conclude(time.monotonic() - begun)


def prepared(folder: Path) -> Path:
    """The folder with the example in it; one of the system's own for temporary files where it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".gitignore").write_text("*\n", "utf-8")
    except OSError:
        folder = Path(mkdtemp(prefix="spanreel-try-"))
    (folder / ".spanreel").mkdir(mode=0o700, exist_ok=True)
    agent = folder / "agent.py"
    text = files("spanreel.cli.tryout").joinpath("agent.py").read_text("utf-8")
    if agent.exists() and agent.read_text("utf-8", "replace") != text:
        agent.replace(folder / "agent.edited.py")
    agent.write_text(text, "utf-8")
    for name in WRITTEN:
        (folder / name).unlink(missing_ok=True)
    return folder


def listening(answers: Answers, port: int | None) -> AbstractContextManager[ModelServer]:
    """A model server on that port; without one on the usual port, or on a free one where that is taken.

    Raises:
        SpanreelError: the port that was asked for is in use.
    """
    if port is not None:
        return serving(answers, port)
    try:
        ModelServer(answers, PORT).server_close()
    except SpanreelError:
        return serving(answers, 0)
    return serving(answers, PORT)


@dataclass(slots=True)
class Story:
    """The steps, in order, and what was not as it should be."""

    folder: Path
    server: ModelServer
    pause: bool
    wrong: list[str] = field(default_factory=list[str])

    @property
    def store(self) -> Path:
        """The example's own store."""
        return self.folder / ".spanreel" / "spans.db"

    def introduce(self) -> None:
        """Where everything is, and how to stand where the commands are run."""
        out = console()
        out.print(
            Text.assemble(
                ("spanreel try", "bold"), ": an agent recorded, replayed offline, changed, compared."
            )
        )
        out.print(f"No key, no network beyond this machine. Everything is in {_shown(self.folder)}:")
        out.print("the agent is agent.py there, its store .spanreel/spans.db.")
        if (self.folder / "agent.edited.py").exists():
            out.print("Your changed agent.py is kept as agent.edited.py.")
        commands = [f"cd {_shown(self.folder)}"]
        own = Path(sys.executable).parent
        if Path(shutil.which("spanreel") or "").parent != own:
            commands.append(f'export PATH="{own}:$PATH"')
        if os.environ.get("SPANREEL_STORE"):
            commands.append("unset SPANREEL_STORE")
        at = self.server.server_address[1]
        if at == PORT:
            commands.append("spanreel try --serve &")
        else:
            commands += [f"export MODEL_URL={self.server.url}", f"spanreel try --serve --port {at} &"]
        self._title("To repeat the steps, begin with these (here they are done for you)")
        for command in commands:
            self._command(command)

    def tell(self) -> None:
        """The steps. One that fails ends the story, since the next ones stand on it."""
        self._title("1. Run the agent. It has one line of spanreel's: spanreel.instrument()")
        if not self._ran("python agent.py", "the agent did not run"):
            return
        first = self._newest()
        if first is None:
            return
        self._title("2. Its run was recorded: three model calls and three tool calls")
        self._ran("spanreel runs", "the run is not listed")
        self._title("3. What it did, and what was said")
        self._ran("spanreel show last", "the run cannot be shown")
        self._title("4. Run it again: the network is blocked, the recording answers")
        self._replay(self._name(first))
        self._title("5. Change the agent: one more sentence in its prompt")
        if not self._ran("python agent.py --careful", "the changed agent did not run"):
            return
        second = self._newest()
        if second is None:
            return
        self._title("6. What the change did")
        if self._ran(
            f"spanreel diff {self._name(first)} {self._name(second)}", "the runs cannot be compared"
        ):
            self._check_change(first, second)

    def conclude(self, seconds: float) -> int:
        """What was shown, or what went wrong; the exit code."""
        out = console()
        out.print()
        for wrong in self.wrong:
            out.print(Text(f"not as it should be: {wrong}", style="red"))
        if self.wrong:
            return 1
        out.print(Text(f"All of it was as it should be, in {seconds:.0f} seconds.", style="green"))
        out.print("Your own agent: add `import spanreel; spanreel.instrument()`, or run it unchanged with")
        self._command("spanreel run -- python your_agent.py")
        return 0

    # -- steps ------------------------------------------------------------------

    def _replay(self, name: str) -> None:
        asked, written = self.server.answered, self._written()
        output = self._output(f"spanreel replay {name}", "the replay failed")
        if output is None:
            return
        if not any(line.startswith("exact:") for line in output.splitlines()):
            self.wrong.append("the replay is not exact")
        if self.server.answered != asked:
            self.wrong.append("the replay asked the model server")
        if self._written() != written:
            self.wrong.append("the replay made the refund again")
        else:
            said = "refunds.txt still has its one line: the refund was not made again."
            console().print(Padding(Text(said, style="dim"), (0, 0, 0, 3), expand=False))

    def _check_change(self, first: RunSummary, second: RunSummary) -> None:
        from spanreel.replay.load import diff

        calls = diff(first.run_id, second.run_id, self.store).tool_calls_diff
        added, removed = ({call.tool_name for call in listed} for listed in (calls.added, calls.removed))
        if added != {"open_ticket"} or removed != {"refund"}:
            self.wrong.append(f"the change should replace refund by open_ticket, not {removed} by {added}")

    def _newest(self) -> RunSummary | None:
        found = [run for run in summaries(self.store) if run.source_run_id is None]
        if not found or found[0].status != "completed":
            self.wrong.append("the run was not recorded to its end")
            return None
        return found[0]

    def _name(self, run: RunSummary) -> str:
        return short_ids([each.run_id for each in summaries(self.store)])[run.run_id]

    def _written(self) -> dict[str, bytes]:
        return {name: path.read_bytes() for name in WRITTEN if (path := self.folder / name).exists()}

    # -- commands ---------------------------------------------------------------

    def _ran(self, command: str, otherwise: str) -> bool:
        return self._output(command, otherwise) is not None

    def _output(self, command: str, otherwise: str) -> str | None:
        """What the command said on stdout, shown to the reader; None when it failed."""
        self._command(command)
        out = console()
        done = self._run(command.split(), out.width, out.is_terminal)
        for said in (done.stdout, done.stderr):
            if said.strip():
                out.print(Padding(Text.from_ansi(said.rstrip("\n")), (0, 0, 0, 3), expand=False))
        if self.pause:
            time.sleep(PAUSE)
        if done.returncode:
            self.wrong.append(f"{otherwise} ({command}: exit code {done.returncode})")
            return None
        return Text.from_ansi(done.stdout).plain

    def _run(self, words: Sequence[str], width: int, colours: bool) -> subprocess.CompletedProcess[str]:
        own = {"python": [sys.executable], "spanreel": [sys.executable, "-m", "spanreel"]}
        environ = {
            name: value for name, value in os.environ.items() if not name.startswith(("SPANREEL_", "OTEL_"))
        }
        environ |= {"COLUMNS": str(width - 3), "MODEL_URL": self.server.url, "PYTHONPATH": _import_path()}
        environ |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"} | (
            {"FORCE_COLOR": "1"} if colours else {}
        )
        try:
            return subprocess.run(
                [*own[words[0]], *words[1:]],
                cwd=self.folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(words, 124, "", f"no end after {PATIENCE} seconds")

    def _title(self, text: str) -> None:
        console().print()
        console().print(Text(text, style="bold"))

    def _command(self, command: str) -> None:
        console().print(Text.assemble((" $ ", "dim"), (command, "cyan")), soft_wrap=True)


def _shown(folder: Path) -> str:
    """The folder as the reader types it from where he stands."""
    absolute = folder.absolute()
    return str(absolute.relative_to(Path.cwd())) if absolute.is_relative_to(Path.cwd()) else str(absolute)


def _import_path() -> str:
    """PYTHONPATH of the reader's shell, absolute, since the commands run in another folder."""
    found = os.environ.get("PYTHONPATH", "")
    return os.pathsep.join(str(Path(path).absolute()) for path in found.split(os.pathsep) if path)
