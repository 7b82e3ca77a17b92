"""`{{ … }}`: where a value of a playbook comes from: a parameter, an earlier result by JSON path, or a constant.

Quiet, and data only: there is no code in a template. Between the braces stands a path from a variable on (RFC 9535,
the variables being the document: ``order.items[?@.name == $.params.item].item_id``) or a JSON literal, then filters
from a fixed list: ``{{ user.orders[*].id | list }}``. A text that is nothing but one `{{ … }}` keeps the value's type;
in a longer text, texts go in as they are and everything else as JSON. A path that finds nothing, or several values where one is
wanted, is an error, never a guess.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

Variables = Mapping[str, Any]
_ROOT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PARAM = re.compile(
    r"""(?:^|\$\.|\$\[\s*['"])params(?:['"]\s*\])?(?:\.([A-Za-z_]\w*)|\[\s*['"]([^'"]+)['"]\s*\])"""
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')


class Unbound(Exception):
    """A binding that has no value here, or cannot be read. Its text says which and why."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What stands in one `{{ … }}`. path: from the variables on; else `literal` is the value."""

    text: str
    path: str | None
    literal: Any
    filters: tuple[str, ...]

    @property
    def root(self) -> str | None:
        """The variable that it begins with."""
        found = _ROOT.match(self.path) if self.path else None
        return found[0] if found else None

    def roots(self) -> set[str]:
        """Every variable that it needs, those inside of its filter expressions (`$.params.item`) too."""
        if self.path is None:
            return set()
        inside = re.findall(r"\$\.?\[?['\"]?([A-Za-z_][A-Za-z0-9_-]*)", _QUOTED.sub(_key_only, self.path))
        return {name for name in (self.root, *inside) if name}

    def params(self) -> set[str]:
        """Every parameter that it names."""
        said = _QUOTED.sub(_key_only, self.path or "")
        return {one or other for one, other in _PARAM.findall(said)}


def _key_only(found: re.Match[str]) -> str:
    return found[0] if _ROOT.fullmatch(found[0][1:-1]) else '""'


def _number(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return float(value)
    return value


FILTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "list": lambda value: value,  # every value that the path finds
    "count": len,
    "string": lambda value: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
    "text": lambda value: "" if value is None else FILTERS["string"](value),
    "number": _number,
    "json": lambda value: json.loads(value) if isinstance(value, str) else value,
    "lower": lambda value: str(value).lower(),
    "upper": lambda value: str(value).upper(),
    "strip": lambda value: str(value).strip(),
}
_MANY: Final = ("list", "count")


@lru_cache(maxsize=4096)
def parse(text: str) -> tuple[str | Binding, ...]:
    """A text in pieces: what stands outside of braces, and bindings.

    Raises:
        Unbound: braces that are not closed, a path or filter that is none.
    """
    pieces: list[str | Binding] = []
    at = 0
    while (start := text.find("{{", at)) >= 0:
        stop = _close(text, start + 2)
        if start > at:
            pieces.append(text[at:start])
        pieces.append(_binding(text[start + 2 : stop].strip()))
        at = stop + 2
    if at < len(text) or not pieces:
        pieces.append(text[at:])
    return tuple(pieces)


def _close(text: str, at: int) -> int:
    while at < len(text):
        if text.startswith("}}", at):
            return at
        quoted = _QUOTED.match(text, at)
        at = quoted.end() if quoted else at + 1
    raise Unbound(f"{{{{ is not closed in {_short(text)}")


def _binding(text: str) -> Binding:
    if not text:
        raise Unbound("{{ }} names nothing")
    head, *filters = _split(text)
    for name in filters:
        if name not in FILTERS:
            raise Unbound(f"there is no filter {name!r} in {{{{ {text} }}}}; there are {', '.join(FILTERS)}")
    if head[:1] in '"-0123456789' or head in ("true", "false", "null"):
        try:
            return Binding(text, None, json.loads(head), tuple(filters))
        except ValueError:
            raise Unbound(f"{{{{ {text} }}}} is neither a path nor a JSON value") from None
    if not _ROOT.match(head):
        raise Unbound(f"{{{{ {text} }}}} does not begin with a variable")
    query(head)
    return Binding(text, head, None, tuple(filters))


def _split(text: str) -> list[str]:
    """The path and its filters, cut at `|` that stands outside of quotes and brackets."""
    parts, depth, at, start = list[str](), 0, 0, 0
    while at < len(text):
        quoted = _QUOTED.match(text, at)
        if quoted:
            at = quoted.end()
            continue
        depth += (text[at] in "[(") - (text[at] in "])")
        if text[at] == "|" and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
        at += 1
    return [*parts, text[start:].strip()]


@lru_cache(maxsize=4096)
def query(path: str) -> Any:
    """The compiled JSON path of a path from the variables on.

    Raises:
        Unbound: it is none.
    """
    import jsonpath_rfc9535 as jsonpath

    root = _ROOT.match(path)
    assert root is not None
    try:
        return jsonpath.compile(f"$[{json.dumps(root[0])}]{path[root.end() :]}")
    except (jsonpath.JSONPathError, RecursionError) as error:
        said = str(error).splitlines()[0].partition(", line ")[0] if str(error) else type(error).__name__
        raise Unbound(f"{{{{ {path} }}}} is no JSON path: {said}") from None


def found(path: str, variables: Variables) -> list[Any]:
    """Every value that a path finds."""
    import jsonpath_rfc9535 as jsonpath

    try:
        return query(path).find(variables).values()
    except (jsonpath.JSONPathError, RecursionError) as error:
        raise Unbound(f"{{{{ {path} }}}} cannot be followed: {error}") from None


def one(path: str, variables: Variables) -> Any:
    """The value that a path finds.

    Raises:
        Unbound: none, or several.
    """
    values = found(path, variables)
    if len(values) == 1:
        return values[0]
    what = "finds nothing" if not values else f"finds {len(values)} values, where one is wanted"
    raise Unbound(f"{{{{ {path} }}}} {what}")


def _value(binding: Binding, variables: Variables) -> Any:
    if binding.path is None:
        value = binding.literal
    elif any(name in _MANY for name in binding.filters):
        value = found(binding.path, variables)
    else:
        value = one(binding.path, variables)
    for name in binding.filters:
        try:
            value = FILTERS[name](value)
        except (ValueError, TypeError) as error:
            raise Unbound(f"{{{{ {binding.text} }}}}: {name} cannot be made of {_short(value)}") from error
    return value


def bind(value: Any, variables: Variables) -> Any:
    """A value of a playbook with every binding in it replaced by what it stands for, in lists and objects too.

    Raises:
        Unbound: one of them has no value.
    """
    if isinstance(value, str):
        if "{{" not in value:
            return value
        pieces = parse(value)
        if len(pieces) == 1 and isinstance(pieces[0], Binding):
            return _value(pieces[0], variables)
        texts = (piece if isinstance(piece, str) else _value(piece, variables) for piece in pieces)
        return "".join(text if isinstance(text, str) else FILTERS["string"](text) for text in texts)
    if isinstance(value, Mapping):
        return {key: bind(item, variables) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bind(item, variables) for item in value]
    return value


def bindings(value: Any) -> Iterator[Binding]:
    """Every binding in a value.

    Raises:
        Unbound: one cannot be read.
    """
    if isinstance(value, str):
        yield from (piece for piece in parse(value) if isinstance(piece, Binding)) if "{{" in value else ()
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from bindings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from bindings(item)


def literal(value: Any) -> Any:
    """A constant as a template says it: texts that hold braces are quoted, so that they stay what they are."""
    if isinstance(value, str):
        return f"{{{{ {json.dumps(value, ensure_ascii=False)} }}}}" if "{{" in value else value
    if isinstance(value, Mapping):
        return {key: literal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [literal(item) for item in value]
    return value


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
