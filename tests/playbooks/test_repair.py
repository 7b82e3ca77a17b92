"""Repairs on real tools and a real store: the world changes, the execution stops, a rule proposes, nothing else moves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parcels
import pytest
from parcels import DONE, active, executed, playbook

import spanreel
from spanreel.exceptions import BadInput, SpanreelError, UnknownRun
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.repairs import repairing
from spanreel.replay.playbooks.repairs.repair import NotRepairable
from spanreel.replay.playbooks.repairs.repairing import Repaired, Wanted


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    store = tmp_path / "parcels.db"
    parcels.world()
    watching = spanreel.instrument("parcels", store=store)
    yield Library(store)
    watching.uninstrument()


def repair(library: Library, **wanted: Any) -> Repaired:
    return repairing.repair("send-parcel", Wanted(**wanted), library)


def agent(send: Any, parcel: str = "P-1001", look: Any = None) -> str:
    """A run of the agent itself, which knows the world as it is."""
    from spanreel.instrument.tools import registered

    with spanreel.run("agent", input={"parcel": parcel}) as run:
        found = look or registered()["look_at_parcel"].function
        spanreel.outcome(success=True)
        found = (
            look(parcel_id=parcel)
            if look
            else spanreel.tool(safety="read", name="look_at_parcel")(found)(parcel_id=parcel)
        )
        send(found)
    return str(run.run_id)


def test_a_renamed_argument_is_told_by_the_tool_itself(library: Library) -> None:
    """The execution stops at the call; its signature shows the new name; the repair waits, the active body stays."""
    body = active(library)
    assert executed(body).ok
    parcels.renamed_argument()
    failed = executed(body)
    assert (failed.failure and failed.failure.guard, failed.failure and failed.failure.state) == (
        "call",
        "send",
    )
    found = repair(library)
    assert found.repair.patch == [
        {"op": "remove", "path": "/states/send/args/box"},
        {"op": "add", "path": "/states/send/args/box_id", "value": "{{ parcel.boxes[0].box_id }}"},
    ]
    assert [change.rule for change in found.repair.changes] == ["renamed argument"]
    assert found.repair.flags == ["unverified"]
    assert (found.entry.status, found.entry.origin, found.entry.parent) == (
        "review",
        "repair:rule",
        body.hash,
    )
    assert library.get("send-parcel").hash == body.hash
    DONE.clear()
    assert executed(found.entry.body).ok
    assert DONE == [("send_the_box", {"box_id": "BX-77", "mail": "ann@example.org"})]


def test_a_run_that_shows_the_new_way_proves_it(library: Library) -> None:
    """With a run of the agent in the changed world the repair is clean, and nothing is left unverified."""
    active(library)
    shown = agent(parcels.renamed_argument())
    found = repair(library, like=shown)
    assert found.repair.clean
    assert found.repair.flags == []
    assert found.entry.body.states["send"].args == {
        "box_id": "{{ parcel.boxes[0].box_id }}",
        "mail": "{{ parcel.owner.mail }}",
    }


def test_a_renamed_output_key_is_told_by_an_earlier_result(library: Library) -> None:
    """The binding finds nothing; compared with a result of before, one key has another name."""
    body = active(library)
    assert executed(body).ok
    parcels.renamed_output()
    failed = executed(body)
    assert failed.failure is not None
    assert (failed.failure.guard, failed.failure.state) == ("binding", "send")
    found = repair(library)
    assert found.entry.body.states["send"].args["box"] == "{{ parcel.items[0].box_id }}"
    assert [change.rule for change in found.repair.changes] == ["renamed output key"]
    DONE.clear()
    assert executed(found.entry.body, "P-1002").ok
    assert DONE == [("send_the_box", {"box": "BX-81", "mail": "bob@example.org"})]


def test_a_renamed_output_key_is_told_by_the_value_that_was_used(library: Library) -> None:
    """Without an earlier result: the value that the run used stands under exactly one other key."""
    from spanreel.instrument.tools import registered

    body = active(library)
    look = parcels.renamed_output()
    send = spanreel.tool(name="send_the_box")(registered()["send_the_box"].function)
    shown = agent(
        lambda parcel: send(box=parcel["items"][0]["box_id"], mail=parcel["owner"]["mail"]), look=look
    )
    found = repair(library, like=shown)
    assert found.repair.clean
    assert found.entry.body.states["send"].args["box"] == "{{ parcel.items[0].box_id }}"
    assert body.hash == library.get("send-parcel@active").hash


def test_a_guard_on_a_renamed_key_is_renamed_with_it(library: Library) -> None:
    """What a state expects of a key goes on being expected of it under its new name: no guard is lost."""
    body = active(library)
    assert executed(body).ok

    @spanreel.tool(safety="read")
    def look_at_parcel(parcel_id: str) -> dict[str, Any]:
        return {
            ("state" if key == "status" else key): value for key, value in parcels.PARCELS[parcel_id].items()
        }

    failed = executed(body)
    assert failed.failure is not None
    assert failed.failure.guard == "expect"
    found = repair(library)
    expect = found.entry.body.states["look"].expect
    assert expect is not None
    assert expect.json_ == {"state": "packed"}


def test_a_removed_record_is_not_repairable_and_that_is_said(library: Library) -> None:
    """The tool is there and takes the arguments: nothing in the playbook explains it, and nothing is proposed."""
    body = active(library)
    failed = executed(body, "P-9")
    assert not failed.ok
    with pytest.raises(NotRepairable, match=r"no parcel P-9.*data that changed"):
        repair(library)
    assert [one.hash for one in library.entries("send-parcel")] == [body.hash]


def test_a_renamed_tool_is_told_by_the_only_one_that_fits(library: Library) -> None:
    """A tool that is not registered any more is the one registered tool that takes its arguments."""

    @spanreel.tool
    def post_a_letter_box(letter: str, street: str) -> dict[str, Any]:
        DONE.append(("post_a_letter_box", {"letter": letter, "street": street}))
        return {"sent": True}

    document = playbook().document()
    document["states"]["send"] |= {
        "tool": "post_box_of_letters",
        "args": {"letter": "{{ parcel.boxes[0].box_id }}", "street": "{{ parcel.owner.mail }}"},
    }
    body = active(library, Body.model_validate(document))
    failed = executed(body)
    assert failed.failure is not None
    assert failed.failure.guard == "tool"
    found = repair(library, run=failed.run_id)
    assert found.repair.patch == [
        {"op": "replace", "path": "/states/send/tool", "value": "post_a_letter_box"}
    ]


def test_two_tools_that_fit_are_not_guessed_between(library: Library) -> None:
    """Where two registered tools take the arguments, nothing is proposed."""
    for name in ("carry_crate_a", "carry_crate_b"):

        @spanreel.tool(name=name)
        def carry(crate: str, quay: str) -> bool:
            return True

    document = playbook().document()
    document["states"]["send"] |= {
        "tool": "carry_crate",
        "args": {"crate": "{{ parcel.boxes[0].box_id }}", "quay": "Q"},
    }
    body = active(library, Body.model_validate(document))
    failed = executed(body)
    with pytest.raises(NotRepairable):
        repair(library, run=failed.run_id)


def test_what_two_changes_break_is_repaired_by_two(library: Library) -> None:
    """Rules are applied one after the other until the run fits."""
    active(library)
    look = parcels.renamed_output()
    send: Any = None
    parcels.renamed_argument()
    from spanreel.instrument.tools import registered

    send = spanreel.tool(name="send_the_box")(registered()["send_the_box"].function)
    shown = agent(
        lambda parcel: send(box_id=parcel["items"][0]["box_id"], mail=parcel["owner"]["mail"]), look=look
    )
    found = repair(library, like=shown)
    assert found.repair.clean
    assert found.entry.body.states["send"].args["box_id"] == "{{ parcel.items[0].box_id }}"


def test_a_changed_guard_value_is_proposed_and_flagged(library: Library) -> None:
    """A successful run shows another value where a guard asks for one: it is proposed, and a person has to look."""
    active(library)

    @spanreel.tool(safety="read")
    def look_at_parcel(parcel_id: str) -> dict[str, Any]:
        return parcels.PARCELS[parcel_id] | {"status": "wrapped"}

    from spanreel.instrument.tools import registered

    send = spanreel.tool(name="send_the_box")(registered()["send_the_box"].function)
    shown = agent(
        lambda parcel: send(box=parcel["boxes"][0]["box_id"], mail=parcel["owner"]["mail"]),
        look=look_at_parcel,
    )
    found = repair(library, like=shown)
    assert found.repair.flags == ["guard"]
    assert found.repair.patch == [
        {"op": "replace", "path": "/states/look/expect/json/status", "value": "wrapped"}
    ]


def test_a_failed_execution_alone_changes_no_guard(library: Library) -> None:
    """A guard that stopped an execution is no evidence against itself."""
    body = active(library)
    assert executed(body).ok

    @spanreel.tool(safety="read")
    def look_at_parcel(parcel_id: str) -> dict[str, Any]:
        return parcels.PARCELS[parcel_id] | {"status": "lost"}

    assert not executed(body).ok
    with pytest.raises(NotRepairable, match="expect"):
        repair(library)


def test_a_patch_of_a_person_is_checked_and_kept_in_review(library: Library) -> None:
    """A person's patch becomes a body of its own origin; one that does not fit is refused, and nothing is kept."""
    body = active(library)
    found = repair(
        library,
        patch={"step_patches": [{"step_index": 2, "set": {"retry": {"max_attempts": 1}, "post": []}}]},
        actor="ann",
    )
    assert (found.entry.status, found.entry.origin, found.repair.flags) == (
        "review",
        "repair:human",
        ["guard"],
    )
    with pytest.raises(BadInput):
        repair(library, patch=[{"op": "remove", "path": "/states/nowhere"}])
    assert len(library.entries("send-parcel")) == 2
    assert library.get("send-parcel").hash == body.hash


