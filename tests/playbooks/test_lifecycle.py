"""Statuses follow the table; evidence takes a body out of use and says why; no sequence of decisions goes around it."""

from __future__ import annotations

import importlib
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from kept_playbooks import SECOND, body, execution, put

from spanreel.exceptions import NotDecidable, Refused, SpanreelError
from spanreel.replay.playbooks.governance.evidence import Evidence, Executed
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.lifecycle import (
    EVENTS,
    LIVE,
    STATUSES,
    TRANSITIONS,
    Decision,
    Demotion,
    decided,
    demoted,
    transition,
)
from spanreel.replay.playbooks.governance.promoting import promote
from spanreel.replay.playbooks.governance.promotion import PROFILES, Gates
from spanreel.replay.playbooks.governance.shelf import matched_as

DOCS = Path(__file__).resolve().parents[2] / "docs"
PASSED = [{"gate": "min_runs", "passed": True}]


def test_only_gates_make_a_body_active() -> None:
    """Every way to active is through the gates, and none leads there from review, rejected or disabled."""
    ways = [one for one in TRANSITIONS if one.after == "active"]
    assert {one.who for one in ways} == {"gates"}
    assert not {one.before for one in ways} & {"review", "rejected", "disabled", None}
    assert [one for one in TRANSITIONS if one.before == "rejected"] == []
    assert {one.after for one in TRANSITIONS} == set(STATUSES)
    keys = [(one.before, one.event, one.after) for one in TRANSITIONS]
    assert len(keys) == len(set(keys))


def test_what_is_no_row_is_refused() -> None:
    """An event that a status does not know says what can happen; one that leads to several has to say which."""
    assert transition("candidate", "promote", "shadow").after == "shadow"
    assert transition("disabled", "enable", None).after == "candidate"
    for status, event, to, said in (
        ("candidate", "promote", None, "leads to shadow or active; say which"),
        ("review", "promote", "active", "cannot happen to a body that is review; what can: review"),
        ("rejected", "review", "shadow", "its status is final"),
        ("shadow", "promote", "retired", "leads to active, not to retired"),
        ("active", "fails", None, "fails cannot happen"),
    ):
        with pytest.raises(NotDecidable, match=said):
            transition(status, event, to)


def test_decisions_that_fit_no_row_are_passed_over() -> None:
    """A forged or overtaken decision changes nothing; a decision of elsewhere neither."""
    one = Decision("promote", "candidate", "active", at="2026-01-01T00:00:00.000000Z")
    assert decided([one], repair=False) == ("active", one)
    assert decided([one], repair=True) == ("review", None)
    assert decided([Decision("promote", "candidate", "active", here=False)], repair=False)[0] == "candidate"
    assert decided([Decision("promote", "rejected", "rejected")], repair=False)[0] == "candidate"
    assert decided([Decision("hook"), Decision("exported", to="active")], repair=False)[0] == "candidate"


def ran(*became: str) -> Evidence:
    """Executions that became so: o(k), f(ailed), b(locked), u(nknown), s(hadow that failed)."""
    found = [
        Executed(
            run_id=str(at), at=f"2026-01-01T00:00:{at:02d}.000000Z", mode="shadow" if one == "s" else "strict",
            ok=None if one == "u" else one == "o", guard={"f": "expect", "b": "approval", "s": "expect"}.get(one),
            stopped_at=None if one == "o" else "order", reason=None if one == "o" else "no",
        )
        for at, one in enumerate(became)
    ]  # fmt: skip
    return Evidence(executions=tuple(found))


