"""Whether an execution can come to the steps that somebody wants to be different: not where a served tool hides them."""

from __future__ import annotations

from spanreel.exceptions import SpanreelError
from spanreel.replay import stubs
from spanreel.replay.policy import Policy
from spanreel.replay.recording import ModelEffect, Recording, ToolEffect


def check(recording: Recording, policy: Policy) -> None:
    """See that there is a step to fork at, and that no tool around a step that is to be different keeps its body from running.

    Raises:
        SpanreelError: the run has no such step, or it lies inside a tool that is answered from the recording.
    """
    own = [effect for effect in recording.effects if effect.run_id == recording.run_id]
    last = max((effect.number for effect in own), default=0)
    at = policy.at
    if at is not None and not 1 <= at <= last + 1:
        raise SpanreelError(
            f"run {recording.run_id} has no step {at}: its steps are 1 to {last}",
            f"spanreel show {recording.run_id}",
        )
    said = policy.overrides
    wanted = {*said.steps, *said.responses, *said.requests, *([] if at is None else [at])}
    for effect in own:
        if isinstance(effect, ModelEffect) and effect.number in said.responses:
            stubs.check(said.responses[effect.number])
    tools = {one.span_id: one for one in own if isinstance(one, ToolEffect)}
    for effect in own:
        closed = [tools[one] for one in effect.within if one in tools and not _enters(tools[one], policy)]
        if effect.number in wanted and closed:
            raise SpanreelError(
                f"step {effect.number} lies inside tool {closed[0].name} (step {closed[0].number}), whose body does not run",
                f"let it run: --allow-tool {closed[0].name}, in Python allow_tools=[{closed[0].name!r}]",
            )


def _enters(tool: ToolEffect, policy: Policy) -> bool:
    live = policy.at is not None or policy.tools == "live"
    return tool.name in policy.allow_tools or (live and tool.safety == "read")
