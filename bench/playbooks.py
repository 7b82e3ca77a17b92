"""Playbooks compiled from recorded runs, walked against runs that the compiler never saw.

usage: python bench/playbooks.py [--data FOLDER] [--env FOLDER] [--domain NAME ...] [--quick] [--out FILE]

Per domain: *same task*: successful runs of one task, a playbook of all but one, walked against the tape of that one; and
of one run, walked against each other. *Across tasks*: tasks whose successful runs write with the same tools in the same
order, for other customers; a playbook of k of them, walked against the others. The tape is served by the executor, by
tool and arguments. With `--env` (a checkout of τ-bench) every walk is made on the real tools and a fresh database besides,
and the database is compared; with `bfcl-eval` installed, BFCL's on its backends.

A write that is proposed and is not one that the held-out run made is wrong. Writes are compared as tool and arguments,
each once; a playbook that stops has written nothing else. Parameters that stand in no text of the held-out run's input are
what its own calls had (`params_of`): that stands for one counted model call that reads them out of the conversation.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent))

import playbook_domains as domains  # noqa: E402
from playbook_runs import Episode  # noqa: E402
from playbook_walks import Played, Tape, play, safety_of  # noqa: E402

from spanreel.exceptions import NotCompilable  # noqa: E402
from spanreel.replay.playbooks.compiling import compile_runs, params_of  # noqa: E402

ACROSS = (2, 3, 5)


@dataclass
class Tally:
    """What a series of walks came to."""

    walks: int = 0
    agree: int = 0
    compiled: int = 0
    exact: int = 0
    exact_of_agreeing: int = 0
    wrong_writes: int = 0
    wrong_where_runs_disagree: int = 0
    stopped_after_a_write: int = 0
    proposed_writes: int = 0
    database_equal: int | None = None
    model_calls_of_the_runs: int = 0
    model_calls_avoided: int = 0
    extractions: int = 0
    refusals: Counter[str] = field(default_factory=Counter[str])
    walk_ms: list[float] = field(default_factory=list[float])
    wrong: list[str] = field(default_factory=list[str])

    def told(self) -> dict[str, Any]:
        """As JSON."""
        share = self.exact_of_agreeing / self.agree if self.agree else None
        return {
            "walks": self.walks,
            "held_out_agrees_with_its_sources": self.agree,
            "playbook_compiled": self.compiled,
            "writes_exact": self.exact,
            "writes_exact_where_runs_agree": self.exact_of_agreeing,
            "share_where_runs_agree": None if share is None else round(share, 3),
            "wrong_writes": self.wrong_writes,
            "other_writes_where_runs_disagree": self.wrong_where_runs_disagree,
            "stopped_after_a_write": self.stopped_after_a_write,
            "writes_proposed": self.proposed_writes,
            **({} if self.database_equal is None else {"database_equal": self.database_equal}),
            "model_calls_of_the_exact_runs": self.model_calls_of_the_runs,
            "model_calls_avoided": self.model_calls_avoided,
            "extractions_counted": self.extractions,
            "refusals": dict(self.refusals.most_common()),
            "median_walk_ms": round(statistics.median(self.walk_ms), 2) if self.walk_ms else None,
            **({"wrong": self.wrong[:20]} if self.wrong else {}),
        }


class Domain:
    """A domain's episodes, and its real tools if they are at hand."""

    def __init__(self, name: str, episodes: list[Episode], live: Any = None) -> None:
        self.name = name
        self.episodes = episodes
        self.good = [episode for episode in episodes if episode.success and episode.writes]
        self.safety = safety_of(episodes)
        self.live = live
        self.compile_ms: list[float] = []
        self._compiled: dict[tuple[str, ...], Any] = {}

    def compiled(self, sources: Sequence[Episode]) -> Any:
        """The playbook of some runs, or why there is none."""
        key = tuple(episode.key for episode in sources)
        if key not in self._compiled:
            replays = [episode.replay for episode in sources]
            began = time.perf_counter()
            try:
                self._compiled[key] = compile_runs(replays, "compiled")
            except NotCompilable as error:
                self._compiled[key] = error
            self.compile_ms.append(1000 * (time.perf_counter() - began))
        return self._compiled[key]

    def walk(
        self, tally: Tally, sources: Sequence[Episode], held: Episode, *, on_tape: bool, same: bool
    ) -> None:
        """Compile, walk, judge. same: the task is that of the sources, and has their parameters."""
        tally.walks += 1
        agree = all(sorted(source.writes) == sorted(held.writes) for source in sources)
        tally.agree += agree
        compiled = self.compiled(sources)
        if isinstance(compiled, NotCompilable):
            tally.refusals[f"not compiled: {getattr(compiled, 'reason', None) or compiled}"] += 1
            return
        tally.compiled += 1
        body = compiled.body
        filled = params_of(body, held.replay)
        params = filled.params
        asked = any(how != "input" for how in filled.how.values())
        if same:  # the task again, with what it was given then
            params, asked = compiled.values[0], False
        elif filled.missing:
            why = next(iter(filled.missing.values()))
            tally.refusals[f"parameters: {why}"] += 1
            return
        call = Tape(held) if on_tape else self.live.fresh(held)
        played = play(body, params, call, self.safety)
        tally.walk_ms.append(1000 * played.seconds)
        self._judge(tally, held, played, agree, asked)
        if not on_tape and played.stopped is None:
            assert tally.database_equal is not None
            tally.database_equal += self.live.hash_of(call) == self.after(held)

    def _judge(self, tally: Tally, held: Episode, played: Played, agree: bool, asked: bool) -> None:
        left = Counter(held.writes)
        tally.proposed_writes += len(played.writes)
        wrong: list[Any] = []
        for write in played.writes:
            if left[write] > 0:
                left[write] -= 1
            else:
                wrong.append(write)
        if wrong and (agree or self.name == "across"):
            tally.wrong_writes += len(wrong)
            tally.wrong.append(f"{held.key}: {wrong[0]} not in {held.writes}")
        else:
            tally.wrong_where_runs_disagree += len(wrong)
        if played.stopped is not None:
            tally.stopped_after_a_write += bool(played.writes)
            why = "a read that the tape does not have" if played.missing else played.reason[:60]
            tally.refusals[f"{played.guard}: {why}"] += 1
            return
        exact = not wrong and not +left
        tally.exact += exact
        tally.exact_of_agreeing += exact and agree
        if not exact:
            tally.refusals["completed with fewer writes"] += not wrong
            return
        tally.model_calls_of_the_runs += held.model_calls
        tally.model_calls_avoided += held.model_calls - asked
        tally.extractions += asked

    def after(self, episode: Episode) -> str:
        """What the database is after the recorded calls."""
        key = ("after", episode.key)
        if key not in self._compiled:
            call = self.live.fresh(episode)
            for one in episode.calls:
                call(one.name, one.arguments)
            self._compiled[key] = self.live.hash_of(call)
        return self._compiled[key]


