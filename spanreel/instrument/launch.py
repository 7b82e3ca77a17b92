"""Runs a Python program in this process with recording on, as if the interpreter had been given it directly.

``python -m spanreel.instrument.launch SCRIPT|-m MODULE|-c CODE ARGS…`` is what `spanreel run -- CMD` starts. The program
sees its own `sys.argv`, `sys.path[0]` and `__main__`; its exit code, its signals and its traceback are its own.
A `spanreel.instrument(...)` in the program still says how to record.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import Any

from spanreel.exceptions import SpanreelError

_own_files = (__file__, runpy.__file__, "<frozen runpy>")


class NoProgram(SpanreelError):
    """There is no such script or module."""


def main(arguments: Sequence[str]) -> None:
    """Record a program: its script or option and what follows."""
    record(os.environ.get("SPANREEL_STORE"))
    try:
        run_program(arguments)
        _exit_if_paused()
    except NoProgram as error:
        sys.exit(f"spanreel: {error.args[0]}\n  → {error.remedy}")


def _exit_if_paused() -> None:
    """The program came to its end, but a thread of it did not."""
    from spanreel.instrument import pausing

    pausing.exit_if_unseen()


def record(store: str | os.PathLike[str] | None) -> None:
    """Switch recording on, until the program's own first `spanreel.instrument(...)` says how; the store stays this one."""
    from spanreel.instrument import activate

    ours = activate.instrument(store=store)
    instrument = activate.instrument

    def instrument_anew(service_name: str | None = None, **options: Any) -> activate.Instrumentation:
        activate.instrument = instrument
        ours.uninstrument()
        if store:
            options["store"] = store
        return instrument(service_name, **options)

    activate.instrument = instrument_anew


def run_program(arguments: Sequence[str]) -> None:
    """Run what ``python ARGUMENTS`` would run, as `__main__`. Returns when it ends, or raises what it raised.

    Args:
        arguments: a script, ``-m module`` or ``-c code``, and its own arguments.

    Raises:
        NoProgram: there is no such script or module.
    """
    kind, rest = arguments[0], list(arguments[1:])
    sys.orig_argv = [sys.executable, *arguments]
    hide_own_frames()
    if kind == "-c":
        _start_in("", ["-c", *rest[1:]])
        _run(compile(rest[0], "<string>", "exec"), file=None)
    elif kind == "-m":
        _start_in(os.getcwd(), ["-m", *rest[1:]])
        _run_module(rest[0])
    else:
        _run_script(kind, rest)


def hide_own_frames() -> None:
    """Uncaught errors show the program's frames, not those of its launcher."""
    show = sys.excepthook

    def excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        while trace is not None and trace.tb_frame.f_code.co_filename in _own_files:
            trace = trace.tb_next
        show(kind, error.with_traceback(trace), trace)

    sys.excepthook = excepthook


def own_file(file: str) -> None:
    """Frames of this file are the launcher's too."""
    global _own_files
    _own_files = (*_own_files, file)


def _run_script(script: str, rest: list[str]) -> None:
    path = Path(script)
    if not path.exists():
        raise NoProgram(f"there is no script {script}", "name a Python file, or -m MODULE")
    if path.is_dir() or path.suffix in (".zip", ".pyz"):
        sys.argv[:] = [script, *rest]
        runpy.run_path(script, run_name="__main__")
        return
    file = str(path.absolute())
    _start_in(str(path.resolve().parent), [script, *rest])
    _run(compile(path.read_bytes(), file, "exec"), file=file)


def _run_module(name: str) -> None:
    spec = _spec(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _spec(f"{name}.__main__")
    loader: Any = spec.loader if spec else None
    code = loader.get_code(spec.name) if spec and hasattr(loader, "get_code") else None
    if spec is None or code is None:
        raise NoProgram(
            f"there is no module {name} to run", "see that it is installed here, or name its file"
        )
    sys.argv[0] = spec.origin or name
    _run(code, file=spec.origin, spec=spec)


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _start_in(folder: str, argv: list[str]) -> None:
    sys.argv[:] = argv
    if not sys.flags.safe_path:
        sys.path[0] = folder


def _run(code: CodeType, *, file: str | None, spec: Any = None) -> None:
    program = ModuleType("__main__")
    program.__dict__.update(
        __builtins__=__builtins__, __spec__=spec, __package__=spec.parent if spec else None
    )
    if file is not None:
        program.__dict__["__file__"] = file
    if spec is not None:
        program.__dict__["__loader__"] = spec.loader
    sys.modules["__main__"] = program
    exec(code, program.__dict__)  # noqa: S102 - the user's own program, named on the command line


if __name__ == "__main__":
    main(sys.argv[1:])
