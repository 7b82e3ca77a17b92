"""What runs have in common: their writes, in order; refused where they differ."""

from __future__ import annotations

import pytest
from procedures import Agent

from spanreel.exceptions import NotCompilable
from spanreel.replay.playbooks.compiling import compile_runs
from spanreel.replay.playbooks.compiling.observed import Observed

TOOLS = {
    "look": ("read", lambda thing: {"thing": thing}),
    "lock": ("write", lambda thing: {"locked": thing}),
    "mail": ("write", lambda thing: {"mailed": thing}),
}


def run(place: int, *calls: tuple[str, str], ok: bool = True) -> Observed:
    """A run of these calls, of which it was told."""
    one = Agent(TOOLS)
    one.hears(" and ".join(dict.fromkeys(thing for _, thing in calls)))
    for name, thing in calls:
        one.calls(name, thing=thing)
    return one.run(f"{place:032x}", ok=ok)


def test_runs_that_look_up_other_things_agree_in_what_they_change() -> None:
    """Sequences of reads may differ; the spine is what was written."""
    one = run(1, ("look", "A10001"), ("lock", "A10001"), ("mail", "A10001"))
    other = run(2, ("lock", "A10002"), ("look", "A10002"), ("look", "A10002"), ("mail", "A10002"))
    compiled = compile_runs([one, other], "lock-and-mail")
    assert [state.tool for state in compiled.body.states.values()] == ["lock", "mail"]


def test_two_runs_with_different_orders_keep_the_usual_one_and_say_so() -> None:
    """Writes that do not depend on each other may be ordered differently: the majority's order, and a note."""
    runs = [run(place, ("lock", f"A1000{place}"), ("mail", f"A1000{place}")) for place in (1, 2)]
    runs.append(run(3, ("mail", "A10003"), ("lock", "A10003")))
    compiled = compile_runs(runs, "lock-and-mail")
    assert [state.tool for state in compiled.body.states.values()] == ["lock", "mail"]
    assert any("another order" in note for note in compiled.report.notes)
    assert [check.exact for check in compiled.report.checked] == [True, True, True]


def test_runs_that_change_different_things_are_refused_by_name() -> None:
    """Where nothing says which way to go there is no procedure; the runs that differ are named."""
    runs = [run(place, ("lock", f"A1000{place}")) for place in (1, 2)]
    runs.append(run(3, ("mail", "A10003")))
    with pytest.raises(NotCompilable, match=f"{3:032x}"[:12]) as caught:
        compile_runs(runs, "lock-or-mail")
    assert caught.value.reason == "writes_differ"


def test_runs_that_only_read_are_compiled_too() -> None:
    """Without any write the reads that all runs have are the procedure."""
    runs = [run(place, ("look", f"A1000{place}")) for place in (1, 2)]
    compiled = compile_runs(runs, "look-up")
    assert compiled.body.states["look"].args == {"thing": "{{ params.thing }}"}


def test_runs_that_failed_are_not_used_and_listed() -> None:
    """Only successful runs count; which were not used, and why, is reported."""
    good, bad = run(1, ("lock", "A10001")), run(2, ("mail", "A10002"), ok=False)
    compiled = compile_runs([good, bad], "lock-it")
    assert compiled.report.runs == [good.run_id]
    assert [(one.run_id, one.why) for one in compiled.report.refused] == [(bad.run_id, "it failed")]
    with pytest.raises(NotCompilable, match="it failed") as caught:
        compile_runs([bad], "lock-it")
    assert caught.value.reason == "no_successful_run"
    with pytest.raises(NotCompilable) as caught:
        compile_runs([], "lock-it")
    assert caught.value.reason == "no_runs"
