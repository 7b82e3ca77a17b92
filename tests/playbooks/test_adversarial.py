"""Runs that would mislead a compiler: what it has to do with each of them: bind, keep a model state, or refuse."""

from __future__ import annotations

from typing import Any

import pytest
from recorded_tasks import Episode, Played, Tape, call, episode, play, safety_of, said

from spanreel.exceptions import NotCompilable
from spanreel.replay.playbooks.compiling import compile_runs


def compiled(runs: list[Episode], **how: Any) -> Any:
    """The playbook of some runs."""
    return compile_runs([run.replay for run in runs], "made-up", **how)


def walked(body: Any, params: dict[str, Any], run: Episode) -> Played:
    """A walk on the tape of a run."""
    return play(body, params, Tape(run), safety_of([run]))


def refund(name: str, stock: int, limit: int, amount: int) -> Episode:
    """A refund of what an order cost, whose result has other numbers beside it."""
    found = {"id": name, "cost": amount, "stock": stock, "limit": limit}
    return episode(
        call("find_order", {"order": name}, found),
        call("refund_order", {"order": name, "amount": amount}, {"ok": True}, write=True),
        given={"order": name},
    )


def test_a_distractor_that_parts_in_one_run_is_not_bound() -> None:
    """BIND: a value equal by chance in one run loses against the one that is equal in all."""
    runs = [
        refund("#A1001", 1299, 1299, 1299),
        refund("#A1002", 1750, 3100, 1750),
        refund("#A1003", 2, 7, 1860),
    ]
    body = compiled(runs).body
    other = refund("#A1004", 4444, 5555, 1666)
    done = walked(body, {"order": "#A1004"}, other)
    assert done.stopped is None
    assert done.writes == other.writes


def test_a_distractor_that_never_parts_stops_where_it_does() -> None:
    """REFUSE, when it counts: of two values that every run had equal nobody knows which is meant; where they part, it stops."""
    runs = [refund("#B1001", 1299, 1, 1299), refund("#B1002", 1750, 2, 1750), refund("#B1003", 1860, 3, 1860)]
    body = compiled(runs).body
    same = refund("#B1004", 2077, 4, 2077)
    assert walked(body, {"order": "#B1004"}, same).writes == same.writes
    parted = walked(body, {"order": "#B1005"}, refund("#B1005", 17, 4, 2088))
    assert parted.stopped is not None
    assert parted.writes == []


def close(name: str, turned: bool) -> Episode:
    """Two writes that do not depend on each other, in one order or the other."""
    both = [
        call("cancel_order", {"order": name}, {"status": "cancelled"}, write=True),
        call("notify_owner", {"order": name, "kind": "mail"}, {"sent": True}, write=True),
    ]
    return episode(
        call("find_order", {"order": name}, {"id": name}),
        *(reversed(both) if turned else both),
        given={"order": name},
    )


def test_two_runs_with_different_orders() -> None:
    """BIND: writes that agree but for their order are one procedure, in the order that most runs had, and that is said."""
    made = compiled([close("#C1001", False), close("#C1002", True), close("#C1003", False)])
    other = close("#C1004", True)
    done = walked(made.body, {"order": "#C1004"}, other)
    assert [tool for tool, _ in done.writes] == ["cancel_order", "notify_owner"]
    assert sorted(done.writes) == sorted(other.writes)
    assert "order" in made.report.model_dump_json()


def archive(user: str, count: int) -> Episode:
    """Every file of a user is archived, however many there are."""
    files = [{"id": f"{user}-f{place}00{place}", "size": place} for place in range(count)]
    return episode(
        call("list_files", {"user": user}, {"files": files}),
        *(call("archive_file", {"file": one["id"]}, {"done": True}, write=True) for one in files),
        given={"user": user},
    )


def test_a_loop_of_unknown_length() -> None:
    """BIND: a write for each item of a list becomes one state with `for_each`, and does as many as there are."""
    body = compiled([archive("u1001", 2), archive("u1002", 5), archive("u1003", 3)]).body
    for count in (1, 2, 4, 7):
        other = archive("u2001", count)
        done = walked(body, {"user": "u2001"}, other)
        assert done.stopped is None, done
        assert done.writes == other.writes


def test_a_list_that_one_run_did_not_finish_is_refused() -> None:
    """REFUSE: runs that write for all items and a run that writes for some differ in what they change."""
    half = archive("u3002", 4)
    cut = Episode("made-up", "m-1", "cut", 0, half.turns[:-4], True, given={"user": "u3002"})
    with pytest.raises(NotCompilable):
        compiled([archive("u3001", 3), cut])


