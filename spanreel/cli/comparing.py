"""The command that compares: diff."""

from __future__ import annotations

from typing import Annotated

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import console, draw, say_json

WHAT = "a run, a file of spans, or file#run"
A = Annotated[str, typer.Argument(metavar="A", help=f"The one side: {WHAT}.", show_default=False)]
B = Annotated[str, typer.Argument(metavar="B", help=f"The other: {WHAT}.", show_default=False)]


def diff(
    a: A,
    b: B,
    json: Json = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 4 when the runs differ.")] = False,
    store: Store = None,
) -> None:
    """Compare two runs: steps, tool calls, answer, tokens, cost, time. Differences are B − A.

    Examples:
        spanreel diff last~1 last
        spanreel diff baseline.otlp.jsonl last --exit-code
    """
    from spanreel.replay.load import diff as compared

    found = compared(a, b, store)
    if json:
        say_json(found.to_json(indent=2))
    else:
        from spanreel.cli.render import changes

        out = console()
        marked = out.color_system is None
        draw(changes.totals(found, out.width), "")
        if found.identical:
            draw("the runs are the same: every step, tool call and the answer")
        else:
            draw(*changes.divergence(found, marked), "")
            draw("steps", *changes.steps(found.steps, out.width), "")
            draw(*changes.tool_calls(found, out.width, marked), "")
            draw(*changes.answers(found, marked))
    if exit_code and not found.identical:
        raise typer.Exit(4)
