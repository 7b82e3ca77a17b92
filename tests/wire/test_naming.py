"""naming: which run a name means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from spanreel.exceptions import AmbiguousRun, UnknownRun
from spanreel.wire.grouping import Run, group
from spanreel.wire.naming import named
from spanreel.wire.records import Record

IDS = ["ab" + "0" * 30, "ac" + "1" * 30, "b" * 32, "1" * 32]


def listed(ids: Sequence[str] = IDS) -> list[Run]:
    """Runs newest first; the second has failed, the last two share an alias that is also the first one's prefix."""
    records = [
        Record(
            trace_id=each, span_id=f"{number:016x}", name="invoke_agent a", parent_span_id=None, kind="agent",
            start_ns=100 - number, end_ns=200, status=2 if number == 1 else 1, run_id="ab" if number > 1 else None,
        )
        for number, each in enumerate(ids)
    ]  # fmt: skip
    return group(records)[::-1]


@pytest.mark.parametrize(
    ("name", "position"),
    [
        (IDS[1], 1), ("ac", 1), ("AC11", 1), ("last", 0), ("last~0", 0), ("last~3", 3), ("last:failed", 1), ("last:error", 1),
        ("last:completed", 0), ("ab", 2), ("ab0", 0), ("b", 2),
    ],
)  # fmt: skip
def test_a_name_means_one_run(name: str, position: int) -> None:
    """Ids, prefixes in either case, the last ones by place or status; an alias goes before a prefix, its newest run wins."""
    runs = listed()
    assert named(runs, name, "here") == runs[position]


@pytest.mark.parametrize(
    "name", ["", "zz", "last~4", "last:paused", "last~", "last~-1", "last:failed~1", "latest", "last~٣"]
)
def test_a_name_of_no_run_is_refused_with_the_command_that_lists_them(name: str) -> None:
    """Also the empty name, which is a prefix of every id."""
    with pytest.raises(UnknownRun) as caught:
        named(listed(), name, "here")
    assert caught.value.remedy == "spanreel runs"
    assert "here holds" in str(caught.value)


def test_a_prefix_of_several_runs_names_them() -> None:
    """The error lists the first of them and says to give more."""
    with pytest.raises(AmbiguousRun, match=f"2 runs begin with a: {IDS[0]}, {IDS[1]}; .*spanreel runs"):
        named(listed(), "a", "here")
    many = [f"{number:02x}".rjust(32, "f") for number in range(9)]
    with pytest.raises(AmbiguousRun, match=r"9 runs begin with f.*, …"):
        named(listed(many), "f", "here")


def test_no_runs_at_all() -> None:
    """`last` of nothing is an unknown run like any other."""
    with pytest.raises(UnknownRun, match="here holds 0 runs"):
        named([], "last", "here")
