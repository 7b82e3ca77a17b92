"""Runs that change different things: each way compiled by itself, and a branch between them on a value known before.

Quiet. A way that only one run went is no way, and a value that no run had stops the playbook: there is no default.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spanreel.replay.playbooks.body import Retry, State
from spanreel.replay.playbooks.compiling.assembling import READ_ATTEMPTS, parameter
from spanreel.replay.playbooks.compiling.branches import SUPPORT, Separation, separate
from spanreel.replay.playbooks.compiling.expressions import Column, Spec, render, specs
from spanreel.replay.playbooks.compiling.flow import Flow
from spanreel.replay.playbooks.compiling.guarding import expected
from spanreel.replay.playbooks.compiling.merging import merged
from spanreel.replay.playbooks.compiling.naming import param_name, state_name, variable_name
from spanreel.replay.playbooks.compiling.paths import steps, told
from spanreel.replay.playbooks.compiling.report import Checked
from spanreel.replay.playbooks.compiling.tape import over
from spanreel.replay.playbooks.compiling.values import key, scalar

if TYPE_CHECKING:
    from spanreel.replay.playbooks.compiling.cleaning import Cleaned
    from spanreel.replay.playbooks.compiling.compiler import Compiled

NAME = "way"


def branched(runs: Sequence[Cleaned], compiled: Callable[[Sequence[Cleaned]], Compiled]) -> Compiled | None:
    """The playbook of runs that go different ways; None: nothing that was known tells them apart.

    Args:
        runs: what counts of them.
        compiled: makes the playbook of some of them.

    Raises:
        NotCompilable: the runs of one way do not make one procedure.
    """
    ways = _ways(runs)
    if min(ways.count(way) for way in ways) < SUPPORT or len(set(ways)) < 2:
        return None
    flow = Flow(runs, (), writes=True)
    reads = _shared(flow)
    separation = separate(_known(runs, reads), ways)
    if separation is None:
        return None
    asked = {str(one["json"]).partition(".")[0].partition("[")[0] for when in separation.conditions.values() for one in when}  # fmt: skip
    needed = [
        column for column in reads if any(column in other.needs for other in reads if other.name in asked)
    ]
    parts = {way: compiled([run for run, one in zip(runs, ways, strict=True) if one == way]) for way in dict.fromkeys(ways)}  # fmt: skip
    return _joined(runs, ways, needed, separation, parts)


def _ways(runs: Sequence[Cleaned]) -> list[str]:
    kinds = [tuple(sorted(call.tool for call in run.writes)) for run in runs]
    names = {kind: f"{NAME}_{place}" for place, kind in enumerate(dict.fromkeys(kinds), 1)}
    return [names[kind] for kind in kinds]


def _shared(flow: Flow) -> list[Column]:
    """Reads that every run made before it changed anything, with arguments that are explained in all of them."""
    at = tuple(min((call.at for call in run.writes), default=1 << 60) for run in flow.runs)
    found: list[Column] = []
    for calls in flow.sources.earlier(at):
        column = flow.column(calls)
        found += [one for one in (column.needs if column else ()) if one not in found]
    found.sort(key=lambda column: column.calls[0].at)
    names: set[str] = set()
    params: set[str] = set()
    for column in found:
        column.name = variable_name(column.tool, names)
        names.add(column.name)
        for spec in _specs(column):
            if not spec.name:
                spec.name = param_name(spec.hint, params)
                params.add(spec.name)
    return found


def _specs(column: Column) -> list[Spec]:
    return list(dict.fromkeys(spec for expr in column.args.values() for spec in specs(expr)))


def _known(runs: Sequence[Cleaned], reads: Sequence[Column]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{} for _ in runs]
    for column in reads:
        for known, call in zip(found, column.calls, strict=True):
            known.update(
                {f"{column.name}{told(path)}": value for path, value in steps(call.result) if scalar(value)}
            )
    return found


def _joined(
    runs: Sequence[Cleaned],
    ways: Sequence[str],
    needed: Sequence[Column],
    separation: Separation,
    parts: dict[str, Compiled],
) -> Compiled | None:
    from spanreel.replay.playbooks.compiling.compiler import Compiled

    shared: dict[str, State] = {}
    for column in needed:
        shared[state_name(column.tool, shared)] = State(
            tool=column.tool,
            args={name: render(expr) for name, expr in column.args.items()},
            save_as=column.name,
            expect=expected(column, ()),
            safety="read",
            retry=Retry(max_attempts=READ_ATTEMPTS),
            derived_from=[call.span for call in column.calls if call.span],
        )
    for made in parts.values():  # the same name has to be the same thing
        for name, state in shared.items():
            other = made.body.states.get(name)
            if other is not None and (other.args != state.args or other.save_as not in (None, state.save_as)):
                return None
    body = merged(NAME, shared, {way: made.body for way, made in parts.items()}, separation.conditions)
    wanted = [spec for column in needed for spec in _specs(column)]
    more = {spec.name: parameter(spec) for spec in wanted if spec.name not in body.params}
    if any(spec.name in body.params and body.params[spec.name].input != spec.path for spec in wanted):
        return None
    body = body.model_copy(update={"params": {**body.params, **more}, "origin": "merged_runs"})
    rows = {way: iter(made.values) for way, made in parts.items()}
    values = [{**{spec.name: spec.values[index] for spec in wanted}, **next(rows[way])} for index, way in enumerate(ways)]  # fmt: skip
    checks: list[Checked] = []
    for run, given in zip(runs, values, strict=True):
        walked = over(body, run.run, given)
        wrote = sorted(key([one.tool, dict(one.args)]) for one in walked.writes)
        own = sorted(key([call.tool, call.arguments]) for call in run.writes)
        if walked.failure is not None or wrote != own:
            return None
        checks.append(Checked(run_id=run.run.run_id, exact=True))
    first = next(iter(parts.values())).report
    reports = [made.report for made in parts.values()]
    told_of = "; ".join(
        f"{way} ({separation.support[way]} of {len(runs)} runs) where "
        + " and ".join(f"{one['json']} is {one['equals']}" for one in when)
        for way, when in separation.conditions.items()
    )
    report = first.model_copy(
        update={
            "hash": body.hash,
            "runs": [run.run.run_id for run in runs],
            "params": list({one.name: one for report in reports for one in report.params}.values()),
            "states": [state for report in reports for state in report.states],
            "left_out": [out for report in reports for out in report.left_out],
            "checked": checks,
            "review": [*dict.fromkeys(line for report in reports for line in report.review)],
            "notes": [f"it branches: {told_of}", *(line for report in reports for line in report.notes)],
        }
    )
    return Compiled(body, report, tuple(values))
