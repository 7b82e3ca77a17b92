"""Gates say what they ask, what was found and how much is missing; what is not known is not passed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import run_spans
from kept_playbooks import body, execution, put

from spanreel.exceptions import BadInput, NotDecidable, Refused
from spanreel.replay.playbooks.governance.evidence import Evidence, Executed
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import promote
from spanreel.replay.playbooks.governance.promotion import (
    DEFAULT,
    PROFILES,
    Gates,
    SourceCost,
    judge,
    refused,
    resolve,
)
from spanreel.wire import attributes as names


def one(became: str = "ok", **more: Any) -> Executed:
    """An execution."""
    ok = {"ok": True, "failed": False, "blocked": False, "unknown": None}[became]
    guard = {"failed": "expect", "blocked": "approval"}.get(became)
    said = {"run_id": "a", "at": None, "mode": "strict", "inputs": '{"a":1}', "model_calls": 0, **more}
    return Executed(ok=ok, guard=guard, **said)


def found(*executions: Executed) -> Evidence:
    """Evidence of these."""
    return Evidence(executions=executions)


SHADOW = one(mode="shadow", score=1.0, source="b")


@pytest.mark.parametrize(
    ("gates", "evidence", "text"),
    [
        ({"min_runs": 2}, found(one(), one("failed")), None),
        ({"min_runs": 3}, found(one(), one("failed")), "min_runs asks for at least 3; found 2, 1 too few"),
        ({"min_runs": 1}, found(one("unknown"), one("blocked")), "found 0, 1 too few"),
        ({"min_distinct_inputs": 2}, found(one(), one(inputs="{}")), None),
        ({"min_distinct_inputs": 2}, found(one(), one()), "found 1, 1 too few"),
        ({"min_distinct_inputs": 1}, found(one(inputs=None)), "found 0, 1 too few"),
        ({"min_distinct_inputs": 2}, found(one(), one("failed", inputs="{}")), "found 1, 1 too few"),
        ({"min_success_ratio": 0.5}, found(one(), one("failed"), one("blocked")), None),
        ({"min_success_ratio": 0.9}, found(one(), one("unknown")), "found 0.5, 0.4 too little"),
        ({"min_success_ratio": 0.0}, found(), "min_success_ratio asks for at least 0; nothing is known"),
        ({"max_divergence": 0.1}, found(SHADOW), None),
        ({"max_divergence": 0.1}, found(one()), "max_divergence asks for at most 0.1; nothing is known"),
        ({"max_divergence": 0.1}, found(SHADOW, one(mode="shadow", score=0.5)), "found 0.25, 0.15 too much"),
        ({"max_failed": 0}, found(one("blocked")), None),
        ({"max_failed": 0}, found(one("failed")), "max_failed asks for at most 0; found 1, 1 too many"),
        ({"max_blocked": 0}, found(one("blocked")), "found 1, 1 too many"),
        ({"max_unknown": 0}, found(one("unknown"), one("unknown")), "found 2, 2 too many"),
        ({"require_shadow_pass": True}, found(SHADOW), None),
        ({"require_shadow_pass": True}, found(one()), "it has shadowed no run"),
        (
            {"require_shadow_pass": True},
            found(SHADOW, one("failed", mode="shadow", stopped_at="order")),
            "the newest shadow did not go through (expect at order)",
        ),
    ],
)
def test_each_gate_decides(gates: dict[str, Any], evidence: Evidence, text: str | None) -> None:
    """Passed, or refused with what it asks, what was found and by how much it falls short."""
    [figure] = judge(evidence, Gates(**gates))
    assert figure.passed == (text is None), figure
    assert figure.gate == next(iter(gates))
    if text is not None:
        assert text in figure.text


@pytest.mark.parametrize(
    ("calls", "sources", "text"),
    [
        ([one(model_calls=0)], SourceCost(), "found 0 (it calls no model)"),
        ([one(model_calls=1, cost="0.2")], SourceCost(0.5), "found 0.4 (of the cost of its source runs)"),
        (
            [one(model_calls=1, cost="0.6")],
            SourceCost(0.5),
            "found 1.2 (of the cost of its source runs), 0.2 too much",
        ),
        (
            [one(model_calls=1, tokens=50)],
            SourceCost(None, 100),
            "found 0.5 (of the tokens of its source runs)",
        ),
        ([one(model_calls=1, cost="0.2")], SourceCost(), "nothing is known"),
        ([one(model_calls=1)], SourceCost(0.5, 100), "nothing is known"),
        ([one(model_calls=1, cost="0.2"), one(model_calls=1)], SourceCost(0.5), "nothing is known"),
        ([], SourceCost(0.5, 100), "nothing is known"),
        ([one("failed", model_calls=0)], SourceCost(), "nothing is known"),
    ],
)
def test_what_it_costs(calls: list[Executed], sources: SourceCost, text: str) -> None:
    """Over what the source runs cost; by tokens where no cost is known; without either it is not passed."""
    [figure] = judge(found(*calls), Gates(max_cost_ratio=1.0), sources)
    assert text in figure.text
    assert figure.passed == ("too much" not in text and "nothing" not in text)


def test_nothing_is_no_pass() -> None:
    """A body without evidence passes no gate that asks for some, in any profile."""
    for name, gates in PROFILES.items():
        missing = {figure.gate for figure in refused(judge(Evidence(), gates))}
        assert {"min_runs", "min_distinct_inputs", "min_success_ratio"} <= missing, name


def test_who_asks_what() -> None:
    """The profile, then the project, then the body, then the caller; each gate tells who asks it."""
    assert resolve().profile == DEFAULT
    told = resolve({"profile": "strict", "min_runs": 9}, {"max_failed": 2}, {"min_runs": 12}).document()
    assert told["profile"] == "strict"
    assert told["gates"]["min_runs"] == {"value": 12, "from": "caller"}
    assert told["gates"]["max_failed"] == {"value": 2, "from": "playbook"}
    assert told["gates"]["max_divergence"] == {"value": 0.0, "from": "strict"}
    assert resolve({"profile": "strict"}, {"profile": "aggressive"}).gates == PROFILES["aggressive"]
    assert resolve({"max_failed_steps": 7}).gates.max_failed == 7
    assert resolve({"demote_after_stops": 5}).demotion.after_stops == 5


@pytest.mark.parametrize(
    "less",
    [
        {"min_runs": 2},
        {"min_runs": None},
        {"max_failed": 9},
        {"max_failed": None},
        {"require_shadow_pass": False},
        {"profile": "aggressive"},
        {"profile": "strict", "max_divergence": 0.5},
    ],
)
def test_a_caller_can_only_ask_for_more(less: dict[str, Any]) -> None:
    """What asks for less is the way of --force, with its reason; a project and a body may."""
    with pytest.raises(Refused, match="asks for less than"):
        resolve(caller=less)
    assert resolve(less).sources or less["profile"]
    assert resolve(caller={"profile": "strict"}).gates == PROFILES["strict"]
    assert resolve(caller={"min_runs": 4, "max_unknown": 0}).gates.max_unknown == 0
    assert resolve({}, {"max_failed": None}).document()["gates"]["max_failed"] == {
        "value": None,
        "from": "playbook",
    }


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"min_run": 3}, "min_run is no gate; did you mean min_runs?"),
        (
            {"min_total_steps": 3},
            "min_total_steps is no gate; evidence is counted in runs here: ask for min_runs",
        ),
        ({"profile": "brave"}, "there is no profile 'brave'"),
        ({"min_runs": -1}, "min_runs"),
        ({"min_success_ratio": 2}, "min_success_ratio"),
        ({"max_failed": "many"}, "max_failed"),
        ({"demote_after_stops": 0}, "demote_after_stops is at least 1"),
        ({"demote_failure_ratio": "x"}, "demote_failure_ratio"),
    ],
)
def test_what_is_no_gate_is_refused_by_name(said: dict[str, Any], text: str) -> None:
    """In the project, in a body, on the command line: one clear line."""
    for how in ("project", "body", "caller"):
        with pytest.raises(BadInput) as failed:
            resolve(**{how: said})
        assert text in str(failed.value)


def test_a_promotion_by_the_gates(store: Path) -> None:
    """Three agreeing runs and shadows make a body active; the figures are kept with the decision."""
    library = Library(store)
    library.add(body())
    with pytest.raises(Refused, match="min_runs asks for at least 3; found 0, 3 too few") as failed:
        promote("exchange", store=library)
    assert failed.value.exit_code == 5
    put(
        store,
        *(execution(n, body(), mode="shadow", score=1.0, source=f"{n:032x}") for n in (1, 2)),
        execution(3, body()),
    )
    made = promote("exchange", actor="ann", store=library)
    assert (made.entry.status, made.before, made.forced, made.retired) == ("active", "candidate", False, ())
    decision = made.entry.decisions[-1]
    assert {one["gate"]: one["passed"] for one in decision.gates}["min_runs"] is True
    again = promote("exchange", store=library)
    assert (again.changed, len(again.entry.decisions)) == (False, 2)
    assert promote(library.add(body(tool="b")).ref, force=True, reason="try", store=library).retired == (
        "exchange@1",
    )


def test_a_candidate_may_shadow_without_evidence(store: Path) -> None:
    """A shadow has no effect, so nothing is asked of it; from there to active the gates are."""
    library = Library(store)
    library.add(body())
    assert promote("exchange", "shadow", store=library).entry.status == "shadow"
    with pytest.raises(Refused):
        promote("exchange", store=library)
    with pytest.raises(Refused, match="by force needs a reason"):
        promote("exchange", force=True, store=library)


def test_a_body_may_ask_for_more(store: Path) -> None:
    """The gates of a body's own `promotion:` go before the project's; what is no gate is refused when it is added."""
    library = Library(store)
    asked = library.add(body(promotion={"profile": "aggressive", "min_runs": 2}))
    put(store, execution(1, asked.body))
    with pytest.raises(Refused, match="min_runs asks for at least 2; found 1"):
        promote("exchange", store=library)
    with pytest.raises(Refused, match="min_runs = 1 asks for less than 2"):
        promote("exchange", gates={"min_runs": 1}, store=library)
    put(store, execution(2, asked.body))
    assert promote("exchange", gates={"max_failed": 0}, store=library).entry.status == "active"
    with pytest.raises(BadInput, match="min_rums is no gate"):
        library.add(body("b", promotion={"min_rums": 1}))


def test_the_project_says_what_is_asked(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """[tool.spanreel.promotion] of the working directory; a mistake in it is named."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.spanreel.promotion]\nprofile = "aggressive"\n')
    Library(store).add(body())
    put(store, execution(1, body()))
    assert promote("exchange", store=store).judged.resolution.profile == "aggressive"
    (tmp_path / "pyproject.toml").write_text('[tool.spanreel.promotion]\nprofil = "aggressive"\n')
    with pytest.raises(BadInput, match=r"\[tool.spanreel.promotion\]: profil is no gate"):
        Library(store).entries()


