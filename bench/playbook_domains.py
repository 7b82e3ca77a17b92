"""Readers of the recorded material, one a domain: τ-bench retail and airline, BFCL multi-turn; and their real tools.

Success is what the domain itself says of a run. τ-bench: reward 1. The rewards of the grok-3 episodes are the same
verdict less 0.01 a step, plus 0.1 where a failed tool was tried again (`reward_info.components`), and 0 where the
verdict is 0; so any reward above 0 is a success. BFCL's calls are its ground truth: each run is one.
"""

from __future__ import annotations

import ast
import copy
import datetime as dt
import gzip
import importlib
import importlib.util
import inspect
import json
import os
import pickle
import random
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from playbook_runs import Called, Episode, Turn

RETAIL = {
    "gpt-4o": ("gpt4o_tool_calling_100ep.json", "gpt4o_retail.tape.jsonl.gz"),
    "gpt-4o-preconditions": ("gpt4o_tool_calling_preconditions_100ep.json", "gpt4o_retail_preconditions.tape.jsonl.gz"),
    "grok-3": ("grok3_flaky_tools_115ep.json", "grok3_retail_flaky.tape.jsonl.gz"),
}  # fmt: skip
AIRLINE_WRITES = frozenset(
    {"book_reservation", "cancel_reservation", "send_certificate", "update_reservation_baggages",
     "update_reservation_flights", "update_reservation_passengers"}
)  # fmt: skip
BFCL = "BFCL_v4_multi_turn_base"
BFCL_READS = frozenset(
    {"cat", "diff", "du", "find", "get_account_info", "get_available_stocks", "get_current_time", "get_order_details",
     "get_stock_info", "get_ticket", "get_user_id", "get_watchlist", "grep", "logarithm", "ls", "mean", "sort",
     "standard_deviation", "tail", "view_messages_sent", "wc"}
)  # fmt: skip
"""Tools of which no call changed any state of the backends, measured over all 516 calls (`reads_of`); the 28 others are
writes: `cd` and logins too, which change the session."""


def retail(data: Path) -> list[Episode]:
    """The episodes of three agents on τ-bench retail; which tools write is what the tape measured."""
    folder = data / "trajectories/tau_retail"
    tools = tuple(json.loads((folder / "tools.json").read_text("utf-8")))
    found: list[Episode] = []
    for agent, (file, tape) in RETAIL.items():
        with gzip.open(folder / tape, "rt", encoding="utf-8") as lines:
            taped = {(one["task_id"], one["trial"]): one for one in map(json.loads, lines)}
        writes = {call["name"] for one in taped.values() for call in one["calls"] if call["write"]}
        for told in json.loads((folder / file).read_text("utf-8")):
            one = taped[told["task_id"], told.get("trial", 0)]
            episode = _tau(told, "tau-retail", agent, writes, tools)
            assert [call.result for call in episode.calls] == [call["result"] or "" for call in one["calls"]]
            found.append(episode)
    return found


def airline(env: Path) -> list[Episode]:
    """τ-bench's own airline trajectories: 50 tasks, four runs each."""
    told = json.loads((env / "historical_trajectories/gpt-4o-airline.json").read_text("utf-8"))
    return [_tau(one, "tau-airline", "gpt-4o", AIRLINE_WRITES, ()) for one in told]


def _tau(
    told: dict[str, Any], domain: str, agent: str, writes: Any, tools: tuple[dict[str, Any], ...]
) -> Episode:
    info = told.get("info") or {}
    task = info.get("task") or {}
    return Episode(
        domain=domain,
        agent=agent,
        task=str(told["task_id"]),
        trial=told.get("trial", 0),
        turns=tuple(_turns(told["traj"], writes)),
        success=bool(told.get("reward")),
        instruction=task.get("instruction") or "",
        truth=tuple((one["name"], one["kwargs"]) for one in task.get("actions") or ()),
        tools=tools,
    )


def _turns(told: list[dict[str, Any]], writes: Any) -> Iterator[Turn]:
    for place, message in enumerate(told):
        if message["role"] == "tool":
            continue
        yield Turn(message["role"], message.get("content") or "")
        replies: list[dict[str, Any]] = []
        for later in told[place + 1 :]:
            if later["role"] == "assistant":
                break
            replies += [later] if later["role"] == "tool" else []
        for at, call in enumerate(message.get("tool_calls") or ()):
            mine = [one for one in replies if call.get("id") and one.get("tool_call_id") == call["id"]]
            reply = (mine or replies[at : at + 1] or [{}])[0]
            name, result = call["function"]["name"], reply.get("content") or ""
            arguments = _arguments(call["function"]["arguments"])
            called = Called(
                name, arguments, result, name in writes, failed(result), call.get("id") or f"{place}.{at}"
            )
            yield Turn("tool", called=called)


