"""Conditions: three values, and what cannot be told is never a pass."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanreel.replay.playbooks.conditions import (
    Judgement,
    combined,
    equal,
    is_probe,
    judge,
    path_problem,
    schema_problem,
)

VARIABLES: dict[str, Any] = {
    "params": {"wanted": "delivered"},
    "order": {
        "status": "delivered",
        "total": 12,
        "tags": ["a", "b"],
        "none": None,
        "when": "2026-03-01",
        "flag": True,
    },
}
RESULT = {"status": "done", "rows": [1, 2, 3]}
PROGRAM = {"exit_code": 0, "stdout": "3 passed", "stderr": ""}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ({"json": "order.status", "equals": "delivered"}, True),
        ({"json": "order.status", "equals": "{{ params.wanted }}"}, True),
        ({"json": "order.status", "equals": "sent"}, False),
        ({"json": "order.status", "not_equals": "sent"}, True),
        ({"json": "order.status", "in": ["sent", "delivered"]}, True),
        ({"json": "order.status", "not_in": ["sent", "delivered"]}, False),
        ({"json": "order.status", "matches": "^deli"}, True),
        ({"json": "order.status", "matches": "^deliver$"}, False),
        ({"json": "order.total", "matches": "12"}, False),
        ({"json": "order.status", "contains": "live"}, True),
        ({"json": "order.tags", "contains": ["a", "b"]}, True),
        ({"json": "order.tags", "contains": "c"}, False),
        ({"json": "order.total", "min": 12, "max": 12}, True),
        ({"json": "order.total", "min": 13}, False),
        ({"json": "order.when", "min": "2026-01-01"}, True),
        ({"json": "order.status", "min": 1}, False),
        ({"json": "order.flag", "min": 1}, False),
        ({"json": "order.flag", "equals": 1}, False),
        ({"json": "order.total", "equals": 12.0}, True),
        ({"json": "order.none", "equals": None}, True),
        ({"json": "order.none", "exists": True}, True),
        ({"json": "order.nothing", "exists": False}, True),
        ({"json": "order.nothing", "exists": True}, False),
        ({"json": "order.nothing", "not_equals": 1}, False),
        ({"json": "order.tags", "length": 2, "type": "array"}, True),
        ({"json": "order.flag", "type": "integer"}, False),
        ({"json": "order.flag", "type": "boolean"}, True),
        ({"json": "order.total", "type": "number"}, True),
        ({"json": "order", "schema": {"required": ["status"]}}, True),
        ({"json": "order", "schema": {"required": ["id"]}}, False),
        ({"var": "order.total", "max": 12}, True),
        ({"any": [{"json": "order.total", "max": 1}, {"json": "order.total", "min": 1}]}, True),
        ({"all": [{"json": "order.total", "max": 1}, {"json": "order.total", "min": 1}]}, False),
        ({"not": {"json": "order.total", "max": 1}}, True),
    ],
)
def test_of_variables(condition: dict[str, Any], holds: bool) -> None:
    """Each predicate, on a part of the variables."""
    judged = judge(condition, VARIABLES)
    assert judged.holds is holds, judged.why
    assert judged.why


@pytest.mark.parametrize(
    ("condition", "result", "holds"),
    [
        ({"json": "status", "equals": "done"}, RESULT, True),
        ({"json": "$.status", "equals": "done"}, RESULT, True),
        ({"json": "$", "type": "object"}, RESULT, True),
        ({"json": "", "type": "object"}, RESULT, True),
        ({"json": "[0].id", "equals": 1}, [{"id": 1}], True),
        ({"json": "rows[*]", "min": 2}, RESULT, False),
        ({"json": "rows[*]", "min": 1}, RESULT, True),
        ({"var": "order.status", "equals": "delivered"}, RESULT, True),
        ({"json": "order.status", "exists": True}, RESULT, False),
        ({"json": "", "contains": "ok"}, "all ok", True),
        ({"exit_code": 0, "stdout_contains": "passed"}, PROGRAM, True),
        ({"exit_code": False}, PROGRAM, False),
        ({"output_regex": r"\d+ failed"}, PROGRAM, False),
        ({"stderr_contains": "warning"}, PROGRAM, False),
        ({"exit_code": 0}, "text", False),
    ],
)
def test_of_a_result(condition: dict[str, Any], result: Any, holds: bool) -> None:
    """There `json` begins at the result, and `var` at the variables."""
    judged = judge(condition, VARIABLES, result)
    assert judged.holds is holds, judged.why


@pytest.mark.parametrize(
    "condition",
    [
        {},
        "order.status",
        None,
        3,
        {"json": "order.status"},
        {"equals": 3},
        {"json": 3, "equals": 3},
        {"var": None, "equals": 3},
        {"json": "", "equals": 3},
        {"json": "$.order.status", "equals": "delivered"},
        {"json": "order.status", "equal": "delivered"},
        {"json": "order.status", "equals": "{{ nothing }}"},
        {"json": "order.status", "matches": "("},
        {"json": "order.status", "matches": 3},
        {"json": "order.status", "in": 3},
        {"json": "order.status", "type": "text"},
        {"json": "order.status", "type": ["string"]},
        {"json": "order.status", "exists": "yes"},
        {"json": "order.status", "schema": {"type": "strng"}},
        {"json": "order[", "equals": 1},
        {"any": 3},
        {"all": {"json": "order.status", "equals": "delivered"}},
        {"not": {"json": "order.status", "equal": 1}},
        {"any": [{"json": "order.status", "equals": "x"}, {"json": "order.status", "equal": 1}]},
    ],
)
def test_what_cannot_be_told_is_no_pass(condition: Any) -> None:
    """Unknown conditions, patterns and bindings that are none: the judgement is None, which is not true."""
    judged = judge(condition, VARIABLES)
    assert judged.holds is None
    assert not judged
    assert judged.why


def test_what_is_unknown_gives_way_to_what_decides() -> None:
    """`any` passes on one that holds and `all` fails on one that does not, whatever else is unknown."""
    yes, no, unknown = Judgement(True, "y"), Judgement(False, "n"), Judgement(None, "u")
    assert combined("any", [unknown, yes]).holds is True
    assert combined("any", [unknown, no]).holds is None
    assert combined("all", [unknown, no]).holds is False
    assert combined("all", [unknown, yes]).holds is None
    assert combined("not", [unknown]).holds is None
    assert combined("any", []).holds is False


def test_equality_is_that_of_json() -> None:
    """1 is 1.0; True is not 1, nor is a text a number, however deep they are."""
    assert equal({"a": [1, 2.0]}, {"a": [1.0, 2]})
    assert not equal({"a": [True]}, {"a": [1]})
    assert not equal([0], [False])
    assert not equal("1", 1)
    assert not equal({"a": 1}, {"a": 1, "b": 2})


@pytest.mark.timeout(30)
def test_a_pattern_ends() -> None:
    """A search that would take for ever is unknown within about a second, in a schema too."""
    evil = {"x": "a" * 60 + "b"}
    assert judge({"json": "x", "matches": "^(a|aa)+$"}, evil).holds is None
    assert judge({"json": "x", "schema": {"pattern": "^(a|aa)+$"}}, evil).holds is None
    assert judge({"json": "x", "matches": "(?:(?:a{1000}){1000}){10}"}, evil).holds is None


def test_a_pattern_is_of_the_whole_text() -> None:
    """`$` is the very end: a line break after it does not fit."""
    assert judge({"json": "x", "matches": "^W1$"}, {"x": "W1\n"}).holds is False
    assert judge({"json": "x", "matches": r"1\$"}, {"x": "W1$"}).holds is True
    assert schema_problem("W1\n", {"pattern": "^(?:W1)$"}) is not None


def test_a_schema_fetches_nothing() -> None:
    """A reference to elsewhere is unknown, and no connection is made."""
    schema = {"$ref": "http://127.0.0.1:9/schema.json"}
    judged = judge({"json": "order", "schema": schema}, VARIABLES)
    assert judged.holds is None
    assert "cannot be followed" in judged.why


def test_what_is_nested_too_deeply_is_unknown() -> None:
    """Neither a deep value nor a schema that refers to itself ends the walk."""
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    assert judge({"json": "x", "equals": deep}, {"x": deep}).holds is None
    assert judge({"json": "x", "schema": {"$ref": "#"}}, {"x": 1}).holds is None


def test_the_surroundings_are_only_recognised() -> None:
    """A probe is known as one; judged as a value it is unknown."""
    assert is_probe({"file_exists": "x"})
    assert not is_probe({"json": "x", "equals": 1})
    assert judge({"file_exists": "x"}, {}).holds is None


@pytest.mark.parametrize(("path", "result", "fine"), [
    ("order.status", False, True), ("order", False, True), ("", False, False), ("[0]", False, False), ("a b", False, False),
    ("", True, True), ("[0]", True, True), ("$.a", True, True), ("a-b", True, False), (3, True, False),
])  # fmt: skip
def test_the_path_of_a_condition(path: Any, result: bool, fine: bool) -> None:
    """What is wrong with it is told in its own words."""
    problem = path_problem(path, result=result)
    assert (problem is None) is fine
    assert "result." not in (problem or "")


@given(
    st.dictionaries(
        st.sampled_from(["json", "var", "equals", "in", "matches", "exists", "min", "type", "schema", "any", "not", "length", "x"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
        | st.dictionaries(st.text(max_size=3), st.integers(), max_size=2) | st.just("order.status"),
    )
)  # fmt: skip
def test_any_condition_is_judged(condition: dict[str, Any]) -> None:
    """Whatever it says, the answer is a judgement."""
    assert judge(condition, VARIABLES).holds in (True, False, None)
    assert judge(condition, VARIABLES, RESULT).holds in (True, False, None)
