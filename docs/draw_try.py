"""Draw docs/try.svg, the README's picture: what `spanreel try` prints on a terminal of 80 columns, from a real run of it.

python docs/draw_try.py
"""  # noqa: INP001 - a script, in no package

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

PICTURE = Path(__file__).parent / "try.svg"
COLUMNS = 80


def printed() -> str:
    """The output of `spanreel try`, colours included."""
    environ = {**os.environ, "COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    root = str(Path(__file__).resolve().parents[1])
    environ |= {
        "PYTHONPATH": root,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), environ["PATH"]]),
    }
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "spanreel", "try", "--fast"]
        done = subprocess.run(
            words, cwd=folder, env=environ, capture_output=True, text=True, check=True, timeout=120
        )
    # where spanreel's commands are not on PATH, the story says how to put them there
    return "".join(line for line in done.stdout.splitlines(keepends=True) if "export PATH" not in line)


def main() -> None:
    """Write the picture; its fonts are the reader's own, so that nothing is loaded from anywhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(printed()))
    drawn = console.export_svg(title="spanreel try", theme=MONOKAI, unique_id="try")
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r"<!--.*?-->\s*", "", drawn, flags=re.DOTALL)
    PICTURE.write_text(re.sub(r"[ \t]+$", "", drawn, flags=re.MULTILINE).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()
