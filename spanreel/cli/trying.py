"""The command that shows everything at once: try."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spanreel.cli.terminal import note

FOLDER = Path("spanreel-try")


def try_(
    fast: Annotated[bool, typer.Option("--fast", help="No pauses for reading.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the example and its own store go.")] = FOLDER,
    serve: Annotated[
        bool, typer.Option("--serve", help="Only run the example's model server, until interrupted.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=65535,
            help="The model server's port; default: 4320, or a free one.",
            show_default=False,
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option(help="Recorded answers to play; default: the bundled ones.", show_default=False),
    ] = None,
) -> None:
    """Record an example agent, look at it, run it again offline, change it, compare. No key, no network.

    Everything happens in a folder of its own, ./spanreel-try, with a store of its own. Each command is
    printed before it is run, so that you can repeat it there.

    Examples:
        spanreel try
        spanreel try --serve
    """
    from spanreel.cli.tryout import server, story
    from spanreel.cli.tryout.answers import load

    try:
        recorded = load(answers.read_text("utf-8") if answers else None)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{answers} cannot be read ({error})", param_hint="--answers") from error
    if not serve:
        raise typer.Exit(story.tell(folder, recorded, port, pause=not fast))
    with server.serving(recorded, server.PORT if port is None else port) as listening:
        note(f"the example's model answers on {listening.url}; stop with Ctrl-C")
        server.wait()
