"""Domains that the compiler was not made on: three runs each, compiled, walked over others: exact or stopped, never wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from procedures import Agent

from spanreel.exceptions import NotCompilable
from spanreel.replay.playbooks.compiling import compile_runs, params_of
from spanreel.replay.playbooks.compiling.observed import Observed
from spanreel.replay.playbooks.compiling.tape import over
from spanreel.replay.playbooks.compiling.values import key

Domain = Callable[[Random, int], Observed]
HELD_OUT = 12


def _flight(rng: Random) -> dict[str, Any]:
    fares = [
        {"fare_class": name, "price": rng.randint(80, 900), "seats": rng.randint(0, 9)}
        for name in ("economy", "premium", "business")
    ]
    return {"flight": f"HAT{rng.randint(100, 399)}", "date": f"2026-05-{rng.randint(10, 28)}", "fares": fares}


def rebooking(rng: Random, place: int) -> Observed:
    """A booking is moved to another flight in its class, paid as it was paid."""
    cards = [f"card_{rng.randint(1000, 9999)}" for _ in range(rng.randint(1, 3))]
    booking = {
        "reservation_id": f"{rng.choice('QZX')}{rng.randint(10000, 99999)}",
        "user_id": f"ada_{rng.randint(1000, 9999)}",
        "cabin": rng.choice(("economy", "premium", "business")),
        "payment_id": rng.choice(cards),
        "passengers": [{"name": name} for name in rng.sample(("Ada", "Bo", "Cy", "Di"), rng.randint(1, 3))],
    }
    flight = _flight(rng)
    agent = Agent(
        {
            "get_reservation": ("read", lambda reservation_id: booking),
            "get_traveller": ("read", lambda user_id: {"user_id": user_id, "cards": cards, "tier": "gold"}),
            "search_flight": ("read", lambda flight, date: chosen),
            "rebook": ("write", lambda **_: {"status": "rebooked"}),
        }
    )
    chosen = flight
    found = agent.calls("get_reservation", reservation_id=booking["reservation_id"])
    if rng.random() < 0.7:
        agent.calls("get_traveller", user_id=found["user_id"])
    offer = agent.calls("search_flight", flight=flight["flight"], date=flight["date"])
    fare = next(one for one in offer["fares"] if one["fare_class"] == found["cabin"])
    agent.calls(
        "rebook",
        reservation_id=booking["reservation_id"],
        flight=flight["flight"],
        date=flight["date"],
        fare=fare["price"],
        payment_id=found["payment_id"],
        cabin=found["cabin"],
    )
    given = {"reservation": booking["reservation_id"], "to_flight": flight["flight"], "on": flight["date"]}
    return agent.run(f"{place:032x}", given)


def triage(rng: Random, place: int) -> Observed:
    """A ticket goes to the team of its product, as urgent as its customer's contract says, with a note by the desk."""
    product = rng.choice(("router", "switch", "phone"))
    teams = {"router": "T-net-4401", "switch": "T-net-4402", "phone": "T-voice-77"}
    ticket = {
        "ticket": f"INC{rng.randint(100000, 999999)}",
        "product": product,
        "customer": f"CU-{rng.randint(1000, 9999)}",
        "priority": rng.choice(("low", "normal", "high")),
    }
    contract = {
        "level": rng.choice(("low", "normal", "high")),
        "manager": f"m{rng.randint(1000, 9999)}@example.org",
    }
    agent = Agent(
        {
            "get_ticket": ("read", lambda ticket_id: ticket),
            "get_contract": ("read", lambda customer: contract),
            "find_team": ("read", lambda product: {"product": product, "team": teams[product], "open": rng.randint(0, 9)}),
            "assign": ("write", lambda **_: {"ok": True}),
            "comment": ("write", lambda **_: {"ok": True}),
        }
    )  # fmt: skip
    agent.hears(f"Could you triage {ticket['ticket']}?")
    found = agent.calls("get_ticket", ticket_id=ticket["ticket"])
    asked = [
        ("get_contract", {"customer": found["customer"]}),
        ("find_team", {"product": found["product"]}),
    ]
    for tool, arguments in asked[:: rng.choice((1, -1))]:
        agent.calls(tool, **arguments)
    agent.calls("assign", ticket_id=ticket["ticket"], team=teams[product], priority=contract["level"])
    agent.calls("comment", ticket_id=ticket["ticket"], text=f"Triaged for {contract['manager']}: {product}", internal=True)  # fmt: skip
    return agent.run(f"{place:032x}")


