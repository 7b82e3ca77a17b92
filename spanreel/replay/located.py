"""LOUD: where a recorded run is started again, when its file has come from elsewhere: another checkout, another machine.

What a recording names relatively is meant from the root of the project that its file lies in. What it names
absolutely and is not here is looked for below that root, by as much of its end as is there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from spanreel.location import project_root
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span, Value


def located(root: Span, file: Path) -> Span:
    """The root of a run, with working directory, script and source file as they are here.

    Args:
        root: as the file has it.
        file: that it was read from.
    """
    project = project_root(file.resolve().parent)
    if project is None:
        return root
    said: dict[str, Value] = dict(root.attributes)
    folder = said.get(names.PROCESS_CWD)
    if isinstance(folder, str):
        here = _found(folder, project)
        said[names.PROCESS_CWD] = str(here if here is not None and here.is_dir() else project)
    source = said.get(names.CODE_FILE)
    if isinstance(source, str):
        said[names.CODE_FILE] = str(_found(source, project) or source)
    arguments = said.get(names.PROCESS_ARGS)
    if isinstance(arguments, (list, tuple)):
        said[names.PROCESS_ARGS] = [
            str(_found(one, project) or one) if isinstance(one, str) and _absolute(one) else one
            for one in arguments
        ]
    return replace(root, attributes=said)


def _found(path: str, project: Path) -> Path | None:
    """The path as it is here; None: it is not here."""
    if not _absolute(path):
        found = project / path
        return found if found.exists() else None
    if Path(path).exists():
        return Path(path)
    parts = (PureWindowsPath(path) if "\\" in path else PurePosixPath(path)).parts[1:]
    ends = (project.joinpath(*parts[start:]) for start in range(1, len(parts)))
    return next((end for end in ends if end.exists()), None)


def _absolute(path: str) -> bool:
    return PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute()
