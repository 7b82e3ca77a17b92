"""Guards that the runs themselves tell: what a write changed, and what results look like when they are none of an error.

Quiet. A guard holds in every source run, and says no more than they show: of a record that was read before a write and
came back from it, the fields that it changed, the same way in every run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from spanreel.replay.playbooks.body import Condition, Expect
from spanreel.replay.playbooks.compiling.expressions import (
    Agreement,
    Column,
    Expr,
    FromResult,
    Spec,
    path_of,
    render,
    specs,
)
from spanreel.replay.playbooks.compiling.flow import Flow
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.places import Key, Only, Where
from spanreel.replay.playbooks.compiling.values import key, same, scalar, weak

NO_ERROR: Final = r"^(?!\s*(?i:error|exception|traceback|failed)\b)"
ALIKE: Final = 0.5
"""How many of a record's keys have to come back for it to be the same record."""


def touched(
    flow: Flow, write: Column, known: frozenset[Spec]
) -> tuple[Column, dict[str, tuple[Any, Any]]] | None:
    """The record that a write changed, as it was read before it: the step, and each field's value before and after.

    Args:
        flow: the explanations.
        write: the step that changes something.
        known: parameters that there are anyway: a guard asks for no others.
    """
    at = [call.at for call in write.calls]
    best: tuple[Column, dict[str, tuple[Any, Any]]] | None = None
    alike = (-1, -1)
    for calls in flow.sources.earlier(at):
        changed = _changed(calls, write.calls)
        sameness = min(
            _equal_fields(one.result, other.result) for one, other in zip(calls, write.calls, strict=True)
        )
        if not changed or (sameness, calls[0].at) <= alike:
            continue
        column = flow.column(calls)
        if column is None or any(
            spec not in known for one in column.needs for expr in one.args.values() for spec in specs(expr)
        ):
            continue
        best, alike = (column, changed), (sameness, calls[0].at)
    return best


def _equal_fields(one: Any, other: Any) -> int:
    """How many fields of a record came back as they were: of another record of the same kind, fewer do."""
    if not isinstance(one, Mapping) or not isinstance(other, Mapping):
        return 0
    return sum(name in other and key(value) == key(other[name]) for name, value in one.items())


def _changed(before: Sequence[Call], after: Sequence[Call]) -> dict[str, tuple[Any, Any]]:
    """Fields that the write changed in every run from one value to another."""
    rows = [(one.result, other.result) for one, other in zip(before, after, strict=True)]
    if not all(_same_record(one, other) for one, other in rows):
        return {}
    names = [name for name in rows[0][0] if all(name in one and name in other for one, other in rows)]
    found: dict[str, tuple[Any, Any]] = {}
    for name in names:
        old, new = [one[name] for one, _ in rows], [other[name] for _, other in rows]
        if not all(isinstance(value, (str, bool)) and weak(value) for value in (*old, *new)):
            continue
        if same(old) and same(new) and key(old[0]) != key(new[0]):
            found[name] = old[0], new[0]
    return found


def _same_record(one: Any, other: Any) -> bool:
    if not isinstance(one, Mapping) or not isinstance(other, Mapping) or len(one) < 2:
        return False
    shared = [name for name in one if name in other]
    named = any(
        scalar(one[name]) and not weak(one[name]) and key(one[name]) == key(other[name]) for name in shared
    )
    return named and len(shared) >= ALIKE * len(one)


Guards = tuple[list[Condition], list[Condition], list[Expr]]


def guards(
    column: Column,
    order: Sequence[Column],
    changed: tuple[Column, dict[str, tuple[Any, Any]]] | None,
) -> Guards:
    """What has to hold before and after a step, and what of results is looked at for it.

    Args:
        column: the step.
        order: every step, in order.
        changed: the record that it changes, and how.
    """
    pre: list[Condition] = []
    post: list[Condition] = []
    reads: list[Expr] = []
    place = order.index(column)
    before = set(order[:place])
    for spec in dict.fromkeys(spec for expr in column.args.values() for spec in specs(expr)):
        if spec.choices is not None and spec.choices.column in before and column.write:
            array = all(isinstance(value, list) for value in spec.values)
            subject = f"params.{spec.name}{'[*]' if array else ''}"
            pre.append({"var": subject, "in": render(spec.choices)})
            reads.append(spec.choices)
    for other in order:
        for told in other.told.values():
            for agreement in told.agreements:
                if _guarded_at(other, agreement, order) is column:
                    pre += _agree(agreement)
                    reads += [agreement.one, agreement.other]
    if changed is not None:
        record, fields = changed
        for name, (old, new) in fields.items():
            subject = path_of(FromResult(record, ()))
            pre.append({"var": f"{subject}{_dotted(name)}", "equals": old})
            post.append({"json": name if name.isidentifier() else f"[{name!r}]", "equals": new})
    unique = list({repr(one): one for one in pre}.values())
    return unique, post, reads


