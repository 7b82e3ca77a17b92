"""Walking a playbook: from state to state, every guard in its order, asking the world for each effect.

Quiet: a generator that yields `asks` and is sent the answers. What it does not yield does not happen. The order of
guards at a state: preconditions, safety class and approval, tool registered, budget, the call, expected output,
postconditions. A guard that cannot tell says no. What fails is tried again only as the state's `retry` says.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias, cast

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Failure, Guard, Spent, Stopped, ToolFacts, Walked
from spanreel.replay.playbooks.binding import Unbound, bind
from spanreel.replay.playbooks.body import END, Body, Llm, State
from spanreel.replay.playbooks.conditions import (
    COMBINED,
    MISSING,
    Judgement,
    combined,
    is_probe,
    judge,
    schema_problem,
)
from spanreel.replay.playbooks.expected import as_expected

Walking: TypeAlias = Generator[Any, Any, Any]
STRICTNESS: Final = ("read", "write", "irreversible")
DEPTH: Final = 10


def jsonable(result: Any) -> Any:
    """A tool's result as bindings see it: a text that is a JSON object or list is that object or list."""
    if isinstance(result, str) and result.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(result)
        except (ValueError, RecursionError):
            return result
    return result


def walk(
    body: Body, params: Mapping[str, Any], *, guided: bool = False, depth: int = 0
) -> Generator[asks.AnyAsk, Any, Walked]:
    """Walk a playbook.

    Args:
        body: what to walk; it has been checked.
        params: by name.
        guided: where a state fails, `Mend` is asked for it, and what mends it is tried once. A precondition that does
            not hold stops nevertheless.
        depth: of the playbooks inside playbooks.

    Raises:
        Stopped: by a guard; what compensates for states that went through has been done.
    """
    walked = _Walk(body, guided, depth)
    yield from walked.given(params)
    return (yield from walked.to_the_end())


