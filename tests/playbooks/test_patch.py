"""Patches of playbooks, and what differs between two."""

from __future__ import annotations

from typing import Any

import jsonpatch
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.repairs.difference import compared, difference, renamed
from spanreel.replay.playbooks.repairs.patch import in_order, patched


def body(**over: Any) -> Body:
    document: dict[str, Any] = {
        "name": "ship",
        "params": {"order": {}},
        "initial": "look",
        "states": {
            "look": {
                "tool": "get_parcel",
                "args": {"id": "{{ params.order }}"},
                "save_as": "parcel",
                "next": "send",
            },
            "send": {"tool": "send_parcel", "args": {"to": "{{ parcel.to }}"}, "next": "tell"},
            "tell": {"tool": "tell_owner", "args": {"who": "{{ parcel.owner }}"}, "next": "end"},
        },
    }
    return Body.model_validate(document | over)


def test_a_json_patch_makes_a_new_body_and_leaves_the_old_one() -> None:
    """A patch changes what it names; the body that it was made for stays what it was."""
    before = body()
    was = before.hash
    after = patched(before, [{"op": "replace", "path": "/states/send/tool", "value": "post_parcel"}])
    assert after.states["send"].tool == "post_parcel"
    assert before.hash == was != after.hash


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "remove", "path": "/states/nowhere"}],
        [{"op": "replace", "path": "/states/send/next", "value": "nowhere"}],
        [{"op": "add", "path": "/states/send/colour", "value": "red"}],
        [{"op": "test", "path": "/states/send/tool", "value": "another"}],
        [{"op": "replace", "path": "/name", "value": "other"}],
        [{"op": "replace", "path": "", "value": 3}],
        [{"op": "fly", "path": "/x"}],
        [3],
        "text",
        {},
        {"step_patches": [{"step_index": 9, "set": {}}]},
        {"step_patches": [{"set": {}}]},
        {"remove_step_indices": [0]},
        {"remove_step_indices": [True]},
        {"steps": []},
        {"remove_step_indices": [1], "step_patches": [{"step_index": 1, "set": {"tool": "x"}}]},
    ],
)
def test_a_patch_that_does_not_fit_is_refused(patch: Any) -> None:
    """What names nothing, fails its test, renames the playbook or leaves none behind is an error, never skipped."""
    with pytest.raises(BadInput):
        patched(body(), patch)


def test_steps_are_counted_as_they_are_walked() -> None:
    """Step indices follow the way through the states, not their order in the file."""
    turned = body(states=dict(reversed(list(body().document()["states"].items()))))
    assert in_order(turned) == ["look", "send", "tell"]


def test_a_step_patch_is_merged_shallowly_with_names_of_its_own() -> None:
    """`step_patches` sets keys of a step; Aionis' names for them are understood."""
    after = patched(
        body(),
        {
            "step_patches": [
                {"step_index": 2, "set": {"tool_name": "post_parcel", "retry_policy": {"max_retries": 2}}},
                {
                    "step_index": 1,
                    "set": {"safety_level": "auto_ok", "expected_output_signature": {"output_regex": "to"}},
                },
            ]
        },
    )
    send, look = after.states["send"], after.states["look"]
    assert (send.tool, send.retry.max_attempts, send.args) == ("post_parcel", 3, {"to": "{{ parcel.to }}"})
    assert look.safety == "read"
    assert look.expect is not None
    assert look.expect.regex == "to"


def test_removing_a_step_joins_its_neighbours() -> None:
    """What led to a removed step leads to what followed it, and indices are those before the removal."""
    after = patched(
        body(), {"remove_step_indices": [2], "step_patches": [{"step_index": 3, "set": {"tool": "call"}}]}
    )
    assert after.states["look"].next == "tell"
    assert list(after.states) == ["look", "tell"]
    assert after.states["tell"].tool == "call"


