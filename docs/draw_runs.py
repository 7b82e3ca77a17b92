"""Draw the README's pictures, docs/try.svg and docs/playbook.svg: what a terminal shows, each from a real run.

python docs/draw_runs.py [try] [playbook]
"""  # noqa: INP001 - a script, in no package

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

HERE = Path(__file__).resolve().parent
STORY = HERE.parent / "examples" / "returns" / "story.py"


@dataclass(frozen=True)
class Picture:
    """What is run, on a terminal of how many columns."""

    title: str
    words: tuple[str, ...]
    columns: int = 80


PICTURES = {
    "try": Picture("spanreel try", ("-m", "spanreel", "try", "--fast")),
    "playbook": Picture("python examples/returns/story.py --short", (str(STORY), "--short"), 96),
}


def printed(picture: Picture) -> str:
    """The output, colours included."""
    environ = {**os.environ, "COLUMNS": str(picture.columns), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    environ["TTY_INTERACTIVE"] = "0"  # no bars of progress
    environ |= {
        "PYTHONPATH": str(HERE.parent),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]]),
    }
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, *picture.words]
        done = subprocess.run(
            words, cwd=folder, env=environ, capture_output=True, text=True, check=True, timeout=300
        )
    # where spanreel's commands are not on PATH, the story says how to put them there
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "export PATH" not in line)


def draw(name: str, picture: Picture) -> None:
    """Write the picture; its fonts are the reader's own, so that nothing is loaded from anywhere."""
    console = Console(record=True, width=picture.columns, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(printed(picture).strip("\n")))
    drawn = console.export_svg(title=picture.title, theme=MONOKAI, unique_id=name)
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
    file = HERE / f"{name}.svg"
    file.write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    for wanted in sys.argv[1:] or PICTURES:
        draw(wanted, PICTURES[wanted])
