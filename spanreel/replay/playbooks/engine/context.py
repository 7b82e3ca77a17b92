"""What a function that is a state, or a condition, is given: the variables, as a mapping or by the names of its parameters.

Quiet. It calls nothing by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.body import RESERVED

_NAMES: Final = ("ctx", "context", "variables")
"""What a parameter may be called that takes all of the variables."""


class Context(Mapping[str, Any]):
    """The variables of a run, by name. What `set` changes is seen from then on, by the states that follow too.

    Attributes:
        state: the name of the state that runs.
        changed: what was set.
    """

    def __init__(self, state: str, variables: Mapping[str, Any], *, writable: bool = True) -> None:
        self.state = state
        self.changed: dict[str, Any] = {}
        self._variables = dict(variables)
        self._writable = writable

    @property
    def params(self) -> SimpleNamespace:
        """The parameters: ``ctx.params.order_id``."""
        return SimpleNamespace(**self._variables.get("params", {}))

    def set(self, name: str, value: Any) -> None:
        """Set a variable.

        Raises:
            SpanreelError: that is no name for one, or the function is no state that was written in Python.
        """
        if not self._writable:
            raise SpanreelError(f"{name} cannot be set here", "return the value, and name it with save_as")
        if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise SpanreelError(f"{name!r} is no name for a variable", "use letters, digits and _")
        self.changed[name] = self._variables[name] = value

    def __setitem__(self, name: str, value: Any) -> None:
        self.set(name, value)

    def __getitem__(self, name: str) -> Any:
        return self._variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


def called(function: Callable[..., Any], context: Context, *more: Any) -> Any:
    """Call a function with the variables: all of them where it has a parameter for that, else each by its name.

    Args:
        function: such as ``def check(ctx)`` or ``def check(order, order_id)``, parameters of the playbook being found too.
        context: the variables.
        more: further positional arguments, for those that take them.

    Raises:
        SpanreelError: it needs something that nobody has set.
    """
    try:
        wanted = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return function(context, *more)
    known = {**context.get("params", {}), **context}
    if not wanted:
        return function()
    first = wanted[0]
    whole = first.name in _NAMES or (first.name not in known and first.kind is not first.KEYWORD_ONLY and (
        len([one for one in wanted if one.default is one.empty]) == 1
    ) and first.default is first.empty)  # fmt: skip
    if whole and first.kind is not first.VAR_KEYWORD:
        positional = [one for one in wanted if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        return function(context, *more[: max(0, len(positional) - 1)])
    given: dict[str, Any] = {}
    for one in wanted:
        if one.kind is one.VAR_KEYWORD:
            given |= {name: value for name, value in known.items() if name not in given}
        elif one.name in known:
            given[one.name] = known[one.name]
        elif one.default is one.empty and one.kind is not one.VAR_POSITIONAL:
            named = getattr(function, "__name__", "a function")
            raise SpanreelError(
                f"{named} needs {one.name}, which nothing has set", "take `ctx` to see what there is"
            )
    return function(**given)
