"""The command that compares: diff."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanreel.cli.options import Json, Store
from spanreel.cli.terminal import console, draw, note, say_json

if TYPE_CHECKING:
    from spanreel.replay.compare import ReplayComparison

WHAT = "a run, a file of spans, or file#run"
A = Annotated[str, typer.Argument(metavar="A", help=f"The one side: {WHAT}.", show_default=False)]
B = Annotated[str, typer.Argument(metavar="B", help=f"The other: {WHAT}.", show_default=False)]


def diff(
    a: A,
    b: B,
    json: Json = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print Markdown, for a comment or a CI job's summary.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write a page that stands alone.", show_default=False),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="NAME",
            help="Leave out a tool, a JSON path of arguments ($.timestamp), content, notes, cost, tokens, duration.",
            show_default=False,
        ),
    ] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 4 when the runs differ.")] = False,
    store: Store = None,
) -> None:
    """Compare two runs: steps, tool calls, answer, tokens, cost, time. Differences are B − A.

    Examples:
        spanreel diff last~1 last
        spanreel diff baseline.otlp.jsonl last --exit-code
        spanreel diff last~1 last --html changes.html
    """
    from spanreel.exceptions import SpanreelError

    if json and markdown:
        raise SpanreelError("--json and --markdown both say what is printed", "give one of them")
    found = _compared(a, b, store, ignore or [])
    if html is not None:
        _write(found, html)
    if json:
        say_json(found.to_json(indent=2))
    elif markdown:
        from spanreel.replay.report.markdown import comparison_markdown

        print(comparison_markdown(found), end="")
    elif html is None:
        _draw(found)
    if exit_code and not found.identical:
        raise typer.Exit(4)


def _compared(a: str, b: str, store: Path | None, ignore: list[str]) -> ReplayComparison:
    from spanreel.exceptions import SpanreelError
    from spanreel.replay.load import diff as compared

    try:
        return compared(a, b, store, ignoring=ignore)
    except ValueError as error:
        if isinstance(error, SpanreelError):
            raise
        raise SpanreelError(f"--ignore: {error}", "give a tool's name, or a path as in $.timestamp") from None


def _write(found: ReplayComparison, file: Path) -> None:
    from spanreel.exceptions import SpanreelError
    from spanreel.replay.report.comparison import comparison_page

    try:
        file.write_text(comparison_page(found), encoding="utf-8")
    except OSError as error:
        raise SpanreelError(
            f"cannot write {file}: {error.strerror}", "name a file that can be written"
        ) from None
    note(f"wrote {file}")


def _draw(found: ReplayComparison) -> None:
    from spanreel.cli.render import changes

    out = console()
    width, marked = out.width, out.color_system is None
    draw(changes.totals(found, width), *changes.figures(found), "")
    if found.identical:
        draw("the runs are the same: every step, tool call and the answer")
        return
    sections = [
        changes.cause(found, width, marked),
        [changes.heading("steps"), *changes.steps(found.steps, width)],
        changes.tool_calls(found, width, marked),
        changes.notes(found, width),
        changes.facts(found, width, marked),
        changes.answers(found, width, marked),
    ]
    drawn = [list(section) for section in sections]
    for at, section in enumerate(filter(None, drawn)):
        draw(*([""] if at else []), *section)
