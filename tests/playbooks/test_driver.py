"""Driving a walk for real: tools, spans, surroundings, sub-playbooks and mending, in sync and async code."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import spanreel
from spanreel.collector.store import open_reader
from spanreel.replay.load import load
from spanreel.replay.playbooks.body import Body, State
from spanreel.replay.playbooks.governance.library import Library
from spanreel.wire import attributes as names
from spanreel.wire.spans import Span

done: list[Any] = []


@spanreel.tool(safety="read", name="drv_read")
async def read(n: int) -> dict:
    await asyncio.sleep(0)
    return {"n": n}


@spanreel.tool(name="drv_write", pre=[lambda n: n < 100], post=[lambda result: result["ok"]])
def write(n: int) -> dict:
    done.append(n)
    return {"ok": n != 13}


@spanreel.tool(name="drv_fail")
def fail() -> None:
    raise OSError("503")


@pytest.fixture(autouse=True)
def recording() -> Iterator[spanreel.Instrumentation]:
    done.clear()
    on = spanreel.instrument()
    yield on
    on.uninstrument()


def play(states: dict[str, Any], given: dict[str, Any] | None = None, mode: str = "run", **keys: Any) -> Any:
    """Run a playbook of these states, in sync or async code."""
    options = {
        name: keys.pop(name) for name in ("tools", "modules", "model", "repairers", "store") if name in keys
    }
    guided = {"mode": keys.pop("walked")} if "walked" in keys else {}
    body = {"name": "drv", "initial": next(iter(states)), "states": states, **keys}
    playbook = spanreel.Playbook.of(Body.model_validate(body))
    if mode == "run":
        return playbook.run(given, **options, **guided)
    return asyncio.run(playbook.arun(given, **options, **guided))


def spans(run_id: str) -> list[Span]:
    spanreel.instrument().flush()
    with open_reader(Path(os.environ["SPANREEL_STORE"])) as reader:
        return sorted(reader.spans(reader.resolve(run_id).trace_id), key=lambda one: one.start_ns)


both = pytest.mark.parametrize("mode", ["run", "arun"])


@both
def test_sync_and_async_tools_are_called_in_sync_and_async_code(mode: str) -> None:
    """One walk, two drivers; both runs have the same steps."""
    states = {"r": {"tool": "drv_read", "args": {"n": 2}, "save_as": "r", "next": "w"},
              "w": {"tool": "drv_write", "args": {"n": "{{ r.n }}"}}}  # fmt: skip
    result = play(states, mode=mode)
    assert (result.output, result.visited, result.tool_calls, done) == ({"ok": True}, ["r", "w"], 2, [2])
    spanreel.instrument().flush()
    assert [step.name for step in load(result.run_id).steps if step.name != "spanreel.check"] == [
        "drv_read",
        "drv_write",
    ]


def test_the_root_and_each_state_say_what_they_are() -> None:
    """Name, hash, mode, parameters; state, visit, next and what was saved; calls lie below their state."""
    states = {
        "r": {"tool": "drv_read", "args": {"n": "{{ params.n }}"}, "save_as": "r", "next": "s"},
        "s": {"set": {"m": 1}},
    }
    result = play(states, {"n": 2}, params={"n": {"type": "integer"}})
    found = spans(result.run_id)
    root = next(one for one in found if one.parent_span_id is None)
    said = root.attributes
    assert (said[names.PLAYBOOK_NAME], said[names.PLAYBOOK_HASH], said[names.PLAYBOOK_MODE]) == (
        "drv",
        result.hash,
        "strict",
    )
    assert (json.loads(str(said[names.PLAYBOOK_PARAMS])), said[names.PLAYBOOK_TOOL_CALLS]) == ({"n": 2}, 1)
    assert said[f"{names.OUTCOME}success"] is True
    r, s = (one for one in found if names.PLAYBOOK_VISIT in one.attributes)
    assert (r.name, r.attributes[names.PLAYBOOK_NEXT], r.attributes[names.PLAYBOOK_SAVED]) == (
        "state r",
        "s",
        '{"r":{"n":2}}',
    )
    assert r.parent_span_id == s.parent_span_id == root.span_id
    assert next(one for one in found if one.attributes.get(names.TOOL_NAME)).parent_span_id == r.span_id


def test_a_guard_that_stopped_it_is_on_the_root_and_on_its_state() -> None:
    """With the reason; the run has failed."""
    result = play({"f": {"tool": "drv_fail"}})
    found = spans(result.run_id)
    for one in (found[0], next(one for one in found if one.name == "state f")):
        assert (one.attributes[names.PLAYBOOK_GUARD], one.attributes[names.PLAYBOOK_REASON]) == (
            "call",
            "OSError: 503",
        )
    assert found[0].attributes[names.PLAYBOOK_STOPPED_AT] == "f"
    assert load(result.run_id).status == "error"


@both
def test_each_further_attempt_has_a_span_of_its_own(mode: str) -> None:
    """With its number; the state tells of each retry, and what failed."""
    result = play({"f": {"tool": "drv_fail", "retry": {"max_attempts": 3}}}, mode=mode)
    found = spans(result.run_id)
    attempts = [one for one in found if names.PLAYBOOK_ATTEMPT in one.attributes]
    assert [one.attributes[names.PLAYBOOK_ATTEMPT] for one in attempts] == [2, 3]
    state = next(one for one in found if one.name == "state f")
    retries = [one.attributes for one in state.events if one.name == "spanreel.retry"]
    assert [(one["attempt"], one["error"]) for one in retries] == [(2, "OSError: 503"), (3, "OSError: 503")]
    calls = [one for one in found if one.attributes.get(names.TOOL_NAME) == "drv_fail"]
    assert [one.parent_span_id for one in calls] == [state.span_id, *(one.span_id for one in attempts)]


@both
def test_conditions_of_a_tools_author_are_called_with_what_they_are_about(mode: str) -> None:
    """Those before by the names of the arguments, those after with the result."""
    states = {"w": {"tool": "drv_write", "args": {"n": "{{ params.n }}"}}}
    params = {"n": {"type": "integer"}}
    assert play(states, {"n": 1}, mode, params=params).ok
    assert play(states, {"n": 100}, mode, params=params).failure.guard == "precondition"
    assert play(states, {"n": 13}, mode, params=params).failure.guard == "postcondition"
    assert done == [1, 13]


def test_a_compensation_is_marked_as_one() -> None:
    """In the recording, too."""
    states = {"w": {"tool": "drv_write", "args": {"n": 1}, "compensate": {"tool": "drv_write", "args": {"n": 2}}, "next": "f"},
              "f": {"tool": "drv_fail"}}  # fmt: skip
    found = spans(play(states).run_id)
    undoing = next(one for one in found if names.PLAYBOOK_PURPOSE in one.attributes)
    assert (undoing.attributes[names.PLAYBOOK_PURPOSE], done) == ("compensation", [1, 2])


@both
def test_a_playbook_within_is_found_in_the_store_only_when_it_is_active(mode: str) -> None:
    """A candidate is never run because another playbook names it; one that is named by its hash is that body."""
    inner = Body.model_validate(
        {"name": "inner", "initial": "w", "states": {"w": {"tool": "drv_write", "args": {"n": 3}}}}
    )
    library = Library()
    kept = library.add(inner)
    states = {"s": {"playbook": {"name": "inner"}}}
    assert play(states, mode=mode).failure.guard == "playbook"
    assert done == []
    states["s"]["playbook"]["hash"] = kept.hash
    result = play(states, mode=mode)
    assert (result.output, done) == ({"ok": True}, [3])
    assert "playbook inner" in [one.name for one in spans(result.run_id)]


# surroundings


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen()
        yield one.getsockname()[1]


def holds(condition: dict[str, Any], mode: str = "run") -> bool:
    result = play({"w": {"tool": "drv_write", "args": {"n": 1}, "pre": [condition]}}, mode=mode)
    assert result.ok or result.failure.guard == "precondition", result
    return result.ok


@both
def test_conditions_of_the_surroundings(
    mode: str, tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each holds where it is so, and not where it is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DRV_ENV", "on")
    Path("there").touch()
    free = socket.socket()
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
    free.close()
    for good, bad in [
        ({"always": True}, {"always": False}),
        ({"file_exists": "there"}, {"file_exists": "gone"}),
        ({"path_not_exists": "gone"}, {"path_not_exists": "there"}),
        ({"command_available": "git"}, {"command_available": "no-such-command"}),
        ({"env_exists": "DRV_ENV"}, {"env_exists": "DRV_NONE"}),
        ({"env_equals": {"DRV_ENV": "on"}}, {"env_equals": {"DRV_ENV": "off"}}),
        (
            {"env_equals": {"name": "DRV_ENV", "value": "on"}},
            {"env_equals": {"name": "DRV_ENV", "value": "off"}},
        ),
        ({"port_free": port}, {"port_free": taken}),
        ({"cwd_contains": tmp_path.name}, {"cwd_contains": "elsewhere-entirely"}),
        ({"tool_available": "drv_read"}, {"tool_available": ["drv_read", "drv_none"]}),
        ({"python": "os.path:isabs_of"}, {"python": "os:no_such"}),
        ({"any": [{"file_exists": "gone"}, {"file_exists": "there"}]}, {"not": {"file_exists": "there"}}),
    ]:
        if "python" not in good:
            assert holds(good, mode), good
        assert not holds(bad, mode), bad


def test_git_clean_is_unknown_where_there_is_no_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And unknown is not a pass."""
    monkeypatch.chdir(tmp_path)
    assert not holds({"git_clean": True})
    subprocess.run(["git", "init", "-q"], check=True)
    Path(".gitignore").write_text("*\n")
    assert holds({"git_clean": True})
    Path(".gitignore").write_text("")
    Path("new").touch()
    assert not holds({"git_clean": True})


