"""Where a test's recording is, and what its root says about running the test again. Paths only; nothing is opened."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from spanreel.location import project_root
from spanreel.replay.stable import Named
from spanreel.wire import attributes as names

SUFFIX = ".otlp.jsonl"
_UNUSUAL = re.compile(r"[^\w.=+-]+")
_LONGEST = 120


@dataclass(frozen=True, slots=True)
class Test:
    """A test, as pytest knows it. node: its id, as pytest is told it. root: what the id is relative to.

    group: the class, if there is one, and the function; parameters: the id of the parameters, or None.
    """

    __test__ = False  # no test class, whatever pytest takes its name for

    node: str
    root: Path
    file: Path
    module: str
    group: str
    parameters: str | None = None

    def recording(self, path: str | None) -> Path:
        """Of the recording: as named, relative to the test's file; default: ``recordings/<module>/<test>``."""
        if path is not None:
            return self.file.parent / path
        return self.file.parent / "recordings" / self.file.stem / f"{self._name()}{SUFFIX}"

    def named(self, path: Path) -> Named:
        """What the recording at this path is to say."""
        root = project_root(path.parent) or self.root
        folder = os.path.relpath(self.root, root)
        return Named(
            name=Path(os.path.relpath(path, root)).as_posix(),
            title=f"invoke_workflow {self._title()}",
            root=str(root),
            attributes={
                names.WORKFLOW_NAME: self._title(),
                names.RUN_ENTRY: "process",
                names.PROCESS_ARGS: ["-m", "pytest", self.node],
                names.PROCESS_CWD: Path(folder).as_posix(),
                names.CODE_FUNCTION: f"{self.module}:{self.group}",
                names.CODE_FILE: Path(os.path.relpath(self.file, root)).as_posix(),
            },
        )

    def _title(self) -> str:
        return self.group + (f"[{self.parameters}]" if self.parameters is not None else "")

    def _name(self) -> str:
        """As a file may be called everywhere; names that would fall together are kept apart by a hash."""
        name = self.group if self.parameters is None else f"{self.group}-{self.parameters}"
        plain = _UNUSUAL.sub("-", name)[:_LONGEST].strip("-.")
        if plain == name:
            return plain
        return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
