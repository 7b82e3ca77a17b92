"""Two recorded agents on the same hundred tasks: the comparison against a count made without it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spanreel.replay.compare import compare
from spanreel.replay.timeline import Replay
from spanreel.wire.spans import Span

ROOT = Path(__file__).resolve().parents[2]
FILES = ("gpt4o_tool_calling_100ep.json", "gpt4o_tool_calling_preconditions_100ep.json")


def arguments(text: str) -> Any:
    """What the model wrote, as JSON where it is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def genai(message: dict[str, Any]) -> dict[str, Any]:
    """An OpenAI chat message as a GenAI message."""
    if message["role"] == "tool":
        return {
            "role": "tool",
            "parts": [
                {"type": "tool_call_response", "id": message["tool_call_id"], "response": message["content"]}
            ],
        }
    parts: list[dict[str, Any]] = (
        [{"type": "text", "content": message["content"]}] if message.get("content") else []
    )
    for call in message.get("tool_calls") or ():
        told = call["function"]
        parts.append(
            {
                "type": "tool_call",
                "id": call["id"],
                "name": told["name"],
                "arguments": arguments(told["arguments"]),
            }
        )
    return {"role": message["role"], "parts": parts}


def spans(episode: dict[str, Any], trace: str) -> Iterator[Span]:
    """The episode as spans with standard attributes: one for each answer of the model, one for each tool call."""
    told: list[dict[str, Any]] = []
    yield Span(
        trace,
        f"{1:016x}",
        "invoke_agent",
        start_ns=1,
        end_ns=10**12,
        attributes={"gen_ai.operation.name": "invoke_agent"},
    )
    for number, message in enumerate(episode["traj"], 2):
        attributes: dict[str, Any] = {}
        if message["role"] == "assistant":
            attributes = {
                "gen_ai.operation.name": "chat",
                "gen_ai.request.model": "gpt-4o",
                "gen_ai.input.messages": json.dumps(told),
                "gen_ai.output.messages": json.dumps([genai(message)]),
            }
        elif message["role"] == "tool":
            attributes = {
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": message["name"],
                "gen_ai.tool.call.id": message["tool_call_id"],
            }
        if attributes:
            yield Span(
                trace,
                f"{number:016x}",
                message["role"],
                f"{1:016x}",
                start_ns=number * 10**9,
                end_ns=number * 10**9 + 5,
                attributes=attributes,
            )
        told.append(genai(message))


def essence(episode: dict[str, Any]) -> list[str]:
    """The steps of an episode, ids left out: what was newly said and asked, what was answered; counted by hand."""
    steps: list[str] = []
    heard: list[Any] = []
    for message in episode["traj"]:
        calls = [
            (call["function"]["name"], arguments(call["function"]["arguments"]))
            for call in message.get("tool_calls") or ()
        ]
        said = json.dumps([message["role"], message.get("content"), message.get("name"), calls])
        if message["role"] == "assistant":
            steps.append(json.dumps([heard, said]))
            heard = []
        elif message["role"] == "tool":
            steps.append(json.dumps([steps[-1], said]))
        heard.append(said)
    return steps


