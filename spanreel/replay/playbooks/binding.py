"""`{{ … }}`: where a value of a playbook comes from: a parameter, an earlier result by JSON path, or a constant.

Quiet, and data only: there is no code in a template. Between the braces stands a path from a variable on (RFC 9535,
the variables being the document: ``order.items[?@.name == $.params.item].item_id``) or a JSON literal, then filters
from a fixed list: ``{{ user.orders[*].id | list }}``. A text that is nothing but one `{{ … }}` keeps the value's type;
in a longer text, texts go in as they are and everything else as JSON. A path that finds nothing, or several values where one is
wanted, is an error, never a guess.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

from spanreel.replay.playbooks.patterns import NoPattern, occurs, whole

Variables = Mapping[str, Any]
DESCENTS: Final = 2
"""How often a path may look everywhere (`..`): each time multiplies the work."""
_EVERYTHING = re.compile(
    r"\$(?:\.[A-Za-z_][\w-]*|\[\s*(?:''|-?\d+)\s*\])*(?:\.\.|\.\*|\[(?!\s*(?:''|-?\d+)\s*\]))"
)
"""Inside of a filter: a path from the top that may find many; it would be followed again for each element."""
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_ROOT = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PARAM = re.compile(
    r"""(?:^|\$\.|\$\[\s*['"])params(?:['"]\s*\])?(?:\.([A-Za-z_]\w*)|\[\s*['"]([^'"]+)['"]\s*\])"""
)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'')


class Unbound(Exception):
    """A binding that has no value here, or cannot be read. Its text says which and why."""


class Unsayable(str):
    """The text of what a tool gave that is no JSON value: people may read it, no binding passes it on."""

    __slots__ = ()


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
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return _finite(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(value)
    return value


def _finite(text: str) -> Any:
    """JSON, and no number in it that is none."""

    def refused(word: str) -> Any:
        raise ValueError(word)

    def number(word: str) -> float:
        if not math.isfinite(found := float(word)):
            raise ValueError(word)
        return found

    return json.loads(text, parse_constant=refused, parse_float=number)


def _cased(change: Callable[[str], str]) -> Callable[[Any], str]:
    def changed(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError(value)
        return change(value)

    return changed


FILTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "list": lambda value: value,  # every value that the path finds
    "count": len,
    "string": lambda value: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
    "text": lambda value: "" if value is None else FILTERS["string"](value),
    "number": _number,
    "json": lambda value: _finite(value) if isinstance(value, str) else value,
    "lower": _cased(str.lower),
    "upper": _cased(str.upper),
    "strip": _cased(str.strip),
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
            return Binding(text, None, _finite(head), tuple(filters))
        except (ValueError, RecursionError):
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


@lru_cache(maxsize=1)
def _environment() -> Any:
    """RFC 9535 with patterns that end."""
    import jsonpath_rfc9535 as jsonpath
    from jsonpath_rfc9535.function_extensions import Search

    def function(test: Callable[[Any, str], bool]) -> Any:
        class Tested(Search):
            def __call__(self, string: object, pattern: object) -> bool:
                return isinstance(string, str) and isinstance(pattern, str) and test(pattern, string)

        return Tested()

    environment = jsonpath.JSONPathEnvironment()
    environment.function_extensions |= {"match": function(whole), "search": function(occurs)}
    return environment


@lru_cache(maxsize=4096)
def query(path: str) -> Any:
    """The compiled JSON path of a path from the variables on.

    Raises:
        Unbound: it is none.
    """
    import jsonpath_rfc9535 as jsonpath

    root = _ROOT.match(path)
    if root is None:
        raise Unbound(f"{{{{ {path} }}}} does not begin with a variable")
    if _QUOTED.sub("", path).count("..") > DESCENTS:
        raise Unbound(f"{{{{ {path} }}}} looks everywhere more than {DESCENTS} times")
    if _EVERYTHING.search(_QUOTED.sub("''", path)[1:]):
        raise Unbound(
            f"{{{{ {path} }}}} looks through everything for each element; set a variable to that first"
        )
    try:
        return _environment().compile(f"$[{json.dumps(root[0])}]{path[root.end() :]}")
    except (jsonpath.JSONPathError, RecursionError) as error:
        said = str(error).splitlines()[0].partition(", line ")[0] if str(error) else type(error).__name__
        raise Unbound(f"{{{{ {path} }}}} is no JSON path: {said}") from None


def found(path: str, variables: Variables) -> list[Any]:
    """Every value that a path finds."""
    import jsonpath_rfc9535 as jsonpath

    try:
        values = query(path).find(variables).values()
    except (jsonpath.JSONPathError, RecursionError, NoPattern) as error:
        said = str(error).partition(", line ")[0] or type(error).__name__
        raise Unbound(f"{{{{ {path} }}}} cannot be followed: {said}") from None
    if holds_unsayable(values):
        raise Unbound(f"{{{{ {path} }}}} holds what is no JSON value: {_short(values)}")
    return values


def holds_unsayable(value: Any) -> bool:
    """Whether something of a value is no JSON value."""
    if isinstance(value, Mapping):
        return any(map(holds_unsayable, cast("Mapping[Any, Any]", value).values()))
    if isinstance(value, (list, tuple)):
        return any(map(holds_unsayable, cast("list[Any]", value)))
    return isinstance(value, Unsayable)


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
        except (ValueError, TypeError, RecursionError) as error:
            raise Unbound(f"{{{{ {binding.text} }}}}: {name} cannot be made of {_short(value)}") from error
    return value


def _in_a_text(piece: Binding, variables: Variables) -> str:
    value = _value(piece, variables)
    try:
        return FILTERS["string"](value)
    except (ValueError, TypeError, RecursionError) as error:
        raise Unbound(f"{{{{ {piece.text} }}}}: no text can be made of {type(value).__name__}") from error


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
        return "".join(piece if isinstance(piece, str) else _in_a_text(piece, variables) for piece in pieces)
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
