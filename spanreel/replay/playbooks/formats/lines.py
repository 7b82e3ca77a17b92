"""The text of a playbook file as a plain JSON value in which every place knows its line.

Quiet, and data only. YAML is read as events, never as objects: no tags, no second document, nothing nested or repeated
beyond a bound, so that no text costs more than its size. What looks like a number or a truth value only to YAML 1.1
(`on`, `yes`, `0123`, `1_000`, `12:30`, dates) is text. JSON is read as JSON. Nothing here knows what a playbook is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from spanreel.exceptions import BadInput

if TYPE_CHECKING:
    from yaml import Mark

Path: TypeAlias = tuple[str | int, ...]
"""From the outermost value on: keys and places in lists."""

MAX_CHARACTERS: Final = 300_000
MAX_DEPTH: Final = 64
MAX_VALUES: Final = 200_000
"""Of a document with its aliases written out."""
MAX_DIGITS: Final = 400

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF|nan|NaN|NAN)")
_WORDS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_CORE: Final = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """A text that was read.

    Attributes:
        value: what it says, as JSON.
        lines: of each place (of an entry: of its key), from 1 on.
        file: what the text is called in errors.
    """

    value: Any
    lines: Mapping[Path, int]
    file: str

    def line(self, path: Path) -> int:
        """The line of a place, or of the nearest one around it that the text has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, path: Path) -> str:
        """``FILE:LINE`` of a place."""
        return f"{self.file}:{self.line(path)}"


@dataclass(frozen=True, slots=True)
class Node:
    """A piece of the text. items: of a list or an object (as pairs of nodes), in order."""

    kind: str
    line: int
    text: str = ""
    plain: bool = False
    tag: str | None = None
    items: list[Any] = field(default_factory=list[Any])
    literal: Any = None


def read(text: str, file: str, *, legacy: bool = False) -> Document:
    """Read a text: JSON where the file is called so, else YAML.

    Args:
        text: of the file.
        file: its name, for errors.
        legacy: plain words mean what they mean in YAML 1.1: `yes` is true, `010` is 8.

    Raises:
        BadInput: it cannot be read; with the file and the line.
    """
    _readable(text, file)
    if file.endswith(".json"):
        from spanreel.replay.playbooks.formats.jsonlines import tree

        root = tree(text, file)
    else:
        root = _tree(text, file)
    lines: dict[Path, int] = {}
    value = _Plain(file, lines, legacy).value(root, (), 0)
    return Document(value, lines, file)


def means_text(word: str) -> bool:
    """Whether a word that stands there unquoted is read as that text."""
    return (
        word not in _WORDS and not _NUMBER.fullmatch(word) and not _NO_NUMBER.fullmatch(word) and word != "<<"
    )


def refuse(file: str, line: int, message: str, remedy: str = "") -> BadInput:
    """The error of a place, on one line."""
    return BadInput(f"{file}:{line}: {' '.join(message.split())}", remedy)


def _readable(text: str, file: str) -> None:
    if len(text) > MAX_CHARACTERS:
        raise refuse(file, 1, f"more than {MAX_CHARACTERS:,} characters", "a playbook is smaller than that")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise refuse(file, text.count("\n", 0, error.start) + 1, "a character that is no Unicode") from None


# YAML, as events


def _tree(text: str, file: str) -> Node:
    import yaml

    building = _Building(file)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            building.take(event)
    except yaml.MarkedYAMLError as error:
        mark: Mark | None = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        said = error.problem or error.context or "it cannot be read"
        raise refuse(file, line, f"that is no YAML: {said}", "mind indentation, colons and quotes") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise refuse(file, line, "a control character", "take it out, or write it as an escape") from None
    except (ValueError, RecursionError, AttributeError, IndexError) as error:  # of PyYAML, for odd texts
        raise refuse(file, 1, f"that is no YAML: {error}") from None
    if building.root is None:
        raise refuse(file, 1, "it is empty", "it begins with `spanreel: playbook/v1`")
    return building.root


