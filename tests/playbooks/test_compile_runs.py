"""Recorded runs made into a playbook: in Python and by the command; the same content is the same version."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from typer.testing import CliRunner

import spanreel
from spanreel.cli.app import app
from spanreel.replay.playbooks.compiling import compile_runs, params_of
from spanreel.replay.playbooks.compiling.observe import observe
from spanreel.replay.playbooks.compiling.tape import over
from spanreel.replay.playbooks.formats.file import body_of
from spanreel.replay.timeline import Replay

SPACE = UUID(int=7)
CITIES = ["Oslo", "Lima", "Kyoto", "Accra"]


@spanreel.tool(name="trip_ticket", safety="read")
def ticket(city: str) -> dict[str, Any]:
    """The ticket for a trip to a city, with its price."""
    return {"ticket": str(uuid5(SPACE, city)), "city": city, "price": {"amount": len(city) * 1000.5}}


@spanreel.tool(name="trip_file", safety="read")
def file(ticket: str) -> str:
    """Where a ticket is kept."""
    return f"/trips/{ticket}/ticket.pdf"


@spanreel.tool(name="trip_book", safety="write")
def book(ticket: str, path: str, amount: float, note: str) -> dict[str, Any]:
    """The booking."""
    if note == "late":
        raise TimeoutError("the desk does not answer")
    return {"booked": ticket, "note": note}


@spanreel.agent(name="trips")
def agent(city: str, *, unlucky: bool = False) -> str:
    """Books a trip."""
    found = ticket(city)
    path = file(found["ticket"])
    if unlucky:
        with contextlib.suppress(TimeoutError):
            book(found["ticket"], path, found["price"]["amount"], "late")
    booked = book(found["ticket"], path, found["price"]["amount"], "window seat")
    return f"booked {booked['booked']}"


@pytest.fixture
def runs() -> list[Replay]:
    """Four recorded runs, the second with a call that failed; newest last."""
    spanreel.instrument()
    for city in CITIES:
        agent(city, unlucky=city == "Lima")
    spanreel.uninstrument()
    return [spanreel.load(f"last~{back}") for back in (3, 2, 1, 0)]


def test_three_runs_become_bindings_and_new_values_run_through_them(runs: list[Replay]) -> None:
    """City, uuid and path are variables; walked with a fourth run's values, the writes are that run's."""
    compiled = compile_runs(runs[:3], "book-trip")
    assert compiled.body.params["city"].input == "city"
    assert list(compiled.body.params) == ["city"]
    book_state = compiled.body.states["trip_book"]
    assert book_state.args["ticket"] == "{{ trip_ticket.ticket }}"
    assert book_state.args["amount"] == "{{ trip_ticket.price.amount }}"
    assert book_state.args["path"] == "{{ trip_file }}"
    assert book_state.args["note"] == "window seat"
    held_out = observe(runs[3])
    walkthrough = over(compiled.body, held_out, params_of(compiled.body, held_out).params)
    assert [dict(one.args) for one in walkthrough.writes] == [held_out.calls[-1].arguments]


def test_a_call_that_failed_is_left_out_and_told(runs: list[Replay]) -> None:
    """The unlucky run's first booking is no state."""
    compiled = compile_runs(runs[:3], "book-trip")
    assert [state.tool for state in compiled.body.states.values()].count("trip_book") == 1
    (out,) = [out for out in compiled.report.left_out if out.tool == "trip_book"]
    assert out.run_id == runs[1].run_id
    assert "the desk does not answer" in out.why


def test_every_state_tells_which_calls_it_came_from(runs: list[Replay]) -> None:
    """derived_from: a call of each run; the body names the runs, its agent and how it came to be."""
    body = compile_runs(runs[:3], "book-trip").body
    assert body.origin == "merged_runs"
    assert body.derived_from == [run.run_id for run in runs[:3]]
    assert body.matchers.agent == "trips"
    for state in body.states.values():
        assert [span.partition(":")[0] for span in state.derived_from] == [run.trace_id for run in runs[:3]]


def test_the_same_runs_make_the_same_playbook(runs: list[Replay]) -> None:
    """What it does is its identity; the runs that show it are none of it."""
    assert compile_runs(runs[:3], "book-trip").body.hash == compile_runs(runs[:3], "book-trip").body.hash
    assert compile_runs(runs[:2], "book-trip").body.hash == compile_runs(runs[1:3], "book-trip").body.hash


def test_the_command_keeps_a_candidate_writes_a_file_and_prints_the_report(
    runs: list[Replay], tmp_path: Path
) -> None:
    """Compiled twice it is one version; the file holds the same body; the JSON is the report."""
    target = tmp_path / "trip.yaml"
    names = [run.run_id for run in runs[:3]]
    arguments = [
        "playbook",
        "compile",
        *names,
        "--name",
        "book-trip",
        "--match",
        "goal=trip",
        "--out",
        str(target),
    ]
    for _ in range(2):
        done = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert "book-trip@1" in done.output
    assert "checked: 3 of 3" in done.output
    told = json.loads(CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert told["schema"] == "spanreel.compile_report.v1"
    body = body_of(target.read_text("utf-8"), str(target))
    assert body.hash == told["hash"]
    assert body.matchers.goal == ["trip"]


def test_a_playbook_is_compiled_in_python(runs: list[Replay]) -> None:
    """`Playbook.compile` is the same."""
    made = spanreel.Playbook.compile(runs[:3], name="book-trip", store=os.environ["SPANREEL_STORE"])
    assert made.hash == compile_runs(runs[:3], "book-trip").body.hash
