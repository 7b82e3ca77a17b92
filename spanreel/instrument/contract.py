"""What a tool or an agent is, as one short text: `c1:<word>-<parameters>-<source>`. Equal code gives equal text.

word: the tool's safety, `agent` or `script`. Computed once per function; afterwards a look-up. Read with `parts`.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
from pathlib import Path
from types import CodeType
from typing import Any, Final

VERSION: Final = "c1"
AGENT: Final = "agent"
SCRIPT: Final = "script"
NO_PARAMETERS: Final = "0"
_MOST: Final = 4096

_known: dict[tuple[str, str, CodeType], str] = {}
_script: list[str] = []


def of_function(function: Any, word: str) -> str | None:
    """The contract of a function; None for what is no Python function.

    Args:
        function: the one that the author wrote, or a wrapper of it.
        word: the tool's safety, or `AGENT`.
    """
    code = code_of(function)
    if code is None:
        return None
    key = (word, code.co_filename, code)
    found = _known.get(key)
    if found is None:
        if len(_known) >= _MOST:
            _known.clear()
        found = _known[key] = text(word, parameters(code), _source(code))
    return found


def of_script() -> str | None:
    """The contract of the program that this process runs: the bytes of its file, or the text after -c."""
    if not _script:
        _script.append(_of_script() or "")
    return _script[0] or None


def of_bytes(source: bytes) -> str:
    """The contract of a program's file."""
    return text(SCRIPT, NO_PARAMETERS, source)


def text(word: str, parameters: str, source: bytes) -> str:
    """The contract of what has these parameters and this source."""
    named = hashlib.sha256(parameters.encode()).hexdigest()[:8] if parameters != NO_PARAMETERS else parameters
    return f"{VERSION}:{word}-{named}-{hashlib.sha256(source).hexdigest()[:16]}"


def parts(contract: str) -> tuple[str, str, str] | None:
    """Word, parameters and source of a contract; None of one that another version made."""
    version, _, rest = contract.partition(":")
    found = tuple(rest.split("-"))
    return (found[0], found[1], found[2]) if version == VERSION and len(found) == 3 else None


def parameters(code: CodeType) -> str:
    """Names and kinds of the parameters, in order."""
    count, positional = code.co_argcount, code.co_posonlyargcount
    named = code.co_varnames
    found = [*named[:positional], "/", *named[positional:count]]
    last = count + code.co_kwonlyargcount
    stars = list(named[last:])
    if code.co_flags & inspect.CO_VARARGS:
        found.append(f"*{stars.pop(0)}")
    found += ["*", *named[count:last]]
    if code.co_flags & inspect.CO_VARKEYWORDS:
        found.append(f"**{stars.pop(0)}")
    return ",".join(found)


def tidied(source: str) -> bytes:
    """Source as it is compared: where it stands and what trails its lines does not matter."""
    lines = [line.rstrip() for line in source.expandtabs().splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    margin = min((len(line) - len(line.lstrip()) for line in lines if line), default=0)
    return "\n".join(line[margin:] for line in lines).encode("utf-8", "surrogatepass")


def code_of(function: Any) -> CodeType | None:
    """The code that a function, or what wraps it, runs."""
    for _ in range(20):
        function = getattr(function, "__wrapped__", None) or getattr(function, "func", None) or function
        if not hasattr(function, "__wrapped__") and not hasattr(function, "func"):
            break
    found = getattr(getattr(function, "__func__", function), "__code__", None)
    return found if isinstance(found, CodeType) else None


def _source(code: CodeType) -> bytes:
    try:
        return tidied(inspect.getsource(code))
    except (OSError, TypeError, IndexError, SyntaxError):  # typed at a prompt, or given with -c
        return _compiled(code).encode("utf-8", "surrogatepass")


def _compiled(code: CodeType) -> str:
    """What stands for the source where there is none: the same interpreter compiles it to the same."""
    constants = [_compiled(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _of_script() -> str | None:
    arguments = sys.orig_argv[1:]
    if "-c" in arguments and (not sys.argv or sys.argv[0] == "-c"):
        return of_bytes(arguments[arguments.index("-c") + 1].encode("utf-8", "surrogatepass"))
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        return of_bytes(Path(file).read_bytes()) if file else None
    except OSError:
        return None
