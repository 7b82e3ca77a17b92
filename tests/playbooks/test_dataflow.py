"""Where the compiler says that a value comes from, and when it refuses to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from procedures import Agent

from spanreel.exceptions import NotCompilable
from spanreel.replay.playbooks.compiling import Compiled, compile_runs
from spanreel.replay.playbooks.compiling.observed import Observed

ORDERS: dict[str, dict[str, Any]] = {
    "#W10001": {"owner": "ann_3012", "depot": "D77810", "count": 2, "lines": ["L90001", "L90002"]},
    "#W10002": {"owner": "bob_4417", "depot": "D77822", "count": 1, "lines": ["L90003", "L90004", "L90005"]},
    "#W10003": {"owner": "cyd_9920", "depot": "D77833", "count": 3, "lines": ["L90006", "L90007"]},
    "#W10004": {"owner": "dee_1188", "depot": "D77844", "count": 2, "lines": ["L90008", "L90009"]},
}


def agent() -> Agent:
    """One that may look at orders and at people, and may send things."""
    return Agent(
        {
            "get_order": ("read", lambda order_id: {"order_id": order_id, **ORDERS[order_id]}),
            "get_person": ("read", lambda person: {"person": person, "mail": f"{person}@example.org"}),
            "send": ("write", lambda **_: {"sent": True}),
        }
    )


def runs_of(work: Callable[[Agent, str], None], *orders: str, given: Any = None) -> list[Observed]:
    """What an agent that works so records, for each order; without `given` it is told in words."""
    found: list[Observed] = []
    for place, order in enumerate(orders):
        one = agent()
        if given is None:
            one.hears(f"Please see to {order}, thanks.")
        work(one, order)
        found.append(one.run(f"{place:032x}", None if given is None else {"order": {"id": order}, **given}))
    return found


def sent(compiled: Compiled) -> dict[str, Any]:
    """The arguments of the state that sends."""
    return compiled.body.states["send"].args


def test_what_was_said_is_a_parameter_with_the_form_of_its_examples() -> None:
    """A value that only stands in text becomes a typed parameter, with examples and no default."""

    def work(one: Agent, order: str) -> None:
        one.calls("send", order=order)

    compiled = compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert sent(compiled) == {"order": "{{ params.order }}"}
    param = compiled.body.params["order"]
    assert (param.type, param.pattern, param.default) == ("string", r"#W\d+", None)
    assert param.examples == ["#W10001", "#W10002"]


def test_a_value_of_the_input_is_bound_to_its_place_there() -> None:
    """A structured input is named by its path, so that another run's input fills it."""

    def work(one: Agent, order: str) -> None:
        one.calls("send", order=order)

    compiled = compile_runs(runs_of(work, "#W10001", "#W10002", given={}), "send-it")
    assert compiled.body.params["id"].input == "order.id"
    assert sent(compiled) == {"order": "{{ params.id }}"}


def test_a_value_of_a_result_is_bound_by_its_path_and_the_read_is_kept() -> None:
    """Reads become states as the source of a value, their own arguments bound the same way."""

    def work(one: Agent, order: str) -> None:
        owner = one.calls("get_order", order_id=order)["owner"]
        one.calls("send", to=one.calls("get_person", person=owner)["mail"])

    compiled = compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert list(compiled.body.states) == ["get_order", "get_person", "send"]
    assert compiled.body.states["get_person"].args == {"person": "{{ order.owner }}"}
    assert sent(compiled) == {"to": "{{ person.mail }}"}


def test_a_read_that_nothing_used_is_left_out_and_listed() -> None:
    """What no value and no guard needs is no state; the report says so."""

    def work(one: Agent, order: str) -> None:
        one.calls("get_person", person=one.calls("get_order", order_id=order)["owner"])
        one.calls("send", order=order)

    compiled = compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert list(compiled.body.states) == ["send"]
    assert {(out.tool, out.why) for out in compiled.report.left_out} == {
        ("get_order", "nothing used its result"),
        ("get_person", "nothing used its result"),
    }


