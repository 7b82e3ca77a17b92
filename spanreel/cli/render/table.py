"""A table that fits: text columns give way first, then whole columns go, least wanted first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """A column and its cells.

    Attributes:
        least: how narrow it may become; None when it must stay as wide as it is.
        rank: the higher, the sooner the column is left out; 0 never is.
    """

    title: str
    cells: Sequence[Text]
    right: bool = False
    least: int | None = None
    rank: int = 0

    @property
    def width(self) -> int:
        """What the widest cell takes."""
        return max([len(self.title), *(cell.cell_len for cell in self.cells)])


def fitted(columns: Sequence[Column], width: int) -> list[tuple[Column, int]]:
    """The columns that are shown, each with its width, so that together they take at most `width`."""
    kept = list(columns)
    while True:
        spare = width - sum(column.width for column in kept) - GAP * (len(kept) - 1)
        give = sum(column.width - _least(column) for column in kept)
        if spare + give >= 0:
            return _squeezed(kept, -min(0, spare))
        droppable = [column for column in kept if column.rank]
        if not droppable:
            return [(column, _least(column)) for column in kept]
        kept.remove(max(droppable, key=lambda column: column.rank))


def _least(column: Column) -> int:
    return column.width if column.least is None else min(column.width, max(column.least, len(column.title)))


def _squeezed(columns: Sequence[Column], excess: int) -> list[tuple[Column, int]]:
    """Take the excess from the widest columns that give way, one character at a time."""
    widths = [column.width for column in columns]
    for _ in range(excess):
        able = [at for at, column in enumerate(columns) if widths[at] > _least(column)]
        widths[max(able, key=lambda at: widths[at])] -= 1
    return list(zip(columns, widths, strict=True))


def drawn(columns: Sequence[Column], width: int) -> Table:
    """The table, in at most `width` characters where that is possible."""
    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    shown = fitted(columns, width)
    for column, size in shown:
        table.add_column(
            column.title,
            width=size,
            justify="right" if column.right else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for cells in zip(*(column.cells for column, _ in shown), strict=True):
        table.add_row(*cells)
    return table
