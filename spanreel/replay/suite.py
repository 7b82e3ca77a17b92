"""LOUD: recordings replayed against the code as it is now, each in a process of its own; and what became of them.

`spanreel ci` is its face. It judges nothing itself: a case passes when its replay is exact or equivalent.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from spanreel import version
from spanreel.exceptions import SpanreelError
from spanreel.replay.child import Outcome, replay_run
from spanreel.replay.files import read, runs_of
from spanreel.replay.policy import Policy
from spanreel.replay.stored import stored
from spanreel.replay.timeline import Frozen
from spanreel.replay.verdict import Effects

SUFFIX: Final = ".otlp.jsonl"
_SKIPPED: Final = frozenset({"node_modules", "venv", "site-packages", "__pycache__"})
_LONGEST: Final = 4000  # characters of a program's last words
_MARKERS: Final = {
    "github": (
        "GITHUB_ACTIONS",
        ("GITHUB_RUN_ID", "GITHUB_SHA", "GITHUB_REF", "GITHUB_WORKFLOW", "GITHUB_JOB"),
    ),
    "gitlab": ("GITLAB_CI", ("CI_PIPELINE_ID", "CI_COMMIT_SHA", "CI_COMMIT_REF_NAME", "CI_JOB_NAME")),
    "circleci": ("CIRCLECI", ("CIRCLE_BUILD_NUM", "CIRCLE_SHA1", "CIRCLE_BRANCH", "CIRCLE_JOB")),
    "azure": ("TF_BUILD", ("BUILD_BUILDID", "BUILD_SOURCEVERSION", "BUILD_SOURCEBRANCH")),
    "buildkite": ("BUILDKITE", ("BUILDKITE_BUILD_NUMBER", "BUILDKITE_COMMIT", "BUILDKITE_BRANCH")),
    "jenkins": ("JENKINS_URL", ("BUILD_NUMBER", "GIT_COMMIT", "GIT_BRANCH", "JOB_NAME")),
}


class NoRecordings(SpanreelError):
    """There is nothing to replay."""

    exit_code = 2


class CaseResult(Frozen):
    """What became of one recording.

    Attributes:
        name: of the file, as it was given, with ``#run`` where the file has several.
        result: passed, diverged, or error: it could not be replayed, or its program failed otherwise than recorded.
        verdict: exact, equivalent, drifted or diverged; None where there is none.
        duration: milliseconds.
        first_divergence: the report, as people read it. problem: why there was no verdict, or what failed.
        output: the last words of the program, where it did not pass.
    """

    name: str
    run_id: str | None = None
    agent_name: str = ""
    result: Literal["passed", "diverged", "error"]
    verdict: Literal["exact", "equivalent", "drifted", "diverged"] | None = None
    duration: float = 0.0
    effects: Effects = Field(default_factory=Effects)
    unconsumed: int = 0
    first_divergence: str | None = None
    step: int | None = None
    problem: str | None = None
    remedy: str | None = None
    output: str | None = None


class Counts(Frozen):
    """How many recordings there were, and what became of them."""

    total: int = 0
    passed: int = 0
    diverged: int = 0
    errors: int = 0


class SuiteSummary(Frozen):
    """`spanreel ci --summary`.

    Attributes:
        ci: which service ran it, with its ids; empty where none did. duration: milliseconds.
    """

    schema_: Literal["spanreel.ci.v1"] = Field(default="spanreel.ci.v1", alias="schema")
    started_at: str
    duration: float
    exit_code: int
    counts: Counts
    recordings: list[CaseResult]
    spanreel: str
    python: str
    platform: str
    ci: dict[str, str] = Field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Case:
    """A run of a file. name: as results show it; run: as `stored` finds it."""

    name: str
    run: str
    run_id: str
    agent_name: str


def recordings(targets: Sequence[Path]) -> list[Path]:
    """The recording files that are meant: files as they are, of folders all that end in ``.otlp.jsonl``.

    Raises:
        NoRecordings: there is no such file or folder, or no recording in any.
    """
    found: dict[Path, None] = {}
    for target in targets:
        if target.is_dir():
            found.update(dict.fromkeys(sorted(_below(target))))
        elif target.is_file():
            found[target] = None
        else:
            raise NoRecordings(f"there is no file or folder {target}", "spanreel ci tests")
    if not found:
        raise NoRecordings(
            f"there is no recording (*{SUFFIX}) in {', '.join(map(str, targets))}",
            "record one: pytest --spanreel-record=once, or spanreel export last -o agent.otlp.jsonl",
        )
    return list(found)


def cases(file: Path) -> list[Case]:
    """The runs of a file that are replayed each by itself; runs that one process made are one case.

    Raises:
        SpanreelError: the file cannot be read.
    """
    runs = runs_of(read(file))[::-1]
    made: list[Case] = []
    covered: set[str] = set()
    for run in runs:
        if run.run_id in covered:
            continue
        several = len(runs) > 1
        found = stored(f"{file}#{run.run_id}")
        if found.whole_process:
            covered |= {effect.run_id for effect in found.recording.effects}
        name = f"{file}#{run.run_id[:12]}" if several else str(file)
        made.append(Case(name, f"{file}#{run.run_id}", run.run_id, run.agent_name or ""))
    return made


def replayed(
    files: Sequence[Path],
    command: Sequence[str] | None = None,
    *,
    policy: Policy | None = None,
    jobs: int = 1,
    timeout: float | None = None,
    done: Callable[[CaseResult, int], None] | None = None,
) -> SuiteSummary:
    """Replay recordings, `jobs` at a time, and sum up.

    Args:
        files: recording files.
        command: what to run for each; default: each one's recorded entry point.
        policy: how; default: offline, structural.
        jobs: how many at a time.
        timeout: seconds for each; default: none.
        done: told of each result, and how many there will be.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    todo = list(_todo(files))
    results: list[CaseResult] = []
    with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
        running = [
            pool.submit(_result, one, command, policy, timeout) if isinstance(one, Case) else one
            for one in todo
        ]
        for one in running:
            result = one if isinstance(one, CaseResult) else one.result()
            results.append(result)
            if done is not None:
                done(result, len(todo))
    counts = Counts(
        total=len(results),
        passed=sum(one.result == "passed" for one in results),
        diverged=sum(one.result == "diverged" for one in results),
        errors=sum(one.result == "error" for one in results),
    )
    return SuiteSummary(
        started_at=started.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        duration=_milliseconds(began),
        exit_code=4 if counts.diverged else 1 if counts.errors else 0,
        counts=counts,
        recordings=results,
        spanreel=version.installed(),
        python=platform.python_version(),
        platform=platform.platform(),
        ci=ci_markers(),
    )


