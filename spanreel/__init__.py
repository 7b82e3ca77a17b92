"""spanreel: one line records an agent as OpenTelemetry spans; from the spans alone it is shown, compared and run again.

The public names and nothing else. Each is imported when it is first used, so that `import spanreel` costs
an agent nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spanreel.exceptions import ApprovalPending, Divergence, EffectDenied, SpanreelError
    from spanreel.instrument.activate import Instrumentation, instrument, uninstrument
    from spanreel.instrument.applying import aapply_tool_calls, apply_tool_calls
    from spanreel.instrument.approvals import await_approval
    from spanreel.instrument.describing import tool_schemas
    from spanreel.instrument.responder import Decision
    from spanreel.instrument.runs import agent, note, outcome, run
    from spanreel.instrument.tools import tool
    from spanreel.replay.compare import ReplayComparison
    from spanreel.replay.execution import replaying
    from spanreel.replay.load import diff, load
    from spanreel.replay.playbooks.dispatching.dispatch import adispatch, dispatch
    from spanreel.replay.playbooks.dispatching.prime import prime
    from spanreel.replay.playbooks.dispatching.suggest import suggest
    from spanreel.replay.playbooks.playbook import Playbook
    from spanreel.replay.timeline import Replay

__all__ = [
    "ApprovalPending",
    "Decision",
    "Divergence",
    "EffectDenied",
    "Instrumentation",
    "Playbook",
    "Replay",
    "ReplayComparison",
    "SpanreelError",
    "aapply_tool_calls",
    "adispatch",
    "agent",
    "apply_tool_calls",
    "await_approval",
    "diff",
    "dispatch",
    "instrument",
    "load",
    "note",
    "outcome",
    "prime",
    "replaying",
    "run",
    "suggest",
    "tool",
    "tool_schemas",
    "uninstrument",
]

_HOMES = {
    "ApprovalPending": "spanreel.exceptions",
    "Divergence": "spanreel.exceptions",
    "EffectDenied": "spanreel.exceptions",
    "SpanreelError": "spanreel.exceptions",
    "Decision": "spanreel.instrument.responder",
    "await_approval": "spanreel.instrument.approvals",
    "Instrumentation": "spanreel.instrument.activate",
    "uninstrument": "spanreel.instrument.activate",
    "agent": "spanreel.instrument.runs",
    "note": "spanreel.instrument.runs",
    "outcome": "spanreel.instrument.runs",
    "run": "spanreel.instrument.runs",
    "tool": "spanreel.instrument.tools",
    "Playbook": "spanreel.replay.playbooks.playbook",
    "tool_schemas": "spanreel.instrument.describing",
    "aapply_tool_calls": "spanreel.instrument.applying",
    "apply_tool_calls": "spanreel.instrument.applying",
    "Replay": "spanreel.replay.timeline",
    "ReplayComparison": "spanreel.replay.compare",
    "replaying": "spanreel.replay.execution",
    "diff": "spanreel.replay.load",
    "load": "spanreel.replay.load",
    "adispatch": "spanreel.replay.playbooks.dispatching.dispatch",
    "dispatch": "spanreel.replay.playbooks.dispatching.dispatch",
    "prime": "spanreel.replay.playbooks.dispatching.prime",
    "suggest": "spanreel.replay.playbooks.dispatching.suggest",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from spanreel import version

        return version.installed()
    if name == "instrument":  # the room is also the call: see spanreel/instrument/__init__.py
        return import_module("spanreel.instrument")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'spanreel' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
