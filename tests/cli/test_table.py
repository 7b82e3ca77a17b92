"""Tables that fit the terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from spanreel.cli.render.table import GAP, Column, fitted

COLUMNS = st.lists(
    st.builds(
        lambda width, least, rank: Column("t", [Text("x" * width)], least=least, rank=rank),
        st.integers(1, 40),
        st.none() | st.integers(1, 20),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=8,
)


def taken(shown: list[tuple[Column, int]]) -> int:
    """The columns' widths and the gaps between them."""
    return sum(size for _, size in shown) + GAP * (len(shown) - 1)


@given(COLUMNS, st.integers(1, 200))
def test_it_fits_or_has_given_all_it_can(columns: list[Column], width: int) -> None:
    """Only what may never be left out, at its narrowest, is wider than the terminal."""
    shown = fitted(columns, width)
    if taken(shown) > width:
        assert all(column.rank == 0 for column, _ in shown)
        assert all(size == min(column.width, max(column.least or column.width, 1)) for column, size in shown)


@given(COLUMNS)
def test_nothing_is_cut_where_there_is_room(columns: list[Column]) -> None:
    """On a wide terminal every column is whole."""
    assert fitted(columns, 1000) == [(column, column.width) for column in columns]


def test_the_least_wanted_column_goes_first() -> None:
    """The highest rank is left out before the others, after text has given way."""
    columns = [Column("a", [Text("x" * 10)], rank=rank) for rank in (0, 2, 1)]
    assert [column.rank for column, _ in fitted(columns, 22)] == [0, 1]
