"""Walking a playbook: from state to state, every guard in its order, asking the world for each effect.

Quiet: a generator that yields `asks` and is sent the answers. What it does not yield does not happen. The order of
guards at a state: preconditions, safety class and approval, tool registered, budget, the call, expected output,
postconditions. A guard that cannot tell says no. What fails is tried again only as the state's `retry` says.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from typing import Any, Final, cast

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Failure, Misfit, Ran, Stopped, ToolFacts, Undoing, Walked
from spanreel.replay.playbooks.binding import Unbound, bind
from spanreel.replay.playbooks.body import END, RESERVED, Body, Llm, State
from spanreel.replay.playbooks.conditions import MISSING, schema_problem
from spanreel.replay.playbooks.expected import as_expected
from spanreel.replay.playbooks.guarding import Guarding, Walking, as_text, because, strictest, told
from spanreel.wire.content import canonical_json

DEPTH: Final = 10
NOT_MENDED: Final = ("precondition", "approval", "budget", "params", "playbook")
"""Guards that also stop a guided run: what they say no to is not the state's to mend, or has happened in part."""


def jsonable(result: Any) -> Any:
    """A tool's result as bindings see it: a text that is a JSON object or list is that object or list."""
    if type(result) is str and result.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(result)
        except (ValueError, RecursionError):
            return result
    return result


def walk(
    body: Body,
    params: Mapping[str, Any],
    *,
    guided: bool = False,
    task: str | None = None,
    within: Guarding | None = None,
) -> Generator[asks.AnyAsk, Any, Walked]:
    """Walk a playbook.

    Args:
        body: what to walk; it has been checked.
        params: by name.
        guided: where a state fails, `Mend` is asked for it, and what mends it is tried once. A precondition that does
            not hold stops nevertheless, and nothing that has been done is done again.
        task: free text that parameters which are not given are read out of, by the body's `extract`.
        within: the walk that this playbook is a state of.

    Raises:
        Stopped: by a guard; what compensates for states that went through has been done.
    """
    walked = _Walk(body, guided, within)
    yield from walked.given(params, task)
    return (yield from walked.to_the_end())


