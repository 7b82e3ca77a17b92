"""Repair on recorded τ-bench runs in a world that was changed: a key, an argument or a tool has another name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_tasks import retail, safety_of

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks.compiling import compile_runs, params_of
from spanreel.replay.playbooks.repairs.case import Case
from spanreel.replay.playbooks.repairs.fitting import Fit, Shown, fit
from spanreel.replay.playbooks.repairs.repair import repaired
from spanreel.replay.playbooks.shadows.scoring import Safeties
from spanreel.replay.playbooks.walk import jsonable
from spanreel.replay.timeline import Replay

KEYS = ("item_id", "status", "payment_methods", "orders", "items")
RUNS = 10


def renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {(new if key == old else key): renamed(item, old, new) for key, item in value.items()}
    return [renamed(item, old, new) for item in value] if isinstance(value, list) else value


def changed(run: Replay, **change: tuple[str, str]) -> Replay:
    """The run as it is in a world with other names. change: key, tool, or argument, as (old, new)."""
    calls = []
    for call in run.tool_calls:
        told: dict[str, Any] = {}
        if "key" in change:
            told["result"] = renamed(jsonable(call.result), *change["key"])
        if "tool" in change and call.tool_name == change["tool"][0]:
            told["tool_name"] = change["tool"][1]
        if "argument" in change and isinstance(call.tool_args, dict):
            old, new = change["argument"]
            told["tool_args"] = {(new if key == old else key): value for key, value in call.tool_args.items()}
        calls.append(call.model_copy(update=told))
    of_step = {call.step: call for call in calls if call.step is not None}
    steps = [
        step.model_copy(update={"tool": of_step[step.number], "name": of_step[step.number].tool_name})
        if step.tool is not None and step.number in of_step
        else step
        for step in run.steps
    ]
    return run.model_copy(update={"tool_calls": calls, "steps": steps})


@pytest.fixture(scope="module")
def compiled(shared: Path) -> list[tuple[Any, Shown, Fit, dict[str, str]]]:
    """Playbooks of single runs that do what their run did."""
    runs = [run for run in retail(shared / "data") if run.success and run.writes]
    safety = safety_of(runs)
    found: list[tuple[Any, Shown, Fit, dict[str, str]]] = []
    for run in runs:
        try:
            body = compile_runs([run.replay], "retail").body
            shown = Shown(run.replay, dict(params_of(body, run.replay).params), ok=True)
        except SpanreelError:
            continue
        over = fit(body, shown, None, Safeties.of(safety))
        if over.clean:
            found.append((body, shown, over, safety))
        if len(found) == RUNS:
            break
    return found


def test_every_change_of_a_name_is_repaired(compiled: list[tuple[Any, Shown, Fit, dict[str, str]]]) -> None:
    """Whichever name changed, a run in the changed world shows the repair, and the repaired body does what it did."""
    met = 0
    for body, shown, over, safety in compiled:
        earlier = {name: [call.result] for name, call in over.served.items()}
        write = next(state for state in body.states.values() if state.tool and safety[state.tool] != "read")
        argument = next(iter(write.args))
        changes: list[dict[str, tuple[str, str]]] = [
            *({"key": (key, f"{key}_x")} for key in KEYS),
            {"tool": (write.tool or "", f"{write.tool}_v2")},
            {"argument": (argument, f"{argument}_x")},
        ]
        for change in changes:
            world = Shown(changed(shown.replay, **change), shown.params, ok=True)
            safeties = Safeties.of(safety, {f"{write.tool}_v2": "write"})
            stopped = fit(body, world, None, safeties)
            if stopped.clean:
                continue
            met += 1
            found = repaired(Case(body, stopped, world, earlier=earlier), safeties)
            assert found.clean, (shown.replay.run_id, change)
            assert found.flags == [], (shown.replay.run_id, change, found.changes)
    assert met >= 3 * RUNS
