"""Which line of the agent's own code made this call? Reads the stack of the calling thread; changes nothing."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from types import FrameType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_LIBRARY = tuple(
    {
        os.path.realpath(path) + os.sep
        for name in ("stdlib", "platstdlib")
        if (path := sysconfig.get_path(name))
    }
)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def code_line() -> str:
    """``file:line`` of the innermost frame that is neither ours, nor the standard library's, nor an installed package's.

    Empty where there is none, as in a thread that a library runs by itself.
    """
    for frame in _frames():
        if _is_agent(frame.f_code.co_filename):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return ""


def called_by(*modules: str) -> bool:
    """Whether code of one of these modules, or below one of them, is on the stack."""
    below = tuple(f"{module}." for module in modules)
    return any(f"{frame.f_globals.get('__name__', '')}.".startswith(below) for frame in _frames())


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_agent(file: str) -> bool:
    if file.startswith("<") or any(part in file for part in _INSTALLED):
        return False
    path = os.path.realpath(file)
    return not path.startswith(_OURS) and not path.startswith(_LIBRARY)
