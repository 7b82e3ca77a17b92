"""Evidence of playbooks that really ran: executions by the driver, and their replays, as the library sees them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment

from spanreel.exceptions import Refused
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.governance.promoting import promote

PROGRAM = """
import sys
import spanreel
from spanreel.replay.playbooks.body import Body
from spanreel.exceptions import Refused
from spanreel.replay.playbooks.governance.library import Library
from spanreel.replay.playbooks.playbook import Playbook

spanreel.instrument()

@spanreel.tool(name="library_price_of", safety="read")
def library_price_of(item: str) -> dict:
    if sys.argv[2:] == ["moved"]:
        return {"amount": 3}
    return {"price": 3, "item": item}

body = Body.model_validate({
    "name": "price", "params": {"item": {"type": "string"}}, "initial": "ask",
    "promotion": {"profile": "aggressive", "min_runs": 3, "demote_after_stops": 2},
    "states": {"ask": {"tool": "library_price_of", "args": {"item": "{{ params.item }}"}, "save_as": "found",
                       "expect": {"shape": {"required": ["price"]}}}},
})
if __name__ == "__main__":
    Library().add(body)
    found = Playbook.load(body).run(item=sys.argv[1])
    print(found.status, found.run_id)
    print(Library().evidence(body.hash).executions[-1].became)  # what this very process just did is seen
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that runs a playbook once."""
    path = tmp_path / "price.py"
    path.write_text(PROGRAM)
    return path


def test_what_really_ran_is_evidence(program: Path, store: Path, tmp_path: Path) -> None:
    """Three executions promote a body, a replay adds none, two drifted ones take it out of use and name the state."""

    def spoken(*words: str | Path) -> list[str]:
        done = subprocess.run(
            [sys.executable, *map(str, words)], cwd=tmp_path, env=environment(tmp_path, SPANREEL_STORE=str(store)),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    runs = [spoken(program, item) for item in ("lamp", "desk", "lamp")]
    assert [(one[0], one[2]) for one in runs] == [("completed", "ok")] * 3
    library = Library(store)
    entry = library.get("price")
    assert [one.run_id for one in entry.evidence.executions] == [one[1] for one in runs]
    assert entry.evidence.distinct_inputs == 2
    assert [(one.model_calls, one.cost) for one in entry.evidence.executions] == [(0, "0")] * 3
    spoken("-m", "spanreel", "replay", runs[0][1], "--json")
    assert len(library.get("price").evidence.executions) == 3
    with pytest.raises(Refused, match=r"max_divergence asks for at most 0\.1; nothing is known"):
        promote("price", gates={"profile": "staged"}, store=library)
    promote("price", store=library)
    for _ in range(2):
        assert spoken(program, "lamp", "moved")[::2] == ["failed", "failed"]
    entry = library.get("price")
    assert (entry.status, entry.dispatchable) == ("needs_repair", False)
    assert entry.why.startswith("expect at ask: ")
