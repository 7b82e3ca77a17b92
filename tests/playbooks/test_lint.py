"""What could be better about a playbook."""

from __future__ import annotations

from typing import Any

import pytest

from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.planning.lint import RULES, Declared, Lint, lint

READ, WRITE = Declared("read"), Declared("write", idempotent=True)
TOOLS = {"find_seat": READ, "book_seat": WRITE, "burn_seat": Declared("irreversible"), "odd_seat": Declared()}

GOOD: dict[str, Any] = {
    "name": "seat",
    "params": {"row": {"type": "string", "pattern": "[A-Z]"}},
    "matchers": {"goal": ["seat"]},
    "success": [{"json": "result.ok", "equals": True}],
    "initial": "find",
    "derived_from": ["a", "b"],
    "states": {
        "find": {"tool": "find_seat", "args": {"row": "{{ params.row }}"}, "save_as": "seat", "next": "book"},
        "book": {
            "tool": "book_seat",
            "args": {"id": "{{ seat.id }}", "hold": True},
            "post": [{"json": "ok", "equals": True}],
            "next": "end",
        },
    },
}


def state(name: str, **over: Any) -> dict[str, Any]:
    states = GOOD["states"]
    return GOOD | {"states": states | {name: states.get(name, {}) | over}}


def linted(document: dict[str, Any], report: dict[str, Any] | None = None) -> Lint:
    return lint(Body.model_validate(document), TOOLS.get, report)


def test_a_careful_playbook_has_nothing_to_mend() -> None:
    """With guards, success, matchers, patterns and two sources there is no finding, and the score is 1."""
    found = linted(GOOD)
    assert (found.findings, found.parts, found.score) == ([], [], 1.0)
    assert found.passes(strict=True)


FLAWED: dict[str, tuple[dict[str, Any], str]] = {
    "unguarded-write": (state("book", post=[]), "states.book"),
    "no-success": (GOOD | {"success": []}, "success"),
    "loose-parameter": (GOOD | {"params": {"row": {"type": "string"}}}, "params.row"),
    "unused-parameter": (
        GOOD | {"params": GOOD["params"] | {"x": {"type": "boolean"}}},
        "params.x",
    ),
    "data-constant": (
        state("book", args={"id": "{{ seat.id }}", "mail": "ann.lee@example.org"}),
        "states.book.args.mail",
    ),
    "irreversible-unapproved": (
        state("book", tool="burn_seat") | {"risk": "low"},
        "states.book",
    ),
    "unsafe-retry": (state("book", tool="burn_seat", retry={"max_attempts": 2}), "states.book.retry"),
    "unbounded-cycle": (state("book", next="find"), "states.find"),
    "unreachable-state": (state("lost", assert_=None, set={"x": "1"}), "states.lost"),
    "unused-result": (state("find", save_as="other"), "states.find"),
    "undeclared-tool": (
        state("find", tool="odd_seat", post=[{"json": "id", "exists": True}]),
        "states.find.tool",
    ),
    "unregistered-tool": (state("find", tool="no_such", safety="read"), "states.find.tool"),
    "no-matchers": (GOOD | {"matchers": {}}, "matchers"),
    "one-source-run": (GOOD | {"derived_from": ["a" * 32]}, "derived_from"),
    "no-budget": (state("think", llm={"prompt": "x"}), "budget"),
    "free-model-answer": (state("think", llm={"prompt": "x"}, save_as="text"), "states.think.llm"),
}


@pytest.mark.parametrize("code", FLAWED)
def test_each_flaw_is_found_where_it_is_and_said_how_to_mend(code: str) -> None:
    """One flaw put into a careful playbook is found under its code, with its place and what mends it."""
    document, path = FLAWED[code]
    document = {
        **document,
        "states": {
            name: {k: v for k, v in one.items() if k != "assert_"} for name, one in document["states"].items()
        },
    }
    found = [one for one in linted(document).findings if one.code == code]
    assert [one.path for one in found] == [path]
    assert found[0].fix
    assert linted(document).score < 1


def test_what_rests_on_one_observation_is_told_of_the_report() -> None:
    """A binding that the compiler saw in one run of several is a finding."""
    seen = {"name": "id", "binding": "{{ seat.id }}", "support": 1, "runs": 3}
    sure = {"name": "hold", "binding": True, "support": 3, "runs": 3}
    found = linted(GOOD, {"states": [{"name": "book", "arguments": [seen, sure]}]})
    assert [(one.code, one.path) for one in found.findings] == [("one-observation", "states.book.args.id")]


def test_every_rule_is_tried() -> None:
    """Each code of the table is tried by a flaw of its own."""
    assert {*FLAWED, "one-observation"} == set(RULES)


def test_the_score_is_explained_by_its_parts() -> None:
    """The score is 1 less what the parts say, and never below 0."""
    found = linted(state("book", post=[]) | {"success": [], "matchers": {}})
    assert found.score == round(1 - sum(part.minus for part in found.parts), 2)
    assert {part.code for part in found.parts} == {"unguarded-write", "no-success", "no-matchers"}


@pytest.mark.parametrize(
    ("value", "flagged"),
    [
        ("#W2378156", True),
        ("2024-05-15", True),
        ("f47ac10b-58cc-4372-a567-0e02b2c3d479", True),
        ("$54.04", True),
        ("credit_card_9513926", True),
        (9513926, True),
        (54.04, True),
        ("no longer needed", False),
        ("exact", False),
        (2, False),
        (True, False),
        (None, False),
        ("gpt-4", False),
        ("{{ seat.id }}", False),
    ],
)
def test_what_looks_like_data_of_one_task(value: Any, flagged: bool) -> None:
    """Ids, dates, money and addresses are flagged where they are constant; words and switches are not."""
    found = linted(state("book", args={"id": "{{ seat.id }}", "x": value})).findings
    assert [one.code for one in found] == (["data-constant"] if flagged else [])


def test_strict_minds_warnings_and_otherwise_only_errors_count() -> None:
    """Warnings fail a strict check only; an error fails every one; a note none."""
    assert linted(GOOD | {"success": []}).passes()
    assert not linted(GOOD | {"success": []}).passes(strict=True)
    assert not linted(state("book", next="find")).passes()
    assert linted(GOOD | {"derived_from": ["a"]}).passes(strict=True)
