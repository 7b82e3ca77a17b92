"""What the root of an execution's run says about where it comes from. Values only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import NotReplayable
from spanreel.instrument.responder import RootFacts
from spanreel.replay.policy import Overrides
from spanreel.wire import attributes as names
from spanreel.wire.lenient import mapping, parse

if TYPE_CHECKING:
    from spanreel.replay.policy import Policy
    from spanreel.replay.recording import Recording
    from spanreel.wire.spans import Attributes


def root_facts(recording: Recording, policy: Policy, segment: int | None) -> RootFacts:
    """The source run with a link to it; of a fork its step, linked too; what was overridden; of a resume, the run it is."""
    said: dict[str, Any] = {names.SOURCE_RUN_ID: recording.run_id}
    links = [(recording.trace_id, recording.root_span_id)] if recording.root_span_id else []
    if policy.at is not None:
        said[names.FORK_STEP] = policy.at
        links += [
            (recording.trace_id, effect.span_id) for effect in recording.effects if effect.number == policy.at
        ][:1]
    if policy.overrides or policy.allow_tools:
        said[names.REPLAY_OVERRIDES] = _overridden(policy)
    if policy.resume and segment is not None:
        said[names.RUN_SEGMENT] = segment
        return RootFacts(said, tuple(links), outward=True, run_id=recording.run_id)
    return RootFacts(said, tuple(links), outward=policy.goes_live)


def fork_index(recording: Recording, at: int | None) -> int:
    """The place of the first effect that a fork at this step does not serve."""
    if at is None:
        return 0
    later = (one.index for one in recording.effects if one.run_id == recording.run_id and one.number >= at)
    return next(later, len(recording.effects))


def resumed(root: Attributes, policy: Policy) -> Policy:
    """The policy that goes on with a run: one that was itself an execution keeps its overrides, and its authority.

    Args:
        root: the attributes of its first root.
        policy: what is asked of the resume.

    Raises:
        NotReplayable: it had overrides that its root cannot keep.
    """
    if names.SOURCE_RUN_ID not in root or names.RUN_SEGMENT in root:
        return policy
    said = mapping(parse(str(root.get(names.REPLAY_OVERRIDES, "{}"))))
    lost = [name for name in ("responses", "requests", "messages") if said.get(name)]
    if lost:
        raise NotReplayable(
            f"this run is an execution with its own {' and '.join(lost)}, which are not kept and so cannot go on",
            f"spanreel fork {root[names.SOURCE_RUN_ID]}",
        )
    steps = {
        int(step): mapping(values) for step, values in mapping(said.get("steps")).items() if step.isdigit()
    }
    return replace(
        policy,
        authority="named",
        overrides=Overrides(every=mapping(said.get("every")), steps=steps),
        allow_tools=policy.allow_tools | {str(name) for name in said.get("allow_tools", ())},
    )


def _overridden(policy: Policy) -> str:
    """As JSON, without the bodies of responses and requests, which the spans hold."""
    overrides = policy.overrides
    said = {
        "every": dict(overrides.every),
        "steps": {str(step): dict(values) for step, values in overrides.steps.items()},
        "responses": sorted(overrides.responses),
        "requests": sorted(overrides.requests),
        "messages": overrides.messages is not None,
        "allow_tools": sorted(policy.allow_tools),
    }
    return json.dumps({name: value for name, value in said.items() if value}, default=str)
