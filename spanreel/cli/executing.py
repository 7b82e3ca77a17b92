"""Commands that run the user's code: run (with recording on) and replay (with the recording answering)."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from spanreel.cli.options import Json, Run, Store
from spanreel.cli.terminal import draw, say_json
from spanreel.exceptions import SpanreelError


class Match(StrEnum):
    """How equal a call must be to the recorded one."""

    STRUCTURAL = "structural"
    STRICT = "strict"


def run(
    command: Annotated[
        list[str],
        typer.Argument(metavar="-- CMD...", help="A Python program and its arguments.", show_default=False),
    ],
    store: Store = None,
) -> None:
    """Run a Python program with recording on; its code is not changed. The exit code is the program's own.

    Examples:
        spanreel run -- python agent.py --verbose
        spanreel run -- pytest tests/test_agent.py
    """
    from spanreel.replay.child import run_command

    raise typer.Exit(run_command(command, store))


def replay(
    run: Run = "last",
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- CMD...]", help="What to run; default: what was run then.", show_default=False
        ),
    ] = None,
    match: Annotated[
        Match, typer.Option(help="structural: ids and order may differ; strict: equal JSON only.")
    ] = Match.STRUCTURAL,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="End the agent after this many seconds.", show_default=False)
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Run a recorded agent again, offline: models and tools answer from the recording, the network is blocked.

    The verdict is exact, equivalent, drifted or diverged. Exit codes: 0 exact or equivalent; 4 diverged;
    1 for an error of the agent that is not in the recording.

    Examples:
        spanreel replay last
        spanreel replay 4f2a91c3 --json
        spanreel replay last -- python agent.py --new-prompt
    """
    from spanreel.replay.child import replay_run
    from spanreel.replay.policy import Policy

    outcome = replay_run(
        store,
        run,
        command or None,
        policy=Policy(match=match.value),
        timeout=timeout,
        echo="stderr" if json else "inherit",
    )
    if outcome.verdict is None:
        raise SpanreelError(outcome.problem or "the replay has no verdict", f"spanreel show {run}")
    sys.stdout.flush()
    if json:
        say_json(outcome.verdict.to_json(indent=2))
    else:
        from spanreel.cli.render.verdict import lines

        draw(*lines(outcome.verdict), wrap=False)
    raise typer.Exit(outcome.exit_code)