def test_override_comes_first_and_the_top_level_last() -> None:
    """Steps are overridden, then removed, then patched; then what is of the whole playbook."""
    after = patched(
        body(),
        {
            "risk_profile": "high",
            "matchers": {"goal": ["ship"]},
            "success_criteria": {"json": "result", "exists": True},
            "policy_constraints": {"max_calls": 3},
            "steps_override": [{"tool": "a"}, {"name": "gone", "tool": "b"}, {"tool": "c"}],
            "remove_step_indices": [2],
            "step_patches": [{"step_index": 3, "set": {"args": {"x": 1}}}],
        },
    )
    assert {name: state.tool for name, state in after.states.items()} == {"step_1": "a", "step_3": "c"}
    assert (after.states["step_1"].next, after.states["step_3"].args) == ("step_3", {"x": 1})
    assert (after.risk, after.matchers.goal, after.budget.max_calls) == ("high", ["ship"], 3)
    assert after.success == [{"json": "result", "exists": True}]


def test_a_gate_is_not_taken_out_by_its_number() -> None:
    """A state that more than one state follows cannot be removed by index."""
    gated = body(
        initial="gate",
        states={
            "gate": {"approval": {"id": "x"}, "on_approve": "go", "on_reject": "end"},
            "go": {"tool": "a"},
        },
    )
    with pytest.raises(BadInput, match="cannot be taken out"):
        patched(gated, {"remove_step_indices": [1]})


def test_a_renamed_state_is_one_change() -> None:
    """A state under another name is told as renamed, and moved by the patch."""
    document = body().document()
    document["states"]["post"] = document["states"].pop("send")
    document["states"]["look"]["next"] = "post"
    found = compared(body(), Body.model_validate(document))
    assert [(one.kind, one.before, one.after) for one in found.changes] == [("renamed", "send", "post")]
    assert [one["op"] for one in found.patch] == ["move", "replace"]


def test_the_patch_of_one_changed_argument_is_one_operation() -> None:
    """The difference names only what differs."""
    after = patched(body(), [{"op": "replace", "path": "/states/send/args/to", "value": "{{ parcel.dest }}"}])
    assert difference(body(), after) == [
        {"op": "replace", "path": "/states/send/args/to", "value": "{{ parcel.dest }}"}
    ]
    (change,) = compared(body(), after).changes
    assert (change.where, change.before, change.after) == (
        "states.send.args.to",
        "{{ parcel.to }}",
        "{{ parcel.dest }}",
    )


def test_equal_bodies_differ_in_nothing() -> None:
    """No change, no operation; where a part came from is no difference."""
    found = compared(body(), body(origin="merged_runs", derived_from=["a"]))
    assert found.same
    assert found.changes == []
    assert renamed(body(), body()) == {}


WORDS = st.sampled_from(["a", "b", "c~d", "e/f", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.just(1.0) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)
STATES = st.fixed_dictionaries(
    {"tool": st.sampled_from(["x", "y", "z"]), "args": st.dictionaries(WORDS, VALUES, max_size=3)}
)


@st.composite
def bodies(draw: st.DrawFn) -> Body:
    names = draw(
        st.lists(st.sampled_from(["one", "two", "three", "four"]), min_size=1, max_size=4, unique=True)
    )
    states = {name: draw(STATES) for name in names}
    return Body.model_validate(
        {"name": "any", "initial": names[0], "states": states, "meta": {"x": draw(VALUES)}}
    )


@given(bodies(), bodies())
def test_the_difference_makes_one_of_the_other(a: Body, b: Body) -> None:
    """Applied to a, difference(a, b) gives the document of b, to the last type."""
    found = jsonpatch.JsonPatch(difference(a, b)).apply(a.document())
    assert Body.model_validate(found).hash == b.hash
    assert patched(a, difference(a, b)).document() == b.document()


@given(bodies(), st.lists(VALUES, max_size=3) | VALUES)
def test_no_patch_does_more_than_be_refused(a: Body, patch: Any) -> None:
    """Whatever stands in a patch: a body comes out, or one error that says why not."""
    try:
        found: Body | None = patched(a, patch)
    except BadInput as error:
        found = None
        remedy = error.remedy
    assert isinstance(found, Body) or remedy
