"""LOUD: files of spans as sources of runs: which names mean a file, and which run of it is meant.

What a file's bytes mean is `collector.files`'; what a run's name means is `wire.naming`'.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spanreel.exceptions import BadInput
from spanreel.wire import conventions
from spanreel.wire.grouping import Run, group
from spanreel.wire.naming import named

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

    from spanreel.wire.spans import Span

_SUFFIXES = (".jsonl", ".json")


def file_of(run: str | os.PathLike[str]) -> tuple[Path | None, str | None]:
    """The file that a run's name means, and the run in it; (None, None) for the name of a run in a store.

    Args:
        run: a path; a text that is the name of a file, or ends like one of spans; or ``file#run``.
    """
    if not isinstance(run, str):
        return Path(run), None
    path, _, name = run.rpartition("#")
    if path and Path(path).is_file():
        return Path(path), name
    return (Path(run), None) if run.endswith(_SUFFIXES) or Path(run).is_file() else (None, None)


def read(path: str | os.PathLike[str]) -> list[Span]:
    """The spans of a file, in any format that `spanreel import` reads; of a recording of a test, with their times.

    Raises:
        BadInput: the file cannot be read; names the line. A later version wrote it.
    """
    from spanreel.collector import files
    from spanreel.replay.stable import restored

    return restored([span for batch in files.read(Path(path)) for span in batch])


def runs_of(spans: Iterable[Span]) -> list[Run]:
    """The runs that spans make, newest first."""
    return group(conventions.read(span) for span in spans)[::-1]


def pick(runs: Sequence[Run], name: str | None, where: str) -> Run:
    """The run of a file, or of a list of spans, that a name means.

    Args:
        runs: newest first.
        name: as `wire.naming.named` reads it; None: the newest.
        where: what holds them, for the error's words.

    Raises:
        UnknownRun: none is named so.
        AmbiguousRun: the prefix fits several.
        BadInput: there are no runs at all.
    """
    if not runs:
        raise BadInput(f"{where} holds no spans", "give a file that `spanreel import` reads")
    ids = ", ".join(run.run_id for run in runs[:3])
    listed = (
        f"spanreel import {where} && spanreel runs" if Path(where).is_file() else f"the last ones are {ids}"
    )
    return named(runs, "last" if name is None else name, where, listed)
