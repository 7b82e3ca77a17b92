"""LOUD: could a TARGET be run with these inputs? Everything is looked at that can be without running anything of it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spanreel.replay.playbooks.asks import Stopped
from spanreel.replay.playbooks.body import Body
from spanreel.replay.playbooks.engine.running import typed
from spanreel.replay.playbooks.engine.toolbox import Toolbox
from spanreel.replay.playbooks.guarding import Guarding

if TYPE_CHECKING:
    from spanreel.replay.playbooks.formats.target import Target


def problems(found: Target, inputs: Mapping[str, Any]) -> list[str]:
    """What is in the way, each on one line; empty: nothing.

    Args:
        found: a playbook or a function.
        inputs: parameters, or arguments by name.
    """
    if found.function is not None:
        try:
            inspect.signature(found.function).bind(**inputs)
        except TypeError as error:
            return [f"{found.said}: {error}"]
        return []
    lines = [found.where(one) for one in found.problems if one.level == "error"]
    if found.body is not None and not lines:
        lines += _of_params(found.body, inputs)
        toolbox = Toolbox()
        missing = [name for name in found.body.tools if toolbox.find(name) is None]
        lines += [
            f"{found.said}: no tool {name} is registered; name its module: --tools MODULE" for name in missing
        ]
    return lines


def _of_params(body: Body, inputs: Mapping[str, Any]) -> list[str]:
    """What the guard of the parameters says; it asks nothing of the world, for there is no task to read them out of."""
    taking = Guarding(body, guided=False).given(typed(body, inputs), None)
    try:
        for _ in taking:
            break
    except Stopped as stopped:
        return [str(stopped)]
    return []
