"""The command that looks whether everything is wired: doctor. It reads only; nothing is repaired."""

from __future__ import annotations

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import console, draw, say_json

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(json: Json = False, store: Store = None) -> None:
    """Check Python, packages, the store and its spool, the collector, and the taps; say what to do about each.

    Exits with 1 when something does not work.

    Examples:
        spanreel doctor
        spanreel doctor --json
    """
    from spanreel.cli.checks import diagnosis
    from spanreel.location import resolve_store

    found = diagnosis(resolve_store(store))
    if json:
        say_json(found.to_json(indent=2))
    else:
        from rich.table import Table
        from rich.text import Text

        from spanreel.cli.words import flat

        table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_header=False)
        for check in found.checks:
            cell = Text(flat(check.found))
            if check.remedy:
                cell.append("\n→ " + flat(check.remedy), style="dim" if check.state == "ok" else "bold")
            table.add_row(Text(check.state, style=STYLES[check.state]), Text(check.name), cell)
        draw(table)
        worst = "healthy" if found.healthy else "something does not work"
        console(error=True).print(worst, style="green" if found.healthy else "red")
    if not found.healthy:
        raise typer.Exit(1)
