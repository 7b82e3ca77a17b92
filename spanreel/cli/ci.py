"""The command that replays recordings against the code as it is: ci."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spanreel.cli.executing import Match
from spanreel.cli.options import Json
from spanreel.cli.terminal import console, draw, note, say_json
from spanreel.exceptions import BadInput

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from spanreel.replay.suite import CaseResult, SuiteSummary


def ci(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER|FILE]... [-- CMD...]",
            help="Recordings (*.otlp.jsonl), or folders of them; default: this folder. After --: what to run for each.",
            show_default=False,
        ),
    ] = None,
    junit: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write JUnit XML: a case for each run.", show_default=False),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what --json prints to a file.", show_default=False),
    ] = None,
    github_summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            envvar="GITHUB_STEP_SUMMARY",
            help="Add a Markdown summary to a file; on GitHub it is set.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, metavar="N", help="How many at a time.")] = 1,
    timeout: Annotated[
        float | None, typer.Option(min=0, help="End each after this many seconds.", show_default=False)
    ] = None,
    match: Annotated[
        Match, typer.Option(help="How equal a call must be, as for `spanreel replay`.")
    ] = Match.STRUCTURAL,
    json: Json = False,
) -> None:
    """Replay a folder of recordings, offline, against the code as it is.

    Each is run by its recorded entry point, from the root of the project that its file lies in. Exit codes: 0 all
    exact or equivalent; 4 some diverged; 1 some could not be judged; 2 there are none.

    Examples:
        spanreel ci tests/recordings
        spanreel ci tests --jobs 4 --junit junit.xml --summary ci.json
        spanreel ci refund.otlp.jsonl -- python agent.py
    """
    from spanreel.replay import suite
    from spanreel.replay.policy import Policy
    from spanreel.replay.report import suite as report

    named, command = _split(targets or [])
    files = suite.recordings([Path(one) for one in named or ["."]])
    with _progress(len(files)) as done:
        found = suite.replayed(
            files, command or None, policy=Policy(match=match.value), jobs=jobs, timeout=timeout, done=done
        )
    text = found.to_json(indent=2)
    if junit is not None:
        _write(junit, report.junit(found))
    if summary is not None:
        _write(summary, text + "\n")
    if github_summary is not None:
        _write(github_summary, report.markdown(found), add=True)
    if json:
        say_json(text)
    else:
        _show(found)
    raise typer.Exit(found.exit_code)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """Targets, and the command after ``--``, which the parser has taken out."""
    if "--" not in sys.argv:
        return words, []
    command = sys.argv[sys.argv.index("--") + 1 :]
    return words[: len(words) - len(command)], command


@contextmanager
def _progress(files: int) -> Generator[Callable[[CaseResult, int], None]]:
    """A bar on a terminal; a line for each result elsewhere."""
    out = console(error=True)
    if not out.is_terminal:
        yield lambda result, _: note(f"{result.result:8} {result.name}")
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task("replaying", total=files)

        def done(result: CaseResult, total: int) -> None:
            bar.update(task, advance=1, total=total, description=Path(result.name).name)

        yield done


def _show(found: SuiteSummary) -> None:
    from spanreel.cli.render import suite

    out = console()
    draw(suite.table(found, out.width), "", *suite.reports(found), suite.totals(found), wrap=False)


def _write(file: Path, text: str, *, add: bool = False) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a" if add else "w", encoding="utf-8") as out:
            out.write(text)
    except OSError as error:
        raise BadInput(
            f"{os.fspath(file)}: cannot be written ({error.strerror})", "check the folder and its permissions"
        ) from None
