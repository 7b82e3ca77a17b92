"""`await_approval`: a gate in agent code that nobody passes before somebody has decided.

The gate is on file before control returns, so that a run that stops there is known to wait. It waits for nothing itself:
either there is a decision, or `ApprovalPending` ends the run, which `spanreel resume` continues later, elsewhere.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spanreel.exceptions import ApprovalPending, SpanreelError
from spanreel.instrument import codec, invocation, pausing, recorder, responder, threads
from spanreel.instrument.guard import guard
from spanreel.instrument.responder import ApprovalRequest, Decision
from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.instrument.tracing import ActiveSpan

PENDING = "pending"
APPROVED = "approved"
REJECTED = "rejected"


def await_approval(id: str, summary: str | None = None, details: Any = None) -> Decision:  # noqa: A002 - the word of the field
    """Go on only when somebody has decided; the same call in sync and async code, for it never blocks.

    Args:
        id: names the gate within the run; one id may be asked for several times (each time is decided anew).
        summary: what is to be decided, in a line.
        details: what it is about; any value that JSON can tell.

    Returns:
        The decision, truthy when approved, once the run was resumed after it.

    Raises:
        ApprovalPending: nobody has decided yet: the run is paused. Uncaught, the process exits with code 3.
        SpanreelError: for an id that cannot name a gate.
    """
    if not isinstance(id, str) or not 0 < len(id) <= 200 or not id.isprintable() or id != id.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SpanreelError(f"{id!r} cannot name an approval", "use 1 to 200 printable characters")
    request = ApprovalRequest(id, summary, details, threads.lane())
    decision = responder.current().approval(request)
    span = _begun(request, decision)
    if decision is None:
        raise _pending(request, span)
    if span is not None:
        _end(span, durable=False)
    return decision


def _begun(request: ApprovalRequest, decision: Decision | None) -> ActiveSpan | None:
    """The span of the gate; nobody records: none."""
    recording = recorder.current()
    if recording is None:
        return None
    status = PENDING if decision is None else APPROVED if decision else REJECTED
    attributes: dict[str, Any] = {
        names.APPROVAL_ID: request.id,
        names.APPROVAL_STATUS: status,
        names.WIRE_LANE: request.lane,
    }
    span = None
    with guard(f"starting approval {request.id}"):
        span = recording.start(
            f"approval {request.id}", names.KIND_INTERNAL, attributes, outward=decision is None
        )
    with guard(f"recording approval {request.id}", span):
        said = {
            names.APPROVAL_SUMMARY: request.summary,
            names.APPROVAL_DETAILS: None if request.details is None else codec.plain_text(request.details),
            **_decided(decision),
        }
        attributes.update({key: value for key, value in said.items() if value is not None})
    return span


def _decided(decision: Decision | None) -> dict[str, Any]:
    if decision is None:
        return {}
    actor = decision.actor
    return {
        names.APPROVAL_ACTOR: actor if actor is None or isinstance(actor, str) else json.dumps(actor),
        names.APPROVAL_REASON: decision.reason,
        names.EFFECT_SOURCE: "recorded",
        names.SOURCE_RUN_ID: decision.source_run_id,
        names.REPLAY_SOURCE_SPAN: decision.source_span_id,
    }


def _pending(request: ApprovalRequest, span: ActiveSpan | None) -> ApprovalPending:
    """The gate is on file, twice: open, for whoever looks while we are ending, and ended."""
    recording = recorder.current()
    if span is None or recording is None:
        error = ApprovalPending("", request.id, None, request.summary)
        pausing.latch(None, error)
    else:
        recording.open(span)
        _end(span, durable=True)
        run_id = span.run_id or f"{span.trace_id:032x}"
        error = ApprovalPending("", request.id, run_id, request.summary)
        root: Any = span.context.get(invocation.ROOT_KEY)
        pausing.latch(root, error)
    error.args = (pausing.line(error),)
    return error


def _end(span: ActiveSpan, *, durable: bool) -> None:
    recording = recorder.current()
    if recording is not None:
        recording.end(span, durable=durable)
