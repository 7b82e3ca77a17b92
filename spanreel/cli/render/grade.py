"""Which replay a run allows, for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from spanreel.cli.render.palette import BAD, DIM, DOUBT, GOOD, NAME, text
from spanreel.cli.render.table import Column, drawn
from spanreel.cli.words import flat
from spanreel.replay.grade import Grade
from spanreel.replay.report.text import truncated

STYLE = {"exact": GOOD, "semantic": DOUBT, "view-only": BAD}
MEANING = {
    "exact": "every effect can be served again as it was",
    "semantic": "each model call can be sent again, and its answer compared",
    "view-only": "what is needed to replay it was not captured",
}


def line(found: Grade, width: int) -> Text:
    """A line of the header of a run."""
    return Text.assemble((f"  {'replay':<9} ", DIM), text(truncated(flat(found.line), width - 12)))


def lines(found: Grade, width: int) -> Iterator[Text | Table]:
    """The grade of the run, then each step, and what it lacks for a better one."""
    yield Text.assemble((found.grade, f"{NAME} {STYLE[found.grade]}"), f": {MEANING[found.grade]}")
    if not found.calls:
        return
    first = [one.missing[0] if one.missing else None for one in found.calls]
    columns = [
        Column("step", [text(str(one.step)) for one in found.calls], right=True),
        Column("name", [text(one.name) for one in found.calls], least=8),
        Column("grade", [text(one.grade, STYLE[one.grade]) for one in found.calls]),
        Column("missing", [text(lack.attribute if lack else "") for lack in first], least=12),
        Column("why", [text(lack.why if lack else "") for lack in first], least=8, rank=2),
        Column("switch", [text((lack.switch or "") if lack else "") for lack in first], least=8, rank=1),
    ]
    yield drawn(columns, width)
    for missing in found.missing:
        if missing.step is None:
            yield Text(f"  the run has no {missing.attribute}: {missing.why}", style=DOUBT)
