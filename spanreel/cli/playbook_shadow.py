"""`spanreel playbook shadow`: what a playbook would have done, against recorded runs. Thin: nothing is judged here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import console, draw, note, say, say_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.table import Table

    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.shadows.shadow import Shadowed, ShadowReport


def shadow(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="A playbook: NAME, NAME@3, NAME@HASH, or its file.", show_default=False
        ),
    ],
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN]...", help="Recorded runs.", show_default=False),
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            metavar="FILTER",
            help="All runs that fit: agent= status= session= since= until= goal~= tag.KEY= limit=; "
            "without status= those that succeeded.",
            show_default=False,
        ),
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A parameter; default: what the run's input says, then what it shows.",
            show_default=False,
        ),
    ] = None,
    read: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="A tool that only reads.", show_default=False),
    ] = None,
    write: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="A tool that writes.", show_default=False),
    ] = None,
    include_sources: Annotated[
        bool,
        typer.Option("--include-sources", help="Runs that it was compiled from count as evidence, too."),
    ] = False,
    json: Json = False,
    store: Store = None,
) -> None:
    """Walk a playbook over recorded runs, and compare what it would have done.

    Tools are answered from the run, by identity; none is called, and no model is
    asked. Writes count: what only one side reads does not. What the run does not
    tell is not answered, which is no pass. Each walk is kept as evidence about the
    body, unless the run is one that it was compiled from.

    Exit codes: 0 the same as every run; 4 it parted from one; 3 not answered.

    Examples:
        spanreel playbook shadow exchange-item --over 'agent=retail since=7d'
        spanreel playbook shadow exchange-item@2 last --param order_id=W1
    """
    from spanreel.exceptions import SpanreelError
    from spanreel.replay.playbooks.shadows.over import runs_over

    wanted = list(runs or ())
    if over is not None:
        wanted += [run for run in runs_over(over, store) if run not in wanted]
    if not wanted:
        what = f"no run fits {over}" if over is not None else "no run is named"
        raise SpanreelError(what, "name runs, or --over 'agent=…'; see: spanreel runs")
    report = _report(_body(name, store), wanted, param or (), read or (), write or (), include_sources, store)
    if json:
        say_json(report.to_json(indent=2))
    else:
        _tell(report)
    raise typer.Exit(report.exit_code)


def _body(name: str, store: Path | None) -> Body:
    """A file, or `module:variable`, as every TARGET is; anything else is in the library."""
    if ":" in name or name.endswith((".yaml", ".yml", ".json", ".py")):
        from spanreel.replay.playbooks.formats.target import resolve

        return resolve(name, store)
    from spanreel.replay.playbooks.governance.library import Library

    return Library(store).get(name).body


def _report(
    body: Body,
    runs: Sequence[str],
    param: Sequence[str],
    reads: Sequence[str],
    writes: Sequence[str],
    include_sources: bool,
    store: Path | None,
) -> ShadowReport:
    from rich.progress import Progress

    from spanreel.cli.inputs import values
    from spanreel.replay.playbooks.shadows.shadow import shadow_over

    params = values(param, "--param", body) if param else None
    out = console(error=True)
    quiet = len(runs) < 2 or not out.is_interactive
    with Progress(console=out, transient=True, disable=quiet) as progress:
        task = progress.add_task("shadow", total=len(runs))
        return shadow_over(
            body,
            runs,
            params,
            store=store,
            reads=reads,
            writes=writes,
            include_sources=include_sources,
            told=lambda _: progress.advance(task),
        )


def _tell(report: ShadowReport) -> None:
    draw(_table(report.runs))
    words = {
        "the same": report.same,
        "diverged": report.diverged,
        "stopped": report.stopped,
        "not answered": report.not_answered,
    }
    counted = ", ".join(f"{count} {word}" for word, count in words.items() if count)
    mean = "–" if report.score is None else f"{report.score:.2f}"
    say(f"{report.name} {report.hash.removeprefix('sha256:')[:12]}: {counted}; score {mean}")
    sources = sum(run.source and not run.counted for run in report.runs)
    if sources:
        note(f"{sources} of these runs it was compiled from: no evidence (--include-sources counts them)")
    assumed = sorted({gate for run in report.runs for gate in run.assumed})
    if assumed:
        note(f"taken to be approved: {', '.join(assumed)}")
    observed = sorted({name for run in report.runs for name in run.observed})
    if observed:
        note(f"read off what the agent did, not off its input: {', '.join(observed)}")


def _table(runs: Sequence[Shadowed]) -> Table:
    from spanreel.cli.render.palette import DIM, NAME, text
    from spanreel.cli.render.table import Column, drawn

    columns = [
        Column(
            "run", [text(f"{run.source_run_id[:8]}{' (source)' if run.source else ''}", NAME) for run in runs]
        ),
        Column("verdict", [text(run.verdict.replace("_", " ")) for run in runs]),
        Column("score", [text(f"{run.score:.2f}") for run in runs], True),
        Column("writes", [text(f"{run.writes.same}/{run.writes.total}") for run in runs], True),
        Column("where", [text(_where(run), DIM) for run in runs], least=20),
    ]
    return drawn(columns, console().width)


def _where(run: Shadowed) -> str:
    first = run.first_divergence
    if first is not None and not run.unanswered:
        return f"{first.state or '–'}: {first.reason}"
    halted = run.unanswered or run.stopped
    return f"{halted.state or '–'}: {halted.reason}" if halted else ""
