"""Where runs go different ways: a value known before decides, or nothing does."""

from __future__ import annotations

from typing import Any

from spanreel.replay.playbooks.compiling.branches import separate


def known(status: str, order: str, **more: Any) -> dict[str, Any]:
    """What a run knew."""
    return {"order.status": status, "params.order": order, "order.id": order, **more}


def test_a_word_that_all_runs_of_a_way_share_decides() -> None:
    """With two runs each, the value that separates them becomes the condition of each way."""
    runs = [
        known("pending", "#W111"),
        known("delivered", "#W112"),
        known("pending", "#W113"),
        known("delivered", "#W114"),
    ]
    found = separate(runs, ["cancel", "return", "cancel", "return"])
    assert found is not None
    assert found.conditions == {
        "cancel": ({"json": "order.status", "equals": "pending"},),
        "return": ({"json": "order.status", "equals": "delivered"},),
    }
    assert found.support == {"cancel": 2, "return": 2}
    assert not found.weak


def test_an_id_never_decides() -> None:
    """What is different in each run separates them by chance, and is refused."""
    runs = [known("open", "#W111"), known("open", "#W112")]
    assert separate(runs, ["a", "b"], exactly=True) is None
    assert separate([{"t": "2024-05-01"}, {"t": "2024-05-02"}], ["a", "b"], exactly=True) is None


def test_one_run_each_way_is_too_little_unless_one_value_is_all_that_differs() -> None:
    """A single run a way is believed only where asked for, and where one value alone differs."""
    runs = [known("pending", "#W111"), known("delivered", "#W112")]
    assert separate(runs, ["a", "b"]) is None
    found = separate(runs, ["a", "b"], exactly=True)
    assert found is not None
    assert found.weak
    two = [{**runs[0], "user.tier": "gold"}, {**runs[1], "user.tier": "silver"}]
    assert separate(two, ["a", "b"], exactly=True) is None


def test_values_of_one_way_that_differ_do_not_decide() -> None:
    """A value that is not the same in all runs of a way is none that it can be known by."""
    runs = [{"s": "x"}, {"s": "y"}, {"s": "z"}, {"s": "z"}]
    assert separate(runs, ["a", "a", "b", "b"]) is None


def test_several_values_that_separate_are_asked_for_together() -> None:
    """What separates as well has to hold too: nobody can say which it is that counts."""
    runs = [{"o.status": status, "o.paid": status == "done"} for status in ("new", "new", "done", "done")]
    found = separate(runs, ["a", "a", "b", "b"])
    assert found is not None
    assert found.conditions["b"] == (
        {"json": "o.paid", "equals": True},
        {"json": "o.status", "equals": "done"},
    )


def test_too_many_unrelated_values_are_chance() -> None:
    """Where four values of different objects separate the runs, none is believed."""
    runs = [{f"v{n}.word": "left" if run < 2 else "right" for n in range(4)} for run in range(4)]
    assert separate(runs, ["a", "a", "b", "b"]) is None