def filing(rng: Random, place: int) -> Observed:
    """Every file of an inbox is moved to the archive of its year, and the folder gets a marker."""
    year = rng.randint(2019, 2026)
    inbox = f"/inbox/{rng.choice(('scans', 'mail', 'bills'))}-{rng.randint(100, 999)}"
    names = [f"doc{rng.randint(1000, 9999)}.pdf" for _ in range(rng.randint(1, 4))]
    agent = Agent(
        {
            "list_folder": ("read", lambda path: {"path": path, "files": [{"path": f"{path}/{name}", "size": rng.randint(1, 9)} for name in names]}),
            "move": ("write", lambda **_: {"moved": True}),
            "write_file": ("write", lambda **_: {"written": True}),
        }
    )  # fmt: skip
    for one in agent.calls("list_folder", path=inbox)["files"]:
        agent.calls("move", source=one["path"], target=f"/archive/{year}/")
    agent.calls("write_file", path=f"/archive/{year}/.index", content="indexed")
    return agent.run(f"{place:032x}", {"folder": inbox, "year": year})


def trading(rng: Random, place: int) -> Observed:
    """Shares are bought for a budget: how many is worked out from budget and price, which no binding says."""
    symbol = rng.choice(("ACME", "GLOB", "INIT", "UMBR"))
    budget, price = rng.randint(1000, 9000), rng.randint(11, 97)
    agent = Agent(
        {
            "get_account": ("read", lambda: {"account_id": f"AC{rng.randint(10000, 99999)}", "cash": budget * 3, "lot": 1}),
            "get_quote": ("read", lambda symbol: {"symbol": symbol, "price": price, "volume": rng.randint(100, 9999)}),
            "place_order": ("write", lambda **_: {"status": "open"}),
        }
    )  # fmt: skip
    account = agent.calls("get_account")
    quote = agent.calls("get_quote", symbol=symbol)
    agent.calls(
        "place_order", account_id=account["account_id"], symbol=symbol, limit=quote["price"], quantity=budget // price
    )  # fmt: skip
    return agent.run(f"{place:032x}", {"symbol": symbol, "budget": budget})


def walked(domain: Domain, seed: int) -> Counter[str]:
    """What became of the runs that were held out."""
    rng = Random(seed)
    runs = [domain(rng, place) for place in range(3 + HELD_OUT)]
    try:
        body = compile_runs(runs[:3], domain.__name__).body
    except NotCompilable as error:
        return Counter({f"not compiled: {error.reason}": HELD_OUT})
    hows: Counter[str] = Counter()
    for held in runs[3:]:
        filled = params_of(body, held)
        wrote = Counter(key([one.tool, dict(one.args)]) for one in over(body, held, filled.params).writes)
        meant = Counter(key([call.tool, call.arguments]) for call in held.calls if call.safety != "read")
        wrong = wrote - meant
        hows["wrong" if wrong else "exact" if wrote == meant else "stopped"] += 1
    return hows


@pytest.mark.parametrize(("domain", "least"), [(rebooking, 0.7), (triage, 0.85), (filing, 1.0)])
def test_a_domain_of_its_own(domain: Domain, least: float) -> None:
    """Over ten draws of three runs each: nothing is written that the run did not write, and so much is done again."""
    hows: Counter[str] = Counter()
    for seed in range(10):
        hows += walked(domain, seed)
    assert not hows["wrong"], hows
    assert hows["exact"] >= least * hows.total(), hows


def test_a_number_that_was_worked_out_is_refused() -> None:
    """What no binding says and no words are is not made up: such runs make no playbook, whichever they are."""
    for seed in range(10):
        assert walked(trading, seed) == {"not compiled: unexplained": HELD_OUT}
