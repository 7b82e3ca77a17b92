"""The one executor: who answers each model call, tool call and gate of an agent that runs again.

`Policy` says what is wanted; what the recording has is found by `Matcher`; this decides, call by call, between recorded,
live, stub and deny, in every thread, and keeps the books. Nothing is guessed: what may not be served and may not go
live raises a `Signal`, which is kept even where the agent swallows it. An error of ours never lets a call through.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import context as otel_context

from spanreel.exceptions import ContractChanged, DecisionNeeded, EffectDenied, Signal, SpanreelError
from spanreel.instrument import process
from spanreel.instrument.responder import (
    ApprovalRequest,
    Decision,
    ModelAnswer,
    ModelRequest,
    ModelRoute,
    RootFacts,
    ToolAnswer,
    ToolRequest,
    ToolRoute,
)  # fmt: skip
from spanreel.instrument.tracing import RUN_KEY
from spanreel.replay import divergence, resuming, stubs
from spanreel.replay.books import Books
from spanreel.replay.callsite import code_line
from spanreel.replay.contract import check_tool
from spanreel.replay.match import Consumed, Hit, Matcher, Miss, attempt_of
from spanreel.replay.origin import fork_index, root_facts
from spanreel.replay.policy import Policy
from spanreel.replay.recording import ModelEffect, Recording, ToolEffect
from spanreel.replay.routes import Router

if TYPE_CHECKING:
    from collections.abc import Generator

    from spanreel.replay.recording import Answer

READ = "read"
Decisions = Mapping[str, Sequence[Decision]]


class Executor:
    """A responder that obeys a policy.

    Args:
        recording: what may be served.
        policy: who answers what.
        redact: what blanked the recording's secrets.
        decisions: about its gates, by approval id, in order.
        segment: of a resumed run, which one this is: 2, 3, …
    """

    def __init__(
        self,
        recording: Recording,
        policy: Policy | None = None,
        redact: Callable[[bytes], bytes] | None = None,
        *,
        decisions: Decisions | None = None,
        segment: int | None = None,
    ) -> None:
        self.policy = policy or Policy()
        self.matcher = Matcher(recording, self.policy.match, redact)
        self.consumed = Consumed()
        self.books = Books()
        self.root: RootFacts | None = root_facts(recording, self.policy, segment)
        self._router = Router(self.policy, self.books)
        self._decisions: Decisions = decisions or recording.decisions
        self._lock = threading.RLock()
        self._asked = 0
        self._numbers: dict[tuple[str, bytes], int] = {}
        self._fork = fork_index(recording, self.policy.at)
        self._around = recording.effects[self._fork].within if self._fork < len(recording.effects) else ()
        self._seen: set[int] = set()
        self._forked = False
        self._minted: set[str] = set()
        self._gates: dict[str, int] = {}

    @property
    def recording(self) -> Recording:
        """What is served."""
        return self.matcher.recording

    # model calls

    def model(self, request: ModelRequest) -> ModelAnswer | ModelRoute | None:
        """The recorded answer, a stub's, or the way out to the network.

        Raises:
            Divergence: nothing recorded answers, and nothing else may.
            EffectDenied: the policy lets no model call through, or the budget is spent.
        """
        with self._guarded(request), self._lock:
            self._note_run()
            found = self.matcher.model(request, self.consumed)
            step = self._step(request, found)
            source = self._model_source(request, step, found)
            if source == "recorded":
                assert isinstance(found, Hit)
                return self._served_model(found)
            if source == "stub":
                self.books.stub += 1
                return stubs.model(request, self.policy.overrides.responses.get(step, stubs.PLACEHOLDER))
            if source == "deny":
                raise EffectDenied(
                    f"step {step}: no model call is let through here", request.dialect, code_line()
                )
            return self._router.out(request, step)
        raise AssertionError

    def _model_source(self, request: ModelRequest, step: int, found: Hit | Miss) -> str:
        policy = self.policy
        if step in policy.overrides.responses:
            self._forked = True
            return "stub"
        if policy.resume:
            if isinstance(found, Hit) or not resuming.model_may_go_live(self.matcher, self.consumed, request):
                return self._recorded_or(request, found)
            return "live"
        if policy.at is not None:
            if self._before(found):
                return self._recorded_or(request, found)
            self._forked = True
            return "live" if policy.models == "recorded" else policy.models
        return self._recorded_or(request, found) if policy.models == "recorded" else policy.models

    def _served_model(self, hit: Hit) -> ModelAnswer:
        effect, answer = hit.effect, hit.answer
        assert isinstance(effect, ModelEffect)
        assert answer is not None
        self._note(hit)
        if self.policy.resume:
            self._minted |= resuming.minted_ids(effect, answer)
        return ModelAnswer(
            status=answer.status,
            headers=answer.headers,
            chunks=answer.chunks,
            micros=answer.micros,
            error_type=answer.error_type,
            error_message=answer.error_message,
            outcome=answer.outcome,
            source_run_id=effect.run_id,
            source_span_id=answer.span_id,
            tier=hit.tier,
            score=hit.score,
            at_cut=self._at_cut(effect, answer),
        )

    # tool calls

    def tool(self, request: ToolRequest) -> ToolAnswer | ToolRoute | None:
        """The recorded result, a stub's, or leave for the tool's body to run.

        Raises:
            Divergence: nothing recorded answers, and nothing else may.
            EffectDenied: the tool may change the world, and nobody named it.
            DecisionNeeded: it began in the recorded run, and nobody knows whether it happened.
        """
        with self._guarded(request), self._lock:
            self._note_run()
            found = self.matcher.tool(request, self.consumed)
            step = self._step(request, found)
            source = self._tool_source(request, step, found)
            if source == "live" and isinstance(found, Hit):  # what happened inside it is asked for again
                self.consumed.inside.difference_update(self.recording.inside(found.effect.span_id))
            if source == "recorded":
                assert isinstance(found, Hit)
                return self._served_tool(found)
            if source == "stub":
                self.books.stub += 1
                return ToolAnswer(stubs.tool(self._stubbed_result(step, found)), source="stub")
            if source == "deny":
                raise self._denied(request, step)
            return self._router.tool_out(request, step)
        raise AssertionError

    def _tool_source(self, request: ToolRequest, step: int, found: Hit | Miss) -> str:
        policy = self.policy
        named = request.name in policy.allow_tools
        harmless = named or request.safety == READ
        if step in policy.overrides.responses:
            self._forked = True
            return "stub"
        if policy.resume:
            source = self._resumed_tool(request, found)
            return source if source != "live" or harmless or policy.authority == "own" else "deny"
        if policy.at is not None:
            if self._before(found):
                entered = isinstance(found, Hit) and found.effect.span_id in self._around
                return "live" if entered and harmless else self._recorded_or(request, found)
            self._forked = True
            return "live" if harmless else "recorded" if isinstance(found, Hit) else "deny"
        if named:
            return "live"
        if policy.tools == "recorded":
            return self._recorded_or(request, found, may_go_live=harmless)
        if policy.tools == "live":
            return "live" if harmless else "recorded" if isinstance(found, Hit) else "deny"
        return policy.tools

    def _resumed_tool(self, request: ToolRequest, found: Hit | Miss) -> str:
        policy = self.policy
        if not policy.allow_drift:
            check_tool(self.recording.effects, request)
        if isinstance(found, Hit):
            return "recorded"
        if found.kind in ("in_doubt", "opaque"):
            effect = found.effect
            assert isinstance(effect, ToolEffect)
            answer = "retry" if effect.idempotent and found.kind == "in_doubt" else policy.in_doubt
            if answer == "ask":
                raise DecisionNeeded(
                    resuming.doubt(effect, found.kind, self.recording.run_id), f"tool {effect.name}"
                )
            self.consumed.served[effect.index] = 1
            self.books.notes.append(f"step {effect.number} ({effect.title}) was in doubt: {answer}")
            return "live" if answer == "retry" else "stub"
        if found.kind == "served" or resuming.tool_may_go_live(
            self.matcher, self.consumed, request, self._minted
        ):
            return "live"
        message = resuming.unclear(self.matcher, self.consumed, request)
        if policy.in_doubt == "retry":
            self.books.notes.append(message)
            return "live"
        raise DecisionNeeded(message, f"tool {request.name}")

    def _stubbed_result(self, step: int, found: Hit | Miss) -> Any:
        responses = self.policy.overrides.responses
        if step in responses:
            return responses[step]
        in_doubt = isinstance(found, Miss) and found.effect is not None and self.policy.in_doubt == "result"
        return self.policy.in_doubt_result if in_doubt else None

    def _served_tool(self, hit: Hit) -> ToolAnswer:
        effect = hit.effect
        assert isinstance(effect, ToolEffect)
        assert effect.encoded is not None
        self._note(hit)
        return ToolAnswer(
            encoded=effect.encoded,
            source_run_id=effect.run_id,
            source_span_id=effect.span_id,
            tier=hit.tier,
        )

    def _denied(self, request: ToolRequest, step: int) -> EffectDenied:
        where = code_line()
        place = f", called from {where}" if where else ""
        return EffectDenied(
            f"step {step}: tool {request.name} is declared {request.safety} and has no recorded result for this call, so it "
            f"is not run{place}; let it run with --allow-tool {request.name}",
            f"tool {request.name}",
            where,
        )

    # gates

    def approval(self, request: ApprovalRequest) -> Decision | None:
        """What was decided about this gate; None: nobody has, so that a fork waits at it as a run of its own.

        Raises:
            DecisionNeeded: in a resumed run, it was decided about another question.
        """
        with self._lock:
            self._note_run()
            place = self._gates.get(request.id, 0)
            decided = self._decisions.get(request.id, ())[place : place + 1]
            self._gates[request.id] = place + 1
            other = resuming.other_question(request, decided[0]) if decided else None
            if decided and (other is None or self.policy.allow_drift):
                return decided[0]
            if other is not None and self.policy.resume:
                self.books.latch(other)
                raise other
            self.books.pending.append(request.id)
            return None

    # what all of them share

    def on_denied(self, denied: EffectDenied) -> None:
        """Something tried to go out to the network and was stopped."""
        with self._lock:
            self.books.denied.append(denied)
            self.books.latch(denied)

    def unused_responses(self) -> list[str]:
        """Overrides for a step that the agent did not come to, in words."""
        overrides = self.policy.overrides
        wanted = overrides.responses.keys() | overrides.requests.keys() | overrides.steps.keys()
        return [
            f"step {step} was not reached, so its override was not used"
            for step in sorted(wanted)
            if step not in self._seen
        ]

    def _recorded_or(
        self, request: ModelRequest | ToolRequest, found: Hit | Miss, *, may_go_live: bool = True
    ) -> str:
        """Recorded, or what the policy says of a miss."""
        if isinstance(found, Hit):
            return "recorded"
        if self.policy.on_miss != "raise" and found.kind not in ("opaque", "in_doubt"):
            self.books.divergences.append(self._report(request, found))
            return self.policy.on_miss if may_go_live or self.policy.on_miss == "stub" else "deny"
        raise self.books.diverged(self._report(request, found))

    def _before(self, found: Hit | Miss) -> bool:
        """Of a fork: whether this call lies before it, and so has to be in the recording."""
        if isinstance(found, Hit):
            return found.effect.index < self._fork
        left = any(effect.index < self._fork for effect in self.matcher.unused(self.consumed))
        return left and not self._forked

    def _step(self, request: ModelRequest | ToolRequest, found: Hit | Miss) -> int:
        """The number of this call: that of the recorded one it is, else its place among all that were asked."""
        again = attempt_of(request.headers) if isinstance(request, ModelRequest) else None
        if isinstance(request, ModelRequest) and again:
            known = self._numbers.get((request.lane, request.body))
            if known is not None:
                return known
        if isinstance(found, Hit) and found.effect.run_id != self.recording.run_id:
            return 0  # of another run of the same process, which has numbers of its own
        self._asked += 1
        step = found.effect.number if isinstance(found, Hit) else self._asked
        self._seen.add(step)
        if isinstance(request, ModelRequest):
            self._numbers[request.lane, request.body] = step
        return step

    def _report(self, request: ModelRequest | ToolRequest, found: Miss) -> divergence.DivergenceReport:
        report = divergence.report(
            self.matcher, self.consumed, request, found, code_line(), self.books.run_id
        )
        if isinstance(request, ToolRequest) and self.policy.goes_live:
            report = report.model_copy(
                update={"next": [f"let it run: --allow-tool {request.name}", *report.next]}
            )
        return report

    @contextmanager
    def _guarded(self, request: ModelRequest | ToolRequest) -> Generator[None]:
        """What is raised inside goes to the agent as a signal, and into the books."""
        try:
            yield
        except EffectDenied as denied:
            self.on_denied(denied)
            raise
        except Signal as signal:
            with self._lock:
                self.books.latch(signal)
            raise
        except ContractChanged as changed:
            needed = DecisionNeeded(str(changed), divergence.title(request))
            with self._lock:
                self.books.latch(needed)
            raise needed from changed
        except SpanreelError as error:  # an override that cannot be applied, a key that is missing
            denied = EffectDenied(str(error), divergence.title(request), code_line())
            self.on_denied(denied)
            raise denied from error
        except Exception as error:  # ours: it must not let the call through to the network, or to the tool
            report = divergence.failure(request, error, self.recording.run_id)
            with self._lock:
                raised = self.books.diverged(report)
            raise raised from error

    def _note(self, hit: Hit) -> None:
        self.books.recorded += 1
        if hit.drift is not None:
            self.books.drift.append(hit.drift)

    def _note_run(self) -> None:
        """A call outside any run is one of the process's own, which it opens even if nothing answers it."""
        if self.books.run_id is None:
            here = otel_context.get_current()
            self.books.context = here if here.get(RUN_KEY) is not None else process.process_context()

    def _at_cut(self, effect: ModelEffect, answer: Answer) -> Callable[[], None] | None:
        if answer.whole:
            return None

        def more_than_recorded() -> None:
            with self._lock:
                report = divergence.about(
                    effect, "cut", self.recording.run_id, code_line(), self.books.run_id, self.recording
                )
                raise self.books.diverged(report)

        return more_than_recorded
