"""What could be better about a playbook: findings, each with the command or the change that mends it, and a figure.

Quiet. It judges a body, and what is known of the tools and of the compiler's reasons; it runs nothing. What makes a body
no playbook at all is `checking`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from pydantic import Field

from spanreel.replay.playbooks.body import END, Body, State
from spanreel.replay.playbooks.planning.reading import constants, looks_like_data, used
from spanreel.replay.timeline import Frozen

Severity: TypeAlias = Literal["error", "warning", "note"]


@dataclass(frozen=True, slots=True)
class Declared:
    """What is known of a tool. safety: None where nobody declared one. idempotent: calling it twice does no harm."""

    safety: str | None = None
    idempotent: bool = False


Tools: TypeAlias = Callable[[str], Declared | None]
"""What is known of a tool by its name; None: it is not registered here."""


class Finding(Frozen):
    """Something that could be better.

    Attributes:
        code: what kind it is, see `RULES`. state: where, if it is of a state. path: in the body's document.
        fix: the command or the change that mends it.
    """

    code: str
    severity: Severity
    path: str
    state: str | None = None
    message: str
    fix: str


class ScorePart(Frozen):
    """What findings of one kind take from the score."""

    code: str
    findings: int
    minus: float


class Lint(Frozen):
    """`spanreel playbook lint --json`. score: 1 less the parts, at least 0."""

    schema_: Literal["spanreel.playbook_lint.v1"] = Field(default="spanreel.playbook_lint.v1", alias="schema")
    name: str
    hash: str
    score: float
    parts: list[ScorePart] = Field(default_factory=list[ScorePart])
    findings: list[Finding] = Field(default_factory=list[Finding])

    def passes(self, *, strict: bool = False) -> bool:
        """Whether there is no error, and with `strict` no warning either."""
        bad = ("error", "warning") if strict else ("error",)
        return not any(finding.severity in bad for finding in self.findings)


RULES: Final[dict[str, tuple[Severity, float]]] = {
    "unguarded-write": ("warning", 0.15),
    "no-success": ("warning", 0.10),
    "loose-parameter": ("note", 0.03),
    "unused-parameter": ("warning", 0.05),
    "data-constant": ("warning", 0.10),
    "irreversible-unapproved": ("error", 0.25),
    "unsafe-retry": ("error", 0.25),
    "unbounded-cycle": ("error", 0.20),
    "no-budget": ("note", 0.03),
    "unreachable-state": ("warning", 0.10),
    "unused-result": ("warning", 0.05),
    "one-observation": ("warning", 0.05),
    "undeclared-tool": ("warning", 0.05),
    "unregistered-tool": ("warning", 0.05),
    "no-matchers": ("warning", 0.10),
    "one-source-run": ("note", 0.05),
    "free-model-answer": ("warning", 0.05),
}
"""Code -> how bad it is, and what each finding takes from the score; three of one kind weigh as much as many."""
COUNTED: Final = 3


def lint(body: Body, tools: Tools | None = None, report: Mapping[str, Any] | None = None) -> Lint:
    """What could be better about a playbook.

    Args:
        body: any that loads.
        tools: what is known of tools; without it nothing is said about them.
        report: what the compiler said when it made it, where it was compiled.
    """
    findings = [
        *_of_the_whole(body),
        *_of_parameters(body),
        *(one for name, state in body.states.items() for one in _of_state(body, name, state, tools)),
        *_of_ways(body),
        *_of_report(body, report or {}),
    ]
    worst = ("error", "warning", "note")
    findings.sort(key=lambda one: worst.index(one.severity))
    parts: list[ScorePart] = []
    for code, (_, each) in RULES.items():
        count = sum(one.code == code for one in findings)
        if count:
            parts.append(ScorePart(code=code, findings=count, minus=round(each * min(count, COUNTED), 2)))
    score = max(0.0, round(1 - sum(part.minus for part in parts), 2))
    return Lint(name=body.name, hash=body.hash, score=score, parts=parts, findings=findings)


def _found(code: str, path: str, message: str, fix: str) -> Finding:
    state = path.split(".")[1] if path.startswith("states.") else None
    return Finding(code=code, severity=RULES[code][0], path=path, state=state, message=message, fix=fix)


def _of_the_whole(body: Body) -> Iterator[Finding]:
    if not body.success:
        yield _found(
            "no-success",
            "success",
            "nothing says when a run of it has succeeded: every run that ends counts",
            'add success: [{json: "result", …}] with what holds when it worked',
        )
    matchers = body.matchers
    if not (matchers.agent or matchers.goal or matchers.input or matchers.tools):
        yield _found(
            "no-matchers",
            "matchers",
            "it has no matchers, so that it can never be dispatched",
            "add matchers: {agent: …, goal: [words of the task]}",
        )
    if len(body.derived_from) == 1:
        yield _found(
            "one-source-run",
            "derived_from",
            "it was made of a single run: what varies was guessed, not seen",
            f"spanreel playbook compile {body.derived_from[0][:12]} RUN … --name {body.name}",
        )
    limits = body.budget
    asks = any(state.llm for state in body.states.values())
    if asks and limits.max_calls is None and limits.max_cost is None:
        yield _found(
            "no-budget",
            "budget",
            "it asks a model, and nothing says how often or for how much",
            "add budget: {max_calls: N, max_cost: USD}",
        )


def _of_parameters(body: Body) -> Iterator[Finding]:
    names = used(body)
    for name, param in body.params.items():
        path = f"params.{name}"
        if names is not None and f"params.{name}" not in names and "params" not in names:
            yield _found(
                "unused-parameter", path, f"parameter {name} is used nowhere", f"remove {path}, or bind it"
            )
        loose = {
            "string": not (param.pattern or param.enum or param.format),
            "array": param.items is None,
            "integer": param.enum is None and param.minimum is None and param.maximum is None,
            "number": param.enum is None and param.minimum is None and param.maximum is None,
            "object": True,
        }
        if loose.get(param.type):
            seen = f"; its sources had {param.examples[0]!r}" if param.examples else ""
            wanted = {
                "string": "pattern, format or enum",
                "array": "items",
                "object": "properties of its own parameters",
            }
            yield _found(
                "loose-parameter",
                path,
                f"parameter {name} takes any {param.type}{seen}",
                f"add {wanted.get(param.type, 'minimum and maximum')} to {path}",
            )


def _of_state(body: Body, name: str, state: State, tools: Tools | None) -> Iterator[Finding]:
    path = f"states.{name}"
    known = tools(state.tool) if tools and state.tool else None
    if state.tool is not None:
        yield from _of_tool(body, name, state, known, asked=tools is not None)
    if state.llm is not None and state.llm.schema_ is None and state.save_as is not None:
        yield _found(
            "free-model-answer",
            f"{path}.llm",
            f"state {name} uses what a model says, and nothing says what form that has",
            f"add schema to {path}.llm, so that an answer of another form stops it",
        )
    for where, value in constants(state):
        if (kind := looks_like_data(value)) is not None:
            yield _found(
                "data-constant",
                f"{path}.{where}",
                f"{value!r} looks like {kind} of one task, and is the same in every run",
                f'make it a parameter: {path}.{where}: "{{{{ params.… }}}}", or compile from another run too',
            )
    if _unused(body, state, state.safety or (known.safety if known else None)):
        saved = f"saved as {state.save_as}, " if state.save_as else ""
        yield _found(
            "unused-result",
            path,
            f"state {name} reads something, and nobody uses it: {saved}no binding or condition asks for it",
            f"remove {path}, or check it with post or expect",
        )


def _of_tool(
    body: Body, name: str, state: State, known: Declared | None, *, asked: bool
) -> Iterator[Finding]:
    path = f"states.{name}"
    safety = state.safety or (known.safety if known else None)
    if asked and known is None:
        yield _found(
            "unregistered-tool",
            f"{path}.tool",
            f"no tool {state.tool} is registered here",
            "import the module that declares it: --tools MODULE",
        )
    if safety is None:
        yield _found(
            "undeclared-tool",
            f"{path}.tool",
            f"nobody says whether {state.tool} reads or writes, so that it counts as write",
            f'declare it: @spanreel.tool(safety="read"), or safety: read in {path}',
        )
    if safety == "read":
        return
    if not (state.pre or state.post or state.expect):
        yield _found(
            "unguarded-write",
            path,
            f"state {name} writes with {state.tool}, and neither checks before it nor after it",
            f"add pre, post or expect to {path}; compiling from more runs finds some",
        )
    gated = any(
        other.approval is not None and name in (other.on_approve, other.next)
        for other in body.states.values()
    )
    if safety == "irreversible" and body.risk == "low" and not gated:
        yield _found(
            "irreversible-unapproved",
            path,
            f"{state.tool} cannot be undone, and nobody is asked before it",
            "set risk: medium, or put an approval before it",
        )
    if state.retry.max_attempts > 1 and not (known and known.idempotent):
        yield _found(
            "unsafe-retry",
            f"{path}.retry",
            f"state {name} tries {state.tool} again, which may do it twice",
            f"declare @spanreel.tool(idempotency_key=…) for it, or remove {path}.retry",
        )


def _unused(body: Body, state: State, safety: str | None) -> bool:
    """Whether a state that only reads leads to nothing: no binding, no check of its own, not the output."""
    names = used(body)
    if names is None or safety != "read" or state.tool is None or state.post or state.expect:
        return False
    last = state.next in (None, END) and body.output is None
    return not last and (state.save_as is None or state.save_as not in names)


def _of_ways(body: Body) -> Iterator[Finding]:
    reached = _reached(body, body.initial)
    for name in body.states:
        if name not in reached:
            yield _found(
                "unreachable-state",
                f"states.{name}",
                f"no way leads to state {name}",
                f"remove states.{name}, or lead to it",
            )
    told: set[str] = set()
    for name in body.states:
        if name in told or name not in reached:
            continue
        round_ = {
            other
            for target in body.states[name].targets()
            for other in _reached(body, target)
            if name in _reached(body, other)
        }
        if round_ and not any(body.states[other].max_visits for other in round_):
            told |= round_
            yield _found(
                "unbounded-cycle",
                f"states.{name}",
                f"{' → '.join(sorted(round_))} may go round, and only max_steps ({body.max_steps}) stops it",
                f"add max_visits to one of them, such as states.{name}",
            )


def _reached(body: Body, start: str) -> set[str]:
    """The states that a way leads to from this one, itself included."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in found and name in body.states:
            found.add(name)
            waiting.extend(body.states[name].targets())
    return found


def _of_report(body: Body, report: Mapping[str, Any]) -> Iterator[Finding]:
    """Bindings that the compiler saw in a single run, where it had several, and those that it doubted."""
    states: Any = report.get("states") or ()
    for state in states:
        for one in state.get("arguments") or ():
            support, runs, doubt = one.get("support"), one.get("runs"), one.get("doubt")
            if state.get("name") not in body.states or not (doubt or (support == 1 and (runs or 1) > 1)):
                continue
            sources = " ".join(run[:12] for run in body.derived_from)
            seen = f"was seen in {support} of {runs} runs" + (f": {doubt}" if doubt else "")
            yield _found(
                "one-observation",
                f"states.{state['name']}.args.{one.get('name', '')}",
                f"the binding {one.get('binding')} {seen}",
                f"spanreel playbook compile {sources} RUN --name {body.name}",
            )
