"""What a walk has to have said yes before it goes on: conditions, gates, the budget, bindings that have a value.

Quiet: like `walk`, whose guards these are, it yields `asks` and is sent the answers. A guard that cannot tell says no,
and so does one that fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final, Literal, NoReturn, TypeAlias

from spanreel.exceptions import Refused
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Failure, Guard, Spent, Stopped, ToolFacts, Undoing
from spanreel.replay.playbooks.binding import Unbound, bind
from spanreel.replay.playbooks.body import Body, Param, State
from spanreel.replay.playbooks.conditions import (
    COMBINED,
    MISSING,
    Judgement,
    combined,
    is_probe,
    judge,
    schema_problem,
)
from spanreel.replay.playbooks.patterns import NoPattern, whole

Walking: TypeAlias = Generator[Any, Any, Any]
STRICTNESS: Final = ("read", "write", "irreversible")
RISKS: Final = ("low", "medium", "high")
TASK: Final = "task"
"""The variable that holds a task that is free text, for `extract`."""


class Guarding:
    """A walk under way: what it knows, what it has spent, and who says no.

    Args:
        body: what is walked.
        guided: see `walk`.
        within: the walk of the playbook that this one is a state of: its budget and its risk hold here too.
    """

    def __init__(self, body: Body, guided: bool, within: Guarding | None = None) -> None:
        self.body = body
        self.guided = guided
        self.within = within
        self.depth: int = 0 if within is None else within.depth + 1
        self.risk: str = max(body.risk, within.risk if within else "low", key=RISKS.index)
        self.variables: dict[str, Any] = {"params": {}}
        self.visits = Counter[str]()
        self.visited: list[str] = []
        self.approved = False
        self.undo: list[Undoing] = []
        self.models = self.tools = 0
        self.last: Any = None
        self.mended: dict[str, State] = {}
        self.unsure = False
        """Whether a call of the state under way failed that writes, and may have done so."""

    # parameters

    def given(self, params: Mapping[str, Any], task: str | None) -> Walking:
        """Take the parameters, each as its declaration says; those that are missing out of the task's text."""
        declared = self.body.params
        unknown = [name for name in params if name not in declared]
        if unknown:
            known = ", ".join(declared) or "none"
            self.stop("params", "", f"there is no parameter {unknown[0]}; there are {known}")
        missing = {
            name: param
            for name, param in declared.items()
            if name not in params and param.default is None and param.required
        }
        taken = dict(params)
        if missing and task is not None:
            taken |= yield from self.extracted(missing, task)
        for name, param in declared.items():
            if name not in taken and param.default is None:
                if param.required:
                    self.stop("params", "", f"parameter {name} is missing")
                self.variables["params"][name] = None
                continue
            value = taken.get(name, param.default)
            if problem := param_problem(param, value):
                self.stop("params", "", f"parameter {name}: {problem}")
            self.variables["params"][name] = value

    def extracted(self, missing: Mapping[str, Param], task: str) -> Walking:
        """Parameters read out of free text by a model: one counted call."""
        extract = self.body.extract
        if extract is None:
            self.stop(
                "params", "", f"parameter {next(iter(missing))} is missing, and there is no `extract` to read it out of a text"
            )  # fmt: skip
        schema = {
            "type": "object",
            "properties": {name: param.json_schema() for name, param in missing.items()},
            "required": list(missing),
            "additionalProperties": False,
        }
        variables = {TASK: task, "params": {}}
        prompt = self.bound(
            extract.prompt or f"What of it is asked for, in this task?\n\n{{{{ {TASK} }}}}", "", variables
        )
        system = self.bound(extract.system, "", variables)
        yield from self.within_budget("", models=1)
        self.spend(models=1)
        asked = asks.Ask("", as_text(prompt), as_text(system), schema, *self.body.asking(extract))
        found = yield from self.thrown("", asked)
        if problem := schema_problem(found, schema):
            self.stop("params", "", f"they cannot be read out of the text: {problem}")
        return found

    # conditions

    def all_hold(
        self, conditions: Sequence[Any], name: str, variables: Mapping[str, Any], result: Any = MISSING
    ) -> Walking:
        """The judgement of the first condition that does not hold."""
        for condition in conditions:
            judged = yield from self.holds(condition, name, variables, result)
            if not judged:
                return judged
        return Judgement(True, "all of it holds")

    def holds(
        self, condition: Any, name: str, variables: Mapping[str, Any], result: Any = MISSING
    ) -> Walking:
        """Whether a condition holds; `result` is what `json` paths start at, default: the variables."""
        if not isinstance(condition, Mapping):
            return Judgement(None, f"{condition!r} is no condition")
        how = next((word for word in COMBINED if word in condition), None)
        if how is not None and _asks_surroundings(condition):
            judged: list[Judgement] = []
            for part in _parts(how, condition):
                judged.append((yield from self.holds(part, name, variables, result)))  # noqa: PERF401
            return combined(how, judged)
        if is_probe(condition):
            try:
                bound = bind(condition, variables)
            except Unbound as error:
                return Judgement(None, str(error))
            given = None if result is MISSING else result
            if "judge" in bound:
                yield from self.within_budget(name, models=1)
                self.spend(models=1)
            try:
                return (yield asks.Probe(name, bound, dict(variables), given))
            except Exception as error:  # noqa: BLE001 - a probe that fails could not tell
                return Judgement(None, told(error))
        try:
            return judge(condition, variables, result)
        except Exception as error:  # noqa: BLE001 - what cannot be judged does not hold
            return Judgement(None, f"{condition} cannot be judged: {told(error)}")

    def of_tool(
        self, name: str, tool: str, known: ToolFacts, of: Literal["pre", "post"], variables: Mapping[str, Any], result: Any = MISSING
    ) -> Walking:  # fmt: skip
        """The conditions that the tool's author set: `pre`, of the variables and `args`; `post`, of the result."""
        for condition in known.pre if of == "pre" else known.post:
            if callable(condition):
                about = variables["args"] if of == "pre" else result
                asked = asks.RunPython(name, condition, variables, about, of)
                try:
                    found = yield asked
                except Exception as error:  # noqa: BLE001 - a guard that fails says no
                    judged = Judgement(None, told(error))
                else:
                    judged = Judgement(
                        bool(found), f"{getattr(condition, '__name__', 'its condition')} says no"
                    )
            else:
                judged = yield from self.holds(condition, name, variables, result)
            if not judged:
                self.stop(
                    "precondition" if of == "pre" else "postcondition", name, f"of tool {tool}: {judged.why}"
                )

    # gates and budget

    def allowed(self, name: str, tool: str, safety: str, args: Mapping[str, Any]) -> Walking:
        """A gate before what may not be undone, as the risk asks; an approval just passed counts for it."""
        needed = safety != "read" and (
            self.risk == "high" or (safety == "irreversible" and self.risk != "low")
        )
        if needed and not self.approved:
            gate = f"{self.body.name}.{name}"
            decision = yield from self.thrown(
                name,
                asks.Gate(name, gate, f"{tool}, which is {safety}", {"tool": tool, "args": args}),
                "approval",
            )
            if not decision:
                self.stop("approval", name, f"{tool} was rejected{because(decision)}")
        self.approved = False

    def within_budget(self, name: str, models: int = 0, tools: int = 0) -> Walking:
        """Before a call: of this playbook, and of those that it is inside of."""
        walk: Guarding | None = self
        while walk is not None:
            yield from self._affords(name, walk, models, tools)
            walk = walk.within

    def _affords(self, name: str, walk: Guarding, models: int, tools: int) -> Walking:
        limits = walk.body.budget
        if models and limits.max_calls is not None and walk.models + models > limits.max_calls:
            self.stop("budget", name, f"{walk.body.name} may make {limits.max_calls} model calls")
        if tools and limits.max_tool_calls is not None and walk.tools + tools > limits.max_tool_calls:
            self.stop("budget", name, f"{walk.body.name} may make {limits.max_tool_calls} tool calls")
        if limits.max_cost is None and limits.max_seconds is None:
            return
        spent: Spent = yield asks.SpentSoFar()
        if limits.max_seconds is not None and spent.seconds >= limits.max_seconds:
            self.stop("budget", name, f"{walk.body.name} may take {limits.max_seconds:g} s")
        if limits.max_cost is not None and models and (spent.cost is None or spent.cost >= limits.max_cost):
            known = (
                "nobody knows what it cost so far" if spent.cost is None else f"it cost {spent.cost:g} so far"
            )
            self.stop("budget", name, f"{known}, and {walk.body.name} may cost {limits.max_cost:g}")

    def spend(self, models: int = 0, tools: int = 0) -> None:
        """Count calls, for all whose budget they are of."""
        walk: Guarding | None = self
        while walk is not None:
            walk.models += models
            walk.tools += tools
            walk = walk.within

    def pause(self, name: str, seconds: float) -> Walking:
        """Let time pass, unless it would be more than there is."""
        walk: Guarding | None = self
        while seconds and walk is not None:
            limit = walk.body.budget.max_seconds
            if limit is not None:
                spent: Spent = yield asks.SpentSoFar()
                if spent.seconds + seconds >= limit:
                    self.stop(
                        "budget", name, f"{walk.body.name} may take {limit:g} s, and would wait {seconds:g} s"
                    )
            walk = walk.within
        if seconds:
            yield asks.Wait(seconds)

    # what stops

    def bound(self, value: Any, name: str, variables: Mapping[str, Any] | None = None) -> Any:
        """A value with its bindings replaced."""
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
        except Refused as error:
            raise Stopped(Failure("approval", name, str(error), error)) from error
        except Exception as error:
            raise Stopped(Failure(guard, name, told(error), error)) from error

    def made(self, asked: asks.Call, known: ToolFacts) -> Walking:
        """A tool call. One that fails may have happened, unless the tool does not even take its arguments."""
        try:
            return (yield from self.thrown(asked.state, asked))
        except Stopped:
            begun = known.takes is None or known.takes(asked.args)
            self.unsure = self.unsure or (asked.safety != "read" and begun)
            raise

    def stop(self, guard: Guard, name: str, reason: str) -> NoReturn:
        """A guard says no.

        Raises:
            Stopped: always.
        """
        raise Stopped(Failure(guard, name, reason))


