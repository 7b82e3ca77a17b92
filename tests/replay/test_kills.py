"""Killed anywhere, resumed until done: no payment twice, and what cannot be known is asked, by name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import killing
import pytest
from scripted_server import ScriptedServer

SEEDS = 6


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What a story changes in it is put back."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="module")
def till() -> Iterator[ScriptedServer]:
    """A server whose clients may vanish."""
    with ScriptedServer() as server:
        server._http.handle_error = lambda *_: None
        yield server


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("variant", ["sequential", "threads"])
def test_a_killed_run_is_resumed_and_pays_once(tmp_path: Path, till: ScriptedServer, variant: str, seed: int):
    """At whatever call or moment it is killed, once or twice."""
    found = killing.story(tmp_path, seed, variant, 150_000 if variant == "sequential" else 50_000, till.url)
    assert (found.errors, found.status) == ([], "completed"), found


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_payment_that_was_under_way_is_in_doubt(tmp_path: Path, till: ScriptedServer, when: str):
    """Whether it was made or not: the resume stops and names it; what somebody finds out decides."""
    found = killing.told(tmp_path, f"fire:2:{when}", "sequential", till.url)
    assert (found.errors, found.status, found.resumes) == ([], "completed", 2), found
    assert "tool pay, irreversible" in found.doubts[0]
    assert found.fired == {"pay W0": 1, "pay W1": 1, "pay W2": 1}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_tool_with_an_idempotency_key_is_tried_again_by_itself(
    tmp_path: Path, till: ScriptedServer, when: str
):
    """Nobody is asked."""
    found = killing.told(tmp_path, f"fire:2:{when}", "idempotent", till.url)
    assert (found.errors, found.doubts, found.status, found.resumes) == ([], [], "completed", 1), found
    assert found.fired == {"refund W0": 1, "refund W1": 1 + (when == "after"), "refund W2": 1}