def _arguments(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except ValueError:  # some agents' were written down as Python
        return ast.literal_eval(text)


def failed(result: str) -> bool:
    """Whether a tool said that it did not do it: τ-bench in a text, BFCL in an object."""
    if result.startswith("Error"):
        return True
    try:
        value = json.loads(result)
    except ValueError:
        return False
    return isinstance(value, dict) and set(value) == {"error"}


def bfcl(data: Path, reads: Any = BFCL_READS) -> list[Episode]:
    """BFCL's multi-turn tasks with their ground-truth calls, one run a task."""
    folder = data / "trajectories/bfcl_multi_turn"
    tasks = {
        one["id"]: one for one in map(json.loads, (folder / f"{BFCL}.json").read_text("utf-8").splitlines())
    }
    found: list[Episode] = []
    for told in map(json.loads, (folder / f"{BFCL}.executed.jsonl").read_text("utf-8").splitlines()):
        turns: list[Turn] = []
        for number, turn in enumerate(told["turns"]):
            turns += [Turn("user", text) for text in turn["user"]]
            for at, call in enumerate(turn["calls"]):
                called = Called(
                    call["name"], call["arguments"], call["result"], call["name"] not in reads,
                    failed(call["result"]), f"call_{number}_{at}",
                )  # fmt: skip
                turns += [Turn("assistant"), Turn("tool", called=called)]
            turns.append(Turn("assistant", "Done."))
        found.append(
            Episode(
                "bfcl",
                "ground truth",
                told["id"],
                0,
                tuple(turns),
                True,
                extra={"classes": told["classes"], "config": tasks[told["id"]]["initial_config"]},
            )
        )
    return found


def reads_of(episodes: list[Episode]) -> set[str]:
    """The tools of BFCL of which no recorded call changes the state of the real backends."""
    backends, called, wrote = Bfcl(), set[str](), set[str]()
    for episode in episodes:
        call = backends.fresh(episode)
        for one in episode.calls:
            before = backends.hash_of(call)
            call(one.name, one.arguments)
            called.add(one.name)
            wrote |= {one.name} if backends.hash_of(call) != before else set()
    return called - wrote


class Tau:
    """The real tools of a τ-bench domain, on a database of their own each time. env: a checkout."""

    def __init__(self, env: Path, domain: str) -> None:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        if str(env) not in sys.path:
            sys.path.insert(0, str(env))
        if "litellm" not in sys.modules:
            stub = types.ModuleType("litellm")  # for the simulated user, whom nobody asks here
            stub.completion = None  # type: ignore[attr-defined]
            sys.modules["litellm"] = stub
        name = domain.removeprefix("tau-")
        tools = importlib.import_module(f"tau_bench.envs.{name}.tools").ALL_TOOLS
        self.base = importlib.import_module("tau_bench.envs.base")
        self.tools = {tool.get_info()["function"]["name"]: tool for tool in tools}
        load = importlib.import_module(f"tau_bench.envs.{name}.data").load_data
        self.pristine = pickle.dumps(load())

    def fresh(self, _: Episode) -> Callable[[str, dict[str, Any]], str]:
        """A database as it was, and what calls a tool on it; `hash_of` reads it."""
        data = pickle.loads(self.pristine)

        def call(name: str, arguments: dict[str, Any]) -> str:
            try:
                return self.tools[name].invoke(data=data, **arguments)
            except Exception as error:  # as τ-bench's own loop does
                return f"Error: {error}"

        call.data = data  # type: ignore[attr-defined]
        return call

    def hash_of(self, call: Any) -> str:
        """What the database has become."""
        return self.base.consistent_hash(self.base.to_hashable(call.data))


def has_bfcl() -> bool:
    """Whether `bfcl-eval` is installed here."""
    return importlib.util.find_spec("bfcl_eval") is not None


class Bfcl:
    """The real backends of BFCL (`bfcl-eval`, installed without its dependencies), each run from the task's initial state."""

    def __init__(self) -> None:
        found = importlib.util.find_spec("bfcl_eval")
        assert found is not None
        assert found.submodule_search_locations
        top = Path(found.submodule_search_locations[0])
        for name in ("", ".eval_checker", ".eval_checker.multi_turn_eval", ".eval_checker.multi_turn_eval.func_source_code"):  # fmt: skip
            module = types.ModuleType(
                f"bfcl_eval{name}"
            )  # what the package imports by itself needs much more
            module.__path__ = [str(top / name.strip(".").replace(".", "/"))]
            sys.modules[f"bfcl_eval{name}"] = module
        conf: dict[str, Any] = {}
        exec((top / "constants/executable_backend_config.py").read_text("utf-8"), conf)
        self.paths, self.stateless = conf["CLASS_FILE_PATH_MAPPING"], conf["STATELESS_CLASSES"]

    def fresh(self, episode: Episode) -> Callable[[str, dict[str, Any]], str]:
        """The backends in the task's initial state, and what calls a tool of theirs."""
        made: dict[str, Any] = {}
        for name in episode.extra["classes"]:
            one = getattr(importlib.import_module(self.paths[name]), name)()
            if name not in self.stateless:
                config = copy.deepcopy(episode.extra["config"].get(name, {}))
                one._load_scenario(config, long_context=False)
            made[name] = one
        functions = {
            name: function
            for one in made.values()
            for name, function in inspect.getmembers(one, inspect.ismethod)
            if not name.startswith("_")
        }

        def call(name: str, arguments: dict[str, Any]) -> str:
            try:
                result = functions[name](**arguments)
            except Exception as error:
                return f"Error during execution: {error}"
            return result if isinstance(result, str) else json.dumps(result, default=str)

        call.data = made  # type: ignore[attr-defined]
        return call

    def hash_of(self, call: Any) -> str:
        """What the backends have become."""
        return "\n".join(f"{name}: {_state(one, set())}" for name, one in sorted(call.data.items()))


def _state(value: Any, seen: set[int]) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_state(one, seen)}" for key, one in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_state(one, seen) for one in value) + "]"
    if isinstance(value, (random.Random, dt.datetime)):  # when a file was touched is no difference
        return ""
    if not hasattr(value, "__dict__"):
        return repr(value)
    if id(value) in seen:
        return f"<{type(value).__name__} {getattr(value, 'name', '')}>"
    return f"{type(value).__name__}{_state(vars(value), seen | {id(value)})}"
