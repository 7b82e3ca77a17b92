"""A playbook on paper: walked with nobody to do anything, so that what it would do is known before it does.

Quiet. It is the walk of `walk`, with values that nobody knows yet (`unknown`): what is bound to the result of a call is
unknown, unless a recorded run has that result. Unknown is not a pass: a state is `ready` only if everything that it
needs to begin is there. What is checked after a call (`expect`, `post`) is told, and is decided when it has run. Behind a
branch that nobody can decide yet every way is looked at.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from spanreel.replay.playbooks.body import END, Body
from spanreel.replay.playbooks.guarding import Guarding, param_problem
from spanreel.replay.playbooks.planning.on_paper import OnPaper
from spanreel.replay.playbooks.planning.paper import Paper, Place
from spanreel.replay.playbooks.planning.simulation import PlannedState, Readiness, Simulation
from spanreel.replay.playbooks.planning.unknown import Unknown, plain

MOST: Final = 1000
"""States that are looked at, at most."""


def simulate(
    body: Body, params: Mapping[str, Any], paper: Paper, *, within: Guarding | None = None
) -> Simulation:
    """What a run of a playbook would do, and whether it could.

    Args:
        body: which one.
        params: by name; one that is missing blocks it, and is unknown further on.
        paper: what is known.
        within: the playbook that this one is a state of.
    """
    walk = OnPaper(body, paper, within)
    known, problems = _given(body, params)
    waiting = deque([Place(body.initial, {"params": known})])
    found: list[PlannedState] = []
    seen: set[str] = set()
    ends: list[Place] = []
    while waiting and len(found) < MOST:
        place = waiting.popleft()
        if place.state == END:
            ends.append(place)
            continue
        if place.conditional and place.state in seen:
            continue
        seen.add(place.state)
        planned, follow = walk.plan(place)
        found.append(planned)
        waiting.extend(follow)
    problems += walk.over(ends)
    return _summed(body, known, problems, found, walk, ends)


def _given(body: Body, params: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    problems = [f"there is no parameter {name}" for name in params if name not in body.params]
    known: dict[str, Any] = {}
    for name, param in body.params.items():
        if name in params:
            if problem := param_problem(param, params[name]):
                problems.append(f"parameter {name}: {problem}")
            known[name] = params[name]
        elif param.default is None and param.required:
            known[name] = Unknown(f"parameter {name}")
            if body.extract is None:
                problems.append(f"parameter {name} is missing")
        else:
            known[name] = param.default
    return known, problems


def _summed(
    body: Body,
    known: Mapping[str, Any],
    problems: Sequence[str],
    found: Sequence[PlannedState],
    walk: OnPaper,
    ends: Sequence[Place],
) -> Simulation:
    reasons = [*problems, *(f"state {one.state}: {reason}" for one in found for reason in one.reasons)]
    surely = any(one.readiness == "blocked" and not one.conditional for one in found)
    open_ = any(one.readiness != "ready" or one.conditional for one in found) or not ends
    readiness: Readiness = "blocked" if problems or surely else "unknown" if open_ else "ready"
    if readiness == "unknown" and not reasons:
        reasons = ["it does not come to an end on paper"]
    asked = [one for one in found if one.asks_model]
    costs = [one.cost for one in asked]
    cost = None if None in costs else _sum([one for one in costs if one is not None])
    output = walk.output(ends[0]) if len(ends) == 1 and not ends[0].conditional else None
    return Simulation(
        name=body.name,
        hash=body.hash,
        readiness=readiness,
        reasons=list(dict.fromkeys(reasons)),
        params=plain(known),
        states=list(found),
        approvals=[one.approval for one in found if one.approval],
        missing_tools=walk.missing,
        model_calls=len(asked),
        tool_calls=sum(one.tool is not None for one in found),
        cost=cost,
        cost_from="it asks no model"
        if not asked
        else walk.paper.cost_from or "nobody knows what its model calls cost",
        answers_from=walk.paper.answers_from,
        output=plain(output),
    )


def _sum(costs: Sequence[str]) -> str:
    return format(sum((Decimal(cost) for cost in costs), Decimal(0)), "f")
