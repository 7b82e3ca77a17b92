"""Regression or noise, at a real server whose answers vary: which step is asked, in which order, and what is concluded."""

from __future__ import annotations

import json
from random import Random

import jsonschema
import pytest
from provider import Provider, record

from spanreel.cli.schemas import json_schema
from spanreel.exceptions import NotReplayable, SpanreelError
from spanreel.replay.load import load
from spanreel.replay.policy import Budget, Overrides
from spanreel.replay.resend import resend
from spanreel.replay.samples import sample

OLD = [
    "Paris is rainy today",
    "It rains in Paris today",
    "Rainy in Paris, take a coat",
    "Today Paris has rain",
]
NEW = ["No idea what you mean", "I cannot know that", "Sorry, no idea about it", "I have no idea, sorry"]


def varying(seed: int, by_model: dict[str, list[str]]):
    """Answers drawn at random from those of the model that is asked."""
    random = Random(seed)
    return lambda number, body: random.choice(by_model[body["model"]])


def test_a_change_beyond_the_spread_is_told_from_noise(provider: Provider) -> None:
    """Another distribution is outside; the same one, under another name, is within; both say what they rest on."""
    source = record(provider, "weather?")
    provider.says = varying(1, {"gpt-4o-mini": OLD, "worse": NEW, "alike": OLD})
    worse = sample(source, 6, overrides=Overrides({"model": "worse"}), step=1)
    assert (worse.spread.verdict, worse.exit_code, worse.step) == ("outside the spread", 4, 1)
    assert worse.spread.p is not None
    assert 0 < worse.spread.p <= 0.05
    assert worse.spread.effect is not None
    assert worse.spread.effect > 0.3
    alike = sample(source, 6, overrides=Overrides({"model": "alike"}), step=1)
    assert (alike.spread.verdict, alike.exit_code) == ("within the spread", 0)
    assert any("temperature" in one for one in alike.spread.assumptions)
    jsonschema.validate(json.loads(alike.to_json()), json_schema("samples"))


def test_noise_is_called_a_change_as_seldom_as_promised(provider: Provider) -> None:
    """Over seeds of the server, two settings of one distribution are outside in about one of twenty, not more."""
    source = record(provider, "weather?")
    outside = 0
    for seed in range(12):
        provider.says = varying(seed, {"gpt-4o-mini": OLD, "alike": OLD})
        outside += sample(source, 4, overrides=Overrides({"model": "alike"}), step=1).exit_code == 4
    assert outside <= 3  # of 12 at 5 %, four or more would come once in 400 times


def test_settings_are_asked_in_turns_and_recorded_as_one_run(provider: Provider) -> None:
    """Old, new, old, new: only the one step; the run is linked to its source."""
    source = record(provider, "one", "two")
    heard: list[str] = []
    found = sample(
        source,
        3,
        overrides=Overrides({"model": "other"}),
        step=2,
        on_sample=lambda one: heard.append(one.setting),
    )
    assert [(one["model"], one["messages"][0]["content"]) for one in provider.asked] == [
        ("gpt-4o-mini", "two"),
        ("other", "two"),
    ] * 3
    assert heard == ["old", "new"] * 3
    again = load(found.run_id)
    assert (len(again.steps), again.source_run_id) == (6, source)
    assert [one.span_id for one in found.samples] == [step.span_id for step in again.steps]
    assert found.spent is not None
    assert found.spent.input_tokens == 6000


def test_three_answers_cannot_tell(provider: Provider) -> None:
    """However different they are; the number that could is named."""
    source = record(provider, "one")
    found = sample(source, 3, overrides=Overrides({"model": "other"}), step=1)
    assert (found.spread.verdict, found.spread.p, found.exit_code) == ("cannot tell", 0.1, 1)
    assert "ask for 4" in found.spread.why


def test_the_diverging_step_is_found(provider: Provider) -> None:
    """Each call is asked once with the change until one is answered otherwise; that one is sampled."""
    source = record(provider, "one", "two", "three")

    def says(number: int, body: dict) -> str:
        changed = body["model"] == "other" and body["messages"][0]["content"] == "two"
        return "quite another answer" if changed else "answer of gpt-4o-mini"

    provider.says = says
    found = sample(source, 4, overrides=Overrides({"model": "other"}))
    assert (found.step, found.spread.verdict) == (2, "outside the spread")
    assert "otherwise" in found.found
    assert [one["messages"][0]["content"] for one in provider.asked] == ["one", "two", *["two"] * 8]
    provider.says = lambda number, body: "answer of gpt-4o-mini"
    with pytest.raises(NotReplayable, match="no diverging step"):
        sample(source, 4, overrides=Overrides({"model": "other"}))


def test_the_diverging_step_of_two_runs(provider: Provider) -> None:
    """With a run of the new setting, it is where that one differs first."""
    source = record(provider, "one", "two")
    provider.says = lambda number, body: (
        "otherwise" if body["messages"][0]["content"] == "two" else "answer of gpt-4o-mini"
    )
    other = resend(source).run_id
    provider.asked.clear()
    found = sample(source, 2, overrides=Overrides({"temperature": 1}), against=other)
    assert found.step == 2
    assert len(provider.asked) == 4
    with pytest.raises(NotReplayable, match="does not differ"):
        sample(source, 2, overrides=Overrides({"temperature": 1}), against=source)


def test_failures_are_counted_and_left_out(provider: Provider) -> None:
    """A call that fails is no answer; too few that are left are said to be too few."""
    source = record(provider, "one")
    provider.says = lambda number, body: 400 if body["model"] == "other" and number > 2 else "answer"
    found = sample(source, 4, overrides=Overrides({"model": "other"}), step=1)
    assert (found.failed, found.spread.old, found.spread.new) == (3, 4, 1)
    assert found.spread.verdict == "cannot tell"
    assert "3 of 8" in found.notes[0]


def test_a_budget_ends_it_with_what_there_is(provider: Provider) -> None:
    """The answers until then are judged, and the budget is named."""
    source = record(provider, "one")
    found = sample(source, 4, overrides=Overrides({"model": "other"}), step=1, budget=Budget(calls=5))
    assert (found.spread.old, found.spread.new, len(provider.asked)) == (3, 2, 5)
    assert "5 live model calls" in (found.stopped or "")
    assert found.spread.verdict == "cannot tell"


def test_how_far_the_provider_is_from_the_recording(provider: Provider) -> None:
    """Answers of the old setting that are far from the recorded one say so."""
    source = record(provider, "one")
    provider.says = lambda number, body: "answer of gpt-4o-mini"
    assert sample(source, 2, overrides=Overrides({"model": "other"}), step=1).old_from_recorded == 0
    provider.says = lambda number, body: "xyz"
    assert sample(source, 2, overrides=Overrides({"model": "other"}), step=1).old_from_recorded == 1


def test_what_makes_no_sense_is_refused(provider: Provider) -> None:
    """No change, one answer, a step that is none: one line each, and nothing is sent."""
    source = record(provider, "one")
    with pytest.raises(SpanreelError, match="nothing is to be different"):
        sample(source, 4)
    with pytest.raises(SpanreelError, match="no spread"):
        sample(source, 1, overrides=Overrides({"model": "other"}))
    with pytest.raises(NotReplayable, match="step 7"):
        sample(source, 4, overrides=Overrides({"model": "other"}), step=7)
    assert (provider.asked, load("last").run_id) == ([], source)
