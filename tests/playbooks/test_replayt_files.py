"""Workflow files of replayt do, unchanged, what they do there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from spanreel.exceptions import BadInput
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.asks import Stopped, Walked
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.formats.file import body_of, examined
from spanreel.replay.playbooks.formats.write import to_yaml
from spanreel.replay.playbooks.walk import walk

TRIAGE = """\
name: ticket triage
version: 0.10
initial: begin
meta: {team: support}
steps:
  begin:
    require: [ticket]
    set: {tries: 0, urgent: yes, note: "{{ not a template }}", result: none yet}
    next: classify
  classify:
    retry: {max_attempts: 3, backoff_seconds: 0.5}
    llm:
      prompt: 'Sort "{ticket}" of {customer}. Answer {{"kind": …}} or {{{tries}}}.'
      system: You sort {tickets}.
      output_key: result
      schema:
        kind: {type: string, enum: [refund, other]}
        sure: {type: float}
      model: gpt-5-mini
      temperature: 0.2
    next: route
  route:
    branch: {key: urgent, cases: {yes: gate, no: end it}, default: end it}
  gate:
    approval: {id: pay, summary: "Pay now?", details: {limit: 10}, on_approve: end it}
  end it: {}
"""


@dataclass
class Decision:
    """What a person said."""

    approved: bool
    reason: str | None = None

    def __bool__(self) -> bool:
        return self.approved


def walked(body: Body, params: dict[str, Any], answers: dict[str, Any] | None = None, *, approve: bool = True) -> tuple[Walked, list[Any]]:  # fmt: skip
    """Walk it with these answers of the model by state; what it came to, and what it asked."""
    asked: list[Any] = []
    walking = walk(body, params)
    answer: Any = None
    try:
        while True:
            one = walking.send(answer)
            asked.append(one)
            answer = Decision(approve) if isinstance(one, asks.Gate) else None
            if isinstance(one, asks.Ask):
                answer = (answers or {})[one.state]
    except StopIteration as over:
        return over.value, asked


def of(asked: list[Any], kind: type) -> list[Any]:
    """Of what was asked, one kind."""
    return [one for one in asked if isinstance(one, kind)]


def test_a_file_is_loaded_as_it_is() -> None:
    """Each thing that a step does becomes a state of that kind; nothing is wrong with what comes out."""
    found = examined(TRIAGE, "triage.yaml")
    assert found.problems == ()
    body = found.checked()
    assert (body.name, body.origin) == ("ticket_triage", "imported")
    assert body.meta == {"team": "support", "version": "0.1", "name": "ticket triage"}
    assert list(body.states) == ["inputs", "begin", "classify", "route", "gate", "end_it"]
    assert {name: param.required for name, param in body.params.items()} == {
        "ticket": True,
        "customer": False,
    }
    classify = body.states["classify"]
    assert classify.llm is not None
    assert (classify.llm.model, classify.llm.parameters) == ("gpt-5-mini", {"temperature": 0.2})
    assert classify.llm.schema_ == {
        "type": "object",
        "properties": {"kind": {"enum": ["refund", "other"]}, "sure": {"type": "number"}},
        "required": ["kind", "sure"],
    }
    assert (classify.retry.max_attempts, classify.retry.backoff_seconds) == (3, 0.5)
    assert body_of(to_yaml(body)) == body


def test_it_does_what_it_did() -> None:
    """Placeholders are filled, `{{` is a brace, `yes` is true, what is missing is empty, the gate leads on."""
    answer = {"kind": "refund", "sure": 0.9}
    found, asked = walked(body_of(TRIAGE), {"ticket": "lamp broken"}, {"classify": answer})
    (ask,) = of(asked, asks.Ask)
    assert ask.prompt == 'Sort "lamp broken" of . Answer {"kind": …} or {0}.'
    assert ask.system == "You sort {tickets}."
    assert found.visited == ("inputs", "begin", "classify", "route", "gate", "end_it")
    assert found.variables["result_"] == answer
    assert found.variables["note"] == "{{ not a template }}"
    (gate,) = of(asked, asks.Gate)
    assert (gate.id, gate.summary, gate.details) == ("pay", "Pay now?", {"limit": 10})


def test_a_rejection_without_a_way_is_the_end() -> None:
    """There it ends the run, completed; here as well."""
    answer = {"classify": {"kind": "other", "sure": 1}}
    found, _ = walked(body_of(TRIAGE), {"ticket": "x"}, answer, approve=False)
    assert found.visited[-1] == "gate"


def test_what_is_required_is_asked_for() -> None:
    """A required value that is missing or null stops the run."""
    body = body_of(TRIAGE)
    with pytest.raises(Stopped, match="parameter ticket is missing"):
        walked(body, {})
    with pytest.raises(Stopped, match="state begin: precondition"):
        walked(body, {"ticket": None})


def steps(text: str) -> Body:
    """The playbook of a workflow of these steps, the first being `a`."""
    return body_of(f"name: w\ninitial: a\nsteps:\n{text}", "w.yaml")


def test_a_step_does_all_of_it_in_order() -> None:
    """require, set, llm, approval: one state each, and the step's name is that of the first."""
    body = steps(
        "  a:\n    require: [x]\n    set: {x: 1}\n    llm: {prompt: '{x}', output_key: said}\n"
        "    approval: {id: ok}\n    branch: {key: never, cases: {}}\n    next: b\n  b: {}\n"
    )
    found, asked = walked(body, {"x": 5}, {"a-llm": "fine"})
    assert found.visited == ("inputs", "a", "a-llm", "a-approval", "b")
    assert of(asked, asks.Ask)[0].prompt == "1"
    assert of(asked, asks.Ask)[0].parameters == {"temperature": 0.0}
    assert found.variables["said"] == "fine"