def same_task(domain: Domain, quick: int | None, *, on_tape: bool) -> dict[str, Any]:
    """Runs of one task: all but one, and one."""
    by_task: dict[str, list[Episode]] = defaultdict(list)
    for episode in domain.good:
        by_task[episode.task].append(episode)
    groups = list(by_task.values())[:quick]
    rest, one = (Tally(database_equal=None if on_tape else 0) for _ in range(2))
    compiled = sum(not isinstance(domain.compiled(group), NotCompilable) for group in groups)
    why = Counter(
        str(getattr(domain.compiled(group), "reason", None) or domain.compiled(group))
        for group in groups
        if isinstance(domain.compiled(group), NotCompilable)
    )
    for group in groups:
        for held in group:
            sources = [episode for episode in group if episode is not held]
            if len(sources) > 1:
                domain.walk(rest, sources, held, on_tape=on_tape, same=True)
            for source in sources:
                domain.walk(one, [source], held, on_tape=on_tape, same=True)
    return {
        "tasks": len(groups),
        "tasks_compiled_from_all_their_runs": compiled,
        "tasks_not_compiled": dict(why),
        "from_the_others": rest.told(),
        "from_one": one.told(),
    }


def across_tasks(domain: Domain, quick: int | None, *, on_tape: bool) -> dict[str, Any]:
    """Tasks that write with the same tools: some compiled, walked on the others; one run a task."""
    firsts: dict[str, Episode] = {}
    for episode in domain.good:
        firsts.setdefault(episode.task, episode)
    kinds: dict[tuple[str, ...], list[Episode]] = defaultdict(list)
    for episode in firsts.values():
        kinds[episode.kind].append(episode)
    found: dict[str, Any] = {}
    for k in ACROSS:
        tally = Tally(database_equal=None if on_tape else 0)
        asked = compiled = 0
        for kind in sorted(kinds):
            runs = kinds[kind]
            if len(runs) <= k:
                continue
            starts = range(0, len(runs), k)
            for start in list(starts)[: 2 if quick else None]:
                sources = [runs[(start + place) % len(runs)] for place in range(k)]
                asked += 1
                compiled += not isinstance(domain.compiled(sources), NotCompilable)
                for held in runs:
                    if held not in sources:
                        domain.walk(tally, sources, held, on_tape=on_tape, same=False)
        told = tally.told()
        told["wrong_writes"] += told.pop("other_writes_where_runs_disagree")
        found[f"k={k}"] = {"playbooks": asked, "playbooks_compiled": compiled, **told}
    return found


