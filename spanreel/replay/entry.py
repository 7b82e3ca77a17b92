"""LOUD: find the agent function that a run was, and call it again with the inputs it had."""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import importlib.util
import inspect
import sys
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

from spanreel.exceptions import NotReplayable, SpanreelError
from spanreel.instrument import codec
from spanreel.instrument.binding import rebound

REMEDY = "name the command that runs it: spanreel replay RUN -- python …"

SCRIPT = " (script)"
"""What a script is called besides its name, where a module of that name is loaded already."""


def call(function: str, file: str | None, inputs: str) -> Any:
    """Call an agent function as it was called; a coroutine is awaited, a generator read to its end.

    Args:
        function: ``module:qualified name``.
        file: where it was defined.
        inputs: the codec's JSON of its arguments by parameter name.

    Returns:
        What it returned; of a generator, the list of what it gave.

    Raises:
        SpanreelError: it is gone, or it now takes other arguments.
    """
    module, _, name = function.partition(":")
    found: Any = _module(module, file)
    if _is_of_python(found):
        raise SpanreelError(
            f"{function} is no agent, whatever the recording says", REMEDY
        )  # such as os:system
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise SpanreelError(f"there is no function {name} in {module} any more", REMEDY)
    given = codec.decode(inputs)
    try:
        args, kwargs = rebound(found, given if isinstance(given, dict) else {})
    except NotReplayable as error:
        raise SpanreelError(
            f"{function} cannot be called as it was recorded: {error.args[0]}", REMEDY
        ) from error
    return finished(found(*args, **kwargs))


def finished(value: Any, around: AbstractAsyncContextManager[None] | None = None) -> Any:
    """What an agent came to: a coroutine is awaited, a generator read to its end; within a running loop, beside it.

    Args:
        value: what it returned.
        around: entered in the loop that awaits it.
    """
    if not (inspect.isawaitable(value) or isinstance(value, AsyncGenerator)):
        return list(value) if isinstance(value, Generator) else value
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(awaited(value, around))
    context = contextvars.copy_context()
    with ThreadPoolExecutor(1) as beside:
        return beside.submit(context.run, asyncio.run, awaited(value, around)).result()


async def awaited(value: Any, around: AbstractAsyncContextManager[None] | None = None) -> Any:
    """The same within a loop."""
    async with around or nullcontext():
        if isinstance(value, AsyncGenerator):
            return [one async for one in value]
        if isinstance(value, Generator):
            return list(value)
        return await value if inspect.isawaitable(value) else value


def _module(name: str, file: str | None) -> ModuleType:
    """The module, from its file where the name alone does not find it; a script is loaded without being run as one."""
    if file is not None:
        path = Path(file)
        if name != "__main__":
            root = path.parents[name.count(".") + (path.stem == "__init__")] if path.is_absolute() else path
            sys.path.insert(0, str(root))
        elif not path.is_file():
            raise SpanreelError(f"the file of the agent is gone: {file}", REMEDY)
        else:
            return _from_file(path)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name + ".").startswith(error.name + "."):
            raise
        raise SpanreelError(f"the module of the agent is gone: {name}", REMEDY) from error


def _is_of_python(module: ModuleType) -> bool:
    """Whether a module is one of the standard library, and not the user's of the same name."""
    if module.__name__.partition(".")[0] not in sys.stdlib_module_names:
        return False
    file = getattr(module, "__file__", None)
    return file is None or Path(file).is_relative_to(Path(inspect.__file__).parent)


def _from_file(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.parent))
    name = path.stem if path.stem not in sys.modules else f"{path.stem}{SCRIPT}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    codec.moved("__main__", name)  # where the recorded values find their classes
    spec.loader.exec_module(module)
    return module
