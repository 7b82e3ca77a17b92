"""What becomes of a span when it has ended: frozen, cleaned, lowered to the capture level, sent outward, printed.

Runs on the exporting thread (for durable records on the caller's). Must not raise, and must not lose the span: what
fails costs that part of it, and says so.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from spanreel.instrument import facts, foreign, snapshot
from spanreel.instrument.guard import log_once, logger
from spanreel.wire import attributes as names
from spanreel.wire.spans import Scope, Span

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from spanreel.instrument.privacy import Privacy
    from spanreel.instrument.provider import Provided
    from spanreel.instrument.tracing import ActiveSpan
    from spanreel.wire.dialect import Call

    Complete = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Finishing:
    """How spans of this process are finished.

    complete: ends the provider's span; None where nobody listens.
    outward_content: whether content goes there.
    """

    privacy: Privacy
    provided: Provided
    scope: Scope
    complete: Complete | None = None
    outward_content: bool = False
    console: bool = False

    def opened(self, span: ActiveSpan) -> Span:
        """The open record of a span."""
        return self._lowered(self._clean(span, opened=True), None)

    def ended(self, span: ActiveSpan) -> Span:
        """The span to write; the provider's span is ended too."""
        clean = self._clean(span)
        call = self._call(span, clean)
        written = self._lowered(clean, call)
        if span.otel is not None and self.complete is not None:
            try:
                self.complete(span, self._outward(clean, call, written), content=self.outward_content)
            except Exception as error:  # noqa: BLE001 - the application's own span processors run in there
                _log("span outward", error)
        if self.console:
            _print(written, call)
        return written

    def heard(self, span: ReadableSpan) -> Span:
        """The record of another instrumentation's span."""
        return self._lowered(self.privacy.redacted(foreign.frozen(span, self.provided.resource)), None)

    def bare(self, span: ActiveSpan, error: BaseException) -> Span:
        """What is left of a span that could not be finished."""
        _log("finishing a span", error)
        return Span(
            trace_id=f"{span.trace_id:032x}",
            span_id=f"{span.span_id:016x}",
            parent_span_id=f"{span.parent_span_id:016x}" if span.parent_span_id else None,
            name=span.name.partition(" ")[0],
            kind=span.kind,
            start_ns=span.start_ns,
            end_ns=span.end_ns,
            status=span.status,
            attributes={names.INCOMPLETE: f"finishing a span: {snapshot.error_type(error)}"},
            resource=self.provided.resource,
            scope=self.scope,
        )

    def _clean(self, span: ActiveSpan, *, opened: bool = False) -> Span:
        return self.privacy.redacted(snapshot.frozen(span, self.provided.resource, self.scope, opened=opened))

    def _call(self, span: ActiveSpan, clean: Span) -> Call | None:
        """What the bodies say, where anything needs to know."""
        outward = span.otel is not None and span.otel.is_recording()
        if span.exchange is None or not (
            outward or self.console or self.privacy.level in ("hashes", "metadata")
        ):
            return None
        try:
            return facts.call_of(clean.attributes)
        except Exception as error:  # noqa: BLE001 - a dialect that cannot read must cost no more than the facts
            _log("reading a model call", error)
            cast("dict[str, Any]", clean.attributes)[names.INCOMPLETE] = (
                f"reading a model call: {snapshot.error_type(error)}"
            )
            return None

    def _lowered(self, clean: Span, call: Call | None) -> Span:
        if call is None:
            return self.privacy.lowered(clean, {}, {})
        return self.privacy.lowered(clean, facts.facts(call), facts.content(call.content))

    def _outward(self, clean: Span, call: Call | None, written: Span) -> Span:
        """As written; at `full`, where the bytes hold them, with facts and messages as attributes."""
        if written.attributes.get(names.WIRE_ROLE) == "exchange":  # the model span is somebody else's
            kept = {key: value for key, value in written.attributes.items() if not key.startswith("gen_ai.")}
            return replace(written, attributes=kept)
        if call is None or self.privacy.level != "full":
            return written
        said: dict[str, Any] = {**facts.facts(call), **written.attributes}
        if call.stream:
            said.update(facts.first_chunk(clean.attributes))
        if self.outward_content:
            said.update(facts.content(call.content))
        return replace(written, attributes=said)


def _log(where: str, error: BaseException) -> None:
    log_once(where, "recording failed in %s (%s); the agent is not affected", where, type(error).__name__)
    logger.debug("fault in %s", where, exc_info=error)


def _print(span: Span, call: Call | None) -> None:
    """One line on stderr for a model or tool call."""
    operation = span.attributes.get(names.OPERATION)
    if operation not in ("execute_tool", "chat", "embeddings", "text_completion", "generate_content"):
        return
    words = [span.name, f"{(span.end_ns - span.start_ns) / 1e9:.2f} s"]
    if call is not None and call.usage:
        words.append(f"{call.usage.input or 0} in, {call.usage.output or 0} out")
    if span.status == names.STATUS_ERROR:
        words.append(f"failed: {span.attributes.get(names.ERROR_TYPE, 'error')}")
    sys.stderr.write(f"spanreel: {' · '.join(words)}\n")
