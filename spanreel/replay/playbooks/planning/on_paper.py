"""One state of a playbook on paper: what would happen there, out of what is known without doing anything.

Quiet. It is the walk of `walk`, whose asks are answered by `Paper`; what depends on what nobody knows yet goes on as
unknown instead of stopping. Which states there are to look at is for `simulate`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Spent, Stopped, ToolFacts, Walked
from spanreel.replay.playbooks.binding import Unbound, bindings
from spanreel.replay.playbooks.body import END, Body, Llm, State
from spanreel.replay.playbooks.conditions import COMBINED, MISSING, Judgement, combined
from spanreel.replay.playbooks.expected import as_expected
from spanreel.replay.playbooks.guarding import Guarding, Walking, strictest
from spanreel.replay.playbooks.planning.paper import Notes, Paper, Place
from spanreel.replay.playbooks.planning.simulation import Checked, PlannedState
from spanreel.replay.playbooks.planning.unknown import (
    Unknown,
    bound,
    depends,
    path_unknown,
    plain,
    unknown_in,
)
from spanreel.replay.playbooks.walk import DEPTH, _Walk, jsonable


class OnPaper(_Walk):
    """The walk, state by state, in which what is unknown goes on instead of stopping."""

    def __init__(self, body: Body, paper: Paper, within: Guarding | None = None) -> None:
        super().__init__(body, False, within)
        self.paper = paper
        self.missing: list[str] = []
        self.notes = Notes()

    def plan(self, place: Place) -> tuple[PlannedState, list[Place]]:
        """What would happen at a state, and where it would lead."""
        self.notes = notes = Notes()
        self.variables = dict(place.variables)
        self.approved, self.models, self.tools, self.last = (
            place.approved,
            place.models,
            place.tools,
            place.last,
        )
        self.visits[place.state] += 1
        state = self.body.states.get(place.state) or State()
        follows: str | None = None
        try:
            if state.max_visits is not None and self.visits[place.state] > state.max_visits:
                self.stop("max_visits", place.state, f"it may be entered {state.max_visits} times")
            if sum(self.visits.values()) > self.body.max_steps:
                self.stop("max_steps", place.state, f"after {self.body.max_steps} states the run is not over")
            follows = self._driven(self.action(place.state, state))
            goes_on = True
        except Stopped as stopped:
            failure = stopped.failure
            notes.blocked.append(f"{failure.guard}: {failure.reason}")
            goes_on = failure.guard == "tool"  # all tools that are missing are told at once
            follows = state.next
            if state.save_as:
                self.variables[state.save_as] = Unknown(f"result of {place.state}")
        ways = notes.ways if notes.ways is not None else [follows or END] if goes_on else []
        conditional = place.conditional or len(ways) > 1
        here = Place(
            place.state, self.variables, conditional, self.approved, self.models, self.tools, self.last
        )
        return self._planned(place, state, ways), [replace(here, state=way) for way in dict.fromkeys(ways)]

    def _planned(self, place: Place, state: State, ways: Sequence[str]) -> PlannedState:
        notes = self.notes
        return PlannedState(
            state=place.state,
            action=state.action,
            tool=state.tool,
            safety=notes.safety,
            readiness=notes.readiness,
            reasons=list(dict.fromkeys((*notes.blocked, *notes.unknown))),
            conditional=place.conditional,
            args=plain(notes.args) if state.tool else None,
            answered=notes.answered,
            approval=notes.approval,
            asks_model=notes.asks_model,
            model=notes.model,
            cost=notes.cost,
            guards=notes.guards,
            leads_to=list(ways),
        )

    def over(self, ends: Sequence[Place]) -> list[str]:  # pyright: ignore[reportIncompatibleMethodOverride] - on paper there may be several ends
        """What of the success criteria does not hold at an end that is reached for sure."""
        problems: list[str] = []
        for place in ends:
            if place.conditional:
                continue
            output = self.output(place)
            said = {**place.variables, "result": output}
            self.notes = Notes()
            for condition in self.body.success:
                judged = self._driven(self.holds(condition, "", said))
                if judged.holds is False:
                    problems.append(f"success: {judged.why}")
        return problems

    def output(self, place: Place) -> Any:
        """What it would come to."""
        try:
            return place.last if self.body.output is None else bound(self.body.output, place.variables)
        except Unbound as error:
            return Unknown(str(error))

    def _driven(self, walking: Walking) -> Any:
        """Answer what a walk asks out of what is known; nothing is done."""
        answer: Any = None
        error: Exception | None = None
        while True:
            try:
                asked = walking.throw(error) if error else walking.send(answer)
            except StopIteration as done:
                return done.value
            answer = error = None
            try:
                answer = self._answer(asked)
            except Exception as raised:  # noqa: BLE001 - the walk decides what a failure means
                error = raised

    def _answer(self, asked: Any) -> Any:
        match asked:
            case asks.Known():
                found = self.paper.tools(asked.tool)
                if found is None and asked.tool not in self.missing:
                    self.missing.append(asked.tool)
                return found
            case asks.Call():
                return self._result(asked)
            case asks.Ask():
                return self._model(asked)
            case asks.Gate():
                self.notes.approval = asked.id
                return _Assumed()
            case asks.RunPython():
                self._unknown(f"code of {asked.function} is run when it comes to it")
                return Unknown(f"result of {asked.function}")
            case asks.Probe():
                return self.paper.probe(asked)
            case asks.SpentSoFar():
                return Spent()
            case asks.Load():
                if self.paper.load is None:
                    raise LookupError(f"playbook {asked.name} is not known here")
                return self.paper.load(asked.name, asked.hash)
            case _:
                return None

    def _result(self, asked: asks.Call) -> Any:
        self.notes.args, self.notes.safety = asked.args, asked.safety
        if missing := unknown_in(asked.args):
            self._unknown(f"its arguments depend on the {missing.why}")
            return Unknown(f"result of {asked.state}")
        found = self.paper.answers(asked.tool, asked.args)
        if found is None:
            return Unknown(f"result of {asked.state}")
        self.notes.answered = True
        return found[0]

    def _model(self, asked: asks.Ask) -> Any:
        notes = self.notes
        notes.asks_model, notes.model = True, asked.model
        if asked.model is None and not self.paper.model:
            self.notes.blocked.append("model: it asks a model, and none is named")
        if missing := unknown_in([asked.prompt, asked.system]):
            self._unknown(f"its prompt depends on the {missing.why}")
        notes.cost = self.paper.cost(asked)
        return Unknown(f"answer of {asked.state}")

    def _unknown(self, why: str) -> None:
        if why not in self.notes.unknown:
            self.notes.unknown.append(why)

    # what the walk does with values

    def bound(self, value: Any, name: str, variables: Mapping[str, Any] | None = None) -> Any:
        try:
            return bound(value, self.variables if variables is None else variables)
        except Unbound as error:
            self.stop("binding", name, str(error))

    def call(self, name: str, state: State, variables: Mapping[str, Any], attempt: int) -> Walking:
        tool = state.tool or ""
        args = self.notes.args = self.bound(state.args, name, variables)
        known: ToolFacts | None = yield asks.Known(tool)
        safety = self.notes.safety = strictest(state.safety, known)
        if known is not None:
            yield from self.of_tool(name, tool, known, "pre", {**variables, "args": args})
        if attempt == 1:
            yield from self.allowed(name, tool, safety, args)
        if known is None:
            self.stop("tool", name, f"no tool {tool} is registered")
        yield from self.within_budget(name, tools=1)
        self.spend(tools=1)
        result = yield asks.Call(name, tool, args, safety, attempt)
        yield from self.of_tool(name, tool, known, "post", {**variables, "args": args}, jsonable(result))
        return result

    def of_tool(
        self, name: str, tool: str, known: ToolFacts, of: Literal["pre", "post"], variables: Mapping[str, Any], result: Any = MISSING
    ) -> Walking:  # fmt: skip
        """Code of a tool's author is not run on paper: whether it says no is unknown."""
        conditions = known.pre if of == "pre" else known.post
        coded = [one for one in conditions if callable(one)]
        if coded and of == "pre":
            self._unknown(f"a condition of {tool}'s author is asked when it runs")
        if of == "pre" or not unknown_in(result):
            said = tuple(one for one in conditions if not callable(one))
            bare = ToolFacts(known.name, known.safety, said, said)
            yield from super().of_tool(name, tool, bare, of, variables, result)

    def ask(self, name: str, llm: Llm, variables: Mapping[str, Any], attempt: int) -> Walking:
        self.approved = False
        prompt, system = self.bound([llm.prompt, llm.system], name, variables)
        yield from self.within_budget(name, models=1)
        self.spend(models=1)
        return (yield asks.Ask(name, prompt, system, llm.schema_, *self.body.asking(llm), attempt))

    def gate(self, name: str, state: State) -> Walking:
        approval = state.approval
        assert approval is not None
        self.bound([approval.summary, approval.details], name)
        yield asks.Gate(name, approval.id, None, None)
        self.approved = True
        said = {"approved": True, "reason": "assumed on paper"}
        if state.save_as is not None:
            self.variables[state.save_as] = said
        return state.on_approve or state.next, said

    def repeated(self, name: str, state: State) -> Walking:
        repeat = state.repeat
        if repeat is not None and repeat.for_each is not None:
            items = self.bound(repeat.for_each, name)
            if missing := unknown_in(items):
                self._unknown(f"how often it is done depends on the {missing.why}")
                each = {**self.variables, repeat.as_: Unknown(f"item of {repeat.for_each}")}
                return [(yield from self.attempted(name, state, each, 1))]
        return (yield from super().repeated(name, state))

    def judged(self, name: str, state: State, variables: Mapping[str, Any], result: Any) -> Walking:
        said = (
            state.expect.model_dump(mode="json", by_alias=True, exclude_none=True) if state.expect else None
        )
        if not unknown_in(result):
            if state.expect is not None and result is not MISSING:
                expected = as_expected(state.expect, result, variables)
                self.notes.guards.append(
                    Checked(guard="expect", asks=said, holds=expected.holds, why=expected.why)
                )
            yield from super().judged(name, state, variables, result)
            return
        why = f"the result of {name} is known when it has run"
        if said is not None:
            self.notes.guards.append(Checked(guard="expect", asks=said, why=why))
        self.notes.guards += [
            Checked(guard="postcondition", asks=_said(condition), why=why) for condition in state.post
        ]

    def sub(self, name: str, state: State, variables: Mapping[str, Any]) -> Walking:
        inner = state.playbook
        assert inner is not None
        if self.depth >= DEPTH:
            self.stop("playbook", name, f"playbooks are nested deeper than {DEPTH}")
        body = yield from self.thrown(name, asks.Load(inner.name, inner.hash), "playbook")
        params = self.bound(inner.params, name, variables)
        if missing := unknown_in(params):
            self._unknown(f"the parameters of {inner.name} depend on the {missing.why}")
            return Walked(Unknown(f"result of {name}"), {}, ())
        from spanreel.replay.playbooks.planning.simulate import simulate

        found = simulate(body, params, self.paper, within=self)
        said = [f"{inner.name}: {reason}" for reason in found.reasons]
        self.missing += [tool for tool in found.missing_tools if tool not in self.missing]
        if found.readiness == "blocked":
            self.stop("playbook", name, "; ".join(said))
        self.notes.unknown += said
        output = Unknown(f"result of {name}") if _unsure(found.output) else found.output
        return Walked(output, {}, (), found.model_calls, found.tool_calls)

    def branch(self, name: str, state: State) -> Walking:
        branch = state.branch
        assert branch is not None
        missing: Any = None
        if isinstance(branch.cases, dict):
            missing = unknown_in(self.bound(branch.on, name))
        else:
            for case in branch.cases:
                for condition in case.when:
                    missing = missing or self._depends(condition, self.variables, MISSING)
        if missing:
            self._unknown(f"which way it goes depends on the {missing.why}")
            self.notes.ways = list(dict.fromkeys(branch.targets()))
            return None
        return (yield from super().branch(name, state))

    def holds(
        self,
        condition: Any,
        name: str,
        variables: Mapping[str, Any],
        result: Any = MISSING,
    ) -> Walking:
        guard = "success" if not name else "precondition" if result is MISSING else "postcondition"
        how = next((word for word in COMBINED if isinstance(condition, Mapping) and word in condition), None)
        if how is not None:
            parts: Any = [condition[how]] if how == "not" else condition[how]
            each: list[Judgement] = []
            for part in parts:
                found = yield from self._judged(part, name, variables, result)
                each.append(found)
            judged = combined(how, each)
        else:
            judged = yield from self._judged(condition, name, variables, result)
        self.notes.guards.append(
            Checked(guard=guard, asks=_said(condition), holds=judged.holds, why=judged.why)
        )
        if judged.holds is None:
            if guard == "precondition":
                self._unknown(f"{guard}: {judged.why}")
            return Judgement(True, judged.why)
        return judged

    def _judged(self, condition: Any, name: str, variables: Mapping[str, Any], result: Any) -> Walking:
        missing = self._depends(condition, variables, result)
        if missing is not None:
            return Judgement(None, f"it depends on the {missing.why}")
        return (yield from super().holds(condition, name, variables, result))

    def _depends(self, condition: Any, variables: Mapping[str, Any], result: Any) -> Unknown | None:
        """What a condition depends on that is unknown, if anything."""
        if not isinstance(condition, Mapping):
            return None
        for word in COMBINED:
            if word in condition:
                parts: Any = [condition[word]] if word == "not" else condition[word]
                return next((one for part in parts if (one := self._depends(part, variables, result))), None)
        paths = [condition["var"]] if "var" in condition else []
        if "json" in condition and result is MISSING:
            paths.append(condition["json"])
        for path in paths:
            if isinstance(path, str) and (found := path_unknown(path, variables)):
                return found
        try:
            return next((one for each in bindings(condition) if (one := depends(each, variables))), None)
        except Unbound:
            return None


class _Assumed:
    """A decision that is taken for granted on paper."""

    approved = True
    reason = "assumed on paper"

    def __bool__(self) -> bool:
        return True


def _unsure(value: Any) -> bool:
    """Whether an output says of a part of it that it is unknown."""
    if isinstance(value, Mapping):
        return list(value) == ["unknown"] or any(_unsure(item) for item in value.values())
    return isinstance(value, list) and any(_unsure(item) for item in value)


def _said(condition: Any) -> Any:
    return json.loads(json.dumps(condition, default=str))
