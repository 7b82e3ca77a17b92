"""The command that draws: graph."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import note, say, say_json
from spanreel.exceptions import SpanreelError


def graph(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[TARGET]",
            help="A run, or a playbook: its file, module:name, or name.",
            show_default=False,
        ),
    ] = None,
    observed: Annotated[
        str | None,
        typer.Option(
            "--observed",
            metavar="PLAYBOOK",
            help="What its executions did: counts, times, failures.",
            show_default=False,
        ),
    ] = None,
    agent: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The same, of the runs of an agent.", show_default=False),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Only runs since: 7d, 12h, or a date.", show_default=False),
    ] = None,
    models: Annotated[
        bool, typer.Option("--models", help="Of an agent: its model calls too, not only its tools.")
    ] = False,
    svg: Annotated[bool, typer.Option("--svg", help="An SVG picture.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Mermaid text; the default.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file to write; *.svg is a picture.", show_default=False),
    ] = None,
    json: Json = False,
    store: Store = None,
) -> None:
    """Draw a playbook, a run, or what followed what over many runs.

    On an observed edge: how often it was taken, how long what it led to took on average, and how much of that
    failed.

    Examples:
        spanreel graph last
        spanreel graph exchange.yaml --svg -o exchange.svg
        spanreel graph playbook:exchange-item --mermaid
        spanreel graph --observed exchange-item --since 7d
        spanreel graph --agent support --json
    """
    from spanreel.cli.overrides import Usage
    from spanreel.replay.graphs import graph_of, observed_of
    from spanreel.replay.report.mermaid import mermaid as as_mermaid
    from spanreel.replay.report.svg import svg as as_svg

    if sum(one is not None for one in (target, observed, agent)) > 1 or sum((svg, mermaid, json)) > 1:
        raise Usage(
            "one thing is drawn, in one form",
            "name a target, --observed or --agent; --svg, --mermaid or --json",
        )
    if since is not None and target is not None:
        raise Usage("--since is for what was observed", "add --observed PLAYBOOK or --agent NAME instead")
    if observed is None and agent is None and since is None:
        found = graph_of(target or "last", store)
    else:
        found = observed_of(observed, agent, since, store, models=models)
    if json:
        text = found.to_json(indent=2)
    elif svg or (output is not None and output.suffix == ".svg" and not mermaid):
        text = as_svg(found)
    else:
        text = as_mermaid(found)
    if output is None:
        (say_json if json else say)(text.rstrip("\n"))
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise SpanreelError(f"{output} cannot be written ({error.strerror})", "name another file") from error
    note(f"{output}: {len(found.nodes)} nodes, {len(found.edges)} edges")