def _guarded_at(column: Column, agreement: Agreement, order: Sequence[Column]) -> Column | None:
    """The step before which an agreement is asked for: the first that changes something once it can be told."""
    needed = _columns(agreement.one) | _columns(agreement.other)
    if not needed <= set(order):
        return None
    told = max((order.index(one) + 1 for one in needed), default=0)
    before = [*order[told : order.index(column)], column] if told <= order.index(column) else order[told:]
    return next((one for one in before if one.write), column if column in before else None)


def _columns(expr: Expr) -> set[Column]:
    if isinstance(expr, FromResult):
        return {expr.column}.union(*(_columns(one) for one in expr.given)) if expr.given else {expr.column}
    return set()


def _dotted(name: str) -> str:
    return f".{name}" if name.isidentifier() else f"[{name!r}]"


def _agree(agreement: Agreement) -> list[Condition]:
    one, other = agreement.one, agreement.other
    if path_of(one) is None:
        one, other = other, one
    subject = path_of(one)
    if subject is None:
        return []
    found: list[Condition] = [{"var": subject, "equals": render(other)}]
    if isinstance(one, FromResult) and any(isinstance(step, Only) for step in one.form):
        found.append({"var": subject, "equals": render(one)})  # a binding wants one value, a path takes any
    return found


def expected(column: Column, used: Sequence[FromResult]) -> Expect | None:
    """What its results looked like: enough to tell them from an error.

    Args:
        column: the step.
        used: what bindings take from its result.
    """
    results = [call.result for call in column.calls]
    if all(isinstance(result, Mapping) for result in results):
        shape = _shaped(results, list(_forms(used)))
        if not any("error" in result for result in results):
            shape["not"] = {"required": ["error"]}
        return Expect(shape=shape)
    if all(isinstance(result, (list, tuple)) for result in results):
        return Expect(shape=_shaped(results, list(_forms(used))))
    if all(isinstance(result, str) and result.strip() for result in results):
        whole = any(not form for form in _forms(used))
        one_word = whole and not any(any(letter.isspace() for letter in result) for result in results)
        return Expect(regex=f"{NO_ERROR}\\S+$" if one_word else NO_ERROR)
    return None


def _shaped(values: Sequence[Any], forms: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
    """The JSON Schema of the parts that bindings take, as far as every value has them."""
    forms = [form for form in forms if form]
    if values and all(isinstance(value, (list, tuple)) for value in values):
        inside = _shaped([item for value in values for item in value], _rest(forms))
        return {"type": "array", "items": inside} if inside else {"type": "array"}
    if not values or not all(isinstance(value, Mapping) for value in values):
        return {}
    names = sorted({step.name for form in forms if isinstance(step := form[0], Key)})
    required = [name for name in names if all(name in value for value in values)]
    shape: dict[str, Any] = {"type": "object"}
    if required:
        shape["required"] = required
    parts = {
        name: _shaped([value[name] for value in values], [form[1:] for form in forms if form[0] == Key(name)])
        for name in required
    }
    if parts := {name: part for name, part in parts.items() if part}:
        shape["properties"] = parts
    return shape


def _rest(forms: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """What is taken from the elements of a list: what follows, and the fields that they are picked by."""
    picked = [(Key(form[0].field),) for form in forms if isinstance(form[0], Where)]
    return [*(form[1:] for form in forms), *picked]


def _forms(used: Sequence[FromResult]) -> Iterator[tuple[Any, ...]]:
    for expr in used:
        yield expr.form
