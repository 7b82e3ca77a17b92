"""What became of a suite of recordings, for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from spanreel.cli import words
from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME, text
from spanreel.cli.render.table import Column, drawn
from spanreel.replay.report.text import clean, duration_text
from spanreel.replay.suite import SuiteSummary

STYLE = {"passed": GOOD, "diverged": BAD, "error": DOUBT}
LISTED = 10


def table(found: SuiteSummary, width: int) -> Table:
    """One line a recording."""
    rows = found.recordings
    columns = [
        Column("recording", [text(words.flat(one.name)) for one in rows], least=20),
        Column("result", [text(one.result, STYLE[one.result]) for one in rows]),
        Column("verdict", [text(one.verdict or "–", DIM) for one in rows], rank=2),
        Column("step", [text(str(one.step or "–")) for one in rows], right=True, rank=3),
        Column("recorded", [text(str(one.effects.recorded), DIM) for one in rows], right=True, rank=1),
        Column("time", [text(duration_text(one.duration), DIM) for one in rows], right=True),
    ]
    return drawn(columns, width)


def reports(found: SuiteSummary) -> Iterator[Text]:
    """Why those did not pass that did not."""
    failed = [one for one in found.recordings if one.result != "passed"]
    for one in failed[:LISTED]:
        yield Text.assemble((words.flat(one.name), NAME))
        for line in (one.first_divergence or one.problem or "").splitlines():
            yield Text(f"  {clean(line)}")
        if one.remedy:
            yield Text(f"  → {words.flat(one.remedy)}", style=DIM)
        if one.first_divergence is None and one.output:
            for line in one.output.splitlines()[-5:]:
                yield Text(f"  | {clean(line)}", style=DIM)
        yield Text("")
    if len(failed) > LISTED:
        yield Text(f"and {words.plural(len(failed) - LISTED, 'more')}: see --json", style=DIM)


def totals(found: SuiteSummary) -> Text:
    """The last line."""
    counts = found.counts
    style = GOOD if not found.exit_code else BAD
    return Text.assemble(
        (f"{counts.passed} of {counts.total} passed", f"{NAME} {style}"),
        f", {counts.diverged} diverged, {words.plural(counts.errors, 'error')}, in {duration_text(found.duration)}",
    )