def greet(user: str, first: str, last: str, city: str) -> Episode:
    """A label put together of two results."""
    return episode(
        call("get_person", {"user": user}, {"first": first, "last": last}),
        call("get_address", {"user": user}, {"city": city, "street": "Main St 7"}),
        call("print_label", {"text": f"{first} {last}, {city}"}, {"ok": True}, write=True),
        given={"user": user},
    )


def test_a_value_assembled_from_two_results() -> None:
    """BIND: a text made of values of two results is made of them again."""
    runs = [greet("u1001", "Ada", "Lovelace", "London"), greet("u1002", "Alan", "Turing", "Wilmslow")]
    body = compiled(runs).body
    other = greet("u1003", "Grace", "Hopper", "Arlington")
    done = walked(body, {"user": "u1003"}, other)
    assert done.stopped is None, done
    assert done.writes == other.writes


def summary(ticket: str, problem: str, words: str) -> Episode:
    """A ticket is closed with a sentence that stands nowhere."""
    return episode(
        call("get_ticket", {"ticket": ticket}, {"id": ticket, "problem": problem}),
        call("close_ticket", {"ticket": ticket, "summary": words}, {"ok": True}, write=True),
        given={"ticket": ticket},
    )


def summaries() -> list[Episode]:
    """Three of them."""
    return [
        summary("T-1001", "no light", "The customer had no power and we sent somebody."),
        summary("T-1002", "door stuck", "Hinges were oiled after the second visit."),
        summary("T-1003", "cold", "A new heater was ordered for the flat upstairs."),
    ]


def test_an_argument_that_only_a_model_can_write() -> None:
    """KEEP A MODEL STATE: a sentence of the model's own is asked of a model again, with what is known."""
    body = compiled(summaries()).body
    asking = [state for state in body.states.values() if state.llm is not None]
    assert len(asking) == 1
    assert "summary" in asking[0].llm.prompt
    closing = next(state for state in body.states.values() if state.tool == "close_ticket")
    assert "{{" in closing.args["summary"]


def test_an_argument_that_only_a_model_can_write_without_models() -> None:
    """REFUSE: where no model may be asked, there is no playbook of it."""
    with pytest.raises(NotCompilable):
        compiled(summaries(), models=False)


def test_words_of_a_model_that_were_used_keep_its_prompt() -> None:
    """KEEP A MODEL STATE: a call whose text went into an argument stays, with its own prompt."""

    def noted(ticket: str, problem: str, words: str) -> Episode:
        return episode(
            said(f"In one sentence, what happened with {problem}?"),
            said(words, "assistant"),
            call("close_ticket", {"ticket": ticket, "summary": words}, {"ok": True}, write=True),
            given={"ticket": ticket, "problem": problem},
        )

    runs = [
        noted("T-2001", "the missing parcel", "It was with the neighbour all the time."),
        noted("T-2002", "the broken lamp", "Somebody dropped it on the stairs again."),
    ]
    body = compiled(runs).body
    asking = [state.llm for state in body.states.values() if state.llm is not None]
    assert [one.prompt for one in asking] == ["In one sentence, what happened with {{ params.problem }}?"]


def moved(order: str, status: str) -> Episode:
    """An order is cancelled while it waits, and returned once it was delivered."""
    write = "cancel_order" if status == "pending" else "return_order"
    return episode(
        call("find_order", {"order": order}, {"id": order, "status": status}),
        call(write, {"order": order}, {"ok": True}, write=True),
        given={"order": order},
    )


def test_ways_that_a_known_value_tells_apart() -> None:
    """BIND: suffixes that differ with a value known before become a branch; a value no run had stops it."""
    runs = [moved(f"#D100{n}", "pending" if n % 2 else "delivered") for n in range(4)]
    body = compiled(runs).body
    for status in ("pending", "delivered"):
        other = moved("#D2001", status)
        done = walked(body, {"order": "#D2001"}, other)
        assert done.stopped is None, done
        assert done.writes == other.writes
    lost = moved("#D3001", "delivered")
    turns = list(moved("#D3001", "lost").turns[:2]) + list(lost.turns[2:])
    unknown = Episode("made-up", "m-1", "lost", 0, tuple(turns), True)
    done = walked(body, {"order": "#D3001"}, unknown)
    assert done.stopped is not None
    assert done.writes == []


def test_ways_that_nothing_tells_apart() -> None:
    """REFUSE: runs that change different things for no reason that was known."""

    def chosen(order: str, write: str) -> Episode:
        return episode(
            call("find_order", {"order": order}, {"id": order, "status": "open"}),
            call(write, {"order": order}, {"ok": True}, write=True),
            given={"order": order},
        )

    runs = [chosen(f"#E100{n}", "cancel_order" if n % 2 else "return_order") for n in range(4)]
    with pytest.raises(NotCompilable):
        compiled(runs)
