"""A text that is put together of several values: which, in which order, with which words between them.

Quiet. All runs are read at once, from left to right: at each place either a value that every run knows stands there in
every run, or a letter that is the same in all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from spanreel.replay.playbooks.compiling.expressions import Agreement, Column, Expr, FromResult, Given, Joined
from spanreel.replay.playbooks.compiling.places import Where, follow, forms
from spanreel.replay.playbooks.compiling.values import same, weak

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.flow import Flow
    from spanreel.replay.playbooks.compiling.observed import Call
    from spanreel.replay.playbooks.compiling.slots import Slot

SHORTEST: Final = 2
LONGEST: Final = 4000
MOST: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A value that stands in the text of every run. strong: equal by chance it is not."""

    expr: Expr
    texts: tuple[str, ...]
    needs: frozenset[Column]
    strong: bool


def joined(flow: Flow, slot: Slot) -> tuple[Joined, frozenset[Column], tuple[Agreement, ...]] | None:
    """The pieces of the texts, if all runs agree in them; what else has the same texts has to agree with each."""
    texts: tuple[str, ...] = slot.values
    if max(len(text) for text in texts) > LONGEST or min(len(text) for text in texts) <= SHORTEST:
        return None
    pieces = list(_pieces(flow, slot))
    pieces.sort(key=lambda piece: -min(len(text) for text in piece.texts))
    found = _read(texts, pieces)
    if found is None:
        return None
    used = [part for part in found if isinstance(part, _Piece)]
    alike = same(texts)
    if not used or (alike and not all(piece.strong for piece in used)):
        return None
    needs = frozenset(column for piece in used for column in piece.needs)
    agreements = tuple(
        Agreement(piece.expr, other.expr)
        for piece in dict.fromkeys(used)
        for other in pieces
        if other.texts == piece.texts and not _same(other.expr, piece.expr)
    )
    expr = Joined(tuple(part.expr if isinstance(part, _Piece) else part for part in found))
    return expr, needs, agreements


def _same(one: Expr, other: Expr) -> bool:
    return one is other or (isinstance(one, Given) and isinstance(other, Given) and one.spec is other.spec)


def _read(texts: tuple[str, ...], pieces: list[_Piece]) -> list[_Piece | str] | None:
    at = [0] * len(texts)
    found: list[_Piece | str] = []
    while any(place < len(text) for place, text in zip(at, texts, strict=True)):
        piece = next(
            (
                one
                for one in pieces
                if all(
                    text.startswith(part, place)
                    for text, part, place in zip(texts, one.texts, at, strict=True)
                )
            ),
            None,
        )
        if piece is not None:
            found.append(piece)
            at = [place + len(part) for place, part in zip(at, piece.texts, strict=True)]
            continue
        letters = {text[place : place + 1] for text, place in zip(texts, at, strict=True)}
        if len(letters) != 1 or "" in letters:
            return None
        letter = letters.pop()
        if found and isinstance(found[-1], str):
            found[-1] += letter
        else:
            found.append(letter)
        at = [place + 1 for place in at]
    return found


def _pieces(flow: Flow, slot: Slot) -> Iterator[_Piece]:
    for spec in list(flow.specs.values()):
        if texts := _texts(spec.values, slot):
            yield _piece(Given(spec), spec.values, texts, frozenset())
    for path in flow.sources.inputs[0]:
        values = [found.get(path) for found in flow.sources.inputs]
        texts = _texts(values, slot)
        told = flow.explain(slot.part(values, path.rpartition(".")[2])) if texts else None
        if texts and told is not None:
            yield _piece(told.expr, values, texts, told.needs)
    yield from islice(_of_results(flow, slot), MOST)


def _of_results(flow: Flow, slot: Slot) -> Iterator[_Piece]:
    first = slot.values[0]
    for calls in flow.sources.earlier(slot.at):
        for path, value in _leaves(calls[0].result):
            told = len(_text(value)) >= SHORTEST and _text(value) in first
            if told and path in flow.sources.found(0, calls[0], value):
                yield from islice(_at(flow, slot, calls, path), 1)


def _at(flow: Flow, slot: Slot, calls: tuple[Call, ...], path: tuple[Any, ...]) -> Iterator[_Piece]:
    """What the runs have at one place of a result, where that is a piece of their texts."""
    for found in forms(calls[0].result, path):
        if found.options > 1 or any(isinstance(step, Where) for step in found.form):
            continue
        rows = [follow(call.result, found.form, ()) for call in calls]
        values = [row[0] if len(row) == 1 else None for row in rows]
        texts = _texts(values, slot)
        column = flow.column(calls) if texts else None
        if texts and column is not None:
            yield _piece(FromResult(column, found.form), values, texts, column.needs)


def _texts(values: Sequence[Any], slot: Slot) -> tuple[str, ...] | None:
    """The values as texts, if each stands in the text of its run and is not all of it."""
    if any(not isinstance(value, (str, int, float)) or isinstance(value, bool) for value in values):
        return None
    texts = tuple(_text(value) for value in values)
    inside = (
        len(text) >= SHORTEST and text in whole and text != whole
        for text, whole in zip(texts, slot.values, strict=True)
    )
    return texts if all(inside) else None


def _piece(expr: Expr, values: Sequence[Any], texts: tuple[str, ...], needs: frozenset[Column]) -> _Piece:
    return _Piece(expr, texts, needs, not all(weak(value) for value in values))


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _leaves(item, (*path, name))
    elif isinstance(value, (list, tuple)):
        for place, item in enumerate(value):
            yield from _leaves(item, (*path, place))
    elif isinstance(value, (str, int, float)) and not isinstance(value, bool):
        yield path, value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