@pytest.fixture(scope="module")
def pairs(shared: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Both agents' episodes of each task."""
    folder = shared / "data" / "trajectories" / "tau_retail"
    one, other = (
        {episode["task_id"]: episode for episode in json.loads((folder / name).read_text("utf-8"))}
        for name in FILES
    )
    return [(one[task], other[task]) for task in sorted(one.keys() & other.keys())]


def test_each_pair_differs_where_and_in_what_it_does(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    """For a hundred pairs: the first divergence is where a walk side by side sees one, and every call is counted once."""
    assert len(pairs) == 100
    for one, other in pairs:
        found = compare(Replay.from_spans(spans(one, "a" * 32)), Replay.from_spans(spans(other, "b" * 32)))
        calls = found.tool_calls_diff
        paired = calls.common + len(calls.changed) + len(calls.reordered)
        assert [paired + len(calls.removed), paired + len(calls.added)] == [
            sum(message["role"] == "tool" for message in episode["traj"]) for episode in (one, other)
        ]
        left, right = essence(one), essence(other)
        first = next(
            (at for at, (here, there) in enumerate(zip(left, right, strict=False), 1) if here != there),
            min(len(left), len(right)) + 1,
        )
        assert found.first_divergence is not None
        steps = {found.first_divergence.a_step, found.first_divergence.b_step} - {None}
        assert steps == {first}, one["task_id"]


def test_an_episode_with_other_ids_is_the_same(pairs: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    """All call ids minted anew: an empty diff."""
    for episode, _ in pairs[:10]:
        again = json.loads(json.dumps(episode).replace('"call_', '"other_'))
        found = compare(
            Replay.from_spans(spans(episode, "a" * 32)), Replay.from_spans(spans(again, "b" * 32))
        )
        assert found.identical
        assert found.tool_calls_diff.common == sum(message["role"] == "tool" for message in episode["traj"])


def test_one_altered_result_is_the_one_difference_named(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    """One character in one result: that call is changed and comes first; no call is added or removed."""
    for episode, _ in pairs[:10]:
        again = json.loads(json.dumps(episode))
        heard = zip(again["traj"], again["traj"][1:], strict=False)
        altered = [told for told, then in heard if told["role"] == "tool" and then["role"] == "assistant"][-1]
        altered["content"] += "!"
        found = compare(
            Replay.from_spans(spans(episode, "a" * 32)), Replay.from_spans(spans(again, "b" * 32))
        )
        calls = found.tool_calls_diff
        assert (len(calls.changed), len(calls.added), len(calls.removed), len(calls.reordered)) == (
            1,
            0,
            0,
            0,
        )
        assert calls.changed[0].b.tool_call_id == altered["tool_call_id"]
        assert found.first_divergence is not None
        assert found.first_divergence.what == "the tool's result"


CAUSES = {"user": "history", "assistant": "answer", "tool": "result"}


def edited(episode: dict[str, Any], place: int) -> dict[str, Any]:
    """The episode with one message put in other words, or one call given another argument."""
    again = json.loads(json.dumps(episode))
    message = again["traj"][place]
    if message.get("tool_calls"):
        told = message["tool_calls"][0]["function"]
        told["arguments"] = json.dumps({**arguments(told["arguments"]), "order_id": "#W0"})
    else:
        message["content"] = f"{message['content']} Else."
    return again


def test_one_edit_is_the_first_divergence_wherever_it_is(
    pairs: list[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    """A message of each episode changed at random: the step is the one a walk finds, the cause is what was changed."""
    chance = random.Random(3)
    seen: set[str] = set()
    for episode, _ in pairs:
        told = episode["traj"]
        last = max(at for at, message in enumerate(told) if message["role"] == "assistant")
        place = chance.randrange(1, last + 1)
        if any(not isinstance(arguments(call["function"]["arguments"]), dict) for call in told[place].get("tool_calls") or ()):  # fmt: skip
            continue
        again = edited(episode, place)
        found = compare(
            Replay.from_spans(spans(episode, "a" * 32)), Replay.from_spans(spans(again, "b" * 32))
        )
        sides = zip(essence(episode), essence(again), strict=True)
        expected = next(at for at, (one, other) in enumerate(sides, 1) if one != other)
        first = found.first_divergence
        assert first is not None
        assert (first.a_step, first.b_step) == (expected, expected), (episode["task_id"], place)
        assert first.differs == CAUSES[told[place]["role"]]
        seen.add(first.differs)
    assert seen == set(CAUSES.values())


@pytest.mark.timeout(400)
def test_real_agents_replay_exactly_and_are_compared(shared: Path, tmp_path: Path) -> None:
    """A sample of what bench/episodes.py does with all of them: the real SDK, a fresh process, no server, no tool body."""
    command = [
        sys.executable,
        str(ROOT / "bench" / "episodes.py"),
        "--data",
        str(shared / "data"),
        "--limit",
        "10",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=350, cwd=tmp_path, env=environment
    )
    found = json.loads(done.stdout)
    for agent in found["agents"].values():
        assert (agent["episodes"], agent["verdicts"], agent["live_effects"]) == (10, {"exact": 10}, 0)
        assert agent["results_equal"] == agent["results"] > 0
        assert agent["identical_to_their_replay"] == 10
    flaky = found["agents"]["grok-3, flaky tool"]
    assert flaky["failures_equal"] == flaky["failures"] > 0
    assert found["diff"]["first_step_as_walked"] == found["diff"]["pairs"] == 10