def test_a_function_of_the_user_may_propose(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callable repairer gives a patch or a state; what does not do what the run did is refused."""
    active(library)
    shown = agent(parcels.renamed_argument())
    found = repair(library, like=shown, using="parcels:better_send")
    assert found.repair.clean
    assert found.entry.body.states["send"].args["box_id"] == "{{ parcel.boxes[0].box_id }}"
    with pytest.raises(NotRepairable, match="does not do what run"):
        repair(library, like=shown, using="parcels:worse_send")
    with pytest.raises(NotRepairable, match="knows no repair"):
        repair(library, like=shown, using="parcels:no_idea")
    with pytest.raises(SpanreelError, match="the repairer failed"):
        repair(library, like=shown, using="parcels:breaks")


def test_a_model_may_propose_and_is_counted(library: Library) -> None:
    """A model's answer is a patch; it is told the playbook, the failure and the run, and its call is counted."""
    active(library)
    shown = agent(parcels.renamed_argument())
    told: list[str] = []

    def model(prompt: str, _system: str | None, _schema: Any) -> Any:
        told.append(prompt)
        return {
            "patch": [
                {"op": "move", "from": "/states/send/args/box", "path": "/states/send/args/box_id"},
            ]
        }

    found = repair(library, like=shown, using="model", model=model)
    assert (found.entry.origin, found.repair.model_calls, found.repair.clean) == ("repair:model", 1, True)
    assert "send_the_box" in told[0]
    assert "box_id" in told[0]
    with pytest.raises(SpanreelError, match="no model is named"):
        repair(library, like=shown, using="model")


def test_what_fits_needs_no_repair_and_what_never_failed_has_none(library: Library) -> None:
    """A run that the playbook fits, and a playbook without failures, are said to be so."""
    body = active(library)
    with pytest.raises(UnknownRun, match="no execution"):
        repair(library)
    good = executed(body)
    with pytest.raises(UnknownRun, match="no failed execution"):
        repair(library, run=good.run_id)
    with pytest.raises(NotRepairable, match="as it is"):
        repair(library, like=good.run_id)


def test_a_failed_run_shows_no_new_way(library: Library) -> None:
    """Only a run that succeeded says how it is done now."""
    body = active(library)
    failed = executed(body, "P-9")
    with pytest.raises(NotRepairable, match="did not succeed"):
        repair(library, like=failed.run_id)
