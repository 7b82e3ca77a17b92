"""Playbooks of real recorded runs, walked against runs that the compiler never saw: a sample of `bench/playbooks.py`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "bench"))

import playbook_domains as domains
import playbooks


def test_the_task_again(shared: Path) -> None:
    """Nothing wrong is written, and nine of ten held-out runs whose writes agree with the sources' are done exactly."""
    domain = playbooks.Domain("tau-retail", domains.retail(shared / "data"))
    found = playbooks.same_task(domain, 12, on_tape=True)
    for told in (found["from_the_others"], found["from_one"]):
        assert told["walks"] > 20
        assert told["wrong_writes"] == 0
        assert told["share_where_runs_agree"] >= 0.9
    assert found["tasks_compiled_from_all_their_runs"] >= 0.9 * found["tasks"]


def test_other_tools(shared: Path) -> None:
    """Runs over file systems, shops and message boards are done again by their own playbooks."""
    domain = playbooks.Domain("bfcl", domains.bfcl(shared / "data"))
    told = playbooks.itself(domain, 30, on_tape=True)
    assert told["wrong_writes"] == 0
    assert told["writes_exact"] >= 27


def test_other_customers(shared: Path) -> None:
    """A playbook of some tasks of a kind writes nothing wrong on the others."""
    domain = playbooks.Domain("tau-retail", domains.retail(shared / "data"))
    told = playbooks.across_tasks(domain, 1, on_tape=True)
    assert all(each["wrong_writes"] == 0 for each in told.values())
    assert sum(each["writes_exact"] for each in told.values()) > 50
