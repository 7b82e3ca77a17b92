"""LOUD: what a TARGET on the command line, or in `Playbook.load`, stands for. It reads files, imports modules, asks the store.

    file.yaml, file.json     a playbook file, or a replayt workflow
    file.py, file.py:name    a playbook in a Python file: the only one in it, or `playbook`, `workflow`, `wf`
    module:name              a playbook, or a function of an agent
    playbook:NAME[@WHICH]    one of the store: WHICH is a version, `active`, or the beginning of its hash; also NAME alone
    run:ID                   a recorded run

Importing runs the module's own code; a file that is data runs nothing.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal

from spanreel.exceptions import BadInput, SpanreelError
from spanreel.replay.playbooks import executors
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.formats.checking import check
from spanreel.replay.playbooks.formats.file import SUFFIXES, PlaybookFile, examined
from spanreel.replay.playbooks.formats.lines import MAX_CHARACTERS
from spanreel.replay.playbooks.formats.wellformed import FUNCTION, Problem, meant

FORMS: Final = "a TARGET is file.yaml, file.py, module:name, playbook:NAME[@WHICH] or run:ID"
_NAME: Final = re.compile(r"[\w-]+(?:@[\w-]+)?")
NAMES: Final = ("playbook", "workflow", "wf")
"""What a Python file may call its playbook where it has several."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a TARGET stands for.

    Attributes:
        said: as it was named.
        kind: of what it is.
        body: of a playbook; None where its file has wrong keys.
        file: of a playbook in a file that is data: lines and problems.
        function: of an agent.
        run: the name of a run.
    """

    said: str
    kind: Literal["playbook", "function", "run"]
    body: Body | None = None
    file: PlaybookFile | None = None
    function: Callable[..., Any] | None = None
    run: str | None = None

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong with it as a playbook."""
        if self.file is not None:
            return self.file.problems
        return () if self.body is None else tuple(check(self.body))

    def where(self, problem: Problem) -> str:
        """A problem on one line, with its place."""
        if self.file is not None:
            return self.file.said(problem)
        return f"{self.said}: {'.'.join(map(str, problem.path)) or 'playbook'}: {problem.message}"

    def checked(self) -> Body:
        """The playbook.

        Raises:
            BadInput: it has an error, or is none.
        """
        if self.file is not None:
            return self.file.checked()
        if self.body is None:
            raise BadInput(f"{self.said} is a {self.kind}, and no playbook", FORMS)
        for problem in check(self.body):
            if problem.level == "error":
                raise BadInput(self.where(problem), problem.remedy)
        return self.body


def resolve(target: str, store: Any = None) -> Body:
    """The playbook that a TARGET names; it has been checked, and nothing of it ran.

    Args:
        target: see above.
        store: for ``playbook:``; default: that of the project.

    Raises:
        BadInput: there is none, it cannot be read, or it has an error; on one line.
        UnknownPlaybook: the store has none of that name.
    """
    return find(target, store).checked()


def find(target: str, store: Any = None) -> Target:
    """What a TARGET names, right or not.

    Raises:
        BadInput: there is nothing of that name, or it cannot be read at all.
        UnknownPlaybook: the store has none of that name.
    """
    kind, _, name = target.partition(":")
    if kind == "playbook" and name:
        return _in_store(target, name, store)
    if kind == "run" and name:
        return Target(target, "run", run=name)
    if target.lower().endswith(SUFFIXES):
        return _data(target)
    file, _, variable = target.rpartition(":") if ".py:" in target else (target, "", "")
    if file.endswith(".py"):
        return _of_python_file(target, Path(file), variable)
    if FUNCTION.fullmatch(target):
        return _made(target, _attribute(_imported(kind, target), name, target))
    if _NAME.fullmatch(target):
        return _in_store(target, target, store)
    raise BadInput(f"{target} names nothing", FORMS)


def _in_store(target: str, name: str, store: Any) -> Target:
    from spanreel.replay.playbooks.governance.library import Library

    return Target(target, "playbook", body=Library(store).get(name).body)


def _data(target: str) -> Target:
    path = Path(target)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise BadInput(f"{target} is no file", FORMS)
        if size > 4 * MAX_CHARACTERS:  # of UTF-8
            raise BadInput(f"{target}:1: {size:,} bytes", "a playbook is smaller than that")
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{target} cannot be read ({error.strerror})", "mind the path") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1  # pyright: ignore[reportPossiblyUnboundVariable] - it was read
        raise BadInput(f"{target}:{line}: it is not UTF-8", "save it as UTF-8") from None
    file = examined(text, target)
    return Target(target, "playbook", body=file.body, file=file)


def _of_python_file(target: str, path: Path, variable: str) -> Target:
    if not path.is_file():
        raise BadInput(f"{path} is no file", FORMS)
    module = _from_file(path.resolve())
    if variable:
        return _made(target, _attribute(module, variable, target))
    found = {name: value for name, value in vars(module).items() if _body(value) is not None}
    chosen = next((found[name] for name in NAMES if name in found), None)
    if chosen is None and len({id(value) for value in found.values()}) == 1:
        chosen = next(iter(found.values()))
    if chosen is None:
        what = f"{len(found)} playbooks: {', '.join(found)}" if found else "no playbook"
        remedy = f"name one: {path}:{next(iter(found))}" if found else f"name a function: {path}:NAME"
        raise BadInput(f"{path} has {what}", remedy)
    return _made(target, chosen)


def _made(target: str, value: Any) -> Target:
    body = _body(value)
    if body is not None:
        return Target(target, "playbook", body=body)
    if callable(value):
        return Target(target, "function", function=value)
    raise BadInput(f"{target} is neither a playbook nor a function, but {type(value).__name__}", FORMS)


def _body(value: Any) -> Body | None:
    """The body of a playbook, or None. Only of our own classes: nothing of a stranger's is asked."""
    if isinstance(value, Body):
        return value
    playbook = sys.modules.get("spanreel.replay.playbooks.playbook")  # else there can be no instance
    return value.body if playbook is not None and isinstance(value, playbook.Playbook) else None


def _attribute(module: ModuleType, name: str, target: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [one for one in vars(module) if not one.startswith("_")]
            raise BadInput(f"{target}: there is no {name} in {module.__name__}", meant(part, known, FORMS))
        found = getattr(found, part)
    return found


def _imported(name: str, target: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _not_imported(name, error) from error
        raise BadInput(f"{target}: there is no module {name}", FORMS) from error
    except SpanreelError:
        raise
    except Exception as error:
        raise _not_imported(name, error) from error


def _from_file(path: Path) -> ModuleType:
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    name = path.stem if known is None else f"{path.stem} (target)"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SpanreelError:
        sys.modules.pop(name, None)
        raise
    except Exception as error:
        sys.modules.pop(name, None)
        raise _not_imported(str(path), error) from error
    return module


def _not_imported(what: str, error: Exception) -> BadInput:
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return BadInput(f"{what} cannot be imported ({said})", "the traceback is shown with --debug")


def modules(names: list[str] | None) -> None:
    """Import the modules that register tools: ``--tools``; a name, a Python file, or what `executors.named` takes.

    Raises:
        BadInput: one cannot be imported.
        SpanreelError: an MCP server cannot be reached.
    """
    for name in names or ():
        if executors.is_named(name):
            executors.named(name)
        elif name.endswith(".py"):
            if not Path(name).is_file():
                raise BadInput(f"{name} is no file", "name a module, or a Python file")
            _from_file(Path(name).resolve())
        else:
            _imported(name, name)
