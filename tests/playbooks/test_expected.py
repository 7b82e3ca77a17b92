"""What a state expects of its result: each key decides alone, and what cannot be compared is no pass."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from spanreel.replay.playbooks.body import Expect
from spanreel.replay.playbooks.expected import absent, as_expected, content_hash

RESULT: dict[str, Any] = {
    "status": "delivered",
    "total": 12.5,
    "count": 1,
    "items": [{"id": "i1"}, {"id": "i2"}],
    "text": "3 passed",
}


def expect(**keys: Any) -> Expect:
    """What is expected, in the keys of a file."""
    return Expect.model_validate(keys)


@pytest.mark.parametrize(
    ("keys", "holds"),
    [
        ({}, True),
        ({"hash": content_hash(RESULT)}, True),
        ({"hash": content_hash({**RESULT, "count": 1.0})}, False),
        ({"json": {"status": "delivered"}}, True),
        ({"json": {"status": "{{ params.wanted }}"}}, True),
        ({"json": {"count": True}}, False),
        ({"json": {"count": 1.0}}, True),
        ({"json": {"items": [{"id": "i1"}]}}, False),
        ({"json": {"nothing": None}}, False),
        ({"json": []}, False),
        ({"shape": {"required": ["status"]}}, True),
        ({"shape": {"properties": {"total": {"type": "integer"}}}}, False),
        ({"regex": r"\d passed"}, True),
        ({"regex": r"\d failed"}, False),
        ({"contains": ["passed", "i2", "{{ params.wanted }}"]}, True),
        ({"contains": ["passed", "failed"]}, False),
        ({"tolerance": {"total": {"value": 12, "within": 0.5}}}, True),
        ({"tolerance": {"$.total": {"value": 12, "within": 0.5}}}, True),
        ({"tolerance": {"total": {"value": 12, "within": 0.4}}}, False),
        ({"tolerance": {"status": {"value": 12, "within": 1}}}, False),
        ({"tolerance": {"nothing": {"value": 12, "within": 1}}}, False),
        ({"tolerance": {"items[*]": {"value": 12, "within": 1}}}, False),
        ({"json": {"status": "delivered"}, "contains": ["nothing"]}, False),
        ({"json": {"status": "{{ nothing }}"}}, None),
        ({"regex": "("}, None),
        ({"shape": {"type": "strng"}}, None),
        ({"shape": {"$ref": "http://127.0.0.1:9/x"}}, None),
        ({"tolerance": {"a[": {"value": 1, "within": 1}}}, None),
    ],
)
def test_each_key_decides(keys: dict[str, Any], holds: bool | None) -> None:
    """All that is given has to fit; a binding, pattern or schema that is none makes it unknown."""
    judged = as_expected(expect(**keys), RESULT, {"params": {"wanted": "delivered"}})
    assert judged.holds is holds, judged.why
    assert judged.why


def test_nothing_expected() -> None:
    """Then every result is as expected."""
    assert as_expected(None, object(), {}).holds is True


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, True, "12"])
def test_what_is_no_number_is_near_nothing(value: object) -> None:
    """Neither NaN nor a number too large to compare is within a tolerance."""
    near = expect(tolerance={"x": {"value": 12, "within": 1e300}})
    assert as_expected(near, {"x": value}, {}).holds is False


def test_what_is_no_json_cannot_be_compared() -> None:
    """A result that JSON cannot say is unknown, not an error of the walk."""
    for keys in ({"hash": "sha256:0"}, {"regex": "x"}, {"contains": ["x"]}):
        assert as_expected(expect(**keys), {"at": datetime.now(UTC)}, {}).holds is None


def test_a_deep_result_is_unknown() -> None:
    """One that is nested too deeply to compare stops the run at its guard."""
    deep: Any = {}
    for _ in range(5_000):
        deep = {"a": deep}
    assert as_expected(expect(json=deep), deep, {}).holds is None


def test_a_text_is_compared_as_it_is() -> None:
    """Its quotes are not those of JSON, and its hash is that of its characters."""
    assert as_expected(expect(regex='^a "b"$', contains=['"b"']), 'a "b"', {}).holds is True
    assert content_hash("x") != content_hash(["x"])
    assert content_hash("x") == "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"


def test_what_is_missing_is_named() -> None:
    """By its path, with what is there instead."""
    assert absent({"a": {"b": 1}}, {"a": {"b": 2}}) == "$.a.b is 2, and not 1"
    assert absent({"a": {"b": 1}}, {"a": {}}) == "$.a.b is not there"
    assert absent({"a": {"b": 1}}, {"a": 3}) == "$.a is no object"
    assert absent({"a": {}}, {"a": {"b": 2}}) is None
