"""One run in time: a line a step, and where in the run it lay."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, KIND, text
from spanreel.cli.render.table import GAP, Column, drawn, fitted
from spanreel.replay.report.text import duration_text, truncated
from spanreel.replay.timeline import Replay, ReplayStep

EIGHTHS = " ▏▎▍▌▋▊▉█"
MOST_OF_NAME = 40


def table(run: Replay, width: int) -> Table:
    """The waterfall, in `width` characters."""
    steps = run.steps
    total = max([run.duration or 0.0, *((step.offset or 0.0) + (step.duration or 0.0) for step in steps)])
    columns = [
        Column(
            "step",
            [text("·" if step.number is None else str(step.number), DIM) for step in steps],
            right=True,
        ),
        Column("what", [_name(step, run) for step in steps], least=14),
        Column("start", [text(duration_text(step.offset), DIM) for step in steps], right=True),
        Column("time", [text(duration_text(step.duration)) for step in steps], right=True),
    ]
    least = max(20, width // 3)
    taken = sum(size + GAP for _, size in fitted(columns, width - least - GAP))
    room = max(8, width - taken)
    bars = [_bar(step, total, room) for step in steps]
    ruler = "0" + duration_text(total).rjust(room - 1)
    return drawn([*columns, Column(ruler, bars)], width)


def _name(step: ReplayStep, run: Replay) -> Text:
    depth = len(step.agents) - 1 + (step.parent_step is not None)
    name = step.name if step.kind == "tool" else step.model or step.name
    agent = f"{step.agents[-1]}: " if len(step.agents) > 1 and step.agents[-1] != run.agent_name else ""
    line = Text("  " * max(0, min(depth, 4)), no_wrap=True, overflow="ellipsis")
    line.append(truncated(words.flat(agent + name), MOST_OF_NAME), KIND.get(step.kind, ""))
    if step.attempts > 1:
        line.append(f" ×{step.attempts}", DIM)
    return line


def _bar(step: ReplayStep, total: float, room: int) -> Text:
    style = BAD if step.status == "error" else KIND.get(step.kind, "")
    if step.offset is None or total <= 0:
        return Text("", no_wrap=True)
    start = min(step.offset / total, 1.0) * room
    end = min((step.offset + (step.duration or 0.0)) / total, 1.0) * room
    first = min(int(start), room - 1)
    length = max(end - first, 0.0)
    whole, eighths = int(length), round((length - int(length)) * 8)
    bar = "█" * whole + (EIGHTHS[eighths] if eighths else "")
    return Text.assemble(" " * first, (bar or "▏", style), no_wrap=True)
