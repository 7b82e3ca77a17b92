"""What a comparison costs: two runs of 1,000 steps, alike to different degrees.

usage: python bench/comparing.py [--steps N] [--out FILE]

CPU seconds, the median of five: pairing and comparing, then the page and the Markdown of it.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spanreel.replay.compare import compare
from spanreel.replay.report.comparison import comparison_page
from spanreel.replay.report.markdown import comparison_markdown
from spanreel.replay.timeline import Replay, ReplayStep, ToolCallRecord

WORDS = [
    "the",
    "customer",
    "wants",
    "to",
    "exchange",
    "an",
    "item",
    "of",
    "this",
    "order",
    "for",
    "another",
    "colour",
    "and",
    "pays",
    "by",
    "card",
]


def steps(count: int, rolled: random.Random) -> list[ReplayStep]:
    """Model calls and tool calls in turns, of random words."""
    return [model(rolled) if at % 2 == 0 else tool(rolled) for at in range(count)]


def said(rolled: random.Random, count: int) -> str:
    """That many words."""
    return " ".join(rolled.choice(WORDS) for _ in range(count))


def model(rolled: random.Random) -> ReplayStep:
    """A model call."""
    heard, answer = ({"type": "text", "content": said(rolled, count)} for count in (40, 60))
    return ReplayStep(
        number=0,
        kind="llm",
        name="chat m",
        model="m",
        input_messages=[{"role": "user", "parts": [heard]}],
        output_messages=[{"role": "assistant", "parts": [answer]}],
    )


def tool(rolled: random.Random) -> ReplayStep:
    """A tool call."""
    name = rolled.choice(["get", "put", "think"])
    arguments = {"id": rolled.randrange(50), "note": said(rolled, 8)}
    call = ToolCallRecord(tool_name=name, tool_args=arguments, result={"status": said(rolled, 30)})
    return ReplayStep(number=0, kind="tool", name=name, tool=call)


def run(run_id: str, found: list[ReplayStep]) -> Replay:
    """A run of these steps."""
    counted = [step.model_copy(update={"number": number}) for number, step in enumerate(found, 1)]
    return Replay(run_id=run_id, trace_id=run_id, steps=counted)


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds, the median of five."""
    times: list[float] = []
    for _ in range(5):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return round(statistics.median(times), 3)


def main() -> None:
    """Measure, print, and keep."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    words.add_argument("--steps", type=int, default=1000)
    words.add_argument("--out", type=Path)
    given = words.parse_args()
    rolled = random.Random(1)
    first = steps(given.steps, rolled)
    tenth = [step if rolled.random() > 0.1 else (tool if step.tool else model)(rolled) for step in first]
    found: dict[str, Any] = {"command": "python bench/comparing.py --out bench/results/comparing.json"}
    for name, other in (
        ("equal", first),
        ("a tenth changed", tenth),
        ("nothing alike", steps(given.steps, rolled)),
    ):
        a, b = run("a", first), run("b", other)
        compared = compare(a, b)
        found[name] = {
            "compare": seconds(lambda a=a, b=b: compare(a, b)),
            "page": seconds(lambda compared=compared: comparison_page(compared)),
            "markdown": seconds(lambda compared=compared: comparison_markdown(compared)),
        }
    text = json.dumps(found, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