def ci_markers() -> dict[str, str]:
    """Which service runs this process, and its public ids; empty where none is known."""
    for service, (sign, variables) in _MARKERS.items():
        if os.environ.get(sign):
            known = {name.lower(): os.environ[name] for name in variables if os.environ.get(name)}
            return {"service": service, **known}
    return {"service": "unknown"} if os.environ.get("CI") else {}


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        yield from (Path(parent, name) for name in files if name.endswith(SUFFIX))


def _todo(files: Sequence[Path]) -> Iterator[Case | CaseResult]:
    for file in files:
        try:
            yield from cases(file)
        except SpanreelError as error:
            yield CaseResult(
                name=str(file), result="error", problem=str(error.args[0]), remedy=error.remedy or None
            )


def _result(
    case: Case, command: Sequence[str] | None, policy: Policy | None, timeout: float | None
) -> CaseResult:
    began = time.monotonic()
    known = {"name": case.name, "run_id": case.run_id, "agent_name": case.agent_name}
    with tempfile.TemporaryDirectory(
        prefix="spanreel-ci-"
    ) as folder:  # what is replayed here nobody looks at
        try:
            outcome = replay_run(
                Path(folder, "spans.db"), case.run, command, policy=policy, timeout=timeout, echo="capture"
            )
        except SpanreelError as error:
            said = {"problem": str(error.args[0]), "remedy": error.remedy or None}
            return CaseResult.model_validate(
                {**known, **said, "result": "error", "duration": _milliseconds(began)}
            )
    return CaseResult.model_validate({**known, **_told(outcome), "duration": _milliseconds(began)})


def _told(outcome: Outcome) -> dict[str, object]:
    verdict = outcome.verdict
    result = {0: "passed", 4: "diverged"}.get(outcome.exit_code, "error")
    said: dict[str, object] = {"result": result}
    if result != "passed":
        words = "\n".join(part for part in (outcome.stdout, outcome.stderr) if part).strip()
        said["output"] = words[-_LONGEST:] or None
    if verdict is None:
        return {**said, "problem": outcome.problem}
    said |= {"verdict": verdict.verdict, "effects": verdict.effects, "unconsumed": len(verdict.unconsumed)}
    first = verdict.first_divergence
    if first is not None:
        said |= {"first_divergence": first.text(), "step": first.step}
    elif verdict.stopped:
        said["problem"] = f"it waits: {verdict.stopped}"
    elif verdict.denied:
        said["problem"] = verdict.denied[0]
    elif verdict.error is not None and not verdict.error.recorded:
        message = f": {verdict.error.message}" if verdict.error.message else ""
        said["problem"] = (
            f"the program ended with {verdict.error.type}{message}, which is not in the recording"
        )
    return said


def _milliseconds(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 3)
