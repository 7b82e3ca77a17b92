"""Loops in runs: found where every run's calls are exactly theirs, and walked to the same calls again."""

from __future__ import annotations

from typing import Any

from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.compiling.loops import Looped, collapse
from spanreel.replay.playbooks.compiling.observed import Call
from spanreel.replay.playbooks.walk import walk


def calls(*told: tuple[str, dict[str, Any], Any], safety: str = "read") -> list[Call]:
    """Calls in this order: tool, arguments, result."""
    return [
        Call((at + 1) * 10, tool, args, result, None, None, safety, f"t:{at}")
        for at, (tool, args, result) in enumerate(told)
    ]


def walked(body: dict[str, Any], answers: Any) -> list[tuple[str, dict[str, Any]]]:
    """The calls that a walk makes; `answers` gives each one's result."""
    made: list[tuple[str, dict[str, Any]]] = []
    walking = walk(Body.model_validate({"name": "loop", **body}), {})
    answer: Any = None
    try:
        while True:
            asked = walking.send(answer)
            answer = None
            if isinstance(asked, asks.Known):
                answer = asks.ToolFacts(asked.tool, "read")
            elif isinstance(asked, asks.Call):
                made.append((asked.tool, dict(asked.args)))
                answer = answers(asked.tool, asked.args)
    except StopIteration:
        return made


def orders(count: int, safety: str = "read") -> list[Call]:
    """A run that lists some orders and then asks for each of them."""
    names = [f"#{100 + place}" for place in range(count)]
    listed = ("list_orders", {"user": "u1"}, {"orders": [{"id": name} for name in names]})
    return calls(listed, *(("touch_order", {"id": name, "how": "full"}, {"id": name}) for name in names), safety=safety)  # fmt: skip


def test_for_each_of_a_list_of_unknown_length() -> None:
    """Calls for every item of an earlier list are one state, however many there are; a write too."""
    for safety in ("read", "write"):
        found = collapse([orders(3, safety), orders(1, safety), orders(5, safety)])
        assert [len(run) for run in found] == [2, 2, 2]
        loop = found[0][1]
        assert isinstance(loop, Looped)
        assert (loop.kind, loop.over, loop.arguments) == ("each", 10, {"how": "full"})
        args = {**loop.arguments, **loop.explained("touched")}
        body = {
            "initial": "a",
            "states": {
                "a": {
                    "tool": "list_orders",
                    "args": {"user": "u1"},
                    "save_as": "listed",
                    "next": "b",
                },
                "b": {"tool": "touch_order", "args": args, "repeat": loop.repeat("listed", args)},
            },
        }
        for count in (1, 2, 4):
            made = orders(count)
            results = iter([call.result for call in made])
            again = walked(body, lambda *_, results=results: next(results))
            assert again == [(call.tool, call.arguments) for call in made]


def test_a_list_that_one_run_left_early_is_no_loop() -> None:
    """Where one run did not go through its whole list, nothing is collapsed in any."""
    stopped = orders(4)[:-1]
    assert collapse([orders(3), stopped]) == [orders(3), stopped]


def test_another_order_of_items_is_no_loop() -> None:
    """Items in another order than the list's are not what the loop would do."""
    run = orders(3)
    turned = [run[0], run[2], run[1], run[3]]
    assert collapse([turned]) == [turned]


def polls(*states: str, job: str = "j1") -> list[Call]:
    """A run that asks for a job until it is done."""
    return calls(*(("job", {"id": job}, {"id": job, "state": state, "n": n}) for n, state in enumerate(states)))  # fmt: skip


def test_polling_until_a_field_says_so() -> None:
    """The same call again until a field of its result turns, whatever the number."""
    found = collapse(
        [polls("queued", "running", "done"), polls("done"), polls("queued", "queued", "running", "done")]
    )
    (loop,) = found[2]
    assert isinstance(loop, Looped)
    assert loop.kind == "until"
    assert list(loop.until) == [{"json": "state", "equals": "done"}]
    body = {
        "initial": "a",
        "states": {
            "a": {
                "tool": "job",
                "args": loop.arguments,
                "save_as": "job",
                "repeat": loop.repeat(None, loop.arguments),
            }
        },
    }
    results = iter([{"state": "queued"}, {"state": "queued"}, {"state": "done"}, {"state": "never asked"}])
    assert walked(body, lambda *_: next(results)) == [("job", {"id": "j1"})] * 3


def test_polling_that_ends_in_different_words_is_told_by_what_it_waited_for() -> None:
    """Where the last word differs, the loop goes on while it is the one that all waited through."""
    found = collapse([polls("pending", "failed"), polls("pending", "pending", "done")])
    (loop,) = found[0]
    assert isinstance(loop, Looped)
    assert list(loop.until) == [{"json": "state", "not_equals": "pending"}]


def test_a_write_made_again_in_one_run_is_no_loop() -> None:
    """A write that only one run repeated is not repeated by a playbook."""
    run = calls(("pay", {"id": 1}, {"state": "open"}), ("pay", {"id": 1}, {"state": "paid"}), safety="write")
    once = calls(("pay", {"id": 1}, {"state": "paid"}), safety="write")
    assert collapse([run, once]) == [run, once]


def pages(count: int, last: dict[str, Any]) -> list[Call]:
    """A run that asks for page after page."""
    told: list[tuple[str, dict[str, Any], Any]] = []
    for page in range(count):
        args = {"size": 2} | ({"cursor": f"c{page}"} if page else {})
        more = {"next": f"c{page + 1}"} if page + 1 < count else last
        told.append(("items", args, {"items": [page], **more}))
    return calls(*told)


def test_pages_until_there_is_none() -> None:
    """An argument taken from the result before, until that is empty or gone."""
    for last in ({}, {"next": None}, {"next": ""}):
        found = collapse([pages(3, last), pages(2, last)])
        (loop,) = found[0]
        assert isinstance(loop, Looped)
        assert loop.kind == "page"
        args = {**loop.arguments, **loop.explained("page")}
        repeat = loop.repeat(None, args)
        body = {
            "initial": "a",
            "states": {"a": {"tool": "items", "args": args, "save_as": "page", "repeat": repeat}},
        }
        for count in (1, 2, 5):
            made = pages(count, last)
            results = iter([call.result for call in made])
            again = walked(body, lambda *_, results=results: next(results))
            assert again == [(call.tool, call.arguments) for call in made]


def test_a_single_page_counts_with_a_run_that_had_more() -> None:
    """A run whose first page was the last one agrees with the loop of another."""
    found = collapse([pages(3, {"next": None}), pages(1, {"next": None})])
    assert [len(run) for run in found] == [1, 1]


def test_calls_that_have_nothing_to_do_with_each_other_stay() -> None:
    """The same tool with unrelated arguments is no loop."""
    run = calls(("get", {"id": "a"}, {"x": 1}), ("get", {"id": "b"}, {"x": 2}), ("get", {"id": "c"}, {"x": 3}))  # fmt: skip
    assert collapse([run]) == [run]
