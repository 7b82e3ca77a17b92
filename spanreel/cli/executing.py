"""Commands that run the user's code: run (with recording on) and replay (with the recording answering)."""

from __future__ import annotations

from typing import Annotated

import typer

from spanreel.cli.options import Json, Store

Command = Annotated[
    list[str] | None,
    typer.Argument(metavar="[-- CMD...]", help="The command, after two dashes.", show_default=False),
]


def run(command: Command = None, store: Store = None) -> None:
    """Run a Python command with recording on; its code is not changed. The exit code is the command's own.

    Examples:
        spanreel run -- python agent.py --verbose
        spanreel run -- pytest tests/test_agent.py
    """
    raise NotImplementedError


def replay(run: str = "last", command: Command = None, json: Json = False, store: Store = None) -> None:
    """Run a recorded agent again, offline."""
    raise NotImplementedError