class _Walk(Guarding):
    def __init__(self, body: Body, guided: bool, within: Guarding | None) -> None:
        super().__init__(body, guided, within)
        self.happened: list[tuple[str, str, Any]] = []
        self.mending = False

    def to_the_end(self) -> Walking:
        name: str | None = self.body.initial
        try:
            while name is not None and name != END:
                name = yield from self.state(name)
            return (yield from self.over())
        except Stopped as stopped:
            yield from self.compensate(stopped)
            raise

    def over(self) -> Walking:
        try:
            output = self.last if self.body.output is None else bind(self.body.output, self.variables)
        except Unbound as error:
            self.stop("output", "", str(error))
        said = {**self.variables, "result": output}
        for condition in self.body.success:
            judged = yield from self.holds(condition, "", said)
            if not judged:
                self.stop("success", "", judged.why)
        return Walked(
            output,
            self.variables,
            tuple(self.visited),
            self.models,
            self.tools,
            self.mended,
            tuple(self.undo),
        )

    # one state

    def state(self, name: str) -> Walking:
        """Do one state; gives the next one."""
        state = self.body.states.get(name)
        if state is None:
            self.stop("branch", name, "there is no such state")
        self.visits[name] += 1
        self.visited.append(name)
        if len(self.visited) > self.body.max_steps:
            self.stop("max_steps", name, f"after {self.body.max_steps} states the run is not over")
        if state.max_visits is not None and self.visits[name] > state.max_visits:
            self.stop("max_visits", name, f"it may be entered {state.max_visits} times")
        yield asks.Enter(name, self.visits[name], dict(self.variables))
        failure: Failure | None = None
        before = dict(self.variables)
        try:
            follows = yield from self.done(name, state)
        except Stopped as stopped:
            failure = stopped.failure
            if state.on_failure is None or failure.guard == "budget":
                yield asks.Leave(name, None, failure, {}, dict(self.variables))
                raise
            follows = state.on_failure
            self.approved = False
            self.variables["failure"] = {"state": name, "guard": failure.guard, "reason": failure.reason}
        saved = {key: value for key, value in self.variables.items() if before.get(key, MISSING) is not value}
        yield asks.Leave(name, follows, failure, saved, dict(self.variables))
        return follows

    def done(self, name: str, state: State) -> Walking:
        self.happened, self.mending, self.unsure = [], False, False
        try:
            return (yield from self.action(name, state))
        except Stopped as stopped:
            if not self.guided or stopped.failure.guard in NOT_MENDED or state.python is not None:
                raise
            other = yield asks.Mend(self.body, stopped.failure, self.variables)
            if other is None:
                raise
        self.mending = True
        found = yield from self.action(name, other)
        self.mended[name] = other
        return found

    def action(self, name: str, state: State) -> Walking:
        judged = yield from self.all_hold(state.pre, name, self.variables)
        if not judged:
            self.stop("precondition", name, judged.why)
        calls = bool(state.tool or state.llm or state.python or state.playbook)
        if not calls and state.repeat is not None:
            self.stop("repeat", name, "there is no call to repeat")
        if calls:
            return (yield from self.called(name, state))
        result: Any = MISSING
        if state.branch is not None:
            follows = yield from self.branch(name, state)
        elif state.approval is not None:
            follows, result = yield from self.gate(name, state)
        else:
            follows = state.next
            judged = yield from self.all_hold(state.assert_ or (), name, self.variables)
            if not judged:
                self.stop("assert", name, judged.why)
            for variable, value in (state.set or {}).items():
                self.variables[variable] = self.bound(value, name)
        yield from self.judged(name, state, self.variables, result)
        return follows

    def called(self, name: str, state: State) -> Walking:
        """A state that calls something, as often as it says; gives the next state."""
        result = yield from self.repeated(name, state)
        follows = state.next
        if isinstance(result, Ran):  # written in Python
            follows = self.following(name, state, result.next)
            result = dict(result.set)
        elif state.python and follows is None and isinstance(result, str) and result in self.body.states:
            follows = self.following(name, state, result)
        self.last = result
        if state.save_as is not None:
            self.variables[state.save_as] = result
        return follows

    def following(self, name: str, state: State, returned: Any) -> str | None:
        """What a function that is a state said comes next."""
        if returned is None:
            return state.next
        if returned != END and returned not in self.body.states:
            self.stop("branch", name, f"it returned {returned!r}, which is no state of {self.body.name}")
        declared = [edge.to for edge in self.body.edges if edge.from_ == name]
        if self.body.edges and returned not in declared:
            known = ", ".join(declared) or "none"
            self.stop("branch", name, f"it returned {returned}, and the edges from here are {known}")
        return returned

    def repeated(self, name: str, state: State) -> Walking:
        repeat = state.repeat
        if repeat is None:
            return (yield from self.tried(name, state, self.variables))
        results: list[Any] = []
        if repeat.for_each is not None:
            items = self.bound(repeat.for_each, name)
            if not isinstance(items, (list, tuple)):
                self.stop("repeat", name, f"{repeat.for_each} is no list")
            if len(items) > repeat.max:
                self.stop("repeat", name, f"{len(items)} items, and at most {repeat.max} are allowed")
            for place, item in enumerate(items):
                if place:
                    yield from self.pause(name, repeat.wait_seconds)
                results.append((yield from self.tried(name, state, {**self.variables, repeat.as_: item})))
            return results
        why = ""
        for turn in range(repeat.max):
            if turn:
                yield from self.pause(name, repeat.wait_seconds)
            doing = state if turn or repeat.first is None else state.model_copy(update={"args": repeat.first})
            results.append((yield from self.tried(name, doing, self.variables)))
            if state.save_as is not None:  # the next turn may begin where this one ended
                self.variables[state.save_as] = results[-1]
            judged = yield from self.all_hold(repeat.until or (), name, self.variables, results[-1])
            if judged:
                return results if repeat.collect else results[-1]
            why = judged.why
        self.stop("repeat", name, f"after {repeat.max} times: {why}")

    def tried(self, name: str, state: State, variables: Mapping[str, Any]) -> Walking:
        """The action, as often as its retry policy says."""
        most = state.retry.max_attempts
        for attempt in range(1, most + 1):
            try:
                return (yield from self.attempted(name, state, variables, attempt))
            except Stopped as stopped:
                again = stopped.failure.guard in ("call", "expect", "postcondition")
                if not again or attempt == most:
                    raise
                yield asks.Again(name, attempt + 1, most, stopped.failure)
            yield from self.pause(name, state.retry.backoff_seconds)
        raise AssertionError

    def attempted(self, name: str, state: State, variables: Mapping[str, Any], attempt: int) -> Walking:
        if state.tool is not None:
            result = jsonable((yield from self.call(name, state, variables, attempt)))
        elif state.llm is not None:
            result = jsonable((yield from self.ask(name, state.llm, variables, attempt)))
        elif state.python is not None:
            result = jsonable((yield from self.function(name, state, variables)))
        else:
            walked = yield from self.sub(name, state, variables)
            result = walked.output
            if state.compensate is None:  # also if it is not what was expected
                self.undo.extend(walked.undo)
        said = dict(result.set) if isinstance(result, Ran) else result
        yield from self.judged(name, state, variables, said)
        return result

    def judged(self, name: str, state: State, variables: Mapping[str, Any], result: Any) -> Walking:
        """What a state came to, by what it expects; then it has gone through, and can be undone."""
        if state.expect is not None:
            if result is MISSING:
                self.stop("expect", name, "there is no result to expect something of")
            expected = as_expected(state.expect, result, variables)
            if not expected:
                self.stop("expect", name, expected.why)
        judged = yield from self.all_hold(state.post, name, variables, result)
        if not judged:
            self.stop("postcondition", name, judged.why)
        if state.compensate is not None:
            known = None if result is MISSING else result
            self.undo.append(Undoing(name, state.compensate, {**variables, "result": known}))

    # effects

    def call(self, name: str, state: State, variables: Mapping[str, Any], attempt: int) -> Walking:
        assert state.tool is not None
        known: ToolFacts | None = yield asks.Known(state.tool)
        safety = strictest(state.safety, known)
        args = self.bound(state.args, name, variables)
        if known is not None:
            yield from self.of_tool(name, state.tool, known, "pre", {**variables, "args": args})
        if self.mending and safety != "read" and (self.happened or self.unsure):
            return self.not_again(name, state.tool, args)
        if attempt == 1:
            yield from self.allowed(name, state.tool, safety, args)
        if known is None:
            self.stop("tool", name, f"no tool {state.tool} is registered")
        yield from self.within_budget(name, tools=1)
        self.spend(tools=1)
        result = yield from self.made(asks.Call(name, state.tool, args, safety, attempt), known)
        if safety != "read":
            self.happened.append((state.tool, canonical_json(args), result))
        yield from self.of_tool(
            name, state.tool, known, "post", {**variables, "args": args}, jsonable(result)
        )
        return result

    def not_again(self, name: str, tool: str, args: Any) -> Any:
        """What a call has given already, before its state was mended."""
        if not self.happened:
            self.stop("call", name, f"{tool} is not tried in another form: a write failed that may be done")
        done, said, result = self.happened.pop(0)
        if (done, said) != (tool, canonical_json(args)):
            self.stop("expect", name, f"{done} has been done, so that it is not tried in another form")
        return result

    def ask(self, name: str, llm: Llm, variables: Mapping[str, Any], attempt: int) -> Walking:
        self.approved = False
        prompt = as_text(self.bound(llm.prompt, name, variables))
        system = as_text(self.bound(llm.system, name, variables))
        yield from self.within_budget(name, models=1)
        self.spend(models=1)
        asked = asks.Ask(name, prompt, system, llm.schema_, *self.body.asking(llm), attempt)
        try:
            answer = yield asked
        except Misfit as error:
            raise Stopped(Failure("expect", name, str(error), error)) from error
        except Exception as error:
            raise Stopped(Failure("call", name, told(error), error)) from error
        if llm.schema_ is not None and (problem := schema_problem(answer, llm.schema_)):
            self.stop("expect", name, f"the model's answer does not fit: {problem}")
        return answer

    def function(self, name: str, state: State, variables: Mapping[str, Any]) -> Walking:
        self.approved = False
        yield from self.within_budget(name)
        asked = asks.RunPython(name, state.python, dict(variables), written=state.code is not None)
        result = yield from self.thrown(name, asked)
        if isinstance(result, Ran):
            for variable, value in result.set.items():
                if variable in RESERVED:
                    self.stop("call", name, f"it sets {variable}, which is no name for a variable")
                self.variables[variable] = value
        return result

    def sub(self, name: str, state: State, variables: Mapping[str, Any]) -> Walking:
        assert state.playbook is not None
        self.approved = False
        if self.depth >= DEPTH:
            self.stop("playbook", name, f"playbooks are nested deeper than {DEPTH}")
        loaded = yield from self.thrown(name, asks.Load(state.playbook.name, state.playbook.hash), "playbook")
        params = self.bound(state.playbook.params, name, variables)
        try:
            return (yield from walk(cast("Body", loaded), params, guided=self.guided, within=self))
        except Stopped as stopped:
            self.stop("playbook", name, f"{loaded.name}: {stopped}")

    def gate(self, name: str, state: State) -> Walking:
        approval = state.approval
        assert approval is not None
        summary, details = self.bound([approval.summary, approval.details], name)
        decision = yield from self.thrown(
            name, asks.Gate(name, approval.id, as_text(summary), details), "approval"
        )
        self.approved = bool(decision)
        said = {"approved": bool(decision), "reason": decision.reason}
        if state.save_as is not None:
            self.variables[state.save_as] = said
        if decision:
            return state.on_approve or state.next, said
        if state.on_reject is None:
            self.stop("approval", name, f"{approval.id} was rejected{because(decision)}")
        return state.on_reject, said

    def branch(self, name: str, state: State) -> Walking:
        branch = state.branch
        assert branch is not None
        if isinstance(branch.cases, dict):
            value = self.bound(branch.on, name)
            text = value if isinstance(value, str) else json.dumps(value)
            found = branch.cases.get(text, branch.default)
            if found is None:
                self.stop("branch", name, f"{branch.on} is {text}, for which there is no case")
            return found
        for case in branch.cases:
            judged = yield from self.all_hold(case.when, name, self.variables)
            if judged.holds is None:
                self.stop("branch", name, judged.why)
            if judged:
                return case.next
        if branch.default is None:
            self.stop("branch", name, "no case fits")
        return branch.default

    def compensate(self, stopped: Stopped) -> Walking:
        """Undo what went through, newest first; each is tried, and what could not be undone is said."""
        failed: list[str] = []
        while self.undo:
            undoing = self.undo.pop()
            name, tool = undoing.state, undoing.compensation.tool
            try:
                args = self.bound(undoing.compensation.args, name, undoing.variables)
                known = yield asks.Known(tool)
                if known is None:
                    self.stop("tool", name, f"no tool {tool} is registered")
                self.spend(tools=1)
                yield from self.thrown(name, asks.Call(name, tool, args, known.safety, 1, "compensation"))
            except Stopped as error:
                failed.append(str(error))
        if failed:
            first = stopped.failure
            why = f"{first.guard}: {first.reason}; and could not be undone: {'; '.join(failed)}"
            raise Stopped(Failure("compensation", first.state, why, first.error)) from stopped