@pytest.mark.parametrize(
    ("value", "visited"),
    [(True, "b"), (False, "c"), ("b", "b"), (1, "c"), ("1", "c"), (None, "d"), ("x", "d"), (2, "d")],
)
def test_a_branch_by_value(value: object, visited: str) -> None:
    """By the value or its text; anything else by the default; without one the run is over."""
    body = steps(
        "  a: {branch: {key: k, cases: {on: b, no: c, b: b, 1: c}, default: d}}\n  b: {}\n  c: {}\n  d: {}\n"
    )
    assert walked(body, {"k": value})[0].visited[-1] == visited
    ended = steps("  a: {branch: {key: k, cases: {'True': b}}}\n  b: {}\n")
    assert walked(ended, {"k": value})[0].visited[-1] == ("b" if value is True else "a")


def test_what_is_always_set_is_no_parameter() -> None:
    """Only what may be read before a step has set it comes with the inputs."""
    body = steps(
        "  a: {set: {x: 1}, next: b}\n  b: {branch: {key: x, cases: {1: c}, default: d}}\n  c: {}\n  d: {set: {y: 2}}\n"
    )
    assert (body.initial, dict(body.params)) == ("a", {})
    body = steps(
        "  a: {branch: {key: x, cases: {1: b}, default: c}}\n  b: {set: {y: 1}, next: c}\n  c: {llm: {prompt: '{y}', output_key: z}}\n"
    )
    assert list(body.params) == ["x", "y"]
    assert of(walked(body, {"x": 1}, {"c": ""})[1], asks.Ask)[0].prompt == "1"
    assert of(walked(body, {"y": "given"}, {"c": ""})[1], asks.Ask)[0].prompt == "given"


def test_a_loop_is_bounded_as_there() -> None:
    """Its runner ends a run after 200 states; here that is written down, and nothing goes round without end."""
    body = steps("  a: {next: b}\n  b: {branch: {key: k, cases: {x: a}, default: c}}\n  c: {}\n")
    assert [name for name, state in body.states.items() if state.max_visits == 200] == ["a"]
    with pytest.raises(Stopped, match="max_steps"):
        walked(body, {"k": "x"})


def test_declared_edges_stay_declared() -> None:
    """With those that the steps imply, as there; without any there are none."""
    text = "name: w\ninitial: a\nedges: [{from: a, to: c}]\nsteps:\n  a: {next: b}\n  b: {set: {x: 1}, approval: {id: i, on_approve: c}}\n  c: {}\n"
    found = examined(text, "w.yaml")
    assert found.problems == ()
    ways = {(edge.from_, edge.to) for edge in found.checked().edges}
    assert ways == {("a", "c"), ("a", "b"), ("b", "b-approval"), ("b-approval", "c"), ("b-approval", "end")}
    assert steps("  a: {}\n").edges == []