def itself(domain: Domain, quick: int | None, *, on_tape: bool) -> dict[str, Any]:
    """Of each run a playbook, walked against that run."""
    tally = Tally(database_equal=None if on_tape else 0)
    for episode in domain.good[:quick]:
        domain.walk(tally, [episode], episode, on_tape=on_tape, same=True)
    return tally.told()


def measured(domain: Domain, quick: bool) -> dict[str, Any]:
    """Everything about one domain."""
    began = time.perf_counter()
    few = 12 if quick else None
    found: dict[str, Any] = {
        "runs": len(domain.episodes),
        "successful": sum(episode.success for episode in domain.episodes),
        "successful_that_write": len(domain.good),
    }
    for where in ("tape", "real tools") if domain.live else ("tape",):
        on_tape = where == "tape"
        repeated = len({episode.task for episode in domain.good}) < len(domain.good)
        found[where] = {
            **({"same_task": same_task(domain, few, on_tape=on_tape)} if repeated else {}),
            "on_itself": itself(domain, few, on_tape=on_tape),
            "across_tasks": across_tasks(domain, few, on_tape=on_tape),
        }
    found["median_compile_ms"] = round(statistics.median(domain.compile_ms), 1)
    found["longest_compile_ms"] = round(max(domain.compile_ms), 1)
    found["seconds"] = round(time.perf_counter() - began, 1)
    return found


def chosen(data: Path, env: Path | None, names: Sequence[str]) -> dict[str, Domain]:
    """The domains that there is material for."""
    found: dict[str, Domain] = {}
    if not names or "tau-retail" in names:
        live = domains.Tau(env, "tau-retail") if env else None
        found["tau-retail"] = Domain("tau-retail", domains.retail(data), live)
    if env and (not names or "tau-airline" in names):
        found["tau-airline"] = Domain("tau-airline", domains.airline(env), domains.Tau(env, "tau-airline"))
    if not names or "bfcl" in names:
        backends = domains.Bfcl() if domains.has_bfcl() else None
        found["bfcl"] = Domain("bfcl", domains.bfcl(data), backends)
    return found


def main() -> None:
    """Measure, print, and keep."""
    words = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    shared = Path(os.environ.get("SPANREEL_SHARED") or HERE.parent.parent.parent / "shared")
    words.add_argument("--data", type=Path, default=shared / "data")
    words.add_argument("--env", type=Path, help="a checkout of τ-bench, whose tools are called for real")
    words.add_argument(
        "--domain", action="append", default=[], help="tau-retail, tau-airline, bfcl; default: all"
    )
    words.add_argument("--quick", action="store_true", help="a sample")
    words.add_argument("--out", type=Path, help="where the figures are kept")
    given = words.parse_args()
    told = {
        name: measured(domain, given.quick)
        for name, domain in chosen(given.data.resolve(), given.env, given.domain).items()
    }
    command = "python bench/playbooks.py --env TAU_BENCH --out bench/results/playbooks.json"
    text = json.dumps({"command": command, **told}, indent=1, ensure_ascii=False)
    print(text)
    if given.out:
        given.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
