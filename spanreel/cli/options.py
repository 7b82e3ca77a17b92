"""Arguments and options that several commands share. Words for `--help`; nothing is opened here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Store: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--store",
        envvar="SPANREEL_STORE",
        help="The store to use; default: .spanreel/spans.db of the project, else the user's.",
        show_default=False,
    ),
]
Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON on stdout instead of text.")]
Run: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run: its id, a unique prefix, an alias, last, last~1, last:failed.",
        show_default=False,
    ),
]