class _Building:
    """Nodes out of the parser's events, without recursion."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.root: Node | None = None
        self.open: list[Node] = []
        self.anchors: dict[str, Node] = {}
        self.documents = self.nodes = 0

    def take(self, event: Any) -> None:
        import yaml

        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise refuse(self.file, event.start_mark.line + 1, "a second document", "one playbook a file")
            return
        if isinstance(event, yaml.CollectionEndEvent):
            self.open.pop()
            return
        if not isinstance(event, yaml.NodeEvent):
            return
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            meant = self.anchors.get(event.anchor)
            if meant is None:
                raise refuse(
                    self.file, line, f"*{event.anchor} names nothing", "&name marks what *name means"
                )
            node = Node("alias", line, items=[meant])
        else:
            node = self._node(event, line)
            if event.anchor is not None:
                self.anchors[event.anchor] = node
        if self.open:
            self.open[-1].items.append(node)
        else:
            self.root = node
        if isinstance(event, yaml.CollectionStartEvent):
            self.open.append(node)
            if len(self.open) > MAX_DEPTH:
                raise refuse(self.file, line, f"nested deeper than {MAX_DEPTH}")

    def _node(self, event: Any, line: int) -> Node:
        import yaml

        self.nodes += 1
        if self.nodes > MAX_VALUES:
            raise refuse(self.file, line, f"more than {MAX_VALUES:,} values")
        tag = event.tag
        if tag is not None and tag != "!":
            raise refuse(
                self.file,
                line,
                f"the tag {_tag(tag)}: a playbook is data",
                "take the tag out; quote what is text",
            )
        if isinstance(event, yaml.ScalarEvent):
            return Node("text", line, event.value, bool(event.implicit[0]) and tag is None, tag)
        return Node("list" if isinstance(event, yaml.SequenceStartEvent) else "object", line)


def _tag(tag: str) -> str:
    return f"!!{tag.removeprefix(_CORE)}" if tag.startswith(_CORE) else f"{tag}"


# nodes as values


class _Plain:
    def __init__(self, file: str, lines: dict[Path, int], legacy: bool) -> None:
        self.file = file
        self.lines = lines
        self.legacy = legacy
        self.values = 0
        self.alias: int | None = None

    def value(self, node: Node, path: Path, depth: int) -> Any:
        self.values += 1
        if self.values > MAX_VALUES or depth > MAX_DEPTH:
            line = self.alias or node.line
            raise refuse(self.file, line, "aliases that make it too large", "write it out, without *aliases")
        self.lines.setdefault(path, node.line)
        if node.kind == "alias":
            outermost, self.alias = self.alias, self.alias or node.line
            found = self.value(node.items[0], path, depth + 1)
            self.alias = outermost
            return found
        if node.kind == "text":
            return self.scalar(node)
        if node.kind == "json":
            return self.checked(node.literal, node)
        if node.kind == "list":
            return [self.value(item, (*path, place), depth + 1) for place, item in enumerate(node.items)]
        return self.object(node, path, depth)

    def object(self, node: Node, path: Path, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[Node] = []
        pairs = iter(node.items)
        for key, value in zip(pairs, pairs, strict=True):
            if key.kind == "text" and key.plain and key.text == "<<":
                merged.append(value)
                continue
            name = self.key(key)
            if name in found:
                first = self.lines[(*path, name)]
                raise refuse(
                    self.file,
                    key.line,
                    f"the key `{name}` a second time; first in line {first}",
                    "take one out",
                )
            self.lines[(*path, name)] = key.line
            found[name] = self.value(value, (*path, name), depth + 1)
        for one in merged:
            values = self.value(one, (*path, "<<"), depth + 1)
            for each in values if isinstance(values, list) else [values]:
                if not isinstance(each, dict):
                    raise refuse(self.file, one.line, "<< merges objects only")
                for name, value in each.items():
                    self.lines.setdefault((*path, name), one.line)
                    found.setdefault(name, value)
        return found

    def key(self, node: Node) -> str:
        """A key is the text that stands there: `on` is "on", and `1` is "1"."""
        if node.kind == "json":
            return self.checked(node.literal, node)
        if node.kind != "text":
            raise refuse(self.file, node.line, "a key that is no text", "keys are words")
        self.values += 1
        if self.legacy and node.plain:
            from json import dumps

            value = self.scalar(node)
            return value if isinstance(value, str) else dumps(value)
        return self.checked(node.text, node)

    def scalar(self, node: Node) -> Any:
        text = node.text
        if not node.plain:
            return self.checked(text, node)
        if self.legacy:
            return self.checked(_as_in_yaml_1_1(text), node)
        if text in _WORDS:
            return _WORDS[text]
        if _NO_NUMBER.fullmatch(text):
            raise refuse(self.file, node.line, f"{text} is no number here", "quote it, if it is text")
        return self.number(text, node) if _NUMBER.fullmatch(text) else self.checked(text, node)

    def number(self, text: str, node: Node) -> Any:
        if len(text) > MAX_DIGITS:
            raise refuse(self.file, node.line, "a number of too many digits", "quote it, if it is text")
        whole = text.lstrip("-").isdecimal()
        return self.checked(int(text) if whole else float(text), node)

    def checked(self, value: Any, node: Node) -> Any:
        if isinstance(value, float) and not math.isfinite(value):
            raise refuse(self.file, node.line, "a number that is none", "a number is finite")
        if isinstance(value, str) and not value.isascii():
            try:  # two escapes may be the halves of one character
                return value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                raise refuse(self.file, node.line, "a character that is no Unicode") from None
        return value


def _as_in_yaml_1_1(text: str) -> Any:
    """What a plain word is to a reader of YAML 1.1; dates stay text."""
    import yaml

    resolver = yaml.resolver.Resolver()
    tag = resolver.resolve(yaml.ScalarNode, text, (True, False))
    made = yaml.constructor.SafeConstructor()
    node = yaml.ScalarNode(tag, text)
    by_tag: dict[str, Any] = {
        f"{_CORE}null": made.construct_yaml_null,
        f"{_CORE}bool": made.construct_yaml_bool,
        f"{_CORE}int": made.construct_yaml_int,
        f"{_CORE}float": made.construct_yaml_float,
    }
    try:
        return by_tag[tag](node) if tag in by_tag and len(text) <= MAX_DIGITS else text
    except ValueError:
        return text