class _Walk:
    def __init__(self, body: Body, guided: bool, depth: int) -> None:
        self.body = body
        self.guided = guided
        self.depth = depth
        self.variables: dict[str, Any] = {"params": {}}
        self.visits = Counter[str]()
        self.visited: list[str] = []
        self.approved = False
        self.undo: list[tuple[str, Any, dict[str, Any]]] = []
        self.models = self.tools = 0
        self.last: Any = None
        self.mended: dict[str, State] = {}

    def given(self, params: Mapping[str, Any]) -> Walking:
        """Take the parameters, each as its declaration says."""
        declared = self.body.params
        unknown = [name for name in params if name not in declared]
        if unknown:
            known = ", ".join(declared) or "none"
            self.stop("params", "", f"there is no parameter {unknown[0]}; there are {known}")
        for name, param in declared.items():
            if name not in params:
                if param.default is None and param.required:
                    self.stop("params", "", f"parameter {name} is missing")
                self.variables["params"][name] = param.default
                continue
            if problem := schema_problem(params[name], param.json_schema()):
                self.stop("params", "", f"parameter {name}: {problem}")
            self.variables["params"][name] = params[name]
        return
        yield

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
        return Walked(output, self.variables, tuple(self.visited), self.models, self.tools, self.mended)

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
        yield asks.Enter(name, self.visits[name])
        failure: Failure | None = None
        follows: str | None = None
        before = dict(self.variables)
        try:
            follows = yield from self.done(name, state)
        except Stopped as stopped:
            failure = stopped.failure
            if state.on_failure is None or failure.guard in ("budget", "max_steps"):
                yield asks.Leave(name, None, failure)
                raise
            follows = state.on_failure
            self.variables["failure"] = {"state": name, "guard": failure.guard, "reason": failure.reason}
        saved = {key: value for key, value in self.variables.items() if before.get(key, MISSING) is not value}
        yield asks.Leave(name, follows, failure, saved)
        return follows

    def done(self, name: str, state: State) -> Walking:
        try:
            return (yield from self.action(name, state))
        except Stopped as stopped:
            if not self.guided or stopped.failure.guard in ("precondition", "approval", "budget", "params"):
                raise
            other = yield asks.Mend(self.body, stopped.failure, self.variables)
            if other is None:
                raise
        found = yield from self.action(name, other)
        self.mended[name] = other
        return found

    def action(self, name: str, state: State) -> Walking:
        for condition in state.pre:
            judged = yield from self.holds(condition, name, self.variables)
            if not judged:
                self.stop("precondition", name, judged.why)
        if state.branch is not None:
            return (yield from self.branch(name, state))
        if state.approval is not None:
            return (yield from self.gate(name, state))
        for condition in state.assert_ or ():
            judged = yield from self.holds(condition, name, self.variables)
            if not judged:
                self.stop("assert", name, judged.why)
        for variable, value in (state.set or {}).items():
            self.variables[variable] = self.bound(value, name)
        result: Any = None
        if state.tool or state.llm or state.python or state.playbook:
            result = yield from self.repeated(name, state)
            self.last = result
            if state.save_as is not None:
                self.variables[state.save_as] = result
        if state.python and state.next is None and isinstance(result, str) and result in self.body.states:
            return result
        return state.next

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
            for item in items:  # a comprehension cannot ask
                results.append((yield from self.tried(name, state, {**self.variables, repeat.as_: item})))  # noqa: PERF401
            return results
        for turn in range(repeat.max):
            if turn and repeat.wait_seconds:
                yield asks.Wait(repeat.wait_seconds)
            results.append((yield from self.tried(name, state, self.variables)))
            if state.save_as is not None:  # the next turn may begin where this one ended
                self.variables[state.save_as] = results[-1]
            judged = yield from self.all_hold(repeat.until or (), name, self.variables, results[-1])
            if judged:
                return results if repeat.collect else results[-1]
        self.stop("repeat", name, f"after {repeat.max} times: {judged.why}")  # pyright: ignore[reportPossiblyUnboundVariable] - max is at least 1

    def tried(self, name: str, state: State, variables: Mapping[str, Any]) -> Walking:
        """The action, as often as its retry policy says."""
        for attempt in range(1, state.retry.max_attempts + 1):
            try:
                return (yield from self.attempted(name, state, variables, attempt))
            except Stopped as stopped:
                again = stopped.failure.guard in ("call", "expect", "postcondition")
                if not again or attempt == state.retry.max_attempts:
                    raise
                yield asks.Again(name, attempt + 1, state.retry.max_attempts, stopped.failure)
            if state.retry.backoff_seconds:
                yield asks.Wait(state.retry.backoff_seconds)
        raise AssertionError

    def attempted(self, name: str, state: State, variables: Mapping[str, Any], attempt: int) -> Walking:
        if state.tool is not None:
            result = yield from self.call(name, state, variables, attempt)
        elif state.llm is not None:
            result = yield from self.ask(name, state.llm, variables, attempt)
        elif state.python is not None:
            result = yield from self.thrown(name, asks.RunPython(name, state.python, dict(variables)))
        else:
            result = yield from self.sub(name, state, variables)
        result = jsonable(result)
        expected = as_expected(state.expect, result, variables)
        if not expected:
            self.stop("expect", name, expected.why)
        judged = yield from self.all_hold(state.post, name, variables, result)
        if not judged:
            self.stop("postcondition", name, judged.why)
        if state.compensate is not None:
            self.undo.append((name, state.compensate, {**variables, "result": result}))
        return result

    # effects

    def call(self, name: str, state: State, variables: Mapping[str, Any], attempt: int) -> Walking:
        assert state.tool is not None
        known: ToolFacts | None = yield asks.Known(state.tool)
        safety = _strictest(state.safety, known)
        args = self.bound(state.args, name, variables)
        for condition in known.pre if known else ():
            judged = yield from self.holds(condition, name, {**variables, "args": args}, of_tool=args)
            if not judged:
                self.stop("precondition", name, f"of tool {state.tool}: {judged.why}")
        yield from self.allowed(name, state.tool, safety, args)
        if known is None:
            self.stop("tool", name, f"no tool {state.tool} is registered")
        yield from self.within_budget(name, tools=1)
        self.tools += 1
        result = yield from self.thrown(name, asks.Call(name, state.tool, args, safety, attempt))
        for condition in known.post:
            judged = yield from self.holds(condition, name, variables, jsonable(result), of_tool=result)
            if not judged:
                self.stop("postcondition", name, f"of tool {state.tool}: {judged.why}")
        return result

    def allowed(self, name: str, tool: str, safety: str, args: Mapping[str, Any]) -> Walking:
        """A gate before what may not be undone, as the playbook's risk asks; an approval just passed counts for it."""
        risk = self.body.risk
        needed = safety != "read" and (risk == "high" or (safety == "irreversible" and risk != "low"))
        if not needed:
            return
        if not self.approved:
            gate = f"{self.body.name}.{name}"
            decision = yield asks.Gate(name, gate, f"{tool}, which is {safety}", {"tool": tool, "args": args})
            if not decision:
                self.stop("approval", name, f"{tool} was rejected{_because(decision)}")
        self.approved = False

    def ask(self, name: str, llm: Llm, variables: Mapping[str, Any], attempt: int) -> Walking:
        prompt = cast("str", self.bound(llm.prompt, name, variables))
        system = self.bound(llm.system, name, variables)
        yield from self.within_budget(name, models=1)
        self.models += 1
        asked = asks.Ask(name, str(prompt), system, llm.schema_, llm.model, llm.parameters, attempt)
        answer = yield from self.thrown(name, asked)
        if llm.schema_ is not None and (problem := schema_problem(answer, llm.schema_)):
            self.stop("expect", name, f"the model's answer does not fit: {problem}")
        return answer

    def sub(self, name: str, state: State, variables: Mapping[str, Any]) -> Walking:
        assert state.playbook is not None
        if self.depth >= DEPTH:
            self.stop("playbook", name, f"playbooks are nested deeper than {DEPTH}")
        body = yield from self.thrown(name, asks.Load(state.playbook.name, state.playbook.hash), "playbook")
        params = self.bound(state.playbook.params, name, variables)
        try:
            walked = yield from walk(body, params, guided=self.guided, depth=self.depth + 1)
        except Stopped as stopped:
            self.stop("playbook", name, f"{body.name}: {stopped}")
        self.models += walked.model_calls
        self.tools += walked.tool_calls
        return walked.output

    def gate(self, name: str, state: State) -> Walking:
        approval = state.approval
        assert approval is not None
        summary, details = self.bound([approval.summary, approval.details], name)
        decision = yield asks.Gate(name, approval.id, summary, details)
        self.approved = bool(decision)
        if state.save_as is not None:
            self.variables[state.save_as] = {"approved": bool(decision), "reason": decision.reason}
        if decision:
            return state.on_approve or state.next
        if state.on_reject is None:
            self.stop("approval", name, f"{approval.id} was rejected{_because(decision)}")
        return state.on_reject

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
            name, undoing, variables = self.undo.pop()
            try:
                args = self.bound(undoing.args, name, variables)
                known = yield asks.Known(undoing.tool)
                if known is None:
                    self.stop("tool", name, f"no tool {undoing.tool} is registered")
                yield from self.thrown(
                    name, asks.Call(name, undoing.tool, args, known.safety, 1, "compensation")
                )
            except Stopped as error:
                failed.append(str(error))
        if failed:
            first = stopped.failure
            why = f"{first.guard}: {first.reason}; and could not be undone: {'; '.join(failed)}"
            raise Stopped(Failure("compensation", first.state, why, first.error)) from stopped

    # guards

    def all_hold(
        self, conditions: Sequence[Any], name: str, variables: Mapping[str, Any], result: Any = MISSING
    ) -> Walking:
        for condition in conditions:
            judged = yield from self.holds(condition, name, variables, result)
            if not judged:
                return judged
        return Judgement(True, "all of it holds")

    def holds(
        self,
        condition: Any,
        name: str,
        variables: Mapping[str, Any],
        result: Any = MISSING,
        *,
        of_tool: Any = None,
    ) -> Walking:
        if callable(condition):  # of a tool's author
            found = yield from self.thrown(name, asks.RunPython(name, condition, dict(variables), of_tool))
            return Judgement(bool(found), f"{getattr(condition, '__name__', 'a condition')} says no")
        if not isinstance(condition, Mapping):
            return Judgement(None, f"{condition!r} is no condition")
        how = next((word for word in COMBINED if word in condition), None)
        if how is not None and _asks_surroundings(condition):
            parts: Any = [condition[how]] if how == "not" else condition[how]
            judged: list[Judgement] = []
            for part in parts:
                judged.append((yield from self.holds(part, name, variables, result)))  # noqa: PERF401
            return combined(how, judged)
        if is_probe(condition):
            try:
                bound = bind(condition, variables)
            except Unbound as error:
                return Judgement(None, str(error))
            given = None if result is MISSING else result
            return (yield asks.Probe(name, bound, dict(variables), given))
        return judge(condition, variables, result)

    def within_budget(self, name: str, models: int = 0, tools: int = 0) -> Walking:
        limits = self.body.budget
        if limits.max_calls is not None and self.models + models > limits.max_calls:
            self.stop("budget", name, f"it may make {limits.max_calls} model calls")
        if limits.max_tool_calls is not None and self.tools + tools > limits.max_tool_calls:
            self.stop("budget", name, f"it may make {limits.max_tool_calls} tool calls")
        if limits.max_cost is None and limits.max_seconds is None:
            return
        spent: Spent = yield asks.SpentSoFar()
        if limits.max_seconds is not None and spent.seconds >= limits.max_seconds:
            self.stop("budget", name, f"it may take {limits.max_seconds:g} s")
        if limits.max_cost is not None and models and (spent.cost is None or spent.cost >= limits.max_cost):
            known = (
                "nobody knows what it cost so far" if spent.cost is None else f"it cost {spent.cost:g} so far"
            )
            self.stop("budget", name, f"{known}, and may cost {limits.max_cost:g}")

    def bound(self, value: Any, name: str, variables: Mapping[str, Any] | None = None) -> Any:
        try:
            return bind(value, self.variables if variables is None else variables)
        except Unbound as error:
            self.stop("binding", name, str(error))

    def thrown(self, name: str, asked: Any, guard: Guard = "call") -> Walking:
        """An effect; the exception that it ends with is a failure of the state."""
        try:
            return (yield asked)
        except Stopped:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            raise Stopped(Failure(guard, name, said, error)) from error

    def stop(self, guard: Guard, name: str, reason: str) -> NoReturn:
        raise Stopped(Failure(guard, name, reason))


def _strictest(said: str | None, known: ToolFacts | None) -> str:
    """The stricter of what the state and the tool's author say; a tool that nobody declared is `write`."""
    words = [word for word in (said, known.safety if known else None) if word]
    return max(words, key=STRICTNESS.index, default="write")


def _because(decision: Any) -> str:
    return f": {decision.reason}" if getattr(decision, "reason", None) else ""


def _asks_surroundings(condition: Mapping[str, Any]) -> bool:
    parts = [
        part
        for word in COMBINED
        if word in condition
        for part in ([condition[word]] if word == "not" else condition[word])
    ]
    return any(isinstance(part, Mapping) and (is_probe(part) or _asks_surroundings(part)) for part in parts)
