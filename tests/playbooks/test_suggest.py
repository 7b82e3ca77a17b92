"""`suggest`: the playbooks for a goal, with what speaks for and against each, the best first."""

from __future__ import annotations

import re

import pytest
import shadow_shop as shop
from test_dispatch import kept

import spanreel
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.dispatching.choosing import REASONS, Known, Task, consider
from spanreel.replay.playbooks.dispatching.fulltext import stems
from spanreel.replay.playbooks.dispatching.suggest import suggest

INPUTS = {"order": {"id": "W1"}, "new_item": "i-black"}


def other(name: str, goal: str, **more: object) -> Body:
    """A playbook of no tool."""
    states = {"done": {"set": {"done": True}}}
    return Body.model_validate({"name": name, "goal": goal, "initial": "done", "states": states, **more})


def test_active_playbooks_that_fit_come_first_and_say_why():
    """Then those that would fit if somebody promoted them; each with what it lacks."""
    from spanreel.replay.playbooks.governance.library import Library

    entry = kept()
    Library().add(other("exchange-money", "exchange one currency for another"))
    found = suggest("exchange the item that was delivered", INPUTS, agent="shelf")
    assert [one.name for one in found] == ["shelf-exchange", "exchange-money"]
    first, second = found
    assert (first.fits, first.hash, first.version, first.params) == (
        True,
        entry.hash,
        1,
        {"order_id": "W1", "new_item": "i-black"},
    )
    assert {reason.code for reason in first.reasons_for} >= {"active", "goal", "agent", "tools", "params"}
    assert not second.fits
    assert second.reasons_against[0].code == "not_active"
    assert second.reasons_against[0].next


def test_a_playbook_of_another_goal_is_only_listed_where_all_are_asked_for():
    """With why it does not fit."""
    kept()
    assert suggest("water the plants") == []
    (found,) = suggest("water the plants", all_of_them=True)
    assert "goal_mismatch" in {reason.code for reason in found.reasons_against}


def test_executions_that_went_wrong_lower_the_confidence():
    """By Laplace's rule: with nothing known a half, and never quite certain."""
    body = shop.body()
    words = stems({"task": "exchange an item", "goal": body.goal, "matchers": "exchange"})
    task = Task("exchange an item", frozenset(words["task"]), INPUTS, "shelf")

    def confidence(ok: int, runs: int) -> float:
        said = {"goal": words["goal"], "all": words["goal"], "matchers": words["matchers"]}
        return consider(task, [Known(body, "active", 1, said, ok, runs)])[0].confidence

    assert confidence(0, 8) < confidence(0, 0) < confidence(4, 8) + 0.01 < confidence(8, 8) < 1


def test_words_are_found_in_any_form_and_script():
    """As SQLite's full-text search folds and stems them; words that say nothing are left out."""
    found = stems({"one": "Exchanging the Items, für mich 你好", "two": "to exchange an item"})
    assert found["two"] == ("exchang", "item")
    assert set(found["one"]) >= {"exchang", "item", "fur", "你好"}


def test_goals_are_text_and_not_a_query():
    """What full-text search would take for its own syntax does no harm."""
    kept()
    for goal in (
        'exchange "item',
        "exchange AND OR NOT",
        "exchange* NEAR(",
        "'; DROP TABLE said; --",
        "\0exchange",
    ):
        assert isinstance(suggest(goal, INPUTS), list)


def test_every_reason_has_a_meaning_and_a_remedy():
    """The vocabulary is stable, in one table."""
    assert all(
        re.fullmatch("[a-z_]+", code) and meaning and remedy for code, (meaning, remedy) in REASONS.items()
    )


@pytest.mark.parametrize("inputs", [None, "a text", {"region": "eu"}, [1, 2]])
def test_any_inputs_are_looked_at(inputs: object):
    """What gives no parameter leaves them missing."""
    kept()
    (found,) = suggest("exchange an item", inputs)
    assert sorted(found.missing) == ["new_item", "order_id"]


def test_the_public_names():
    """`spanreel.suggest`, `.prime`, `.dispatch` and `.adispatch` are these."""
    from spanreel.replay.playbooks.dispatching import dispatch, prime

    assert spanreel.suggest is suggest
    assert spanreel.prime is prime.prime
    assert (spanreel.dispatch, spanreel.adispatch) == (dispatch.dispatch, dispatch.adispatch)


def test_a_goal_that_was_somebodys_words_is_found_by_the_playbooks_name():
    """What a run was told seldom begins with what is done; all words of the name do as well, one of them does not."""

    def fits(task: str) -> bool:
        body = shop.body(
            name="return-item", matchers={}, goal="A customer came to return the {item} of order {order_id}"
        )
        said = stems(
            {"task": task, "goal": body.goal, "name": "return item", "all": f"return item {body.goal}"}
        )
        known = Known(body, "active", 1, {part: said[part] for part in ("name", "goal", "all")})
        found = consider(Task(task, frozenset(said["task"]), INPUTS), [known])[0]
        return not found.against("goal_mismatch")

    assert fits("return an item")
    assert not fits("exchange an item")
    assert not fits("return the keys")
