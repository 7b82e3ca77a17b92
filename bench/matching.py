"""What a replayed call costs, beside VCR.py; what it costs when it is not byte for byte the recorded one; and a long run rebuilt.

usage: python bench/matching.py [--peers FOLDER] [--repeat 3] [--out FILE]

VCR.py (9.4) is installed by name under FOLDER (default bench/.peers) and run by the same harness as spanreel, `replay_bench.py` of the shared
bench folder, in one go: a conversation of N calls, each with the whole history. `vcr-body` compares the body, as one must to tell the turns of an
agent apart; `vcr` is blind to it. Microseconds of the calling thread below the SDK's own work, median over the calls of a session. Then our matcher by itself: the
same bytes, and a request whose `user` differs in every call, so that every message has to be compared. Last a run of 1,001 spans in a store, as a user
reads it: `spanreel.load`, and the message list of every call; its parts by themselves: records read and grouped, spans read, the `Replay` made, the lists.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path
from typing import Any

from spanreel.collector.store import open_reader, open_writer
from spanreel.instrument.responder import ModelRequest
from spanreel.replay.answer import Answer
from spanreel.replay.build import build
from spanreel.replay.load import load
from spanreel.replay.match import Consumed, Hit, Matcher
from spanreel.replay.pricing import price
from spanreel.replay.recording import ModelEffect, Recording
from spanreel.replay.timeline import Replay
from spanreel.wire import attributes as names
from spanreel.wire.spans import Scope, Span

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED = Path(os.environ.get("SPANREEL_SHARED") or ROOT.parent / "shared") / "bench"
TURNS = (1, 10, 50, 100)
URL = "https://api.openai.com/v1/chat/completions"
TEXT = "a few words that make the texts long enough to be worth it " * 8


def peer(folder: Path) -> Path:
    """The interpreter of VCR.py's environment, installed when it is not there."""
    python = folder / "vcr" / "bin" / "python"
    if not python.exists():
        venv.create(folder / "vcr", with_pip=True)
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "vcrpy==9.4.*", "openai", "httpx"], check=True
        )
    return python


def session(python: Path, replayer: str, repeat: int) -> dict[int, float]:
    """Milliseconds a call at each length."""
    command = [
        python,
        SHARED / "replay_bench.py",
        "--replayer",
        replayer,
        "--turns",
        ",".join(map(str, TURNS)),
        "--repeat",
        str(repeat),
    ]
    with tempfile.TemporaryDirectory() as folder:  # where the sessions are left
        environ = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{SHARED}", "TMPDIR": folder}
        lines = subprocess.run(
            [str(word) for word in command], env=environ, check=True, capture_output=True, text=True
        ).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    assert not any(row["live_calls_in_replay"] for row in rows), rows
    return {row["turns"]: row["send_us_replay"] / 1000 for row in rows}


def matched(turns: int, user: str) -> float:
    """Microseconds of our matcher alone for the last calls of a conversation."""
    said = [{"role": ("user", "assistant")[at % 2], "content": f"{at} {TEXT}"} for at in range(2 * turns)]

    def bodies(who: str) -> list[bytes]:
        return [
            json.dumps({"model": "m", "messages": said[: 2 * at + 1], "user": who}).encode()
            for at in range(turns)
        ]

    effects = [
        ModelEffect(
            at, at + 1, "r", f"s{at}", "openai.chat", "/v1/chat/completions", body, (Answer("", 200),)
        )
        for at, body in enumerate(bodies("recorded"))
    ]
    matcher, consumed, spent = Matcher(Recording("r", tuple(effects))), Consumed(), []
    for at, body in enumerate(bodies(user)):
        asked = ModelRequest("openai.chat", "POST", URL, (), body, "httpx2")
        began = time.thread_time_ns()
        found = matcher.model(asked, consumed)
        spent.append((time.thread_time_ns() - began) / 1000)
        assert isinstance(found, Hit)
        assert found.effect.index == at
    return statistics.median(spent[-10:])


