"""Arguments that a model wrote: the model call whose words they are stays, or one that asks for them is put in.

Quiet. It is asked last, for what no data flow explains.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from spanreel.replay.playbooks.binding import Binding, parse
from spanreel.replay.playbooks.compiling import prompts
from spanreel.replay.playbooks.compiling.expressions import (
    Column,
    Expr,
    FromResult,
    Given,
    Told,
    path_of,
    render,
)
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.compiling.paths import steps, value_at
from spanreel.replay.playbooks.compiling.places import Index, Key
from spanreel.replay.playbooks.compiling.slots import Slot

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.flow import Flow

MOST: Final = 400
LOOKED: Final = 6
NAME: Final = "known_"


def written(flow: Flow, column: Column, argument: str, goal: str) -> bool:
    """Explain an argument by a model call; whether it is one that only a model can write.

    Args:
        flow: the explanations.
        column: the step.
        argument: of it, that nothing else explains.
        goal: of the playbook.
    """
    if any(argument not in call.arguments for call in column.calls):
        return False
    values = [call.arguments[argument] for call in column.calls]
    made = _used(flow, column, values) or _asked(flow, column, argument, values, goal)
    if made is None:
        return False
    model, expr = made
    flow.models.append(model)
    column.args[argument] = expr
    why = "a model wrote it"
    doubt = "a model writes it anew each time"
    column.told[argument] = Told(expr, "model", why, len(values), frozenset({model}), (), doubt)
    column.needs |= {model, *model.needs}
    return True


def _used(flow: Flow, column: Column, values: list[Any]) -> tuple[Column, Expr] | None:
    """The recorded model call whose words they are."""
    found: list[prompts.Used] = []
    for index, value in enumerate(values):
        one = next(prompts.used(flow.runs[index].run, value, column.calls[index].at), None)
        if one is None or (found and one.path != found[0].path):
            return None
        found.append(one)
    thoughts = [flow.runs[index].run.thoughts[one.thought] for index, one in enumerate(found)]
    exprs = list(_known(flow, tuple(thought.at for thought in thoughts)))
    known = [
        {f"{NAME}{place}": row[index] for place, (_, row) in enumerate(exprs)} for index in range(len(values))
    ]
    path = found[0].path
    llm = prompts.model_state(thoughts, known, path is not None)
    if llm is None:
        return None
    results = [one.text if path is None else prompts.answered(one.text) for one in thoughts]
    calls = tuple(
        Call(one.at, "ask_model", {}, result, one.text, None, "read", one.span)
        for one, result in zip(thoughts, results, strict=True)
    )
    fields = llm.model_dump(by_alias=True)
    model = _column(
        calls, {**fields, "prompt": _parts(llm.prompt, exprs), "system": _parts(llm.system or "", exprs)}
    )
    form = tuple(Index(step) if isinstance(step, int) else Key(step) for step in path or ())
    return model, FromResult(model, form)


def _asked(
    flow: Flow, column: Column, argument: str, values: list[Any], goal: str
) -> tuple[Column, Expr] | None:
    """A model call that asks for them, with what is known."""
    texts = [one.text for run in flow.runs for one in run.run.said]
    texts += [str(call.result) for run in flow.runs for call in run.calls if call.safety == "read"]
    if not prompts.is_written(values, texts):
        return None
    at = tuple(call.at for call in column.calls)
    exprs: list[tuple[Expr, list[Any]]] = [
        (expr, []) for expr in column.args.values() if path_of(expr) is not None
    ]
    for calls in list(flow.sources.earlier(at))[:LOOKED]:
        source = flow.column(calls)
        if source is not None:
            exprs.append((FromResult(source, ()), []))
    names = {f"what {expr.column.tool} found" if isinstance(expr, FromResult) and not expr.form else f"value {place}": f"{NAME}{place}" for place, (expr, _) in enumerate(exprs)}  # fmt: skip
    llm = prompts.asking(goal, column.tool, argument, names)
    calls = tuple(
        Call(call.at - 1, f"write_{argument}", {}, {argument: value}, None, None, "read", call.span)
        for call, value in zip(column.calls, values, strict=True)
    )
    model = _column(calls, {**llm.model_dump(by_alias=True), "prompt": _parts(llm.prompt, exprs)})
    return model, FromResult(model, (Key(argument),))


def _column(calls: tuple[Call, ...], fields: dict[str, Any]) -> Column:
    parts = [
        part for name in ("prompt", "system") for part in fields.get(name) or () if not isinstance(part, str)
    ]
    model = Column(calls, False, llm=fields, said=tuple(parts))
    needs = {one.column for one in parts if isinstance(one, FromResult)}
    model.needs = frozenset({model, *(other for one in needs for other in one.needs)})
    return model


def _parts(text: str, exprs: list[tuple[Expr, list[Any]]]) -> list[Any]:
    """A text whose bindings are known by number, in pieces: texts, and expressions."""
    return [
        piece.text if isinstance(piece, Binding) and piece.path is None
        else exprs[int(str(piece.path).removeprefix(NAME))][0] if isinstance(piece, Binding)
        else piece
        for piece in parse(text)
    ]  # fmt: skip


def fields(column: Column) -> dict[str, Any]:
    """The fields of `Llm`, once every variable has its name."""
    found = dict(column.llm or {})
    for name in ("prompt", "system"):
        if isinstance(found.get(name), list):
            pieces = [part if isinstance(part, str) else render(part) for part in found[name]]
            found[name] = "".join(map(str, pieces)) or None
    return found


def _known(flow: Flow, at: tuple[int, ...]) -> Iterator[tuple[Expr, list[Any]]]:
    """What every run knew at a moment, with its value in each."""
    for path in flow.sources.inputs[0]:
        rows = [found.get(path) for found in flow.sources.inputs]
        if all(isinstance(value, (str, int, float)) for value in rows):
            slot = Slot(tuple(rows), at, path.rpartition(".")[2], "")
            yield Given(flow.spec("input", slot, path=path)), rows
    count = 0
    for calls in flow.sources.earlier(at):
        source = flow.column(calls)
        for path, value in steps(calls[0].result) if source is not None else ():
            rows = [value_at(call.result, path, None) for call in calls]
            if count < MOST and value is not None and all(one is not None for one in rows):
                count += 1
                form = tuple(Index(step) if isinstance(step, int) else Key(step) for step in path)
                assert source is not None
                yield FromResult(source, form), rows