@pytest.mark.parametrize(
    ("became", "at"),
    [
        ("", None), ("f", None), ("ff", 1), ("fof", None), ("fbf", 2), ("fuf", 2), ("fsf", 2), ("ss", None), ("bb", None),
        ("ooooff", 5), ("ofofo", 3), ("offooo", 2), ("oooofoooooofoo", None), ("ofoofo", 4),
    ],
)  # fmt: skip
def test_evidence_takes_out_of_use(became: str, at: int | None) -> None:
    """So many failures in a row, or too many of the last ones; nothing but failures counts, and later ones mend nothing."""
    found = demoted(ran(*became), Demotion(after_stops=2, max_failure_ratio=0.3, least=4))
    assert (None if found is None else int(found[0].run_id)) == at
    if found is not None:
        assert "expect at order: no" in found[1]


def test_a_body_that_fails_needs_repair_until_somebody_decides(store: Path) -> None:
    """It stays so although it works again; dispatch may not pick it, its name still means it, a promotion begins anew."""
    library = Library(store)
    library.decide(library.add(body()), "promote", to="active", gates=PASSED)
    now = time.time_ns() - 10 * SECOND  # each begins at its number of seconds after that
    put(store, execution(10, body(), at=now), execution(11, body(), ok=False, at=now - SECOND + 1000))
    assert library.get("exchange").status == "active"
    more = [(12, False), (13, True), (14, True)]
    put(store, *(execution(n, body(), ok=ok, at=now - (n - 10) * SECOND + n * 1000) for n, ok in more))
    entry = library.get("exchange")
    assert (entry.status, entry.dispatchable) == ("needs_repair", False)
    assert entry.why == "expect at first: the status is cancelled (2 executions in a row failed)"
    library.add(body(tool="other"), origin="repair:rule", parent=entry.hash)
    assert library.get("exchange").hash == library.get("exchange@active").hash == entry.hash
    with pytest.raises(Refused, match="max_failed asks for at most 1; found 2, 1 too many"):
        promote("exchange", store=library)
    again = promote("exchange", force=True, reason="the outage is over", actor="ann", store=library)
    assert (again.entry.status, again.before, again.forced) == ("active", "needs_repair", True)
    assert again.entry.decisions[-1].from_ == "needs_repair"


def test_a_repair_never_displaces_the_active_body(store: Path) -> None:
    """A child in review is what no name means while there is an active one, and cannot be promoted before its review."""
    library = Library(store)
    active = library.decide(library.add(body()), "promote", to="active", gates=PASSED)
    child = library.add(body(tool="new_look"), origin="repair:model", parent=active.hash)
    assert (child.status, child.dispatchable) == ("review", False)
    assert library.get("exchange").hash == active.hash
    for to in ("shadow", "active"):
        with pytest.raises(NotDecidable):
            promote(child.ref, to, force=True, reason="now", store=library)
    library.decide(child, "review", to="shadow", actor="ann", reason="it is right")
    assert library.get("exchange").hash == active.hash
    assert library.get(child.ref).status == "shadow"


def test_an_enabled_body_is_a_candidate(store: Path) -> None:
    """What was disabled while active does not come back as active beside the one that took its place."""
    library = Library(store)
    first = library.decide(library.add(body()), "promote", to="active", gates=PASSED)
    library.decide(first, "disable", reason="the tool is down")
    second = library.decide(library.add(body(tool="other")), "promote", to="active", gates=PASSED)
    back = library.decide(library.get("exchange@1"), "enable")
    assert (back.status, library.get("exchange").hash) == ("candidate", second.hash)
    with pytest.raises(NotDecidable, match="enable cannot happen"):
        library.decide(back, "enable")


BODIES = [
    body("one", tool="a"), body("one", tool="b"), body("two", tool="a", matchers={"goal": ["x"]}),
    body("three", tool="a", matchers={"goal": ["x"]}), body("three", tool="b"),
]  # fmt: skip


