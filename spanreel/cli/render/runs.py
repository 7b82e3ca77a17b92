"""The list of runs as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.table import Table

from spanreel.cli import words
from spanreel.cli.render.palette import DIM, NAME, status, text
from spanreel.cli.render.table import Column, drawn
from spanreel.replay.report.text import cost_text, count_text, duration_text
from spanreel.replay.timeline import RunSummary


def table(runs: Sequence[RunSummary], shorts: dict[str, str], width: int) -> Table:
    """One line a run, newest first; `shorts` are the ids to show."""

    def column(
        title: str, cell: Callable[[RunSummary], str], rank: int = 0, least: int | None = None
    ) -> Column:
        right = title in {"time", "steps", "tokens", "cost"}
        style = NAME if title == "run" else DIM if title in {"model", "started"} else ""
        return Column(title, [text(cell(run), style) for run in runs], right, least, rank)

    columns = [
        column("run", lambda run: shorts[run.run_id]),
        column("agent", lambda run: run.agent_name or "–", least=12),
        Column("status", [status(run.status) for run in runs]),
        column("of", lambda run: shorts.get(run.source_run_id or "", (run.source_run_id or "")[:8]), rank=4),
        column("alias", _alias, rank=5, least=10),
        column("model", lambda run: run.model or "–", rank=3, least=10),
        column("started", lambda run: words.moment(run.started_at), rank=2),
        column("time", lambda run: duration_text(run.duration)),
        column("steps", lambda run: count_text(run.steps)),
        column("tokens", lambda run: count_text(run.tokens.total_tokens), rank=1),
        column("cost", lambda run: cost_text(run.cost), rank=6),
    ]
    optional = {
        "of": [run.source_run_id for run in runs],
        "alias": [_alias(run) for run in runs],
        "cost": [run.cost for run in runs],
    }
    return drawn([column for column in columns if any(optional.get(column.title, ["always"]))], width)


def _alias(run: RunSummary) -> str:
    return run.alias if run.alias and run.alias != run.run_id else ""
