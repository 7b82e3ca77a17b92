"""Values that pass between agents and tools ⇄ JSON text. No I/O; no class outside the allow-list is ever loaded.

What JSON can say stays as it is, so that a recording is readable. Everything else is an object tagged
with `$type`: a pydantic model or a dataclass by class path, a stdlib value type, an exception, or, where
nothing fits, `opaque`: its text, which a replay cannot hand back as the value it was.

Decoding runs no code that a recording could choose: classes are those already imported, or of a known
framework; there is no pickle and no eval.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from spanreel.instrument.decoder import (
    BY_TEXT,
    CONTAINERS,
    TAG,
    TIMES,
    class_path,
    decode,
    kind_of,
    moved,
    result,
)

__all__ = [
    "EXACT",
    "OPAQUE",
    "TAG",
    "TEXT",
    "class_path",
    "decode",
    "encode",
    "encode_returned",
    "fidelity",
    "moved",
    "plain",
    "plain_text",
    "result",
]

EXACT: Final = "exact"
OPAQUE: Final = "opaque"
TEXT: Final = "text"

_DEEPEST: Final = 60
_PLAIN: Final = (bool, type(None))
_INT_BITS: Final = (
    64  # longer integers are written as hex: other JSON readers round them, and Python limits their digits
)
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LOCAL_EXCEPTION = re.compile(rf'"\{TAG}"\s*:\s*"exception"\s*,\s*"class"\s*:\s*"[^"]*<locals>')
_OPAQUE_NODE = re.compile(rf'"\{TAG}"\s*:\s*"{OPAQUE}"')


def encode(value: Any) -> str:
    """The JSON text of any value. Never raises; what cannot be carried is opaque. Tuples, sets and NaN survive."""
    return _text(_encode(value, 0))


def encode_returned(value: Any) -> str:
    """As `encode`, of what a tool returned: an exception that was returned is told apart from one that was raised."""
    tree = _encode(value, 0)
    return _text({TAG: "returned", "value": tree} if isinstance(value, BaseException) else tree)


def fidelity(text: str) -> str:
    """`exact`: decoding gives back an equal value of the same type; `text`: an exception with its text; else `opaque`."""
    if _OPAQUE_NODE.search(text):
        return OPAQUE
    return TEXT if _LOCAL_EXCEPTION.search(text) else EXACT


def plain(value: Any) -> Any:
    """A value as ordinary JSON for people and models to read: models and dataclasses as objects, the rest as text."""
    return _plain(_encode(value, 0))


def plain_text(value: Any) -> str:
    """`plain`, as JSON text."""
    return _text(plain(value))


def _text(tree: Any) -> str:
    return json.dumps(tree, ensure_ascii=False, separators=(",", ":"))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _is_unicode(text: str) -> bool:
    """False where it holds a lone surrogate, which no UTF-8 field can carry."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return True


def _encode(value: Any, depth: int) -> Any:
    of = type(value)
    if of in _PLAIN:
        return value
    if of is str:
        return (
            value
            if _is_unicode(value)
            else {TAG: "str", "value": _base64(value.encode("utf-8", "surrogatepass"))}
        )
    if of is int:
        return value if value.bit_length() <= _INT_BITS else {TAG: "int", "value": hex(value)}
    if of is float:
        return value if math.isfinite(value) else {TAG: "float", "value": repr(value)}
    if depth > _DEEPEST:
        return _opaque(value, depth)
    try:
        if of is dict:
            return _mapping(value, depth)
        if of is list:
            return [_encode(item, depth + 1) for item in value]
        return _typed(value, of, depth)
    except Exception:  # noqa: BLE001 — a foreign object may do anything when it is looked at; what is lost is marked opaque
        return _opaque(value, depth)


def _mapping(value: dict[Any, Any], depth: int) -> Any:
    if TAG not in value and all(type(key) is str and _is_unicode(key) for key in value):
        return {key: _encode(item, depth + 1) for key, item in value.items()}
    return {
        TAG: "dict",
        "items": [[_encode(key, depth + 1), _encode(item, depth + 1)] for key, item in value.items()],
    }


def _typed(value: Any, of: type, depth: int) -> Any:
    if of in CONTAINERS:
        items = (
            sorted(value, key=repr) if of in (set, frozenset) else value
        )  # a set's order is not the same twice
        return {TAG: of.__name__, "items": [_encode(item, depth + 1) for item in items]}
    if of in (bytes, bytearray):
        return {TAG: of.__name__, "value": _base64(value)}
    if of in TIMES:
        return _time(value, of)
    path = class_path(of)
    if path in BY_TEXT:
        return {TAG: "text", "class": path, "value": str(value)}
    if of is complex:
        return {TAG: "complex", "value": str(value)}
    if "<locals>" in path and not isinstance(value, BaseException):  # nobody could find this class again
        return _opaque(_contents(value), depth, path)
    if isinstance(value, Enum):
        return {TAG: "enum", "class": path, "name": value.name}
    if isinstance(value, BaseException):
        return _exception(value, path, depth)
    return _object(value, of, path, depth)


