"""Where a value comes from, as a value: what a binding will say once states and parameters have names.

Quiet. Steps of a procedure (`Column`) and parameters (`Spec`) are known by identity here; `render` gives the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from spanreel.replay.playbooks.binding import literal
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.places import All, Form, Index, Key, Only, Where

Kind: TypeAlias = Literal["input", "said", "choice", "enum", "typed", "shown"]
"""How a parameter came to be: of the run's input, said in words, one of several, of the tool's schema, by its look."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(eq=False, slots=True)
class Column:
    """One step of the procedure: the same call in every run.

    needs: the steps that have to be done for its arguments, itself among them. name: of its variable, once it has one.
    llm: of a model call: the fields of `Llm`, where `said` are the values that its prompt takes.
    """

    calls: tuple[Call, ...]
    write: bool
    args: dict[str, Expr] = field(default_factory=dict[str, "Expr"])
    needs: frozenset[Column] = frozenset()
    told: dict[str, Told] = field(default_factory=dict[str, "Told"])
    name: str = ""
    llm: dict[str, Any] | None = None
    said: tuple[Expr, ...] = ()

    @property
    def tool(self) -> str:
        """The tool that is called."""
        return self.calls[0].tool


@dataclass(eq=False, slots=True)
class Spec:
    """A parameter. values: of each run. path: in the run's input. choices: what it has to be one of."""

    hint: str
    kind: Kind
    values: tuple[Any, ...]
    path: str | None = None
    choices: FromResult | None = None
    enum: list[Any] | None = None
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """The same in every run."""

    value: Any


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """A parameter; `item`: one element of it."""

    spec: Spec
    item: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FromResult:
    """Of an earlier result, by path. given: what each `Where` of the form asks for. many: every value found."""

    column: Column
    form: Form
    given: tuple[Expr, ...] = ()
    many: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Joined:
    """A text made of several."""

    parts: tuple[Expr | str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Listed:
    """A list, element by element."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mapped:
    """An object, key by key."""

    fields: dict[str, Expr]


Expr: TypeAlias = Constant | Given | FromResult | Joined | Listed | Mapped


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """A guard: what a binding takes for granted, because every run had it so: both are the same."""

    one: Expr
    other: Expr


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Where an argument comes from, and how sure that is.

    how: in a word; why: in words. support: runs that are observations of their own. doubt: what somebody should look at.
    """

    expr: Expr
    how: str
    why: str
    support: int
    needs: frozenset[Column] = frozenset()
    agreements: tuple[Agreement, ...] = ()
    doubt: str = ""


def path_of(expr: Expr, quoted: Callable[[Any], str] = json.dumps) -> str | None:
    """The path from the variables on; None for what has none."""
    if isinstance(expr, Given):
        return f"params.{expr.spec.name}" + ("" if expr.item is None else f"[{expr.item}]")
    if not isinstance(expr, FromResult):
        return None
    given = iter(expr.given)
    return expr.column.name + "".join(_step(step, given, quoted) for step in expr.form)


def _step(step: Any, given: Iterator[Expr], quoted: Callable[[Any], str]) -> str:
    if isinstance(step, Key):
        return f".{step.name}" if _PLAIN.fullmatch(step.name) else f"[{json.dumps(step.name)}]"
    if isinstance(step, Index):
        return f"[{step.at}]"
    if isinstance(step, (Only, All)):
        return "[*]"
    assert isinstance(step, Where)
    wanted = next(given)
    path = path_of(wanted, quoted)
    right = quoted(wanted.value) if isinstance(wanted, Constant) else f"$.{path}"
    name = f"@.{step.field}" if _PLAIN.fullmatch(step.field) else f"@[{json.dumps(step.field)}]"
    return f"[?{name} == {right}]"


def render(expr: Expr) -> Any:
    """The value of a playbook that stands for it, with bindings."""
    if isinstance(expr, Constant):
        return literal(expr.value)
    if isinstance(expr, Listed):
        return [render(item) for item in expr.items]
    if isinstance(expr, Mapped):
        return {name: render(item) for name, item in expr.fields.items()}
    if isinstance(expr, Joined):
        return "".join(literal(part) if isinstance(part, str) else str(render(part)) for part in expr.parts)
    many = isinstance(expr, FromResult) and expr.many
    return f"{{{{ {path_of(expr)}{' | list' if many else ''} }}}}"


def specs(expr: Expr) -> Iterator[Spec]:
    """Every parameter in it."""
    if isinstance(expr, Given):
        yield expr.spec
    elif isinstance(expr, FromResult):
        for one in expr.given:
            yield from specs(one)
    elif isinstance(expr, Joined):
        for part in expr.parts:
            if not isinstance(part, str):
                yield from specs(part)
    elif isinstance(expr, Listed):
        for item in expr.items:
            yield from specs(item)
    elif isinstance(expr, Mapped):
        for item in expr.fields.values():
            yield from specs(item)