def param_problem(param: Param, value: Any) -> str | None:
    """What is wrong with the value of a parameter, if anything."""
    schema = param.json_schema()
    schema.pop("pattern", None)
    try:
        if problem := schema_problem(value, schema):
            return problem
        if param.pattern is None or not isinstance(value, str):
            return None
        fits = whole(param.pattern, value)
    except (Unbound, NoPattern) as error:
        return str(error)
    return None if fits else f"{value!r} does not match {param.pattern}"


def as_text(value: Any) -> Any:
    """A text as it is, None as None, everything else as JSON."""
    if value is None or isinstance(value, str):
        return value
    from spanreel.replay.playbooks.binding import FILTERS

    return FILTERS["string"](value)


def strictest(said: str | None, known: ToolFacts | None) -> str:
    """The stricter of what the state and the tool's author say; a tool that nobody declared is `write`."""
    words = [word for word in (said, known.safety if known else None) if word]
    return max(words, key=STRICTNESS.index, default="write")


def because(decision: Any) -> str:
    """The reason of a decision, if it has one."""
    return f": {decision.reason}" if getattr(decision, "reason", None) else ""


def told(error: BaseException) -> str:
    """An exception in words."""
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _parts(how: str, condition: Mapping[str, Any]) -> list[Any]:
    given = condition[how]
    return [given] if how == "not" else list(given) if isinstance(given, (list, tuple)) else [given]


def _asks_surroundings(condition: Mapping[str, Any]) -> bool:
    parts = [part for word in COMBINED if word in condition for part in _parts(word, condition)]
    return any(isinstance(part, Mapping) and (is_probe(part) or _asks_surroundings(part)) for part in parts)
