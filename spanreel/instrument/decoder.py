"""JSON text of the codec → the value it was. Loads only classes that are allowed; runs no code of the recording's choosing."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import importlib
import json
import sys
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any, Final

from spanreel.exceptions import BadInput

TAG: Final = "$type"
KNOWN_PACKAGES: Final = frozenset({
    "agents", "anthropic", "langchain", "langchain_anthropic", "langchain_core", "langchain_openai", "langgraph", "mcp",
    "openai", "pydantic", "pydantic_core", "spanreel",
})  # fmt: skip
"""Top-level packages whose modules decoding may import; any other module must have been imported already."""

BY_TEXT: Final = {
    "decimal:Decimal", "fractions:Fraction", "uuid:UUID", "pathlib:PosixPath", "pathlib:PurePosixPath", "pathlib:WindowsPath",
    "pathlib:PureWindowsPath", "ipaddress:IPv4Address", "ipaddress:IPv6Address",
}  # fmt: skip


_moved: dict[str, str] = {}


def decode(text: str, packages: Sequence[str] = ()) -> Any:
    """The value again.

    Args:
        text: what `encode` gave.
        packages: further top-level packages whose modules may be imported for a class.

    Raises:
        BadInput: not the codec's JSON, or a class that is not loaded and not allowed.
    """
    return _Decoding(frozenset(packages)).value(_parse(text), 0)


def result(text: str, packages: Sequence[str] = ()) -> Any:
    """What a tool returned; raises the exception if it raised one.

    Raises:
        BadInput: as `decode`.
        BaseException: the one the tool raised when it was recorded.
    """
    value = decode(text, packages)
    if isinstance(value, BaseException) and kind_of(_parse(text)) == "exception":
        raise value
    return value


def moved(recorded: str, module: str) -> None:
    """Look for classes of the module `recorded` in `module` from now on: a script's `__main__` has another name here."""
    _moved[recorded] = module


def class_path(of: type) -> str:
    """``module:qualname``, by which a class is found again."""
    return f"{of.__module__}:{of.__qualname__}"


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not a recorded value: {text[:60]!r}", "record the run again") from error


def kind_of(tree: Any) -> str | None:
    """The tag of a typed value; None for what JSON says itself."""
    kind = tree.get(TAG) if isinstance(tree, dict) else None
    return kind if isinstance(kind, str) else None


CONTAINERS: Final[dict[type, Callable[[list[Any]], Any]]] = {tuple: tuple, set: set, frozenset: frozenset}
TIMES: Final = (dt.datetime, dt.date, dt.time, dt.timedelta)
_ISO: Final[dict[str, Any]] = {"datetime": dt.datetime, "date": dt.date, "time": dt.time}


_NO_EXCEPTIONS: Final = frozenset({"builtins:SystemExit", "asyncio.exceptions:CancelledError"})
"""Derive from BaseException only, and a tool may raise them."""


