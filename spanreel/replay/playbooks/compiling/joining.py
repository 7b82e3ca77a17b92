"""A text that is put together of several values: which, in which order, with which words between them.

Quiet. All runs are read at once, from left to right: at each place either a value that every run knows stands there in
every run, or a letter that is the same in all of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from spanreel.replay.playbooks.compiling.expressions import Column, Expr, FromResult, Given, Joined
from spanreel.replay.playbooks.compiling.places import Where, follow, forms
from spanreel.replay.playbooks.compiling.values import same, weak

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.flow import Flow, Slot

SHORTEST: Final = 2
LONGEST: Final = 4000
MOST: Final = 200


class _Piece:
    __slots__ = ("expr", "needs", "strong", "texts")

    def __init__(self, expr: Expr, texts: tuple[str, ...], needs: frozenset[Column], strong: bool) -> None:
        self.expr = expr
        self.texts = texts
        self.needs = needs
        self.strong = strong


def joined(flow: Flow, slot: Slot) -> tuple[Joined, frozenset[Column]] | None:
    """The pieces of the texts, if all runs agree in them."""
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
    return Joined(tuple(part.expr if isinstance(part, _Piece) else part for part in found)), needs


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
    first = slot.values[0]
    count = 0
    for spec in list(flow.specs.values()):
        if piece := _piece(Given(spec), spec.values, slot, frozenset()):
            yield piece
    for path, value in flow.sources.inputs[0].items():
        values = [found.get(path) for found in flow.sources.inputs]
        if (
            isinstance(value, (str, int, float))
            and _text(value) in first
            and _piece(Given(_none()), values, slot, frozenset())
        ):
            told = flow.explain(slot.part(values, path.rpartition(".")[2]))
            if told is not None and (piece := _piece(told.expr, values, slot, told.needs)):
                yield piece
    for calls in flow.sources.earlier(slot.at):
        for path, value in _leaves(calls[0].result):
            if count >= MOST:
                return
            if len(_text(value)) < SHORTEST or _text(value) not in first:
                continue
            count += 1
            for found in forms(calls[0].result, path):
                if any(isinstance(step, Where) for step in found.form) or found.options > 1:
                    continue
                rows = [follow(call.result, found.form, ()) for call in calls]
                if any(len(row) != 1 for row in rows):
                    continue
                values = [row[0] for row in rows]
                if _piece(Given(_none()), values, slot, frozenset()) is None:
                    continue
                column = flow.column(calls)
                if column and (piece := _piece(FromResult(column, found.form), values, slot, column.needs)):
                    yield piece
                break


def _piece(expr: Expr, values: Any, slot: Slot, needs: frozenset[Column]) -> _Piece | None:
    if any(not isinstance(value, (str, int, float)) or isinstance(value, bool) for value in values):
        return None
    texts = tuple(_text(value) for value in values)
    if any(
        len(text) < SHORTEST or text not in whole or text == whole
        for text, whole in zip(texts, slot.values, strict=True)
    ):
        return None
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


def _none() -> Any:
    return None
