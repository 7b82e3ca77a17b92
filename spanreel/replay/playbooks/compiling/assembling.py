"""From explained steps to a body: states in order, with their names, bindings, guards and where they came from.

Quiet. It decides nothing about values; what it keeps is what the steps need.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from spanreel.replay.playbooks.body import END, Condition, Llm, Param, Retry, State
from spanreel.replay.playbooks.compiling import guarding, looping, writing
from spanreel.replay.playbooks.compiling.expressions import (
    Column,
    Expr,
    FromResult,
    Joined,
    Listed,
    Mapped,
    Spec,
    render,
    specs,
)
from spanreel.replay.playbooks.compiling.flow import Flow
from spanreel.replay.playbooks.compiling.naming import param_name, state_name, variable_name
from spanreel.replay.playbooks.compiling.report import ArgumentReport, ParamReport, StateReport
from spanreel.replay.playbooks.compiling.values import common_type, format_of, pattern_of

MOST_EXAMPLES: Final = 5
READ_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Assembled:
    """The parts of a body, what the report says of them, and each run's own parameters."""

    states: dict[str, State]
    initial: str
    params: dict[str, Param]
    values: tuple[dict[str, Any], ...]
    state_reports: list[StateReport]
    param_reports: list[ParamReport]
    review: list[str]


def assemble(flow: Flow, reference: int, *, inferred: bool = True) -> Assembled:
    """The states of the steps that the spine needs.

    Args:
        flow: with every step of the spine explained.
        reference: the run whose order is kept.
        inferred: with the guards that the runs tell.
    """
    kept = _closed(flow.spine)
    kept |= _guarding(kept)
    _spared(kept, _closed(flow.spine))
    used = frozenset(spec for column in kept for spec in _of_column(column))
    changes: dict[Column, tuple[Column, dict[str, tuple[Any, Any]]]] = {}
    if inferred:
        for column in flow.spine:
            found = guarding.touched(flow, column, used) if column.write else None
            if found is not None:
                changes[column] = found
                kept |= _closed([found[0]])
    order = sorted(kept, key=lambda column: column.calls[reference].at)
    _name(order)
    guards = {column: guarding.guards(column, order, changes.get(column)) for column in order}
    taken = _taken(order, guards)
    states: dict[str, State] = {}
    reports: list[StateReport] = []
    names: list[str] = []
    for column in order:
        names.append(state_name(column.tool, names))
    for place, column in enumerate(order):
        pre, post, expect = guards[column][0], guards[column][1], None
        if inferred and column.llm is None:
            expect = looping.expected(column, taken.get(column, []))
        follows = names[place + 1] if place + 1 < len(order) else END
        states[names[place]] = _state(column, pre, post, expect, follows, saved=column in taken)
        reports.append(_reported(flow, column, names[place], states[names[place]], changes))
    params, shown = _params(order)
    values = tuple({spec.name: spec.values[index] for spec in shown} for index in range(len(flow.runs)))
    told = [
        ParamReport(
            name=spec.name,
            type=params[spec.name].type,
            source=spec.kind,
            pattern=params[spec.name].pattern,
            input=spec.path,
            examples=params[spec.name].examples,
        )
        for spec in shown
    ]
    review = [
        f"{report.name}.{argument.name}: {argument.doubt}"
        for report in reports
        for argument in report.arguments
        if argument.doubt
    ]
    return Assembled(states, names[0], params, values, reports, told, review)


def _closed(columns: Iterable[Column]) -> set[Column]:
    """The steps, and those that their arguments are taken from."""
    found: set[Column] = set()
    waiting = list(columns)
    while waiting:
        column = waiting.pop()
        if column not in found:
            found.add(column)
            waiting += [other for expr in (*column.args.values(), *column.said) for other in _sources(expr)]
    return found


def _sources(expr: Expr | str) -> set[Column]:
    return {one.column for one in _results(expr)}


def _guarding(kept: set[Column]) -> set[Column]:
    """Steps that only guards look at: those that ask for no parameter that the caller would not have at hand."""
    known = set(_arguments(kept))
    agreed: list[set[Column]] = []
    offered: list[set[Column]] = []
    for column in sorted(kept, key=lambda one: one.calls[0].at):
        for told in column.told.values():
            agreed += [_sources(one.one) | _sources(one.other) for one in told.agreements]
        for spec in _arguments([column]):
            offered += [{spec.choices.column}] if spec.choices is not None and column.write else []
    found: set[Column] = set()
    for columns in agreed:
        more = _closed(columns)
        if all(spec in known or spec.kind in ("input", "said") for spec in _arguments(more)):
            found |= more
    for columns in offered:
        more = _closed(columns)
        new = [spec for spec in _arguments(more) if spec not in known and spec.kind != "input"]
        if not new or (len(more) == len(new) == 1 and new[0].kind == "said"):
            found |= more
    return found


def _arguments(kept: Iterable[Column]) -> list[Spec]:
    """The parameters that arguments need; those of guards are not among them."""
    return list(
        dict.fromkeys(spec for column in kept for expr in column.args.values() for spec in specs(expr))
    )


def _spared(kept: Iterable[Column], written: Collection[Column]) -> None:
    """Guards that are not worth it: that need a parameter which nothing else does, or are of what only guards look at."""
    known = set(_arguments(kept))
    for column in kept:
        for name, told in column.told.items():
            stay = tuple(
                one
                for one in told.agreements
                if column in written
                and all(
                    spec in known or spec.kind == "input"
                    for expr in (one.one, one.other)
                    for spec in specs(expr)
                )
            )
            column.told[name] = replace(told, agreements=stay)