def long_run(calls: int) -> list[Span]:
    """One agent, so many model calls, each with a tool call."""
    trace, scope = "0af7651916cd43dd8448eb211c80319c", Scope("spanreel")
    root = {names.OPERATION: "invoke_agent", names.AGENT_NAME: "a"}
    spans = [
        Span(trace, f"{1:016x}", "invoke_agent a", start_ns=1, end_ns=10**15, attributes=root, scope=scope)
    ]
    told: list[dict[str, Any]] = [{"role": "user", "content": "go"}]
    for at in range(calls):
        call = {
            "id": f"call_{at}",
            "type": "function",
            "function": {"name": "f", "arguments": json.dumps({"at": at})},
        }
        answer = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice = {"index": 0, "message": answer, "finish_reason": "tool_calls"}
        chat = {
            names.OPERATION: "chat", names.REQUEST_MODEL: "m", names.WIRE_DIALECT: "openai.chat", names.URL_FULL: URL, names.HTTP_STATUS: 200,
            names.HTTP_REQUEST_BODY: json.dumps({"model": "m", "messages": told}), names.HTTP_RESPONSE_BODY: json.dumps({"id": f"x{at}", "choices": [choice]}),
        }  # fmt: skip
        tool = {
            names.OPERATION: "execute_tool", names.TOOL_NAME: "f", names.TOOL_CALL_ID: f"call_{at}",
            names.TOOL_CALL_ARGUMENTS: json.dumps({"at": at}), names.TOOL_CALL_RESULT: json.dumps(f"{at} {TEXT}"),
        }  # fmt: skip
        for place, (name, said) in enumerate((("chat m", chat), ("execute_tool f", tool))):
            start = (2 * at + place + 1) * 10**9
            number = f"{2 * at + place + 2:016x}"
            spans.append(
                Span(
                    trace,
                    number,
                    name,
                    f"{1:016x}",
                    start_ns=start,
                    end_ns=start + 10**8,
                    attributes=said,
                    scope=scope,
                )
            )
        told = [*told, answer, {"role": "tool", "tool_call_id": f"call_{at}", "content": f"{at} {TEXT}"}]
    return spans


def lists(replay: Replay) -> int:
    """How many messages the lists of all model calls hold."""
    numbers = [step.number for step in replay.steps if step.kind != "tool"]
    return sum(len(replay.input_of(number)) for number in numbers if number is not None)


def rebuilt(spans: list[Span], path: Path) -> dict[str, Any]:
    """Milliseconds of CPU from the store at `path` to a `Replay` with every message list: the best of ten of each part, and of it all."""
    with open_writer(path) as writer:
        for at in range(0, len(spans), 64):
            writer.add(spans[at : at + 64])
    best: dict[str, float] = {}
    held = 0
    for _ in range(10):
        times = [time.process_time()]
        with open_reader(path) as reader:
            run = reader.resolve("last")
            times.append(time.process_time())
            found = reader.spans(run.trace_id)
        times.append(time.process_time())
        replay = build(run, found, price)
        times.append(time.process_time())
        held = lists(replay)
        times.append(time.process_time())
        lists(load("last", path))
        times.append(time.process_time())
        parts = ("group", "read", "build", "lists", "load and lists")
        for name, one, other in zip(parts, times, times[1:], strict=False):
            best[name] = min(best.get(name, 1e9), round((other - one) * 1000, 1))
    return {"spans": len(spans), "messages in lists": held, "ms_cpu": best}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=HERE / ".peers")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "matching.json")
    options = parser.parse_args()
    vcr = peer(options.peers.absolute())
    ours = f"{HERE / 'replayer.py'}:Spanreel"
    asked = [("vcr-body", vcr, "vcr-body"), ("vcr", vcr, "vcr"), ("spanreel", Path(sys.executable), ours)]
    calls = {name: session(python, replayer, options.repeat) for name, python, replayer in asked}
    row = {
        "ms_a_call": calls,
        "vcr_body_over_spanreel_at_100": round(calls["vcr-body"][100] / calls["spanreel"][100], 1),
        "vcr_over_spanreel_at_100": round(calls["vcr"][100] / calls["spanreel"][100], 2),
        "matcher_us": {
            "same bytes": {turns: round(matched(turns, "recorded"), 1) for turns in (*TURNS, 200)},
            "another user": {turns: round(matched(turns, "another"), 1) for turns in (*TURNS, 200)},
        },
    }
    with tempfile.TemporaryDirectory() as folder:
        row["rebuild"] = rebuilt(long_run(500), Path(folder) / "spans.db")
    options.out.write_text(json.dumps(row, indent=1) + "\n", "utf-8")
    print(json.dumps(row, indent=1))


if __name__ == "__main__":
    main()
