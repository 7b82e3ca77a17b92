"""`spanreel.Playbook`: a playbook as Python code has it. Thin: each method is a call into its module.

Loads nothing heavy when it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from spanreel.replay.playbooks.body import Body

if TYPE_CHECKING:
    from spanreel.replay.playbooks.driver import Repairer
    from spanreel.replay.playbooks.result import PlaybookResult
    from spanreel.replay.playbooks.toolbox import Tools


class Playbook:
    """A named, immutable procedure that can be run."""

    def __init__(self, body: Body) -> None:
        self._body = body

    @classmethod
    def load(cls, what: Body | Mapping[str, Any] | str | os.PathLike[str], store: Any = None) -> Self:
        """A playbook from a body, its document, its file, or by its name in the store."""
        if isinstance(what, Body):
            return cls(what)
        if isinstance(what, Mapping):
            return cls(Body.model_validate(what))
        from importlib import import_module

        resolve = import_module("spanreel.replay.playbooks.target").resolve
        return cls(resolve(os.fspath(what), store))

    @property
    def body(self) -> Body:
        """What it is."""
        return self._body

    @property
    def name(self) -> str:
        """As its author calls it."""
        return self.body.name

    @property
    def hash(self) -> str:
        """Which one it is: the identity of its body."""
        return self.body.hash

    def run(
        self,
        params: Mapping[str, Any] | None = None,
        /,
        *,
        mode: str = "strict",
        tools: Tools | None = None,
        modules: Sequence[Any] = (),
        model: str | Callable[..., Any] | None = None,
        repairers: Sequence[Repairer] = (),
        **named: Any,
    ) -> PlaybookResult:
        """Run it, recorded where recording is on.

        Args:
            params: by name; also as keywords.
            mode: strict, or guided: a state that fails is mended by one of `repairers`, and tried once more.
            tools: functions by name, besides those that are registered with `@spanreel.tool`.
            modules: names of modules that register tools, to be imported.
            model: for model states: ``provider/name``, or a function of prompt, system and schema.
            repairers: of a guided run.
            named: parameters.

        Raises:
            SpanreelError: its tools cannot be found.
            ApprovalPending: it is paused at a gate; `spanreel approve` and `spanreel resume` go on.
        """
        from spanreel.replay.playbooks.entry import Wanted, run_body

        given = {**(params or {}), **named}
        return run_body(self.body, Wanted(given, mode, tools, modules, model, repairers))

    async def arun(
        self,
        params: Mapping[str, Any] | None = None,
        /,
        *,
        mode: str = "strict",
        tools: Tools | None = None,
        modules: Sequence[Any] = (),
        model: str | Callable[..., Any] | None = None,
        repairers: Sequence[Repairer] = (),
        **named: Any,
    ) -> PlaybookResult:
        """`run`, in a running loop."""
        from spanreel.replay.playbooks.entry import Wanted, arun_body

        given = {**(params or {}), **named}
        return await arun_body(self.body, Wanted(given, mode, tools, modules, model, repairers))
