"""What was blanked in a recording is neither a constant of a playbook nor equal to anything else that was blanked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import spanreel
from spanreel.exceptions import NotCompilable
from spanreel.replay.load import load
from spanreel.replay.playbooks.compiling import compile_runs
from spanreel.replay.timeline import Replay

KEY = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGH"


@pytest.fixture
def recorded() -> Iterator[Callable[[Callable[[], Any], Any], Replay]]:
    on = spanreel.instrument()

    def record(work: Callable[[], Any], given: Any) -> Replay:
        with spanreel.run("blanker", input=given) as run:
            work()
            spanreel.outcome(success=True)
        on.flush()
        return load(run.run_id)

    yield record
    on.uninstrument()


@spanreel.tool(name="blank_send")
def send(to: str, secret: str) -> str:
    return "sent"


@spanreel.tool(name="blank_vault", safety="read")
def vault(secret: str) -> dict[str, Any]:
    return {"address": "ann@example.org"}


@pytest.mark.parametrize("given", [{"to": "ann"}, {"to": "ann", "keys": [KEY, KEY[::-1]]}])
def test_a_blanked_argument_of_a_write_is_refused(recorded: Any, given: Any) -> None:
    """Neither as a constant, nor bound to what looks the same in the input."""
    runs = [recorded(lambda: send("ann", KEY), given) for _ in range(2)]
    with pytest.raises(NotCompilable, match="blank_send: `secret` was blanked") as refusal:
        compile_runs(runs, "blanked")
    assert refusal.value.reason == "redacted"


def test_a_blanked_argument_of_a_read_that_a_write_needs_is_refused(recorded: Any) -> None:
    """It could not be read again."""

    def work() -> None:
        send(vault(KEY)["address"], "none")

    with pytest.raises(NotCompilable, match="was blanked"):
        compile_runs([recorded(work, {"n": n}) for n in range(2)], "blanked")


def test_a_blanked_argument_of_a_call_that_nothing_needs_is_no_matter(recorded: Any) -> None:
    """The call is left out."""

    def work() -> None:
        vault(KEY)
        send("ann", "none")

    made = compile_runs([recorded(work, {"to": "ann"}) for _ in range(2)], "blanked")
    assert [state.tool for state in made.body.states.values()] == ["blank_send"]


@pytest.mark.parametrize("level", ["hashes", "metadata", "none"])
@pytest.mark.parametrize("partial", [True, False])
def test_runs_below_full_capture_are_refused_by_name(level: Any, partial: bool) -> None:
    """A hash of an argument is no argument, and one that was not kept is not none at all."""
    on = spanreel.instrument(capture=level)
    with spanreel.run("blanker", input={"to": "ann"}) as run:
        send("ann", "none")
        spanreel.outcome(success=True)
    on.uninstrument()
    with pytest.raises(NotCompilable, match=r"capture='(full|hashes)'") as refusal:
        compile_runs([load(run.run_id)], "blanked", allow_partial=partial)
    assert refusal.value.reason == "no_successful_run"