def _object(value: Any, of: type, path: str, depth: int) -> Any:
    if hasattr(value, "model_dump") and hasattr(of, "model_validate"):
        return _model(value, of, path, depth)
    if dataclasses.is_dataclass(value):
        fields = {
            field.name: _encode(getattr(value, field.name), depth + 1) for field in dataclasses.fields(value)
        }
        return {TAG: "dataclass", "class": path, "value": fields}
    if isinstance(value, tuple) and hasattr(of, "_fields"):
        return {TAG: "namedtuple", "class": path, "items": [_encode(item, depth + 1) for item in value]}
    if callable(getattr(of, "to_dict", None)) and callable(getattr(of, "from_dict", None)):
        return _from_dict(value, of, path, depth)
    return _opaque(value, depth)


def _model(value: Any, of: Any, path: str, depth: int) -> Any:
    """A pydantic model by its own fields, which keep the types of what they hold; else by its dump; checked both ways."""
    own = {**value.__dict__, **(getattr(value, "__pydantic_extra__", None) or {})}
    for source in (own, None):
        try:
            data = value.model_dump() if source is None else source
            if of.model_validate(data) == value:
                return {TAG: "model", "class": path, "value": _encode(data, depth + 1)}
        except Exception:  # noqa: BLE001, S112 — the next form is tried, and in the end it is marked opaque
            continue
    return _opaque(value, depth)


def _from_dict(value: Any, of: Any, path: str, depth: int) -> Any:
    """By the class's own pair of methods, where they give back the same value."""
    data = value.to_dict()
    again = of.from_dict(data)
    same = again == value if of.__eq__ is not object.__eq__ else again.to_dict() == data
    return (
        {TAG: "from_dict", "class": path, "value": _encode(data, depth + 1)}
        if same
        else _opaque(value, depth)
    )


def _exception(value: BaseException, path: str, depth: int) -> Any:
    state = {key: item for key, item in vars(value).items() if not key.startswith("__")}
    tree = {TAG: "exception", "class": path, "message": _plain(_encode(str(value), depth)), "args": [_encode(arg, depth + 1) for arg in _arguments(value)]}  # fmt: skip
    if state:
        tree["state"] = _encode(state, depth + 1)
    return tree


def _arguments(value: BaseException) -> tuple[Any, ...]:
    """Of a built-in class those that its constructor takes; OSError keeps the file name apart."""
    reduced = value.__reduce__() if type(value).__module__ == "builtins" else None
    return reduced[1] if isinstance(reduced, tuple) and isinstance(reduced[1], tuple) else value.args


def _time(value: Any, of: type) -> Any:
    if of is dt.timedelta:
        return {TAG: "timedelta", "value": [value.days, value.seconds, value.microseconds]}
    tree = {TAG: of.__name__, "value": value.isoformat()}
    zone = getattr(getattr(value, "tzinfo", None), "key", None)
    if isinstance(zone, str):
        tree["zone"] = zone
    if getattr(value, "fold", 0):
        tree["fold"] = 1
    return tree


def _contents(value: Any) -> Any:
    """What a model or a dataclass holds."""
    return dict(vars(value)) if hasattr(value, "model_dump") or dataclasses.is_dataclass(value) else value


def _opaque(value: Any, depth: int, path: str = "") -> Any:
    """Text, or the plain contents of a subclass of str, dict or list. Addresses go: they differ in every process."""
    tree: dict[str, Any] = {TAG: OPAQUE, "class": path or class_path(type(value))}
    try:
        if depth <= _DEEPEST and isinstance(value, (str, int, float, Mapping, list, tuple)):
            tree["value"] = _encode(_base(value), depth + 1)
        else:
            tree["value"] = _ADDRESS.sub("", str(value))[:100_000]
    except Exception as error:  # noqa: BLE001 — a __str__ that raises; its type is all there is to say
        tree["value"] = f"<{class_path(type(value))}, unreadable: {type(error).__name__}>"
    return tree


def _base(value: Any) -> Any:
    base: Any = next((base for base in (str, int, float, list, tuple) if isinstance(value, base)), dict)
    return base(value)


def _plain(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_plain(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    kind = kind_of(tree)
    if kind is None:
        return {key: _plain(item) for key, item in tree.items()}
    if kind == "dict":
        return {
            key if isinstance(key := _plain(pair[0]), str) else _text(key): _plain(pair[1])
            for pair in tree["items"]
        }
    if kind == "exception":
        return {"error": tree["class"].rpartition(":")[2], "message": tree["message"]}
    return _plain(next(tree[name] for name in ("value", "items", "name") if name in tree))
