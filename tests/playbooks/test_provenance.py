"""Every part of a playbook says where it comes from, and a file carries that to another store without its trust."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run_spans
from kept_playbooks import body, execution, put

from spanreel.exceptions import BadInput, UnknownPlaybook
from spanreel.replay.playbooks.governance.exchange import exported, imported
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import promote
from spanreel.replay.playbooks.governance.why import why

REPORT = {
    "states": [
        {
            "name": "first",
            "support": 2,
            "guards": ["status is delivered in 2 of 2"],
            "arguments": [
                {"name": "id", "how": "input", "why": "it varies", "support": 2, "runs": 2, "doubt": "short"}
            ],
        }
    ]
}


def compiled(store: Path) -> Library:
    """A library with a body that was compiled from two runs that are there, and one that is not."""
    runs = [run_spans(1), run_spans(2)]
    put(store, *runs)
    spans = [f"{run[0].trace_id}:{3:016x}" for run in runs]
    states = {
        "first": {
            "tool": "look", "args": {"id": "{{ params.order_id }}", "all": True}, "save_as": "order", "next": "second",
            "derived_from": [*spans, f"{'ab' * 16}:{'cd' * 8}"],
        },
        "second": {"llm": {"prompt": "Thank for {{ order.id }}"}},
    }  # fmt: skip
    made = body(
        states=states, derived_from=[*(run[0].trace_id for run in runs), "ab" * 16], notes=["look at id"]
    )
    library = Library(store)
    library.add(made, origin="merged_runs", actor={"name": "ann"}, report=REPORT, reason="a week of runs")
    return library


def test_why_tells_all(store: Path) -> None:
    """Origin, source runs and steps, decisions with their gates, evidence; of each state its values and its failures."""
    library = compiled(store)
    entry = library.get("exchange")
    put(store, execution(1, entry.body), execution(2, entry.body, ok=False))
    promote("exchange", force=True, reason="the demo", actor="bob", store=library)
    found = why("exchange", store=store)
    assert (found.origin, found.status, found.why) == (
        "merged_runs",
        "active",
        "promote by bob, forced: the demo",
    )
    assert [(one.agent_name, one.steps) for one in found.sources] == [
        ("support", 3),
        ("support", 3),
        (None, None),
    ]
    assert [one["kind"] for one in found.decisions] == ["added", "promote"]
    added, promoted = found.decisions
    assert (added["actor"], added["reason"]) == ({"name": "ann"}, "a week of runs")
    assert (promoted["from"], promoted["to"], promoted["forced"], promoted["actor"]) == (
        "candidate",
        "active",
        True,
        "bob",
    )
    assert any(not gate["passed"] and "min_runs" in gate["text"] for gate in promoted["gates"])
    assert [one.became for one in found.evidence] == ["ok", "failed"]
    assert found.notes == ["look at id"]
    first, second = found.states
    assert [(one.run_id or "")[:8] for one in first.derived_from] == ["00000001", "00000002", ""]
    assert [one.step for one in first.derived_from] == [2, 2, None]
    assert first.support == "2 of 3 runs"
    told = {one.path: (one.value, one.inferred) for one in first.values}
    assert told["args.id"] == ("{{ params.order_id }}", "input; it varies; 2 of 2 runs; look at it: short")
    assert told["args.all"] == (True, None)
    assert first.guards == ["status is delivered in 2 of 2"]
    assert [(one.guard, one.reason) for one in first.failures] == [("expect", "the status is cancelled")]
    assert [one.path for one in second.values] == ["llm.prompt"]
    assert second.failures == []


def test_why_of_a_state(store: Path) -> None:
    """Only that state; one that is not there names those that are."""
    compiled(store)
    assert [one.name for one in why("exchange", "second", store).states] == ["second"]
    with pytest.raises(UnknownPlaybook, match="exchange@1 has no state third; there are first, second"):
        why("exchange", "third", store)


def test_a_repair_names_what_it_mends(store: Path) -> None:
    """By version where that is in the store, else by hash; what decided about it is told too."""
    library = compiled(store)
    parent = library.get("exchange")
    library.add(body(tool="new"), origin="repair:rule", parent=parent.hash)
    assert why("exchange@2", store=store).parent == "exchange@1"
    library.add(body("other"), origin="repair:model", parent="sha256:" + "9" * 64)
    assert why("other", store=store).parent == "sha256:" + "9" * 64


@pytest.mark.parametrize("as_json", [False, True])
def test_a_file_carries_where_it_comes_from(store: Path, tmp_path: Path, as_json: bool) -> None:
    """The same body, as a candidate with its history; exporting it again tells of both stores."""
    library = compiled(store)
    put(store, execution(1, library.get("exchange").body))
    promote("exchange", force=True, reason="the demo", actor="bob", store=library)
    entry, text = exported("exchange", store, as_json=as_json)
    file = tmp_path / ("one.json" if as_json else "one.yaml")
    file.write_text(text, "utf-8")
    there = Library(tmp_path / "there.db")
    came, new = imported(file, there, "eve")
    assert (came.hash, came.status, came.origin, new) == (entry.hash, "candidate", "imported", True)
    assert came.body.states["first"].derived_from == entry.body.states["first"].derived_from
    assert came.history["origin"] == "merged_runs"
    assert [one["kind"] for one in came.history["decisions"]] == ["added", "promote"]
    assert came.history["evidence"]["ok"] == 1
    told = why("exchange", store=there)
    assert [one["kind"] for one in told.decisions] == ["added"]
    assert told.states[0].guards == ["status is delivered in 2 of 2"]
    assert told.history["status"] == "active"
    again, new = imported(file, there, "eve")
    assert (again, new) == (came, False)
    back = json.loads(exported("exchange", there, as_json=True)[1])
    assert back["provenance"]["before"]["origin"] == "merged_runs"
    assert imported(file, store)[0].status == "active"  # here it was decided


def test_a_file_that_is_no_playbook(tmp_path: Path) -> None:
    """One clear line, and nothing is added."""
    library = Library(tmp_path / "spans.db")
    file = tmp_path / "bad.yaml"
    for text, said in (("spanreel: playbook/v1\nname: x\n", r"bad\.yaml:1: .* missing"), ("- 1\n", "object")):
        file.write_text(text)
        with pytest.raises(BadInput, match=said):
            imported(file, library)
    with pytest.raises(BadInput, match="cannot be read"):
        imported(tmp_path / "none.yaml", library)
    assert library.entries() == []
