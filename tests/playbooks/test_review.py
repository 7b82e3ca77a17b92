"""Reviews on a real store: one decision per body, the recorded runs first, the active body unmoved until the gates pass."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import parcels
import pytest
from parcels import active, executed, playbook

import spanreel
from spanreel.exceptions import NotDecidable, Refused
from spanreel.instrument.tools import registered
from spanreel.replay.load import load
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.governance.counterexamples import counterexamples
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.review import Reviewed, Verdict, keep_counterexample, review
from spanreel.replay.playbooks.repairs import repairing
from spanreel.replay.playbooks.repairs.repairing import Repaired, Wanted


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    store = tmp_path / "parcels.db"
    parcels.world()
    watching = spanreel.instrument("parcels", store=store)
    yield Library(store)
    watching.uninstrument()


def tool(name: str, safety: str = "write") -> Any:
    function = registered()[name].function
    assert function is not None
    return spanreel.tool(name=name, safety=safety)(function)


def agent(send: Any, parcel: str = "P-1001", *, success: bool = True) -> str:
    """A run of the agent itself."""
    look = tool("look_at_parcel", "read")
    with spanreel.run("agent", input={"parcel": parcel}) as run:
        send(look(parcel_id=parcel))
        spanreel.outcome(success=success)
    return str(run.run_id)


def as_before() -> Any:
    send = tool("send_the_box")
    return lambda parcel: send(box=parcel["boxes"][0]["box_id"], mail=parcel["owner"]["mail"])


def proposed(library: Library, **wanted: Any) -> Repaired:
    return repairing.repair("send-parcel", Wanted(**wanted), library)


def decide(library: Library, ref: str = "send-parcel", **said: Any) -> Reviewed:
    given: dict[str, Any] = {"approve": True, "reason": "looked at", "actor": "ann"} | said
    return review(ref, Verdict(**given), library)


def test_the_world_changes_and_the_playbook_with_it(library: Library) -> None:
    """Fails, needs a repair, is repaired, reviewed, shadowed, promoted; until then the same body is picked all the time."""
    source = agent(as_before())
    body = active(library, playbook(derived_from=[source]))
    assert executed(body).ok
    shown = agent(parcels.renamed_argument())
    for _ in range(2):
        assert not executed(body).ok
    entry = library.get("send-parcel")
    assert (entry.status, entry.hash) == ("needs_repair", body.hash)
    made = proposed(library, like=shown)
    assert made.repair.clean
    assert library.get("send-parcel").hash == body.hash
    found = decide(library)
    assert (found.status, found.decision, found.hash) == ("shadow", "approved", made.entry.hash)
    assert library.get("send-parcel").hash == body.hash
    told = {one.role: one for one in found.validated or ()}
    assert (told["shows the new way"].verdict, told["shows the new way"].passed) == ("same", True)
    assert (told["source"].verdict, told["source"].passed) == ("diverged", True)
    assert "which the repair changed" in told["source"].why
    assert told["counterexample"].verdict == "not_repeated"
    decision = next(
        one for one in library.get(f"send-parcel@{made.entry.version}").decisions if one.kind == "review"
    )
    assert (decision.actor, decision.reason, decision.to) == ("ann", "looked at", "shadow")
    assert [figure["passed"] for figure in decision.gates] == [True] * len(found.validated or ())
    assert executed(made.entry.body).ok


def test_a_body_is_reviewed_once(library: Library) -> None:
    """A second decision about the same body is refused, whichever it is."""
    active(library)
    shown = agent(parcels.renamed_argument())
    made = proposed(library, like=shown)
    decide(library, approve=False, reason="not yet")
    with pytest.raises(NotDecidable, match="reviewed before") as refused:
        decide(library, made.entry.ref)
    assert refused.value.exit_code == 2
    again = proposed(library, like=shown)
    assert (again.known, again.entry.status) == (True, "rejected")


@pytest.mark.parametrize(
    ("said", "what"),
    [({"reason": " "}, "reason"), ({"reason": None}, "reason"), ({"actor": None}, "who decides")],
)
def test_a_review_says_why_and_who(library: Library, said: dict[str, Any], what: str) -> None:
    """Without a reason, or without anybody who decides, nothing is decided."""
    active(library)
    made = proposed(library, like=agent(parcels.renamed_argument()))
    with pytest.raises(NotDecidable, match=what):
        decide(library, **said)
    assert library.get(made.entry.ref).status == "review"


def test_only_what_waits_is_reviewed(library: Library) -> None:
    """An active body waits for no review; of several that wait one has to be named."""
    body = active(library)
    with pytest.raises(NotDecidable, match="waits for no review"):
        decide(library)
    proposed(library, patch=[{"op": "add", "path": "/goal", "value": "one"}])
    proposed(library, patch=[{"op": "add", "path": "/goal", "value": "two"}])
    with pytest.raises(NotDecidable, match="several bodies"):
        decide(library)
    assert library.get("send-parcel").hash == body.hash


def test_a_wrong_patch_is_refused_by_what_is_recorded(library: Library) -> None:
    """A repair that does not do what the run that shows the new way did is not approved, unless nobody looks."""
    active(library)
    shown = agent(parcels.renamed_argument())
    made = proposed(
        library, like=shown, patch=[{"op": "replace", "path": "/states/send/args/box", "value": "BX-1"}]
    )
    assert not made.repair.clean
    with pytest.raises(Refused, match="shows the new way") as refused:
        decide(library)
    assert refused.value.exit_code == 5
    assert library.get(made.entry.ref).status == "review"
    found = decide(library, validate=False)
    assert (found.status, found.validated) == ("shadow", None)


def test_what_a_repair_did_not_touch_has_to_be_as_it_was(library: Library) -> None:
    """A source run that parts at a state which the repair does not name speaks against it."""
    source = agent(as_before())
    active(library, playbook(derived_from=[source]))
    made = proposed(
        library,
        patch=[
            {"op": "replace", "path": "/states/look/save_as", "value": "parcel"},
            {"op": "replace", "path": "/params/parcel/pattern", "value": "X-[0-9]+"},
        ],
    )
    with pytest.raises(Refused, match="source"):
        decide(library, made.entry.ref)


def test_a_counterexample_is_not_repeated(library: Library) -> None:
    """A failed run that somebody gave stays with the playbook and its repairs, and refuses one that would do it again."""
    body = active(library)
    bad = agent(as_before(), "P-1002", success=False)
    keep_counterexample("send-parcel", bad, "the wrong parcel was sent", "ann", library)
    (known,) = counterexamples(library.entries("send-parcel"), library.get("send-parcel"))
    assert (known.run_id, known.how, known.reason) == (
        load(bad, library.path).run_id,
        "given",
        "the wrong parcel was sent",
    )
    made = proposed(library, patch=[{"op": "add", "path": "/goal", "value": "send one"}])
    with pytest.raises(Refused, match="counterexample"):
        decide(library)
    assert counterexamples(library.entries("send-parcel"), made.entry) == [known]
    stricter = proposed(
        library,
        patch=[
            {
                "op": "add",
                "path": "/states/send/pre",
                "value": [{"json": "params.parcel", "not_equals": "P-1002"}],
            }
        ],
    )
    assert decide(library, stricter.entry.ref).status == "shadow"
    assert library.get("send-parcel").hash == body.hash


def test_a_run_that_did_not_fail_is_a_counterexample_only_with_a_reason(library: Library) -> None:
    """Somebody has to say why a run that went through speaks against a playbook."""
    active(library)
    good = agent(as_before())
    with pytest.raises(NotDecidable, match="did not fail"):
        keep_counterexample("send-parcel", good, None, "ann", library)
    keep_counterexample("send-parcel", good, "it was the wrong day", "ann", library)
    assert len(counterexamples(library.entries("send-parcel"), library.get("send-parcel"))) == 1


def test_promotion_after_a_review_is_the_gates_decision(library: Library) -> None:
    """`--promote` asks the gates: too little evidence is refused, and the approval stands; with enough it becomes active."""
    body = active(library)
    shown = agent(parcels.renamed_argument())
    made = proposed(library, like=shown)
    with pytest.raises(Refused, match="min_runs"):
        decide(library, promote=True)
    assert library.get(made.entry.ref).status == "shadow"
    assert library.get("send-parcel").hash == body.hash


def test_promotion_after_a_review_with_gates_that_pass(library: Library) -> None:
    """A body whose own gates are passed by the shadow that the review made becomes active, and the old one is retired."""
    old = active(library, playbook(promotion={"profile": "aggressive"}))
    made = proposed(library, like=agent(parcels.renamed_argument()))
    found = decide(library, promote=True)
    assert (found.status, found.promoted, found.active) == ("active", True, made.entry.hash)
    assert library.get(f"send-parcel@{old.hash.removeprefix('sha256:')[:12]}").status == "retired"


def test_a_body_of_an_unknown_parent_is_reviewed_by_itself(library: Library) -> None:
    """A repair whose parent is in another store is walked over the runs that it names itself."""
    entry = library.add(
        Body.model_validate(parcels.DOCUMENT), origin="repair:human", parent="sha256:" + "0" * 64
    )
    found = decide(library, entry.ref, over=[agent(as_before())])
    assert [(one.role, one.verdict) for one in found.validated or ()] == [("shows the new way", "same")]