def _of_column(column: Column) -> Iterator[Spec]:
    for expr in column.said:
        yield from specs(expr)
    for name, expr in column.args.items():
        yield from specs(expr)
        told = column.told.get(name)
        for agreement in told.agreements if told else ():
            yield from specs(agreement.one)
            yield from specs(agreement.other)


def _name(order: Sequence[Column]) -> None:
    taken: set[str] = set()
    for column in order:
        column.name = variable_name(column.tool, taken)
        taken.add(column.name)
    for column in order:
        for spec in _of_column(column):
            spec.name = ""
    params: set[str] = set()
    for column in order:
        for spec in _of_column(column):
            if not spec.name:
                spec.name = param_name(spec.hint, params)
                params.add(spec.name)


def _params(order: Sequence[Column]) -> tuple[dict[str, Param], list[Spec]]:
    found = list(dict.fromkeys(spec for column in order for spec in _of_column(column)))
    return {spec.name: parameter(spec) for spec in found}, found


def parameter(spec: Spec) -> Param:
    """The declaration of a parameter."""
    kind: Any = common_type(spec.values) or "string"
    examples: list[Any] = []
    for value in spec.values:
        if value not in examples:
            examples.append(value)
    items: dict[str, Any] | None = None
    if kind == "array":
        inner = [item for value in spec.values for item in value]
        of = common_type(inner) if inner else None
        items = {"type": of} if of else None
    form = {format_of(value) for value in spec.values} if kind == "string" else {None}
    return Param(
        type="string" if kind == "null" else kind,
        pattern=pattern_of(spec.values) if kind == "string" and spec.kind != "choice" else None,
        format=form.pop() if len(form) == 1 else None,
        enum=spec.enum,
        items=items,
        input=spec.path,
        examples=examples[:MOST_EXAMPLES],
    )


def _taken(order: Sequence[Column], guards: dict[Column, guarding.Guards]) -> dict[Column, list[FromResult]]:
    """What bindings take from each result."""
    found: dict[Column, list[FromResult]] = {}
    for column in order:
        for expr in (*column.args.values(), *guards[column][2], *column.said):
            for one in _results(expr):
                found.setdefault(one.column, []).append(one)
        for told in guards[column][0]:
            for other in order:
                if str(told.get("var", "")).startswith(f"{other.name}."):
                    found.setdefault(other, [])
    return found


def _results(expr: Expr | str) -> Iterator[FromResult]:
    if isinstance(expr, FromResult):
        yield expr
        for one in expr.given:
            yield from _results(one)
    elif isinstance(expr, Joined):
        for part in expr.parts:
            yield from _results(part)
    elif isinstance(expr, Listed):
        for item in expr.items:
            yield from _results(item)
    elif isinstance(expr, Mapped):
        for item in expr.fields.values():
            yield from _results(item)


def _state(
    column: Column,
    pre: list[Condition],
    post: list[Condition],
    expect: Any,
    follows: str,
    *,
    saved: bool,
) -> State:
    derived = [call.span for call in column.calls if call.span]
    if column.llm is not None:
        return State(
            llm=Llm(**writing.fields(column)),
            save_as=column.name,
            pre=pre,
            next=follows,
            derived_from=derived,
        )
    known = [call.safety for call in column.calls if call.safety]
    safety: Any = (
        "irreversible" if "irreversible" in known else "write" if column.write or not known else known[0]
    )
    args = {name: render(expr) for name, expr in column.args.items()} | looping.arguments(column)
    return State(
        tool=column.tool,
        args=args,
        save_as=column.name
        if saved or any(f"{{{{ {column.name}" in str(value) for value in args.values())
        else None,
        repeat=looping.repeat(column, args),
        pre=pre,
        post=post,
        expect=expect,
        safety=safety,
        retry=Retry(max_attempts=READ_ATTEMPTS if safety == "read" else 1),
        next=follows,
        derived_from=derived,
    )


def _reported(flow: Flow, column: Column, name: str, state: State, changes: Any) -> StateReport:
    total = len(flow.runs)
    role: Any = "write" if column.write else "step" if column in flow.spine else "source"
    if column.llm is not None:
        role = "model"
    elif (
        role == "source"
        and not any(column in _columns_of(other) for other in flow.spine)
        and any(column is record for record, _ in changes.values())
    ):
        role = "guard"
    arguments = [
        ArgumentReport(
            name=argument,
            binding=render(told.expr),
            how=told.how,
            why=told.why,
            support=told.support,
            runs=total,
            doubt=told.doubt or None,
        )
        for argument, told in column.told.items()
    ]
    guards = [f"before: {_short(one)}" for one in state.pre] + [f"after: {_short(one)}" for one in state.post]
    return StateReport(
        name=name,
        tool=state.tool,
        safety=state.safety,
        role=role,
        support=total,
        arguments=arguments,
        guards=guards,
    )


def _columns_of(column: Column) -> frozenset[Column]:
    return column.needs


def _short(condition: Condition) -> str:
    subject = condition.get("var") or condition.get("json")
    rest = ", ".join(f"{name} {value}" for name, value in condition.items() if name not in ("var", "json"))
    return f"{subject} {rest}"
