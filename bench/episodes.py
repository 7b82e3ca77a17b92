"""Recorded agents run again: retail episodes on the real openai SDK, replayed with nobody to ask, and compared.

usage: python bench/episodes.py [--limit N] [--data FOLDER] [--out FILE]

Each episode is recorded live: the model's turns are played by a server on 127.0.0.1, the tools by the tape. A fresh
process, in which that server is gone and every tool body fails, then replays each: `exact`, or it counts as failed. The
two gpt-4o agents are compared task by task, and the step named first is held against the one that a walk along both
trajectories finds; of the grok-3 agent, whose tool failed at random, what replay gave back is compared byte by byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

AGENTS = {
    "gpt-4o": "gpt4o_tool_calling_100ep.json",
    "gpt-4o, preconditions": "gpt4o_tool_calling_preconditions_100ep.json",
    "grok-3, flaky tool": "grok3_flaky_tools_115ep.json",
}
FAILED = "Error: 503 Service Unavailable"
NOBODY = "http://127.0.0.1:9"
HERE = Path(__file__).resolve()


def trajectories(data: Path, agent: str, limit: int | None) -> list[dict[str, Any]]:
    """The episodes of an agent, in order of their tasks."""
    found = json.loads((data / "trajectories/tau_retail" / AGENTS[agent]).read_text("utf-8"))
    spoken = [each for each in found if any(message["role"] == "assistant" for message in each["traj"])]
    return sorted(spoken, key=lambda each: (each["task_id"], each.get("trial", 0)))[:limit]


class Tools:
    """The tools of an episode, as the agent calls them; `play` is what they do."""

    def __init__(self, calls: int, play: Any) -> None:
        self.left, self.play, self.results = calls, play, list[Any]()

    def __call__(self, name: str, arguments: dict[str, Any]) -> Any:
        import spanreel

        self.left -= 1
        tool = spanreel.tool(name=name, safety="write")(lambda **given: self.play(name, given))
        self.results.append(tool(**arguments))
        return self.results[-1]


def live(episode: dict[str, Any], url: str, infos: list[Any], play: Any) -> list[Any]:
    """Run the agent on an episode; what its tools gave it."""
    import tau_agent

    told = episode["traj"]
    last = max(at for at, message in enumerate(told) if message["role"] == "assistant")
    turns = [message["content"] for message in told[:last] if message["role"] == "user"]
    system = next((message["content"] for message in told if message["role"] == "system"), "")
    calls = sum(len(message.get("tool_calls") or ()) for message in told if message["role"] == "assistant")
    tools = Tools(calls if told[last].get("tool_calls") else -1, play)
    base = f"{url}/ep/{episode['task_id']}/{episode.get('trial', 0)}"
    tau_agent.openai_loop(base, system, infos, turns, tools, False, "tau-playback")
    return tools.results


def results(episode: dict[str, Any]) -> list[Any]:
    """What the tools gave in the trajectory."""
    return [message["content"] for message in episode["traj"] if message["role"] == "tool"]


def record(data: Path, agent: str, limit: int | None) -> list[str]:
    """Record each episode as a run; their ids."""
    import tau_llm_server

    import spanreel

    spanreel.instrument(agent)
    infos = json.loads((data / "trajectories/tau_retail/tools.json").read_text("utf-8"))
    server = tau_llm_server.serve(str(data / "trajectories/tau_retail" / AGENTS[agent]), 0, True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    runs: list[str] = []
    for episode in trajectories(data, agent, limit):
        tape = iter(results(episode))
        with spanreel.run(agent) as run:
            live(
                episode,
                f"http://127.0.0.1:{server.server_address[1]}",
                infos,
                lambda *_, tape=tape: next(tape),
            )
        runs.append(run.run_id)
    server.shutdown()
    spanreel.uninstrument()
    return runs


def replay(data: Path, agent: str, limit: int | None, runs: list[str]) -> list[dict[str, Any]]:
    """Replay each run: its verdict, whether its tools gave back what is on the tape, and the run that the replay is."""
    import spanreel

    def refused(name: str, _: Any) -> Any:
        raise AssertionError(f"the body of {name} ran in a replay")

    spanreel.instrument(agent)
    infos = json.loads((data / "trajectories/tau_retail/tools.json").read_text("utf-8"))
    told: list[dict[str, Any]] = []
    for episode, run in zip(trajectories(data, agent, limit), runs, strict=True):
        given: list[Any] = []
        started = time.perf_counter()
        try:
            with spanreel.replaying(run) as execution:
                given = live(episode, NOBODY, infos, refused)
            verdict, effects = execution.verdict.verdict, execution.verdict.effects.model_dump()
            again = execution.run_id
        except spanreel.Divergence as error:
            verdict, effects, again = f"diverged: {error}", {}, None
        taped = results(episode)[: len(given)]
        equal = [one.encode() == other.encode() for one, other in zip(given, taped, strict=True)]
        told.append(
            {
                "verdict": verdict,
                "effects": effects,
                "replay": again,
                "results": len(given),
                "results_equal": sum(equal),
                "failures": sum(one == FAILED for one in taped),
                "failures_equal": sum(same for same, one in zip(equal, taped, strict=True) if one == FAILED),
                "ms": round(1000 * (time.perf_counter() - started), 1),
            }
        )
    spanreel.uninstrument()
    return told


def arguments(text: str) -> Any:
    """What the model wrote, as JSON where it is JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def walked(episode: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The steps of a trajectory, told without spanreel: what was newly heard and answered, and each tool's result."""
    steps: list[tuple[Any, ...]] = []
    heard: list[Any] = []
    for message in episode["traj"]:
        asked = [call["function"] for call in message.get("tool_calls") or ()]
        calls = [(call["name"], arguments(call["arguments"])) for call in asked]
        said = (message["role"], message.get("content") or "", calls)
        if message["role"] == "assistant":
            steps.append((heard, said))
            heard = []
        elif message["role"] == "tool":
            steps.append((steps[-1][1][2], said))
        heard = [*heard, said]
    return steps


def compare(data: Path, limit: int | None, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Compare the two gpt-4o agents task by task; how often the step named first is the one that the walk finds."""
    import spanreel

    one, other = (trajectories(data, agent, limit) for agent in list(AGENTS)[:2])
    right, causes, places, times = 0, Counter[str](), Counter[int](), list[float]()
    for here, there, (a, b) in zip(one, other, pairs, strict=True):
        assert here["task_id"] == there["task_id"]
        left, other_steps = walked(here), walked(there)
        sides = zip(left, other_steps, strict=False)
        expected = next(
            (at for at, (x, y) in enumerate(sides, 1) if x != y), min(len(left), len(other_steps)) + 1
        )
        runs = spanreel.load(a), spanreel.load(b)
        started = time.perf_counter()
        first = spanreel.diff(*runs).first_divergence
        times.append(1000 * (time.perf_counter() - started))
        named = ({first.a_step, first.b_step} - {None}) if first else set[int]()
        right += named == {expected}
        places[expected] += 1
        causes[first.differs if first else "none"] += 1
    return {
        "pairs": len(pairs),
        "first_step_as_walked": right,
        "causes": dict(causes),
        "first_steps": {str(at): count for at, count in sorted(places.items())},
        "median_ms": round(sorted(times)[len(times) // 2], 1),
    }


def identical(runs: list[str], replays: list[dict[str, Any]]) -> int:
    """How many runs are identical to their replays."""
    import spanreel

    return sum(
        spanreel.diff(run, again["replay"]).identical
        for run, again in zip(runs, replays, strict=True)
        if again["replay"]
    )


def phase(task: str, data: Path, limit: int | None, told: dict[str, Any]) -> Any:
    """One part of the whole, in this process."""
    sys.path.insert(0, str(data / "tools"))
    agent = told.get("agent", "")
    if task == "record":
        return record(data, agent, limit)
    if task == "replay":
        return replay(data, agent, limit, told["runs"])
    if task == "identical":
        return identical(told["runs"], told["replays"])
    return compare(data, limit, told["pairs"])


def alone(task: str, data: Path, limit: int | None, told: dict[str, Any], folder: Path) -> Any:
    """One part of the whole, in a process of its own."""
    command = [sys.executable, str(HERE), "--data", str(data), "--phase", task]
    command += ["--limit", str(limit)] if limit is not None else []
    environment = {**os.environ, "SPANREEL_STORE": str(folder / "spans.db"), "OPENAI_API_KEY": "none"}
    done = subprocess.run(
        command,
        input=json.dumps(told),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=folder,
        env=environment,
    )
    return json.loads(done.stdout.splitlines()[-1])


def measured(data: Path, limit: int | None, folder: Path) -> dict[str, Any]:
    """All agents recorded, replayed, compared."""
    found: dict[str, Any] = {"agents": {}}
    recorded: dict[str, list[str]] = {}
    for agent in AGENTS:
        runs = recorded[agent] = alone("record", data, limit, {"agent": agent}, folder)
        replays = alone("replay", data, limit, {"agent": agent, "runs": runs}, folder)
        same = alone("identical", data, limit, {"runs": runs, "replays": replays}, folder)
        found["agents"][agent] = {
            "episodes": len(runs),
            "verdicts": dict(Counter(each["verdict"] for each in replays)),
            "live_effects": sum(each["effects"].get("live", 0) for each in replays),
            "served": sum(each["effects"].get("recorded", 0) for each in replays),
            **{
                name: sum(each[name] for each in replays)
                for name in ("results", "results_equal", "failures", "failures_equal")
            },
            "identical_to_their_replay": same,
            "median_ms": sorted(each["ms"] for each in replays)[len(replays) // 2],
        }
    pairs = list(zip(*(recorded[agent] for agent in list(AGENTS)[:2]), strict=True))
    found["diff"] = alone("compare", data, limit, {"pairs": pairs}, folder)
    return found


def main() -> None:
    """Measure, print, and keep."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    shared = Path(os.environ.get("SPANREEL_SHARED") or HERE.parent.parent.parent / "shared")
    words.add_argument("--data", type=Path, default=shared / "data")
    words.add_argument("--limit", type=int, help="episodes of each agent; default: all")
    words.add_argument("--out", type=Path, help="where the figures are kept")
    words.add_argument("--phase", help=argparse.SUPPRESS)
    given = words.parse_args()
    if given.phase:
        print(json.dumps(phase(given.phase, given.data, given.limit, json.load(sys.stdin))))
        return
    with tempfile.TemporaryDirectory() as folder:
        found = measured(given.data.resolve(), given.limit, Path(folder))
    again = "python bench/episodes.py --out bench/results/episodes.json"
    text = json.dumps({"command": again, **found}, indent=1)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
