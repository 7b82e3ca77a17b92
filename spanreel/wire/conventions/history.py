"""What a reader of many spans of one run remembers, so that a history is read only where it is new.

It gives what `values.parsed` and `lenient.parse` give. It must not outlive the reading of a run: it holds the texts
that were read last.
"""

from __future__ import annotations

from typing import Any, Final

from spanreel.wire import lenient
from spanreel.wire.conventions import values
from spanreel.wire.history import Arrays
from spanreel.wire.pieces import Pieces

_SHORT: Final = 1024  # characters; such a text is read again as fast
_UNREADABLE: Final = (ValueError, IndexError, RecursionError)


class History:
    """Reads attributes and request bodies that repeat each other. Each value is as if it had been read alone.

    Args:
        raw: whether whole requests and answers (`Content.raw_request`, `raw_response`) are wanted too.
    """

    def __init__(self, *, raw: bool = True) -> None:
        self.raw = raw
        self._attributes = Arrays(_shallow)
        self._bodies = Arrays(_encodable)

    def parsed(self, value: object) -> Any:
        """As `values.parsed`; elements may be those of an earlier value: they must not be changed.

        Args:
            value: of an attribute, as `pieces.held` gives it.
        """
        if isinstance(value, Pieces):
            try:
                return self._attributes.joined(value)
            except _UNREADABLE:
                value = value.text()
        if isinstance(value, str) and len(value) >= _SHORT:
            try:
                return self._attributes.read(value)
            except _UNREADABLE:
                pass  # cut off, or no JSON: what that means is decided in one place
        return values.parsed(value)

    def body(self, body: object) -> Any:
        """The JSON value of a request body, None where there is none; elements must not be changed."""
        if isinstance(body, Pieces):
            try:
                return self._bodies.joined(body)
            except _UNREADABLE:
                body = body.text()
        try:
            text = body.decode() if isinstance(body, bytes) else body
            if isinstance(text, str) and len(text) >= _SHORT:
                return self._bodies.read(text)
        except _UNREADABLE:
            pass
        return lenient.parse(as_bytes(body))


def as_bytes(body: object) -> bytes:
    """A body as it was sent."""
    if isinstance(body, str):
        return body.encode("utf-8", "surrogatepass")
    return body if isinstance(body, bytes) else b""


def _shallow(_: str, value: Any) -> Any:
    if values.nests(value, values.DEPTH - 2):  # the array and the object around it
        raise ValueError("it nests too deep to be read in pieces")
    return value


def _encodable(text: str, value: Any) -> Any:
    return lenient.encodable(text.encode(), value)
