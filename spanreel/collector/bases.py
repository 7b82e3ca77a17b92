"""Request bodies given as a base and what is new, made whole again.

An agent sends its whole history with every call. In a spool or a file a body may be given as the id of an earlier span
and how many bytes of that span's body it begins with, and perhaps ends with; every reader makes it whole before anything else looks at it.
It must not open a store: whoever has one passes a way to look bodies up.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from spanreel.wire.attributes import HTTP_REQUEST_BODY, INCOMPLETE, WIRE_REQUEST_BASE
from spanreel.wire.spans import Span, Value

LOST: Final = "request base not found"
_KEPT_BYTES: Final = 64 << 20
_BASE: Final = re.compile(r"([0-9a-zA-Z]+):([0-9]{1,12})(?::([0-9]{1,12}))?")

Lookup = Callable[[str, str], "bytes | None"]
"""(trace id, span id) -> the request body of that span, searched in that trace first."""


class RequestBodies:
    """Makes bodies whole, in order of arrival, remembering the last ones of every sender."""

    def __init__(self, lookup: Lookup | None = None) -> None:
        self._lookup = lookup
        self._recent: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0

    def whole(self, spans: Sequence[Span]) -> list[Span]:
        """The spans with whole request bodies, in the same order; one whose base is nowhere is marked incomplete.

        A base may stand behind the span that names it in the same batch.
        """
        found = [self._whole(span) for span in spans]
        waiting = [index for index, span in enumerate(found) if span is None]
        while waiting:
            rest = [index for index in waiting if self._retry(found, spans, index)]
            if len(rest) == len(waiting):
                break
            waiting = rest
        for index in waiting:
            found[index] = _marked(spans[index])
        return [span for span in found if span is not None]

    def _retry(self, found: list[Span | None], spans: Sequence[Span], index: int) -> bool:
        found[index] = self._whole(spans[index])
        return found[index] is None

    def _whole(self, span: Span) -> Span | None:
        body = span.attributes.get(HTTP_REQUEST_BODY)
        named = span.attributes.get(WIRE_REQUEST_BASE)
        if named is None:
            if isinstance(body, str | bytes):
                self._remember(span.span_id, _as_bytes(body))
            return span
        found = _BASE.fullmatch(str(named))
        if found is None:
            return None
        base, first, last = found[1], int(found[2]), int(found[3] or 0)
        other = self._body(span.trace_id, base)
        if other is None or len(other) < first + last:
            return None
        whole = other[:first] + _as_bytes(body) + other[len(other) - last :]
        self._remember(span.span_id, whole)
        attributes = dict(span.attributes)
        del attributes[WIRE_REQUEST_BASE]
        attributes[HTTP_REQUEST_BODY] = _as_value(whole)
        return replace(span, attributes=attributes)

    def _body(self, trace_id: str, span_id: str) -> bytes | None:
        known = self._recent.get(span_id)
        if known is None and self._lookup is not None:
            known = self._lookup(trace_id, span_id)
            if known is not None:
                self._remember(span_id, known)
        return known

    def _remember(self, span_id: str, body: bytes) -> None:
        self._size += len(body) - len(self._recent.pop(span_id, b""))
        self._recent[span_id] = body
        while self._size > _KEPT_BYTES and len(self._recent) > 1:
            self._size -= len(self._recent.popitem(last=False)[1])


def _as_bytes(body: Value) -> bytes:
    return body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else b""


def _as_value(body: bytes) -> str | bytes:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def _marked(span: Span) -> Span:
    reason = span.attributes.get(INCOMPLETE)
    if isinstance(reason, str) and LOST in reason:
        return span
    return replace(span, attributes={**span.attributes, INCOMPLETE: f"{reason}; {LOST}" if reason else LOST})
