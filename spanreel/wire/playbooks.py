"""Where playbooks are kept among spans: a trace for each name, a span for each body, a span for each decision about one.

Quiet: ids out of names and hashes, and what a span is by its attributes. These spans are no run (see `grouping`); that of
an execution is, and names the body that it walked.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from spanreel.wire import attributes as names

if TYPE_CHECKING:
    from spanreel.wire.spans import Span

KIND: Final = "playbook"
"""The kind of record that the library's spans have."""
Role: TypeAlias = Literal["body", "decision", "execution"]


def trace_of(name: str) -> str:
    """The id of the trace that keeps the bodies of a playbook and what was decided about them."""
    return sha256(f"playbook\0{name}".encode()).hexdigest()[:32]


def body_id(body_hash: str) -> str:
    """The id of the span of a body: the same body is the same span, however often it is added."""
    return sha256(f"body\0{body_hash}".encode()).hexdigest()[:16]


def decision_id(after: str, about: str) -> str:
    """The id of the decision that follows another one: of two that follow the same one, the store keeps the first.

    Args:
        after: span id of the decision before it; of a review, and of the first one, of the body.
        about: the trace, and what is decided.
    """
    return sha256(f"decision\0{about}\0{after}".encode()).hexdigest()[:16]


def role_of(span: Span) -> Role | None:
    """What a span is to the library; None for any other span."""
    body_hash = span.attributes.get(names.PLAYBOOK_HASH)
    if not isinstance(body_hash, str):
        return None
    name = span.attributes.get(names.PLAYBOOK_NAME)
    if names.DECISION in span.attributes and isinstance(name, str) and span.trace_id == trace_of(name):
        return "body" if names.PLAYBOOK_BODY in span.attributes else "decision"
    return "execution" if names.PLAYBOOK_MODE in span.attributes else None
