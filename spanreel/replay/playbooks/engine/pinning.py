"""LOUD: what an execution is held to: the playbooks within it, found once, and the code of its states in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from spanreel.exceptions import ContractChanged, SpanreelError
from spanreel.instrument import contract, responder
from spanreel.replay.contract import REMEDY, changed
from spanreel.replay.playbooks.body import Body, SubPlaybook
from spanreel.replay.playbooks.engine.toolbox import Toolbox, function_of

STATE: Final = "state"
"""The word in the contract of a function that is a state."""


def contract_of(function: Any) -> str | None:
    """What a function that is a state is: its parameters and its source."""
    return contract.of_function(function, STATE)


def check_code(body: Body, toolbox: Toolbox) -> None:
    """See that the functions of states are those that the body was made of; a replay may run others.

    Raises:
        ContractChanged: one is not; says what changed.
        SpanreelError: one is gone.
    """
    policy: Any = getattr(responder.current(), "policy", None)
    if policy is not None and (not policy.resume or policy.allow_drift):
        return
    for name, state in body.states.items():
        if state.code is None or state.python is None:
            continue
        now = contract_of(function_of(state.python, toolbox))
        if now != state.code:
            what = changed(state.code, now or "")
            remedy = REMEDY if policy is not None else "make the playbook again of the code as it is"
            raise ContractChanged(f"state {name} of {body.name} is not what it was: {what}", remedy)


def pinned(
    body: Body, given: Mapping[str, Body], load: Callable[[str, str | None], Body] | None
) -> dict[str, Body]:
    """Every playbook within a body, and within those, by the name or hash that it is asked for by.

    What cannot be found is left out: the state that asks for it fails.
    """
    found: dict[str, Body] = {}
    waiting = [body]
    while waiting:
        for state in waiting.pop().states.values():
            if state.playbook is None:
                continue
            key = state.playbook.hash or state.playbook.name
            if key in found:
                continue
            inner = given.get(key) or _loaded(state.playbook, load)
            if inner is not None:
                found[key] = inner
                waiting.append(inner)
    return found


def _loaded(asked: SubPlaybook, load: Callable[[str, str | None], Body] | None) -> Body | None:
    if load is None:
        return None
    try:
        return load(asked.name, asked.hash)
    except SpanreelError:
        return None
