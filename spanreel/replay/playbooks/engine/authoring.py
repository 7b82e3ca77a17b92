"""Playbooks that are written in Python: functions that are states, each naming the one that follows.

Quiet but for the functions that it is given to keep. The body that comes out says each function's place and contract, so
that its hash covers the code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.body import Body, Param
from spanreel.replay.playbooks.engine.pinning import contract_of

F = TypeVar("F", bound=Callable[..., Any])
_TYPES: Mapping[Any, str] = {
    str: "string", int: "integer", float: "number", bool: "boolean", list: "array", dict: "object",
}  # fmt: skip


@dataclass(slots=True)
class Authored:
    """A playbook in the making.

    Attributes:
        said: what its author says of it, by the keys of a body.
        states: documents by name, in the order in which they were written.
        functions: those that are states, by ``module:name``.
    """

    name: str
    said: dict[str, Any] = field(default_factory=dict[str, Any])
    states: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict[str, Callable[..., Any]])
    initial: str | None = None
    before: Callable[..., Any] | None = None
    after: Callable[..., Any] | None = None
    _body: Body | None = None

    def add(self, name: str, said: Mapping[str, Any], *, initial: bool) -> None:
        """A state more.

        Raises:
            SpanreelError: there is one of that name, or a first one already.
        """
        if name in self.states:
            raise SpanreelError(f"{self.name} has a state {name} already", "give one of them another name=")
        if initial and self.initial is not None:
            raise SpanreelError(f"{self.name} begins at {self.initial} already", f"take initial= off {name}")
        self.initial = name if initial else self.initial
        self.states[name] = {key: value for key, value in said.items() if value is not None}
        self._body = None

    def function(self, function: F, name: str | None, said: Mapping[str, Any], *, initial: bool) -> F:
        """A function that is a state."""
        place = f"{function.__module__}:{function.__qualname__}"
        code = contract_of(function)
        if code is None:
            raise SpanreelError(f"{function!r} is no function in Python", "wrap it in one")
        self.add(name or function.__name__, {"python": place, "code": code, **said}, initial=initial)
        self.functions[place] = function
        return function

    def body(self) -> Body:
        """What it is, as it stands.

        Raises:
            SpanreelError: it has no state, or a key that is none.
        """
        if self._body is None:
            if not self.states:
                raise SpanreelError(f"playbook {self.name} has no state", "write one: @playbook.state")
            initial = self.initial or next(iter(self.states))
            document = {
                "name": self.name, "origin": "handwritten", **self.said, "initial": initial, "states": self.states,
            }  # fmt: skip
            self._body = body_of(document)
        return self._body


def body_of(document: Mapping[str, Any]) -> Body:
    """The body of a document.

    Raises:
        SpanreelError: it is none; names the first key that is wrong.
    """
    try:
        return Body.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(one) for one in first["loc"])
        named = document.get("name", "without a name")
        raise SpanreelError(
            f"playbook {named}: {place}: {first['msg']}", "see the keys: spanreel schema playbook"
        ) from None


def params_of(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Parameters as a body has them: a type such as `str` stands for a parameter of that type."""
    found: dict[str, Any] = {}
    for name, said in (given or {}).items():
        if isinstance(said, Param):
            found[name] = said
        elif isinstance(said, Mapping):
            found[name] = dict(said)
        elif said in _TYPES:
            found[name] = {"type": _TYPES[said]}
        elif isinstance(said, str):
            found[name] = {"type": said}
        else:
            raise SpanreelError(
                f"parameter {name}: {said!r} is no type", "such as str, or {'type': 'integer', 'minimum': 1}"
            )
    return found
