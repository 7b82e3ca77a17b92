"""Values that tools, callers and authors were not expected to give: never passed on as something else, never code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

import spanreel
from spanreel.exceptions import BadInput
from spanreel.replay.playbooks.body import Body, State
from spanreel.replay.playbooks.entry import Wanted, run_body
from spanreel.replay.playbooks.formats.checking import check
from spanreel.replay.playbooks.formats.file import body_of

done: list[Any] = []
gives: dict[str, Any] = {}
RING: list[Any] = []
RING.append(RING)


@pytest.fixture(autouse=True)
def recording() -> Iterator[None]:
    done.clear()
    on = spanreel.instrument()
    yield
    on.uninstrument()


@spanreel.tool(name="hostile_get", safety="read")
def get() -> Any:
    return gives["value"]


@spanreel.tool(name="hostile_put")
def put(value: Any) -> Any:
    done.append(value)
    return value


@spanreel.tool(name="hostile_undo")
def undo(value: Any) -> None:
    done.append(("undone", value))


class Handle:
    """What only lives in this process."""


def passed_on(value: Any) -> Any:
    gives["value"] = value
    states = {
        "get": {"tool": "hostile_get", "save_as": "got", "next": "put"},
        "put": {"tool": "hostile_put", "args": {"value": "{{ got.value }}"}},
    }
    return spanreel.Playbook.of(made(states)).run()


def made(states: dict[str, Any], **keys: Any) -> Body:
    return Body.model_validate({"name": "hostile", "initial": next(iter(states)), "states": states, **keys})


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, RING, Handle(), "half \ud800", 10**4000, [[Handle()]], {"a": {1: math.nan}}]
)
def test_what_is_no_json_value_is_not_passed_on_as_its_text(value: Any) -> None:
    """A write with ``<Handle object>`` or ``nan`` as its argument would be silently wrong; the binding says so instead."""
    found = passed_on({"value": value, "fine": 1})
    assert (found.status, found.failure.guard, done) == ("failed", "binding", [])
    assert "no JSON value" in found.failure.reason


@pytest.mark.parametrize(
    "value", ["{{ params.secret }}", "a {{ got }}", {"{{ x }}": "{{ y }}"}, "$.params", "é\u2028😀"]
)
def test_a_result_is_never_read_as_a_template(value: Any) -> None:
    """It goes on as it is."""
    assert passed_on({"value": value}).ok
    assert done == [value]


def test_the_rest_of_such_a_result_can_be_used() -> None:
    """Only what is bound has to be JSON."""
    gives["value"] = {"handle": Handle(), "value": 3}
    assert passed_on({"handle": Handle(), "value": 3}).ok
    assert done == [3]


def test_two_orders_of_set_that_come_to_different_values_have_two_hashes() -> None:
    """A later variable sees the earlier one; where none names another, the order is no difference."""
    first = {"i": {"set": {"c": 1}, "next": "a"}}
    one = made({**first, "a": {"set": {"c": 2, "b": "{{ c }}"}}}, output="{{ b }}")
    two = made({**first, "a": {"set": {"b": "{{ c }}", "c": 2}}}, output="{{ b }}")
    assert [spanreel.Playbook.of(body).run().output for body in (one, two)] == [2, 1]
    assert one.hash != two.hash
    assert made({"a": {"set": {"c": 2, "b": 1}}}).hash == made({"a": {"set": {"b": 1, "c": 2}}}).hash


@pytest.mark.parametrize(
    ("said", "key"),
    [
        ("states: {a: {tool: t, expect: {json: }}}", "json"),
        ("states: {a: {tool: t, expect: }}", "expect"),
        ("states: {a: {approval: , next: end}}", "approval"),
        ("budget: {max_cost: }\nstates: {a: {tool: t}}", "max_cost"),
    ],
)
def test_a_guard_without_a_value_is_no_guard_and_is_refused(said: str, key: str) -> None:
    """``approval:`` with nothing after it would be no gate at all, ``max_cost:`` no limit."""
    with pytest.raises(BadInput, match=f"`{key}` has no value"):
        body_of(f"spanreel: playbook/v1\nname: a\ninitial: a\n{said}\n")


@pytest.mark.parametrize("attempts", [1, 3])
def test_what_a_playbook_within_did_is_undone_also_if_it_was_not_what_was_expected(attempts: int) -> None:
    """Each time that it was done."""
    inner = made({"a": {"tool": "hostile_put", "args": {"value": 1}, "compensate": {"tool": "hostile_undo", "args": {"value": "{{ result }}"}}}})  # fmt: skip
    outer = made({"a": {"playbook": {"name": "within"}, "retry": {"max_attempts": attempts}, "post": [{"json": "$", "equals": 2}]}})  # fmt: skip
    found = run_body(outer, Wanted(bodies={"within": inner}))
    assert (found.failure and found.failure.guard, done) == (
        "postcondition",
        [*[1] * attempts, *[("undone", 1)] * attempts],
    )


@pytest.mark.parametrize("mode", ["guided", "strict"])
def test_a_write_that_failed_and_may_have_happened_is_not_mended(mode: str) -> None:
    """Another form of it would be a second write; one whose arguments the tool does not take never began."""
    tried: list[str] = []

    def other(body: Body, failure: Any, variables: Any) -> State:
        tried.append(failure.reason)
        return State.model_validate({"tool": "hostile_late", "args": {"total": 5}})

    late = {"a": {"tool": "hostile_late", "args": {"amount": 5}}}
    found = spanreel.Playbook.of(made(late)).run(mode=mode, repairers=[other])
    assert (found.status, found.failure.guard, done) == ("failed", "call", [(5, None)])
    done.clear()
    tried.clear()
    spanreel.Playbook.of(made({"a": {"tool": "hostile_late", "args": {"sum": 5}}})).run(
        mode=mode, repairers=[other]
    )
    assert (len(tried), done) == ((1, [(None, 5)]) if mode == "guided" else (0, []))


@spanreel.tool(name="hostile_late")
def late(amount: Any = None, total: Any = None) -> None:
    done.append((amount, total))
    raise TimeoutError("no answer in time")


def test_a_schema_or_a_path_that_would_never_end_is_refused_before_anything_runs() -> None:
    """References written out are counted, loops are told, and no element is looked up against everything."""
    doubling: dict[str, Any] = {"d0": {"type": "object"}}
    doubling |= {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} for n in range(1, 40)}
    for shape, word in [
        ({"$defs": doubling, "$ref": "#/$defs/d39"}, "refers to more than"),
        ({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}, "leads back to itself"),
    ]:
        (problem,) = check(made({"a": {"tool": "hostile_get", "expect": {"shape": shape}}}))
        assert word in problem.message
    for path in ("params..[?count($..*) > 1]", "params[*][?$.params[*]]", "params[?$['params'].*]"):
        (problem,) = check(made({"a": {"set": {"x": f"{{{{ {path} | list }}}}"}}}))
        assert "for each element" in problem.message
    assert not check(
        made({"a": {"set": {"x": "{{ params.l[?@.n == $.params.n].v }}"}}}, params={"l": {}, "n": {}})
    )
