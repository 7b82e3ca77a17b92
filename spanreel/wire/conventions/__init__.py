"""Read any emitter's span in GenAI words: `read` for the light facts, `content` for what was said.

Detection, ordered key tables, then what one emitter does differently. Both functions take any span there is and
raise on none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spanreel.wire.conventions import own
from spanreel.wire.conventions.contents import content, union
from spanreel.wire.conventions.detect import emitter
from spanreel.wire.conventions.generic import fields_of
from spanreel.wire.conventions.overlays import apply
from spanreel.wire.records import Record

if TYPE_CHECKING:
    from spanreel.wire.spans import Span

__all__ = ["content", "read", "union"]


def read(span: Span) -> Record:
    """What the span is and says, without its content; made for every span at ingest."""
    who = emitter(span.scope.name, span.attributes)
    fields = fields_of(span, who)
    if who == "spanreel":
        own.add(span, fields)
    apply(who, span, fields)
    return Record(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_span_id=span.parent_span_id,
        name=span.name,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        **fields,
    )
