"""LOUD: contracts of what a person names, kept in files that are looked at in reviews and checked in CI."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from spanreel.exceptions import BadInput, SpanreelError
from spanreel.location import resolve_store
from spanreel.replay import surface
from spanreel.replay.graphs import run_or_body, since_ns
from spanreel.replay.surface import Contract

if TYPE_CHECKING:
    from spanreel.replay.playbooks.body import Body


def contract_of(
    targets: Sequence[str] = (),
    agent: str | None = None,
    since: str | None = None,
    store: str | os.PathLike[str] | None = None,
) -> Contract:
    """The contract of one playbook, or of an agent over runs.

    Args:
        targets: a playbook, or runs by name.
        agent: all runs of this agent instead.
        since: only those that began since: ``7d``, or a date.
        store: default: the project's.

    Raises:
        SpanreelError: there is nothing of that name, or playbooks and runs are mixed.
    """
    if agent is not None:
        return _of_agent(agent, since, store)
    from spanreel.replay.load import replay_of

    found = [run_or_body(target, store) for target in targets]
    bodies = [one for one in found if not isinstance(one, str)]
    if bodies and len(found) == 1:
        return of_body(bodies[0])
    if bodies or not found:
        raise SpanreelError(
            "a contract is of one playbook, or of runs", "name one playbook, or runs, or --agent NAME"
        )
    runs = [replay_of(one, store) for one in found if isinstance(one, str)]
    return surface.of_runs(runs[0].agent_name or runs[0].run_id, runs)


def of_body(body: Body) -> Contract:
    """The contract of a playbook, with the tools that are registered here and the functions that are found."""
    from spanreel.instrument.describing import described
    from spanreel.instrument.tools import registered

    known = registered()
    tools: dict[str, Any] = {}
    for name in body.tools:
        tool = known.get(name)
        schema = described(tool).parameters if tool is not None and tool.function is not None else None
        tools[name] = {"safety": tool.safety, "arguments": schema} if tool is not None else None
    code = {state.python: _code(state.python, state.code) for state in body.states.values() if state.python}
    return surface.of_playbook(body, tools, code)


def _code(function: str, said: str | None) -> str | None:
    """The contract of a function's code; what the body says of it, where it is not found."""
    from spanreel.instrument.contract import of_function
    from spanreel.replay.playbooks.engine.toolbox import Toolbox, function_of

    try:
        here = Toolbox(modules=frozenset(sys.modules))  # what is imported already is looked at, never called
        return of_function(function_of(function, here), "python")
    except SpanreelError:
        return said


def _of_agent(agent: str, since: str | None, store: str | os.PathLike[str] | None) -> Contract:
    from spanreel.collector.store import open_reader
    from spanreel.replay.build import build

    begin = 0 if since is None else since_ns(since)
    with open_reader(resolve_store(store)) as reader:
        fitting = [run for run in reader.runs() if run.agent_name == agent and run.started_ns >= begin]
        runs = [build(run, reader.spans(run.trace_id)) for run in fitting]
    if not runs:
        raise SpanreelError(
            f"no run of {agent} is in the store" + (f" since {since}" if since else ""), "see: spanreel runs"
        )
    return surface.of_runs(agent, runs)


def write(contract: Contract, path: Path) -> None:
    """Keep a contract in a file.

    Raises:
        SpanreelError: it cannot be written.
    """
    try:
        path.write_text(contract.to_json(indent=2) + "\n", "utf-8")
    except OSError as error:
        raise SpanreelError(f"{path} cannot be written ({error.strerror})", "name another file") from error


def read(path: Path) -> Contract:
    """A contract out of its file.

    Raises:
        BadInput: it is none, or somebody edited it.
    """
    try:
        found = Contract.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read ({error.strerror})", "make it: spanreel contract … --snapshot-out FILE"
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(
            f"{path} is no contract ({'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']})",
            "make it again: spanreel contract … --snapshot-out FILE",
        ) from error
    if surface._contract(found.of, found.name, found.says, found.runs).sha256 != found.sha256:
        raise BadInput(f"{path} does not have the hash that it says", "make it again with --snapshot-out")
    return found