class Lifecycle(RuleBasedStateMachine):
    """Anybody adds, decides with or without the gates, and lets bodies succeed and fail, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.library = Library(Path(self.folder.name) / "spans.db")
        self.runs = 0
        self.reviewed: dict[str, int] = {}
        self.gated: set[str] = set()

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        self.library.add(BODIES[0])

    @rule(which=st.sampled_from(BODIES), repair=st.booleans())
    def add(self, which: Any, repair: bool) -> None:
        before = {one.hash: one.status for one in self.library.entries()}
        entry = self.library.add(which, origin="repair:rule" if repair else None)
        assert entry.status == before.get(entry.hash, "review" if repair else "candidate")

    @rule(
        which=st.integers(0, 4),
        to=st.sampled_from(["active", "active", "shadow"]),
        gates=st.sampled_from([PASSED, None]),
    )
    def promote(self, which: int, to: str, gates: Any) -> None:
        self.decide(which, "promote", to, gates, stale=True)

    @rule(which=st.integers(0, 4), to=st.sampled_from(["shadow", "candidate", "rejected"]))
    def review(self, which: int, to: str) -> None:
        self.decide(which, "review", to, None, stale=True)

    @rule(
        which=st.integers(0, 4),
        kind=st.sampled_from([*EVENTS, "hook", "nonsense"]),
        to=st.sampled_from([None, *STATUSES]),
        gates=st.sampled_from([None, PASSED, [{"gate": "min_runs", "passed": False}]]),
        stale=st.booleans(),
    )
    def anything(self, which: int, kind: str, to: Any, gates: Any, stale: bool) -> None:
        self.decide(which, kind, to, gates, stale=stale)

    def decide(self, which: int, kind: str, to: Any, gates: Any, *, stale: bool) -> None:
        entries = self.library.entries()
        entry = entries[which % len(entries)]
        try:
            made = self.library.decide(entry, kind, to=to, gates=gates)
        except SpanreelError:
            assert {one.hash: one.status for one in self.library.entries()} == {
                one.hash: one.status for one in entries
            }
            return
        if kind == "review":
            self.reviewed[entry.hash] = self.reviewed.get(entry.hash, 0) + 1
        if made.status == "active" and entry.status != "active":
            assert (kind, gates) == ("promote", PASSED)
        if stale and kind != "hook" and made.status != entry.status:
            with pytest.raises(SpanreelError):
                self.library.decide(entry, kind, to=to, gates=gates)

    @rule(which=st.integers(0, 4), ok=st.booleans())
    def execute(self, which: int, ok: bool) -> None:
        entries = self.library.entries()
        self.runs += 1
        put(self.library.path, execution(self.runs, entries[which % len(entries)].body, ok=ok))

    @invariant()
    def holds(self) -> None:
        entries = self.library.entries()
        for of in ((lambda one: one.name), (lambda one: matched_as(one.body) or one.hash)):
            live = [of(one) for one in entries if one.status in LIVE]
            assert len(live) == len(set(live)), live
        for one in entries:
            assert one.dispatchable == (one.status == "active")
            assert not (
                one.dispatchable and not any(made.to == "active" and made.gates for made in one.decisions)
            )
        assert all(times == 1 for times in self.reviewed.values())


Lifecycle.TestCase.settings = settings(
    max_examples=12, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLifecycle = Lifecycle.TestCase


def test_the_page_is_drawn_from_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python docs/draw_lifecycle.py` changes nothing on the page: its picture and its tables are up to date."""
    monkeypatch.syspath_prepend(str(DOCS))
    page = (DOCS / "playbooks-lifecycle.md").read_text("utf-8")
    assert importlib.import_module("draw_lifecycle").page(page) == page


def test_the_page_tells_the_gates_of_each_profile() -> None:
    """Each row of the table of gates says what the profiles ask."""
    page = (DOCS / "playbooks-lifecycle.md").read_text("utf-8")
    for gate in Gates.model_fields:
        asked = [getattr(PROFILES[name], gate) for name in ("strict", "staged", "aggressive")]
        told = ["–" if one is None or one is False else "yes" if one is True else str(one) for one in asked]
        assert f"| {' | '.join(told)} |" in next(
            line for line in page.splitlines() if f"`{gate}`" in line and line[0] == "|"
        )
