"""LOUD: what a simulation and a lint may know here: the registered tools, a recorded run, the surroundings as they are, prices.

Nothing is done: no tool is called and no model asked; conditions that would run code, ask a model or open a connection
are unknown.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from spanreel.exceptions import SpanreelError
from spanreel.replay.playbooks import asks
from spanreel.replay.playbooks.conditions import Judgement
from spanreel.replay.playbooks.engine.surroundings import _found, _judgement, kind
from spanreel.replay.playbooks.engine.toolbox import Toolbox, gathered
from spanreel.replay.playbooks.planning.lint import Declared, Lint, lint
from spanreel.replay.playbooks.planning.paper import Paper
from spanreel.replay.playbooks.planning.simulate import simulate
from spanreel.replay.playbooks.planning.unknown import unknown_in
from spanreel.replay.playbooks.repairs.fitting import calls_of
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body
    from spanreel.replay.playbooks.planning.simulation import Simulation
    from spanreel.replay.timeline import Replay

HARMLESS: Final = frozenset(
    {
        "always",
        "file_exists",
        "path_not_exists",
        "command_available",
        "env_exists",
        "env_equals",
        "cwd_contains",
    }
)
"""Conditions of the surroundings that are looked at without doing anything."""
CHARACTERS: Final = 4
"""Of a token, roughly, where only the text of a prompt is known."""


def simulated(
    body: Body,
    params: Mapping[str, Any],
    *,
    run: str | None = None,
    modules: Sequence[Any] = (),
    model: str | None = None,
    store: str | os.PathLike[str] | None = None,
) -> Simulation:
    """A playbook on paper, with what is known here.

    Args:
        body: which one.
        params: by name; with a `run` those that are missing are taken from it, if its input tells them.
        run: a recorded run whose results are used, by identity.
        modules: that register tools, to be imported.
        model: for model states that name none, ``provider/name``.
        store: where the run, and other playbooks, are; default: the project's.

    Raises:
        UnknownRun, StoreError: there is no such run.
        SpanreelError: a module of tools cannot be imported.
    """
    from spanreel.replay.load import load

    replay = load(run, store) if run is not None else None
    toolbox = gathered(modules)
    given = dict(params)
    if replay is not None:
        given = {**_told(body, replay), **given}
    paper = Paper(
        tools=toolbox.facts,
        answers=_answers(replay) if replay is not None else lambda _tool, _args: None,
        probe=_probed(toolbox),
        load=_loader(store),
        cost=_cost(replay, model),
        model=model is not None,
        cost_from=_cost_from(replay),
        answers_from=replay.run_id if replay is not None else None,
    )
    return simulate(body, given, paper)


def _told(body: Body, replay: Replay) -> dict[str, Any]:
    from spanreel.replay.playbooks.repairs.repairing import params_of

    try:
        return params_of(body, replay)
    except SpanreelError:  # it does not tell all of them; those that are missing are said to be missing
        return {}


def _answers(replay: Replay) -> Callable[[str, Mapping[str, Any]], tuple[Any] | None]:
    """The recorded results, each call of it once; a read that is repeated gives what it gave before."""
    waiting: dict[str, list[Any]] = {}
    for call in calls_of(replay):
        if call.error is None:
            waiting.setdefault(f"{call.tool}\0{canonical_json(call.args)}", []).append(call.result)

    def answer(tool: str, args: Mapping[str, Any]) -> tuple[Any] | None:
        found = waiting.get(f"{tool}\0{canonical_json(dict(args))}")
        if not found:
            return None
        return (found.pop(0) if len(found) > 1 else found[0],)

    return answer


def _probed(toolbox: Toolbox) -> Callable[[asks.Probe], Judgement]:
    def judged(asked: asks.Probe) -> Judgement:
        which = kind(asked.condition)
        if unknown_in(asked.condition):
            return Judgement(None, f"{which} asks for what is not known yet")
        if which == "tool_available":
            name = str(asked.condition[which])
            there = toolbox.find(name) is not None
            return Judgement(there, f"tool {name} is {'' if there else 'not '}registered")
        if which not in HARMLESS:
            return Judgement(None, f"{which} is asked when it runs")
        return _judgement(_found(asked, None))  # not by `probe`, which records what it finds in a run

    return judged


def _loader(store: str | os.PathLike[str] | None) -> Callable[[str, str | None], Body]:
    def load(name: str, body_hash: str | None) -> Body:
        from spanreel.replay.playbooks.governance.library import Library

        return Library(store).get(f"{name}@{body_hash.removeprefix('sha256:')}" if body_hash else name).body

    return load


def _cost(replay: Replay | None, model: str | None) -> Callable[[asks.Ask], str | None]:
    """What a model call would cost: the mean of the run's, else the price of the prompt alone."""
    from decimal import Decimal

    recorded = (
        [Decimal(step.cost) for step in replay.steps if step.cost and step.kind == "llm"] if replay else []
    )

    def cost(asked: asks.Ask) -> str | None:
        if recorded:
            return format(sum(recorded, Decimal(0)) / len(recorded), "f")
        return _prompt_price(asked, asked.model or model)

    return cost


def _prompt_price(asked: asks.Ask, model: str | None) -> str | None:
    from spanreel.replay.pricing import _price, pricing_available
    from spanreel.wire.usage import Usage

    if not pricing_available() or model is None or unknown_in([asked.prompt, asked.system]):
        return None
    provider, slash, name = model.partition("/")
    tokens = (len(asked.prompt) + len(asked.system or "")) // CHARACTERS + 1
    day = (datetime.now(tz=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    return _price(provider if slash else None, name if slash else model, Usage(input=tokens, output=0), day)


def _cost_from(replay: Replay | None) -> str:
    from spanreel.replay.pricing import REMEDY, pricing_available

    if replay is not None and any(step.cost for step in replay.steps if step.kind == "llm"):
        return f"the mean of the model calls of run {replay.run_id[:12]}"
    if not pricing_available():
        return f"nobody knows: there is no price list ({REMEDY}), and no recorded run with costs"
    return "the price list, for the prompts alone: at least this"


def linted(
    body: Body,
    *,
    modules: Sequence[Any] = (),
    report: Mapping[str, Any] | None = None,
) -> Lint:
    """A lint with what is known here of tools.

    Args:
        body: which one.
        modules: that register tools, to be imported.
        report: what the compiler said of it.

    Raises:
        SpanreelError: a module cannot be imported.
    """
    toolbox = gathered(modules)
    known = {*toolbox.names()} & {*body.tools}
    return lint(body, _declared(toolbox) if modules or known else None, report)


def _declared(toolbox: Toolbox) -> Callable[[str], Declared | None]:
    def declared(name: str) -> Declared | None:
        found = toolbox.find(name)
        return None if found is None else Declared(found.safety, found.idempotency_key is not None)

    return declared
