"""LOUD: give a task to the active playbook that fits it, else to the real agent, and record either.

Only an active body is ever run. A playbook that a guard stops before it changed anything leaves the task to the agent;
one that may have changed something does not, for an agent would do it a second time. What speaks for and against each
playbook is told, with the decision, on a span of its own below the run that came of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from spanreel.exceptions import ApprovalPending, Refused, SpanreelError
from spanreel.instrument import invocation, recorder
from spanreel.instrument.guard import guard
from spanreel.replay import entry as entries
from spanreel.replay.playbooks.dispatching import aftermath, choosing
from spanreel.replay.playbooks.dispatching.accounts import avoided_of, span_says, spent
from spanreel.replay.playbooks.dispatching.choosing import Considered, Reason
from spanreel.replay.playbooks.dispatching.dispatched import By, Chosen, Dispatched, Extracted
from spanreel.replay.playbooks.dispatching.extracting import NotExtracted, extract
from spanreel.replay.playbooks.dispatching.fallback import agent_of, arguments, name_of
from spanreel.replay.playbooks.dispatching.surveying import Survey, survey
from spanreel.replay.playbooks.engine.finding import loader
from spanreel.replay.playbooks.entry import Wanted, arun_body, run_body
from spanreel.replay.playbooks.result import PlaybookResult, Saved
from spanreel.replay.playbooks.shadows.beside import Beside
from spanreel.replay.playbooks.shadows.shadow import recorded_to
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    import os

    from spanreel.replay.playbooks.dispatching.surveying import Given
    from spanreel.replay.playbooks.governance.library import Entry

    Store: TypeAlias = "str | os.PathLike[str] | None"

MODES = ("strict", "guided")
_THREADS: list[Beside] = []


def dispatch(
    goal: str,
    inputs: Any = None,
    fallback: Callable[..., Any] | None = None,
    *,
    agent: str | None = None,
    store: Store = None,
    tools: Given = None,
    model: str | Callable[..., Any] | None = None,
    mode: str = "strict",
    dry: bool = False,
) -> Dispatched:
    """Do a task: by the active playbook that fits, else by the agent, whose run is recorded.

    Args:
        goal: what is to be done, in words.
        inputs: of the task: an object by name, or a text; they give the playbook its parameters.
        fallback: the agent. It is called with what its parameters name of `goal`, `inputs` and the inputs' own names.
        agent: the name by which matchers know it; default: the fallback's.
        store: where the playbooks are, and the run is recorded; default: the project's.
        tools: functions by name, or names of modules that register them, besides what is registered.
        model: for model states, and to read parameters out of text: ``provider/name``, or a function.
        mode: strict, or guided.
        dry: only decide.

    Raises:
        SpanreelError: a setting that makes no sense, or the store cannot be read.
        Exception: of the agent, as it raised it.
    """
    work = _Dispatch(_Asked(goal, inputs, fallback, agent, store, tools, model, mode, dry))
    with recorded_to(store) as own:
        plan = work.plan()
        if isinstance(plan, Dispatched):
            return plan
        if isinstance(plan, _Plan):
            try:
                result: PlaybookResult | BaseException = run_body(plan.entry.body, work.wanted(plan))
            except (ApprovalPending, SpanreelError) as error:
                result = error
            ended = work.ended(plan, result)
            if ended is not None:
                return ended
        call = work.call()
        if call is None:
            return work.nobody()
        return work.by_agent(entries.finished(call()), wait=own)


async def adispatch(
    goal: str,
    inputs: Any = None,
    fallback: Callable[..., Any] | None = None,
    *,
    agent: str | None = None,
    store: Store = None,
    tools: Given = None,
    model: str | Callable[..., Any] | None = None,
    mode: str = "strict",
    dry: bool = False,
) -> Dispatched:
    """`dispatch` in a running loop; the agent may be a coroutine function."""
    work = _Dispatch(_Asked(goal, inputs, fallback, agent, store, tools, model, mode, dry))
    with recorded_to(store) as own:
        plan = await asyncio.to_thread(work.plan)
        if isinstance(plan, Dispatched):
            return plan
        if isinstance(plan, _Plan):
            try:
                result: PlaybookResult | BaseException = await arun_body(plan.entry.body, work.wanted(plan))
            except (ApprovalPending, SpanreelError) as error:
                result = error
            ended = work.ended(plan, result)
            if ended is not None:
                return ended
        call = work.call()
        if call is None:
            return work.nobody()
        output = call()
        return work.by_agent(await entries.awaited(output), wait=own)


def wait_for_shadows(timeout_s: float | None = None) -> int:
    """Wait until every shadow that was begun beside an agent is done; how many walks there were."""
    count = 0
    while _THREADS:
        count += len(_THREADS.pop().wait(timeout_s))
    return count


@dataclass(frozen=True, slots=True)
class _Asked:
    goal: str
    inputs: Any
    fallback: Callable[..., Any] | None
    agent: str | None
    store: Store
    tools: Given
    model: str | Callable[..., Any] | None
    mode: str
    dry: bool


@dataclass(frozen=True, slots=True)
class _Plan:
    """Run this body with these parameters."""

    entry: Entry
    params: dict[str, Any]


@dataclass(slots=True)
class _Dispatch:
    """One task: what was found, and what came of it."""

    asked: _Asked
    survey: Survey = field(init=False)
    considered: list[Considered] = field(init=False)
    reason: Reason | None = None
    extracted: Extracted | None = None
    chosen: Chosen | None = None
    result: PlaybookResult | None = None
    roots: list[Any] = field(default_factory=list[Any])

    def __post_init__(self) -> None:
        asked = self.asked
        if asked.mode not in MODES:
            raise SpanreelError(f"there is no mode {asked.mode!r}", f"use one of {', '.join(MODES)}")
        named = asked.agent or (name_of(asked.fallback) if asked.fallback else None)
        self.survey = survey(
            asked.goal,
            asked.inputs,
            store=asked.store,
            tools=asked.tools,
            agent=named,
            model=asked.model is not None,
        )
        self.considered = self.survey.considered

    # deciding

    def plan(self) -> _Plan | Dispatched | None:
        """What to do: run a playbook; None: call the agent. Of a dry dispatch, what would be done."""
        best = self.survey.best()
        if best is None:
            self.reason = self._why_none()
            return self._made("agent" if self.asked.fallback else "nobody") if self.asked.dry else None
        found, entry = best
        self.chosen = Chosen(name=entry.name, hash=entry.hash, version=entry.version)
        if self.asked.dry:
            return self._made("playbook")
        if found.missing:
            try:
                self.extracted = extract(
                    entry.body, found.missing, self.survey.task.text, self.asked.model, self.asked.store
                )
            except NotExtracted as error:
                self.reason, self.chosen = choosing.reason("extract_failed", str(error.args[0])), None
                return None
        return _Plan(entry, {**found.params, **(self.extracted.params if self.extracted else {})})

    def _why_none(self) -> Reason:
        if self.survey.tied:
            first, second = [one for one in self.considered if one.fits][:2]
            return choosing.reason("ambiguous", f"{first.name} and {second.name} fit equally well")
        if not self.considered:
            none = choosing.reason("nothing_fits", "there is no playbook in this store")
            return none.model_copy(update={"next": "spanreel playbook compile RUN --name NAME"})
        meant = [one for one in self.considered if not one.against("goal_mismatch")]
        if not meant:
            return choosing.reason("nothing_fits")
        broken = (one for one in meant if one.status == "needs_repair")
        nearest = next(broken, meant[0])  # one that was trusted says more than one that nobody trusts yet
        named, why = f"{nearest.name}@{nearest.version}", nearest.reasons_against[0]
        return Reason(code=why.code, text=f"{named}: {why.text}", next=_named(why.next, named))

    def wanted(self, plan: _Plan) -> Wanted:
        """What its run is given."""
        given, modules = self.survey.toolbox.given, sorted(self.survey.toolbox.modules)
        asked = self.asked
        return Wanted(
            plan.params, asked.mode, given, modules, asked.model, store=asked.store, load=loader(asked.store)
        )

    # what came of it

    def ended(self, plan: _Plan, result: PlaybookResult | BaseException) -> Dispatched | None:
        """The playbook's run is over; None: the agent may do the task."""
        root = invocation.current_root()
        if isinstance(result, ApprovalPending):
            paused = PlaybookResult(
                status="paused",
                run_id=result.run_id,
                name=plan.entry.name,
                hash=plan.entry.hash,
                mode=self.asked.mode,
                waits_for=result.approval_id,
            )
            self.result = paused
            return self._kept(self._made("playbook", paused.run_id, status="paused"), root)
        if isinstance(result, SpanreelError):
            code = "hook_refused" if isinstance(result, Refused) else "precondition_failed"
            self.reason, self.chosen = choosing.reason(code, str(result.args[0])), None
            return None
        if not isinstance(result, PlaybookResult):
            raise result
        self.result = result
        saved = self._saved(plan.entry, result)
        self.result = result = result.model_copy(update={"saved": saved})
        if result.ok:
            made = self._made("playbook", result.run_id, result.output, "completed", saved)
            return self._kept(made, root)
        failure = result.failure
        said = (
            f"{failure.guard} at {failure.state or 'the start'}: {failure.reason}" if failure else "it failed"
        )
        toolbox = self.survey.toolbox
        wrote = aftermath.may_have_written(
            plan.entry.body, result, lambda name: found.safety if (found := toolbox.find(name)) else None
        )
        if wrote:
            self.reason = choosing.reason("stopped_after_write", said)
            return self._kept(self._made("playbook", result.run_id, None, "failed", saved), root)
        before = failure is not None and failure.guard == "precondition"
        why = choosing.reason("precondition_failed" if before else "stopped_before_write", said)
        self.reason = why.model_copy(update={"next": _named(why.next, plan.entry.name)})
        return None

    def call(self) -> Callable[[], Any] | None:
        """The call of the agent; None: there is none."""
        asked = self.asked
        if asked.fallback is None:
            return None
        agent = agent_of(asked.fallback, asked.goal, self.roots.append)
        args, kwargs = arguments(asked.fallback, asked.goal, asked.inputs)
        return lambda: agent(*args, **kwargs)

    def by_agent(self, output: Any, *, wait: bool) -> Dispatched:
        """The agent has done it. wait: for the shadows, since recording ends with this."""
        root = self.roots[-1] if self.roots else invocation.current_root()
        run_id = root.run_id if root is not None else None
        if (
            run_id and self.reason and self.reason.code == "stopped_before_write"
        ):  # that run shows the new way
            self.reason = self.reason.model_copy(update={"next": f"{self.reason.next} --like {run_id[:12]}"})
        made = self._made("agent", run_id, output, "completed")
        over = root is not None and bool(root.end_ns)  # a step of a run that goes on is no run to walk over
        shadows = self._shadows(run_id) if over else []
        if wait:
            wait_for_shadows()
        return self._kept(made.model_copy(update={"shadows": shadows}), root)

    def nobody(self) -> Dispatched:
        """No playbook may do it, and there is no agent."""
        run_id = self.result.run_id if self.result else None
        made = self._made("nobody", run_id, status="failed" if self.result else None)
        return self._kept(made, invocation.current_root() if self.result else None)

    def _shadows(self, run_id: str | None) -> list[str]:
        """Playbooks in status shadow that would fit are walked over what the agent did, in a thread of their own."""
        bodies = [
            self.survey.entries[one.hash].body
            for one in self.considered
            if one.status == "shadow" and {reason.code for reason in one.reasons_against} <= _SHADOWED
        ]
        if not bodies or run_id is None:
            return []
        with guard("beginning a shadow"):
            beside = Beside()
            _THREADS.append(beside)
            beside.start(bodies, run_id, self.asked.store)
        return [body.name for body in bodies]

    def _saved(self, entry: Entry, result: PlaybookResult) -> Saved | None:
        own = self.extracted
        calls = result.model_calls + (own.model_calls if own else 0)
        if calls == 0:
            used = Saved(model_calls=0, tokens=0, cost="0", seconds=0.0)
        else:
            used = spent(calls, own, result, self.asked.store)
        return aftermath.saved(avoided_of(entry), used)

    def _made(
        self,
        by: By,
        run_id: str | None = None,
        output: Any = None,
        status: Any = None,
        saved: Saved | None = None,
    ) -> Dispatched:
        return Dispatched(
            goal=self.asked.goal,
            by=by,
            dry=self.asked.dry,
            status=status,
            reason=self.reason,
            playbook=self.chosen,
            run_id=run_id,
            output=output,
            result=self.result,
            saved=saved,
            extracted=self.extracted,
            considered=self.considered,
        )

    def _kept(self, made: Dispatched, root: Any) -> Dispatched:
        """The decision as a span below the run that came of it."""
        recording = recorder.current()
        if recording is None or root is None:
            return made
        with guard("recording a dispatch"):
            said = span_says(made)
            span = recording.start("dispatch", names.KIND_INTERNAL, said, context=root.context, outward=False)
            span.run_id = root.run_id
            recording.end(span)
        return made


_SHADOWED = frozenset({"not_active", "gate_failed", "params_missing", "needs_extract_model", "tool_missing"})
"""What does not keep a playbook from being walked in shadow: its parameters are read off the run, its tools are answered."""


def _named(remedy: str | None, name: str) -> str | None:
    return remedy.replace("NAME", name) if remedy else None
