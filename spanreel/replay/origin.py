"""What the root of an execution's run says about where it comes from. Values only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spanreel.instrument.responder import RootFacts
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.replay.policy import Policy
    from spanreel.replay.recording import Recording


def root_facts(recording: Recording, policy: Policy, segment: int | None) -> RootFacts:
    """The source run with a link to it; of a fork its step, linked too; what was overridden; of a resume, the run it is."""
    said: dict[str, Any] = {names.SOURCE_RUN_ID: recording.run_id}
    links = [(recording.trace_id, recording.root_span_id)] if recording.root_span_id else []
    if policy.at is not None:
        said[names.FORK_STEP] = policy.at
        links += [
            (recording.trace_id, effect.span_id) for effect in recording.effects if effect.number == policy.at
        ][:1]
    if policy.overrides:
        said[names.REPLAY_OVERRIDES] = _overridden(policy)
    if policy.resume and segment is not None:
        said[names.RUN_SEGMENT] = segment
        return RootFacts(said, tuple(links), outward=True, run_id=recording.run_id)
    return RootFacts(said, tuple(links), outward=policy.goes_live)


def _overridden(policy: Policy) -> str:
    """As JSON, without the bodies of responses and requests, which the spans hold."""
    overrides = policy.overrides
    said = {
        "every": dict(overrides.every),
        "steps": {str(step): dict(values) for step, values in overrides.steps.items()},
        "responses": sorted(overrides.responses),
        "requests": sorted(overrides.requests),
        "messages": overrides.messages is not None,
    }
    return json.dumps({name: value for name, value in said.items() if value}, default=str)
