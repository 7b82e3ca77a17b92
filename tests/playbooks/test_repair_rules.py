"""The rules of repair one by one, over runs made by hand; and as repairers of a guided run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parcels
import pytest
from parcels import DONE, active, executed

import spanreel
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.playbook import Playbook
from spanreel.replay.playbooks.repairs.case import Case
from spanreel.replay.playbooks.repairs.fitting import Shown, fit
from spanreel.replay.playbooks.repairs.renaming import Renamed, in_path, paths_to, renamed_in, renamed_keys
from spanreel.replay.playbooks.repairs.repair import NotRepairable, Repair, repaired
from spanreel.replay.playbooks.repairs.repairers import built_in
from spanreel.replay.playbooks.shadows.scoring import Safeties
from spanreel.replay.timeline import Replay, ToolCallRecord

SAFETIES = Safeties.of({"find": "read", "rate": "read", "book": "write", "mail": "write"})


def run_of(*calls: tuple[str, dict[str, Any], Any]) -> Replay:
    """A run that made these calls."""
    records = [
        ToolCallRecord(
            tool_name=tool, tool_args=args, result=result, span_id=f"{at:016x}", safety=SAFETIES[tool]
        )
        for at, (tool, args, result) in enumerate(calls, 1)
    ]
    return Replay(run_id="r" * 32, trace_id="a" * 32, tool_calls=records)


def body(**states: dict[str, Any]) -> Body:
    return Body.model_validate(
        {"name": "seat", "params": {"who": {}}, "initial": next(iter(states)), "states": states}
    )


def mend(playbook: Body, run: Replay) -> Repair:
    shown = Shown(run, {"who": "ann-lee"}, ok=True)
    return repaired(Case(playbook, fit(playbook, shown, None, SAFETIES), shown), SAFETIES)


FIND = {
    "tool": "find",
    "args": {"who": "{{ params.who }}"},
    "save_as": "found",
    "safety": "read",
    "next": "book",
}
FOUND = ("find", {"who": "ann-lee"}, {"seat": "SEAT-12"})
BOOK = {"tool": "book", "args": {"seat": "{{ found.seat }}"}}


def test_a_read_that_has_the_value_is_put_in() -> None:
    """An argument that only a read of the run tells gets that read before its state, bound to its result."""
    found = mend(
        body(find=FIND, book=BOOK),
        run_of(
            FOUND, ("rate", {"seat": "SEAT-12"}, {"offer": "OFFER-9"}), ("book", {"seat": "OFFER-9"}, True)
        ),
    )
    states = Body.model_validate(found.body).states
    assert found.clean
    assert (states["find"].next, states["rate"].next) == ("rate", "book")
    assert states["rate"].args == {"seat": "{{ found.seat }}"}
    assert states["book"].args == {"seat": "{{ rate.offer }}"}
    assert found.flags == ["inserted"]


def test_a_write_that_the_run_made_is_put_in_its_place() -> None:
    """A write that is missing is a new state, flagged, if all that it is given can be bound."""
    run = run_of(FOUND, ("book", {"seat": "SEAT-12"}, True), ("mail", {"to": "ann-lee"}, True))
    found = mend(body(find=FIND, book=BOOK), run)
    states = Body.model_validate(found.body).states
    assert (states["book"].next, states["mail"].args) == ("mail", {"to": "{{ params.who }}"})
    assert (found.clean, found.flags) == (True, ["inserted"])


def test_a_value_from_nowhere_is_not_made_a_constant() -> None:
    """An id of one task that nothing tells is neither bound nor kept: nobody can repair that."""
    with pytest.raises(NotRepairable):
        mend(body(find=FIND, book=BOOK), run_of(FOUND, ("book", {"seat": "SEAT-99001"}, True)))


def test_two_places_that_have_the_value_are_not_chosen_between() -> None:
    """Where a value could have come from two results, nothing is proposed."""
    twice = ("find", {"who": "ann-lee"}, {"seat": "SEAT-12", "one": "SEAT-40", "two": "SEAT-40"})
    with pytest.raises(NotRepairable):
        mend(body(find=FIND, book=BOOK), run_of(twice, ("book", {"seat": "SEAT-40"}, True)))


def test_a_constant_that_changed_is_flagged() -> None:
    """A constant that the run has another value for is proposed, and a person has to look."""
    booking = {"tool": "book", "args": {"seat": "{{ found.seat }}", "class": "second"}}
    run = run_of(FOUND, ("book", {"seat": "SEAT-12", "class": "first"}, True))
    found = mend(body(find=FIND, book=booking), run)
    assert found.patch == [{"op": "replace", "path": "/states/book/args/class", "value": "first"}]
    assert found.flags == ["constant"]


def test_another_order_is_taken_over_from_the_run() -> None:
    """Two writes in another order are proposed in that order, and flagged."""
    mail = {"tool": "mail", "args": {"to": "{{ params.who }}"}}
    playbook = body(find=FIND | {"next": "mail"}, mail=mail | {"next": "book"}, book=BOOK)
    run = run_of(FOUND, ("book", {"seat": "SEAT-12"}, True), ("mail", {"to": "ann-lee"}, True))
    found = mend(playbook, run)
    states = Body.model_validate(found.body).states
    assert (states["find"].next, states["book"].next, states["mail"].next) == ("book", "mail", "end")
    assert (found.clean, found.flags) == (True, ["order"])


def test_no_write_is_taken_out() -> None:
    """A run without a write of the playbook shows no repair: no state is ever taken out."""
    mail = {"tool": "mail", "args": {"to": "{{ params.who }}"}}
    with pytest.raises(NotRepairable):
        mend(
            body(find=FIND, book=BOOK | {"next": "mail"}, mail=mail),
            run_of(FOUND, ("book", {"seat": "SEAT-12"}, True)),
        )


def test_the_repair_says_where_its_new_call_comes_from() -> None:
    """A state that was bound anew names the span of the run that showed how."""
    booking = {"tool": "book", "args": {"seat": "{{ found.seat }}", "class": "second"}}
    found = mend(
        body(find=FIND, book=booking), run_of(FOUND, ("book", {"seat": "SEAT-12", "class": "first"}, True))
    )
    assert found.body["states"]["book"]["derived_from"] == ["a" * 32 + ":" + f"{2:016x}"]


def test_keys_under_another_name_are_found_by_value_then_by_being_the_only_one() -> None:
    """One key gone and one come, or one with the same value; two that fit equally are not guessed between."""
    old = {"id": "A", "lines": [{"sku": "S1", "n": 2}]}
    assert list(renamed_keys(old, {"key": "A", "rows": [{"sku": "S1", "n": 2}]})) == [
        Renamed((), "id", "key"),
        Renamed((), "lines", "rows"),
    ]
    assert list(renamed_keys(old, {"id": "A", "lines": [{"code": "S9", "n": 2}]})) == [
        Renamed(("lines", "*"), "sku", "code")
    ]
    assert list(renamed_keys({"a": "x"}, {"b": "y", "c": "z"})) == []
    assert list(renamed_keys({"a": "x"}, {"a": "y"})) == []


@pytest.mark.parametrize(
    ("path", "where", "after"),
    [
        ("order.lines[0].sku", ("lines", "*"), "order.lines[0].code"),
        (
            "order.lines[?@.sku == $.params.sku].sku",
            ("lines", "*"),
            "order.lines[?@.code == $.params.sku].code",
        ),
        ("order['lines'][*]['sku']", ("lines", "*"), "order['lines'][*]['code']"),
        ("order.sku", (), "order.code"),
        ("order.sku.sku", (), "order.code.sku"),
        ("sku.lines", ("lines",), "sku.lines"),
    ],
)
def test_a_key_is_renamed_where_it_is_and_nowhere_else(path: str, where: tuple[str, ...], after: str) -> None:
    """Only the key at that place of the result has its new name, in filters too; a parameter of that name stays."""
    assert in_path(path, Renamed(where, "sku", "code")) == after


def test_a_renamed_key_follows_into_every_condition() -> None:
    """Bindings, conditions on the variable, what the state itself expects: all name the key as it is now."""
    document = body(
        find=FIND
        | {
            "expect": {"json": {"seat": "x"}, "shape": {"properties": {"seat": {}}, "required": ["seat"]}},
            "post": [{"json": "seat", "exists": True}],
        },
        book=BOOK
        | {
            "pre": [{"any": [{"json": "found.seat", "exists": True}]}],
            "post": [{"var": "found.seat", "exists": True}],
        },
    ).document()
    text = str(renamed_in(document, "find", Renamed((), "seat", "place")))
    assert "place" in text
    assert "seat'" not in text.replace("'name': 'seat'", "").replace("{'seat': '{{ found.place }}'}", "")
    assert "found.seat" not in text


def test_a_value_that_says_nothing_is_found_nowhere() -> None:
    """True, small numbers and short texts could be anywhere by chance."""
    within = {"a": True, "b": 1, "c": "x", "d": "SEAT-12", "e": [{"f": "SEAT-12"}]}
    assert [list(paths_to(value, within)) for value in (True, 1, "x")] == [[], [], []]
    assert list(paths_to("SEAT-12", within)) == [".d", ".e[0].f"]


@pytest.fixture
def library() -> Iterator[Library]:
    parcels.world()
    watching = spanreel.instrument("parcels")
    yield Library()
    watching.uninstrument()


def test_a_guided_run_is_mended_by_a_rule_and_the_patch_waits_for_a_review(library: Library) -> None:
    """The state is tried again as the rule says, the run goes on, and the new body is in review; the active one stays."""
    body = active(library)
    parcels.renamed_argument()
    found = executed(body, mode="guided", repairers=built_in())
    assert found.ok
    assert DONE == [("send_the_box", {"box_id": "BX-77", "mail": "ann@example.org"})]
    assert found.mended is not None
    kept = library.get(found.mended.removeprefix("sha256:")[:16])
    assert (kept.status, kept.origin, kept.parent) == ("review", "repair:rule", body.hash)
    assert library.get("send-parcel").hash == body.hash


def test_a_guided_run_is_mended_by_what_earlier_executions_gave(library: Library) -> None:
    """A key under another name is told by comparing with a result of an earlier execution in the store."""
    body = active(library)
    assert executed(body).ok
    parcels.renamed_output()
    found = executed(body, mode="guided", repairers=built_in())
    assert found.ok
    assert DONE[-1] == ("send_the_box", {"box": "BX-77", "mail": "ann@example.org"})


def test_a_guided_run_stops_where_nobody_knows(library: Library) -> None:
    """A record that is gone is no reason to try something else."""
    found = executed(active(library), "P-9", mode="guided", repairers=built_in())
    assert (found.ok, DONE, found.mended) == (False, [], None)


def test_a_playbook_looks_after_itself(library: Library, tmp_path: Path) -> None:
    """The methods of `Playbook` do what the commands do."""
    body = active(library)
    playbook = Playbook.load(body)
    good = executed(body)
    assert playbook.lint().score < 1
    assert playbook.simulate(parcel="P-1001").readiness == "unknown"
    assert playbook.simulate({"parcel": "P-1001"}, run=good.run_id).readiness == "ready"
    made = playbook.repair(patch=[{"op": "add", "path": "/goal", "value": "send it"}])
    reviewed = Playbook.load(made.entry.body).review(approve=True, reason="fine", actor="ann")
    assert (reviewed.status, reviewed.active) == ("shadow", body.hash)