def test_names_of_another_kind_are_told() -> None:
    """What cannot be a name here gets another, and a note says which."""
    body = body_of(
        "name: 2nd run\ninitial: 1. begin\nsteps:\n  1. begin: {set: {params: 1, 'a b': 2}, next: end}\n  end: {}\n",
        "w.yaml",
    )
    assert list(body.states) == ["_1__begin", "end_"]
    assert body.states["_1__begin"].set == {"params_": 1, "a_b": 2}
    assert body.notes == [
        "step 1. begin is state _1__begin",
        "step end is state end_",
        "params is the variable params_",
        "a b is the variable a_b",
    ]


def test_an_input_keeps_its_name() -> None:
    """Also where the variable of that name means something else here."""
    body = steps(
        "  a: {branch: {key: result, cases: {x: b}}}\n  b: {branch: {key: a-b, cases: {y: c}}}\n  c: {}\n"
    )
    assert list(body.params) == ["result", "a-b"]
    assert walked(body, {"result": "x", "a-b": "y"})[0].visited == ("inputs", "a", "b", "c")


def test_keys_that_mean_nothing_there_are_noted() -> None:
    """They are passed over there, and so they are here; the note has the line."""
    body = steps("  a: {nxt: b}\n  b: {}\n")
    assert body.notes == ["line 4: `nxt` means nothing"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  a: {next: bb}\n  b: {}\n", "4: there is no step `bb`; there are a, b"),
        ("  a: {approval: {summary: x}}\n", "4: `id` is missing in `approval`"),
        ("  a: {llm: {prompt: x}}\n", "4: `output_key` is missing in `llm`"),
        ("  a: {branch: {cases: {}}}\n", "4: `key` is missing in `branch`"),
        ("  a: {llm: {prompt: '{x.__class__}', output_key: y}}\n", "4: the placeholder {x.__class__} is no name"),
        ("  a: {llm: {prompt: '{x[0]}', output_key: y}}\n", "4: the placeholder {x[0]} is no name"),
        ("  a: {llm: {prompt: '{}', output_key: y}}\n", "4: the placeholder {} is no name"),
        ("  a: {llm: {prompt: '{x!r}', output_key: y}}\n", "4: the placeholder {x} is no name"),
        ("  a: {llm: {prompt: '{x', output_key: y}}\n", "4: a placeholder that cannot be read"),
        ("  a:\n    retry: {max_attempts: 99}\n    llm: {prompt: x, output_key: y}\n", "5: `max_attempts`"),
        ("  a: {set: 3}\n", "4: `set` has to be an object"),
        ("  a: {require: x}\n", "4: `require` has to be a list"),
        ("  a: {llm: {prompt: x, output_key: y, temperature: hot}}\n", "4: `temperature` has to be a number"),
        ("  a: 3\n", "4: `a` has to be an object"),
    ],
)  # fmt: skip
def test_what_is_wrong_has_its_line(text: str, message: str) -> None:
    """What would fail there while it runs is refused when it is read."""
    with pytest.raises(BadInput) as caught:
        steps(text)
    assert str(caught.value).startswith(f"w.yaml:{message}")


def test_a_problem_of_a_state_has_the_line_of_its_step() -> None:
    """States that a step was taken apart into lead back to it."""
    text = "name: w\ninitial: a\nsteps:\n  a: {}\n  b:\n    set: {x: 1}\n    approval: {id: i}\n"
    found = examined(text, "w.yaml")
    assert [found.said(one) for one in found.problems] == [
        "w.yaml:5: nothing leads to state `b`",
        "w.yaml:5: nothing leads to state `b-approval`",
    ]


def test_what_the_model_calls_have_in_common_is_under_meta() -> None:
    """`llm_defaults` is in each request, and no meta of the run; what is no setting of a request is passed over."""
    text = TRIAGE.replace(
        "meta: {team: support}",
        "meta: {team: support, llm_defaults: {provider: openai, model: gpt-5, seed: 3, timeout: 9}}",
    ).replace("      model: gpt-5-mini\n", "")
    body = body_of(text)
    _, asked = walked(
        body, {"ticket": "t", "customer": "c"}, {"classify": {"kind": "refund", "sure": 1.0}}, approve=True
    )
    (one,) = of(asked, asks.Ask)
    assert (one.model, one.parameters) == ("openai/gpt-5", {"seed": 3, "temperature": 0.2})
    assert (body.meta["team"], "llm_defaults" in body.meta) == ("support", False)
    assert any("timeout" in note for note in body.notes)
