"""Several recorded runs of one kind of task become one playbook, and a report of what was inferred from what.

Quiet. What it makes has been walked over each of its source runs, and did there exactly what the run did; else it
refuses (`NotCompilable`, with a reason).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from spanreel.exceptions import NotCompilable
from spanreel.replay.playbooks.body import Body, Condition, Matchers
from spanreel.replay.playbooks.compiling import branching, looping, writing
from spanreel.replay.playbooks.compiling.assembling import READ_ATTEMPTS, Assembled, assemble
from spanreel.replay.playbooks.compiling.blanked import refuse_blanked
from spanreel.replay.playbooks.compiling.cleaning import Cleaned, cleaned
from spanreel.replay.playbooks.compiling.flow import Flow
from spanreel.replay.playbooks.compiling.looping import looped
from spanreel.replay.playbooks.compiling.observe import observe
from spanreel.replay.playbooks.compiling.observed import Observed
from spanreel.replay.playbooks.compiling.refusal import refused
from spanreel.replay.playbooks.compiling.report import (
    Checked,
    CompileReport,
    LeftOutReport,
    RefusedRun,
    Savings,
)
from spanreel.replay.playbooks.compiling.spine import Spine, spine
from spanreel.replay.playbooks.compiling.tape import over
from spanreel.replay.playbooks.compiling.values import key, looks_failed
from spanreel.replay.timeline import Replay

LONGEST_GOAL = 200


@dataclass(frozen=True, slots=True)
class Compiled:
    """A playbook, and how it came to be. values: the parameters that each of its runs had, in their order."""

    body: Body
    report: CompileReport
    values: tuple[Mapping[str, Any], ...] = ()


def compile_runs(
    replays: Sequence[Replay | Observed],
    name: str,
    *,
    goal: str | None = None,
    allow_partial: bool = False,
    reads: Collection[str] = (),
    writes: Collection[str] = (),
    matchers: Mapping[str, Any] | Matchers | None = None,
    success: Sequence[Condition] = (),
    risk: str | None = None,
    models: bool = True,
) -> Compiled:
    """Make a playbook of runs.

    Args:
        replays: runs of one kind of task; those that did not succeed are not used, and listed.
        name: of the playbook.
        goal: what it is for; default: the first run's task, its values replaced by parameters.
        allow_partial: use runs that did not end well, too.
        reads: tools that only read, whatever the runs say.
        writes: tools that change something, whatever the runs say.
        matchers: for which tasks it is meant; default: those of the runs' agent.
        success: what has to hold at its end, see `Body.success`.
        risk: low, medium or high.
        models: words that only a model can write are asked of a model; else they are a reason to refuse.

    Raises:
        NotCompilable: the runs do not make one procedure; its `reason` is a code, its text says which runs and where.
    """
    if not replays:
        raise refused("no_runs", "there are no runs to compile")
    seen = [
        replay
        if isinstance(replay, Observed)
        else observe(replay, reads=reads, writes=writes, allow_partial=allow_partial)
        for replay in replays
    ]
    useful = [run for run in seen if run.ok]
    not_used = {run.run_id: run.why for run in seen if not run.ok}
    if not useful:
        told = "; ".join(f"{run_id[:12]}: {why}" for run_id, why in not_used.items())
        error = refused("no_successful_run", f"none of the runs can be used: {told}")
        error.refused = not_used
        raise error
    runs = looped([cleaned(run, index) for index, run in enumerate(useful)])

    def compiled(some: Sequence[Cleaned]) -> Compiled:
        some = [replace(run, index=index) for index, run in enumerate(some)]
        found = spine(some)
        flow = _explained(Flow(some, found.columns, writes=found.writes), models, goal or "")
        try:
            again = _explained(flow.again(), models, goal or "")
            return _checked(again, found, some, name, goal, matchers, success, risk)
        except NotCompilable:
            flow = _explained(Flow(some, found.columns, writes=found.writes), models, goal or "")
            return _checked(flow, found, some, name, goal, matchers, success, risk)

    try:
        made = compiled(runs)
    except NotCompilable as error:
        other = branching.branched(runs, compiled) if error.reason == "writes_differ" else None
        if other is None:
            raise
        made = other
    return made if not not_used else _with_refused(made, not_used)


def _explained(flow: Flow, models: bool, goal: str) -> Flow:
    """Every argument of the spine explained; models: by a model call where nothing else does.

    Raises:
        NotCompilable: nothing explains one.
    """
    for column in flow.spine:
        unexplained = flow.argued(column)
        for argument in list(unexplained):
            if models and writing.written(flow, column, argument, goal):
                del unexplained[argument]
        if not looping.goes_over(flow, column):
            unexplained.setdefault("the list that it goes over", "nothing explains it")
        if unexplained:
            argument, why = next(iter(unexplained.items()))
            told = f"{column.tool}: where `{argument}` comes from is not to be told: {why}"
            raise refused("unexplained", told)
        flow.keep(column)
    return flow


def _with_refused(made: Compiled, not_used: Mapping[str, str]) -> Compiled:
    listed = [RefusedRun(run_id=run_id, why=why) for run_id, why in not_used.items()]
    return Compiled(made.body, made.report.model_copy(update={"refused": listed}), made.values)


def _checked(
    flow: Flow,
    found: Spine,
    runs: Sequence[Cleaned],
    name: str,
    goal: str | None,
    matchers: Mapping[str, Any] | Matchers | None,
    success: Sequence[Condition],
    risk: str | None,
) -> Compiled:
    """The playbook that does in every source run what the run did; without inferred guards if they stand in its way."""
    failed: list[Checked] = []
    for inferred in (True, False):
        parts = assemble(flow, found.reference, inferred=inferred)
        body = _body(parts, runs, found, name, goal, matchers, success, risk)
        refuse_blanked(body, (call for run in runs for call in run.run.calls))
        checks = [_check(body, parts, run, flow) for run in runs]
        failed = [check for check in checks if not check.exact]
        if not failed:
            notes = (
                []
                if inferred
                else ["guards that the runs seemed to tell do not hold in all of them, and were dropped"]
            )
            return Compiled(body, _report(body, parts, runs, found, checks, notes), parts.values)
    first = failed[0]
    raise refused("check_failed", f"walked over run {first.run_id[:12]} it does something else: {first.why}")


def _check(body: Body, parts: Assembled, run: Cleaned, flow: Flow) -> Checked:
    answers = {column.name: column.calls[run.index].result for column in flow.models}
    well = tuple(call for call in run.run.calls if call.error is None and looks_failed(call.result) is None)
    walkthrough = over(body, replace(run.run, calls=well), parts.values[run.index], answers=answers)
    if walkthrough.failure is not None:
        failure = walkthrough.failure
        why = f"state {failure.state}: {failure.guard}: {failure.reason}"
        return Checked(run_id=run.run.run_id, exact=False, why=why)
    proposed = sorted(key([one.tool, dict(one.args)]) for one in walkthrough.proposed if one.safety != "read")
    own = sorted(
        key([one.tool, one.arguments])
        for column in flow.spine
        if column.write
        for one in looping.unrolled(column.calls[run.index])
    )
    exact = proposed == own
    return Checked(run_id=run.run.run_id, exact=exact, why=None if exact else "its writes are others")


def _body(
    parts: Assembled,
    runs: Sequence[Cleaned],
    found: Spine,
    name: str,
    goal: str | None,
    matchers: Mapping[str, Any] | Matchers | None,
    success: Sequence[Condition],
    risk: str | None,
) -> Body:
    agents = {run.run.agent for run in runs}
    agent = agents.pop() if len(agents) == 1 else None
    given = (
        matchers.model_dump(exclude_defaults=True) if isinstance(matchers, Matchers) else dict(matchers or {})
    )
    if agent and "agent" not in given:
        given["agent"] = agent
    more: dict[str, Any] = {} if risk is None else {"risk": risk}
    return Body(
        name=name,
        goal=goal if goal is not None else _goal(runs[found.reference], parts),
        params=parts.params,
        matchers=Matchers(**given),
        success=list(success),
        initial=parts.initial,
        max_steps=max(200, 4 * len(parts.states)),
        states=parts.states,
        origin="recorded_run" if len(runs) == 1 else "merged_runs",
        derived_from=[run.run.run_id for run in runs],
        **more,
    )


def _goal(run: Cleaned, parts: Assembled) -> str:
    """The first thing that was said, each value of a parameter replaced by ``{its name}``."""
    text = next((one.text for one in run.run.said if " " in one.text.strip()), "")
    named = {
        one: name
        for name, value in parts.values[run.index].items()
        for one in (value if isinstance(value, list) else [value])
        if isinstance(one, str) and len(one) > 2
    }
    if named:
        longest_first = "|".join(map(re.escape, sorted(named, key=len, reverse=True)))
        text = re.sub(rf"(?<!\w)(?:{longest_first})(?!\w)", lambda hit: f"{{{named[hit[0]]}}}", text)
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_GOAL else f"{line[: LONGEST_GOAL - 1]}…"


def _report(
    body: Body,
    parts: Assembled,
    runs: Sequence[Cleaned],
    found: Spine,
    checks: list[Checked],
    notes: list[str],
) -> CompileReport:
    derived = {span for state in body.states.values() for span in state.derived_from}
    left_out = [
        LeftOutReport(run_id=out.run_id, tool=out.call.tool, span=out.call.span, why=out.why)
        for run in runs
        for out in run.left_out
    ]
    left_out += [
        LeftOutReport(run_id=run.run.run_id, tool=call.tool, span=call.span, why="nothing used its result")
        for run in runs
        for call in run.calls
        if call.span not in derived
    ]
    review = list(parts.review)
    nobody = sorted({call.tool for run in runs for call in run.calls if call.safety is None})
    if nobody:
        review.append(
            f"nobody said whether {', '.join(nobody)} only read: taken as writes; declare with --read TOOL"
        )
    if len(runs) == 1:
        review.append("it rests on one run: what is a constant here may be data")
    return CompileReport(
        name=body.name,
        hash=body.hash,
        runs=[run.run.run_id for run in runs],
        params=parts.param_reports,
        states=parts.state_reports,
        left_out=left_out,
        savings=_savings(runs, body),
        checked=checks,
        review=review,
        notes=[*found.notes, *notes, *_retried(body)],
    )


def _retried(body: Body) -> list[str]:
    reads = [name for name, state in body.states.items() if state.retry.max_attempts > 1]
    return [f"{', '.join(reads)}: a read that fails is tried up to {READ_ATTEMPTS} times"] if reads else []


def _savings(runs: Sequence[Cleaned], body: Body) -> Savings:
    """What the model calls cost that the playbook does without, on average."""
    kept = {span for state in body.states.values() if state.llm for span in state.derived_from}
    thoughts = [[one for one in run.run.thoughts if one.span not in kept] for run in runs]
    every = [one for row in thoughts for one in row]

    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(runs) if known else None

    def tokens(one: Any) -> float | None:
        counts = [count for count in (one.input_tokens, one.output_tokens) if count is not None]
        return float(sum(counts)) if counts else None

    return Savings(
        model_calls=round(len(every) / len(runs), 2),
        tokens=mean([tokens(one) for one in every]),
        cost=mean([float(one.cost) if one.cost is not None else None for one in every]),
        seconds=mean([one.seconds for one in every]),
    )