def test_cost_over_that_of_the_source_runs(store: Path) -> None:
    """The runs that it was compiled from are looked up; where they are gone nothing is known."""
    unpriced = {names.REQUEST_MODEL: "ours-7b"}
    source = [replace(one, attributes={**one.attributes, **unpriced}) for one in run_spans(1)]
    put(store, source)
    library = Library(store)
    asked = {"profile": "aggressive", "max_cost_ratio": 0.5}
    kept = library.add(body(promotion=asked, derived_from=[source[0].trace_id]))
    put(store, execution(1, kept.body, model_calls=1, tokens=110, model="ours-7b"))
    assert promote("exchange", store=library).judged.figures[-1].found == 0.25
    lost = library.add(body("lost", promotion=asked, derived_from=["ab" * 16]))
    put(store, execution(2, lost.body, model_calls=1, tokens=110, model="ours-7b"))
    with pytest.raises(Refused, match=r"max_cost_ratio asks for at most 0\.5; nothing is known"):
        promote("lost", store=library)


def test_a_hook_of_the_project_is_asked(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`before_promote` hears what is about to happen and may refuse it; what it said stays with the body."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gatekeeper.py").write_text(
        "import json\n"
        "def check(event):\n"
        "    open('heard.json', 'w').write(json.dumps(event))\n"
        "    if event['to'] == 'active':\n"
        "        raise ValueError('not on a Friday')\n"
    )
    (tmp_path / "pyproject.toml").write_text('[tool.spanreel.hooks]\nbefore_promote = "gatekeeper:check"\n')
    library = Library(store)
    library.add(body())
    assert promote("exchange", "shadow", store=library).entry.status == "shadow"
    with pytest.raises(Refused, match="not on a Friday"):
        promote("exchange", force=True, reason="now", store=library)
    heard = json.loads((tmp_path / "heard.json").read_text())
    assert (heard["event"], heard["playbook"], heard["from"], heard["to"], heard["forced"]) == (
        "before_promote", "exchange", "shadow", "active", True,
    )  # fmt: skip
    entry = library.get("exchange")
    assert entry.status == "shadow"
    assert [one.kind for one in entry.decisions] == ["added", "hook", "promote", "hook"]
    assert "not on a Friday" in (entry.decisions[-1].reason or "")


def test_what_cannot_be_promoted(store: Path) -> None:
    """A disabled or rejected body is no matter of gates."""
    library = Library(store)
    library.decide(library.add(body()), "disable")
    with pytest.raises(NotDecidable, match="what can: enable, retire"):
        promote("exchange", force=True, reason="now", store=library)
