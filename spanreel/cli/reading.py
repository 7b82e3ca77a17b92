"""Commands that look at recorded runs: runs, show, timeline, tail."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from spanreel.cli.options import Json, Run, Store
from spanreel.cli.terminal import console, draw, note, say, say_json

LISTED = 30


def runs(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many to list at most.")] = LISTED,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only runs with this status: completed, error, cancelled, paused, incomplete, diverged."
        ),
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """List the recorded runs, newest first.

    Examples:
        spanreel runs
        spanreel runs --status error --limit 5
        spanreel runs --json
    """
    from spanreel.location import resolve_store
    from spanreel.replay.load import listing
    from spanreel.replay.timeline import RunList

    _known_status(status)
    found = listing(store, status, limit)
    if json:
        say_json(RunList(runs=found.runs).to_json(indent=2))
        return
    if not found.ids:
        say(f"no runs yet in {resolve_store(store)}; record one: spanreel run -- python your_agent.py")
        return
    if not found.runs:
        say(f"none of {len(found.ids)} runs has the status {status}")
        return
    from spanreel.cli.render.runs import table
    from spanreel.cli.words import short_ids

    draw(table(found.runs, short_ids(found.ids), console().width))
    if found.fitting > limit:
        note(f"{found.fitting - limit} more: spanreel runs --limit {found.fitting}")


def _known_status(status: str | None) -> None:
    from typing import get_args

    from spanreel.replay.timeline import Status

    if status is not None and status not in get_args(Status):
        raise typer.BadParameter(
            f"{status!r} is none of {', '.join(get_args(Status))}", param_hint="--status"
        )


def show(
    run: Run = "last",
    full: Annotated[bool, typer.Option("--full", help="Whole messages, arguments and results.")] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Show one run: what it was asked, its model and tool calls as a tree, its answer.

    Examples:
        spanreel show last
        spanreel show 4f2a91c3 --full
        spanreel show last:failed --json
    """
    from spanreel.replay.load import graded

    found, grade = graded(run, store)
    if json:
        say_json(found.to_json(indent=2))
        return
    from rich.padding import Padding
    from rich.text import Text

    from spanreel.cli.render import tree
    from spanreel.cli.render.grade import line
    from spanreel.replay.report.text import clean

    width = console().width
    draw(*tree.header(found, width), line(grade, width), "")
    draw(*tree.lines(found, width, full) if found.steps else ["  no model or tool call was recorded"])
    if found.content is not None:
        draw(
            "", Text("answer", style="bold"), Padding(Text(clean(found.content)), (0, 0, 0, 2), expand=False)
        )


def timeline(run: Run = "last", json: Json = False, store: Store = None) -> None:
    """Show when each step of a run began and how long it took.

    Examples:
        spanreel timeline last
        spanreel timeline 4f2a91c3 --json
    """
    from spanreel.replay.load import load

    found = load(run, store)
    if json:
        from spanreel.cli.objects import timeline_of

        say_json(timeline_of(found).to_json(indent=2))
        return
    from spanreel.cli.render.tree import header
    from spanreel.cli.render.waterfall import table

    width = console().width
    draw(header(found, width)[0], "", table(found, width))


def tail(
    everything: Annotated[
        bool, typer.Option("--all", help="Begin with the spans that are already there.")
    ] = False,
    count: Annotated[
        int | None, typer.Option(min=1, help="Stop after this many spans.", show_default=False)
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="Stop after this many seconds.", show_default=False)
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Follow the spans as they arrive, one a line, until interrupted.

    Examples:
        spanreel tail
        spanreel tail --all --json --timeout 5
    """
    from spanreel.cli.following import follow

    deadline = None if timeout is None else time.monotonic() + timeout
    follow(store, everything=everything, count=count, deadline=deadline, json=json)
