"""LOUD: is the code what was recorded? The entry point is read from its file, before anything of it is run.

What is compared is the agent's own function, or the program's file: not what they import. Tools are compared when they are
called.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from spanreel.exceptions import ContractChanged, DecisionNeeded, SpanreelError
from spanreel.instrument import contract
from spanreel.replay import commands
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.instrument.responder import ToolRequest
    from spanreel.replay.recording import Effect
    from spanreel.wire.spans import Span

REMEDY = "go on all the same with --allow-drift"


def check_entry(root: Span, command: Sequence[str] | None = None) -> None:
    """See that what would be run is what made this run.

    Args:
        root: of the run; says what it was, and where.
        command: the program that is to be run instead of the recorded one.

    Raises:
        ContractChanged: it is not; says what changed.
    """
    recorded = root.attributes.get(names.CONTRACT)
    known = contract.parts(recorded) if isinstance(recorded, str) else None
    if known is None:
        return
    if known[0] == contract.SCRIPT:
        now, what = _script(root, command), "the program"
    else:
        now, what = _function(root), f"the agent {root.attributes.get(names.CODE_FUNCTION, '')}"
    if now is not None and now != recorded:
        raise ContractChanged(f"{what} is not what was recorded: {changed(str(recorded), now)}", REMEDY)


def check_tool(effects: Iterable[Effect], request: ToolRequest) -> None:
    """See that a tool is what the recording's calls of it were made with.

    Raises:
        DecisionNeeded: it is not; says what changed. A signal, for the agent must not take it for the tool's failure.
    """
    if request.contract is None:
        return
    recorded = {
        found
        for effect in effects
        if getattr(effect, "name", None) == request.name and (found := getattr(effect, "contract", None))
    }
    if recorded and request.contract not in recorded:
        what = changed(min(recorded), request.contract)
        raise DecisionNeeded(
            f"the tool {request.name} is not what was recorded: {what}; {REMEDY}", f"tool {request.name}"
        )


def changed(before: str, now: str) -> str:
    """What differs between two contracts, in words."""
    old, new = contract.parts(before), contract.parts(now)
    if old is None or new is None:
        return "another version of spanreel recorded it"
    found = [f"safety was {old[0]} and is {new[0]}"] if old[0] != new[0] else []
    found += ["its parameters changed"] if old[1] != new[1] else []
    found += ["its source changed"] if old[2] != new[2] else []
    return ", ".join(found) or "nothing that is known"


def _script(root: Span, command: Sequence[str] | None) -> str | None:
    """The contract of the program's file as it is now; None where it is not found, which is told when it is started."""
    given = root.attributes.get(names.PROCESS_ARGS)
    folder = Path.cwd() if command else Path(str(root.attributes.get(names.PROCESS_CWD) or "."))
    try:
        if command:
            arguments = commands.program(command).arguments
        else:
            arguments = commands.of_interpreter([str(one) for one in given or ()]).arguments  # pyright: ignore[reportGeneralTypeIssues]
    except (SpanreelError, TypeError):
        return None
    if arguments[0] == "-c":
        return contract.of_bytes(arguments[1].encode("utf-8", "surrogatepass"))
    file = _module_file(arguments[1], folder) if arguments[0] == "-m" else folder / arguments[0]
    try:
        return contract.of_bytes(file.read_bytes()) if file else None
    except OSError:
        return None


def _module_file(module: str, folder: Path) -> Path | None:
    inside = folder.joinpath(*module.split("."))
    for file in (inside / "__main__.py", inside.with_suffix(".py")):
        if file.is_file():
            return file
    try:
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations is not None:
            spec = importlib.util.find_spec(f"{module}.__main__")
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _function(root: Span) -> str | None:
    """The contract of the agent's function as its file has it now; None where the file is not found."""
    file, named = root.attributes.get(names.CODE_FILE), str(root.attributes.get(names.CODE_FUNCTION, ""))
    try:
        source = Path(str(file)).read_text("utf-8")
        tree = ast.parse(source)
    except (OSError, ValueError, SyntaxError):
        return None
    name = named.rpartition(":")[2]
    defined = (one for one in tree.body if isinstance(one, (ast.FunctionDef, ast.AsyncFunctionDef)))
    found = next((one for one in defined if one.name == name), None)
    if found is None:
        return contract.text(contract.AGENT, "gone", b"")
    first = min([found.lineno, *(one.lineno for one in found.decorator_list)])
    block = inspect.getblock(source.splitlines(keepends=True)[first - 1 :])
    return contract.text(contract.AGENT, _parameters(found.args), contract.tidied("".join(block)))


def _parameters(arguments: ast.arguments) -> str:
    """As `instrument.contract.parameters` has them."""
    found = [*(one.arg for one in arguments.posonlyargs), "/", *(one.arg for one in arguments.args)]
    found += [f"*{arguments.vararg.arg}"] if arguments.vararg else []
    found += ["*", *(one.arg for one in arguments.kwonlyargs)]
    found += [f"**{arguments.kwarg.arg}"] if arguments.kwarg else []
    return ",".join(found)