class _Decoding:
    def __init__(self, packages: frozenset[str]) -> None:
        self._packages = packages | KNOWN_PACKAGES

    def value(self, tree: Any, depth: int) -> Any:
        if isinstance(tree, list):
            return [self.value(item, depth + 1) for item in tree]
        if not isinstance(tree, dict):
            return tree
        if TAG not in tree:
            return {key: self.value(item, depth + 1) for key, item in tree.items()}
        kind = kind_of(tree) or ""
        try:
            return self._tagged(kind, tree, depth)
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"a recorded value of type {kind!r} cannot be read ({type(error).__name__}: {error})", "record the run again") from error  # fmt: skip

    def _tagged(self, kind: str, tree: dict[str, Any], depth: int) -> Any:
        if kind in ("opaque", "returned"):
            return self.value(tree["value"], depth + 1)
        if kind in ("tuple", "set", "frozenset"):
            make = next(make for of, make in CONTAINERS.items() if of.__name__ == kind)
            return make(self.value(list(tree["items"]), depth + 1))
        if kind == "dict":
            return {
                self.value(key, depth + 1): self.value(item, depth + 1) for key, item in list(tree["items"])
            }
        if kind in _ISO or kind in _SCALARS:
            return _time_again(kind, tree) if kind in _ISO else _SCALARS[kind](tree["value"])
        if kind == "exception":
            return self._exception(tree, depth)
        return self._instance(kind, tree, depth)

    def _instance(self, kind: str, tree: dict[str, Any], depth: int) -> Any:
        of = self.load(str(tree["class"]))
        if kind == "text" and tree["class"] in BY_TEXT:
            return of(str(tree["value"]))
        if kind == "enum" and issubclass(of, Enum):
            return of[tree["name"]]
        if kind == "namedtuple" and issubclass(of, tuple):
            return of(*self.value(list(tree["items"]), depth + 1))
        data = self.value(tree.get("value"), depth + 1)
        if kind == "model" and callable(getattr(of, "model_validate", None)):
            return of.model_validate(data)
        if kind == "from_dict" and callable(getattr(of, "from_dict", None)):
            return of.from_dict(data)
        if kind == "dataclass" and dataclasses.is_dataclass(of):
            made = object.__new__(of)  # its constructor does not run: fields are put back as they were
            for field in dataclasses.fields(of):
                object.__setattr__(made, field.name, data[field.name])
            return made
        raise BadInput(f"a recorded value has an unknown type {kind!r}", "replay it with the spanreel that recorded it")  # fmt: skip

    def _exception(self, tree: dict[str, Any], depth: int) -> BaseException:
        message = str(tree.get("message", ""))
        try:
            of = self.load(str(tree["class"]))
        except BadInput:
            of = RuntimeError
        if not issubclass(of, Exception) and tree["class"] not in _NO_EXCEPTIONS:
            of = RuntimeError
        if class_path(of).partition(":")[2] != tree["class"].partition(":")[2]:
            return RuntimeError(message)
        args = self.value(list(tree.get("args", [])), depth + 1)
        if of.__module__ == "builtins":
            return of(*args)
        made = of.__new__(of, *args)  # its own __init__ may want other arguments than BaseException keeps
        made.args = tuple(args)
        made.__dict__.update(self.value(tree.get("state", {}), depth + 1))
        return made

    def load(self, path: str) -> type:
        """The class at ``module:qualname``."""
        module_name, _, qualname = path.partition(":")
        module_name = _moved.get(module_name, module_name)
        module = sys.modules.get(module_name)
        if module is None and (module_name.partition(".")[0] in self._packages or path in BY_TEXT):
            try:
                module = importlib.import_module(module_name)
            except Exception as error:
                raise BadInput(f"the class {path} of a recorded value cannot be imported ({error})", "install what the recorded run had") from error  # fmt: skip
        found: Any = module
        for name in qualname.split("."):
            found = None if name.startswith("__") else getattr(found, name, None)
        if not isinstance(found, type):
            raise BadInput(f"a recorded value is of the class {path}, which is not loaded", "import its module before the replay")  # fmt: skip
        return found


_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "str": lambda value: base64.b64decode(value, validate=True).decode("utf-8", "surrogatepass"),
    "int": lambda value: int(value, 16),
    "float": float,
    "complex": complex,
    "bytes": lambda value: base64.b64decode(value, validate=True),
    "bytearray": lambda value: bytearray(base64.b64decode(value, validate=True)),
    "timedelta": lambda value: dt.timedelta(*value),
}


def _time_again(kind: str, tree: dict[str, Any]) -> Any:
    value = _ISO[kind].fromisoformat(tree["value"])
    if "zone" in tree:
        from zoneinfo import ZoneInfo

        value = value.replace(tzinfo=ZoneInfo(tree["zone"]))
    return value.replace(fold=1) if tree.get("fold") else value
