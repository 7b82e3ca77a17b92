"""Playbooks that are written in Python: states, what they are given, what they say, and what makes two of them different."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

import spanreel
from spanreel import Playbook
from spanreel.exceptions import ContractChanged, Refused, SpanreelError

paid: list[Any] = []


@dataclass
class Card:
    """What JSON has no word for."""

    number: int


@spanreel.tool(name="aut_pay")
def pay_tool(order: str) -> dict[str, str]:
    paid.append(order)
    return {"paid": order}


def shop(**keys: Any) -> Playbook:
    """Look, then pay where it is due."""
    playbook = Playbook("aut", params={"order": str, "due": {"type": "integer", "default": 5}}, **keys)

    @playbook.state
    def look(ctx: Any) -> str | None:
        ctx["total"] = ctx.params.due * 2
        ctx.set("seen", ctx["params"]["order"])
        return "pay" if ctx.params.due else None

    @playbook.state(pre=[{"json": "total", "max": 20}], next="told")
    async def pay(seen: str, due: int, missing: int = 3) -> None:
        await asyncio.sleep(0)
        pay_tool(f"{seen} {due} {missing}")

    playbook.add("told", set={"text": "paid {{ total }}"})
    return playbook


@pytest.fixture(autouse=True)
def nothing_paid() -> None:
    paid.clear()


def test_states_lead_on_by_what_they_return() -> None:
    """A name, `next`, or nothing, which is the end; variables go along by context or by name; sync and async alike."""
    playbook = shop(output="{{ text }}")
    result = playbook.run(order="W1")
    assert (result.output, result.visited, paid) == ("paid 10", ["look", "pay", "told"], ["W1 5 3"])
    assert asyncio.run(playbook.arun({"order": "W2"}, due=1)).output == "paid 2"
    assert shop().run(order="W1", due=0).visited == ["look"]


def test_the_guards_of_a_file_hold_for_functions_too() -> None:
    """Parameters, preconditions."""
    assert shop().run(order=1).failure.guard == "params"
    result = shop().run(order="W1", due=11)
    assert (result.failure.guard, result.failure.state, paid) == ("precondition", "pay", [])


def test_a_state_that_returns_no_state_stops() -> None:
    """Nor may it go a way that is not declared, where ways are."""
    playbook = Playbook("aut")
    playbook.state(name="a")(lambda: "nowhere")
    playbook.add("b", set={"x": 1})
    assert "no state of aut" in playbook.run().failure.reason
    strict = Playbook("aut", edges=[{"from": "b", "to": "a"}])
    strict.state(name="a")(lambda: "b")
    strict.add("b", set={"x": 1})
    assert "the edges from here are none" in strict.run().failure.reason


def test_retry_failure_and_post_of_a_function() -> None:
    """What it set is what `post` looks at."""
    playbook = Playbook("aut")
    calls: list[int] = []

    @playbook.state(retry={"max_attempts": 2}, post=[{"json": "n", "equals": 2}], on_failure="no")
    def count(ctx: Any) -> None:
        calls.append(1)
        ctx["n"] = len(calls)

    playbook.add("no", set={"failed": True})
    assert playbook.run().visited == ["count"]
    calls.append(1)
    assert playbook.run().visited == ["count", "no"]


def test_what_a_function_needs_and_nobody_set_is_named() -> None:
    """The state fails before its code runs."""
    playbook = Playbook("aut")
    playbook.state(name="a")(lambda order, other: None)
    assert "needs order, which nothing has set" in playbook.run().failure.reason


def test_names_that_are_kept_cannot_be_set() -> None:
    """params, result and the like stay what they are."""
    playbook = Playbook("aut")
    playbook.state(name="a")(lambda ctx: ctx.set("params", 1))
    assert "no name for a variable" in playbook.run().failure.reason


def test_hooks_are_called_around_each_visit() -> None:
    """Once, retries included; with the variables, the state, and where it leads."""
    playbook = shop()
    told: list[Any] = []
    playbook.before_state(lambda ctx, state: told.append(("before", state, "total" in ctx)))

    @playbook.after_state
    async def after(ctx: Any, state: str, follows: str | None) -> None:
        told.append(("after", state, follows))

    playbook.run(order="W1", due=1)
    asyncio.run(playbook.arun(order="W1", due=1))
    assert told[:6] == [
        ("before", "look", False), ("after", "look", "pay"), ("before", "pay", True), ("after", "pay", "told"),
        ("before", "told", True), ("after", "told", None),
    ]  # fmt: skip
    assert told[6:] == told[:6]


def made(function: Callable[..., Any], **keys: Any) -> Playbook:
    playbook = Playbook("aut", **keys)
    playbook.state(name="a", initial=True)(function)
    return playbook


def test_the_hash_covers_the_code() -> None:
    """Equal code, equal hash; another line of code, another hash."""

    def one() -> None:
        paid.append(1)

    def other() -> None:
        paid.append(2)

    assert made(one).hash == made(one).hash
    assert made(one).hash != made(other).hash
    assert made(one).hash != made(one, goal="other").hash
    assert shop().hash == shop().hash


def test_a_body_is_not_run_with_other_code_than_it_was_made_of() -> None:
    """A body that was kept, after its function changed."""
    body = made(state_now).body
    stale = body.model_copy(
        update={"states": {"a": body.states["a"].model_copy(update={"code": "c1:state-00000000-0"})}}
    )
    with pytest.raises(ContractChanged, match="state a of aut"):
        Playbook.of(stale).run(modules=[__name__])
    assert Playbook.of(body).run(modules=[__name__]).ok


def state_now() -> None:
    """A state that can be imported."""


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Playbook("aut").body, "has no state"),
        (lambda: Playbook("a b").add("x", set={}).body, "no name"),
        (lambda: Playbook("aut").add("x", set={}).add("x", set={}), "already"),
        (lambda: Playbook("aut").add("x", sett={}).body, "sett"),
        (lambda: Playbook("aut", params={"x": 5}), "no type"),
        (
            lambda: Playbook("aut").add("x", set={}, initial=True).add("y", set={}, initial=True),
            "begins at x",
        ),
        (lambda: Playbook("aut").state(len), "no function in Python"),
        (lambda: Playbook.load({"name": "aut", "initial": "gone", "states": {"x": {"set": {}}}}), "gone"),
    ],
)
def test_what_is_written_wrong_is_one_clear_line(make: Callable[[], Any], said: str) -> None:
    """When it is made, not when it runs."""
    with pytest.raises(SpanreelError, match=said):
        make()


def test_a_playbook_that_was_loaded_is_not_written_on() -> None:
    """Its body is what it is."""
    with pytest.raises(TypeError):
        Playbook.of(shop().body).add("x", set={})


def test_a_store_of_its_own_records_the_run(tmp_path: Any) -> None:
    """Where nothing is recorded yet."""
    from spanreel.replay.load import load

    result = shop(store=tmp_path / "own.db").run(order="W1")
    assert load(result.run_id, store=tmp_path / "own.db").status == "completed"


def test_a_playbook_is_kept_promoted_and_asked_where_it_comes_from(tmp_path: Any) -> None:
    """In its own store; a gate that refuses says so."""
    playbook = shop(store=tmp_path / "own.db")
    kept = playbook.keep(reason="first")
    assert (kept.status, kept.hash) == ("candidate", playbook.hash)
    assert playbook.keep().version == 1
    assert playbook.promote("shadow").entry.status == "shadow"
    with pytest.raises(Refused):
        playbook.promote()
    assert playbook.promote(force=True, reason="it is the only one").entry.status == "active"
    assert playbook.why().origin == "handwritten"


def test_a_value_keeps_its_type_from_function_to_function() -> None:
    """A date is a date in the states that follow, before a gate and after it; bindings and guards see its JSON."""
    playbook = Playbook("aut-typed", output="{{ day }} {{ card.number }}")
    seen: list[Any] = []

    @playbook.state
    def begin(ctx: Any) -> str:
        ctx["day"] = date(2026, 1, 2)
        ctx["card"] = Card(7)
        ctx["rows"] = ["a"]
        return "check"

    playbook.add("check", **{"assert": [{"json": "day", "equals": "2026-01-02"}]}, next="more")

    @playbook.state
    def more(day: date, card: Any, rows: Any) -> str:
        seen.extend([day, card, rows])
        return "last"

    @playbook.state
    def last(ctx: Any) -> None:
        seen.append(ctx["day"])

    result = playbook.run()
    assert (result.status, result.output) == ("completed", "2026-01-02 7"), result
    assert seen == [date(2026, 1, 2), Card(7), ["a"], date(2026, 1, 2)]