def test_a_value_put_together_of_two_results_is_a_template() -> None:
    """A text made of several values is bound piece by piece, with the words between them."""

    def work(one: Agent, order: str) -> None:
        told = one.calls("get_order", order_id=order)
        mail = one.calls("get_person", person=told["owner"])["mail"]
        one.calls("send", text=f"{mail}: fetch {order} at {told['depot']}!")

    compiled = compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert sent(compiled) == {"text": "{{ person.mail }}: fetch {{ params.order_id }} at {{ order.depot }}!"}


def test_what_never_changes_is_a_constant() -> None:
    """A value that is equal in every run, and comes from nowhere, stays as it is."""

    def work(one: Agent, order: str) -> None:
        one.calls("send", order=order, kind="reminder")

    compiled = compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert sent(compiled)["kind"] == "reminder"


def test_one_of_several_is_a_parameter_that_has_to_be_one_of_them() -> None:
    """A pick among the elements of a result is the caller's, and a wrong one is refused."""

    def work(one: Agent, order: str) -> None:
        lines = one.calls("get_order", order_id=order)["lines"]
        one.calls("send", line=lines[1 if order == "#W10001" else 0])

    compiled = compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert sent(compiled) == {"line": "{{ params.line }}"}
    assert {"var": "params.line", "in": "{{ order.lines[*] | list }}"} in compiled.body.states["send"].pre


def test_the_first_of_a_list_is_believed_only_beyond_luck() -> None:
    """A pick by position is bound when the runs are too many for chance, and a parameter until then."""

    def work(one: Agent, order: str) -> None:
        one.calls("send", line=one.calls("get_order", order_id=order)["lines"][0])

    few = compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert sent(few) == {"line": "{{ params.line }}"}
    for number in range(5, 12):
        ORDERS[f"#W1000{number}"] = {**ORDERS["#W10004"], "lines": [f"L8{number}00{k}" for k in range(4)]}
    many = compile_runs(runs_of(work, *(f"#W1000{number}" for number in range(5, 12))), "send-it")
    assert sent(many) == {"line": "{{ order.lines[0] }}"}


def test_two_explanations_of_a_small_number_have_to_agree() -> None:
    """A distractor that was equal by chance in every run makes a guard: where the two part, nothing is written."""

    def work(one: Agent, order: str) -> None:
        one.calls("send", count=one.calls("get_order", order_id=order)["count"])

    compiled = compile_runs(runs_of(work, "#W10001", "#W10004", given={"floor": 2}), "send-it")
    pre = compiled.body.states["send"].pre
    assert {"var": "params.floor", "equals": 2} in pre
    assert {"var": "order.count", "equals": 2} in pre
    apart = compile_runs(runs_of(work, "#W10001", "#W10003", given={"floor": 2}), "send-it")
    assert sent(apart) == {"count": "{{ order.count }}"}


def test_words_that_nothing_explains_are_refused() -> None:
    """An argument that changes and comes from nowhere is no constant and no parameter: which one is said."""

    def work(one: Agent, order: str) -> None:
        said = {"#W10001": "a lovely day to you", "#W10002": "with many regrets"}
        one.calls("send", order=order, text=said[order])

    with pytest.raises(NotCompilable, match=r"send: .*`text`") as caught:
        compile_runs(runs_of(work, "#W10001", "#W10002"), "send-it")
    assert caught.value.reason == "unexplained"


def test_one_run_says_what_rests_on_it() -> None:
    """From a single run a playbook can be made; what is only seen once is named for a person to look at."""

    def work(one: Agent, order: str) -> None:
        one.calls("send", order=order, kind="reminder")

    compiled = compile_runs(runs_of(work, "#W10001"), "send-it")
    assert compiled.body.origin == "recorded_run"
    assert "send.kind: one observation" in compiled.report.review