def polite(variables: Any) -> bool:
    """A condition in Python."""
    return variables["params"]["word"] == "please"


@both
def test_a_condition_in_python_is_called_with_the_variables(mode: str) -> None:
    """Its yes or no decides."""
    states = {"w": {"tool": "drv_write", "args": {"n": 1}, "pre": [{"python": f"{__name__}:polite"}]}}
    given: dict[str, Any] = {"params": {"word": {}}, "modules": [__name__]}
    assert play(states, {"word": "please"}, mode, **given).ok
    assert play(states, {"word": "now"}, mode, **given).failure.guard == "precondition"


def test_a_condition_that_was_found_out_is_served_in_a_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run has done itself does not change what it is told."""
    monkeypatch.chdir(tmp_path)
    states = {"w": {"tool": "drv_write", "args": {"n": 1}, "pre": [{"path_not_exists": "mark"}]}}
    result = play(states)
    Path("mark").touch()
    assert not play(states).ok
    spanreel.instrument().flush()
    with spanreel.replaying(result.run_id) as execution:
        assert play(states).ok
    assert (execution.verdict.verdict, done) == ("exact", [1])


# guided


def test_a_guided_run_keeps_what_it_mended_for_review() -> None:
    """As a candidate of its own, whose parent is the body that was run; the run itself is the old body's."""
    states = {"f": {"tool": "drv_fail", "next": "w"}, "w": {"tool": "drv_write", "args": {"n": 5}}}

    def other(body: Body, failure: Any, variables: Any) -> State:
        return State.model_validate({"tool": "drv_read", "args": {"n": 1}, "next": "w"})

    result = play(states, repairers=[other], walked="guided")
    assert (result.ok, done) == (True, [5])
    kept = Library().get(f"drv@{result.mended.removeprefix('sha256:')[:12]}")
    assert (kept.status, kept.parent, kept.body.states["f"].tool) == ("review", result.hash, "drv_read")


def test_a_repairer_may_give_a_patch() -> None:
    """Of the body, as a JSON Patch."""
    states = {"f": {"tool": "drv_fail"}}
    patch = [
        {"op": "replace", "path": "/states/f/tool", "value": "drv_read"},
        {"op": "add", "path": "/states/f/args", "value": {"n": 1}},
    ]
    result = play(states, repairers=[lambda *_: patch], walked="guided")
    assert (result.ok, result.output) == (True, {"n": 1})
