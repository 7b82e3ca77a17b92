"""Long JSON texts in pieces: what a history of messages is made of, so that nobody puts it together who only reads it.

A request repeats the whole conversation: the texts of a long run are quadratic in its calls, their elements are not.
`Pieced` attributes look like any others; whoever knows of pieces asks `held`. Values only: where they come from is for
whoever made them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from spanreel.wire.spans import Value


@dataclass(frozen=True, slots=True)
class Fill:
    """The elements of a list, each the text of one JSON value, and where in the frame they stand."""

    offset: int
    elements: list[str]
    separator: str = ","


@dataclass(slots=True)
class Pieces:
    """A text: `frame` with the elements of its lists put in.

    Attributes:
        frame: the text without the elements of those lists.
        fills: in order of offset; their elements must not be changed.
        joined: the whole text, once somebody has asked for it.
    """

    frame: str
    fills: tuple[Fill, ...]
    joined: str | None = field(default=None, compare=False)

    def text(self) -> str:
        """The whole text; put together when it is first asked for."""
        if self.joined is None:
            parts: list[str] = []
            position = 0
            for fill in self.fills:
                parts += (self.frame[position : fill.offset], fill.separator.join(fill.elements))
                position = fill.offset
            self.joined = "".join((*parts, self.frame[position:]))
        return self.joined


Held: TypeAlias = "Value | Pieces"


class Pieced(Mapping[str, Value]):
    """Attributes, some of them in pieces.

    Args:
        held: by name; it is kept, not copied.
    """

    __slots__ = ("_held",)

    def __init__(self, held: dict[str, Any]) -> None:
        self._held = held

    def __getitem__(self, name: str) -> Value:
        value = self._held[name]
        return value.text() if type(value) is Pieces else value

    def get(self, key: str, default: Any = None) -> Any:
        """The value, or the default where there is none."""
        value = self._held.get(key, default)
        return value.text() if type(value) is Pieces else value

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def __repr__(self) -> str:
        return repr(dict(self))

    def held(self, name: str) -> Held:
        """The value as it is held; None where there is none."""
        return self._held.get(name)


def held(attributes: Mapping[str, Any], name: str) -> Any:
    """The value of an attribute, in pieces (`Pieces`) if it is held so; None where there is none."""
    return attributes.held(name) if type(attributes) is Pieced else attributes.get(name)
