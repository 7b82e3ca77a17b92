"""`spanreel.Playbook`: a playbook as Python code has it. Thin: each method is a call into its module.

What a method needs is imported when it is called, so that an agent that only names the class pays for nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, overload

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.engine.authoring import Authored, F, body_of, params_of

if TYPE_CHECKING:
    from collections.abc import Generator

    from spanreel.replay.playbooks.engine.toolbox import Tools
    from spanreel.replay.playbooks.entry import Wanted
    from spanreel.replay.playbooks.governance.promoting import Promoted
    from spanreel.replay.playbooks.governance.provenance import PlaybookWhy
    from spanreel.replay.playbooks.governance.review import Reviewed
    from spanreel.replay.playbooks.governance.shelf import Entry
    from spanreel.replay.playbooks.planning.lint import Lint
    from spanreel.replay.playbooks.planning.simulation import Simulation
    from spanreel.replay.playbooks.repairs.repairing import Repaired
    from spanreel.replay.playbooks.result import PlaybookResult
    from spanreel.replay.playbooks.shadows.shadow import ShadowReport


class Playbook:
    """A named procedure with states and guards that can be run; its body is immutable and named by its hash.

    Written in Python::

        playbook = Playbook("refund", params={"order_id": str})

        @playbook.state
        def look(ctx):
            ctx["order"] = get_order(ctx.params.order_id)
            return "pay" if ctx["order"]["status"] == "delivered" else None

        @playbook.state(pre=[{"json": "order.status", "equals": "delivered"}])
        def pay(order):
            refund(order["id"])

    Args:
        name: letters, digits, - and _.
        params: by name: a type (`str`, ``"integer"``), or what a playbook file says of one.
        store: where it is kept, and its runs are recorded; default: the project's.
        keys: any other key of a playbook file: `goal`, `budget`, `risk`, `success`, `output`, `max_steps`, …
    """

    def __init__(
        self, name: str, params: Mapping[str, Any] | None = None, *, store: Any = None, **keys: Any
    ) -> None:
        initial: str | None = keys.pop("initial", None)
        said = {**keys, "params": params_of(params)}
        self._authored: Authored | None = Authored(name, said, initial=initial)
        self._fixed: Body | None = None
        self._store = store

    @classmethod
    def of(cls, body: Body, store: Any = None) -> Self:
        """A playbook of a body."""
        made = cls.__new__(cls)
        made._authored, made._fixed, made._store = None, body, store
        return made

    @classmethod
    def load(cls, what: Any, store: Any = None) -> Playbook:
        """A playbook that there is.

        Args:
            what: a body or its document; the path of a file; a name in the store, such as ``exchange-item@active``.
            store: default: the project's.

        Raises:
            SpanreelError: there is none of that name, or the file is none.
        """
        if isinstance(what, Playbook):
            return what
        if isinstance(what, Body):
            return cls.of(what, store)
        if isinstance(what, Mapping):
            made = body_of(what)
            from spanreel.replay.playbooks.formats.checking import check

            for problem in check(made):
                if problem.level == "error":
                    place = ".".join(map(str, problem.path)) or "playbook"
                    raise BadInput(f"{made.name}: {place}: {problem.message}", problem.remedy)
            return cls.of(made, store)
        from spanreel.replay.playbooks.formats.target import resolve

        found = resolve(os.fspath(what), store)
        return found if isinstance(found, Playbook) else cls.of(found, store)

    @classmethod
    def from_text(cls, text: str, file: str = "playbook.yaml", store: Any = None) -> Playbook:
        """A playbook out of the text of its file, which is looked at whole before anything of it is used.

        Raises:
            BadInput: it is none; names the line.
        """
        from spanreel.replay.playbooks.formats.file import body_of

        return cls.of(body_of(text, file), store)

    @classmethod
    def compile(cls, runs: Sequence[Any], name: str, *, store: Any = None, **options: Any) -> Playbook:
        """A playbook out of recorded runs.

        Args:
            runs: names of runs, or `Replay`s.
            name: what it is called.
            store: where the runs are; default: the project's.
            options: see `compiling.compile_runs`.

        Raises:
            NotCompilable: the runs do not agree on a procedure; says in what.
        """
        from spanreel.replay.load import load

        replays = [
            load(os.fspath(one), store=store) if isinstance(one, (str, os.PathLike)) else one for one in runs
        ]
        from spanreel.replay.playbooks.compiling import compile_runs

        found = compile_runs(replays, name, **options)
        made = cls.of(found.body, store)
        made.report = found.report
        return made

    report: Any = None
    """What the compiler said of it; None where it was not compiled here."""

    # what it is

    @property
    def body(self) -> Body:
        """What it is, as a value.

        Raises:
            SpanreelError: it is being written, and is no playbook yet.
        """
        if self._fixed is not None:
            return self._fixed
        assert self._authored is not None
        return self._authored.body()

    @property
    def name(self) -> str:
        """As its author calls it."""
        return self._authored.name if self._authored else self.body.name

    def _repr_html_(self) -> str:
        from spanreel.replay.report.graph import of_playbook
        from spanreel.replay.report.svg import svg

        return svg(of_playbook(self.body))

    @property
    def hash(self) -> str:
        """Which one it is: ``sha256:…`` of its body, its code included where it is written in Python."""
        return self.body.hash

    def __repr__(self) -> str:
        return f"Playbook({self.name!r})"

    # writing it

    @overload
    def state(self, function: F, /) -> F: ...
    @overload
    def state(
        self, /, *, name: str | None = None, initial: bool = False, **keys: Any
    ) -> Callable[[F], F]: ...
    def state(
        self, function: Any = None, /, *, name: str | None = None, initial: bool = False, **keys: Any
    ) -> Any:
        """Mark a function, sync or async, as a state. It returns the name of the next one; None: see `next`, else the end.

        It takes the variables as `ctx` (``ctx["order"]``, ``ctx.params.order_id``, ``ctx["total"] = 5``), or by the names
        of its parameters. What it sets can be seen by the states that follow.

        Args:
            function: the state.
            name: default: the function's name.
            initial: whether it is the first; default: the one that was written first.
            keys: of a state in a playbook file: `pre`, `post`, `retry`, `next`, `on_failure`, `max_visits`, …

        Raises:
            SpanreelError: there is a state of that name.
        """
        authored = self._writing()
        if function is not None:
            return authored.function(function, name, keys, initial=initial)
        return lambda one: authored.function(one, name, keys, initial=initial)

    def add(self, name: str, *, initial: bool = False, **keys: Any) -> Self:
        """A state that is no function: ``playbook.add("get", tool="get_order", args={…}, save_as="order", next="pay")``."""
        self._writing().add(name, keys, initial=initial)
        return self

    def before_state(self, function: F) -> F:
        """Mark a function that is called when a state begins, with its context and name; once for each visit."""
        self._writing().before = function
        return function

    def after_state(self, function: F) -> F:
        """Mark a function that is called when a state is over, with its context, name and the name of the next one."""
        self._writing().after = function
        return function

    def _writing(self) -> Authored:
        if self._authored is None:
            raise TypeError(f"{self.name} is not written here: its body is what it is")
        return self._authored

    # doing something with it

    def run(self, params: Mapping[str, Any] | None = None, /, **given: Any) -> PlaybookResult:
        """Run it, recorded where recording is on.

        Args:
            params: by name; also as keywords.
            given: parameters, and these: mode (strict, or guided: a state that fails is mended by one of `repairers`, and
                tried once more); tools (functions by name, besides those that are registered with `@spanreel.tool`);
                modules (names of modules that register tools, to be imported); model (for model states,
                ``provider/name``, or a function of prompt, system and schema); repairers; task (free text that missing
                parameters are read out of).

        Raises:
            SpanreelError: its tools cannot be found.
            ContractChanged: its code in Python is not what it says.
            ApprovalPending: it is paused at a gate; `spanreel approve` and `spanreel resume` go on.
        """
        from spanreel.replay.playbooks.entry import run_body

        with self._recording():
            return run_body(self.body, self._wanted(params, given))

    async def arun(self, params: Mapping[str, Any] | None = None, /, **given: Any) -> PlaybookResult:
        """`run`, in a running loop."""
        from spanreel.replay.playbooks.entry import arun_body

        with self._recording():
            return await arun_body(self.body, self._wanted(params, given))

    # looking after it

    def lint(self, *, modules: Sequence[Any] = ()) -> Lint:
        """What could be better about it, and what mends each point; modules: that register tools, to be imported."""
        report = self.report.model_dump(mode="json") if self.report is not None else None
        from spanreel.replay.playbooks.governance.rehearsal import linted

        return linted(self.body, modules=modules, report=report)

    def simulate(
        self, params: Mapping[str, Any] | None = None, /, *, run: str | None = None, modules: Sequence[Any] = (), model: str | None = None, **named: Any
    ) -> Simulation:  # fmt: skip
        """Plan a run of it on paper: nothing is called; `run`: a recorded run whose results are used, by identity."""
        from spanreel.replay.playbooks.governance.rehearsal import simulated

        given = {**(params or {}), **named}
        return simulated(self.body, given, run=run, modules=modules, model=model, store=self._store)

    def repair(self, **wanted: Any) -> Repaired:
        """Propose the smallest repair, which waits for a review; this body stays what it is.

        Args:
            wanted: run, like, patch, using, params, modules, model, actor, reason: see `repairing.Wanted`.

        Raises:
            UnknownPlaybook: it is not in the store.
            NotRepairable: nobody knows what would make it fit.
        """
        from spanreel.replay.playbooks.repairs import repairing

        return repairing.repair(self.hash, repairing.Wanted(**wanted), self._store)

    def review(self, **said: Any) -> Reviewed:
        """Approve or reject it, where it waits for a review; final.

        Args:
            said: approve, reason, actor, validate, promote, params, over: see `review.Verdict`.

        Raises:
            NotDecidable: it waits for no review.
            Refused: what is recorded speaks against it.
        """
        from spanreel.replay.playbooks.governance.review import Verdict, review

        return review(self.hash, Verdict(**said), self._store)

    def keep(self, *, actor: Any = None, reason: str | None = None) -> Entry:
        """Keep it in the store, as a candidate; a body that is there already stays what it is.

        Args:
            actor: who: a name or an object.
            reason: in words.
        """
        from spanreel.replay.playbooks.governance.library import Library

        report = self.report.model_dump(mode="json") if self.report is not None else None
        return Library(self._store).add(self.body, actor=actor, reason=reason, report=report)

    def promote(self, to: str = "active", **said: Any) -> Promoted:
        """Promote it, if the evidence passes its gates; the one that it replaces is retired.

        Args:
            to: active or shadow.
            said: force, reason, actor, gates, hook, runs: see `promoting.promote`.

        Raises:
            UnknownPlaybook: it is not in the store, see `keep`.
            Refused: a gate or a hook said no; says which, and by how much.
        """
        from spanreel.replay.playbooks.governance.promoting import promote

        return promote(self.hash, to, store=self._store, **said)

    def why(self, state: str | None = None) -> PlaybookWhy:
        """Where it, or one of its states, comes from, and who decided what about it.

        Raises:
            UnknownPlaybook: it is not in the store, or has no such state.
        """
        from spanreel.replay.playbooks.governance.why import why

        return why(self.hash, state, self._store)

    def shadow(self, runs: Any, params: Mapping[str, Any] | None = None, **given: Any) -> ShadowReport:
        """Walk it in the shadow of recorded runs: what it would have done, against what the agent did.

        Args:
            runs: a run's name or a `Replay`, or several.
            params: by name; default: what each run's input says, then what the run shows.
            given: reads, writes, include_sources, see `shadow.shadow_over`.

        Raises:
            UnknownRun, AmbiguousRun, StoreError: there is no such run, or the store cannot be read.
        """
        from spanreel.replay.playbooks.shadows.shadow import shadow_over
        from spanreel.replay.timeline import Replay

        named = [runs] if isinstance(runs, (str, Replay)) else runs
        functions = self._authored.functions if self._authored else None
        return shadow_over(self.body, named, params, store=self._store, functions=functions, **given)

    def _wanted(self, params: Mapping[str, Any] | None, given: dict[str, Any]) -> Wanted:
        from spanreel.replay.playbooks.engine.finding import loader
        from spanreel.replay.playbooks.entry import Wanted

        options = {
            name: given.pop(name) for name in _OPTIONS if name in given and name not in self.body.params
        }
        tools: Tools = {
            **(self._authored.functions if self._authored else {}),
            **(options.pop("tools", None) or {}),
        }
        hooks = {"before": self._authored.before, "after": self._authored.after} if self._authored else {}
        return Wanted(
            {**(params or {}), **given},
            tools=tools,
            load=loader(self._store),
            store=self._store,
            **hooks,
            **options,
        )

    @contextmanager
    def _recording(self) -> Generator[None]:
        """Recorded in the store that was named, if one was."""
        if self._store is None:
            yield
            return
        from spanreel.instrument import activate, recorder

        if recorder.current() is not None:
            yield
            return
        recording = activate.instrument(store=self._store)
        try:
            yield
        finally:
            recording.uninstrument()


_OPTIONS = ("mode", "tools", "modules", "model", "repairers", "task", "facts", "alias")
