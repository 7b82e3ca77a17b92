"""What a playbook proposed against what an agent did: by `align`, over what was asked, writes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.replay.playbooks.shadows.scoring import ProposedCall, Safeties, score
from spanreel.replay.timeline import Replay, ReplayStep, ToolCallRecord

SAFETIES = Safeties.of({"look": "read", "pay": "write", "ship": "irreversible"})


def run(*calls: tuple[str, dict], errors: dict[int, str] | None = None) -> Replay:
    """A run of these calls, one after the other."""
    made = [
        ToolCallRecord(
            tool_name=name,
            tool_args=args,
            result={},
            error=(errors or {}).get(place),
            step=place,
            span_id=f"{place:016x}",
        )
        for place, (name, args) in enumerate(calls, 1)
    ]
    steps = [
        ReplayStep(
            number=one.step, kind="tool", name=one.tool_name, tool=one, status="error" if one.error else "ok"
        )
        for one in made
    ]
    return Replay(run_id="r", trace_id="t", steps=steps, tool_calls=made)


def proposed(*calls: tuple[str, dict]) -> list[ProposedCall]:
    """What a playbook would call."""
    return [
        ProposedCall(state=f"s{place}", tool=name, args=args, safety=SAFETIES[name])
        for place, (name, args) in enumerate(calls)
    ]


LOOK, PAY, SHIP = ("look", {"id": 1}), ("pay", {"id": 1, "sum": 5}), ("ship", {"id": 1})


@pytest.mark.parametrize(
    ("ours", "theirs", "points", "kind"),
    [
        ([LOOK, PAY], [LOOK, PAY], 1.0, None),
        ([PAY], [LOOK, LOOK, PAY], 1.0, None),
        ([LOOK, PAY], [PAY], 1.0, None),
        ([PAY], [PAY, SHIP], 0.5, "missing"),
        ([PAY, SHIP], [PAY], 0.5, "extra"),
        ([("pay", {"id": 1, "sum": 6})], [PAY], 0.0, "changed"),
        ([SHIP, PAY], [PAY, SHIP], 0.5, "reordered"),
        ([], [PAY], 0.0, "missing"),
        ([PAY], [], 0.0, "extra"),
        ([LOOK], [LOOK], 1.0, None),
        ([LOOK, ("look", {"id": 2})], [LOOK], 0.5, None),
        ([], [], 1.0, None),
    ],
)
def test_the_share_of_the_writes_that_are_the_same_on_both_sides(ours, theirs, points, kind):
    """Reads decide only where neither side writes."""
    found = score(proposed(*ours), run(*theirs), SAFETIES)
    assert found.score == points
    assert (found.first_divergence.kind if found.first_divergence else None) == kind


def test_the_first_divergence_tells_both_calls_and_the_paths_that_differ():
    """The state, the agent's step, and where in the arguments."""
    found = score(
        proposed(PAY, ("ship", {"id": 1, "to": {"city": "Ulm"}})),
        run(PAY, ("ship", {"id": 1, "to": {"city": "Bonn"}})),
        SAFETIES,
    )
    first = found.first_divergence
    assert first is not None
    assert first.proposed is not None
    assert first.did is not None
    assert (first.state, first.did.step, first.paths) == ("s1", 2, ["$.to.city"])
    assert (found.writes.same, found.writes.changed, found.writes.total) == (1, 1, 2)


def test_calls_that_failed_are_counted_and_not_judged():
    """By the span, or by a result that says so: the agent's failed attempt is not a write that the playbook lacks."""
    found = score(proposed(PAY), run(PAY, PAY, errors={1: "503"}), SAFETIES)
    assert (found.score, found.failed) == (1.0, 1)
    replay = run(PAY, PAY)
    said = replay.tool_calls[0].model_copy(update={"result": "Error: card declined"})
    found = score(
        proposed(PAY), replay.model_copy(update={"tool_calls": [said, *replay.tool_calls[1:]]}), SAFETIES
    )
    assert (found.score, found.failed) == (1.0, 1)


def test_a_tool_of_which_nobody_says_anything_writes():
    """The strictest of what is known counts; what the caller names wins."""
    known = Safeties.of({"a": "read"}, {"a": "write", "b": None, "c": "read"}, reads=["d"], writes=["c"])
    assert [known[name] for name in "abcde"] == ["write", "write", "write", "read", "write"]


CALLS = st.lists(
    st.tuples(st.sampled_from(["look", "pay", "ship"]), st.fixed_dictionaries({"id": st.integers(0, 2)})),
    max_size=6,
)


@given(CALLS, CALLS)
def test_a_score_lies_between_0_and_1_and_is_1_exactly_where_the_writes_are_the_same(ours, theirs):
    """Whatever is read; and nothing is counted twice."""
    found = score(proposed(*ours), run(*theirs), SAFETIES)
    mine, yours = ([call for call in calls if call[0] != "look"] for calls in (ours, theirs))
    assert 0 <= found.score <= 1
    assert (found.first_divergence is None) == (mine == yours)
    assert found.writes.same + found.writes.changed + found.writes.extra == len(mine)
    assert found.writes.same + found.writes.changed + found.writes.missing == len(yours)
