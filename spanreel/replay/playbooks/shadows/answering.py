"""Who answers a playbook in shadow: one recorded run, by identity, and nobody else.

LOUD only in that it records what it answers. No tool's body runs, no model is asked: what the run does not have is not
answered (`NotAnswered`), which is no pass. A call that failed for the agent and went through later is answered by what it
came to; a read that is repeated with no write in between, by what it gave before. Gates are taken to be approved, unless
the run has a decision.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from spanreel.exceptions import Divergence, EffectDenied, Signal
from spanreel.instrument import codec
from spanreel.instrument.responder import (
    ApprovalRequest,
    Decision,
    ModelRequest,
    RootFacts,
    ToolAnswer,
    ToolRequest,
    ToolRoute,
)
from spanreel.instrument.tool_call import Dispatch, Tool, call_tool
from spanreel.replay import conversation
from spanreel.replay.executor import Executor
from spanreel.replay.playbooks.shadows.scoring import READ, failed
from spanreel.replay.policy import Policy
from spanreel.replay.recording import Recording, ToolEffect
from spanreel.wire.content import canonical_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spanreel.replay.timeline import Replay, ToolCallRecord

ASSUMED = "assumed in a shadow: nobody was asked"


class RecordedFailure(Exception):
    """What a recorded tool call failed with, in its words."""


class NotAnswered(Signal):
    """The run does not know: no call of it is this one. Its text says which. No guard of the playbook may handle it."""


def recording_of(replay: Replay, root_span_id: str = "") -> Recording:
    """The tool calls of any run, of whatever emitter, ready to be served.

    Args:
        replay: the run; calls that its model's messages alone tell of count too.
        root_span_id: of its root, for the link to it.
    """
    open_steps = {step.number for step in replay.steps if step.status == "open"}
    calls = [call for call in replay.tool_calls if call.step is None or call.step not in open_steps]
    kept = _without_failures(calls)
    effects = tuple(_effect(place, call, replay.run_id) for place, call in enumerate(kept))
    decisions: dict[str, tuple[Decision, ...]] = {}
    for gate in replay.approvals:
        if gate.status != "pending":
            made = Decision(gate.status == "approved", gate.actor, gate.reason, replay.run_id, gate.span_id)
            decisions[gate.id] = (*decisions.get(gate.id, ()), made)
    return Recording(
        replay.run_id,
        effects,
        agent_name=replay.agent_name or "",
        trace_id=replay.trace_id,
        root_span_id=root_span_id,
        decisions=decisions,
    )


def _without_failures(calls: Sequence[ToolCallRecord]) -> list[ToolCallRecord]:
    """Calls that failed are left out where the same call went through later."""
    last_success: dict[str, int] = {}
    for place, call in enumerate(calls):
        if not failed(call):
            last_success[_key(call.tool_name, call.tool_args)] = place
    return [
        call
        for place, call in enumerate(calls)
        if not failed(call) or last_success.get(_key(call.tool_name, call.tool_args), -1) < place
    ]


def _effect(place: int, call: ToolCallRecord, run_id: str) -> ToolEffect:
    return ToolEffect(
        index=place,
        number=call.step or 0,
        run_id=run_id,
        span_id=call.span_id or f"call {place}",
        name=call.tool_name,
        arguments=conversation.decoded(call.tool_args),
        encoded=codec.encode(call.result if call.error is None else RecordedFailure(call.error)),
        safety=call.safety or "write",
    )


def _key(tool: str, args: Any) -> str:
    return f"{tool}\0{canonical_json(codec.plain(conversation.decoded(args)))}"


class OutOfTheRun:
    """A responder that knows one run. Install it in a context of its own: it is asked only there."""

    def __init__(self, recording: Recording, said: Mapping[str, Any]) -> None:
        self.recording = recording
        self._executor = Executor(recording, Policy(models="deny", tools="recorded"))
        links = [(recording.trace_id, recording.root_span_id)] if recording.root_span_id else []
        self.root: RootFacts | None = RootFacts(dict(said), tuple(links), outward=False)
        self._given: dict[str, ToolAnswer] = {}
        self._times: defaultdict[str, int] = defaultdict(int)
        self.assumed: list[str] = []

    def model(self, request: ModelRequest) -> NoReturn:
        """No model is asked.

        Raises:
            EffectDenied: always.
        """
        raise EffectDenied("no model is asked in a shadow", request.dialect)

    def tool(self, request: ToolRequest) -> ToolAnswer | ToolRoute | None:
        """What the run has for this call.

        Raises:
            Divergence: it has nothing.
        """
        key = _key(request.name, request.arguments)
        try:
            answer = self._executor.tool(request)
        except Divergence:
            if request.safety == READ and key in self._given:
                return self._given[key]
            raise
        assert isinstance(answer, ToolAnswer)
        if request.safety == READ:
            self._given[key] = answer
        else:
            self._given.clear()
        return answer

    def approval(self, request: ApprovalRequest) -> Decision:
        """What was decided in the run about this gate, else that it is approved."""
        place = self._times[request.id]
        self._times[request.id] += 1
        decided = self.recording.decisions.get(request.id, ())[place : place + 1]
        if decided:
            return decided[0]
        self.assumed.append(request.id)
        return Decision(True, actor="shadow", reason=ASSUMED)


def served(tool: str, args: Mapping[str, Any], safety: str) -> Any:
    """A tool call, answered in this context; its result as JSON.

    Raises:
        NotAnswered: nobody here knows.
        RecordedFailure: what the call failed with in the run.
    """

    def body() -> NoReturn:
        raise EffectDenied(f"tool {tool} is not run in a shadow", f"tool {tool}")

    try:
        return codec.plain(call_tool(Dispatch(Tool(tool, safety), dict(args)), body))
    except Signal:
        raise NotAnswered(f"the run has no {tool} with these arguments") from None
